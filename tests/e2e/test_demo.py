"""The whole line on a small rendered world: numbers against truth, corrupt files in rejects, a resume in seconds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import polars as pl
import pytest

from gesta.cli.demo import DemoPlan, run_demo
from gesta.tables import Json, read_rejects, read_table

SUMMARY_KEYS = {
    "videos", "classes", "precision", "recall", "duplicates_found", "duplicates_planted", "false_merges", "map",
    "map_chance", "wall_s",
}  # fmt: skip

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> DemoPlan:
    from gesta.train import find_recipe

    # Few steps: what is tested is that every stage does its work, not how well the models learn.
    recipe = dataclasses.replace(find_recipe("roi_r3d_tiny_world"), name="short", epochs=2)
    return DemoPlan(
        out=tmp_path_factory.mktemp("demo"), seed=3, num_videos=60, num_detector_videos=24, crowd_size=10,
        spammer_frac=0.2, workers=1, detector_steps=150, recipe=recipe,
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(plan: DemoPlan) -> tuple[dict[str, Json], Path]:
    return run_demo(plan, quiet=True)


def test_the_line_meets_its_numbers(plan: DemoPlan, result: tuple[dict[str, Json], Path]) -> None:
    summary, report = result
    assert set(summary) >= SUMMARY_KEYS
    assert json.loads((plan.out / "summary.json").read_text()) == summary
    assert summary["videos"] == 60
    assert summary["classes"] == 10
    assert float(str(summary["precision"])) >= 0.95
    assert float(str(summary["recall"])) >= 0.7
    assert int(str(summary["duplicates_found"])) >= 0.9 * int(str(summary["duplicates_planted"])) > 0
    assert summary["false_merges"] == 0
    assert 0 < float(str(summary["map_chance"])) < 0.5
    assert report.stat().st_size > 50_000


def test_every_corrupt_file_is_rejected_with_a_reason_and_no_other(
    plan: DemoPlan, result: tuple[dict[str, Json], Path]
) -> None:
    truth = read_table(plan.world, "truth_videos")
    rejects = read_rejects(plan.line.work).filter(pl.col("stage") == "import")
    names = {Path(path).name for path in rejects["path"]}
    unreadable = {Path(path).name for path in truth.filter(~pl.col("is_readable"))["path"]}
    assert len(unreadable) >= 5
    assert names == unreadable
    assert all(rejects["reason"])
    imported = set(read_table(plan.line.work, "videos")["video_id"])
    assert imported == set(truth.filter(pl.col("is_readable"))["video_id"])


def test_no_duplicate_and_no_video_is_in_two_splits(plan: DemoPlan, result: tuple[dict[str, Json], Path]) -> None:
    splits = read_table(plan.line.release, "splits")
    assert splits.group_by("video_id").agg(pl.col("split").n_unique())["split"].max() == 1
    kept = read_table(plan.line.work, "kept")
    assert set(splits["clip_id"]) == set(kept["clip_id"])


def test_predictions_of_a_held_out_video_are_written(plan: DemoPlan, result: tuple[dict[str, Json], Path]) -> None:
    assert len(list(plan.line.predictions.rglob("*.json"))) >= 1
    (video,) = plan.line.predictions.rglob("*.mp4")
    from gesta.video import probe

    assert probe(video).num_frames > 20


def test_a_second_run_does_nothing_again(plan: DemoPlan, result: tuple[dict[str, Json], Path]) -> None:
    summary, report = result
    before = report.read_bytes()
    again, _ = run_demo(plan, quiet=True)
    varying = {"this_run_s", "peak_memory_mb", "wall_s", "times_s"}
    assert {k: v for k, v in again.items() if k not in varying} == {
        k: v for k, v in summary.items() if k not in varying
    }
    assert float(str(again["this_run_s"])) < float(str(summary["this_run_s"])) / 4
    # stats and report are drawn anew each time, in seconds; every other stage must find its work done.
    assert _long_stages(again) == _long_stages(summary)
    assert report.read_bytes() == before


def _long_stages(summary: dict[str, Json]) -> dict[str, Json]:
    times = summary["times_s"]
    assert isinstance(times, dict)
    return {stage: seconds for stage, seconds in times.items() if stage not in ("stats", "report")}
