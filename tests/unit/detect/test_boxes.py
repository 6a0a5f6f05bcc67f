import numpy as np
import pytest

from gesta.detect import clean_boxes, find_people, suppress


def test_equal_scores_are_taken_in_the_order_of_their_corners():
    boxes = np.array([[0.1, 0.0, 0.5, 1.0], [0.0, 0.0, 0.4, 1.0]])
    assert suppress(boxes, np.array([0.5, 0.5]), max_iou=0.3).tolist() == [1]


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        clean_boxes(np.zeros((1, 4)), np.array([np.nan]))


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(ValueError, match=r"\[N, 4\]"):
        clean_boxes(np.zeros((2, 4)), np.zeros(1))


def test_people_are_cut_to_the_frame_thresholded_and_suppressed_best_first():
    def detector(frames_NHWC):
        boxes = np.array([[0.5, 0.1, 1.2, 0.9], [0.0, 0.1, 0.4, 0.9], [0.01, 0.1, 0.41, 0.9], [0.0, 0.0, 0.1, 0.1]])
        return [(boxes, np.array([0.6, 0.9, 0.8, 0.2])) for _ in frames_NHWC]

    found = find_people(detector, np.zeros((2, 8, 8, 3), np.uint8), min_score=0.5)
    assert len(found) == 2
    boxes, scores = found[0]
    assert boxes.tolist() == [[0.0, 0.1, 0.4, 0.9], [0.5, 0.1, 1.0, 0.9]]
    assert scores.tolist() == [0.9, 0.6]
