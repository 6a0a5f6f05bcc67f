"""Laws of ranked detections and of intervals over videos."""

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gesta.evaluate.frame_map import frame_map
from gesta.evaluate.intervals import map_difference, map_intervals, weighted_ap
from gesta.evaluate.ranked import average_precisions, rank

CLASSES = [3, 5, 8]
COLUMNS = ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id"]
VIDEOS = ["-a", "b", "c"]

corner = st.integers(0, 8)
box = st.tuples(corner, corner, st.integers(1, 8), st.integers(1, 8)).map(
    lambda b: (b[0] / 16, b[1] / 16, (b[0] + b[2]) / 16, (b[1] + b[3]) / 16)
)
labelled_row = st.tuples(st.sampled_from(VIDEOS), st.integers(0, 2), box, st.sampled_from([*CLASSES, 9]))


def frame(rows, scores=None):
    columns = pl.DataFrame(
        [(video, time, *box, class_id) for video, time, box, class_id in rows],
        schema=dict(zip(COLUMNS, [pl.String, pl.Int64, *[pl.Float64] * 4, pl.Int64], strict=True)),
        orient="row",
    )
    return columns if scores is None else columns.with_columns(pl.Series("score", scores, dtype=pl.Float64))


@st.composite
def problems(draw, *, ties=False):
    truth = draw(st.lists(labelled_row, min_size=1, max_size=20))
    # Half of the detections sit on labelled boxes, or nothing would ever be right.
    found = draw(st.lists(st.one_of(labelled_row, st.sampled_from(truth)), max_size=30))
    if ties:
        scores = draw(st.lists(st.integers(1, 4), min_size=len(found), max_size=len(found)))
    else:
        scores = draw(st.permutations(range(1, len(found) + 1)))
    return frame(truth), frame(found, [score / 64 for score in scores])


@given(problems(ties=True))
@settings(max_examples=50)
def test_weights_of_one_and_of_anything_equal_for_all_give_the_plain_ap(problem):
    truth, found = problem
    plain = frame_map(truth, found, class_ids=CLASSES).average_precision
    ranked = rank(truth, found, class_ids=CLASSES)
    np.testing.assert_allclose(
        average_precisions(ranked.is_right, ranked.class_index, ranked.num_groundtruth), plain, atol=1e-12
    )
    for times in (1, 3):
        weights = np.full((len(ranked.video_ids), 2), times, dtype=np.int32)
        np.testing.assert_allclose(weighted_ap(ranked, weights), [plain, plain], atol=1e-12)


@given(problems(), st.lists(st.integers(0, 3), min_size=3, max_size=3))
@settings(max_examples=50)
def test_a_weight_is_as_many_copies_of_the_video(problem, weights):
    truth, found = problem
    ranked = rank(truth, found, class_ids=CLASSES)
    weights_V1 = np.array(weights[: len(ranked.video_ids)], dtype=np.int32)[:, None]
    assume(weights_V1.sum() > 0)

    def copied(rows):
        copies = [
            rows.filter(pl.col("video_id") == video).with_columns(video_id=pl.lit(f"{video} {i}"))
            for video, times in zip(ranked.video_ids, weights_V1[:, 0].tolist(), strict=True)
            for i in range(times)
        ]
        return pl.concat([rows.clear(), *copies])

    # Copies of a detection have its score; whatever stands between them by the rule for ties is a copy of it too.
    expected = frame_map(copied(truth), copied(found), class_ids=CLASSES).average_precision
    np.testing.assert_allclose(weighted_ap(ranked, weights_V1)[0], expected, atol=1e-12)


@given(problems(ties=True), st.integers(0, 99))
@settings(max_examples=30)
def test_the_same_model_twice_differs_by_nothing(problem, seed):
    truth, found = problem
    assume(truth["video_id"].n_unique() > 1)
    result = map_difference(truth, found, found, class_ids=CLASSES, num_resamples=20, seed=seed)
    assert result.share_a_above == 0 or np.isnan(result.share_a_above)
    for part in (result.difference, *result.class_difference):
        assert part.low == part.high == 0 or np.isnan(part.low)
    again = map_intervals(truth, found, class_ids=CLASSES, num_resamples=20, seed=seed)
    assert repr(again.mean_ap) == repr(result.a)


@given(problems(ties=True), st.sampled_from(["percentile", "bca"]))
@settings(max_examples=30)
def test_bounds_are_in_order_and_are_average_precisions(problem, method):
    truth, found = problem
    assume(truth["video_id"].n_unique() > 1)
    result = map_intervals(truth, found, class_ids=CLASSES, num_resamples=40, method=method)
    plain = frame_map(truth, found, class_ids=CLASSES)
    np.testing.assert_allclose(result.mean_ap.estimate, plain.mean_ap, atol=1e-12)
    for part, ap in zip(result.average_precision, plain.average_precision, strict=True):
        np.testing.assert_allclose(part.estimate, ap, atol=1e-12)
        assert np.isnan(ap) or np.isnan(part.low) or 0 <= part.low <= part.high <= 1
        assert part.num_draws <= 40


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_the_interval_holds_the_estimate_and_narrows_with_more_videos(method):
    widths = []
    for num_videos in (8, 128):
        rng = np.random.default_rng(num_videos)
        rows = [(f"v{v}", t, (0.1, 0.1, 0.5, 0.5), c) for v in range(num_videos) for t in range(3) for c in CLASSES]
        truth = frame([row for row in rows if rng.random() < 0.6])
        found = frame(rows, rng.random(len(rows)))
        part = map_intervals(truth, found, class_ids=CLASSES, num_resamples=300, method=method).mean_ap
        assert part.low < part.estimate < part.high
        widths.append(part.high - part.low)
    assert widths[1] < widths[0] / 2
