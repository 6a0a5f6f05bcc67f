"""Scored detections class by class, best first: what every breakdown of a mean average precision starts from.

Matching happens once, in `gesta.evaluate.outcomes`. Whatever is asked afterwards (other weights, a part of the
detections, an error undone) only changes which ranked rows count, so it is a matter of one pass over the ranking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.evaluate.frame_map import OFFICIAL_CAP, outcomes
from gesta.schema import BadInput

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranked:
    """The N scored detections, class by class in the order of `class_ids`, within a class best first.

    `starts` [C + 1] says where each class begins. Of equal scores the one that claims later comes first, the rule of
    `gesta.evaluate.frame_map`. `gt_row` is -1 where a detection has no labelled box of its class in its key-frame.
    """

    class_ids: tuple[int, ...]
    video_ids: tuple[str, ...]
    starts: Ints
    class_index: Ints
    video: Ints
    row: Ints
    turn: Ints
    score: Floats
    is_right: Bools
    iou: Floats
    gt_row: Ints
    groundtruth_class: Ints
    groundtruth_video: Ints

    @property
    def num_groundtruth(self) -> Ints:
        """Labelled boxes of each class, [C]."""
        counted = self.groundtruth_class[self.groundtruth_class >= 0]
        return np.bincount(counted, minlength=len(self.class_ids))


def rank(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    iou: float = 0.5,
    cap: int = OFFICIAL_CAP,
) -> Ranked:
    """The detections that `frame_map` scores with these arguments, matched and ranked; classes ascend.

    Raises:
        BadInput: as `frame_map`.
    """
    classes = sorted(set(class_ids))
    if not classes or len(classes) != len(class_ids):
        raise BadInput(f"class ids {list(class_ids)[:10]}", mend="Want at least one, none of them twice")
    scored = outcomes(groundtruth, detections, class_ids=classes, iou=iou, cap=cap)
    return rank_outcomes(groundtruth, scored, class_ids=classes)


def rank_outcomes(groundtruth: pl.DataFrame, scored: pl.DataFrame, *, class_ids: Sequence[int]) -> Ranked:
    """Outcomes as `gesta.evaluate.outcomes` gives them, ranked.

    Args:
        groundtruth: the rows that `scored` was matched with, all of them.
        scored: one row a detection, in claiming order.
        class_ids: the classes that count.
    """
    classes_C = np.unique(np.asarray(class_ids, dtype=np.int64))
    video_ids = groundtruth["video_id"].unique(maintain_order=True)
    index_of = pl.DataFrame({"video_id": video_ids, "video": np.arange(len(video_ids))})
    video_N = scored.select("video_id").join(index_of, on="video_id", how="left", maintain_order="left")["video"]
    score_N = scored["score"].cast(pl.Float64).fill_null(1.0).to_numpy()
    class_N = np.searchsorted(classes_C, scored["class_id"].cast(pl.Int64).to_numpy())
    order = _ranking(score_N, class_N, len(classes_C))
    class_M = groundtruth["class_id"].cast(pl.Int64).fill_null(np.iinfo(np.int64).min).to_numpy()
    place_M = np.minimum(np.searchsorted(classes_C, class_M), len(classes_C) - 1)
    is_counted_M = (classes_C[place_M] == class_M) & groundtruth["class_id"].is_not_null().to_numpy()
    video_M = groundtruth.select("video_id").join(index_of, on="video_id", how="left", maintain_order="left")["video"]
    return Ranked(
        class_ids=tuple(classes_C.tolist()),
        video_ids=tuple(video_ids.to_list()),
        starts=np.concatenate([[0], np.cumsum(np.bincount(class_N, minlength=len(classes_C)))]),
        class_index=class_N[order],
        video=video_N.cast(pl.Int64).to_numpy()[order],
        row=scored["row"].cast(pl.Int64).to_numpy()[order],
        turn=order,
        score=score_N[order],
        is_right=scored["is_right"].to_numpy()[order],
        iou=scored["iou"].to_numpy()[order],
        gt_row=scored["gt_row"].cast(pl.Int64).fill_null(-1).to_numpy()[order],
        groundtruth_class=np.where(is_counted_M, place_M, -1),
        groundtruth_video=video_M.cast(pl.Int64).to_numpy(),
    )


def _ranking(score_N: Floats, class_N: Ints, num_classes: int) -> Ints:
    """Rows class by class, each class by falling score, of equal scores the last row first; [N]."""
    by_class = np.argsort(class_N, kind="stable")
    ends = np.cumsum(np.bincount(class_N, minlength=num_classes))
    parts = [part[np.argsort(score_N[part], kind="stable")[::-1]] for part in np.split(by_class, ends[:-1])]
    return np.concatenate(parts) if parts else by_class


def average_precisions(is_right_N: Bools, segment_N: Ints, num_groundtruth_S: Ints) -> Floats:
    """Average precision of each segment of ranked detections, [S]; NaN without ground truth, 0 without detections.

    Args:
        is_right_N: [N], in each segment best first; segments may lie anyhow among one another.
        segment_N: [N], which segment each belongs to; -1 is in none.
        num_groundtruth_S: [S].
    Source: all-points AP as in `metrics.py` of the official AVA program; only right rows can raise the envelope.

    >>> average_precisions(np.array([True, False, True]), np.zeros(3, dtype=int), np.array([2]))
    array([0.83333333])
    """
    order = np.argsort(segment_N, kind="stable")
    order = order[np.searchsorted(segment_N[order], 0) :]
    starts = np.concatenate([[0], np.cumsum(np.bincount(segment_N[order], minlength=len(num_groundtruth_S)))])
    return _segment_ap(is_right_N[order], starts.astype(np.int64), num_groundtruth_S.astype(np.int64))


@numba.njit(cache=True, nogil=True)
def _segment_ap(is_right_N: Bools, starts_S: Ints, num_groundtruth_S: Ints) -> Floats:
    ap_S = np.full(len(num_groundtruth_S), np.nan)
    for segment in range(len(num_groundtruth_S)):
        if num_groundtruth_S[segment] == 0:
            continue
        start, end = starts_S[segment], starts_S[segment + 1]
        num_right = 0
        for i in range(start, end):
            num_right += is_right_N[i]
        area, best = 0.0, 0.0
        for i in range(end - 1, start - 1, -1):
            if is_right_N[i]:
                best = max(best, num_right / (i - start + 1))
                area += best
                num_right -= 1
        ap_S[segment] = area / num_groundtruth_S[segment]
    return ap_S


def mean_of(values: Floats) -> float:
    """Mean over the numbers among `values` ([...]); NaN where there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
