"""The official frame mAP in plain NumPy, a step a function: slow, and easy to check against the program by eye.

The compiled loops of `gesta.evaluate` are compared with it in `tests/property/test_frame_map_laws.py`.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.schema import BadInput, format_seconds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KEY = ["video_id", "timestamp_us"]
CORNERS = ["x1", "y1", "x2", "y2"]
OFFICIAL_CAP = 50
"""Labelled boxes (box x class) of one key-frame that are scored at most, over all classes together."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameMap:
    """Frame mAP and its parts; the arrays are parallel to `class_ids`."""

    mean_ap: float
    class_ids: tuple[int, ...]
    average_precision: Floats
    num_groundtruth: Ints
    num_detections: Ints
    num_key_frames: int

    def of_class(self, class_id: int) -> float:
        """Average precision of one class; NaN without ground truth."""
        return float(self.average_precision[self.class_ids.index(class_id)])


def frame_map(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    iou: float = 0.5,
    cap: int = OFFICIAL_CAP,
    ties: Literal["stable", "numpy"] = "stable",
) -> FrameMap:
    """Frame mAP of `detections` against `groundtruth` as the official AVA program computes it.

    Every key-frame that `groundtruth` names is scored, those without a box or with boxes of other classes only too;
    detections on other key-frames are ignored. Of a key-frame's detections the `cap` highest are kept. In descending
    score each claims the labelled box of its class that it overlaps most (the first of equals); it is right when the
    overlap is at least `iou` and nobody claimed that box before. AP is the area under the precision envelope; a class
    with ground truth and without detections has 0; a class without ground truth has NaN and stays out of the mean.

    Args:
        groundtruth: columns video_id, timestamp_us, x1 y1 x2 y2, class_id, optionally score, in file order. A null
            class_id is a key-frame without boxes. A `score` (the official program reads column 8 as one, a person id
            too) only orders the boxes of a key-frame.
        detections: the same columns, score required, in file order; the order matters among equal scores only.
        class_ids: classes that count; rows of others are skipped, their key-frames are not.
        iou: overlap that a right detection has at least.
        cap: detections (box x class) of a key-frame that are kept; 0 keeps all.
        ties: how a class's equal scores are ordered: "stable" is the module's rule and the same everywhere; "numpy"
            replays NumPy's default sort, which gives what the official program prints on this machine and no other.
    Raises:
        BadInput: a column is missing, `class_ids` is empty or repeats one, a score or corner is not finite, or a
            labelled box with x1 > x2 or y1 > y2 meets a detection of its class and key-frame.
    Source: `get_ava_performance.py` (reading, capacity 50), `per_image_evaluation.py` (matching), `metrics.py` (AP).
    """
    _check(groundtruth, ["class_id"], what="ground truth")
    _check(detections, ["class_id", "score"], what="detections")
    classes = np.unique(np.asarray(class_ids, dtype=np.int64))
    if len(classes) == 0 or len(classes) != len(class_ids):
        raise BadInput(f"class ids {list(class_ids)[:10]}", mend="Want at least one, none of them twice")

    key_frames, labelled, found = _claimants(groundtruth, detections, classes, cap=cap)
    is_right_N = _match(found, labelled, iou=iou, key_frames=key_frames)[0]

    num_groundtruth_C = np.bincount(labelled.class_index, minlength=len(classes))
    num_detections_C = np.bincount(found.class_index, minlength=len(classes))
    by_class = np.argsort(found.class_index, kind="stable")
    parts = np.split(by_class, np.cumsum(num_detections_C)[:-1])
    ap_C = np.array(
        [
            _average_precision(found.score[part], is_right_N[part], num_groundtruth=int(count), ties=ties)
            for part, count in zip(parts, num_groundtruth_C, strict=True)
        ]
    )
    return FrameMap(
        mean_ap=float(np.nanmean(ap_C)) if num_groundtruth_C.any() else float("nan"),
        class_ids=tuple(int(class_id) for class_id in classes),
        average_precision=ap_C,
        num_groundtruth=num_groundtruth_C,
        num_detections=num_detections_C,
        num_key_frames=len(key_frames),
    )


