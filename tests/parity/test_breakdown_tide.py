"""The error breakdown against TIDE's, where every box has one label; see the README of the stored outputs."""

import json
from pathlib import Path

import polars as pl
import pytest

from gesta.evaluate.breakdown import error_breakdown

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "golden/tide/cases.jsonl").read_text().splitlines()
]  # fmt: skip
NAMES = {
    "Cls": "classification", "Loc": "localisation", "Both": "both", "Dupe": "duplicate", "Bkg": "background",
    "Miss": "missed", "FalsePos": "false positives", "FalseNeg": "false negatives",
}  # fmt: skip
COLUMNS = ["image", "x1", "y1", "x2", "y2", "class_id"]


def frame(rows, columns):
    table = pl.DataFrame(rows, schema=columns, orient="row")
    return table.with_columns(video_id=pl.lit("v"), timestamp_us=pl.col("image") * 1_000_000)


def test_the_cases_are_there():
    assert len(CASES) == 40
    with_gains = [case for case in CASES if {row[5] for row in case["labels"]} == {1, 2, 3}]
    assert len(with_gains) >= 30
    seen = {name for case in CASES for name, count in case["counts"].items() if count}
    assert seen == {"Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"}


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_counts_are_tides_and_gains_nearly(case):
    truth, found = frame(case["labels"], COLUMNS), frame(case["found"], [*COLUMNS, "score"])
    result = error_breakdown(truth, found, class_ids=[1, 2, 3], cap=0)
    costs = {cost.kind: cost for cost in result.costs}
    assert {name: costs[NAMES[name]].count for name in case["counts"]} == case["counts"]
    # TIDE's mean counts a class that is detected and has no label, as 0.
    if (result.by_class["num_groundtruth"] == 0).any():
        return
    for name, gain in (case["gains"] | case["special"]).items():
        if name in ("Miss", "FalseNeg") and not _has_labels_left(result, NAMES[name]):
            continue
        assert 100 * costs[NAMES[name]].gain == pytest.approx(gain, abs=0.5), name


def _has_labels_left(result, kind):
    """Whether every class keeps a label: where none is left, TIDE's class is 0 or gone, gesta's 1 or 0."""
    table = result.by_class
    return bool((table["num_groundtruth"] > table[f"num_{kind.replace(' ', '_')}"]).all())
