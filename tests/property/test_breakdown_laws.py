"""Laws of groups and of the error breakdown."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.evaluate.breakdown import KINDS, error_breakdown
from gesta.evaluate.frame_map import frame_map
from gesta.evaluate.groups import KINDS as GROUP_KINDS
from gesta.evaluate.groups import group_scores

CLASSES = [3, 5, 8]
COLUMNS = ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id"]

corner = st.integers(0, 8)
box = st.tuples(corner, corner, st.integers(1, 8), st.integers(1, 8)).map(
    lambda b: (b[0] / 16, b[1] / 16, (b[0] + b[2]) / 16, (b[1] + b[3]) / 16)
)
place = st.tuples(st.sampled_from(["-a", "b"]), st.integers(0, 2), box)


def frame(rows, scores=None):
    columns = pl.DataFrame(
        [(video, time, *box, class_id) for (video, time, box), class_id in rows],
        schema=dict(zip(COLUMNS, [pl.String, pl.Int64, *[pl.Float64] * 4, pl.Int64], strict=True)),
        orient="row",
    )
    return columns if scores is None else columns.with_columns(pl.Series("score", scores, dtype=pl.Float64))


@st.composite
def problems(draw):
    # Few places and many labels: persons with several labels, as in AVA; class 9 is not counted.
    places = draw(st.lists(place, min_size=1, max_size=6))
    labels = st.tuples(st.sampled_from(places), st.sampled_from([*CLASSES, 9]))
    truth = draw(st.lists(labels, min_size=1, max_size=16))
    near = st.tuples(st.one_of(st.sampled_from(places), place), st.sampled_from(CLASSES))
    found = draw(st.lists(near, max_size=30))
    scores = draw(st.lists(st.integers(1, 9), min_size=len(found), max_size=len(found)))
    return frame(truth), frame(found, [score / 64 for score in scores])


@given(problems())
@settings(max_examples=80)
def test_errors_and_right_ones_are_all_that_is_scored_and_undoing_all_gives_one(problem):
    truth, found = problem
    result = error_breakdown(truth, found, class_ids=CLASSES)
    plain = frame_map(truth, found, class_ids=CLASSES)
    counts = {cost.kind: cost.count for cost in result.costs}
    assert result.num_right + sum(counts[kind] for kind in KINDS[:-1]) == plain.num_detections.sum()
    assert counts["false positives"] == plain.num_detections.sum() - result.num_right
    assert counts["false negatives"] == plain.num_groundtruth.sum() - result.num_right
    assert 0 <= counts["missed"] <= counts["false negatives"]
    assert result.mean_ap == pytest.approx(plain.mean_ap, abs=1e-12, nan_ok=True)
    if plain.num_groundtruth.any():
        assert result.mean_ap_without_errors == 1.0
    else:
        assert np.isnan(result.mean_ap_without_errors)


@given(problems())
@settings(max_examples=40)
def test_undoing_an_error_never_costs(problem):
    result = error_breakdown(*problem, class_ids=CLASSES)
    for cost in result.costs:
        assert np.isnan(cost.gain) or cost.gain >= -1e-12
    table = result.by_class
    for cost in result.costs:
        name = cost.kind.replace(" ", "_")
        assert table[f"num_{name}"].sum() == cost.count
        if table[f"gain_{name}"].drop_nulls().len():
            assert table[f"gain_{name}"].mean() == pytest.approx(cost.gain, abs=1e-12)


@given(problems())
@settings(max_examples=40)
def test_leaving_out_wrong_detections_is_what_the_evaluator_says_without_them(problem):
    truth, found = problem
    found = found.with_columns(score=pl.Series(np.arange(len(found)) / 64, dtype=pl.Float64))
    result = error_breakdown(truth, found, class_ids=CLASSES, cap=0)
    background = error_breakdown(truth, found, class_ids=CLASSES, cap=0, iou=0.5, background_iou=0.5)
    # With both thresholds at 0.5 nothing is near: what is on no person is background.
    assert {cost.kind for cost in background.costs if cost.count and cost.kind in ("localisation", "both")} == set()
    by_kind = {cost.kind: cost for cost in result.costs}
    merged = {cost.kind: cost for cost in background.costs}["background"].count
    assert merged == sum(by_kind[kind].count for kind in ("localisation", "both", "background"))


@given(problems())
@settings(max_examples=40)
def test_groups_of_each_kind_add_up_to_the_whole(problem):
    truth, found = problem
    plain = frame_map(truth, found, class_ids=CLASSES)
    table = group_scores(truth, found, class_ids=CLASSES, categories={3: "a", 5: "b"})
    assert set(table["by"]) == set(GROUP_KINDS)
    totals = table.group_by("by").agg(pl.col("num_groundtruth", "num_detections", "num_right").sum())
    assert set(totals["num_groundtruth"]) == {plain.num_groundtruth.sum()}
    assert set(totals["num_detections"]) == {plain.num_detections.sum()}
    assert totals["num_right"].n_unique() == 1
    of_classes = table.filter(by="category", group="a")["mean_ap"][0]
    assert of_classes == (
        None if np.isnan(plain.of_class(3)) else pytest.approx(plain.of_class(3), abs=1e-12)
    )  # fmt: skip


@given(problems())
@settings(max_examples=40)
def test_a_video_alone_scores_what_its_group_says(problem):
    truth, found = problem
    table = group_scores(truth, found, class_ids=CLASSES, kinds=["video"])
    for row in table.iter_rows(named=True):
        alone = frame_map(truth.filter(video_id=row["group"]), found, class_ids=CLASSES)
        expected = None if np.isnan(alone.mean_ap) else pytest.approx(alone.mean_ap, abs=1e-12)
        assert row["mean_ap"] == expected
        assert row["num_detections"] == alone.num_detections.sum()
