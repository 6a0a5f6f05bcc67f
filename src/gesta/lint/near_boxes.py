"""Pairs of boxes that all but equal each other, without looking at all pairs."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MIN_SAME_IOU = 0.9
"""Overlap from which two boxes of a key-frame are thought to be one person. Source: ours; of the 16,558 boxes of half
of AVA-Kinetics val four pairs overlap so, two of them all but wholly; of 5,367 of AVA v2.1 none overlap by 0.6."""


@numba.njit(cache=True, nogil=True)
def near_partners(key_N: Ints, row_N: Ints, boxes_N4: Floats) -> tuple[Ints, Floats]:
    """For each box the row of the first earlier box that it all but equals (-1: none), [N], and their overlap, [N].

    Boxes are sorted by key and left side: of two that overlap by `t`, the second begins within `1 - t` of the first's
    width, and so few pairs are looked at.
    """
    num = len(key_N)
    partner_N = np.full(num, -1, np.int64)
    overlap_N = np.zeros(num)
    for i in range(num):
        ax1, ay1, ax2, ay2 = boxes_N4[i, 0], boxes_N4[i, 1], boxes_N4[i, 2], boxes_N4[i, 3]
        reach = (1 - MIN_SAME_IOU) * (ax2 - ax1) + 1e-12
        for j in range(i + 1, num):
            bx1, by1, bx2, by2 = boxes_N4[j, 0], boxes_N4[j, 1], boxes_N4[j, 2], boxes_N4[j, 3]
            if key_N[j] != key_N[i] or bx1 - ax1 > reach:
                break
            shared = max(0.0, min(ax2, bx2) - max(ax1, bx1)) * max(0.0, min(ay2, by2) - max(ay1, by1))
            union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared
            if shared <= 0.0 or shared < MIN_SAME_IOU * union:
                continue
            late, early = (i, j) if row_N[i] > row_N[j] else (j, i)
            if partner_N[late] < 0 or row_N[early] < partner_N[late]:
                partner_N[late] = row_N[early]
                overlap_N[late] = shared / union
    return partner_N, overlap_N
