"""Which detection claims which labelled box, in compiled loops.

Shapes: F key-frames, K detections held, M labelled boxes, T overlap thresholds, C classes.

Source: activitynet/ActivityNet, `Evaluation/ava/per_image_evaluation.py` and `np_box_ops.py` at 82304fa9; for
`is_float32`, open-mmlab/mmaction2, `mmaction/evaluation/functional/ava_evaluation` at 4d6c9347.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from gesta.evaluate.heaps import NEVER, Codes, Floats, Heaps, Ints, Order, in_threads

Bits = npt.NDArray[np.uint8]

SMALL = 64
"""Entries up to which a key-frame is sorted by insertion. Source: ours; above it a merge sort is faster."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labelled:
    """Labelled boxes, of key-frame f those from `start_F[f]` to `start_F[f + 1]`, by class and in claiming order."""

    start_F: Ints
    class_M: Codes
    corners_M4: Floats
    row_M: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Claims:
    """What became of each detection that is scored, in the order in which they claim; [K] each, `right_TK` [T, K].

    `best_K` is the row of the labelled box of its class that a detection overlaps most (-1: there is none) and `iou_K`
    by how much; `row_K` is its own row. These three are empty unless they were asked for.
    """

    class_K: Codes
    score_K: Floats
    right_TK: Bits
    row_K: Ints
    best_K: Ints
    iou_K: Floats


class InvertedBoxError(Exception):
    """A box that ends before it starts was met; `row` is its row, `is_labelled` says of which file."""

    def __init__(self, row: int, *, is_labelled: bool) -> None:
        super().__init__(f"inverted box in row {row}")
        self.row = row
        self.is_labelled = is_labelled


def labelled_of(heaps: Heaps, *, order: Order) -> Labelled:
    """The labelled boxes that the heaps hold, each key-frame's by class and, within one, in claiming order."""
    start_F = np.concatenate([[0], np.cumsum(heaps.num_F)])
    index_M = np.empty(int(start_F[-1]), np.int64)
    by_score = 0 if order == "file" else 1

    def work(low: int, high: int) -> None:
        _arrange(heaps.entries_K7, heaps.start_F, heaps.num_F, by_score, start_F, index_M, low, high)

    in_threads(work, len(heaps.num_F))
    entries_M7 = heaps.entries_K7[index_M]
    return Labelled(
        start_F=start_F,
        class_M=entries_M7[:, 1].astype(np.int32),
        corners_M4=np.ascontiguousarray(entries_M7[:, [3, 2, 5, 4]]),
        row_M=entries_M7[:, 6].astype(np.int64),
    )


def claims_of(
    heaps: Heaps,
    labelled: Labelled,
    *,
    order: Order,
    first_F: Ints,
    ious: Sequence[float],
    num_classes: int,
    is_float32: bool = False,
    with_boxes: bool = False,
) -> Claims:
    """Every held detection's claim, at each threshold of `ious`.

    Args:
        heaps: detections.
        labelled: what they may claim.
        order: the order that the heaps were filled with.
        first_F: [F]; key-frames follow each other by this number, and where it is `NEVER` they do not count.
        ious: overlaps that a right detection has at least, [T].
        num_classes: how many class indices there are.
        is_float32: MMAction2's arithmetic: corners as float32, boxes without area kept, inverted ones refused.
        with_boxes: fill `row_K`, `best_K` and `iou_K`.
    Raises:
        InvertedBoxError: an inverted labelled box shares key-frame and class with a detection, or, with
            `is_float32`, a detection is inverted.
    """
    num_frames = len(heaps.num_F)
    num_valid_F = np.zeros(num_frames, np.int64)
    inverted: list[int] = []

    def count(low: int, high: int) -> None:
        args = (heaps.entries_K7, heaps.start_F, heaps.num_F, first_F, int(is_float32), num_valid_F, low, high)
        inverted.append(int(_count_valid(*args)))

    in_threads(count, num_frames)
    if min(inverted) != NEVER:
        raise InvertedBoxError(min(inverted), is_labelled=False)
    frames = np.argsort(first_F, kind="stable")
    out_F = np.empty(num_frames, np.int64)
    ends = np.cumsum(num_valid_F[frames])
    out_F[frames] = ends - num_valid_F[frames]
    num_claims = int(ends[-1]) if num_frames else 0
    extra = num_claims if with_boxes else 0
    claims = Claims(
        class_K=np.empty(num_claims, np.int32), score_K=np.empty(num_claims),
        right_TK=np.zeros((len(ious), num_claims), np.uint8), row_K=np.empty(extra, np.int64),
        best_K=np.full(extra, -1, np.int64), iou_K=np.zeros(extra),
    )  # fmt: skip
    by_score = 0 if order == "file" else 1
    thresholds_T = np.asarray(ious, dtype=np.float64)
    taken_TM = np.zeros((len(ious), len(labelled.class_M)), np.uint8)

    def work(low: int, high: int) -> None:
        first_1 = np.full(1, NEVER, np.int64)
        _claim(
            heaps.entries_K7, heaps.start_F, heaps.num_F, num_valid_F, out_F, labelled.start_F, labelled.class_M,
            labelled.corners_M4, labelled.row_M, thresholds_T, by_score, int(is_float32), claims.class_K,
            claims.score_K, claims.right_TK, claims.row_K, claims.best_K, claims.iou_K, taken_TM, first_1,
            num_classes, low, high,
        )  # fmt: skip
        inverted.append(int(first_1[0]))

    in_threads(work, num_frames)
    if min(inverted) != NEVER:
        raise InvertedBoxError(min(inverted), is_labelled=True)
    return claims


