"""A whole video as overlapping windows of a clip model, each frame decoded about once, a bounded part in memory.

The video is resampled by time to the model's rate from its first frame on; windows are cut out of these frames.

Shapes: B windows, T frames, H and W px, C = 3 (RGB) or 2 (flow, coded), 4 = top left height width in px.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gesta.predict.clip_test import view_windows
from gesta.schema import US_PER_S, BadInput
from gesta.train.clips import UNTIL_END_US, ClipBatch, ClipExample, ClipFrames, open_footage
from gesta.train.clips.augment import Window
from gesta.train.clips.footage import Footage
from gesta.video import strided_frames

_BATCH_BYTES = 64 * 2**20
_MAX_WINDOWS = 16
"""Pixels of a batch at most, and its windows. Source: ours; what a model keeps of them is a multiple of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoWindow:
    """A part of the timeline, `[start_us, end_us)`, and the frames that speak for it.

    `first` is the first frame shown, counted at the model's rate from the video's start; the model sees the time from
    `seen_start_us` to `seen_end_us`.
    """

    start_us: int
    end_us: int
    first: int
    seen_start_us: int
    seen_end_us: int


def whole_video(video: Path) -> ClipExample:
    """All of a video as an unlabelled clip."""
    return ClipExample(clip_id=video.stem, video_id=video.stem, path=video, start_us=0, end_us=UNTIL_END_US, label=0)


def windows_of(
    *, start_us: int, end_us: int, num_frames: int, frames: ClipFrames, stride_us: int
) -> tuple[VideoWindow, ...]:
    """One window every `stride_us`, in order of time; together they cover the video, the last up to its end.

    The frames shown lie around the middle of the window, moved inwards at the ends of the video; a video that is too
    short is looped.

    Args:
        start_us: of the video.
        end_us: of the video.
        num_frames: of the video at the model's rate.
        frames: what the model is shown.
        stride_us: from one window to the next.
    Raises:
        BadInput: `stride_us` is below 1, or the video is empty.

    >>> frames = ClipFrames(num_frames=16)
    >>> [
    ...     (each.start_us, each.end_us, each.first)
    ...     for each in windows_of(start_us=0, end_us=2_400_000, num_frames=60, frames=frames, stride_us=1_000_000)
    ... ]
    [(0, 1000000, 5), (1000000, 2400000, 35)]
    """
    if stride_us < 1 or start_us >= end_us or num_frames < 1:
        raise BadInput(f"windows every {stride_us} us from {start_us} to {end_us} us", mend="Want more than 0")
    # A rest shorter than half a stride belongs to the window before it.
    starts = range(start_us, max(start_us + 1, end_us - stride_us // 2), stride_us)
    ends = [*starts[1:], end_us]
    rate, span = frames.exact_rate, frames.num_spanned
    last = max(0, num_frames - span)
    windows = []
    for low_us, high_us in zip(starts, ends, strict=True):
        middle = ((low_us + high_us) // 2 - start_us) * rate / US_PER_S
        # Half a frame counts up everywhere: Python's `round` would take the even neighbour, now earlier, now later.
        first = min(last, max(0, int((2 * middle - span + 1) // 2)))
        seen_us = start_us + round(first * US_PER_S / rate)
        windows.append(
            VideoWindow(
                start_us=low_us,
                end_us=high_us,
                first=first,
                seen_start_us=seen_us,
                seen_end_us=min(end_us, seen_us + round(span * US_PER_S / rate)),
            )
        )
    return tuple(windows)


def open_whole(video: Path, *, frames: ClipFrames) -> Footage:
    """The whole video as frames at the model's rate, nothing decoded yet.

    Raises:
        BadVideo: it cannot be opened.
    """
    return open_footage(whole_video(video), frames=frames)


def window_batches(
    footage: Footage, windows: Sequence[VideoWindow], *, frames: ClipFrames, crops: int
) -> Iterator[tuple[tuple[VideoWindow, ...], list[ClipBatch]]]:
    """Some windows at a time, and their pixels: a batch for each crop, its clips in the order of the windows.

    Frames that windows of a batch share are decoded once.

    Raises:
        BadVideo: a frame cannot be decoded.
        BadInput: `crops` is none of 1, 3 and 10.
    """
    width_px, height_px = footage.size_px
    views = view_windows(width_px=width_px, height_px=height_px, crop_px=frames.crop_px, crops=crops)
    whole = Window(top_px=0, left_px=0, height_px=height_px, width_px=width_px)
    # One crop alone is cut while decoding; of several, whole frames are kept.
    part, corners = (views[0][0], [(0, 0)]) if crops == 1 else (whole, [(v.top_px, v.left_px) for v, _ in views])
    window_bytes = frames.num_frames * part.height_px * part.width_px * frames.num_channels
    size = max(1, min(_MAX_WINDOWS, _BATCH_BYTES // window_bytes))
    for start in range(0, len(windows), size):
        some = tuple(windows[start : start + size])
        numbers_BT = [
            strided_frames(
                window.first, num_total=footage.num_frames, num_frames=frames.num_frames, stride=frames.stride
            )
            for window in some
        ]
        pixels = footage.read(np.concatenate(numbers_BT), window=part)
        pixels_BTHWC = torch.from_numpy(pixels.reshape(len(some), frames.num_frames, *pixels.shape[1:]))
        numbers = tuple(range(len(some)))
        yield (
            some,
            [
                ClipBatch(
                    numbers=numbers,
                    shown=numbers,
                    pixels_BTHWC=pixels_BTHWC,
                    crops_B4=torch.tensor([[top_px, left_px, frames.crop_px, frames.crop_px]] * len(some)),
                    flips_B=torch.full((len(some),), is_flipped),
                    colors_B3=None,
                    labels_B=torch.zeros(len(some), dtype=torch.int64),
                )
                for (top_px, left_px), (_, is_flipped) in zip(corners, views, strict=True)
            ],
        )
