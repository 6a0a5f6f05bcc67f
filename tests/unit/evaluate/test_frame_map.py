"""The official program's rules, one hand-made table each."""

import numpy as np
import polars as pl
import pytest

from gesta.evaluate import chance_map, frame_map, top_k
from gesta.schema import BadInput

BOX = (0.1, 0.1, 0.5, 0.5)
FAR = (0.6, 0.6, 0.9, 0.9)


def rows(*entries):
    """(video, second, box or None, class, score) rows."""
    schema = {"video_id": pl.String, "timestamp_us": pl.Int64} | dict.fromkeys(["x1", "y1", "x2", "y2"], pl.Float64)
    values = [
        (video, second * 1_000_000, *(box or [None] * 4), class_id, score)
        for video, second, box, class_id, score in entries
    ]
    return pl.DataFrame(values, schema=schema | {"class_id": pl.Int64, "score": pl.Float64}, orient="row")


TRUTH = rows(("v", 1, BOX, 1, 1.0))
RIGHT = rows(("v", 1, BOX, 1, 0.5))


def test_a_key_frame_without_boxes_is_scored():
    wrong = rows(("v", 2, BOX, 1, 0.9))
    found = pl.concat([RIGHT, wrong])
    assert frame_map(TRUTH, found, class_ids=[1]).mean_ap == 1.0
    named = pl.concat([TRUTH, rows(("v", 2, None, None, 1.0))])
    assert frame_map(named, found, class_ids=[1]).mean_ap == 0.5


def test_a_key_frame_with_other_classes_only_is_scored():
    truth = pl.concat([TRUTH, rows(("v", 2, FAR, 99, 1.0))])
    found = pl.concat([RIGHT, rows(("v", 2, BOX, 1, 0.9))])
    assert frame_map(truth, found, class_ids=[1]).mean_ap == 0.5


def test_a_class_without_detections_counts_as_zero_and_one_without_truth_not_at_all():
    truth = pl.concat([TRUTH, rows(("v", 1, BOX, 2, 1.0))])
    result = frame_map(truth, RIGHT, class_ids=[1, 2, 3])
    np.testing.assert_array_equal(result.average_precision, [1.0, 0.0, np.nan])
    assert result.mean_ap == 0.5
    assert result.num_groundtruth.tolist() == [1, 1, 0]


def test_a_detection_looks_only_at_the_box_it_overlaps_most():
    near = (0.1, 0.1, 0.5, 0.4)
    truth = pl.concat([TRUTH, rows(("v", 1, near, 1, 1.0))])
    found = rows(("v", 1, BOX, 1, 0.9), ("v", 1, (0.1, 0.1, 0.5, 0.49), 1, 0.8))
    assert frame_map(truth, found, class_ids=[1]).mean_ap == 0.5


def test_a_repeated_label_counts_twice_and_is_found_once():
    second = rows(("v", 1, BOX, 1, 0.4))
    assert frame_map(pl.concat([TRUTH, TRUTH]), pl.concat([RIGHT, second]), class_ids=[1]).mean_ap == 0.5


def test_of_equal_scores_the_later_read_comes_first():
    # The first-read claims the box; the other, wrong one precedes it in the class's order.
    assert frame_map(TRUTH, pl.concat([RIGHT, RIGHT]), class_ids=[1]).mean_ap == 0.5


def test_an_overlap_of_exactly_half_is_enough():
    truth = rows(("v", 1, (0.0, 0.0, 1.0, 0.5), 1, 1.0))
    assert frame_map(truth, rows(("v", 1, (0.0, 0.0, 1.0, 1.0), 1, 0.5)), class_ids=[1]).mean_ap == 1.0


def test_the_cap_spans_classes_and_inverted_boxes_use_it_up():
    inverted = rows(*[("v", 1, (0.5, 0.5, 0.1, 0.1), 2, 0.9)] * 50)
    found = pl.concat([inverted, RIGHT])
    assert frame_map(TRUTH, found, class_ids=[1, 2]).mean_ap == 0.0
    assert frame_map(TRUTH, found, class_ids=[1, 2], cap=0).mean_ap == 1.0
    assert frame_map(TRUTH, found, class_ids=[1]).mean_ap == 1.0


