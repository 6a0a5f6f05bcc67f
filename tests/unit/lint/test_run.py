"""Bytes, reports, leakage and the command itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gesta.cli.main import main
from gesta.lint import CODES, codes_named, codes_table, lint_file, lint_targets, read_against, report_text
from gesta.schema import BadInput, UnknownName

HEADER = "label,youtube_id,time_start,time_end,split\n"
DOCS = Path(__file__).resolve().parents[3] / "docs" / "lint.md"


def gesta(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["lint", *map(str, arguments)])


def kinetics(path: Path, *rows: str) -> Path:
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return path


def test_all_of_a_broken_file_is_found_in_one_run(tmp_path: Path) -> None:
    path = tmp_path / "gt.csv"
    path.write_bytes(
        b"video_id,time,x1,y1,x2,y2,action,person\n"
        b"filmAAAAAA1,902,0.1,0.2,0.3,0.9,1,0\n"
        b"filmAAAAAA1,0:02,0.1,0.2,0.3,0.9,1,0\n"
        b"film\xffAAAAAA1,902,0.1,0.2,0.3,0.9,1,0\n"
        b'"filmAAAAAA1,902,0.1,0.2,0.3,0.9,1,0\n'
        b"filmAAAAAA1,902,0.1,0.2,0.3,0.9\n"
        b",902,0.1,0.2,0.3,0.9,1,0\n"
        b"filmAAAAAA1,902,0.5,0.2,0.4,0.9,0,1\n"
        b"filmAAAAAA1,902,1e999,0.2,0.4,0.9,1,2\n"
    )
    found = [(one.code, one.line, one.count) for one in lint_file(path).findings]
    assert sorted(found, key=lambda one: (one[1] or 0, one[0])) == [
        ("header-unexpected", 1, 1), ("time-odd", 3, 1), ("id-odd", 4, 1), ("text-not-utf8", 4, 1),
        ("text-quotes", 5, 1), ("columns-wrong", 6, 1), ("cell-empty", 7, 1), ("box-inverted", 8, 1),
        ("class-not-positive", 8, 1), ("cell-odd", 9, 1),
    ]  # fmt: skip


def test_lines_are_those_of_a_compiler_and_the_rest_is_counted(tmp_path: Path) -> None:
    path = kinetics(tmp_path / "val.csv", *(f"run,aaaaaaaaa{i:02d},10,9,val" for i in range(7)))
    result = gesta(path, "--max-per-code", "2", "--min-per-class", "0")
    assert result.exit_code == 1
    mend = "Exchange the times, or drop the row"
    assert result.stdout.splitlines() == [
        f"{path}:2: error clip-inverted: the clip goes from 10 s to 9 s. {mend}",
        f"{path}:3: error clip-inverted: the clip goes from 10 s to 9 s. {mend}",
        f"{path}: error clip-inverted: 5 more of 7 (--max-per-code shows them)",
        "lint: 1 file, 7 rows: 7 errors (clip-inverted), 0 warnings, 0 notes",
    ]


def test_the_exit_code_says_clean_errors_or_not_run(tmp_path: Path) -> None:
    clean = kinetics(tmp_path / "val.csv", "run,aaaaaaaaa01,0,10,val")
    warned = kinetics(tmp_path / "short.csv", "run,aaaaaaaaa01,0,9,val")
    broken = kinetics(tmp_path / "broken.csv", "run,aaaaaaaaa01,9,0,val")
    assert gesta(clean).exit_code == 0
    assert gesta(warned).exit_code == 0
    assert gesta(broken).exit_code == 1
    assert gesta(broken, "--ignore", "clip-inverted").exit_code == 0
    assert gesta(tmp_path / "nowhere.csv").exit_code == 2
    assert gesta().exit_code == 2
    (tmp_path / "map.txt").write_text("run\nrun\n")
    result = gesta(clean, "--label-map", tmp_path / "map.txt")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"gesta: error: {tmp_path / 'map.txt'}:2: name 'run' was given")


def test_json_holds_every_place_and_the_totals(tmp_path: Path) -> None:
    path = kinetics(tmp_path / "val.csv", *(f"run,aaaaaaaaa{i:02d},10,9,val" for i in range(7)))
    result = gesta(path, "--json", "--select", "clip")
    assert result.exit_code == 1
    value = json.loads(result.stdout)
    assert value["files"] == [{"where": str(path), "kind": "kinetics", "num_rows": 7}]
    assert (value["num_errors"], value["num_warnings"], value["num_notes"]) == (7, 0, 0)
    assert value["totals"] == {"clip-inverted": 7}
    (found,) = value["findings"]
    assert [place["line"] for place in found["examples"]] == list(range(2, 9))
    assert found["count"] == 7
    assert found["mend"] == CODES["clip-inverted"].mend


def test_a_million_wrong_rows_make_a_short_report(tmp_path: Path) -> None:
    path = kinetics(tmp_path / "val.csv", *(f"run,{i:011d},10,9,val" for i in range(20_000)))
    (found,) = lint_targets([path], codes=["clip-inverted"]).findings
    assert found.count == 20_000
    assert len(found.more) == 999


def test_codes_are_chosen_by_name_family_and_severity() -> None:
    assert codes_named(["leak"], what="code") == {"leak-train", "leak-val-test", "leak-footage"}
    assert codes_named(["note", "box-empty"], what="code") > {"box-empty", "text-bom"}
    assert codes_named(["id-twice"], what="code") == {"id-twice", "id-twice-in-class"}
    with pytest.raises(UnknownName, match="no code for --select 'box-inverted-'"):
        codes_named(["box-inverted-"], what="code for --select")


def test_leakage_is_found_across_versions_and_names_both_places(tmp_path: Path) -> None:
    k400 = kinetics(tmp_path / "k400_val.csv", "run,aaaaaaaaa01,0,10,val", "run,aaaaaaaaa02,0,10,val")
    k700 = kinetics(tmp_path / "k700_train.csv", "jump,aaaaaaaaa09,0,10,train", "jump,aaaaaaaaa02,3,13,train")
    result = gesta(k400, k700)
    assert result.exit_code == 1
    line = f"{k700}:3: error leak-train: 'aaaaaaaaa02' is in train here and in val in {k400}:3. "
    assert result.stdout.splitlines()[0].startswith(line)
    assert gesta(k400, k400).exit_code == 0


def test_films_leak_by_the_names_of_the_files(tmp_path: Path) -> None:
    row = "filmAAAAAA1,0902,0.1,0.2,0.3,0.9,1,0\n"
    for name in ("ava_train_v2.2.csv", "ava_val_v2.2.csv", "ava_val_excluded_timestamps_v2.2.csv"):
        (tmp_path / name).write_text(row if "excluded" not in name else "filmAAAAAA1,0910\n")
    (tmp_path / "ava_file_names_trainval_v2.1.txt").write_text("filmAAAAAA1.mkv\n")
    (tmp_path / "ava_test_v2.2.txt").write_text("filmAAAAAA1\n")
    report = lint_targets(sorted(tmp_path.iterdir()))
    leaks = [one for one in report.findings if one.code.startswith("leak")]
    places = [(Path(one.where).name, one.code, Path(one.message.rsplit(" ", 1)[1]).name) for one in leaks]
    assert sorted(places) == [
        ("ava_file_names_trainval_v2.1.txt", "leak-train", "ava_test_v2.2.txt:1"),
        ("ava_train_v2.2.csv", "leak-train", "ava_test_v2.2.txt:1"),
        ("ava_train_v2.2.csv", "leak-train", "ava_val_v2.2.csv:1"),
        ("ava_val_v2.2.csv", "leak-val-test", "ava_test_v2.2.txt:1"),
    ]


def test_a_video_in_two_splits_of_one_file_leaks(tmp_path: Path) -> None:
    path = kinetics(tmp_path / "all.csv", "run,aaaaaaaaa01,0,10,train", "run,aaaaaaaaa01,20,30,validate")
    found = {one.code: one for one in lint_targets([path]).findings}
    assert found["leak-train"].message == f"'aaaaaaaaa01' is in train here and in val in {path}:3"


def test_videos_at_hand_are_files_lists_and_tables(tmp_path: Path) -> None:
    (tmp_path / "videos" / "train").mkdir(parents=True)
    (tmp_path / "videos" / "train" / "-aaaaaaaaa1_000010_000020.mp4").write_bytes(b"")
    (tmp_path / "videos" / "_aaaaaaaaa2.webm").write_bytes(b"")
    path = kinetics(
        tmp_path / "val.csv", "run,-aaaaaaaaa1,10,20,val", "run,_aaaaaaaaa2,0,10,val", "run,aaaaaaaaaa3,0,10,val"
    )
    (found,) = lint_targets([path], against=read_against(videos=tmp_path / "videos")).findings
    assert (found.code, found.line, found.message) == ("video-missing", 4, "there is no video 'aaaaaaaaaa3'")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="names no video"):
        read_against(videos=tmp_path / "empty")


def test_a_kind_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "gt.csv"
    path.write_text("filmAAAAAA1,0902,0.1,0.2,0.3,0.9,1,1.0\nfilmAAAAAA1,0903,0.1,0.2,0.3,0.9,1,1.0\n")
    assert [one.code for one in lint_file(path).findings] == ["score-constant"]
    found = {one.code: one.count for one in lint_file(path, kind="ava").findings}
    assert found == {"cell-odd": 2, "person-none": 1}
    assert "person_id is '1.0'" in gesta(path, "--as", "ava").stdout


def test_what_ails_the_bytes_is_told_of_every_text_file(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"a.mp4 0\r\nb.mp4 1\r\n")
    assert [one.code for one in lint_file(path).findings] == ["text-crlf"]
    path.write_bytes(b"a,b,c\rd,e,f\r")
    assert [one.code for one in lint_file(path).findings] == ["text-control", "file-unknown"]


def test_a_file_of_one_broken_line_is_what_its_line_looks_like(tmp_path: Path) -> None:
    path = tmp_path / "gt.csv"
    path.write_text("filmAAAAAA1,902,left\n")
    assert [(one.code, one.line) for one in lint_file(path).findings] == [("columns-wrong", 1)]
    assert [one.code for one in lint_file(path, kind="ava-kinetics").findings] == ["columns-wrong"]


def test_headers_of_any_case_and_layouts_without_one(tmp_path: Path) -> None:
    path = tmp_path / "k.csv"
    path.write_text("Label,YouTube_ID,time_start,time_end,split\nrun,aaaaaaaaa01,9,5,val\n")
    assert {"header-unknown", "clip-inverted"} <= {one.code for one in lint_file(path).findings}
    path.write_text("aaaaaaaaa01,9,5,test\naaaaaaaaa02,0,10,test\n")
    assert {"header-missing", "clip-inverted"} <= {one.code for one in lint_file(path).findings}


def test_label_maps_of_one_line_a_block_and_with_strange_lines(tmp_path: Path) -> None:
    path = tmp_path / "map.pbtxt"
    path.write_text('item { name: "wave" id: 1 }\nitem {\n  name: "nod"\n  id: 2\n}\nid: 7\nwhat\nitem {\n')
    found = {one.code: one for one in lint_file(path).findings}
    assert found["map-indent"].line == 1
    places = [(found["map-broken"].line, found["map-broken"].message)]
    places += [(place.line, place.message) for place in found["map-broken"].more]
    assert places == [
        (6, "a field outside a block"), (7, "found 'what'"), (8, "the block has no name and no id"),
        (8, "the block is not closed"),
    ]  # fmt: skip


def test_the_list_of_codes_and_the_page_are_those_of_the_program() -> None:
    result = gesta("--list")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(CODES)
    assert set(json.loads(gesta("--list", "--json").stdout)) == set(CODES)
    assert codes_table() in DOCS.read_text(), "write gesta.lint.codes_table() into docs/lint.md"


def test_report_text_of_nothing_is_its_summary() -> None:
    report = lint_targets([])
    assert report_text(report, max_per_code=3) == "lint: 0 files, 0 rows: 0 errors, 0 warnings, 0 notes"
