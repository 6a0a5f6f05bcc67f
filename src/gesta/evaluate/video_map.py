"""Video mAP: how well whole tubes of actions are found, as UCF101-24, JHMDB and MultiSports are scored.

A tube is one person's boxes of one action, frame by frame. A detected tube claims the labelled tube of its video and
class that it overlaps most; overlap is that in time (frames of both / frames of either) times the mean overlap of the
boxes on the frames of both. There are two definitions, and papers do not always say which one they mean:

| rule | `act` (UCF101-24, JHMDB) | `multisports` |
|---|---|---|
| program | ACT.py, `videoAP`; copied by MOC-Detector | evaluate_multisports.py, `videoAP`; copied by MMAction2 |
| a box of x1 to x2 | is x2 - x1 + 1 pixels wide: corners are pixels | is x2 - x1 wide: corners are edges |
| a tube of frames 3 to 7 | lasts 5 frames | lasts 4; two tubes that share one frame do not overlap |
| the labelled tube overlapped most is claimed | the best free one is claimed | the detection is wrong |
| before scoring | tubes that overlap a better one of their video and class by > 0.3 are dropped | all stay |
| area under the curve | trapezoids from (recall 0, precision 1) on, in float32 | VOC's envelope over all recall steps |
| a class without labelled tubes | counts as 0 | stays out of the mean |
| classes | all | all but six with few tubes (`MULTISPORTS_UNSCORED`) |

Both: the best score claims first, an overlap of exactly the threshold is enough, a detection in a video without
labelled tubes is wrong, a class with labelled tubes and without detections has 0. Of equal scores the tube whose first
row comes first goes first (both programs leave that to NumPy's default sort). Where a tube skips a frame, both programs
stop with an error; here a frame that one of two tubes skips counts as an overlap of 0.

Boxes are in pixels, and frames are whole numbers that rise by 1: `tube_rows` makes them of fractions and times. Under
`act` fractions would give other numbers, so they are refused.

Shapes: T thresholds, C classes, G labelled tubes, D detected tubes, N boxes.

Source: vkalogeiton/caffe, branch act-detector, a4314616, `act-detector-scripts/ACT.py` and `ACT_utils.py`;
MCG-NJU/MOC-Detector 45c3fd0, `src/ACT.py` and `src/ACT_utils/ACT_utils.py`; MCG-NJU/MultiSports a29e291,
`evaluate_multisports.py`; open-mmlab/mmaction2 4d6c9347, `mmaction/evaluation/functional/multisports_utils.py`. The
Matlab program beside the corrected UCF101-24 annotations (gurkirt/corrected-UCF101-Annots 5de776b) is a third one,
which is not here: strictly more than the threshold, no overlap of one frame, detections one pixel larger, VOC's area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.formats.frame_boxes import on_frames
from gesta.schema import BadInput

Definition = Literal["act", "multisports"]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

IOU_50_TO_95 = tuple(0.5 + 0.05 * i for i in range(10))
"""Thresholds whose mean is "0.5:0.95". Source: both programs, in these floating-point numbers."""

ACT_NMS_IOU = 0.3
"""Overlap beyond which the worse of two tubes goes. Source: ACT.py, `videoAP` (`nms3dt(ltubes, 0.3)`)."""

MULTISPORTS_UNSCORED = (
    "aerobic kick jump", "aerobic off axis jump", "aerobic butterfly jump", "aerobic balance turn", "basketball save",
    "basketball jump ball",
)  # fmt: skip
"""Classes that MultiSports does not score. Source: evaluate_multisports.py, `videoAP`."""

_TUBE = ["video_id", "class_id", "tube_id"]
_CORNERS = ["x1", "y1", "x2", "y2"]
_PIXEL_DECIMALS = 9
"""Source: ours. Takes the last bits off fraction x size, so that whole pixels are whole again."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VideoMap:
    """Video mAP and its parts.

    `mean_ap_T`: [T], over classes. `average_precision_TC`: [T, C], NaN for a class that does not count.
    `num_groundtruth_C`, `num_detections_C`: tubes, [C]; detections after those that overlap a better one are dropped.
    """

    definition: Definition
    iou: tuple[float, ...]
    class_ids: tuple[int, ...]
    mean_ap_T: Floats
    average_precision_TC: Floats
    num_groundtruth_C: Ints
    num_detections_C: Ints

    def of_class(self, class_id: int, *, iou: float) -> float:
        """Average precision of one class at one of the thresholds; NaN for a class that does not count."""
        return float(self.average_precision_TC[self.iou.index(iou), self.class_ids.index(class_id)])

    def mean_over(self, iou: Sequence[float] = IOU_50_TO_95) -> float:
        """Mean of the mAPs at those thresholds, each one of `iou` of this result.

        Raises:
            ValueError: one of them was not scored.
        """
        return float(np.mean([self.mean_ap_T[self.iou.index(threshold)] for threshold in iou]))


