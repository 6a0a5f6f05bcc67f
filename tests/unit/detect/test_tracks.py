import numpy as np
import pytest

from gesta.detect import FrameBoxes, link_tracks

LEFT, RIGHT = (0.1, 0.2, 0.3, 0.9), (0.6, 0.2, 0.8, 0.9)
STEP_US = 200_000


def frames_of(*found):
    return [
        FrameBoxes(number * STEP_US, np.array(boxes, float).reshape(-1, 4), np.linspace(0.9, 0.8, len(boxes)))
        for number, boxes in enumerate(found)
    ]


def test_two_people_keep_their_numbers_though_the_detector_swaps_them():
    linked = link_tracks(frames_of([LEFT, RIGHT], [RIGHT, LEFT]))
    assert [(each.person_id, each.box[0]) for each in linked] == [(0, 0.1), (0, 0.1), (1, 0.6), (1, 0.6)]


def test_a_missed_frame_is_filled_in_and_flagged():
    moved = (0.14, 0.2, 0.34, 0.9)
    linked = link_tracks(frames_of([LEFT], [], [moved]))
    assert [each.is_interpolated for each in linked] == [False, True, False]
    assert linked[1].box == (0.12, 0.2, 0.32, 0.9)
    assert linked[1].score == 0.9


def test_a_person_gone_for_longer_than_the_gap_is_a_new_one():
    frames = frames_of([LEFT], *[[]] * 5, [LEFT])
    assert [each.person_id for each in link_tracks(frames)] == [0, 1]
    assert {each.person_id for each in link_tracks(frames, max_gap_us=1_200_000)} == {0}


def test_a_box_that_overlaps_too_little_is_another_person():
    assert {each.person_id for each in link_tracks(frames_of([LEFT], [RIGHT]))} == {0, 1}


def test_the_pair_of_the_highest_overlap_is_joined_first():
    near, nearer = (0.14, 0.2, 0.34, 0.9), (0.11, 0.2, 0.31, 0.9)
    linked = link_tracks(frames_of([LEFT], [near, nearer]))
    assert [each.box for each in linked if each.person_id == 0] == [LEFT, nearer]


def test_frames_out_of_order_are_our_own_mistake():
    with pytest.raises(ValueError, match="comes after"):
        link_tracks(frames_of([LEFT], [LEFT])[::-1])


def test_a_runner_who_moves_their_own_width_stays_one_person():
    runner = [[(0.1 + 0.1 * step, 0.2, 0.2 + 0.1 * step, 0.9)] for step in range(5)]
    assert {each.person_id for each in link_tracks(frames_of(*runner))} == {0}


def test_two_runners_who_meet_keep_their_directions():
    def box(x):
        return (x, 0.2, x + 0.2, 0.9)

    there, back = [0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.3, 0.2, 0.1]
    linked = link_tracks(frames_of(*([box(a), box(b)] for a, b in zip(there, back, strict=True))))
    ways = [[each.box[0] for each in linked if each.person_id == person] for person in (0, 1)]
    assert ways == [there, back]
