"""Small films whose pictures tell their time and place, and the files that AVA would have for them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from gesta.train.clips import ClipFrames
from gesta.video import write_video

SMALL = ClipFrames(num_frames=8, rate=30, stride=4, side="short", side_px=64, crop_px=64)


def pictures(number: int, *, num_frames: int, width_px: int = 96, height_px: int = 64) -> list[np.ndarray]:
    """Frames with a texture that moves to the right by a pixel a frame, of another brightness for each number."""
    rng = np.random.default_rng(number)
    texture = np.repeat(np.repeat(rng.integers(40, 200, size=(height_px // 8, width_px // 8)), 8, axis=0), 8, axis=1)
    frames = [np.roll(texture, time, axis=1) for time in range(num_frames)]
    return [np.repeat(frame[..., None], 3, axis=2).astype(np.uint8) for frame in frames]


def film(path: Path, *, seconds: float, fps: Fraction = Fraction(30), number: int = 0, size=(96, 64)) -> Path:
    """A film of that length at that path."""
    frames = pictures(number, num_frames=round(seconds * fps), width_px=size[0], height_px=size[1])
    return write_video(path, frames, fps=fps)
