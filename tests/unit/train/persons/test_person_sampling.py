"""When the frames of a key-frame's clip are, in either lineage."""

from __future__ import annotations

import numpy as np
import pytest

from gesta.schema import BadInput
from gesta.train.clips import ClipFrames
from gesta.train.persons import key_frame_times
from gesta.train.persons.sampling import offset_range, reach_us

FOUR = ClipFrames(num_frames=4, rate=30, stride=16)
LATE = 2**50


def _frame_numbers(times_T: np.ndarray, *, rate: int = 30) -> list[int]:
    return [round(value * rate / 1_000_000) for value in times_T]


def test_the_window_is_both_lineages_window():
    times_T = key_frame_times(902_000_000, frames=FOUR, start_us=0, end_us=LATE)
    # PySlowFast's range(center - half, center + half, rate), MMAction2's the same, from the film's frame 0.
    assert _frame_numbers(times_T) == list(range(27060 - 32, 27060 + 32, 16))


@pytest.mark.parametrize(("num_frames", "stride"), [(32, 2), (8, 8), (4, 16), (16, 4), (5, 3)])
def test_the_middle_frame_is_the_key_frame(num_frames: int, stride: int):
    frames = ClipFrames(num_frames=num_frames, rate=30, stride=stride)
    times_T = key_frame_times(13_006_000, frames=frames, start_us=0, end_us=LATE)
    assert times_T[num_frames // 2] == 13_006_000
    assert len(times_T) == num_frames


def test_each_frame_gets_its_own_offset_within_half_a_stride():
    plain_T = key_frame_times(902_000_000, frames=FOUR, start_us=0, end_us=LATE)
    lowest_T = key_frame_times(902_000_000, frames=FOUR, start_us=0, end_us=LATE, draw=np.zeros(4))
    highest_T = key_frame_times(902_000_000, frames=FOUR, start_us=0, end_us=LATE, draw=np.full(4, 0.999999))
    assert [one - other for one, other in zip(_frame_numbers(lowest_T), _frame_numbers(plain_T), strict=True)] == [
        -8
    ] * 4
    assert [one - other for one, other in zip(_frame_numbers(highest_T), _frame_numbers(plain_T), strict=True)] == [
        7
    ] * 4
    mixed_T = key_frame_times(902_000_000, frames=FOUR, start_us=0, end_us=LATE, draw=np.array([0, 0.5, 0.5, 0.999]))
    assert [a - b for a, b in zip(_frame_numbers(mixed_T), _frame_numbers(plain_T), strict=True)] == [-8, 0, 0, 7]


@pytest.mark.parametrize("stride", [1, 2, 3, 7, 16])
def test_offsets_are_those_of_the_reference(stride: int):
    # numpy's randint of MMAction2's SampleAVAFrames takes these two as its ends.
    low, high = -stride // 2, (stride + 1) // 2
    assert offset_range(ClipFrames(num_frames=1, stride=stride)) == (low, high)


def test_instants_outside_the_shot_become_its_ends():
    times_T = key_frame_times(10_000_000, frames=FOUR, start_us=9_900_000, end_us=10_100_000)
    assert times_T.tolist() == [9_900_000, 9_900_000, 10_000_000, 10_099_999]


def test_no_instant_lies_beyond_what_reading_lists():
    frames = ClipFrames(num_frames=8, rate=24000 / 1001, stride=3)
    before_us, after_us = reach_us(frames)
    for draw in (None, np.zeros(8), np.full(8, 0.999999)):
        times_T = key_frame_times(50_000_000, frames=frames, start_us=0, end_us=LATE, draw=draw)
        assert times_T.min() >= 50_000_000 - before_us
        assert times_T.max() <= 50_000_000 + after_us


def test_an_empty_stretch_and_wrong_draws_are_refused():
    with pytest.raises(BadInput, match=r"the stretch from 5 to 5 us is empty. Want start < end"):
        key_frame_times(5, frames=FOUR, start_us=5, end_us=5)
    with pytest.raises(BadInput, match=r"draws of shape \(3,\) for 4 frames. Want one a frame"):
        key_frame_times(5, frames=FOUR, start_us=0, end_us=9, draw=np.zeros(3))
