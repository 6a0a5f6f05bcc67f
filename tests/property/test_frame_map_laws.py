"""Laws of frame mAP."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.evaluate import chance_map, frame_map, top_k

CLASSES = [3, 5, 8]
COLUMNS = ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id"]

corner = st.integers(0, 8)
box = st.tuples(corner, corner, st.integers(1, 8), st.integers(1, 8)).map(
    lambda b: (b[0] / 16, b[1] / 16, (b[0] + b[2]) / 16, (b[1] + b[3]) / 16)
)
labelled_row = st.tuples(st.sampled_from(["-a", "b"]), st.integers(0, 3), box, st.sampled_from(CLASSES))


def frame(rows, scores=None):
    columns = pl.DataFrame(
        [(video, time, *box, class_id) for video, time, box, class_id in rows],
        schema=dict(zip(COLUMNS, [pl.String, pl.Int64, *[pl.Float64] * 4, pl.Int64], strict=True)),
        orient="row",
    )
    return columns if scores is None else columns.with_columns(pl.Series("score", scores, dtype=pl.Float64))


@st.composite
def problems(draw):
    truth = draw(st.lists(labelled_row, min_size=1, max_size=20))
    found = draw(st.lists(labelled_row, max_size=30))
    scores = draw(st.permutations(range(1, len(found) + 1)))
    return frame(truth), frame(found, [score / 64 for score in scores])


@given(problems(), st.sampled_from([np.sqrt, np.exp, lambda s: 3 * s - 7]))
def test_a_monotone_change_of_scores_without_ties_moves_nothing(problem, change):
    truth, found = problem
    before = frame_map(truth, found, class_ids=CLASSES)
    after = frame_map(truth, found.with_columns(score=pl.Series(change(found["score"].to_numpy()))), class_ids=CLASSES)
    np.testing.assert_array_equal(before.average_precision, after.average_precision)


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_rows_moves_nothing_without_ties(problem, rng):
    truth, found = problem
    order = list(range(len(found)))
    rng.shuffle(order)
    before, after = (frame_map(truth, rows, class_ids=CLASSES) for rows in (found, found[order]))
    np.testing.assert_allclose(before.average_precision, after.average_precision, atol=1e-12)


@given(problems(), labelled_row)
def test_a_false_positive_below_all_scores_never_raises_ap(problem, extra):
    truth, found = problem
    video, time, _, class_id = extra
    # The grid's boxes end at 1, so this one overlaps none of them.
    wrong = frame([(video, time, (2.0, 2.0, 3.0, 3.0), class_id)], [0.0])
    before = frame_map(truth, found, class_ids=CLASSES, cap=0).average_precision
    after = frame_map(truth, pl.concat([found, wrong]), class_ids=CLASSES, cap=0).average_precision
    assert np.all((after <= before) | np.isnan(before))


@given(st.lists(labelled_row, min_size=1, max_size=30, unique=True), st.integers(0, 1000))
def test_perfect_detections_give_one(rows, seed):
    truth = frame(rows)
    scores = np.random.default_rng(seed).random(len(rows))
    result = frame_map(truth, truth.with_columns(score=pl.Series(scores)), class_ids=CLASSES)
    assert result.mean_ap == 1.0
    assert set(result.average_precision[~np.isnan(result.average_precision)].tolist()) == {1.0}


@given(problems())
@settings(max_examples=20)
def test_chance_is_a_map_and_repeats(problem):
    truth, found = problem
    first, second = (chance_map(truth, found, class_ids=CLASSES, seed=4, num_draws=3) for _ in range(2))
    assert first == second
    assert 0 <= first <= 1


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 100))
def test_more_guesses_never_hurt(num_clips, num_classes, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 3, (num_clips, num_classes)) / 3, rng.integers(0, num_classes, num_clips)
    shares = [top_k(scores, labels, k) for k in range(1, num_classes + 1)]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
