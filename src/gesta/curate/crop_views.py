"""The perceptual hash of a clip and of parts of its picture, so that a cropped copy meets the part that it shows.

Legend: F = frames, V = views (the whole picture first, then its parts), D = length of a vector, N = clips.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from gesta.curate.clip_features import NUM_FRAMES, SIDE_PX, whole_pictures
from gesta.curate.nearest import Pairs
from gesta.curate.trunks import HASH_SIDE, hashes_of_grays
from gesta.video import read_frames
from gesta.video.sampling import uniform_times

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

PART_SIZES, PART_STEP = (0.82, 0.86, 0.9), 0.05
"""Sides of the parts, as shares of the picture's, and the greatest step from one to the next. Source: ours,
`benchmarks/copies.py`: the hash bears a misfit of half a step; uploaders crop away a tenth or a fifth."""
PICTURE_PX = 128
BLOCK = 64
"""Clips whose views are compared with all others at once."""


@functools.cache
def part_boxes() -> tuple[tuple[float, float, float], ...]:
    """Top, left and side of each part, as shares of the picture's height and width.

    >>> len(part_boxes()), part_boxes()[0], part_boxes()[-1]
    (50, (0.0, 0.0, 0.82), (0.1, 0.1, 0.9))
    """
    found = []
    for side in PART_SIZES:
        places = [round(float(p), 4) for p in np.linspace(0, 1 - side, math.ceil(round((1 - side) / PART_STEP, 6)) + 1)]
        found += [(top, left, side) for top in places for left in places]
    return tuple(found)


def clip_views(path: Path, start_us: int, end_us: int) -> Floats:
    """The hash of the clip and of each part of its picture, the mean over 25 frames, float32 [V, D].

    Raises:
        BadVideo: the file cannot be decoded.
    Source: Kinetics-400, section 3.4, for the frames and their mean; the parts: ours.
    """
    frames = read_frames(path, uniform_times(start_us, end_us, num_frames=NUM_FRAMES), short_side_px=SIDE_PX)
    return views_of_frames(whole_pictures(frames))


def views_of_frames(frames_FHW3: npt.NDArray[np.uint8]) -> Floats:
    """The hash of the frames and of each part of them, the mean over the frames, float32 [V, D]."""
    size = (PICTURE_PX, PICTURE_PX)
    pictures = [
        cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA) for f in frames_FHW3
    ]
    small = []
    for top, left, side in ((0.0, 0.0, 1.0), *part_boxes()):
        y, x, px = round(top * PICTURE_PX), round(left * PICTURE_PX), round(side * PICTURE_PX)
        small += [
            cv2.resize(picture[y : y + px, x : x + px], (HASH_SIDE, HASH_SIDE), interpolation=cv2.INTER_AREA)
            for picture in pictures
        ]
    hashes = hashes_of_grays(np.stack(small).astype(np.uint8))
    return hashes.reshape(1 + len(part_boxes()), len(pictures), -1).mean(axis=1, dtype=np.float64).astype(np.float32)


def pairs_by_views(views_NVD: Floats, rows_R: Ints, *, min_cosine: float) -> Pairs:
    """Pairs of clips of which one whole picture and one view of the other have a cosine of `min_cosine` or more.

    Args:
        views_NVD: float32 [N, V, D], may be memory-mapped.
        rows_R: the clips that are compared, ascending.
        min_cosine: from which two clips are a pair.
    """
    best: dict[tuple[int, int], float] = {}
    for top, cosine_BR in _blocks(views_NVD, rows_R):
        i, j = np.nonzero(cosine_BR >= min_cosine)
        for a, b, value in zip(rows_R[top + i].tolist(), rows_R[j].tolist(), cosine_BR[i, j].tolist(), strict=True):
            if a != b:
                key = (min(a, b), max(a, b))
                best[key] = max(best.get(key, -1.0), value)
    keys = sorted(best)
    a_P, b_P = (np.array([key[side] for key in keys], dtype=np.int64) for side in (0, 1))
    return Pairs(a_P, b_P, np.array([min(best[key], 1.0) for key in keys], dtype=np.float64))


def least_by_views(views_NVD: Floats, rows_R: Ints) -> float:
    """The lowest cosine of any two of the clips, of each two the highest of a whole picture and a view of the other."""
    cosine_RR = np.concatenate([cosine_BR for _, cosine_BR in _blocks(views_NVD, rows_R)])
    return float(min(1.0, np.maximum(cosine_RR, cosine_RR.T).min()))


def _blocks(views_NVD: Floats, rows_R: Ints) -> Iterator[tuple[int, Floats]]:
    """Of some clips at a time the highest cosine of any view with each clip's whole picture, float32 [B, R]."""
    whole_RD = _unit(np.asarray(views_NVD[rows_R, 0]))
    for top in range(0, len(rows_R), BLOCK):
        some_BVD = _unit(np.asarray(views_NVD[rows_R[top : top + BLOCK]]))
        flat = some_BVD.reshape(-1, some_BVD.shape[2]) @ whole_RD.T
        yield top, flat.reshape(*some_BVD.shape[:2], -1).max(axis=1)


def _unit(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
