"""Intervals over videos, by hand."""

import numpy as np
import polars as pl
import pytest

from gesta.evaluate.intervals import BLOCK, map_difference, map_intervals
from gesta.schema import BadInput

BOX = (0.1, 0.1, 0.5, 0.5)


def rows(*entries):
    """(video, class, score) rows, one key-frame a video."""
    columns = {"video_id": pl.String, "timestamp_us": pl.Int64} | dict.fromkeys(["x1", "y1", "x2", "y2"], pl.Float64)
    values = [(video, 1_000_000, *BOX, class_id, score) for video, class_id, score in entries]
    return pl.DataFrame(values, schema=columns | {"class_id": pl.Int64, "score": pl.Float64}, orient="row")


TRUTH = rows(("a", 1, 1.0), ("b", 1, 1.0), ("b", 2, 1.0))


def test_two_videos_of_which_one_is_found():
    # A draw is (a, a), (a, b) or (b, b): AP of class 1 is 1, 1/2 or 0.
    found = rows(("a", 1, 0.9))
    result = map_intervals(TRUTH, found, class_ids=[1, 2], num_resamples=400)
    first, second = result.average_precision
    assert (first.estimate, first.low, first.high, first.num_draws) == (0.5, 0.0, 1.0, 400)
    # Class 2 is labelled in video b only: a quarter of the draws has none of it, and they are left out of its interval.
    assert (second.estimate, second.low, second.high) == (0.0, 0.0, 0.0)
    assert 0.65 < second.num_draws / 400 < 0.85
    assert result.mean_ap.estimate == 0.25
    assert (result.num_videos, result.num_resamples) == (2, 400)


def test_the_same_seed_gives_the_same_and_another_another():
    truth = rows(*[(f"v{i}", 1, 1.0) for i in range(9)])
    found = rows(*[(f"v{i}", 1, 0.1 * i) for i in range(6)])
    parts = [map_intervals(truth, found, class_ids=[1], num_resamples=50, seed=seed).mean_ap for seed in (3, 3, 4)]
    assert parts[0] == parts[1] != parts[2]


def test_a_model_that_finds_more_is_above_in_nearly_every_draw():
    truth = rows(*[(f"v{i}", 1, 1.0) for i in range(20)])
    a = rows(*[(f"v{i}", 1, 0.9) for i in range(18)])
    b = rows(*[(f"v{i}", 1, 0.9) for i in range(6)])
    result = map_difference(truth, a, b, class_ids=[1], num_resamples=200, method="bca")
    assert result.difference.estimate == pytest.approx(0.6)
    assert 0 < result.difference.low < 0.6 < result.difference.high <= 1
    assert result.share_a_above == 1.0
    assert result.class_share_a_above == (1.0,)
    swapped = map_difference(truth, b, a, class_ids=[1], num_resamples=200)
    assert swapped.share_a_above == 0.0


def test_draws_equal_to_the_estimate_are_half_below_it():
    # A half of the draws gives the estimate itself, a quarter less and a quarter more: there is no bias to correct.
    result = map_intervals(TRUTH, rows(("a", 1, 0.9)), class_ids=[1], num_resamples=800, level=0.3, method="bca")
    assert (result.mean_ap.low, result.mean_ap.high) == (0.5, 0.5)


def test_progress_adds_up_to_the_draws():
    told = []
    map_intervals(TRUTH, rows(("a", 1, 0.9)), class_ids=[1], num_resamples=3 * BLOCK + 5, on_rows=told.append)
    assert told == [BLOCK, BLOCK, BLOCK, 5]


def test_what_has_no_interval_is_said():
    found = rows(("a", 1, 0.9))
    with pytest.raises(BadInput, match="ground truth of 1 video, and an interval is over videos"):
        map_intervals(rows(("a", 1, 1.0)), found, class_ids=[1])
    with pytest.raises(BadInput, match="num_resamples=0"):
        map_intervals(TRUTH, found, class_ids=[1], num_resamples=0)
    with pytest.raises(BadInput, match="level=1"):
        map_intervals(TRUTH, found, class_ids=[1], level=1)
    with pytest.raises(BadInput, match="at least one, none of them twice"):
        map_intervals(TRUTH, found, class_ids=[1, 1])
    nothing = map_intervals(TRUTH, found, class_ids=[7], num_resamples=5).mean_ap
    assert np.isnan([nothing.estimate, nothing.low, nothing.high]).all()
    assert nothing.num_draws == 0
