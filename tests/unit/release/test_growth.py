"""The next version of a release on disk: splits kept, changes told, classes counted, rows carried over."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.release import Splitting, parse_per_class, read_earlier, read_video_ids, run_release, verify_release
from gesta.schema import BadInput, BadRow, Duplicate, Refused
from gesta.tables import frame_of, made_by, read_rejects, read_table, table_path, write_table

write_work = runpy.run_path(str(Path(__file__).with_name("tables_by_hand.py")))["write_work"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return write_work(tmp_path / "work")


def rewrite(work: Path, table: str, frame: pl.DataFrame) -> None:
    write_table(table_path(work, table), table, frame, made_by=made_by("test", arguments={}, inputs={}))


def cut(work: Path, away: list[str], tables: tuple[str, ...] = ("kept",)) -> None:
    for table in tables:
        rewrite(work, table, read_table(work, table).filter(~pl.col("video_id").is_in(away)))


def splits_of(release: Path) -> dict[str, str]:
    return dict(read_table(release, "splits").select("video_id", "split").iter_rows())


def test_the_next_version_keeps_splits_and_tells_what_changed(work: Path, tmp_path: Path):
    whole = read_table(work, "kept")
    cut(work, [f"v{n:02d}" for n in range(14, 24)])
    run_release(work, splitting=Splitting(seed=3))
    first = work / "releases" / "1.0.0"
    before = splits_of(first)
    rewrite(work, "kept", whole)
    cut(work, ["v00", "v01"])
    summary = run_release(work, version="2.0.0", splitting=Splitting(seed=8, after=first))
    second = work / "releases" / "2.0.0"
    now = splits_of(second)
    assert {name: now[name] for name in before if name in now} == {
        name: split for name, split in before.items() if name not in ("v00", "v01")
    }
    assert summary.numbers["diff"]["line"] == "+10 -2, leakage 0"
    past = read_table(second, "past_splits")
    assert dict(past.select("video_id", "split").iter_rows()) == {name: before[name] for name in ("v00", "v01")}
    assert set(past["version"]) == {"1.0.0"}
    card = (second / "README.md").read_text()
    assert "## Changes since 1.0.0\n\n+10 -2, leakage 0.\n" in card
    assert "| all | 14 | 10 | 2 | 22 | 85.7 % |" in card
    assert verify_release(second).kept
    assert json.loads((second / "manifest.json").read_text())["diff"]["num_removed"] == 2
    # What was away for a version comes back to where it was, and a run of the same again is done.
    rewrite(work, "kept", whole)
    run_release(work, version="3.0.0", splitting=Splitting(seed=1, after=second))
    third = splits_of(work / "releases" / "3.0.0")
    assert {name: third[name] for name in now | before} == now | before
    assert run_release(work, version="3.0.0", splitting=Splitting(seed=1, after=second)).was_current


def test_footage_that_joins_test_and_train_leaves_the_train_clip_out(work: Path):
    run_release(work)
    first = work / "releases" / "1.0.0"
    before = splits_of(first)
    clip_of = dict(read_table(work, "clips").select("video_id", "clip_id").iter_rows())
    in_test = next(name for name, split in sorted(before.items()) if split == "test")
    in_train = next(name for name, split in sorted(before.items()) if split == "train")
    pair = sorted((clip_of[in_test], clip_of[in_train]))
    alike = Duplicate(clip_id_a=pair[0], clip_id_b=pair[1], cosine=0.99, num_inliers=9, cluster=0, kept_clip_id=pair[0])
    rewrite(work, "duplicates", frame_of("duplicates", [alike]))
    summary = run_release(work, version="2", splitting=Splitting(after=first))
    now = splits_of(work / "releases" / "2")
    assert now == {name: split for name, split in before.items() if name != in_train}
    assert summary.line == "release: kept 23, rejected 1 (same-footage 1)"
    detail = read_rejects(work).filter(reason="same-footage")["detail"][0]
    assert detail.startswith(f"was in train and shows the same footage as {in_test}, which is in test")
    assert summary.numbers["diff"]["num_seen"] == 1
    assert (
        "1 videos of val or test show footage that an earlier version had in train"
        in (work / "releases" / "2" / "README.md").read_text()
    )


def test_the_same_bytes_under_another_name_go_where_they_were_once(work: Path):
    run_release(work)
    first = work / "releases" / "1.0.0"
    tests = sorted(name for name, split in splits_of(first).items() if split == "test")
    again = {name: f"re-{name}" for name in tests}
    for table in ("videos", "clips", "kept"):
        frame = read_table(work, table).with_columns(pl.col("video_id").replace(again))
        if "clip_id" in frame.columns:
            frame = frame.with_columns(
                pl.when(pl.col("video_id").str.starts_with("re-"))
                .then(pl.concat_str(pl.lit("re-"), "clip_id"))
                .otherwise("clip_id")
                .alias("clip_id")
            )
        rewrite(work, table, frame)
    for table in ("key_frames", "tracks", "box_labels", "duplicates"):
        table_path(work, table).unlink()
    run_release(work, version="2", splitting=Splitting(after=first, fractions=(1.0, 0.0, 0.0)))
    now = splits_of(work / "releases" / "2")
    assert {name for name, split in now.items() if split == "test"} == set(again.values())


def test_counts_per_class_and_what_becomes_of_short_classes(work: Path):
    rule = parse_per_class("val=1,test=2,min-train=2,max=2")
    run_release(work, splitting=Splitting(per_class=rule))
    release = work / "releases" / "1.0.0"
    kept = read_table(release, "kept").join(read_table(release, "splits").select("clip_id", "split"), on="clip_id")
    counts = kept.group_by("class_id", "split").len()
    assert dict(counts.group_by("split").agg(pl.col("len").unique().sort()).iter_rows()) == {
        "train": [2], "val": [1], "test": [2],
    }  # fmt: skip
    assert read_rejects(work).filter(stage="release")["reason"].to_list() == ["over-maximum"] * 4
    assert "clips a class as\nval=1,test=2,min-train=2,max=2 says; a video" in (release / "README.md").read_text()
    arguments = json.loads((release / "manifest.json").read_text())["made_by"]["arguments"]
    assert (arguments["per_class"], "fractions" in arguments) == (rule.text, False)

    cut(work, ["v00", "v04", "v08"])
    rule = parse_per_class("val=1,test=2,min-train=3")
    summary = run_release(work, version="2", splitting=Splitting(per_class=rule))
    assert [row["name"] for row in summary.numbers["short_classes"]] == ["archery"]
    assert (
        "the rule of the splits wants: archery (train 2, val 0, test 1)"
        in (work / "releases" / "2" / "README.md").read_text()
    )
    with pytest.raises(Refused, match=r"1 classes cannot have val=1,test=2,min-train=3: archery.*gesta replenish"):
        run_release(work, version="3", splitting=Splitting(per_class=rule, short="refuse"))
    summary = run_release(work, version="3", splitting=Splitting(per_class=rule, short="leave-out"))
    assert 1 not in set(read_table(work / "releases" / "3", "kept")["class_id"])
    assert summary.rejected == {"short-class": 3}
    assert [row["name"] for row in summary.numbers["short_classes"]] == ["archery"]
    rule = parse_per_class("val=1,test=2,min-train=30")
    with pytest.raises(Refused, match="no class has val=1,test=2,min-train=30: a release would be empty"):
        run_release(work, version="4", splitting=Splitting(per_class=rule, short="leave-out"))


def test_rules_are_read_and_bad_ones_refused():
    assert parse_per_class("val=50, test=100, min-train=250, max=1000").text == "val=50,test=100,min-train=250,max=1000"
    for text, problem in {
        "val=50": "does not say how many clips val and test get",
        "val=5,test=x": "'test=x' is no count of a split",
        "val=5,val=5,test=2": "'val=5' is no count of a split",
        "val=5,test=2,most=3": "'most=3' is no count of a split",
        "val=5,test=2,min-train=9,max=3": "val=5,test=2,min-train=9,max=3 clips a class.*max of min-train or more",
        "val=5,test=2,min-train=0": "min-train of 1 or more",
    }.items():
        with pytest.raises(BadInput, match=problem):
            parse_per_class(text)


def test_what_a_new_round_lacks_is_carried_over_but_for_what_is_gone(work: Path, tmp_path: Path):
    run_release(work)
    first = work / "releases" / "1.0.0"
    before = splits_of(first)
    # A second round of collecting, in a folder of its own: four of the videos are new, one of the old ones comes again.
    round_two = write_work(tmp_path / "two")
    names = {f"v{n:02d}": f"w{n:02d}" for n in range(1, 5)}
    rename = pl.col("video_id").replace(names)
    clip = pl.col("clip_id").str.replace_many({f"v{n:02d}_": f"w{n:02d}_" for n in range(1, 5)})
    for table in ("videos", "clips", "kept", "key_frames", "tracks", "box_labels"):
        frame = read_table(round_two, table).filter(pl.col("video_id").is_in([*names, "v00"]))
        columns = [rename] + ([clip] if "clip_id" in frame.columns else [])
        frame = frame.with_columns(columns)
        if table == "videos":
            frame = frame.with_columns(pl.concat_str(pl.lit("2"), pl.col("sha256").str.slice(1)).alias("sha256"))
        rewrite(round_two, table, frame)
    rewrite(round_two, "duplicates", read_table(round_two, "duplicates").clear())
    gone = frozenset({"v22", "v23"})
    summary = run_release(round_two, version="2", splitting=Splitting(after=first, carry=True, gone=gone))
    second = round_two / "releases" / "2"
    now = splits_of(second)
    assert summary.numbers["diff"]["line"] == "+4 -2, leakage 0"
    assert {name: now[name] for name in before if name not in gone} == {
        name: split for name, split in before.items() if name not in gone
    }
    assert set(now) - set(before) == set(names.values())
    boxes = read_table(second, "box_labels")
    assert set(boxes["video_id"]) & set(before)
    assert set(boxes["video_id"]) & set(names.values())
    old, new = (dict(read_table(folder, "videos").select("video_id", "path").iter_rows()) for folder in (first, second))
    assert (second / new["v05"]).resolve() == (first / old["v05"]).resolve()


def test_a_copy_that_was_dropped_in_the_first_round_goes_where_its_clip_is(work: Path, tmp_path: Path):
    # v24, v25 and v26 repeat v00, v01 and v02, and were dropped by the curation.
    run_release(work)
    first = work / "releases" / "1.0.0"
    before = splits_of(first)
    copies = {f"v{24 + n}": f"v{n:02d}" for n in range(3)}
    assert not set(copies) & set(before)
    round_two = write_work(tmp_path / "two")
    for table in ("videos", "clips", "key_frames", "tracks", "box_labels"):
        frame = read_table(round_two, table)
        rewrite(round_two, table, frame.filter(pl.col("video_id").is_in(list(copies))))
    clips = read_table(round_two, "clips")
    kept = clips.select("clip_id", "video_id", pl.lit(1, dtype=pl.Int64).alias("class_id"))
    rewrite(round_two, "kept", kept)
    # One comes again under another name, and is known by its bytes.
    for table in ("videos", "clips", "kept", "key_frames", "tracks", "box_labels"):
        frame = read_table(round_two, table).with_columns(pl.col("video_id").replace({"v26": "again"}))
        rewrite(round_two, table, frame)
    table_path(round_two, "duplicates").unlink()
    run_release(round_two, version="2", splitting=Splitting(after=first, carry=True, fractions=(1.0, 0.0, 0.0)))
    now = splits_of(round_two / "releases" / "2")
    assert {name: now[name] for name in ("v24", "v25", "again")} == {
        "v24": before["v00"], "v25": before["v01"], "again": before["v02"],
    }  # fmt: skip
    # Without the folder of the first round nobody can know.
    for table in ("videos", "duplicates"):
        table_path(work, table).unlink()
    summary = run_release(round_two, version="3", splitting=Splitting(after=first, carry=True))
    assert summary.kept == 27


def test_a_grown_release_passes_lint(work: Path):
    run_release(work)
    cut(work, ["v00", "v01"])
    run_release(work, version="2", splitting=Splitting(after=work / "releases" / "1.0.0"))
    result = CliRunner().invoke(main, ["lint", str(work / "releases" / "2"), "--select", "error"])
    assert "past_splits" not in result.output
    assert result.exit_code == 0, result.output


def test_errors_of_growth_say_what_to_do(work: Path, tmp_path: Path):
    with pytest.raises(BadInput, match="this is no release: it has no manifest"):
        run_release(work, splitting=Splitting(after=tmp_path))
    run_release(work)
    first = work / "releases" / "1.0.0"
    other = write_work(tmp_path / "other")
    renamed = read_table(other, "label_map").with_columns(pl.col("name").replace("archery", "shooting arrows"))
    rewrite(other, "label_map", renamed)
    with pytest.raises(BadInput, match="class 1 is 'archery' there, and in the work folder 1 is 'shooting arrows'"):
        run_release(other, version="2", splitting=Splitting(after=first, carry=True))
    splits = read_table(first, "splits")
    double = pl.concat([splits, splits[:1].with_columns(clip_id=pl.lit("x"), split=pl.lit("nowhere"))])
    rewrite(first, "splits", double)
    with pytest.raises(BadInput, match=r"video 'v00' is in (nowhere and \w+|\w+ and nowhere).*each video in one part"):
        read_earlier(first)


def test_a_new_name_of_a_class_is_told_as_such(work: Path):
    run_release(work)
    renamed = read_table(work, "label_map").with_columns(pl.col("name").replace("archery", "shooting arrows"))
    rewrite(work, "label_map", renamed)
    summary = run_release(work, version="2", splitting=Splitting(after=work / "releases" / "1.0.0"))
    assert summary.numbers["diff"]["renamed"] == [["archery", "shooting arrows"]]
    assert summary.numbers["diff"]["line"] == "+0 -0, leakage 0"
    assert "Renamed: archery is now shooting arrows." in (work / "releases" / "2" / "README.md").read_text()


def test_ids_are_read_from_lists_and_tables(tmp_path: Path):
    path = tmp_path / "ids"
    path.write_text("-a\n\n_b\n")
    assert read_video_ids(path) == {"-a", "_b"}
    path.write_text("label,youtube_id\nx,-a\ny,_b\n")
    assert read_video_ids(path) == {"-a", "_b"}
    path.write_text("video_id\n")
    assert read_video_ids(path) == frozenset()
    for text, problem in {"a,b\n": "2 cells in a list of ids", "video_id,x\n,3\n": "there is no video id"}.items():
        path.write_text(text)
        with pytest.raises(BadRow, match=problem):
            read_video_ids(path)
    path.write_text("")
    with pytest.raises(BadInput, match="the file is empty"):
        read_video_ids(path)


def test_the_command_shows_and_makes_the_next_version(work: Path, tmp_path: Path):
    cut(work, ["v00"])
    run = CliRunner().invoke
    assert run(main, ["release", str(work)]).exit_code == 0
    first = work / "releases" / "1.0.0"
    cut(work, ["v01"])
    asked = ["release", str(work), "--version", "2", "--after", str(first), "--per-class", "val=1,test=1,min-train=9"]
    result = run(main, [*asked, "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "since 1.0.0: +0 -1, leakage 0" in result.output
    assert "short: archery has 5 clips (train" in result.output
    assert not (work / "releases" / "2").exists()
    result = run(main, asked)
    assert result.output.splitlines()[1] == "since 1.0.0: +0 -1, leakage 0"
    for wrong in (["--carry"], ["--gone", str(table_path(work, "kept")), "--after", str(first)]):
        result = run(main, ["release", str(work), *wrong])
        assert (result.exit_code, "--carry needs --after, and --gone needs --carry." in result.output) == (2, True)
