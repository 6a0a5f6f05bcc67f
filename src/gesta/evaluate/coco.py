"""Average precision as COCO defines it, on the key-frames and classes that frame mAP is computed on.

Where it differs from frame mAP: a detection takes the best labelled box that is still free (frame mAP: it looks at one
box only, taken or not), precision is read at 101 recalls (frame mAP: the whole area), the answer is a mean over ten
thresholds of overlap, at most `cap` detections of a class count in a key-frame (frame mAP: 50 of all classes together),
and of equal scores the earlier-read comes first (frame mAP: the later-read).

Source of every rule here: cocodataset/cocoapi, `PythonAPI/pycocotools/cocoeval.py`, and pycocotools 2.0.11, against
which the tests compare.

Shapes: N detections, M labelled boxes, G groups of a class and key-frame, T thresholds, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.evaluate.frame_map import CORNERS, KEY
from gesta.schema import BadInput

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.int8]

COCO_IOUS = tuple(float(iou) for iou in np.linspace(0.5, 0.95, 10))
"""Thresholds of overlap of COCO's primary metric. Source: `cocoeval.py`, `setDetParams`."""
COCO_RECALLS = np.linspace(0.0, 1.0, 101)
"""Recalls at which precision is read. Source: `cocoeval.py`, `setDetParams`."""
COCO_CAP = 100
"""Detections of one class in one key-frame that count at most. Source: `cocoeval.py`, `maxDets`."""

_WRONG, _RIGHT, _IGNORED = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CocoMap:
    """COCO-style average precision and its parts; rows of the arrays are parallel to `class_ids`.

    `average_precision_CT` is [C, T], a column for each of `ious`; NaN for a class without a labelled box that counts.
    """

    class_ids: tuple[int, ...]
    ious: tuple[float, ...]
    average_precision_CT: Floats
    recall_CT: Floats
    num_groundtruth: Ints
    num_detections: Ints
    num_key_frames: int

    @property
    def average_precision(self) -> Floats:
        """AP of each class, averaged over the thresholds, [C]."""
        return self.average_precision_CT.mean(axis=1)

    @property
    def mean_ap(self) -> float:
        """Mean over thresholds and classes: what COCO calls AP, with its own ten thresholds."""
        return _mean(self.average_precision_CT)

    @property
    def mean_recall(self) -> float:
        """Mean over thresholds and classes of the highest recall: what COCO calls AR at the cap."""
        return _mean(self.recall_CT)

    def at(self, iou: float) -> float:
        """Mean over classes at one threshold: `at(0.5)` is COCO's AP50, `at(0.75)` its AP75.

        Raises:
            BadInput: that threshold was not computed.
        """
        columns = [column for column, known in enumerate(self.ious) if math.isclose(known, iou, abs_tol=1e-9)]
        if not columns:
            raise BadInput(f"no average precision at an overlap of {iou}", mend=f"Computed: {self.ious}")
        return _mean(self.average_precision_CT[:, columns[0]])

    def of_class(self, class_id: int) -> float:
        """AP of one class, averaged over the thresholds; NaN without ground truth."""
        return float(self.average_precision[self.class_ids.index(class_id)])


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def coco_map(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    ious: Sequence[float] = COCO_IOUS,
    cap: int = COCO_CAP,
    area_frac: tuple[float, float] = (0.0, math.inf),
) -> CocoMap:
    """COCO's average precision of `detections` against `groundtruth`, per class and threshold of overlap.

    Every key-frame that `groundtruth` names is scored; detections on other key-frames are ignored. In descending score
    each detection takes the free labelled box of its class that it overlaps most (the last of equals), if that is at
    least the threshold.

    Args:
        groundtruth: columns video_id, timestamp_us, x1 y1 x2 y2, class_id, in file order. A null class_id is a
            key-frame without boxes. A score is not looked at.
        detections: the same columns and score, in file order; the order matters among equal scores only.
        class_ids: classes that count.
        ious: thresholds of overlap.
        cap: detections of one class in one key-frame that count at most.
        area_frac: labelled boxes of another area (inclusive, fraction of the frame) and what claims them are neither
            right nor wrong, likewise detections of another area that claim nothing. COCO's small, medium and large
            are areas in pixels; divide them by the frame's.
    Raises:
        BadInput: a column is missing, `class_ids` is empty or repeats one, a threshold is outside (0, 1], `cap` is
            below 1, a score or corner is not finite, or a labelled box ends before it starts.
    Source: `cocoeval.py`, `computeIoU`, `evaluateImg` and `accumulate`; boxes are left, top, width and height there,
        and overlaps are computed from these here too.
    """
    classes = np.unique(np.asarray(class_ids, dtype=np.int64))
    if len(classes) == 0 or len(classes) != len(class_ids):
        raise BadInput(f"class ids {list(class_ids)[:10]}", mend="Want at least one, none of them twice")
    if not ious or not all(0 < iou <= 1 for iou in ious):
        raise BadInput(f"thresholds of overlap {list(ious)}", mend="Want at least one, each above 0 and at most 1")
    if cap < 1:
        raise BadInput(f"cap={cap}", mend="Want at least 1")
    key_frames = groundtruth.select(KEY).unique(maintain_order=True).with_row_index("frame")
    labelled = _grouped(groundtruth, key_frames, classes, what="ground truth")
    found = _grouped(detections, key_frames, classes, what="detections", cap=cap)
    lowest, highest = area_frac
    area_M, area_N = (boxes.xywh[:, 2] * boxes.xywh[:, 3] for boxes in (labelled, found))
    is_aside_M, is_aside_N = ((area < lowest) | (area > highest) for area in (area_M, area_N))
    # Boxes that do not count come last within their group, so that they are taken only when no other fits.
    order_M = np.lexsort((is_aside_M, labelled.group))
    start_N = np.searchsorted(labelled.group, found.group, side="left")
    end_N = np.searchsorted(labelled.group, found.group, side="right")
    outcome_TN = _outcomes(
        found.xywh, is_aside_N, start_N, end_N, labelled.xywh[order_M], is_aside_M[order_M],
        np.minimum(np.asarray(ious, dtype=np.float64), 1 - 1e-10),
    )  # fmt: skip
    num_groundtruth_C = np.bincount(labelled.class_index[~is_aside_M], minlength=len(classes))
    num_detections_C = np.bincount(found.class_index, minlength=len(classes))
    ends = np.cumsum(num_detections_C)
    parts = [slice(int(end - count), int(end)) for count, end in zip(num_detections_C, ends, strict=True)]
    scores = [
        _of_class(found.score[part], outcome_TN[:, part], num_groundtruth=int(count))
        for part, count in zip(parts, num_groundtruth_C, strict=True)
    ]
    return CocoMap(
        class_ids=tuple(int(class_id) for class_id in classes),
        ious=tuple(float(iou) for iou in ious),
        average_precision_CT=np.array([score[0] for score in scores]),
        recall_CT=np.array([score[1] for score in scores]),
        num_groundtruth=num_groundtruth_C,
        num_detections=num_detections_C,
        num_key_frames=len(key_frames),
    )