def video_map(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    iou: Sequence[float] = (0.5,),
    definition: Definition = "act",
    nms_iou: float | Literal["default"] | None = "default",
) -> VideoMap:
    """Video mAP of detected tubes at each threshold.

    Args:
        groundtruth: a row a box: video_id, tube_id, class_id, frame, x1, y1, x2, y2 in pixels. A tube is told by its
            video, class and tube_id. Only videos that were meant to be scored: all rows count.
        detections: the same and `score`, which is that of the tube and so the same in all of its rows.
        class_ids: classes that count; rows of others are skipped.
        iou: overlaps that a right detection has at least.
        definition: see the module.
        nms_iou: overlap beyond which a tube is dropped for a better one of its video and class; "default" is 0.3
            under `act` and none under `multisports`.
    Raises:
        BadInput: a column is missing or has a null, a corner or score is not finite, a tube has two boxes on one frame
            or two scores, `class_ids` is empty or repeats one, a threshold is not in (0, 1], or the boxes are
            fractions under `act`.
    Source: see the module.
    """
    classes = np.unique(np.asarray(class_ids, dtype=np.int64))
    if len(classes) == 0 or len(classes) != len(class_ids):
        raise BadInput(f"class ids {list(class_ids)[:10]}", mend="Want at least one, none of them twice")
    if not iou or not all(0 < threshold <= 1 for threshold in iou):
        raise BadInput(f"thresholds {list(iou)}", mend="Want numbers above 0 and up to 1")
    videos = pl.concat([groundtruth["video_id"], detections["video_id"]]).cast(pl.String).unique(maintain_order=True)
    labelled = _tubes(groundtruth, videos, classes, what="ground truth")
    found = _tubes(detections, videos, classes, what="detections")
    if definition == "act":
        _refuse_fractions(labelled, found)
    if nms_iou == "default":
        nms_iou = ACT_NMS_IOU if definition == "act" else None
    side = 1.0 if definition == "act" else 0.0
    order_D = np.lexsort((-found.score_D, found.group_D))
    if nms_iou is not None:
        order_D = order_D[_kept(order_D, found.group_D, found.start_D, found.frame_N, found.box_N4, side, nms_iou)]
    first_D, last_D, overlap_P, tube_P = _pairs(order_D, found, labelled, side)
    num_C = np.bincount(found.group_D[order_D] % len(classes), minlength=len(classes))
    num_groundtruth_C = np.bincount(labelled.group_D % len(classes), minlength=len(classes))
    # Scores decide within a class over all videos; ties stay in the order of rows.
    by_class = np.lexsort((order_D, -found.score_D[order_D], found.group_D[order_D] % len(classes)))
    ap_TC = np.empty((len(iou), len(classes)))
    for row, threshold in enumerate(iou):
        right = _right(
            by_class, first_D, last_D, overlap_P, tube_P, len(labelled.group_D), threshold, definition == "act"
        )
        parts = np.split(right, np.cumsum(num_C)[:-1])
        area = _trapezoids if definition == "act" else _envelope
        ap_TC[row] = [area(part, num_groundtruth=int(num)) for part, num in zip(parts, num_groundtruth_C, strict=True)]
    return VideoMap(
        definition=definition,
        iou=tuple(iou),
        class_ids=tuple(int(class_id) for class_id in classes),
        mean_ap_T=_means(ap_TC, definition=definition),
        average_precision_TC=ap_TC,
        num_groundtruth_C=num_groundtruth_C,
        num_detections_C=num_C,
    )


