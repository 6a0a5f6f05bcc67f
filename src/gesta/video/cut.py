"""Clips cut out of a video for the browser: muted, constant rate, H.264, every frame the right one."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from gesta.schema import US_PER_S, BadInput, format_seconds
from gesta.video.encode import write_video
from gesta.video.pixels import Frame
from gesta.video.probe import PacketIndex, index_packets
from gesta.video.read import decode_frames, output_size

_RATE = Fraction(25)
_GOP = 12
"""Frames from one sync frame to the next: a browser seeks within it in about 30 ms. Source: ours, measured in Chromium
(27 ms median at 12, 170 ms at 250)."""


def cut_clip(
    source: Path,
    target: Path,
    *,
    start_us: int,
    end_us: int,
    fps: Fraction = _RATE,
    short_side_px: int | None = None,
    index: PacketIndex | None = None,
) -> Path:
    """`target`, a muted H.264 clip of constant rate that shows `[start_us, end_us)` of `source`; appears whole.

    Frame k is the one that `source` shows at `start_us + k / fps` seconds, rotated as displayed, so that dropped and
    doubled frames follow the source's own times. It has `round(fps * seconds)` frames, at least one.

    Args:
        start_us, end_us: on the player's clock; what lies outside the video is left off.
        short_side_px: resize (by area) so that the shorter side has this many px; both sides are made even, as
            yuv420p needs.
        index: what `index_packets` gives; read from the file when None.
    Raises:
        BadVideo: the file cannot be opened, or a frame of the stretch cannot be decoded.
        BadInput: the stretch is empty or wholly outside the video, `fps` is not above 0, or `short_side_px` below 1.
    """
    if start_us >= end_us:
        raise BadInput(f"the stretch from {start_us} to {end_us} us is empty", where=source, mend="Want start < end")
    if fps <= 0:
        raise BadInput(f"fps {fps}", where=source, mend="Want above 0")
    known = index_packets(source) if index is None else index
    low_us, high_us = max(start_us, known.start_us), min(end_us, known.end_us)
    if low_us >= high_us:
        asked = f"{format_seconds(start_us, decimals=3)} to {format_seconds(end_us, decimals=3)} s"
        raise BadInput(
            f"nothing of {asked} is in the video",
            where=source,
            mend=f"It lasts from {format_seconds(known.start_us)} to {format_seconds(known.end_us)} s",
        )
    num_frames = max(1, round(Fraction(high_us - low_us, US_PER_S) * fps))
    instants_us = [low_us + round(k * US_PER_S / fps) for k in range(num_frames)]
    width_px, height_px = output_size(known, short_side_px)
    size = (max(2, width_px // 2 * 2), max(2, height_px // 2 * 2))
    return write_video(target, _held(source, known, instants_us, size=size), fps=fps, gop=_GOP)


def _held(source: Path, index: PacketIndex, instants_us: list[int], *, size: tuple[int, int]) -> Iterator[Frame]:
    """The frame shown at each instant (ascending), decoded once and repeated while it is on screen."""
    numbers, counts = np.unique(index.frames_at(instants_us), return_counts=True)
    for (_, picture), count in zip(decode_frames(source, index, numbers, size=size), counts, strict=True):
        for _ in range(count):
            yield picture