def _claimants(
    groundtruth: pl.DataFrame, detections: pl.DataFrame, classes: Ints, *, cap: int
) -> tuple[pl.DataFrame, _Boxes, _Boxes]:
    key_frames = groundtruth.select(KEY).unique(maintain_order=True).with_row_index("frame")
    labelled = _ordered(groundtruth, key_frames, classes, cap=0, what="ground truth")
    found = _ordered(detections, key_frames, classes, cap=cap, what="detections")
    is_valid_N = (found.corners[:, 0] < found.corners[:, 2]) & (found.corners[:, 1] < found.corners[:, 3])
    return key_frames, labelled, found.at(np.flatnonzero(is_valid_N))


def outcomes(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    iou: float = 0.5,
    cap: int = OFFICIAL_CAP,
) -> pl.DataFrame:
    """What became of each detection that is scored, one row each, in the order in which they claim boxes.

    Columns: row (of `detections`, from 0), video_id, timestamp_us, class_id, score, is_right, iou (with the labelled
    box of its class and key-frame that it overlaps most; 0 where there is none) and gt_row (that box's row of
    `groundtruth`, from 0; null where there is none). Arguments and errors as for `frame_map`.
    """
    _check(groundtruth, ["class_id"], what="ground truth")
    _check(detections, ["class_id", "score"], what="detections")
    classes = np.unique(np.asarray(class_ids, dtype=np.int64))
    key_frames, labelled, found = _claimants(groundtruth, detections, classes, cap=cap)
    is_right_N, best_N, iou_N = _match(found, labelled, iou=iou, key_frames=key_frames)
    gt_row_N = np.where(best_N >= 0, labelled.row[best_N] if len(labelled.row) else -1, -1)
    return detections[found.row].select(*KEY, "class_id", "score").with_columns(
        pl.Series("row", found.row), pl.Series("is_right", is_right_N), pl.Series("iou", iou_N),
        pl.Series("gt_row", gt_row_N).replace(-1, None),
    ).select("row", *KEY, "class_id", "score", "is_right", "iou", "gt_row")  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Boxes:
    """Boxes of the scored key-frames, key-frames in the order of their first row, best first within one."""

    frame: Ints
    class_index: Ints
    corners: Floats
    score: Floats
    row: Ints

    def at(self, rows: Ints) -> _Boxes:
        return _Boxes(self.frame[rows], self.class_index[rows], self.corners[rows], self.score[rows], self.row[rows])


def _check(frame: pl.DataFrame, columns: Sequence[str], *, what: str) -> None:
    missing = [name for name in (*KEY, *CORNERS, *columns) if name not in frame.columns]
    if missing:
        raise BadInput(f"{what}: no column {', '.join(missing)}", mend=f"Found: {', '.join(frame.columns)}")


def _ordered(rows: pl.DataFrame, key_frames: pl.DataFrame, classes: Ints, *, cap: int, what: str) -> _Boxes:
    """The rows of `classes` on `key_frames`, at most `cap` a key-frame, in the order in which they claim boxes."""
    counted = rows.with_row_index("row").filter(pl.col("class_id").is_in(classes.tolist()))
    if "score" not in counted.columns:
        counted = counted.with_columns(score=pl.lit(1.0))
    counted = counted.join(key_frames, on=KEY, how="inner", maintain_order="left")
    score = counted["score"].fill_null(1.0).cast(pl.Float64).to_numpy()
    corners = counted.select(pl.col(CORNERS).cast(pl.Float64)).to_numpy()
    wrong = ~(np.isfinite(score) & np.isfinite(corners).all(axis=1))
    if wrong.any():
        row = counted.row(int(wrong.argmax()), named=True)
        raise BadInput(f"{what}: a score or corner is no number: {row}", mend="Want finite numbers")
    class_id = counted["class_id"].cast(pl.Int64).to_numpy()
    frame_N, row_N = (counted[name].cast(pl.Int64).to_numpy() for name in ("frame", "row"))
    boxes = _Boxes(frame_N, np.searchsorted(classes, class_id), corners, score, row_N)
    return boxes.at(_claiming_order(boxes, class_id, cap=cap))


