"""Pairs of vectors whose cosine reaches a threshold, every one of them, and what they join to; in bounded memory.

Legend: N = vectors, D = their length, P = pairs, C = components.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gesta.curate.near_blocks import Candidates, Space, near_in_blocks
from gesta.curate.near_global import near_in_tiles, projected
from gesta.curate.near_kernels import apart, exact_cosines, join, roots
from gesta.schema import BadInput

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BLOCK = 2048
"""Vectors a side of a block: 16 MB of products, at which a product runs at full speed."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of vectors, sorted by (a, b).

    Attributes:
        a_P: int64 [P], number of the one vector; below the other's.
        b_P: int64 [P], number of the other.
        cosine_P: float64 [P], their cosine, computed in double precision.
    """

    a_P: Ints
    b_P: Ints
    cosine_P: Doubles


def pairs_within(
    vectors_ND: Floats,
    *,
    min_cosine: float,
    groups: Ints | None = None,
    min_cosine_of: Mapping[int, float] | None = None,
    block: int = BLOCK,
    on_rows: Callable[[int], None] | None = None,
) -> Pairs:
    """Every pair of cosine `min_cosine` or more, inside each group or among all, sorted by (a, b).

    Exact for any input: what single precision leaves in doubt is decided in double precision. Beside the pairs, memory
    holds a block of products and the vectors of two blocks; `vectors_ND` may be memory-mapped. Where a huge cluster
    makes too many pairs, `linked` gives the components without them.

    Args:
        vectors_ND: float32 [N, D], finite, of any length; a vector of zeros is near nothing.
        min_cosine: least cosine of a pair, above 0 and at most 1.
        groups: int64 [N], the class of each vector: only pairs of one group are compared. None = all with all.
        min_cosine_of: another threshold for some groups.
        block: vectors a side of a block.
        on_rows: called with the number of vectors just done.
    Raises:
        BadInput: the vectors are not float32 [N, D] or not finite, a threshold is out of range, or `groups` does not
            fit.
    Source: Kinetics-400, section 3.4: "we built a class-wise matrix having all cosine similarities … and thresholded
    it" at 0.97; the blocks and the double precision are ours.

    >>> vectors_ND = np.array([[1, 0], [0, 1], [2, 0.1]], dtype=np.float32)
    >>> found = pairs_within(vectors_ND, min_cosine=0.97)
    >>> found.a_P, found.b_P, found.cosine_P.round(4)
    (array([0]), array([2]), array([0.9988]))
    """
    return collected(_candidates(vectors_ND, min_cosine, groups, min_cosine_of, block, on_rows))


def collected(found: Iterable[tuple[Candidates, float]]) -> Pairs:
    """The candidates whose cosine in double precision reaches the threshold beside them, sorted by (a, b)."""
    a_parts, b_parts, cosine_parts = [], [], []
    for near, limit in found:
        cosine_P = exact_cosines(near.rows_ID, near.columns_JD, near.i_P, near.j_P)
        wanted = cosine_P >= limit
        a_parts.append(near.a_P[wanted])
        b_parts.append(near.b_P[wanted])
        cosine_parts.append(cosine_P[wanted])
    if not a_parts:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
    a_P, b_P, cosine_P = np.concatenate(a_parts), np.concatenate(b_parts), np.concatenate(cosine_parts)
    order = np.lexsort((b_P, a_P))
    return Pairs(a_P[order], b_P[order], cosine_P[order])


def linked(
    vectors_ND: Floats,
    *,
    min_cosine: float,
    groups: Ints | None = None,
    min_cosine_of: Mapping[int, float] | None = None,
    block: int = BLOCK,
    on_rows: Callable[[int], None] | None = None,
) -> Ints:
    """The component of each vector, int64 [N], named by its first member; as `components` of `pairs_within` gives it.

    No pair is kept, so a cluster of a hundred thousand equal clips costs no more memory than one of two.

    Args: as `pairs_within`.
    Raises:
        BadInput: as `pairs_within`.

    >>> linked(np.array([[1, 0], [0, 1], [2, 0.1]], dtype=np.float32), min_cosine=0.97)
    array([0, 1, 0])
    """
    parent_N = np.arange(len(vectors_ND), dtype=np.int64)
    seek = _candidates(vectors_ND, min_cosine, groups, min_cosine_of, block, on_rows, joined=lambda: roots(parent_N))
    for near, limit in seek:
        join(parent_N, near.a_P[near.sure_P], near.b_P[near.sure_P])
        # What is joined already needs no second look.
        doubt = np.flatnonzero(~near.sure_P & apart(parent_N, near.a_P, near.b_P))
        if len(doubt):
            cosine_P = exact_cosines(near.rows_ID, near.columns_JD, near.i_P[doubt], near.j_P[doubt])
            found = doubt[cosine_P >= limit]
            join(parent_N, near.a_P[found], near.b_P[found])
    return roots(parent_N)


def components(num: int, pairs: Pairs) -> Ints:
    """The component of each of `num` vectors, int64 [num], named by its first member.

    Raises:
        BadInput: a pair names a vector that is not there.

    >>> chain = Pairs(np.array([0, 2]), np.array([2, 4]), np.array([0.98, 0.99]))
    >>> components(5, chain)
    array([0, 1, 0, 3, 0])
    """
    if len(pairs.a_P) and (min(pairs.a_P.min(), pairs.b_P.min()) < 0 or max(pairs.a_P.max(), pairs.b_P.max()) >= num):
        raise BadInput(f"a pair names a vector that is not among {num}", mend=f"Want numbers 0 to {num - 1}")
    parent_N = np.arange(num, dtype=np.int64)
    join(parent_N, pairs.a_P.astype(np.int64), pairs.b_P.astype(np.int64))
    return roots(parent_N)


def least_cosines(vectors_ND: Floats, component_N: Ints, *, block: int = BLOCK) -> dict[int, float]:
    """The lowest cosine between any two members of each component of two or more, by the component's name.

    Far below the threshold, it says that the members hang together only as a chain.

    Args:
        vectors_ND: float32 [N, D].
        component_N: int64 [N], what `components` or `linked` gives.
        block: vectors a side of a block.
    Raises:
        BadInput: the vectors are not float32 [N, D] or not finite, or `component_N` does not fit.
    Source: ours; the papers look at clusters by eye.

    >>> vectors_ND = np.array([[1, 0], [0.98, 0.2], [0.9, 0.4]], dtype=np.float32)
    >>> least_cosines(vectors_ND, np.array([0, 0, 0]))[0]
    0.91381...
    """
    check_search(vectors_ND, component_N, limits=())
    least: dict[int, float] = {}
    for rows_R in rows_by_group(component_N):
        if len(rows_R) > 1:
            least[int(component_N[rows_R[0]])] = _least_of(vectors_ND, rows_R, block)
    return least


def _least_of(vectors_ND: Floats, rows_R: Ints, block: int) -> float:
    lowest = 1.0
    for top in range(0, len(rows_R), block):
        rows_ID = _unit(vectors_ND[rows_R[top : top + block]])
        for left in range(top, len(rows_R), block):
            columns_JD = _unit(vectors_ND[rows_R[left : left + block]])
            lowest = min(lowest, float((rows_ID @ columns_JD.T).min()))
    return lowest


def _unit(vectors_ND: Floats) -> Doubles:
    wide_ND = vectors_ND.astype(np.float64)
    norm_N = np.linalg.norm(wide_ND, axis=1, keepdims=True)
    return wide_ND / np.where(norm_N > 0, norm_N, 1)


def _candidates(
    vectors_ND: Floats,
    min_cosine: float,
    groups: Ints | None,
    min_cosine_of: Mapping[int, float] | None,
    block: int,
    on_rows: Callable[[int], None] | None,
    joined: Callable[[], Ints] | None = None,
) -> Iterator[tuple[Candidates, float]]:
    """Candidates with the threshold that holds for them, after a look at the arguments."""
    check_search(vectors_ND, groups, limits=(min_cosine, *(min_cosine_of or {}).values()))
    parts = [np.arange(len(vectors_ND), dtype=np.int64)] if groups is None else rows_by_group(groups)
    space = Space(min(block, max(map(len, parts), default=0)))
    for rows_R in parts:
        limit = min_cosine
        if groups is not None and min_cosine_of and len(rows_R):
            limit = min_cosine_of.get(int(groups[rows_R[0]]), min_cosine)
        known = projected(vectors_ND, rows_R, min_cosine=limit)
        if known is not None:
            for a_P, b_P in near_in_tiles(known, joined=joined, on_rows=on_rows):
                yield unsure(vectors_ND, a_P, b_P), limit
            continue
        if len(rows_R) > 1:
            for near in near_in_blocks(vectors_ND, rows_R, min_cosine=limit, block=block, space=space):
                yield near, limit
        if on_rows is not None:
            on_rows(len(rows_R))


def unsure(vectors_ND: Floats, one_P: Ints, other_P: Ints) -> Candidates:
    """Pairs of which only a look in double precision says whether they are near."""
    # As a plain array: the compiled loops know no mapped ones.
    plain_ND = np.asarray(vectors_ND)
    a_P, b_P = np.minimum(one_P, other_P), np.maximum(one_P, other_P)
    return Candidates(
        a_P=a_P, b_P=b_P, rows_ID=plain_ND, columns_JD=plain_ND, i_P=a_P, j_P=b_P, sure_P=np.zeros(len(a_P), bool)
    )


def rows_by_group(groups: Ints) -> list[Ints]:
    """The numbers of each group's vectors, ascending; groups in the order of their numbers.

    >>> rows_by_group(np.array([7, 3, 7]))
    [array([1]), array([0, 2])]
    """
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    return np.split(order, edges)


def check_search(vectors_ND: Floats, groups: Ints | None, *, limits: Iterable[float]) -> None:
    """Nothing, where the arguments of a search fit.

    Raises:
        BadInput: the vectors are not float32 [N, D], a threshold is out of range, or `groups` does not fit.
    """
    if vectors_ND.ndim != 2 or vectors_ND.dtype != np.float32:
        raise BadInput(f"vectors of {vectors_ND.dtype} {list(vectors_ND.shape)}", mend="Want float32 [N, D]")
    if groups is not None and groups.shape != (len(vectors_ND),):
        raise BadInput(f"{len(groups)} groups for {len(vectors_ND)} vectors", mend="Want one group a vector")
    for limit in limits:
        if not 0 < limit <= 1:
            raise BadInput(f"min_cosine={limit}", mend="Want above 0 and at most 1")
