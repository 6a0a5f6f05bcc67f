"""The compiled loop that compares tiles of quantised vectors: all pairs that may be near, and few more.

Legend: M = vectors in the order of the tiles, W = words of a vector, P = panels, T = tiles, H = hits, K = lanes of a
tile.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from gesta.curate.near_lanes import LANES, WORDS, add_lanes, lanes_that_reach

Rows = npt.NDArray[np.int32]

TILE = 512
"""Vectors of a tile: one panel of them is 32 KB, which stays in the nearest cache."""
GROUPS = TILE // LANES


@numba.njit(cache=True, nogil=True, inline="always")
def _words_of(words_MW: Rows, row: int, panel: int) -> Any:
    w = words_MW[row, panel * WORDS : panel * WORDS + WORDS]
    return (
        w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], w[12], w[13], w[14], w[15],
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _still_reaching(
    found: int, group: int, row: int, words_MW: Rows, norm_MP: Rows, width_P: Rows, addresses: tuple[int, ...],
    num_first: int,
) -> int:  # fmt: skip
    """The lanes of `found` that reach the limit in each further panel too."""
    panels, offsets, zeros, sums = addresses
    start = zeros if num_first == 1 else sums
    own = sums + 4 * TILE
    num_panels = len(width_P)
    add_lanes(panels + (num_first - 1) * 64 * TILE, start, own, group, _words_of(words_MW, row, num_first - 1))
    for panel in range(num_first, num_panels):
        words = _words_of(words_MW, row, panel)
        limit = np.int32((norm_MP[row, panel] - width_P[panel]) >> 1)
        at = panels + panel * 64 * TILE
        found &= lanes_that_reach(at, own, offsets + panel * 4 * TILE, group, limit, words)
        if found == 0 or panel == num_panels - 1:
            break
        add_lanes(at, own, own, group, words)
    return found


@numba.njit(cache=True, nogil=True)
def scan_tiles(
    tile: int, others_T: Rows, width_TP: Rows, words_MW: Rows, norm_MP: Rows, addresses: tuple[int, ...],
    num_first: int, first_row: int, hits_2H: Rows,
) -> tuple[int, int, int]:  # fmt: skip
    """Pairs of `tile` with `others_T` that may be near: how many, and the place in `others_T` and row to go on from.

    Args:
        tile: the tile whose panels lie at `addresses`.
        others_T: int32 [T], tiles up to `tile` itself.
        width_TP: int32 [T, P], for each of `others_T` the highest squared distance in the panels up to each, in squared
            steps of the quantisation.
        words_MW: int32 [M, W], the vectors' bytes as unsigned, four a word.
        norm_MP: int32 [M, P], squared lengths over the panels up to each.
        addresses: of panels int8 [P, groups, words, lanes, 4], of offsets int32 [P, K], of zeros int32 [K] and of
            int32 [2, K] to work in.
        num_first: panels that are always added up before the first look.
        first_row: from where in the first of `others_T` to go on; 0 = from its beginning.
        hits_2H: int32 [2, H], filled with the vectors' places, the one of `others_T` first; H >= `TILE`.
    """
    panels, offsets, zeros, sums = addresses
    num = 0
    for number in range(len(others_T)):
        other = others_T[number]
        last = num_first - 1
        for row in range(max(first_row, other * TILE), min((other + 1) * TILE, len(words_MW))):
            if hits_2H.shape[1] - num < TILE:
                return num, number, row
            start = zeros
            for panel in range(last):
                words = _words_of(words_MW, row, panel)
                for group in range(GROUPS):
                    add_lanes(panels + panel * 64 * TILE, start, sums, group, words)
                start = sums
            words = _words_of(words_MW, row, last)
            limit = np.int32((norm_MP[row, last] - width_TP[number, last]) >> 1)
            for group in range(GROUPS):
                found = lanes_that_reach(
                    panels + last * 64 * TILE, start, offsets + last * 4 * TILE, group, limit, words
                )
                if found != 0 and len(width_TP[number]) > num_first:
                    found = _still_reaching(
                        found, group, row, words_MW, norm_MP, width_TP[number], addresses, num_first
                    )
                place = tile * TILE + group * LANES
                while found != 0:
                    if found & 1 and place > row:
                        hits_2H[0, num] = row
                        hits_2H[1, num] = place
                        num += 1
                    found >>= 1
                    place += 1
        first_row = 0
    return num, len(others_T), 0
