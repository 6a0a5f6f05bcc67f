"""Video mAP and linking against what the programs of the data sets printed; see the README of the stored outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gesta.evaluate.tube_linking import tubes_of_detections
from gesta.evaluate.video_map import video_map

GOLDEN = Path(__file__).resolve().parents[1] / "golden/video_map"
SCHEMA = {
    "video_id": pl.String, "tube_id": pl.Int64, "class_id": pl.Int64, "score": pl.Float64, "frame": pl.Int64,
    "x1": pl.Float64, "y1": pl.Float64, "x2": pl.Float64, "y2": pl.Float64,
}  # fmt: skip


def stored(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / name).read_text().splitlines()]


def rows_of(tubes: list[Any]) -> pl.DataFrame:
    rows = [
        (video, number, label, *(score or [None]), first + i, *map(float, box))
        for number, (video, label, first, boxes, *score) in enumerate(tubes)
        for i, box in enumerate(boxes)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


CASES = stored("cases.jsonl")


def test_there_are_cases_that_can_fail() -> None:
    assert len(CASES) >= 100
    right = sum(mean > 0 for case in CASES for mean in case["answers"]["act"]["mean"])
    assert right > 100
    differs = sum(case["answers"]["act"]["ap"] != case["answers"]["multisports"]["ap"] for case in CASES)
    assert differs > 80


@pytest.mark.parametrize("definition", ["act", "multisports"])
def test_all_stored_cases(definition: str) -> None:
    for number, case in enumerate(CASES):
        result = video_map(
            rows_of(case["groundtruth"]),
            rows_of(case["detections"]),
            class_ids=range(case["num_classes"]),
            iou=case["iou"],
            definition=definition,  # type: ignore[arg-type]
        )
        answers = case["answers"][definition]
        wanted = np.array(answers["ap"], dtype=np.float64)
        np.testing.assert_allclose(result.average_precision_TC, wanted, rtol=0, atol=1e-12, err_msg=str(number))
        np.testing.assert_allclose(100 * result.mean_ap_T, answers["mean"], rtol=0, atol=1e-12, err_msg=str(number))


def test_the_definitions_are_told_apart_by_the_cases() -> None:
    case = next(case for case in CASES if case["answers"]["act"]["ap"] != case["answers"]["multisports"]["ap"])
    arguments = (rows_of(case["groundtruth"]), rows_of(case["detections"]))
    results = [
        video_map(*arguments, class_ids=range(case["num_classes"]), iou=case["iou"], definition=definition)
        for definition in ("act", "multisports")  # type: ignore[arg-type]
    ]
    assert not np.array_equal(results[0].average_precision_TC, results[1].average_precision_TC, equal_nan=True)


def test_all_stored_links() -> None:
    links = stored("links.jsonl")
    assert len(links) >= 10
    num_tubes = 0
    for case in links:
        names = ["frame", "class_id", "x1", "y1", "x2", "y2", "score"]
        rows = pl.DataFrame(case["detections"], schema=names, orient="row", strict=False)
        tubes = tubes_of_detections(rows.with_columns(video_id=pl.lit("v0")), definition="act")
        for label, wanted in enumerate(case["tubes"]):
            mine = tubes.filter(pl.col("class_id") == label)
            found = [tube for _, tube in mine.group_by("tube_id", maintain_order=True)]
            found.sort(key=lambda tube: -tube["score"][0])
            assert len(found) == len(wanted)
            num_tubes += len(wanted)
            for tube, (score, first, boxes) in zip(found, wanted, strict=True):
                assert tube["score"][0] == pytest.approx(score, abs=1e-12)
                assert tube["frame"].to_list() == list(range(first, first + len(boxes)))
                # The program keeps boxes in float32.
                values = tube.select("x1", "y1", "x2", "y2", "box_score").to_numpy().astype(np.float32)
                np.testing.assert_array_equal(values, np.array(boxes, dtype=np.float32))
    assert num_tubes >= 15
