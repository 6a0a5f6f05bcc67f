"""Candidates for near pairs from plain products of blocks: single precision, with a margin that rounding cannot cross.

Legend: N = vectors, D = their length, P = pairs, R = rows that are compared with each other, I J = a block's sides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gesta.curate.near_kernels import norms_of, scan_block
from gesta.schema import BadInput

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32] | npt.NDArray[np.int64]

_STRIP = 128
"""Rows of a strip of a product of a matrix with itself. Source: ours, the fastest of 128 to 465 for classes of 929."""
_FAINT, _STRONG = 1e-9, 1e9
"""Lengths between which products of single precision neither vanish nor overflow; others are scaled first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidates:
    """Pairs that may be near, of one block.

    Attributes:
        a_P, b_P: int64 [P], the numbers of the vectors.
        rows_ID, columns_JD: the block's vectors.
        i_P, j_P: int32 or int64 [P], where among the rows and the columns the two are.
        sure_P: bool [P], the cosine is above the threshold by more than rounding.
    """

    a_P: Ints
    b_P: Ints
    rows_ID: Floats
    columns_JD: Floats
    i_P: Places
    j_P: Places
    sure_P: npt.NDArray[np.bool_]


def rounding_margin(num_dims: int) -> float:
    """How far a cosine from products in single precision can be from the true one.

    Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), section 3.1: a sum of n products in any
    order errs by n u / (1 - n u) of the product of lengths, u = 2 ** -24; sixteen more steps for lengths and limits.

    >>> round(rounding_margin(1024) * 1e5, 1)
    6.2
    """
    steps = (num_dims + 16) * 2.0**-24
    return steps / (1 - steps)


class Space:
    """Memory for one block's products and hits, used again by every block."""

    def __init__(self, block: int) -> None:
        self.products = np.empty(block * block, np.float32)
        self.hits_2H = np.empty((2, block * block), np.int32)


def near_in_blocks(
    vectors_ND: Floats,
    rows_R: Ints,
    *,
    min_cosine: float,
    block: int,
    space: Space | None = None,
    tops: range | None = None,
) -> Iterator[Candidates]:
    """Candidates among the vectors `rows_R`, block by block: all pairs whose cosine reaches `min_cosine`, and few more.

    Args:
        vectors_ND: float32 [N, D], finite; may be memory-mapped.
        rows_R: int64 [R], ascending.
        block: vectors a side.
        space: memory to work in, made for at least as many a side; None = made here.
        tops: the rows of blocks that are compared with themselves and all after them; None = all.
    Raises:
        BadInput: a vector is not finite.
    """
    memory = space or Space(min(block, len(rows_R)))
    margin = rounding_margin(vectors_ND.shape[1])
    starts = range(0, len(rows_R), block)
    for top in starts if tops is None else starts[tops.start : tops.stop]:
        rows_ID, even_ID, norm_I = one = _loaded(vectors_ND, rows_R[top : top + block])
        for left in range(top, len(rows_R), block):
            columns_JD, even_JD, norm_J = one if left == top else _loaded(vectors_ND, rows_R[left : left + block])
            products_IJ = memory.products[: len(rows_ID) * len(columns_JD)].reshape(len(rows_ID), len(columns_JD))
            diagonal = 1 if left == top else -block
            _multiply(even_ID, even_JD, products_IJ, is_same=left == top)
            num = scan_block(products_IJ, norm_I, norm_J, min_cosine - margin, diagonal, memory.hits_2H)
            if not num:
                continue
            i_P, j_P = memory.hits_2H[:, :num]
            sure_P = products_IJ[i_P, j_P] > (min_cosine + margin) * norm_I[i_P] * norm_J[j_P]
            yield Candidates(
                a_P=rows_R[top + i_P], b_P=rows_R[left + j_P], rows_ID=rows_ID, columns_JD=columns_JD,
                i_P=i_P, j_P=j_P, sure_P=sure_P,
            )  # fmt: skip


def _multiply(even_ID: Floats, even_JD: Floats, products_IJ: Floats, *, is_same: bool) -> None:
    """Put the products of rows and columns into `products_IJ`; where both are the same, only above the diagonal."""
    if not is_same:
        np.matmul(even_ID, even_JD.T, out=products_IJ)
        return
    # In strips: a product of a matrix with itself takes half the multiplications, but then copies the other half.
    for start in range(0, len(even_ID), _STRIP):
        strip = slice(start, start + _STRIP)
        np.matmul(even_ID[strip], even_ID[strip].T, out=products_IJ[strip, strip])
        if start + _STRIP < len(even_ID):
            rest = slice(start + _STRIP, None)
            np.matmul(even_ID[strip], even_ID[rest].T, out=products_IJ[strip, rest])


def _loaded(vectors_ND: Floats, rows_R: Ints) -> tuple[Floats, Floats, Floats]:
    """The vectors; the same, scaled where their products would vanish or overflow; the lengths of the latter.

    A zero vector's length is said to be infinite, so that it is near nothing.
    """
    first, last = int(rows_R[0]), int(rows_R[-1])
    # A view where the rows lie together: reading a mapped file then copies nothing.
    taken_RD = vectors_ND[first : last + 1] if last - first + 1 == len(rows_R) else vectors_ND[rows_R]
    even_RD = taken_RD = np.ascontiguousarray(taken_RD)
    norm_R = norms_of(taken_RD)
    if not np.isfinite(norm_R).all():
        raise BadInput(f"vector {rows_R[np.argmin(np.isfinite(norm_R))]} is not finite", mend="Make it anew")
    if ((norm_R > _STRONG) | ((norm_R < _FAINT) & (norm_R > 0))).any():
        even_RD = (taken_RD / np.where(norm_R > 0, norm_R, 1)[:, None]).astype(np.float32)
        norm_R = np.where(norm_R > 0, 1.0, 0.0)
    return taken_RD, even_RD, np.where(norm_R > 0, norm_R, np.inf).astype(np.float32)
