"""Laws of sampling: what is picked lies inside, in order, the same every time; a mirror undoes itself."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gesta.video import (
    flip_boxes,
    flip_frames,
    random_start,
    segment_frames,
    segment_times,
    strided_frames,
    uniform_frames,
    uniform_times,
    window_frames,
    window_times,
)

counts = st.integers(1, 64)
totals = st.integers(1, 5_000)
seeds = st.integers(0, 2**32)
times = st.integers(-(10**9), 10**13)
lengths = st.integers(1, 10**11)


@given(times, counts, st.integers(1, 10**7))
def test_a_window_is_evenly_spaced_and_holds_its_centre(center_us, num_frames, stride_us):
    window = window_times(center_us, num_frames=num_frames, stride_us=stride_us)
    assert len(window) == num_frames
    assert window[num_frames // 2] == center_us
    assert set(np.diff(window)) <= {stride_us}


@given(totals, counts, st.integers(1, 32), st.data())
def test_a_window_of_frames_stays_inside_and_in_order(num_total, num_frames, stride, data):
    center = data.draw(st.integers(0, num_total - 1))
    window = window_frames(center, num_total=num_total, num_frames=num_frames, stride=stride)
    assert window.min() >= 0
    assert window.max() < num_total
    assert (np.diff(window) >= 0).all()
    assert window[num_frames // 2] == center


@given(times, lengths, counts, st.none() | seeds)
def test_each_segment_gives_one_instant_of_its_own(start_us, length_us, num, seed):
    rng = None if seed is None else random.Random(seed)
    picked = segment_times(start_us, start_us + length_us, num_segments=num, rng=rng)
    again = segment_times(
        start_us, start_us + length_us, num_segments=num, rng=None if seed is None else random.Random(seed)
    )
    assert (picked == again).all()
    assert (picked >= start_us).all()
    assert (picked < start_us + length_us).all()
    assert (np.diff(picked) >= 0).all()
    if length_us >= num:
        parts = [(int(time) - start_us) * num // length_us for time in picked]
        # An edge between parts may be no whole number, so a pick may round down into the part before.
        assert all(part in (k - 1, k) for k, part in enumerate(parts))


@given(times, lengths, counts)
def test_uniform_times_read_the_same_from_both_ends(start_us, length_us, num):
    forth = uniform_times(start_us, start_us + length_us, num_frames=num) - start_us
    back = length_us - forth[::-1]
    assert (np.abs(forth - back) <= 1).all()


@given(totals, counts, st.none() | seeds)
def test_segments_of_frames_stay_inside_and_in_order(num_total, num, seed):
    rng = None if seed is None else random.Random(seed)
    picked = segment_frames(num_total=num_total, num_segments=num, rng=rng)
    assert len(picked) == num
    assert picked.min() >= 0
    assert picked.max() < num_total
    assert (np.diff(picked) >= 0).all()
    if num <= num_total:
        assert len(set(picked.tolist())) == num


@given(totals)
def test_as_many_uniform_frames_as_there_are_is_all_of_them(num_total):
    assert uniform_frames(num_total=num_total, num_frames=num_total).tolist() == list(range(num_total))


@given(totals, counts, st.integers(1, 32), seeds)
def test_a_random_start_lets_the_frames_fit(num_total, num_frames, stride, seed):
    start = random_start(num_total=num_total, num_frames=num_frames, stride=stride, rng=random.Random(seed))
    again = random_start(num_total=num_total, num_frames=num_frames, stride=stride, rng=random.Random(seed))
    assert start == again
    picked = strided_frames(start, num_total=num_total, num_frames=num_frames, stride=stride)
    assert picked.min() >= 0
    assert picked.max() < num_total
    if (num_frames - 1) * stride < num_total:
        assert set(np.diff(picked)) <= {stride}
    else:
        assert start == 0


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), seeds)
def test_a_mirror_undoes_itself(num, height, width, seed):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (num, height, width, 3), dtype=np.uint8)
    assert (flip_frames(flip_frames(frames)) == frames).all()
    corners = np.sort(rng.random((num, 2, 2)), axis=1)
    boxes = np.concatenate([corners[:, 0], corners[:, 1]], axis=1)
    flipped = flip_boxes(boxes)
    np.testing.assert_allclose(flip_boxes(flipped), boxes, atol=1e-12)
    assert (flipped[:, 0] <= flipped[:, 2]).all()
    np.testing.assert_allclose(flipped[:, 2] - flipped[:, 0], boxes[:, 2] - boxes[:, 0], atol=1e-12)