@dataclass(frozen=True, slots=True)
class _Tubes:
    """D tubes in the order of their first rows; the boxes of tube d are rows `start_D[d]` to `start_D[d + 1]` of N.

    `group_D` numbers video and class: video index x C + class index.
    """

    group_D: Ints
    score_D: Floats
    start_D: Ints
    frame_N: Ints
    box_N4: Floats


def _tubes(rows: pl.DataFrame, videos: pl.Series, classes: Ints, *, what: str) -> _Tubes:
    wanted = [*_TUBE, "frame", *_CORNERS] + (["score"] if what == "detections" else [])
    missing = [name for name in wanted if name not in rows.columns]
    if missing:
        raise BadInput(f"{what}: no column {', '.join(missing)}", mend=f"Found: {', '.join(rows.columns)}")
    used = rows.select(wanted).filter(pl.col("class_id").is_in(classes.tolist()).fill_null(value=True))
    if "score" not in used.columns:
        used = used.with_columns(score=pl.lit(1.0))
    nulls = [name for name in used.columns if used[name].null_count()]
    if nulls:
        raise BadInput(f"{what}: column {nulls[0]} has nulls", mend="Give each box its tube, class, frame and corners")
    numbers = used.select(pl.col([*_CORNERS, "score"]).cast(pl.Float64))
    unbounded = ~numbers.select(pl.all_horizontal(pl.all().is_finite())).to_series()
    if unbounded.any():
        bad = used.row(int(unbounded.arg_max() or 0), named=True)
        raise BadInput(f"{what}: a score or corner is no number: {bad}", mend="Want finite numbers")
    order = pl.DataFrame({"video_id": videos, "video": pl.Series(range(len(videos)), dtype=pl.Int64)})
    keyed = used.with_columns(pl.col("video_id").cast(pl.String)).join(order, on="video_id", maintain_order="left")
    tubes = keyed.select(_TUBE).unique(maintain_order=True).with_row_index("tube")
    sorted_rows = keyed.join(tubes, on=_TUBE, maintain_order="left").sort("tube", "frame", maintain_order=True)
    double = sorted_rows.filter((pl.col("tube").diff() == 0) & (pl.col("frame").diff() == 0))
    if double.height:
        row = double.row(0, named=True)
        raise BadInput(
            f"{what}: tube {row['tube_id']} of video {row['video_id']} has two boxes on frame {row['frame']}",
            mend="A tube has one box a frame",
        )
    mixed = sorted_rows.filter((pl.col("tube").diff() == 0) & (pl.col("score").diff() != 0))
    if mixed.height:
        raise BadInput(
            f"{what}: tube {mixed['tube_id'][0]} of video {mixed['video_id'][0]} has two scores",
            mend="Give the tube's own score in each of its rows, as tubes_of_detections does",
        )
    tube_N = sorted_rows["tube"].cast(pl.Int64).to_numpy()
    start_D = np.searchsorted(tube_N, np.arange(tubes.height + 1))
    first = sorted_rows[start_D[:-1]]
    class_index = np.searchsorted(classes, first["class_id"].cast(pl.Int64).to_numpy())
    return _Tubes(
        first["video"].to_numpy() * len(classes) + class_index,
        first["score"].cast(pl.Float64).to_numpy(),
        start_D.astype(np.int64),
        sorted_rows["frame"].cast(pl.Int64).to_numpy(),
        np.ascontiguousarray(sorted_rows.select(pl.col(_CORNERS).cast(pl.Float64)).to_numpy()),
    )


def _refuse_fractions(labelled: _Tubes, found: _Tubes) -> None:
    for tubes, what in ((labelled, "ground truth"), (found, "detections")):
        if len(tubes.box_N4) and tubes.box_N4[:, 2:].max() <= 1.0:
            raise BadInput(
                f"{what}: no box reaches beyond 1, so these are fractions of the frame, and `act` counts pixels",
                mend="Give corners in pixels (tube_rows makes them), or take the definition multisports",
            )


