"""Average precision of every class from which detections are right.

Only right detections raise the precision envelope, so they alone are sorted; of the wrong ones it is enough to know
before how many right ones they come. The numbers are those of the textbook form to the last bit.

Shapes: K detections, C classes, R right detections of one class.

Source: activitynet/ActivityNet, `Evaluation/ava/metrics.py` at 82304fa9 (VOC's area under the envelope, all points).
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from gesta.evaluate.heaps import Codes, Floats, Ints, in_threads

Bits = npt.NDArray[np.uint8]


def average_precisions(
    class_K: Codes,
    score_K: Floats,
    right_K: Bits,
    *,
    num_groundtruth_C: Ints,
    num_detections_C: Ints,
    ties: str = "stable",
) -> Floats:
    """Average precision of each class, float64 [C]: NaN without ground truth, 0 without a right detection.

    Args:
        class_K: class index of each detection, in the order of their claims.
        score_K: [K]; of equal scores the later comes first, as a stable sort that is then reversed has it.
        right_K: [K], 1 where a detection is right.
        num_groundtruth_C: labelled boxes of each class.
        num_detections_C: how often each class is in `class_K`.
        ties: "stable", or "numpy" for the order that NumPy's default sort happens to give on this machine.
    """
    num_classes = len(num_groundtruth_C)
    start_C = np.concatenate([[0], np.cumsum(num_detections_C)])
    by_class_score_K, by_class_right_K = np.empty(len(class_K)), np.empty(len(class_K), np.uint8)
    _scatter(class_K, score_K, right_K, start_C[:-1].copy(), by_class_score_K, by_class_right_K)
    ap_C = np.zeros(num_classes)

    def work(low: int, high: int) -> None:
        for c in range(low, high):
            score = by_class_score_K[start_C[c] : start_C[c + 1]]
            is_right = by_class_right_K[start_C[c] : start_C[c + 1]]
            if num_groundtruth_C[c] == 0:
                ap_C[c] = np.nan
            elif ties == "stable":
                ap_C[c] = _area(_ranks(score, is_right), int(num_groundtruth_C[c]))
            else:
                order = np.argsort(score)[::-1]
                ap_C[c] = _area(1 + np.flatnonzero(is_right[order]), int(num_groundtruth_C[c]))

    in_threads(work, num_classes)
    return ap_C


def _area(rank_R: Ints, num_groundtruth: int) -> float:
    """Area under the envelope, where `rank_R` gives the places (from 1) of the right detections, rising."""
    if not len(rank_R):
        return 0.0
    num_right_R = np.arange(1, len(rank_R) + 1)
    precision_R = num_right_R / rank_R
    envelope = np.maximum.accumulate(precision_R[::-1])[::-1]
    recall = np.concatenate([[0.0], num_right_R / num_groundtruth, [1.0]])
    steps = np.diff(recall)
    if len(rank_R) >= num_groundtruth:
        steps = steps[:-1]
    # The step to full recall has precision 0: it adds nothing, but a term more changes how NumPy pairs its sums.
    return float(np.sum(steps * np.append(envelope, [0.0] * (len(steps) - len(envelope)))))


@numba.njit(cache=True, nogil=True)
def _scatter(
    class_K: Codes, score_K: Floats, right_K: Bits, next_C: Ints, out_score_K: Floats, out_right_K: Bits
) -> None:
    """Put the detections of each class side by side, in their order."""
    for k in range(len(class_K)):
        place = next_C[class_K[k]]
        next_C[class_K[k]] = place + 1
        out_score_K[place], out_right_K[place] = score_K[k], right_K[k]


@numba.njit(cache=True, nogil=True)
def _ranks(score_K: Floats, is_right_K: Bits) -> Ints:
    """Place (from 1) of each right detection among all when the highest scores, of equal ones the later, come first."""
    right = np.flatnonzero(is_right_K)[::-1]
    right = right[np.argsort(-score_K[right], kind="mergesort")]
    num_right = len(right)
    num_wrong_R = np.zeros(num_right + 1, np.int64)
    if num_right == 0:
        return num_wrong_R[:0]
    scores_R = score_K[right]
    lowest = scores_R[num_right - 1]
    for k in range(len(score_K)):
        if is_right_K[k] or score_K[k] < lowest:
            continue
        low, high = 0, num_right
        while low < high:
            middle = (low + high) >> 1
            if scores_R[middle] > score_K[k] or (scores_R[middle] == score_K[k] and right[middle] > k):
                low = middle + 1
            else:
                high = middle
        num_wrong_R[low] += 1
    return np.cumsum(num_wrong_R)[:num_right] + np.arange(1, num_right + 1)