def _claiming_order(boxes: _Boxes, class_id: Ints, *, cap: int) -> Ints:
    """Rows in the order of their key-frame's first row, then by falling score, `cap` a key-frame; [<= N]."""
    if not len(boxes.frame):
        return np.empty(0, dtype=np.int64)
    _, first, inverse = np.unique(boxes.frame, return_index=True, return_inverse=True)
    turn_of_frame = np.argsort(np.argsort(first))
    turn = turn_of_frame[inverse]
    in_turn = np.lexsort((-boxes.score, turn))
    starts = np.flatnonzero(np.diff(turn[in_turn], prepend=-1))
    ends = np.append(starts[1:], len(in_turn))
    same = (np.diff(turn[in_turn]) == 0) & (np.diff(boxes.score[in_turn]) == 0)
    num_same_before = np.concatenate([[0], np.cumsum(same)])
    parts = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        rows = in_turn[start:end]
        if num_same_before[end - 1] > num_same_before[start]:
            rows = _heap_order(np.sort(rows), boxes, class_id, cap=cap)
        parts.append(rows[:cap] if cap else rows)
    return np.concatenate(parts)


def _heap_order(rows: Ints, boxes: _Boxes, class_id: Ints, *, cap: int) -> Ints:
    """What a bounded heap of (score, class, y1, x1, y2, x2) leaves of `rows` (file order), stably sorted by score.

    Among equal scores the official program's order is that of its heap's array, so the heap itself is the definition:
    a newcomer enters a full heap only if its score is strictly above the lowest, and the smallest tuple leaves.
    """
    x1, y1, x2, y2 = boxes.corners[rows].T.tolist()
    entries = list(zip(boxes.score[rows].tolist(), class_id[rows].tolist(), y1, x1, y2, x2, strict=True))
    heap: list[tuple[float, int, float, float, float, float]] = []
    for entry in entries:
        if cap < 1 or len(heap) < cap:
            heapq.heappush(heap, entry)
        elif entry[0] > heap[0][0]:
            heapq.heapreplace(heap, entry)
    # A row number inside the entries would change how the heap arranges equal ones; rows equal in everything are
    # interchangeable, so they are dealt out afterwards.
    rows_of = defaultdict(list)
    for entry, row in zip(reversed(entries), reversed(rows.tolist()), strict=True):
        rows_of[entry].append(row)
    return np.array([rows_of[entry].pop() for entry in sorted(heap, key=lambda entry: -entry[0])], dtype=np.int64)