@numba.njit(cache=True, nogil=True)
def _overlap(
    frame_a: Ints, box_a: Floats, low_a: int, high_a: int, frame_b: Ints, box_b: Floats, low_b: int, high_b: int,
    side: float,
) -> float:  # fmt: skip
    """Overlap of rows low_a..high_a of [N], [N, 4] with rows low_b..high_b; `side` is what is added to lengths."""
    first = max(frame_a[low_a], frame_b[low_b])
    last = min(frame_a[high_a - 1], frame_b[high_b - 1])
    if last < first:
        return 0.0
    span = max(frame_a[high_a - 1], frame_b[high_b - 1]) - min(frame_a[low_a], frame_b[low_b]) + side
    if span <= 0:
        return 0.0
    total, num_frames, a, b = 0.0, 0, low_a, low_b
    while a < high_a and frame_a[a] < first:
        a += 1
    while b < high_b and frame_b[b] < first:
        b += 1
    while (a < high_a and frame_a[a] <= last) or (b < high_b and frame_b[b] <= last):
        num_frames += 1
        has_a, has_b = a < high_a, b < high_b
        if has_a and has_b and frame_a[a] == frame_b[b]:
            width = min(box_a[a, 2], box_b[b, 2]) + side - max(box_a[a, 0], box_b[b, 0])
            height = min(box_a[a, 3], box_b[b, 3]) + side - max(box_a[a, 1], box_b[b, 1])
            shared = max(0.0, width) * max(0.0, height)
            area_a = (box_a[a, 2] - box_a[a, 0] + side) * (box_a[a, 3] - box_a[a, 1] + side)
            area_b = (box_b[b, 2] - box_b[b, 0] + side) * (box_b[b, 3] - box_b[b, 1] + side)
            union = area_a + area_b - shared
            if union > 0:
                total += shared / union
            a += 1
            b += 1
        elif has_a and (not has_b or frame_a[a] < frame_b[b]):
            a += 1
        else:
            b += 1
    return total / num_frames * ((last - first + side) / span)


@numba.njit(cache=True, nogil=True)
def _kept(
    order_D: Ints, group_D: Ints, start_D: Ints, frame_N: Ints, box_N4: Floats, side: float, nms_iou: float
) -> npt.NDArray[np.bool_]:
    """Whether each tube of `order_D` ([D], by group and falling score) overlaps no better kept one too much, [D]."""
    kept = np.ones(len(order_D), np.bool_)
    low = 0
    while low < len(order_D):
        high = low
        while high < len(order_D) and group_D[order_D[high]] == group_D[order_D[low]]:
            high += 1
        for i in range(low, high):
            a = order_D[i]
            for j in range(low, i):
                b = order_D[j]
                if kept[j] and (
                    _overlap(
                        frame_N, box_N4, start_D[a], start_D[a + 1], frame_N, box_N4, start_D[b], start_D[b + 1], side
                    )
                    > nms_iou
                ):
                    kept[i] = False
                    break
        low = high
    return kept


def _pairs(order_D: Ints, found: _Tubes, labelled: _Tubes, side: float) -> tuple[Ints, Ints, Floats, Ints]:
    """Where the pairs of each detection of `order_D` begin and end, [D] each; overlap and labelled tube, [P] each."""
    by_group = np.argsort(labelled.group_D, kind="stable")
    group_G = labelled.group_D[by_group]
    low_D = np.searchsorted(group_G, found.group_D[order_D], side="left")
    count_D = np.searchsorted(group_G, found.group_D[order_D], side="right") - low_D
    last_D = np.cumsum(count_D)
    first_D = last_D - count_D
    tube_P = by_group[np.repeat(low_D - first_D, count_D) + np.arange(count_D.sum())]
    found_P = np.repeat(order_D, count_D)
    overlap_P = _overlaps(
        found_P, found.start_D, found.frame_N, found.box_N4,
        tube_P, labelled.start_D, labelled.frame_N, labelled.box_N4, side,
    )  # fmt: skip
    return first_D, last_D, overlap_P, tube_P


@numba.njit(cache=True, nogil=True)
def _overlaps(
    a_P: Ints, start_a: Ints, frame_a: Ints, box_a: Floats, b_P: Ints, start_b: Ints, frame_b: Ints, box_b: Floats,
    side: float,
) -> Floats:  # fmt: skip
    """Overlap of each pair of tubes, [P]."""
    out = np.empty(len(a_P))
    for p in range(len(a_P)):
        a, b = a_P[p], b_P[p]
        out[p] = _overlap(frame_a, box_a, start_a[a], start_a[a + 1], frame_b, box_b, start_b[b], start_b[b + 1], side)
    return out


