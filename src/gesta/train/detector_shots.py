"""Frames of a rendered world with their people, and the changes that make many of few.

Shapes: H, W = pixels; C = 3 (RGB); K boxes of a frame; 4 = x1 y1 x2 y2.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput, BadVideo
from gesta.tables import read_table
from gesta.video import index_packets, read_frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """How far frames are changed before they are learned from; every number is ours."""

    canvas_height_px: int = 160
    canvas_width_px: int = 192
    scale: tuple[float, float] = (0.85, 1.2)
    stretch: float = 0.05  # of either side against the other
    min_visible_share: float = 0.3  # a box cut to less of its area is left out
    gain: float = 0.3  # of each colour, and of the contrast
    shift: float = 0.15  # of brightness, part of the whole range
    swapped_share: float = 0.5  # frames whose three colours are dealt anew
    negative_share: float = 0.1
    gray: int = 115  # of what lies outside the frame; Preprocessing.mean of 255


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame, uint8 [H, W, 3] RGB, and its people's boxes, float64 [K, 4] as fractions of the frame."""

    frame_HWC: npt.NDArray[np.uint8]
    boxes_K4: npt.NDArray[np.float64]


def read_shots(world: Path, *, num_frames: int, seed: int, threads: int = 1) -> tuple[list[Shot], int]:
    """About `num_frames` frames of the world's readable videos with their true boxes, and the videos that failed.

    Each video gives as many, evenly spread over it from a random beginning.

    Raises:
        MissingTable: the world has no truth.
        BadInput: not one video could be read.
    """
    videos = read_table(world, "truth_videos")
    videos = videos.filter(videos["is_readable"])
    boxes = read_table(world, "truth_boxes").partition_by("video_id", as_dict=True)
    rng = np.random.default_rng(seed)
    each = -(-num_frames // max(len(videos), 1))
    todo = [
        (world / path, boxes.get((video_id,)), rng.uniform())
        for video_id, path in videos.select("video_id", "path").iter_rows()
    ]
    with ThreadPoolExecutor(threads) as pool:
        read = list(pool.map(lambda one: _shots_of(*one, num_frames=each), todo))
    shots = [shot for found in read if found is not None for shot in found]
    if not shots:
        raise BadInput("not one of its videos can be read", where=world, mend="Render it again with `gesta world`")
    return shots, sum(found is None for found in read)


def _shots_of(path: Path, boxes: Any, phase: float, *, num_frames: int) -> list[Shot] | None:
    """The frames of one video and their boxes; None where it cannot be decoded."""
    try:
        index = index_packets(path)
        num_there = len(index.times_us)
        numbers = np.unique(((np.arange(num_frames) + phase) * num_there / num_frames).astype(int))
        frames = read_frames(path, index.times_us[numbers], index=index)
    except BadVideo:
        return None
    by_number: dict[int, list[tuple[float, ...]]] = {}
    if boxes is not None:
        # A truth's time may differ from the packet's in its last microsecond.
        for number, corners in zip(
            index.frames_at(boxes["timestamp_us"].to_numpy()),
            boxes.select("x1", "y1", "x2", "y2").iter_rows(),
            strict=True,
        ):
            by_number.setdefault(int(number), []).append(corners)
    return [
        Shot(frame, np.array(by_number.get(int(number), []), dtype=np.float64).reshape(-1, 4))
        for number, frame in zip(numbers, frames, strict=True)
    ]


def change_shot(shot: Shot, changes: Changes, rng: np.random.Generator, *, long_side_px: int) -> Shot:
    """The shot scaled, moved, mirrored and recoloured on the canvas; its boxes [K', 4] in pixels of the canvas.

    People cut to less than `min_visible_share` of their box are left out; others' boxes end at the canvas's edge, as
    the world's truth ends at the frame's.

    Args:
        long_side_px: of the frame before it is scaled at random.
    """
    height, width = shot.frame_HWC.shape[:2]
    scale = long_side_px / max(height, width) * np.exp(rng.uniform(*np.log(changes.scale)))
    sides_2 = scale * np.exp(rng.uniform(-changes.stretch, changes.stretch) * np.array([0.5, -0.5]))
    canvas_2 = np.array([changes.canvas_width_px, changes.canvas_height_px])
    free_2 = canvas_2 - sides_2 * [width, height]
    shift_2 = rng.uniform(np.minimum(free_2, 0), np.maximum(free_2, 0))
    if rng.uniform() < 0.5:
        sides_2[0], shift_2[0] = -sides_2[0], canvas_2[0] - shift_2[0]
    frame_HWC = cv2.warpAffine(
        shot.frame_HWC,
        np.array([[sides_2[0], 0, shift_2[0]], [0, sides_2[1], shift_2[1]]]),
        (changes.canvas_width_px, changes.canvas_height_px),
        flags=cv2.INTER_LINEAR,
        borderValue=(changes.gray,) * 3,
    )
    ends_K22 = (shot.boxes_K4 * [width, height, width, height]).reshape(-1, 2, 2) * sides_2 + shift_2
    ends_K22.sort(axis=1)
    seen_K22 = np.clip(ends_K22, 0, canvas_2)
    whole_K2, seen_K2 = np.diff(ends_K22, axis=1)[:, 0], np.diff(seen_K22, axis=1)[:, 0]
    is_kept = (seen_K2.prod(axis=1) >= changes.min_visible_share * whole_K2.prod(axis=1)) & (seen_K2 >= 2).all(axis=1)
    recoloured_HWC = _recoloured(np.asarray(frame_HWC, dtype=np.uint8), changes, rng)
    return Shot(recoloured_HWC, seen_K22[is_kept].reshape(-1, 4))


def _recoloured(frame_HWC: npt.NDArray[np.uint8], changes: Changes, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    if rng.uniform() < changes.swapped_share:
        frame_HWC = np.ascontiguousarray(frame_HWC[:, :, rng.permutation(3)])
    gain_3 = (1 + rng.uniform(-changes.gain, changes.gain, 3)) * (1 + rng.uniform(-changes.gain, changes.gain))
    shift = 255 * rng.uniform(-changes.shift, changes.shift)
    curve_256x3 = np.clip((np.arange(256)[:, None] - 127.5) * gain_3 + 127.5 + shift, 0, 255).astype(np.uint8)
    if rng.uniform() < changes.negative_share:
        curve_256x3 = 255 - curve_256x3
    return np.asarray(cv2.LUT(frame_HWC, curve_256x3[None]), dtype=np.uint8)