def _match(
    found: _Boxes, labelled: _Boxes, *, iou: float, key_frames: pl.DataFrame
) -> tuple[npt.NDArray[np.bool_], Ints, Floats]:
    """Whether each detection is right, the labelled box it overlaps most (-1: there is none), by how much; [N] each."""
    num_found = len(found.frame)
    is_right_N, best_N, iou_N = np.zeros(num_found, dtype=bool), np.full(num_found, -1), np.zeros(num_found)
    detection_P, box_P = _pairs(found, labelled)
    if not len(detection_P):
        return is_right_N, best_N, iou_N
    a_P4, b_P4 = found.corners[detection_P], labelled.corners[box_P]
    inverted_P = (b_P4[:, 0] > b_P4[:, 2]) | (b_P4[:, 1] > b_P4[:, 3])
    if inverted_P.any():
        box = int(box_P[inverted_P.argmax()])
        video_id, time_us = key_frames.row(int(labelled.frame[box]))[1:]
        raise BadInput(
            f"ground truth of {video_id} at {format_seconds(time_us)} s: box {labelled.corners[box].tolist()} ends "
            "before it starts",
            mend="Want x1 <= x2 and y1 <= y2",
        )
    overlap_P = _iou_of_pairs(a_P4, b_P4)
    starts = np.flatnonzero(np.diff(detection_P, prepend=-1))
    num_pairs = np.diff(np.append(starts, len(detection_P)))
    best = np.maximum.reduceat(overlap_P, starts)
    # The first pair that reaches its detection's best: argmax over each run.
    hits = np.flatnonzero(overlap_P == np.repeat(best, num_pairs))
    first_hit = hits[np.searchsorted(hits, starts)]
    best_N[detection_P[starts]], iou_N[detection_P[starts]] = box_P[first_hit], best
    enough = best >= iou
    detections, boxes = detection_P[starts][enough], box_P[first_hit][enough]
    # Detections come best first within a key-frame, so the first to name a box is the one that gets it.
    _, winners = np.unique(boxes, return_index=True)
    is_right_N[detections[winners]] = True
    return is_right_N, best_N, iou_N


def _pairs(found: _Boxes, labelled: _Boxes) -> tuple[Ints, Ints]:
    """Rows of `found` and of `labelled` that share key-frame and class, [P] each, both ascending within the other."""
    num_classes = 1 + max(found.class_index.max(initial=0), labelled.class_index.max(initial=0))
    key_N = found.frame * num_classes + found.class_index
    key_M = labelled.frame * num_classes + labelled.class_index
    by_key = np.argsort(key_M, kind="stable")
    low = np.searchsorted(key_M[by_key], key_N, side="left")
    count = np.searchsorted(key_M[by_key], key_N, side="right") - low
    detection_P = np.repeat(np.arange(len(key_N)), count)
    offset_P = np.arange(len(detection_P)) - np.repeat(np.cumsum(count) - count, count)
    return detection_P, by_key[np.repeat(low, count) + offset_P]


def _iou_of_pairs(a_P4: Floats, b_P4: Floats) -> Floats:
    """Intersection over union of each row of `a_P4` with the same row of `b_P4`, float64 [P]."""
    sides_P2 = np.clip(np.minimum(a_P4[:, 2:], b_P4[:, 2:]) - np.maximum(a_P4[:, :2], b_P4[:, :2]), 0, None)
    shared_P = sides_P2[:, 0] * sides_P2[:, 1]
    area_a_P = (a_P4[:, 2] - a_P4[:, 0]) * (a_P4[:, 3] - a_P4[:, 1])
    area_b_P = (b_P4[:, 2] - b_P4[:, 0]) * (b_P4[:, 3] - b_P4[:, 1])
    return shared_P / (area_a_P + area_b_P - shared_P)


def _average_precision(
    score: Floats, is_right: npt.NDArray[np.bool_], *, num_groundtruth: int, ties: Literal["stable", "numpy"]
) -> float:
    """Area under the precision envelope over all recall steps; NaN without ground truth, 0 without detections.

    Source: VOC's all-points AP as in `metrics.py`; the order among equal scores is the module's rule.
    """
    if num_groundtruth == 0:
        return float("nan")
    if not len(score):
        return 0.0
    order = np.argsort(score, kind="stable" if ties == "stable" else None)[::-1]
    num_right = np.cumsum(is_right[order])
    precision = num_right / np.arange(1, len(order) + 1)
    recall = np.concatenate([[0.0], num_right / num_groundtruth, [1.0]])
    envelope = np.concatenate([np.maximum.accumulate(precision[::-1])[::-1], [0.0]])
    steps = np.flatnonzero(recall[1:] != recall[:-1])
    return float(np.sum((recall[steps + 1] - recall[steps]) * envelope[steps]))