@numba.njit(cache=True, nogil=True)
def _right(
    turn_D: Ints, first_D: Ints, last_D: Ints, overlap_P: Floats, tube_P: Ints, num_labelled: int, threshold: float,
    looks_on: bool,  # noqa: FBT001
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Whether each detection is right, [D] in the order of `turn_D`; `looks_on`: past tubes that are claimed."""
    is_claimed = np.zeros(num_labelled, np.bool_)
    right = np.zeros(len(turn_D), np.bool_)
    for i in range(len(turn_D)):
        best, best_overlap = -1, -1.0
        for p in range(first_D[turn_D[i]], last_D[turn_D[i]]):
            if looks_on and is_claimed[tube_P[p]]:
                continue
            if overlap_P[p] > best_overlap:
                best, best_overlap = tube_P[p], overlap_P[p]
        if best >= 0 and best_overlap >= threshold and not is_claimed[best]:
            is_claimed[best] = True
            right[i] = True
    return right


def _trapezoids(right: npt.NDArray[np.bool_], *, num_groundtruth: int) -> float:
    """Area under precision over recall by trapezoids from precision 1 at recall 0; 0 without ground truth.

    In float32 and in this order of operations, which is part of what the program prints.

    Source: ACT.py, `videoAP`; ACT_utils.py, `pr_to_ap`.
    """
    if not num_groundtruth:
        return 0.0
    num_right = np.cumsum(right)
    precision = np.append([1.0], num_right / np.arange(1, len(right) + 1)).astype(np.float32)
    recall = np.append([0.0], num_right / num_groundtruth).astype(np.float32)
    return float(np.sum((recall[1:] - recall[:-1]) * (precision[1:] + precision[:-1]) * np.float32(0.5)))


def _envelope(right: npt.NDArray[np.bool_], *, num_groundtruth: int) -> float:
    """Area under the highest precision at or beyond each recall; NaN without ground truth.

    Source: evaluate_multisports.py, `pr_to_ap_voc` (VOC's all-points AP).
    """
    if not num_groundtruth:
        return float("nan")
    num_right = np.cumsum(right)
    recall = np.concatenate([[0.0], num_right / num_groundtruth, [1.0]])
    precision = np.concatenate([[0.0], num_right / np.arange(1, len(right) + 1), [0.0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(np.sum((recall[steps] - recall[steps - 1]) * envelope[steps]))


def _means(ap_TC: Floats, *, definition: Definition) -> Floats:
    """The mean over classes at each threshold, [T] of [T, C]; NaN where no class counts."""
    if definition == "act":
        return np.array([float(np.mean(np.float32(100) * row.astype(np.float32))) / 100 for row in ap_TC])
    counts = ~np.isnan(ap_TC)
    return np.array([row[has].mean() if has.any() else np.nan for row, has in zip(ap_TC, counts, strict=True)])


def tube_rows(boxes: pl.DataFrame, videos: pl.DataFrame, *, what: str = "boxes") -> pl.DataFrame:
    """Rows as `video_map` and `tubes_of_detections` take them, of boxes as fractions at times.

    Columns: video_id, tube_id (the person), class_id, frame from 1, x1, y1, x2, y2 in pixels, and score.

    Args:
        boxes: columns of `gesta.formats.annotations.BOX_COLUMNS`; those without corners or class are left out.
        videos: columns of `VIDEO_COLUMNS`, with the size and frame rate of each video.
        what: the boxes, for messages.
    Raises:
        BadInput: a video's size or frame rate is not known, or a time is none.
    """
    used = boxes.filter(pl.col("x1").is_not_null() & pl.col("class_id").is_not_null())
    placed = on_frames(used, videos, path=what, decimals=_PIXEL_DECIMALS)
    return placed.select(
        "video_id", pl.col("person_id").alias("tube_id"), "class_id", pl.col("frame") + 1, *_CORNERS, "score"
    )
