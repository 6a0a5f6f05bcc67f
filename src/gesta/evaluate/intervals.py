"""How sure a mean average precision is: bootstrap intervals over videos, and paired differences of two models.

Videos are drawn, not key-frames or boxes: the seconds of one film are not independent of one another, so drawing them
would make every interval too narrow. A draw takes as many videos as there are, with replacement. Nothing is matched
again: matching and the cap of a key-frame look at one key-frame only, so a draw is a whole-number weight for each
video, and AP is computed with weights over the one ranking of each class.

Rules. A video drawn k times counts as k videos whose detections stand beside one another in the ranking; equal
scores of different videos keep the order that they have in the whole. A class without ground truth in a draw stays out
of that draw's mean, as it does in `frame_map`; its own interval is over the draws that have ground truth of it.
Detections on videos without ground truth are not scored, and such videos are not drawn.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 (percentile) and 14 (BCa).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.evaluate.frame_map import OFFICIAL_CAP
from gesta.evaluate.ranked import Floats, Ranked, average_precisions, mean_of, rank
from gesta.schema import BadInput

Method = Literal["percentile", "bca"]
Weights = npt.NDArray[np.int32]

BLOCK = 16
"""Draws that go through a ranking at once. Source: ours; sixteen 32-bit weights are one cache line."""

MAX_LEFT_OUT = 400
"""Groups of videos that the jackknife of BCa leaves out, one at a time; with fewer videos each is its own group.

Source: ours. The acceleration is a ratio of moments; more than some hundred groups do not change its second digit.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with the bounds between which it lies at the stated level; all NaN where nothing is known."""

    estimate: float
    low: float
    high: float
    num_draws: int
    """Draws in which the quantity was defined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapIntervals:
    """Intervals of frame mAP and of each class; `average_precision` is parallel to `class_ids`."""

    mean_ap: Interval
    class_ids: tuple[int, ...]
    average_precision: tuple[Interval, ...]
    level: float
    method: str
    num_videos: int
    num_resamples: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MapDifference:
    """Model A against model B on the same draws of videos; `class_difference` is parallel to `class_ids`."""

    a: Interval
    b: Interval
    difference: Interval
    share_a_above: float
    """Share of draws in which A's mAP is strictly above B's."""
    share_equal: float
    class_ids: tuple[int, ...]
    class_difference: tuple[Interval, ...]
    class_share_a_above: tuple[float, ...]
    level: float
    method: str
    num_videos: int
    num_resamples: int
    seed: int