@dataclass(frozen=True, slots=True)
class _Boxes:
    """Boxes by class, then key-frame, then falling score; `group` numbers class and key-frame, `xywh` is [N, 4]."""

    class_index: Ints
    group: Ints
    xywh: Floats
    score: Floats


def _grouped(
    rows: pl.DataFrame, key_frames: pl.DataFrame, classes: Ints, *, what: str, cap: int | None = None
) -> _Boxes:
    """The rows of `classes` on `key_frames`; with a `cap`, ordered by score and at most so many a group."""
    wanted = [*KEY, *CORNERS, "class_id", *(["score"] if cap is not None else [])]
    if missing := [name for name in wanted if name not in rows.columns]:
        raise BadInput(f"{what}: no column {', '.join(missing)}", mend=f"Found: {', '.join(rows.columns)}")
    counted = rows.select(wanted).filter(pl.col("class_id").is_in(classes.tolist()))
    counted = counted.join(key_frames, on=KEY, how="inner", maintain_order="left")
    corners_N4 = counted.select(pl.col(CORNERS).cast(pl.Float64)).to_numpy()
    score_N = np.ones(counted.height)
    if cap is not None:
        score_N = counted["score"].cast(pl.Float64).fill_null(1.0).to_numpy()
    wrong = ~(np.isfinite(score_N) & np.isfinite(corners_N4).all(axis=1))
    if wrong.any():
        row = counted.row(int(wrong.argmax()), named=True)
        raise BadInput(f"{what}: a score or corner is no number: {row}", mend="Want finite numbers")
    if cap is None and (inverted := (corners_N4[:, :2] > corners_N4[:, 2:]).any(axis=1)).any():
        row = counted.row(int(inverted.argmax()), named=True)
        raise BadInput(f"{what}: a box ends before it starts: {row}", mend="Want x1 <= x2 and y1 <= y2")
    class_N = np.searchsorted(classes, counted["class_id"].cast(pl.Int64).to_numpy())
    frame_N = counted["frame"].cast(pl.Int64).to_numpy()
    # Files mostly go key-frame by key-frame, so this order is nearly there.
    by_frame_N = frame_N * len(classes) + class_N
    order_N = np.argsort(by_frame_N, kind="stable")
    if cap is not None:
        order_N = order_N[_best_first(by_frame_N[order_N], score_N, order_N) < cap]
    order_N = order_N[np.argsort(class_N[order_N], kind="stable")]
    group_N = class_N * len(key_frames) + frame_N
    corners_N4 = corners_N4[order_N]
    xywh_N4 = np.concatenate([corners_N4[:, :2], corners_N4[:, 2:] - corners_N4[:, :2]], axis=1)
    return _Boxes(class_N[order_N], group_N[order_N], xywh_N4, score_N[order_N])