def test_all_points_area():
    truth = rows(("v", 1, BOX, 1, 1.0), ("v", 1, FAR, 1, 1.0))
    found = rows(("v", 1, BOX, 1, 0.9), ("v", 1, (2, 2, 3, 3), 1, 0.8), ("v", 1, FAR, 1, 0.7))
    assert frame_map(truth, found, class_ids=[1]).mean_ap == pytest.approx(5 / 6)


def test_empty_tables():
    assert np.isnan(frame_map(TRUTH.clear(), RIGHT, class_ids=[1]).mean_ap)
    assert frame_map(TRUTH, RIGHT.clear(), class_ids=[1]).mean_ap == 0.0


def test_an_inverted_labelled_box_is_named_once_a_detection_meets_it():
    truth = rows(("v", 1, (0.5, 0.1, 0.1, 0.5), 1, 1.0))
    assert frame_map(truth, RIGHT.clear(), class_ids=[1]).mean_ap == 0.0
    with pytest.raises(BadInput, match=r"ground truth of v at 1.000000 s: box \[0.5, 0.1, 0.1, 0.5\] ends before"):
        frame_map(truth, RIGHT, class_ids=[1])


def test_what_cannot_be_scored_is_said():
    with pytest.raises(BadInput, match="detections: no column score"):
        frame_map(TRUTH, RIGHT.drop("score"), class_ids=[1])
    with pytest.raises(BadInput, match="a score or corner is no number"):
        frame_map(TRUTH, rows(("v", 1, BOX, 1, float("nan"))), class_ids=[1])
    with pytest.raises(BadInput, match="at least one, none of them twice"):
        frame_map(TRUTH, RIGHT, class_ids=[1, 1])
    with pytest.raises(BadInput, match="num_draws=0"):
        chance_map(TRUTH, RIGHT, class_ids=[1], num_draws=0)


def test_chance_is_about_the_share_of_boxes_that_carry_the_class():
    rng = np.random.default_rng(0)
    entries = [("v", second, BOX, int(rng.integers(1, 5)), 1.0) for second in range(400)]
    truth = rows(*entries)
    found = rows(*[("v", second, BOX, class_id, 1.0) for second in range(400) for class_id in range(1, 5)])
    assert chance_map(truth, found, class_ids=[1, 2, 3, 4]) == pytest.approx(0.25, abs=0.05)


def test_fifty_of_a_hundred_boxes_count_at_each_key_frame_of_a_film():
    rng = np.random.default_rng(0)
    corners = rng.random((900 * 100, 2)) / 2
    found = pl.DataFrame(
        {
            "video_id": "v", "timestamp_us": np.repeat(np.arange(900), 100) * 1_000_000,
            "x1": corners[:, 0], "y1": corners[:, 1], "x2": corners[:, 0] + 0.3, "y2": corners[:, 1] + 0.3,
            "class_id": rng.integers(1, 81, 90_000), "score": rng.random(90_000).round(4),
        }
    )  # fmt: skip
    scored = frame_map(found.gather_every(20).drop("score"), found, class_ids=list(range(1, 81)))
    assert scored.num_key_frames == 900
    assert scored.num_detections.sum() == 900 * 50


def test_top_k_of_equal_scores_takes_the_lower_column():
    scores = np.array([[0.5, 0.5, 0.1]] * 2)
    assert top_k(scores, np.array([0, 1]), 1) == 0.5
    assert np.isnan(top_k(scores[:0], np.array([], dtype=int), 1))


def test_top_k_says_what_does_not_fit():
    with pytest.raises(BadInput, match=r"scores \(1, 2\) and labels \(2,\)"):
        top_k(np.zeros((1, 2)), np.array([0, 1]), 1)
    with pytest.raises(BadInput, match=r"a label is outside 0\.\.1"):
        top_k(np.zeros((1, 2)), np.array([2]), 1)
    with pytest.raises(BadInput, match="k=0"):
        top_k(np.zeros((1, 2)), np.array([1]), 0)
    with pytest.raises(BadInput, match="a score is NaN"):
        top_k(np.full((1, 2), np.nan), np.array([1]), 1)
