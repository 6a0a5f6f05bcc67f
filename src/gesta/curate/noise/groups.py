"""Several groups inside one class: whether two are better than one, and which clips are in which.

A class whose name means two things ("skipping" with a rope, and stones across water) falls apart in the features. That
two groups fit better than one is always so; what counts is a valley between them: along some line, fewer clips than on
either side of it. Whatever has one mode, however skewed, has none: of three stretches of a line, equally long, the
middle one holds at least as much as one of the outer two. The line and the stretches are sought in one half of the
clips; the other half, which had no say in them, is counted.

Legend: N = clips of a class, D = length of a vector, Q = main directions, S = trials of stretches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

ALPHA = 0.01
"""The share of classes of one group that may be split, all classes taken together. Source: ours."""
MAX_GROUPS = 6
"""Groups of a class at most. Source: ours; what falls into more is no class."""
MIN_CLIPS = 24
"""Clips from which a class is tested: halves of twelve show the clearest of groups only. Source: ours."""
NUM_DIRECTIONS = 16
"""Main directions that the line is sought in; fewer for small classes, one for each four clips. Source: ours."""

_NUM_STARTS, _NUM_STEPS = 4, 30
_NUM_CUTS, _NUM_PLACES, _WIDTHS = 24, 5, (0.25, 0.35, 0.5)
"""How finely stretches are sought: cuts of the clips, places of the valley, widths as shares of the distance between
the medians. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Two groups and the test of them.

    Attributes:
        is_second_N: bool [N], the clips in the smaller group.
        p_value: how rarely a class of one group falls apart as much.
        separation: distance of the groups' means along the line, in their pooled standard deviation.
    """

    is_second_N: npt.NDArray[np.bool_]
    p_value: float
    separation: float

    @property
    def smaller_frac(self) -> float:
        """The share of the clips in the smaller group."""
        return float(self.is_second_N.mean())


def split_in_two(vectors_ND: Floats, *, seed: int) -> Split:
    """The two groups that the vectors fall into best, and how rarely one group would do so.

    Args:
        vectors_ND: of at least 8 clips of different videos.
        seed: of the halves and of the starts of the search.
    Raises:
        BadInput: fewer than 8 vectors.
    Source: ours; a test of the intersection of two hypotheses (Berger, Multiparameter hypothesis testing and acceptance
        sampling, 1982), each a sign test; the halves by Bonferroni.
    """
    num = len(vectors_ND)
    if num < 8:
        raise BadInput(f"{num} clips to find groups in", mend="Want at least 8")
    rng = np.random.default_rng(seed)
    order = rng.permutation(num)
    halves = (np.sort(order[: num // 2]), np.sort(order[num // 2 :]))
    p_values = []
    for learned, tested in (halves, halves[::-1]):
        valley = _deepest_valley(vectors_ND[learned], rng=rng)
        p_values.append(valley_p_value(vectors_ND[tested] @ valley.line_D, valley.edges_32))
    valley = _deepest_valley(vectors_ND, rng=rng)
    along_N = vectors_ND @ valley.line_D
    is_upper_N = along_N > valley.edges_32[1].mean()
    is_second_N = is_upper_N if 2 * is_upper_N.sum() <= num else ~is_upper_N
    return Split(
        is_second_N=is_second_N, p_value=min(1.0, 2 * min(p_values)), separation=_separation(along_N, is_second_N)
    )


def valley_p_value(values_N: Floats, edges_32: Floats) -> float:
    """How rarely so few numbers lie in the middle stretch, against both outer ones, where there is but one mode.

    Args:
        values_N: numbers that had no say in the stretches.
        edges_32: begin and end of three stretches of one length that do not overlap, rising.
    Source: ours: with one mode the middle holds as much as one of the outer two at least, so that the larger of two
        sign tests is a p-value.

    >>> valley_p_value(np.array([1.0] * 7 + [9.0] * 5), np.array([[0.0, 2.0], [4.0, 6.0], [8.0, 10.0]]))
    0.03125
    """
    low, middle, high = (int(((values_N >= begin) & (values_N <= end)).sum()) for begin, end in edges_32)
    return max(_sign_test(outer, middle) for outer in (low, high))


def _sign_test(num_more: int, num_less: int) -> float:
    """How rarely of so many coins at least `num_more` show heads."""
    total = num_more + num_less
    return sum(math.comb(total, count) for count in range(num_more, total + 1)) / 2**total


def group_clips(
    vectors_ND: Floats, *, seed: int, alpha: float, first: Split | None = None, max_groups: int = MAX_GROUPS
) -> Ints:
    """The group of each clip, int64 [N], from 0, the largest first: groups are parted as long as the test says so.

    Args:
        vectors_ND: of the clips of one class.
        seed: of the halves.
        alpha: p-value up to which a group is parted; halved with each step down.
        first: the first split, where it is known.
        max_groups: at most.
    """
    groups: list[tuple[Ints, float]] = [(np.arange(len(vectors_ND)), alpha)]
    done: list[Ints] = []
    while groups and len(groups) + len(done) < max_groups:
        groups.sort(key=lambda each: -len(each[0]))
        members, level = groups.pop(0)
        split = None
        if len(members) >= MIN_CLIPS:
            known = first if len(members) == len(vectors_ND) else None
            split = known or split_in_two(vectors_ND[members], seed=seed + len(done) + len(groups))
        if split is None or split.p_value > level:
            done.append(members)
        else:
            groups += [(members[split.is_second_N], level / 2), (members[~split.is_second_N], level / 2)]
    parts = sorted([*done, *(members for members, _ in groups)], key=lambda each: (-len(each), int(each[0])))
    found_N = np.empty(len(vectors_ND), dtype=np.int64)
    for number, members in enumerate(parts):
        found_N[members] = number
    return found_N


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values after Holm's correction, in their order: none is below `alpha` by chance in 1 - alpha of all cases.

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Valley:
    """A line, float64 [D], and three stretches along it, float64 [3, 2]: fewer in the middle than on either side."""

    line_D: Floats
    edges_32: Floats


def _deepest_valley(vectors_ND: Floats, *, rng: np.random.Generator) -> _Valley:
    """The line and the stretches, of those that are tried, with the clearest valley between them.

    Tried are the main directions, the line between the means of two groups (2-means in the main directions, from
    several starts), and the same with the groups' own spread taken out.
    """
    mean_D = vectors_ND.mean(axis=0, dtype=np.float64)
    centred_ND = np.asarray(vectors_ND, dtype=np.float64) - mean_D
    num_directions = max(1, min(NUM_DIRECTIONS, len(vectors_ND) // 4, centred_ND.shape[1]))
    _, _, directions_QD = np.linalg.svd(centred_ND, full_matrices=False)
    directions_QD = directions_QD[:num_directions]
    reduced_NQ = centred_ND @ directions_QD.T
    lines = [*np.eye(len(directions_QD))]
    for _ in range(_NUM_STARTS):
        is_second_N = _two_means(reduced_NQ, rng=rng)
        if 1 < is_second_N.sum() < len(is_second_N) - 1:
            lines += _lines_between(reduced_NQ, is_second_N)
    tried = [(_best_stretches(reduced_NQ @ line_Q), number) for number, line_Q in enumerate(lines)]
    (_, edges_32), number = max(tried, key=lambda each: (each[0][0], -each[1]))
    line_D = lines[number] @ directions_QD
    return _Valley(line_D=line_D, edges_32=edges_32 + float(mean_D @ line_D))


def _best_stretches(values_N: Floats) -> tuple[float, Floats]:
    """How clear the clearest valley is, and its three stretches, float64 [3, 2].

    The outer stretches lie around the medians on both sides of a cut, the middle one somewhere between.
    """
    ordered = np.sort(values_N)
    num = len(ordered)
    cuts = np.unique(np.clip(np.rint(np.linspace(0.04, 0.96, _NUM_CUTS) * num).astype(int), 2, num - 2))
    low_S, high_S, width_S, middle_S = (
        grid.reshape(-1)
        for grid in np.broadcast_arrays(
            _medians_before(ordered, cuts)[:, None, None], _medians_from(ordered, cuts)[:, None, None],
            np.array(_WIDTHS)[None, :, None], np.linspace(0, 1, _NUM_PLACES)[None, None, :],
        )
    )  # fmt: skip
    apart_S = high_S - low_S
    width_S = width_S * apart_S
    middle_S = low_S + width_S + middle_S * (apart_S - 2 * width_S)
    edges_S32 = np.stack([[at - width_S / 2, at + width_S / 2] for at in (low_S, middle_S, high_S)]).transpose(2, 0, 1)
    ends = np.searchsorted(ordered, edges_S32[:, :, 1], side="right")
    counts_S3 = ends - np.searchsorted(ordered, edges_S32[:, :, 0], side="left")
    outer_S = counts_S3[:, [0, 2]].min(axis=1)
    clear_S = (outer_S - counts_S3[:, 1]) / np.sqrt(np.maximum(outer_S + counts_S3[:, 1], 1))
    best = int(np.where(apart_S > 0, clear_S, -np.inf).argmax())
    return float(clear_S[best]), edges_S32[best]


def _medians_before(ordered: Floats, cuts: Ints) -> Floats:
    return np.asarray((ordered[(cuts - 1) // 2] + ordered[cuts // 2]) / 2)


def _medians_from(ordered: Floats, cuts: Ints) -> Floats:
    num = len(ordered)
    return np.asarray((ordered[(cuts + num - 1) // 2] + ordered[(cuts + num) // 2]) / 2)


def _two_means(values_NQ: Floats, *, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    first = values_NQ[rng.integers(len(values_NQ))]
    distances_N = ((values_NQ - first) ** 2).sum(axis=1)
    total = float(distances_N.sum())
    chosen = rng.choice(len(values_NQ), p=distances_N / total) if total > 0 else 0
    means_2Q = np.stack([first, values_NQ[chosen]])
    is_second_N = np.zeros(len(values_NQ), dtype=bool)
    for _ in range(_NUM_STEPS):
        distances_N2 = ((values_NQ[:, None, :] - means_2Q[None]) ** 2).sum(axis=2)
        now_N = distances_N2[:, 1] < distances_N2[:, 0]
        if not 0 < now_N.sum() < len(now_N) or (now_N == is_second_N).all():
            break
        is_second_N = now_N
        means_2Q = np.stack([values_NQ[~now_N].mean(axis=0), values_NQ[now_N].mean(axis=0)])
    return is_second_N


def _lines_between(values_NQ: Floats, is_second_N: npt.NDArray[np.bool_]) -> list[Floats]:
    one, two = values_NQ[~is_second_N], values_NQ[is_second_N]
    apart_Q = two.mean(axis=0) - one.mean(axis=0)
    within_NQ = np.concatenate([one - one.mean(axis=0), two - two.mean(axis=0)])
    spread_QQ = within_NQ.T @ within_NQ / len(within_NQ)
    # The groups' spread is drawn halfway to the same in all directions: few clips say little of it.
    level = float(np.trace(spread_QQ)) / len(spread_QQ)
    spread_QQ = 0.5 * spread_QQ + 0.5 * max(level, 1e-12) * np.eye(len(spread_QQ))
    return [apart_Q, np.linalg.solve(spread_QQ, apart_Q)]


def _separation(along_N: Floats, is_second_N: npt.NDArray[np.bool_]) -> float:
    one, two = along_N[~is_second_N], along_N[is_second_N]
    if not len(two):
        return 0.0
    within = float(((one - one.mean()) ** 2).sum() + ((two - two.mean()) ** 2).sum())
    pooled = np.sqrt(within / max(1, len(along_N) - 2))
    return float(abs(two.mean() - one.mean()) / pooled) if pooled > 0 else 0.0