@numba.njit(cache=True, nogil=True)
def _best_first(group: Ints, score: Floats, order: Ints) -> Ints:
    """Sorts `order` [N] by falling score within each run of `group` [N], and gives each one's place in its run."""
    place = np.empty(len(group), np.int64)
    first = 0
    while first < len(group):
        last = first + 1
        while last < len(group) and group[last] == group[first]:
            last += 1
        if last - first > 1:
            run = order[first:last]
            run[:] = run[np.argsort(-score[run], kind="mergesort")]
        place[first:last] = np.arange(last - first)
        first = last
    return place


@numba.njit(cache=True, nogil=True)
def _outcomes(
    found: Floats,
    found_is_aside: npt.NDArray[np.bool_],
    start: Ints,
    end: Ints,
    labelled: Floats,
    labelled_is_aside: npt.NDArray[np.bool_],
    ious: Floats,
) -> Bytes:
    """Wrong, right or ignored, [T, N]; detection n of `found` [N, 4] may take `labelled` [M, 4] from start to end."""
    num_ious = len(ious)
    outcome = np.zeros((num_ious, len(found)), dtype=np.int8)
    is_taken = np.zeros((num_ious, len(labelled)), dtype=np.bool_)
    for n in range(len(found)):
        x, y, width, height = found[n]
        first, last = start[n], end[n]
        overlap = np.zeros(last - first)
        for m in range(first, last):
            sx, sy, swidth, sheight = labelled[m]
            w = min(x + width, sx + swidth) - max(x, sx)
            h = min(y + height, sy + sheight) - max(y, sy)
            if w > 0 and h > 0:
                overlap[m - first] = w * h / (width * height + swidth * sheight - w * h)
        for t in range(num_ious):
            best, enough = -1, ious[t]
            for m in range(first, last):
                if is_taken[t, m] or overlap[m - first] < enough:
                    continue
                if best >= 0 and labelled_is_aside[m] and not labelled_is_aside[best]:
                    break
                best, enough = m, overlap[m - first]
            if best >= 0:
                is_taken[t, best] = True
                outcome[t, n] = _IGNORED if labelled_is_aside[best] else _RIGHT
            elif found_is_aside[n]:
                outcome[t, n] = _IGNORED
    return outcome


def _of_class(score: Floats, outcome_TN: Bytes, *, num_groundtruth: int) -> tuple[Floats, Floats]:
    """AP and highest recall of one class at each threshold, [T] each."""
    num_ious = len(outcome_TN)
    if not num_groundtruth:
        return np.full(num_ious, np.nan), np.full(num_ious, np.nan)
    if not len(score):
        return np.zeros(num_ious), np.zeros(num_ious)
    outcome_TN = outcome_TN[:, np.argsort(-score, kind="stable")]
    average, recall = np.empty(num_ious), np.empty(num_ious)
    for t in range(num_ious):
        # Recall rises at right detections only, and precision is highest there.
        right = np.flatnonzero(outcome_TN[t] == _RIGHT)
        num_counted = np.cumsum(outcome_TN[t] != _IGNORED)[right]
        num_right = np.arange(1, len(right) + 1)
        # The tiny summand is COCO's: a lone right detection has a precision of just below 1.
        precision = num_right / (num_counted + np.spacing(1.0))
        envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
        average[t] = envelope[np.searchsorted(num_right / num_groundtruth, COCO_RECALLS, side="left")].mean()
        recall[t] = len(right) / num_groundtruth
    return average, recall
