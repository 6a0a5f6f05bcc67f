"""Laws of the views that a test shows: crops within the frame, segments within the clip."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesta.train.clips.frames import ClipFrames, first_frames

pytest.importorskip("torch")
from gesta.predict.clip_test import view_windows

sizes = st.tuples(st.integers(1, 40), st.integers(0, 60), st.integers(0, 60)).map(
    lambda drawn: (drawn[0] + drawn[1], drawn[0] + drawn[2], drawn[0])
)


@given(sizes, st.sampled_from([1, 3, 10]))
def test_crops_lie_in_the_frame_and_there_are_as_many_as_asked_for(size, crops):
    width_px, height_px, crop_px = size
    views = view_windows(width_px=width_px, height_px=height_px, crop_px=crop_px, crops=crops)
    assert len(views) == crops
    for window, _ in views:
        assert window.height_px == window.width_px == crop_px
        assert 0 <= window.top_px <= height_px - crop_px
        assert 0 <= window.left_px <= width_px - crop_px


@given(sizes)
def test_three_crops_reach_both_ends_of_the_longer_side(size):
    width_px, height_px, crop_px = size
    windows = [w for w, _ in view_windows(width_px=width_px, height_px=height_px, crop_px=crop_px, crops=3)]
    ((center, _),) = view_windows(width_px=width_px, height_px=height_px, crop_px=crop_px, crops=1)
    assert windows[1] == center
    ends = [w.top_px if height_px > width_px else w.left_px for w in windows]
    assert ends[0] == 0
    assert ends[2] == max(width_px, height_px) - crop_px


@given(sizes)
def test_ten_crops_are_five_places_both_ways_round_and_cover_the_corners(size):
    width_px, height_px, crop_px = size
    views = view_windows(width_px=width_px, height_px=height_px, crop_px=crop_px, crops=10)
    plain, mirrored = ([window for window, is_flipped in views if is_flipped == how] for how in (False, True))
    assert plain == mirrored
    corners = {(top, left) for top in (0, height_px - crop_px) for left in (0, width_px - crop_px)}
    assert corners <= {(window.top_px, window.left_px) for window in plain}


@given(st.integers(1, 400), st.integers(1, 64), st.integers(1, 8), st.integers(1, 30))
def test_segments_rise_evenly_from_the_first_frame_to_the_last_that_fits(num_total, num_frames, stride, num_segments):
    frames = ClipFrames(num_frames=num_frames, stride=stride)
    firsts = first_frames(num_total, frames=frames, num_segments=num_segments)
    assert len(firsts) == num_segments
    assert firsts == sorted(firsts)
    last = max(0, num_total - frames.num_spanned)
    assert all(0 <= first <= last for first in firsts)
    if num_segments > 1:
        assert (firsts[0], firsts[-1]) == (0, last)
        gaps = {after - before for before, after in pairwise(firsts)}
        assert max(gaps) - min(gaps) <= 1
