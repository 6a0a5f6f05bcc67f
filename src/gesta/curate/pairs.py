"""Which clips may show the same footage: pairs of clips whose most alike frames have a high cosine.

Legend: F = frames of all clips, D = length of a vector, P = pairs of clips.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ClipPairs:
    """Pairs of clips.

    Attributes:
        a_P: int64 [P], number of the one clip; below the other's.
        b_P: int64 [P], number of the other.
        cosine_P: float32 [P], the highest cosine of a frame of the one and a frame of the other.
    """

    a_P: Ints
    b_P: Ints
    cosine_P: Floats


def alike_pairs(
    vectors_FD: Floats, clip_F: Ints, *, group_of_clip: Ints, min_cosine: float, block: int = 2048
) -> ClipPairs:
    """Pairs of clips of different groups with frames of cosine `min_cosine` or more, sorted by (a, b).

    Exact: every frame is compared with every other, `block` x `block` at a time, so memory stays small.

    Args:
        vectors_FD: float32 [F, D], of length 1.
        clip_F: int64 [F], the clip each frame is of, ascending, from 0.
        group_of_clip: int64, one a clip: clips of one group (one video) are not compared.
        min_cosine: least cosine that makes a pair.
        block: frames a side of a block.
    Source: the Kinetics-400 paper, section 3.4 (cosine of features above a threshold); the blocks are ours.
    """
    num_frames, num_clips = len(vectors_FD), len(group_of_clip)
    keys: list[Ints] = []
    values: list[Floats] = []
    for top in range(0, num_frames, block):
        rows = vectors_FD[top : top + block]
        for left in range(top, num_frames, block):
            cosines = rows @ vectors_FD[left : left + block].T
            i, j = np.nonzero(cosines >= min_cosine)
            one, other = clip_F[top + i], clip_F[left + j]
            wanted = group_of_clip[one] != group_of_clip[other]
            low, high = np.minimum(one, other)[wanted], np.maximum(one, other)[wanted]
            keys.append(low * num_clips + high)
            values.append(cosines[i[wanted], j[wanted]])
    if not keys:
        return ClipPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    key, value = np.concatenate(keys), np.concatenate(values)
    unique, inverse = np.unique(key, return_inverse=True)
    best = np.full(len(unique), -1, dtype=np.float32)
    np.maximum.at(best, inverse, value)
    return ClipPairs(unique // max(1, num_clips), unique % max(1, num_clips), best)