def map_intervals(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    iou: float = 0.5,
    cap: int = OFFICIAL_CAP,
    num_resamples: int = 1000,
    level: float = 0.95,
    method: Method = "percentile",
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> MapIntervals:
    """Frame mAP and every class's AP with intervals from `num_resamples` draws of videos.

    Args:
        groundtruth: as for `frame_map`; so are `detections`, `class_ids`, `iou` and `cap`.
        detections: rows to score.
        class_ids: classes that count.
        iou: overlap of a right detection.
        cap: detections of a key-frame that count.
        num_resamples: draws; their mean and quantiles are stable to about one part in `sqrt(num_resamples)`.
        level: share of draws between the bounds, 0.95 for the usual 2.5 % on either side.
        method: "percentile" takes quantiles of the draws; "bca" corrects them for bias and for a spread that depends
            on the value, at the cost of leaving out each video once.
        seed: chance.
        on_rows: called with the number of draws done since the last call.
    Raises:
        BadInput: as `frame_map`, there are fewer than two videos, or `num_resamples` or `level` make no sense.
    """
    ranked = rank(groundtruth, detections, class_ids=class_ids, iou=iou, cap=cap)
    return map_intervals_of(
        ranked, num_resamples=num_resamples, level=level, method=method, seed=seed, on_rows=on_rows
    )  # fmt: skip


def map_intervals_of(
    ranked: Ranked,
    *,
    num_resamples: int = 1000,
    level: float = 0.95,
    method: Method = "percentile",
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> MapIntervals:
    """As `map_intervals`, from a ranking that is there already.

    Raises:
        BadInput: there are fewer than two videos, or `num_resamples` or `level` make no sense.
    """
    num_videos = len(ranked.video_ids)
    _check(num_videos, num_resamples=num_resamples, level=level)
    point_Q = _with_mean(_whole(ranked)[None])[0]
    drawn_RQ = np.concatenate([
        _with_mean(weighted_ap(ranked, weights_VB))
        for weights_VB in _draws(num_videos, num_resamples=num_resamples, seed=seed, on_rows=on_rows)
    ])  # fmt: skip
    left_JQ = _with_mean(_left_out(ranked)) if method == "bca" else None
    mean_ap, *classes = _intervals(point_Q, drawn_RQ, left_JQ, level=level)
    return MapIntervals(
        mean_ap=mean_ap, class_ids=ranked.class_ids, average_precision=tuple(classes), level=level, method=method,
        num_videos=num_videos, num_resamples=num_resamples, seed=seed,
    )  # fmt: skip


def map_difference(
    groundtruth: pl.DataFrame,
    detections_a: pl.DataFrame,
    detections_b: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    iou: float = 0.5,
    cap: int = OFFICIAL_CAP,
    num_resamples: int = 1000,
    level: float = 0.95,
    method: Method = "percentile",
    seed: int = 0,
    on_rows: Callable[[int], None] | None = None,
) -> MapDifference:
    """By how much model A is above model B, with its interval over the same draws of videos for both.

    The interval of a paired difference is the one to look at: two intervals that overlap say little, because what is
    hard for one model is mostly hard for the other. Arguments as for `map_intervals`.

    Raises:
        BadInput: as `map_intervals`.
    """
    a, b = (
        rank(groundtruth, rows, class_ids=class_ids, iou=iou, cap=cap) for rows in (detections_a, detections_b)
    )  # fmt: skip
    num_videos = len(a.video_ids)
    _check(num_videos, num_resamples=num_resamples, level=level)
    points = [_with_mean(_whole(ranked)[None])[0] for ranked in (a, b)]
    drawn: list[list[Floats]] = [[], []]
    for weights_VB in _draws(num_videos, num_resamples=num_resamples, seed=seed, on_rows=on_rows):
        for parts, ranked in zip(drawn, (a, b), strict=True):
            parts.append(_with_mean(weighted_ap(ranked, weights_VB)))
    a_RQ, b_RQ = (np.concatenate(parts) for parts in drawn)
    left_a, left_b = (_with_mean(_left_out(ranked)) if method == "bca" else None for ranked in (a, b))
    left_difference = left_a - left_b if left_a is not None and left_b is not None else None
    difference, *classes = _intervals(points[0] - points[1], a_RQ - b_RQ, left_difference, level=level)
    above_Q, equal_Q = (_share(sign, a_RQ, b_RQ) for sign in (np.greater, np.equal))
    return MapDifference(
        a=_intervals(points[0], a_RQ, left_a, level=level)[0],
        b=_intervals(points[1], b_RQ, left_b, level=level)[0],
        difference=difference, share_a_above=above_Q[0], share_equal=equal_Q[0], class_ids=a.class_ids,
        class_difference=tuple(classes), class_share_a_above=tuple(above_Q[1:]), level=level, method=method,
        num_videos=num_videos, num_resamples=num_resamples, seed=seed,
    )  # fmt: skip


def _share(sign: np.ufunc, a_RQ: Floats, b_RQ: Floats) -> list[float]:
    known_RQ = ~(np.isnan(a_RQ) | np.isnan(b_RQ))
    num_known_Q = known_RQ.sum(axis=0)
    num_Q = (sign(a_RQ, b_RQ) & known_RQ).sum(axis=0)
    return [float(n / known) if known else math.nan for n, known in zip(num_Q, num_known_Q, strict=True)]


def _check(num_videos: int, *, num_resamples: int, level: float) -> None:
    if num_resamples < 1 or not 0 < level < 1:
        raise BadInput(f"num_resamples={num_resamples}, level={level}", mend="Want at least 1, and between 0 and 1")
    if num_videos < 2:
        raise BadInput(
            f"ground truth of {num_videos} video, and an interval is over videos",
            mend="Score more videos at once, or ask for no interval",
        )


def _whole(ranked: Ranked) -> Floats:
    return average_precisions(ranked.is_right, ranked.class_index, ranked.num_groundtruth)


def _with_mean(ap_RC: Floats) -> Floats:
    """The mean over classes in front of the classes; [R, 1 + C]."""
    return np.column_stack([[mean_of(row) for row in ap_RC], ap_RC])


def _draws(
    num_videos: int, *, num_resamples: int, seed: int, on_rows: Callable[[int], None] | None
) -> Iterator[Weights]:
    """How often each video is drawn, `BLOCK` draws at a time, so that memory does not grow with the draws; [V, B]."""
    rng = np.random.default_rng(seed)
    for start in range(0, num_resamples, BLOCK):
        size = min(BLOCK, num_resamples - start)
        columns = [
            np.bincount(rng.integers(0, num_videos, num_videos), minlength=num_videos) for _ in range(size)
        ]  # fmt: skip
        yield np.column_stack(columns).astype(np.int32)
        if on_rows is not None:
            on_rows(size)


def _left_out(ranked: Ranked) -> Floats:
    """AP of each class without one group of videos, [J, C]."""
    num_videos = len(ranked.video_ids)
    group_V = np.arange(num_videos) * min(num_videos, MAX_LEFT_OUT) // num_videos
    groups = np.arange(group_V[-1] + 1)
    parts = [groups[start : start + BLOCK] for start in range(0, len(groups), BLOCK)]
    weights = [(group_V[:, None] != part[None]).astype(np.int32) for part in parts]
    return np.concatenate([weighted_ap(ranked, weights_VB) for weights_VB in weights])


def weighted_ap(ranked: Ranked, weights_VB: Weights) -> Floats:
    """AP of each class under each column of weights, [B, C]; NaN where the weights leave no ground truth.

    Args:
        ranked: V videos, C classes.
        weights_VB: int32 [V, B], how many times each video counts, at least 0.
    """
    num_videos, num_classes = len(ranked.video_ids), len(ranked.class_ids)
    is_counted = ranked.groundtruth_class >= 0
    cell = ranked.groundtruth_class[is_counted] * num_videos + ranked.groundtruth_video[is_counted]
    count_CV = np.bincount(cell, minlength=num_classes * num_videos).reshape(num_classes, num_videos)
    # Float64 holds these whole numbers exactly and goes through BLAS.
    num_groundtruth_CB = count_CV.astype(np.float64) @ weights_VB.astype(np.float64)
    video_N = ranked.video.astype(np.int32)
    return _weighted_ap(ranked.is_right, video_N, ranked.starts, np.ascontiguousarray(weights_VB), num_groundtruth_CB).T


@numba.njit(cache=True, nogil=True)
def _weighted_ap(
    is_right_N: npt.NDArray[np.bool_], video_N: Weights, starts_C: npt.NDArray[np.int64], weights_VB: Weights,
    num_groundtruth_CB: Floats,
) -> Floats:  # fmt: skip
    num_classes, size = num_groundtruth_CB.shape
    ap_CB = np.full((num_classes, size), np.nan)
    seen_B, right_B = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for c in range(num_classes):
        start, end = starts_C[c], starts_C[c + 1]
        num_right = 0
        for i in range(start, end):
            num_right += is_right_N[i]
        num_seen_RB = np.empty((num_right, size), dtype=np.int64)
        num_right_RB = np.empty((num_right + 1, size), dtype=np.int64)
        num_right_RB[0] = 0
        seen_B[:] = 0
        right_B[:] = 0
        r = 0
        for i in range(start, end):
            video = video_N[i]
            for b in range(size):
                seen_B[b] += weights_VB[video, b]
            if is_right_N[i]:
                for b in range(size):
                    right_B[b] += weights_VB[video, b]
                    num_seen_RB[r, b] = seen_B[b]
                    num_right_RB[r + 1, b] = right_B[b]
                r += 1
        # Copies of one right detection only raise precision, copies of a wrong one only lower it: the envelope is
        # settled where right detections end.
        for b in range(size):
            if num_groundtruth_CB[c, b] == 0:
                continue
            area, best = 0.0, 0.0
            for k in range(num_right - 1, -1, -1):
                if num_seen_RB[k, b] > 0:
                    best = max(best, num_right_RB[k + 1, b] / num_seen_RB[k, b])
                area += (num_right_RB[k + 1, b] - num_right_RB[k, b]) * best
            ap_CB[c, b] = area / num_groundtruth_CB[c, b]
    return ap_CB


def _intervals(point_Q: Floats, drawn_RQ: Floats, left_JQ: Floats | None, *, level: float) -> list[Interval]:
    return [
        _interval(float(point_Q[q]), drawn_RQ[:, q], None if left_JQ is None else left_JQ[:, q], level=level)
        for q in range(len(point_Q))
    ]


def _interval(point: float, drawn_R: Floats, left_J: Floats | None, *, level: float) -> Interval:
    known_R = drawn_R[~np.isnan(drawn_R)]
    if math.isnan(point) or not len(known_R):
        return Interval(estimate=point, low=math.nan, high=math.nan, num_draws=len(known_R))
    tails = ((1 - level) / 2, (1 + level) / 2)
    if left_J is not None:
        tails = _bca_tails(point, known_R, left_J[~np.isnan(left_J)], tails)
    low, high = np.quantile(known_R, tails)
    return Interval(estimate=point, low=float(low), high=float(high), num_draws=len(known_R))


def _bca_tails(point: float, known_R: Floats, left_J: Floats, tails: tuple[float, float]) -> tuple[float, float]:
    """Which quantiles to take in place of `tails`; the tails themselves where the draws say nothing of bias.

    Source: Efron and Tibshirani (1993), equations 14.10, 14.14 and 14.15; equal draws count half as below.
    """
    below = float(((known_R < point).sum() + 0.5 * (known_R == point).sum()) / len(known_R))
    if not 0 < below < 1 or not len(left_J):
        return tails
    spread_J = left_J.mean() - left_J
    sum_of_squares = float((spread_J**2).sum())
    acceleration = float((spread_J**3).sum()) / (6 * sum_of_squares**1.5) if sum_of_squares > 0 else 0.0
    normal = NormalDist()
    bias = normal.inv_cdf(below)
    moved = []
    for tail in tails:
        z = bias + normal.inv_cdf(tail)
        scale = 1 - acceleration * z
        # Beyond this point the transformation turns round and has no meaning.
        moved.append(normal.cdf(bias + z / scale) if scale > 0 else tail)
    return moved[0], moved[1]
