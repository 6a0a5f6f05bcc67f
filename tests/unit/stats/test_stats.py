"""The counts are those of the tables and of the published files."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.release import run_release
from gesta.schema import BadInput, BadRow, MissingTable
from gesta.stats import run_stats, stats_of, stats_text
from gesta.tables import read_table, table_path

write_work = runpy.run_path(str(Path(__file__).parents[1] / "release" / "tables_by_hand.py"))["write_work"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return write_work(tmp_path / "work")


def test_kinetics_400_val_has_its_published_size(shared: Path):
    stats = stats_of(shared / "annotations/kinetics/kinetics-400_val.csv")
    totals = stats.totals
    assert (totals["num_clips"], totals["num_classes"]) == (19_906, 400)
    assert (totals["min_clips_per_class"], totals["max_clips_per_class"]) == (46, 50)
    assert stats.tables["clip_durations"].rows() == [(10.0, 10.0, 19_906)]
    assert stats.tables["splits"].rows() == [("val", 19_906, 19_906, 0, 0)]


def test_kinetics_600_val_counts_videos_listed_twice_once(shared: Path):
    totals = stats_of(shared / "annotations/kinetics/kinetics-600_val.csv").totals
    assert totals["num_clip_labels"] == 30_000
    assert totals["num_videos"] == 30_000 - 6
    assert (totals["min_clips_per_class"], totals["max_clips_per_class"]) == (50, 50)


def test_a_test_list_has_clips_without_labels(shared: Path):
    totals = stats_of(shared / "annotations/kinetics/kinetics-400_test.csv").totals
    assert (totals["num_clips"], totals["num_clip_labels"], totals["num_classes"]) == (38_685, 0, 0)
    assert totals["min_clips_per_class"] is None


def test_ava_kinetics_counts_key_frames_without_boxes(shared: Path):
    path = shared / "annotations/ava_kinetics/kinetics_val_v1.0_half.csv"
    lines = [line.split(",") for line in path.read_text().splitlines()]
    boxes = [line for line in lines if len(line) == 7]
    stats = stats_of(path)
    assert stats.totals["num_box_labels"] == len(boxes)
    assert stats.totals["num_key_frames"] == len({tuple(line[:2]) for line in lines})
    assert stats.totals["num_boxes"] == len({tuple(line[:6]) for line in boxes})
    with_box = {tuple(line[:2]) for line in boxes}
    assert stats.totals["num_empty_key_frames"] == len({tuple(line[:2]) for line in lines} - with_box)
    # AVA-Kinetics, section 2.4: the majority of the key-frames have only 1 person; a substantial number has none.
    shares = dict(stats.tables["boxes_per_key_frame"].iter_rows())
    assert shares[1] > sum(shares.values()) / 2
    assert shares[0] > sum(shares.values()) / 10
    assert 1.0 < stats.totals["mean_boxes_per_key_frame"] < 1.4
    assert stats.tables["box_areas"]["num_boxes"].sum() == stats.totals["num_boxes"]


def test_ava_names_come_from_the_label_map(shared: Path):
    folder = shared / "annotations/ava"
    path = folder / "ava_val_v2.1_4videos.csv"
    stats = stats_of(path, label_map=folder / "ava_action_list_v2.2.pbtxt")
    rows = [line.split(",") for line in path.read_text().splitlines()]
    stand = stats.tables["classes"].row(by_predicate=pl.col("name") == "stand", named=True)
    assert stand["num_boxes"] == sum(row[6] == "12" for row in rows)
    assert stand["num_box_videos"] == len({row[0] for row in rows if row[6] == "12"})
    assert stats.totals["num_videos"] == 4
    assert len(stats.tables["classes"]) == 80
    assert "class 12" in stats_of(path).tables["classes"]["name"].to_list()


def test_work_folder_counts_the_latest_labels_there_are(work: Path):
    stats = stats_of(work)
    assert stats.what == "work folder (clip labels from 'kept')"
    assert stats.tables["classes"]["num_clips"].to_list() == [6, 6, 6, 6]
    assert stats.totals["num_box_labels"] == 21
    assert stats.totals["num_key_frames"] == 24
    table_path(work, "kept").unlink()
    assert stats_of(work).totals["num_clips"] == 27
    table_path(work, "clip_labels").unlink()
    assert stats_of(work).totals["num_clips"] == 29
    for table in ("candidates", "clips", "box_labels", "key_frames", "label_map"):
        table_path(work, table).unlink()
    assert stats_of(work).totals["num_clips"] == 0
    table_path(work, "videos").unlink()
    with pytest.raises(MissingTable, match="no table 'videos'"):
        stats_of(work)


def test_release_counts_agree_with_its_manifest_and_leave_it_alone(work: Path):
    run_release(work)
    release = work / "releases" / "1.0.0"
    before = sorted(release.rglob("*"))
    summary = run_stats(release)
    assert sorted(release.rglob("*")) == before
    manifest = json.loads((release / "manifest.json").read_text())
    value = json.loads((release.with_name("1.0.0-stats") / "stats.json").read_text())
    assert summary.kept == 24
    for row in value["splits"]:
        assert row["num_clips"] == manifest["splits"][row["split"]]["num_clips"]
        assert row["num_boxes"] == manifest["splits"][row["split"]]["num_box_labels"]
    assert [row["split"] for row in value["splits"]] == ["train", "val", "test"]
    wanted = {(row["class_id"], row["split"]): row["num_clips"] for row in manifest["classes"] if row["num_clips"]}
    assert {(row["class_id"], row["split"]): row["num_clips"] for row in value["class_splits"]} == wanted


def test_histograms_by_hand(work: Path):
    tables = stats_of(work).tables
    labels = read_table(work, "box_labels").filter(verdict="accepted")
    labels = labels.join(read_table(work, "kept"), on="clip_id", how="semi")
    sides = ((labels["x2"] - labels["x1"]) * (labels["y2"] - labels["y1"])).sqrt()
    for low, high, num in tables["box_areas"].iter_rows():
        assert num == sum(low <= side + 1e-9 and side + 1e-9 < high for side in sides)
    assert tables["boxes_per_key_frame"].rows() == [(0, 3), (1, 21)]
    assert tables["video_durations"]["num"].sum() == 29


def test_written_files_hold_the_same_numbers(work: Path, tmp_path: Path):
    out = tmp_path / "numbers"
    run_stats(work, out=out)
    value = json.loads((out / "stats.json").read_text())
    for name in ("classes", "boxes_per_key_frame", "box_areas"):
        assert pl.read_csv(out / f"{name}.csv").to_dicts() == value[name]
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    run_stats(work, out=out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_text_fits_its_width_and_shows_every_class(work: Path):
    text = stats_text(stats_of(work), width=70)
    assert max(map(len, text.splitlines())) <= 70
    for name in read_table(work, "label_map")["name"]:
        assert name in text


def test_wrong_files_are_refused(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("")
    with pytest.raises(BadInput, match="looks like no format"):
        stats_of(path)
    path.write_text("a,b,c\n")
    with pytest.raises(BadInput, match="neither a Kinetics csv nor an AVA csv"):
        stats_of(path)
    path.write_text("v,0902,0.1,0.2,0.3,0.4,7\nv,0903,0.1\n")
    with pytest.raises(BadRow, match=r"a.csv:2: 3 columns"):
        stats_of(path)
    with pytest.raises(BadInput, match="no such file or folder"):
        stats_of(tmp_path / "absent")
    path.write_text("v,0902,0.1,0.2,0.3,0.4,7\n")
    (tmp_path / "taken").write_text("")
    with pytest.raises(BadInput, match="--out"):
        run_stats(path, out=tmp_path / "taken" / "below")


def test_cli_prints_bars_or_json(work: Path):
    result = CliRunner().invoke(main, ["stats", str(work), "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "█" in result.output
    assert not (work / "stats").exists()
    value = json.loads(CliRunner().invoke(main, ["stats", str(work), "--json"]).output)
    assert value["totals"]["num_clips"] == 24
    assert (work / "stats" / "stats.json").is_file()