@numba.njit(cache=True, nogil=True)
def _sort_by_score(entries_K7: Floats, start: int, num: int, index_K: Ints) -> None:
    """Fill `index_K[:num]` with places from `start` on by falling score, the earlier first among equals."""
    if num > SMALL:
        order = np.argsort(-entries_K7[start : start + num, 0], kind="mergesort")
        for i in range(num):
            index_K[i] = start + order[i]
        return
    # From the end, because a heap's array nearly rises; what is equal goes in front of what came earlier here.
    for i in range(num):
        place = start + num - 1 - i
        score = entries_K7[place, 0]
        at = i
        while at > 0 and entries_K7[index_K[at - 1], 0] <= score:
            index_K[at] = index_K[at - 1]
            at -= 1
        index_K[at] = place


@numba.njit(cache=True, nogil=True)
def _arrange(
    entries_K7: Floats, start_F: Ints, num_F: Ints, by_score: int, out_F: Ints, index_M: Ints, low: int, high: int
) -> None:
    """Places of each key-frame's entries by class, then in claiming order."""
    for f in range(low, high):
        start, num = start_F[f], num_F[f]
        index = index_M[out_F[f] : out_F[f] + num]
        if by_score:
            _sort_by_score(entries_K7, start, num, index)
        else:
            for i in range(num):
                index[i] = start + i
        classes = np.empty(num, np.float64)
        for i in range(num):
            classes[i] = entries_K7[index[i], 1]
        index[:] = index[np.argsort(classes, kind="mergesort")]


@numba.njit(cache=True, nogil=True)
def _count_valid(
    entries_K7: Floats, start_F: Ints, num_F: Ints, first_F: Ints, is_float32: int, num_valid_F: Ints, low: int,
    high: int,
) -> np.int64:  # fmt: skip
    """Count each key-frame's entries that are boxes; with float32 it is said which row is the first inverted one."""
    first = np.int64(NEVER)
    for f in range(low, high):
        if first_F[f] == NEVER:
            continue
        for i in range(start_F[f], start_F[f] + num_F[f]):
            if is_float32:
                y1, x1 = np.float32(entries_K7[i, 2]), np.float32(entries_K7[i, 3])
                y2, x2 = np.float32(entries_K7[i, 4]), np.float32(entries_K7[i, 5])
                if x1 > x2 or y1 > y2:
                    first = min(first, np.int64(entries_K7[i, 6]))
                num_valid_F[f] += 1
            elif entries_K7[i, 3] < entries_K7[i, 5] and entries_K7[i, 2] < entries_K7[i, 4]:
                num_valid_F[f] += 1
    return first


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _iou(entries_K7: Floats, k: int, corners_M4: Floats, m: int) -> float:
    """Intersection over union in float64, in the official program's order of operations."""
    y1, x1, y2, x2 = entries_K7[k, 2], entries_K7[k, 3], entries_K7[k, 4], entries_K7[k, 5]
    left, top, right, bottom = corners_M4[m, 0], corners_M4[m, 1], corners_M4[m, 2], corners_M4[m, 3]
    width = max(min(x2, right) - max(x1, left), 0.0)
    height = max(min(y2, bottom) - max(y1, top), 0.0)
    shared = height * width
    return shared / ((y2 - y1) * (x2 - x1) + (bottom - top) * (right - left) - shared)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _iou_float32(entries_K7: Floats, k: int, corners_M4: Floats, m: int) -> float:
    """Intersection over union with MMAction2's mixture of float32 and float64; not finite where it divides by 0."""
    zero = np.float32(0)
    y1, x1 = np.float32(entries_K7[k, 2]), np.float32(entries_K7[k, 3])
    y2, x2 = np.float32(entries_K7[k, 4]), np.float32(entries_K7[k, 5])
    left, top = np.float32(corners_M4[m, 0]), np.float32(corners_M4[m, 1])
    right, bottom = np.float32(corners_M4[m, 2]), np.float32(corners_M4[m, 3])
    width = np.float64(max(np.float32(min(x2, right) - max(x1, left)), zero))
    height = np.float64(max(np.float32(min(y2, bottom) - max(y1, top)), zero))
    shared = height * width
    own = np.float32(np.float32(y2 - y1) * np.float32(x2 - x1))
    other = np.float32(np.float32(bottom - top) * np.float32(right - left))
    return shared / (np.float64(np.float32(own + other)) - shared)


