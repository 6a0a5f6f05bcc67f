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
BLOCK = 256
"""Clips a side of a block: with 51 views 13 MB of vectors, and as much of products."""


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


def pairs_by_views(views_NVD: Floats, rows_R: Ints, *, min_cosine: float, block: int = BLOCK) -> Pairs:
    """Pairs of clips of which one whole picture and one view of the other have a cosine of `min_cosine` or more.

    Memory holds the views of two blocks of clips and their products, beside the pairs.

    Args:
        views_NVD: float32 [N, V, D], may be memory-mapped.
        rows_R: the clips that are compared, ascending.
        min_cosine: from which two clips are a pair.
        block: clips a side of a block.
    """
    parts: list[tuple[Ints, Ints, npt.NDArray[np.float64]]] = []
    for top, left, cosine_BC in _blocks(views_NVD, rows_R, block):
        i, j = np.nonzero(cosine_BC >= min_cosine)
        later = top + i < left + j
        i, j = i[later], j[later]
        parts.append((rows_R[top + i], rows_R[left + j], np.minimum(cosine_BC[i, j], 1.0).astype(np.float64)))
    if not parts:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
    a_P, b_P, cosine_P = (np.concatenate([part[place] for part in parts]) for place in range(3))
    order = np.lexsort((b_P, a_P))
    return Pairs(a_P[order], b_P[order], cosine_P[order])


def least_by_views(views_NVD: Floats, rows_R: Ints, *, block: int = BLOCK) -> float:
    """The lowest cosine of any two of the clips, of each two the highest of a whole picture and a view of the other."""
    return min(1.0, *(float(cosine_BC.min()) for _, _, cosine_BC in _blocks(views_NVD, rows_R, block)))


def _blocks(views_NVD: Floats, rows_R: Ints, block: int) -> Iterator[tuple[int, int, Floats]]:
    """Where two blocks of clips begin, and the cosines of each two of them, float32 [B, C]; each two blocks once."""
    for top in range(0, len(rows_R), block):
        some_BVD = _unit(np.asarray(views_NVD[rows_R[top : top + block]]))
        for left in range(top, len(rows_R), block):
            other_CVD = some_BVD if left == top else _unit(np.asarray(views_NVD[rows_R[left : left + block]]))
            one_BC, two_CB = _highest(some_BVD, other_CVD[:, 0]), _highest(other_CVD, some_BVD[:, 0])
            yield top, left, np.maximum(one_BC, two_CB.T)


def _highest(views_BVD: Floats, whole_CD: Floats) -> Floats:
    """Of each clip's views the highest cosine with each whole picture, float32 [B, C]."""
    flat = views_BVD.reshape(-1, views_BVD.shape[2]) @ whole_CD.T
    return flat.reshape(*views_BVD.shape[:2], -1).max(axis=1)


def _unit(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
