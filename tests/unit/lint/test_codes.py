"""Each code is found in the least file that has it, on its line, and in no clean one; no code is left untested."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gesta.lint import CODES, Finding, Report, lint_targets, read_against
from gesta.lint.run import read_any

HEADER = "label,youtube_id,time_start,time_end,split\n"
FILM = "filmAAAAAA1"
MANY = [f"{FILM},{902 + i:04d},0.1,0.2,0.3,0.9,1,0" for i in range(30)]

CLEAN = {
    "k_train.csv": HEADER + 'abseiling,-aaaaaaaaa1,10,20,train\n"air drumming",_aaaaaaaaa2,0,10,train\n',
    "k_val.csv": HEADER + 'abseiling,-aaaaaaaaa3,10,20,val\n"air drumming",_aaaaaaaaa4,0,10,val\n',
    "k_test.csv": HEADER + 'abseiling,-aaaaaaaaa5,10,20,test\n"air drumming",_aaaaaaaaa6,0,10,test\n',
    "names.txt": "abseiling\nair drumming\n",
    "gt.csv": (
        f"{FILM},0902,0.100,0.200,0.300,0.900,1,0\n"
        f"{FILM},0902,0.100,0.200,0.300,0.900,2,0\n"
        f"{FILM},0902,0.500,0.200,0.700,0.900,1,1\n"
        f"{FILM},0903\n"
        "filmBBBBBB2,0904,0.100,0.200,0.300,0.900,3,0\n"
    ),
    "det.csv": (
        f"{FILM},0902,0.100,0.200,0.300,0.900,1,0.912345\n"
        f"{FILM},0902,0.100,0.200,0.300,0.900,2,0.812345\n"
        "filmBBBBBB2,0904,0.100,0.200,0.300,0.900,3,0.712345\n"
    ),
    "map.pbtxt": "".join(
        f'label {{\n  name: "{name}"\n  label_id: {i}\n  label_type: {kind}\n}}\n'
        for i, name, kind in ((1, "bend", "PERSON_MOVEMENT"), (2, "answer phone", "OTHER"), (3, "read", "OTHER"))
    ),
    "excluded.csv": f"{FILM},0910\n{FILM},0911\n",
    "included.txt": "0902\n0903\n0904\n0905\n",
    "videos.txt": f"{FILM}.mkv\nfilmBBBBBB2.mp4\n",
    "avak.csv": f"{FILM},11.000000,0.1,0.2,0.3,0.9,1\n{FILM},19.000000\n",
    "k_clips.csv": HEADER + f"abseiling,{FILM},10,20,val\n",
}
"""Files in which nothing is wrong, alone or together."""

Case = tuple[dict[str, str | bytes], list[str], dict[str, Any], int | None]


def edited(name: str, old: str, new: str) -> dict[str, str | bytes]:
    assert CLEAN[name].count(old) == 1, f"{old!r} is not once in {name}"
    return {name: CLEAN[name].replace(old, new)}


def case(
    files: Mapping[str, str | bytes], *targets: str, line: int | None = None, options: Mapping[str, Any] | None = None
) -> Case:
    return dict(files), list(targets or files), dict(options or {}), line


TRUTH = edited("gt.csv", f"{FILM},0903\n", "")
FIRST = f"{FILM},0902,0.100,0.200,0.300,0.900,1,0\n"

CASES: dict[str, Case] = {
    "file-empty": case({"k_val.csv": "\n \n"}),
    "file-unknown": case({"k_val.csv": "a,b,c\nd,e,f\n"}),
    "file-unreadable": case({"boxes.json": "{"}, options={"reader": "refusing"}),
    "text-not-utf8": case({"k_val.csv": CLEAN["k_val.csv"].encode() + b"f\xe9te,-aaaaaaaaa9,0,10,val\n"}, line=4),
    "text-control": case(edited("k_val.csv", "abseiling", "abs\x00eiling"), line=2),
    "text-quotes": case(edited("k_val.csv", "abseiling", '"abseiling'), line=2),
    "text-bom": case({"k_val.csv": b"\xef\xbb\xbf" + CLEAN["k_val.csv"].encode()}, line=1),
    "text-crlf": case({"k_val.csv": CLEAN["k_val.csv"].replace("\n", "\r\n")}),
    "text-line-ends": case({"k_val.csv": CLEAN["k_val.csv"].replace("\n", "\r\n", 1)}),
    "columns-wrong": case(edited("k_val.csv", "-aaaaaaaaa3,10,20,val", "-aaaaaaaaa3,10,20,val,0"), line=2),
    "header-missing": case({"k_val.csv": CLEAN["k_val.csv"].removeprefix(HEADER)}, line=1),
    "header-unknown": case(edited("k_val.csv", "time_end", "time_stop"), line=1),
    "header-unexpected": case({"gt.csv": "video_id,timestamp,x1,y1,x2,y2,action,person\n" + CLEAN["gt.csv"]}, line=1),
    "cell-empty": case(edited("k_val.csv", "abseiling", ""), line=2),
    "cell-odd": case(edited("gt.csv", "0.500,0.200", "0.500,left"), line=3),
    "cell-spaces": case(edited("k_val.csv", "-aaaaaaaaa3", " -aaaaaaaaa3"), line=2),
    "id-odd": case(edited("k_val.csv", "-aaaaaaaaa3", "#NAME?"), line=2),
    "row-twice": case(edited("k_val.csv", '"air drumming",_aaaaaaaaa4,0,10', "abseiling,-aaaaaaaaa3,10,20"), line=3),
    "id-twice-in-class": case(
        edited("k_val.csv", '"air drumming",_aaaaaaaaa4,0,10', "abseiling,-aaaaaaaaa3,30,40"), line=3
    ),
    "id-twice": case(edited("k_val.csv", "_aaaaaaaaa4", "-aaaaaaaaa3"), line=3),
    "clip-two-labels": case(edited("k_val.csv", "_aaaaaaaaa4,0,10", "-aaaaaaaaa3,10,20"), line=3),
    "clip-inverted": case(edited("k_val.csv", "10,20", "20,10"), line=2),
    "clip-not-10s": case(edited("k_val.csv", "10,20", "10,19.5"), line=2),
    "clip-outside-video": case(edited("k_val.csv", "10,20", "95,105"), line=2, options={"videos": "table"}),
    "time-odd": case(edited("k_val.csv", "10,20", "0:10,20"), line=2),
    "label-spelling": case(edited("k_val.csv", '"air drumming"', "Abseiling"), line=3),
    "class-unknown": case(edited("k_val.csv", "abseiling", "absailing"), line=2, options={"label_map": "names.txt"}),
    "class-not-scored": case(edited("gt.csv", "0.900,1,1", "0.900,2,1"), line=2, options={"label_map": "ava60.pbtxt"}),
    "class-not-positive": case(edited("gt.csv", "0.900,2,0", "0.900,0,0"), line=2),
    "class-rare": case({"k_val.csv": CLEAN["k_val.csv"]}, line=2, options={"min_per_class": 2}),
    "class-unused": case(edited("gt.csv", "0.900,3,0", "0.900,1,0"), options={"label_map": "map.pbtxt"}),
    "split-odd": case(edited("k_val.csv", "10,20,val", "10,20,holdout"), line=2),
    "split-validate": case({"k_val.csv": CLEAN["k_val.csv"].replace(",val", ",validate")}, line=2),
    "box-inverted": case(edited("gt.csv", "0.500,0.200,0.700", "0.700,0.200,0.500"), line=3),
    "box-empty": case(edited("gt.csv", "0.500,0.200,0.700", "0.500,0.200,0.500"), line=3),
    "box-outside": case(edited("gt.csv", "0.500,0.200,0.700", "0.500,0.200,1.001"), line=3),
    "box-pixels": case(edited("gt.csv", "0.500,0.200,0.700", "320,48,448"), line=3),
    "box-axes": case({"gt.csv": "\n".join(row.replace("0.1,0.2,0.3,0.9", "0.2,0.1,0.9,0.3") for row in MANY)}),
    "box-width-height": case({"gt.csv": "\n".join(row.replace("0.1,0.2,0.3", "0.6,0.1,0.3") for row in MANY)}),
    "box-action-twice": case({"gt.csv": CLEAN["gt.csv"] + FIRST}, line=6),
    "box-near-twice": case(edited("gt.csv", "0.500,0.200,0.700", "0.101,0.200,0.300"), line=3),
    "person-missing": case(edited("gt.csv", "0.900,1,1", "0.900,1"), line=3),
    "person-none": case({"gt.csv": re.sub(r"(?m),[01]$", "", CLEAN["gt.csv"])}),
    "person-two-boxes": case(edited("gt.csv", "0.900,1,1", "0.900,1,0"), line=3),
    "person-two-ids": case(edited("gt.csv", "0.900,2,0", "0.900,2,7"), line=2),
    "person-two-poses": case({"gt.csv": CLEAN["gt.csv"]}, line=2, options={"label_map": "poses.pbtxt"}),
    "key-frame-contradicts": case(edited("gt.csv", f"{FILM},0903", f"{FILM},0902"), line=4),
    "key-frame-twice": case({"excluded.csv": CLEAN["excluded.csv"] + f"{FILM},0910\n"}, line=3),
    "key-frame-two-spellings": case({"gt.csv": CLEAN["gt.csv"] + f"{FILM},902,0.1,0.2,0.3,0.8,1,4\n"}, line=6),
    "key-frame-not-included": case(
        edited("gt.csv", "filmBBBBBB2,0904", "filmBBBBBB2,0906"), line=5, options={"included": "included.txt"}
    ),
    "key-frame-excluded": case(
        edited("gt.csv", "filmBBBBBB2,0904", f"{FILM},0911"), line=5, options={"excluded": "excluded.csv"}
    ),
    "key-frame-outside-clip": case(edited("avak.csv", "11.000", "31.000"), line=1, options={"clips": "k_clips.csv"}),
    "key-frame-near-end": case(edited("avak.csv", "11.000", "10.999999"), line=1, options={"clips": "k_clips.csv"}),
    "video-missing": case(edited("gt.csv", "filmBBBBBB2", "filmCCCCCC3"), line=5, options={"videos": "videos.txt"}),
    "time-outside-video": case(edited("avak.csv", "11.000", "100.000"), line=1, options={"videos": "table"}),
    "score-missing": case(edited("det.csv", ",0.812345", ""), line=2),
    "score-outside": case(edited("det.csv", "0.812345", "1.5"), line=2),
    "score-not-finite": case(edited("det.csv", "0.812345", "nan"), line=2),
    "score-ties": case({"det.csv": "\n".join(f"{row[:-1]}0.{1 + i % 3}" for i, row in enumerate(MANY))}),
    "score-constant": case({"det.csv": re.sub(r"0\.\d12345", "1.0000", CLEAN["det.csv"])}),
    "detections-over-cap": case(
        {"det.csv": CLEAN["det.csv"] + "\n".join(f"{FILM},0903,0.1,0.2,0.3,0.9,{i},0.{i:06d}" for i in range(1, 52))},
        line=4,
    ),
    "detection-unknown-key-frame": case(
        edited("det.csv", "filmBBBBBB2,0904", "filmBBBBBB2,0905"), line=3, options={"groundtruth": "gt.csv"}
    ),
    "groundtruth-undetected": case(
        edited("det.csv", "filmBBBBBB2,0904", f"{FILM},0903"), options={"groundtruth": "gt.csv"}
    ),
    "groundtruth-disjoint": case(
        {"det.csv": CLEAN["det.csv"].replace(",090", ",1")}, options={"groundtruth": "gt.csv"}
    ),
    "map-broken": case(edited("map.pbtxt", "  label_id: 2\n", ""), line=6),
    "map-id-twice": case(edited("map.pbtxt", "label_id: 2", "label_id: 1"), line=6),
    "map-name-twice": case(edited("map.pbtxt", "answer phone", "bend"), line=6),
    "map-id-gap": case(edited("map.pbtxt", "label_id: 2", "label_id: 9")),
    "map-indent": case(edited("map.pbtxt", "  label_id: 2", "\tlabel_id: 2"), line=8),
    "leak-train": case(edited("k_val.csv", "-aaaaaaaaa3", "-aaaaaaaaa1"), "k_val.csv", "k_train.csv", line=2),
    "leak-val-test": case(edited("k_val.csv", "-aaaaaaaaa3", "-aaaaaaaaa5"), "k_val.csv", "k_test.csv", line=2),
}

IN_FOLDERS = {
    "manifest-differs", "table-unreadable", "table-differs", "clip-unknown", "class-missing-in-split", "leak-footage",
}  # fmt: skip
"""Codes of work folders and releases; `test_dataset.py` feeds them."""


def lint(folder: Path, targets: list[str], options: Mapping[str, Any]) -> Report:
    told = dict(options)
    reader = told.pop("reader", None)
    files = {name: value if name == "min_per_class" else folder / str(value) for name, value in told.items()}
    against = read_against(**files)
    return lint_targets([folder / name for name in targets], against=against, reader=refusing if reader else read_any)


def refusing(path: Path, _name: str | None, _context: object) -> Any:
    from gesta.schema import BadRow

    raise BadRow("line 3 is odd", path=path, line=3, mend="Mend it")


def found_by(report: Report, code: str) -> list[Finding]:
    return [finding for finding in report.findings if finding.code == code]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for name, text in CLEAN.items():
        (tmp_path / name).write_text(text)
    left_out = {2, 16, 18, 19, 21, 23, 25, 31, 32, 33, 35, 39, 40, 42, 44, 50, 53, 55, 71, 75}
    rows = (f'item {{\n  name: "c{i}"\n  id: {i}\n}}\n' for i in range(1, 81) if i not in left_out)
    (tmp_path / "ava60.pbtxt").write_text("".join(rows))
    (tmp_path / "poses.pbtxt").write_text(CLEAN["map.pbtxt"].replace("OTHER", "PERSON_MOVEMENT"))
    _write_videos(tmp_path / "table")
    return tmp_path


def _write_videos(folder: Path) -> None:
    from gesta.schema import Video
    from gesta.tables import frame_of, made_by, table_path, write_table

    rows = [
        Video(
            video_id=name, path=f"{name}.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
            width_px=320, height_px=240, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=2500,
            start_us=0, duration_us=100_000_000, has_audio=False,
        )
        for name in (FILM, "-aaaaaaaaa3", "_aaaaaaaaa4")
    ]  # fmt: skip
    made = made_by("import", arguments={}, inputs={})
    write_table(table_path(folder, "videos"), "videos", frame_of("videos", rows), made_by=made)


def test_no_code_is_untested() -> None:
    assert set(CASES) | IN_FOLDERS == set(CODES)
    assert set(CASES) & IN_FOLDERS == set()


@pytest.mark.parametrize("code", CASES)
def test_each_code_is_found_on_its_line_and_not_without_its_cause(code: str, corpus: Path) -> None:
    files, targets, options, line = CASES[code]
    if code not in ("class-rare", "file-unreadable", "class-not-scored", "person-two-poses"):
        assert found_by(lint(corpus, [name for name in targets if name in CLEAN], options), code) == []
    for name, text in files.items():
        (corpus / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    found = found_by(lint(corpus, targets, options), code)
    assert [one.where for one in found] == [str(corpus / one_of(code, targets))]
    if line is not None:
        assert found[0].line == line
    assert found[0].severity == CODES[code].severity
    assert found[0].message
    assert not found[0].message.endswith(".")


def one_of(code: str, targets: list[str]) -> str:
    return "k_train.csv" if code == "leak-train" else targets[0]


def test_a_header_alone_is_an_empty_file(corpus: Path) -> None:
    (corpus / "k_val.csv").write_text(HEADER)
    assert [one.code for one in lint(corpus, ["k_val.csv"], {}).findings] == ["file-empty"]


def test_clean_files_have_no_finding_at_all(corpus: Path) -> None:
    plain = ["k_train.csv", "k_val.csv", "k_test.csv"]
    assert lint(corpus, plain, {"label_map": "names.txt"}).findings == ()
    options = {
        "label_map": "map.pbtxt", "excluded": "excluded.csv", "included": "included.txt", "videos": "videos.txt",
        "groundtruth": "gt.csv",
    }  # fmt: skip
    assert lint(corpus, ["gt.csv", "det.csv"], options).findings == ()
    lists = ["names.txt", "map.pbtxt", "excluded.csv", "included.txt", "videos.txt", "k_clips.csv"]
    assert lint(corpus, lists, {}).findings == ()
    report = lint(corpus, ["avak.csv"], {"clips": "k_clips.csv", "videos": "table"})
    assert [one.code for one in report.findings] == ["person-none"]


def test_a_label_map_from_0_is_found(corpus: Path) -> None:
    (corpus / "map.pbtxt").write_text(CLEAN["map.pbtxt"].replace("label_id: 1", "label_id: 0"))
    assert found_by(lint(corpus, ["map.pbtxt"], {}), "class-not-positive")[0].line == 1


def test_kinds_are_told_from_the_lines(corpus: Path) -> None:
    kinds = {Path(where).name: kind for where, kind, _ in lint(corpus, list(CLEAN), {}).files}
    assert kinds == {
        "k_train.csv": "kinetics", "k_val.csv": "kinetics", "k_test.csv": "kinetics", "k_clips.csv": "kinetics",
        "names.txt": "label-map", "map.pbtxt": "label-map", "gt.csv": "ava", "avak.csv": "ava",
        "det.csv": "detections", "excluded.csv": "key-frames", "included.txt": "times", "videos.txt": "names",
    }  # fmt: skip