@numba.njit(cache=True, nogil=True)
def _mark_classes(class_M: Codes, low: int, high: int, is_there: int, span_C2: Codes) -> None:
    """Write where each class of the labelled boxes low .. high begins and ends, or take it out again."""
    for m in range(low, high):
        c = class_M[m]
        if m == low or class_M[m - 1] != c:
            span_C2[c, 0] = m * is_there
        span_C2[c, 1] = (m + 1) * is_there


@numba.njit(cache=True, nogil=True)
def _best_box(
    entries_K7: Floats, k: int, corners_M4: Floats, row_M: Ints, low: int, high: int, is_float32: int, first_1: Ints
) -> tuple[int, float]:
    """The labelled box, among low .. high, that the entry overlaps most, the first of equals; -1: there is none."""
    best, most = -1, 0.0
    for m in range(low, high):
        if corners_M4[m, 0] > corners_M4[m, 2] or corners_M4[m, 1] > corners_M4[m, 3]:
            first_1[0] = min(first_1[0], row_M[m])
        overlap = _iou_float32(entries_K7, k, corners_M4, m) if is_float32 else _iou(entries_K7, k, corners_M4, m)
        # NumPy's argmax takes the first NaN for the largest.
        if best < 0 or (overlap > most and not np.isnan(most)) or (np.isnan(overlap) and not np.isnan(most)):
            best, most = m, overlap
    return best, most


@numba.njit(cache=True, nogil=True)
def _claim(
    entries_K7: Floats, start_F: Ints, num_F: Ints, num_valid_F: Ints, out_F: Ints, box_start_F: Ints, class_M: Codes,
    corners_M4: Floats, row_M: Ints, thresholds_T: Floats, by_score: int, is_float32: int, class_K: Codes,
    score_K: Floats, right_TK: Bits, row_K: Ints, best_K: Ints, iou_K: Floats, taken_TM: Bits, first_1: Ints,
    num_classes: int, low: int, high: int,
) -> None:  # fmt: skip
    """Fill the claims of key-frames low .. high."""
    index_K = np.empty(1024, np.int64)
    span_C2 = np.zeros((num_classes, 2), np.int32)
    for f in range(low, high):
        if num_valid_F[f] == 0:
            continue
        start, num = start_F[f], num_F[f]
        if num > len(index_K):
            index_K = np.empty(2 * num, np.int64)
        if by_score:
            _sort_by_score(entries_K7, start, num, index_K)
        else:
            for i in range(num):
                index_K[i] = start + i
        _mark_classes(class_M, box_start_F[f], box_start_F[f + 1], 1, span_C2)
        out = out_F[f]
        for i in range(num):
            k = index_K[i]
            if not is_float32 and not (entries_K7[k, 3] < entries_K7[k, 5] and entries_K7[k, 2] < entries_K7[k, 4]):
                continue
            c = np.int32(entries_K7[k, 1])
            class_K[out], score_K[out] = c, entries_K7[k, 0]
            best, most = -1, 0.0
            if span_C2[c, 1] > 0:
                best, most = _best_box(
                    entries_K7, k, corners_M4, row_M, span_C2[c, 0], span_C2[c, 1], is_float32, first_1
                )
                for t in range(len(thresholds_T)):
                    if most >= thresholds_T[t] and not taken_TM[t, best]:
                        taken_TM[t, best] = 1
                        right_TK[t, out] = 1
            if len(row_K):
                row_K[out] = np.int64(entries_K7[k, 6])
                if best >= 0:
                    best_K[out], iou_K[out] = row_M[best], most
            out += 1
        _mark_classes(class_M, box_start_F[f], box_start_F[f + 1], 0, span_C2)
