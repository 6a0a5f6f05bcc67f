"""The verb `evaluate`, from files and from a release."""

import json

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.evaluate import release_at, run_evaluate
from gesta.schema import (
    BoxLabel,
    ClipKeyFrame,
    Detection,
    Kept,
    LabelClass,
    MissingTable,
    SplitRow,
    UnknownName,
)
from gesta.tables import frame_of, made_by, read_table, table_path, write_table

CORNERS = {"x1": 0.1, "y1": 0.1, "x2": 0.5, "y2": 0.5}
MADE = made_by("test", arguments={}, inputs={})


def put(folder, table, rows):
    return write_table(table_path(folder, table), table, frame_of(table, rows), made_by=MADE)


@pytest.fixture
def work(tmp_path):
    """Three test clips: a wave that is found, a jump taken for a wave, and one in which nobody was found."""
    release = tmp_path / "work" / "releases" / "1.0.0"
    names = [("c1", "v1", 1), ("c2", "v2", 2), ("c3", "v3", 1), ("c4", "v4", 2)]
    put(release, "label_map", [LabelClass(class_id=1, name="wave"), LabelClass(class_id=2, name="jump")])
    put(release, "kept", [Kept(clip_id=c, video_id=v, class_id=k) for c, v, k in names])
    put(
        release, "splits",
        [SplitRow(clip_id=c, video_id=v, split="train" if c == "c4" else "test") for c, v, _ in names],
    )  # fmt: skip
    put(
        release, "key_frames",
        [ClipKeyFrame(clip_id=c, video_id=v, timestamp_us=1_000_000, score=0.9, num_boxes=1) for c, v, _ in names],
    )  # fmt: skip
    put(
        release, "box_labels",
        [
            BoxLabel(
                clip_id=c, video_id=v, timestamp_us=1_000_000, person_id=0, class_id=k, verdict=verdict, num_yes=2,
                num_votes=2, **CORNERS,
            )
            for c, v, k, verdict in [(*names[0], "accepted"), (*names[1], "accepted"), ("c2", "v2", 1, "rejected")]
        ],
    )  # fmt: skip
    found = [("v1", 1, 0.9), ("v1", 2, 0.2), ("v2", 1, 0.8), ("v2", 2, 0.4), ("v4", 2, 0.9)]
    put(
        tmp_path, "detections",
        [Detection(video_id=v, timestamp_us=1_000_000, class_id=k, score=s, **CORNERS) for v, k, s in found],
    )  # fmt: skip
    return tmp_path / "work"


def test_a_release_is_scored_on_its_split(work, tmp_path):
    summary = run_evaluate(release=work, detections=tmp_path, out=tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_bytes())
    assert metrics["mean_ap"] == 1.0
    assert metrics["num_key_frames"] == 3
    assert metrics["ignored"] == {"other-key-frame": 1}
    assert (metrics["top1"], metrics["top5"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert metrics["num_clips_without_persons"] == 1
    assert metrics["confusion"] == {"labels": ["wave", "jump"], "matrix": [[1, 0], [1, 0]]}
    assert summary.line == "evaluate: kept 4, rejected 1 (other-key-frame 1)"
    assert read_table(tmp_path / "out", "class_scores")["average_precision"].to_list() == [1.0, 1.0]
    assert run_evaluate(release=work, detections=tmp_path, out=tmp_path / "out").was_current


def test_other_ground_truth_can_be_given(work, tmp_path):
    truth = pl.DataFrame(
        {"video_id": ["v1", "v2"], "timestamp_us": [1_000_000] * 2, "class_id": [2, 1]}
        | {name: [value] * 2 for name, value in CORNERS.items()}
    )
    run_evaluate(release=work, detections=tmp_path, out=tmp_path / "out", groundtruth=truth)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_bytes())
    assert [row["average_precision"] for row in metrics["classes"]] == [0.5, 0.5]


def test_the_newest_release_is_taken(work):
    newer = work / "releases" / "1.10.0"
    newer.mkdir()
    (newer / "splits.parquet").touch()
    (work / "releases" / "1.9.0").mkdir()
    (work / "releases" / "1.9.0" / "splits.parquet").touch()
    assert release_at(work) == newer
    assert release_at(newer) == newer


def test_what_is_missing_is_named(work, tmp_path):
    with pytest.raises(UnknownName, match=r"no split 'tset'\. Did you mean 'test'"):
        run_evaluate(release=work, detections=tmp_path, out=tmp_path, split="tset")
    with pytest.raises(MissingTable, match="Run `gesta release` first"):
        release_at(tmp_path)
    with pytest.raises(MissingTable, match="no table 'detections'"):
        run_evaluate(release=work, detections=work, out=tmp_path)


def test_the_verb_scores_a_work_folder_without_saying_release(work, tmp_path):
    neither = CliRunner().invoke(main, ["evaluate", str(work)])
    assert neither.exit_code == 2
    assert "want one of --model and --detections" in neither.output
    done = CliRunner().invoke(main, ["evaluate", str(work), "--detections", str(tmp_path)])
    assert done.exit_code == 0
    assert (work / "scores" / "test" / "metrics.json").is_file()
    named = CliRunner().invoke(main, ["evaluate", "release", str(work), "--detections", str(tmp_path), "--json"])
    assert json.loads(named.output)["stage"] == "evaluate"
