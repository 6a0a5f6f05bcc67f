"""Windows over a whole video: where they lie, and that their pixels are the training clips'."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.predict.clip_stand_in import FRAMES, write_levels

from gesta.predict.windows import open_whole, whole_video, window_batches, windows_of
from gesta.schema import BadInput
from gesta.train.clips import ClipFrames, clip_batches, clip_set, to_model


@given(
    start_us=st.integers(0, 10**6),
    length_us=st.integers(1, 10**8),
    stride_us=st.integers(10**5, 10**7),
    num_frames=st.integers(1, 20),
    stride=st.integers(1, 5),
)
def test_windows_cover_the_video_once_and_look_inside_it(start_us, length_us, stride_us, num_frames, stride):
    frames = ClipFrames(num_frames=num_frames, rate=10.0, stride=stride)
    end_us = start_us + length_us
    num_total = -(-length_us // 100_000)
    windows = windows_of(start_us=start_us, end_us=end_us, num_frames=num_total, frames=frames, stride_us=stride_us)
    edges = [window.start_us for window in windows] + [windows[-1].end_us]
    assert (edges[0], edges[-1]) == (start_us, end_us)
    assert all(window.end_us == edge for window, edge in zip(windows, edges[1:], strict=True))
    assert all(stride_us == window.end_us - window.start_us for window in windows[:-1])
    last_us = windows[-1].end_us - windows[-1].start_us
    assert last_us < 1.5 * stride_us + 1
    for window in windows:
        assert 0 <= window.first <= max(0, num_total - frames.num_spanned)
        assert start_us <= window.seen_start_us < window.seen_end_us <= end_us


def test_the_frames_shown_lie_in_the_middle_of_their_window():
    windows = windows_of(start_us=0, end_us=10_000_000, num_frames=100, frames=FRAMES, stride_us=1_000_000)
    assert [window.first for window in windows] == [2, 12, 22, 32, 42, 52, 62, 72, 82, 92]


@pytest.mark.parametrize(("stride_us", "end_us"), [(0, 10), (5, 0)])
def test_windows_of_nothing_are_refused(stride_us, end_us):
    with pytest.raises(BadInput, match=r"Want more than 0"):
        windows_of(start_us=0, end_us=end_us, num_frames=1, frames=FRAMES, stride_us=stride_us)


@pytest.mark.parametrize("modality", ["rgb", "flow"])
def test_the_middle_window_is_the_clip_that_training_without_changes_is_shown(shared, modality):
    video = shared / "videos" / "asl" / "book.mkv"
    frames = dataclasses.replace(FRAMES, modality=modality)
    footage = open_whole(video, frames=frames)
    clips = clip_set([whole_video(video)], classes={0: "x"})
    with clip_batches(clips, frames=frames, augment=None, numbers=[[0]], seed=0, epoch=0, num_workers=0) as batches:
        wanted = to_model(next(batches), frames=frames, device="cpu")
    middle = (footage.num_frames - frames.num_spanned) // 2
    windows = windows_of(
        start_us=0, end_us=footage.num_frames * 100_000, num_frames=footage.num_frames, frames=frames,
        stride_us=footage.num_frames * 100_000,
    )  # fmt: skip
    assert abs(windows[0].first - middle) <= 1
    ((some, (batch,)),) = window_batches(
        footage, [type(windows[0])(start_us=0, end_us=1, first=middle, seen_start_us=0, seen_end_us=1)],
        frames=frames, crops=1,
    )  # fmt: skip
    assert len(some) == 1
    assert torch.equal(to_model(batch, frames=frames, device="cpu"), wanted)


def test_batches_hold_a_bounded_number_of_windows_and_all_of_them_once(tmp_path):
    video = write_levels(tmp_path / "v.mp4", [0, 80, 160, 240] * 5)
    footage = open_whole(video, frames=FRAMES)
    windows = windows_of(start_us=0, end_us=20_000_000, num_frames=200, frames=FRAMES, stride_us=500_000)
    seen = []
    for some, (batch,) in window_batches(footage, windows, frames=FRAMES, crops=1):
        assert len(some) == len(batch.numbers) <= 16
        assert batch.pixels_BTHWC.shape[1:] == (4, 16, 16, 3)
        seen += some
    assert tuple(seen) == windows


@pytest.mark.parametrize(("crops", "num"), [(1, 1), (3, 3), (10, 10)])
def test_every_crop_is_a_batch(tmp_path, crops, num):
    video = write_levels(tmp_path / "v.mp4", [0, 80])
    windows = windows_of(start_us=0, end_us=2_000_000, num_frames=20, frames=FRAMES, stride_us=1_000_000)
    footage = open_whole(video, frames=FRAMES)
    ((_, batches),) = window_batches(footage, windows, frames=FRAMES, crops=crops)
    assert len(batches) == num
    levels = [to_model(batch, frames=FRAMES, device="cpu").mean(dim=(1, 2, 3, 4)).numpy() for batch in batches]
    for values_B in levels:
        np.testing.assert_allclose(values_B, [-1, 80 / 255 * 2 - 1], atol=0.05)
