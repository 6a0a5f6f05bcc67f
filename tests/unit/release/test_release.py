"""A release is whole, immutable, the same bytes from the same tables, and refuses what would lose something."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.formats import read_ava_csv, read_kinetics_csv, read_label_map
from gesta.formats.coco_vid import read_coco_vid
from gesta.release import plan_release, run_release, verify_release
from gesta.schema import BadInput, Duplicate, MissingTable, Refused
from gesta.tables import (
    frame_of,
    made_by,
    read_rejects,
    read_table,
    sha256_of_file,
    table_path,
    write_table,
)

write_work = runpy.run_path(str(Path(__file__).with_name("tables_by_hand.py")))["write_work"]
SPLITS = ("train", "val", "test")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return write_work(tmp_path / "work")


def rewrite(work: Path, table: str, frame: pl.DataFrame) -> None:
    write_table(table_path(work, table), table, frame, made_by=made_by("test", arguments={}, inputs={}))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_tables_hold_the_kept_clips_and_nothing_else(work: Path):
    summary = run_release(work)
    release = work / "releases" / "1.0.0"
    assert summary.line == "release: kept 24, rejected 0"
    kept = {f"v{number:02d}" for number in range(24)}
    for table in ("videos", "clips", "kept", "key_frames", "splits"):
        assert set(read_table(release, table)["video_id"]) == kept
    labels = read_table(release, "box_labels")
    assert set(labels["verdict"]) == {"accepted"}
    assert len(labels) == 21
    assert not list(work.glob("releases/.*"))


def test_paths_of_videos_lead_from_the_release_to_the_same_files(work: Path, tmp_path: Path):
    out = tmp_path / "elsewhere" / "deep" / "mine"
    run_release(work, out=out)
    before = read_table(work, "videos").filter(pl.col("video_id") == "v03")["path"][0]
    after = read_table(out, "videos").filter(pl.col("video_id") == "v03")["path"][0]
    assert (out / after).resolve() == (work / before).resolve()


def test_same_tables_give_the_same_bytes_and_the_second_run_is_done(work: Path, tmp_path: Path):
    other = write_work(tmp_path / "other")
    run_release(work)
    run_release(other)
    assert bytes_of(work / "releases") == bytes_of(other / "releases")
    again = run_release(work)
    assert again.was_current
    assert again.line.endswith("already done")


def test_other_content_under_the_same_version_is_refused_and_nothing_changes(work: Path):
    run_release(work)
    before = bytes_of(work / "releases")
    for change in ({"seed": 5}, {"name": "another"}, {"fractions": (0.5, 0.25, 0.25)}):
        with pytest.raises(Refused, match=r"already with other content, and a release never changes.*--version"):
            run_release(work, **change)
    assert bytes_of(work / "releases") == before
    assert run_release(work, seed=5, version="1.1.0").kept == 24


def test_equal_content_from_a_new_writer_is_already_done(work: Path):
    run_release(work)
    sidecar = table_path(work, "clips").with_name("clips.parquet.json")
    sidecar.write_text(sidecar.read_text().replace(read_sha(work), "0" * 64))
    assert run_release(work).was_current


def read_sha(work: Path) -> str:
    return sha256_of_file(table_path(work, "clips"))


def test_verify_names_what_was_changed_lost_and_added(work: Path):
    run_release(work)
    release = work / "releases" / "1.0.0"
    assert verify_release(release).kept == len(bytes_of(release)) - 1
    (release / "actions.txt").write_text("something else\n")
    (release / "ava_val.csv").unlink()
    (release / "note.txt").write_text("hello")
    wanted = r"ava_val.csv is missing, note.txt is not in the manifest, actions.txt was changed"
    with pytest.raises(BadInput, match=wanted):
        verify_release(release)
    with pytest.raises(BadInput, match="not as it was made"):
        run_release(work)
    with pytest.raises(BadInput, match="no release: it has no manifest"):
        verify_release(work)


def test_manifest_counts_are_those_of_the_files(work: Path):
    run_release(work)
    release = work / "releases" / "1.0.0"
    manifest = json.loads((release / "manifest.json").read_text())
    for name, facts in manifest["files"].items():
        assert facts == {"sha256": sha256_of_file(release / name), "size_bytes": (release / name).stat().st_size}
    splits = read_table(release, "splits")
    for split in SPLITS:
        assert manifest["splits"][split]["num_clips"] == len(splits.filter(split=split))
        assert len(read_kinetics_csv(release / f"kinetics_{split}.csv")) == len(splits.filter(split=split))
        of_classes = sum(row["num_clips"] for row in manifest["classes"] if row["split"] == split)
        assert of_classes == len(splits.filter(split=split))
    assert manifest["made_by"]["tools"]["gesta"]
    assert set(manifest["made_by"]["inputs"]) >= {"videos", "clips", "kept", "label_map", "box_labels"}


def test_exports_say_what_the_tables_say(work: Path):
    run_release(work)
    release = work / "releases" / "1.0.0"
    label_map = read_table(release, "label_map")
    for name in ("label_map.pbtxt", "label_map_activitynet.pbtxt", "actions.txt"):
        assert read_label_map(release / name).equals(label_map)
    names = dict(label_map.select("name", "class_id").iter_rows())
    clips = pl.concat([read_kinetics_csv(release / f"kinetics_{split}.csv") for split in SPLITS])
    said = {(video, names[label]) for video, label in clips.select("video_id", "label").iter_rows()}
    assert said == set(read_table(release, "kept").select("video_id", "class_id").iter_rows())
    for kind, has_person in (("ava", True), ("ava_kinetics", False)):
        rows = pl.concat([read_ava_csv(release / f"{kind}_{split}.csv") for split in SPLITS])
        boxes = rows.drop_nulls("x1")
        columns = ["video_id", "timestamp_us", "class_id", *(["person_id"] if has_person else [])]
        assert (
            boxes.select(columns).sort(columns).equals(read_table(release, "box_labels").select(columns).sort(columns))
        )
        assert boxes["person_id"].null_count() == (0 if has_person else len(boxes))
        empty = set(rows.filter(pl.col("x1").is_null())["video_id"])
        assert empty == set(read_table(release, "videos")["video_id"]) - set(boxes["video_id"])
        assert empty


def test_duplicates_and_equal_files_stay_on_one_side(work: Path):
    clips = read_table(work, "clips").sort("clip_id")["clip_id"].to_list()
    rest = {"cosine": 0.99, "num_inliers": 9, "cluster": 0, "kept_clip_id": clips[0]}
    chain = [Duplicate(clip_id_a=clips[n], clip_id_b=clips[n + 4], **rest) for n in (0, 4, 8, 12, 16)]
    rewrite(work, "duplicates", frame_of("duplicates", chain))
    same_file = pl.when(pl.col("video_id").is_in(["v01", "v02"])).then(pl.lit("f" * 64)).otherwise("sha256")
    rewrite(work, "videos", read_table(work, "videos").with_columns(same_file.alias("sha256")))
    run_release(work)
    split_of = dict(read_table(work / "releases" / "1.0.0", "splits").select("video_id", "split").iter_rows())
    assert len({split_of[f"v{number:02d}"] for number in (0, 4, 8, 12, 16, 20)}) == 1
    assert split_of["v01"] == split_of["v02"]


def test_a_kept_clip_without_its_video_is_rejected_by_name(work: Path):
    rewrite(work, "videos", read_table(work, "videos").filter(pl.col("video_id") != "v05"))
    summary = run_release(work)
    assert summary.line == "release: kept 23, rejected 1 (no-video 1)"
    rows = read_rejects(work).filter(stage="release")
    assert rows["video_id"].to_list() == ["v05"]


def test_clip_labels_alone_are_enough(work: Path):
    for table in ("key_frames", "tracks", "box_labels", "duplicates", "workers"):
        table_path(work, table).unlink()
    run_release(work)
    release = work / "releases" / "1.0.0"
    assert len(read_table(release, "box_labels")) == 0
    assert (release / "ava_test.csv").read_text() == ""
    card = (release / "README.md").read_text()
    assert "There are no box labels." in card
    assert "No votes were cast" in card


def test_errors_say_what_to_do(work: Path):
    with pytest.raises(BadInput, match=r"fractions 0.5 0.1 0.1.*sum to 1"):
        run_release(work, fractions=(0.5, 0.1, 0.1))
    with pytest.raises(BadInput, match=r"version '../x' cannot name a folder"):
        run_release(work, version="../x")
    rewrite(work, "label_map", read_table(work, "label_map").filter(pl.col("class_id") != 5))
    with pytest.raises(BadInput, match="class 5 of table 'kept' is not in table 'label_map'"):
        run_release(work)
    rewrite(work, "kept", read_table(work, "kept").clear())
    with pytest.raises(Refused, match="no kept clip has a video"):
        run_release(work)
    table_path(work, "kept").unlink()
    with pytest.raises(MissingTable, match=r"no table 'kept' here. Run `gesta curate` first"):
        run_release(work)
    assert not (work / "releases").exists() or not list((work / "releases").iterdir())


def test_a_folder_with_other_things_is_refused(work: Path, tmp_path: Path):
    out = tmp_path / "home"
    out.mkdir()
    (out / "letter.txt").write_text("keep me")
    with pytest.raises(Refused, match="already with other content"):
        run_release(work, out=out)
    assert [path.name for path in out.iterdir()] == ["letter.txt"]


def test_leavings_of_a_killed_run_are_no_hindrance(work: Path):
    leavings = work / "releases" / ".1.0.0.building"
    leavings.mkdir(parents=True)
    (leavings / "half.parquet").write_bytes(b"half")
    run_release(work)
    assert not leavings.exists()
    assert not (work / "releases" / "1.0.0" / "half.parquet").exists()


def test_card_shows_counts_workers_licence_and_head(work: Path):
    run_release(work, name="tiny | acts", licence="CC-BY-4.0")
    card = (work / "releases" / "1.0.0" / "README.md").read_text()
    head = card.split("---")[1]
    assert "license: cc-by-4.0\n" in head
    assert 'pretty_name: "tiny | acts"' in head
    for row in plan_release(work, fractions=(0.7, 0.1, 0.2), seed=0).counts.iter_rows(named=True):
        assert row["name"] in card
    assert "91.7 % of their 48 answers to gold questions were right" in card
    assert "| curate | duplicate | 3 |" in card
    other = run_release(work, version="2", licence="Ask us first")
    assert "license: other\nlicense_name: ask-us-first\n" in (Path(other.outputs[0]) / "README.md").read_text()


def test_cli_dry_run_shows_the_split_and_writes_nothing(work: Path):
    before = bytes_of(work)
    result = CliRunner().invoke(main, ["release", str(work), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "walking a dog" in result.output
    assert bytes_of(work) == before
    value = json.loads(CliRunner().invoke(main, ["release", str(work), "--dry-run", "--json"]).output)
    assert sum(row["num_videos"] for row in value["classes"]) == 24


def test_cli_releases_verifies_and_fails_with_one_line(work: Path):
    result = CliRunner().invoke(main, ["release", str(work), "--json"])
    assert json.loads(result.output)["splits"]["test"]["num_clips"] == 5
    release = work / "releases" / "1.0.0"
    result = CliRunner().invoke(main, ["release", "--verify", str(release)])
    assert (result.exit_code, result.output) == (0, "release: 33 files are as the manifest says\n")
    (release / "README.md").unlink()
    result = CliRunner().invoke(main, ["release", "--verify", str(release)])
    assert result.exit_code == 2
    assert "README.md is missing" in result.output
    assert CliRunner().invoke(main, ["release"]).exit_code == 2


def test_coco_vid_says_what_the_box_labels_say(work: Path):
    run_release(work)
    release = work / "releases" / "1.0.0"
    columns = ["video_id", "timestamp_us", "person_id", "class_id"]
    found = [read_coco_vid(release / f"coco_vid_{split}.json").boxes for split in SPLITS]
    boxes = pl.concat(found).drop_nulls("x1").select(columns)
    # The frame nearest to 1.5 s at 25 frames a second begins at 1.52 s.
    said = (
        read_table(release, "box_labels").select(columns).with_columns(timestamp_us=pl.lit(1_520_000, dtype=pl.Int64))
    )
    assert boxes.sort(columns).equals(said.sort(columns))


def test_no_coco_vid_where_frame_numbers_are_no_times(work: Path):
    rewrite(work, "videos", read_table(work, "videos").with_columns(is_vfr=pl.col("video_id") == "v01"))
    run_release(work)
    assert not list((work / "releases" / "1.0.0").glob("coco_vid_*"))


def test_the_day_of_publication_is_said_and_changes_no_content(work: Path):
    with pytest.raises(BadInput, match=r"'today' is no day. Write the day of publication like 2024-05-17"):
        run_release(work, published="today")
    run_release(work, published="2024-05-17")
    croissant = work / "releases" / "1.0.0" / "croissant.json"
    assert json.loads(croissant.read_text())["datePublished"] == "2024-05-17"
    assert run_release(work, published="2024-06-01").was_current
    assert json.loads(croissant.read_text())["datePublished"] == "2024-05-17"
