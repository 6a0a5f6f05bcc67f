"""Confident Learning: how many labels of each class belong to another one, and which labels those are.

Ours, after the paper; where the paper leaves a choice (ties, rounding, what is never taken away), it is made as the
authors' program makes it, so that both give the same counts (`tests/parity/test_confident.py`).

Source: Northcutt, Jiang & Chuang, Confident Learning: estimating uncertainty in dataset labels (JAIR 70, 2021), with
the sections named below; choices: cleanlab 2.9.0.

Shapes: N labels, K classes. `labels_N` holds places 0..K-1 in the classes; `scores_NK` the probability of each class,
from classifiers that did not see the clip.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput, MissingExtra, UnknownName

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

Rule = Literal["joint", "by-class", "by-noise-rate", "both", "argmax"]
RULES: tuple[Rule, ...] = ("by-noise-rate", "by-class", "both", "joint", "argmax")
"""Which labels are held to be wrong: those counted off the joint's diagonal (joint), as many of each class as the joint
says, the least likely first (by-class), as many of each pair of classes, the most likely to be the other first
(by-noise-rate), what both of these say (both), and those whose likeliest class is another (argmax).

Source: section 3.2, methods 2 to 5 and 1.
"""

MARGIN = 1e-6
"""How far a probability may stay below a threshold, and a label's below the largest. Source: cleanlab 2.9.0."""

_LEAST_THRESHOLD = 2 * MARGIN
_ROWS_AT_ONCE = 65_536


def confident_thresholds(labels_N: Ints, scores_NK: Floats) -> Floats:
    """The mean probability of each class over the clips labelled with it, float64 [K]; 2, never met, where none is.

    Raises:
        BadInput: the shapes do not fit, a label is no class, or a score is no probability.
    Source: section 3.1, equation 2.

    >>> confident_thresholds(np.array([0, 0, 1]), np.array([[0.75, 0.25], [0.25, 0.75], [0.5, 0.5]]))
    array([0.5, 0.5])
    """
    _check(labels_N, scores_NK)
    num_classes = scores_NK.shape[1]
    own_N = scores_NK[np.arange(len(labels_N)), labels_N].astype(np.float64)
    counts_K = np.bincount(labels_N, minlength=num_classes)
    sums_K = np.bincount(labels_N, weights=own_N, minlength=num_classes)
    means_K = np.maximum(sums_K / np.maximum(counts_K, 1), _LEAST_THRESHOLD)
    return np.where(counts_K > 0, means_K, 2.0)


def confident_classes(scores_NK: Floats, thresholds_K: Floats) -> Ints:
    """The class that each clip confidently shows, int64 [N]; -1 where no class reaches its threshold.

    Where several do it is the likeliest of all classes. Source: section 3.1, equation 1 and "collisions".
    """
    found_N = np.empty(len(scores_NK), dtype=np.int64)
    for start in range(0, len(scores_NK), _ROWS_AT_ONCE):
        part_NK = scores_NK[start : start + _ROWS_AT_ONCE]
        is_met_NK = part_NK >= thresholds_K - MARGIN
        num_met_N = is_met_NK.sum(axis=1)
        guess_N = np.where(num_met_N > 1, part_NK.argmax(axis=1), is_met_NK.argmax(axis=1))
        found_N[start : start + len(part_NK)] = np.where(num_met_N > 0, guess_N, -1)
    return found_N


def confident_counts(labels_N: Ints, scores_NK: Floats, *, thresholds_K: Floats | None = None) -> Ints:
    """The confident joint as it is counted, int64 [K, K]: row the label, column the class that is confidently shown.

    The diagonal is 1 at least.

    Raises:
        BadInput: as `confident_thresholds`.
    Source: section 3.1, equation 1.
    """
    if thresholds_K is None:
        thresholds_K = confident_thresholds(labels_N, scores_NK)
    num_classes = scores_NK.shape[1]
    shown_N = confident_classes(scores_NK, thresholds_K)
    is_met_N = shown_N >= 0
    places_N = labels_N[is_met_N] * num_classes + shown_N[is_met_N]
    counts_KK = np.bincount(places_N, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)
    np.fill_diagonal(counts_KK, np.maximum(counts_KK.diagonal(), 1))
    return counts_KK


def confident_joint(labels_N: Ints, scores_NK: Floats, *, thresholds_K: Floats | None = None) -> Ints:
    """The calibrated joint, int64 [K, K]: rows sum to the number of labels of each class, all to N.

    Raises:
        BadInput: as `confident_thresholds`.
    Source: section 3.1, equation 3.
    """
    counts_KK = confident_counts(labels_N, scores_NK, thresholds_K=thresholds_K)
    of_class_K = np.bincount(labels_N, minlength=len(counts_KK))
    # Halves are common in small classes, and the last bit says which way they are rounded: so the sums are taken in the
    # order that the authors' program takes them in, along columns.
    by_column_KK = np.ascontiguousarray(counts_KK.T) / counts_KK.sum(axis=1) * of_class_K
    return rounded_rows((by_column_KK / max(float(by_column_KK.sum()), 1e-100) * of_class_K.sum()).T)


def rounded_rows(values_KK: Floats) -> Ints:
    """The values as whole numbers, int64 [K, K], so that each row keeps its sum, itself rounded.

    Each is rounded to the nearest; what a row lacks then is added to those that lost most by it, one each.

    >>> rounded_rows(np.array([[1.4, 1.4, 0.2], [2.5, 0.5, 0.0]]))
    array([[1, 2, 0],
           [2, 1, 0]])
    """
    whole_KK = np.rint(values_KK)
    lack_K = np.rint(np.rint(values_KK.sum(axis=1)) - whole_KK.sum(axis=1)).astype(np.int64)
    for row in np.flatnonzero(lack_K):
        order = np.argsort(values_KK[row] - whole_KK[row], kind="stable")
        step = 1 if lack_K[row] > 0 else -1
        whole_KK[row, order[::-step][: abs(lack_K[row])]] += step
    return whole_KK.astype(np.int64)


def wrong_labels(labels_N: Ints, scores_NK: Floats, *, rule: Rule = "by-noise-rate") -> Bools:
    """Whether each label is held to be wrong, bool [N].

    Never one whose class is the likeliest, and by the rules that count, never all labels of a class.

    Raises:
        BadInput: as `confident_thresholds`.
        UnknownName: there is no such rule.
    Source: section 3.2; the two exceptions: cleanlab 2.9.0.
    """
    if rule not in RULES:
        raise UnknownName(what="rule", name=rule, choices=RULES)
    _check(labels_N, scores_NK)
    is_other_N = likeliest_other_than(labels_N, scores_NK)
    if rule == "argmax":
        return is_other_N
    thresholds_K = confident_thresholds(labels_N, scores_NK)
    if rule == "joint":
        shown_N = confident_classes(scores_NK, thresholds_K)
        return (shown_N >= 0) & (shown_N != labels_N) & is_other_N
    leave_KK = _to_take(confident_joint(labels_N, scores_NK, thresholds_K=thresholds_K))
    is_wrong_N = np.ones(len(labels_N), dtype=bool)
    if rule in ("by-class", "both"):
        is_wrong_N &= _by_class(labels_N, scores_NK, leave_KK)
    if rule in ("by-noise-rate", "both"):
        is_wrong_N &= _by_noise_rate(labels_N, scores_NK, leave_KK)
    return is_wrong_N & is_other_N


def wrong_labels_by_cleanlab(labels_N: Ints, scores_NK: Floats, *, rule: Rule = "by-noise-rate") -> Bools:
    """The same, bool [N], as the authors' own program says it.

    Raises:
        BadInput: as `confident_thresholds`.
        UnknownName: there is no such rule.
        MissingExtra: cleanlab is not installed.
    """
    if rule not in _THEIR_NAMES:
        raise UnknownName(what="rule", name=rule, choices=RULES)
    _check(labels_N, scores_NK)
    try:
        from cleanlab.filter import find_label_issues
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="curate", module="cleanlab") from error
    with warnings.catch_warnings():
        # It says of each class of one clip that it keeps that one.
        warnings.simplefilter("ignore", UserWarning)
        found_N = find_label_issues(labels_N, scores_NK, filter_by=_THEIR_NAMES[rule], n_jobs=1)
    return np.asarray(found_N, dtype=bool)


_THEIR_NAMES: Mapping[str, str] = {
    "by-noise-rate": "prune_by_noise_rate", "by-class": "prune_by_class", "both": "both",
    "joint": "confident_learning", "argmax": "predicted_neq_given",
}  # fmt: skip
"""What cleanlab 2.9.0 calls each rule."""


def likeliest_other_than(labels_N: Ints, scores_NK: Floats) -> Bools:
    """Whether the likeliest class of each clip is another than its label, bool [N]; of equal ones the label counts."""
    own_N = scores_NK[np.arange(len(labels_N)), labels_N].astype(np.float64) + MARGIN
    best_N = scores_NK.argmax(axis=1)
    highest_N = scores_NK[np.arange(len(labels_N)), best_N]
    # An exact tie with the margin goes to the class of the lower place, as argmax has it.
    is_tied_N = (highest_N == own_N) & (best_N < labels_N)
    return (best_N != labels_N) & ((highest_N > own_N) | is_tied_N)


def _to_take(joint_KK: Ints) -> Ints:
    """How many labels of each class go to each other one; a class that would lose all keeps one."""
    short_K = np.maximum(1 - joint_KK.diagonal(), 0)
    num_others_K = np.maximum(np.count_nonzero(joint_KK, axis=1) - 1, 1)
    taken_KK = np.floor(np.maximum(joint_KK - (short_K / num_others_K)[:, None], 0)).astype(np.int64)
    np.fill_diagonal(taken_KK, np.maximum(joint_KK.diagonal(), 1))
    return taken_KK


def _by_class(labels_N: Ints, scores_NK: Floats, taken_KK: Ints) -> Bools:
    is_wrong_N = np.zeros(len(labels_N), dtype=bool)
    for label, members in _members(labels_N, num_classes=len(taken_KK)):
        num_wrong = len(members) - int(taken_KK[label, label])
        if len(members) > 1 and num_wrong > 0:
            order = np.argsort(scores_NK[members, label], kind="stable")
            is_wrong_N[members[order[:num_wrong]]] = True
    return is_wrong_N


def _by_noise_rate(labels_N: Ints, scores_NK: Floats, taken_KK: Ints) -> Bools:
    is_wrong_N = np.zeros(len(labels_N), dtype=bool)
    for label, members in _members(labels_N, num_classes=len(taken_KK)):
        if len(members) <= 1:
            continue
        for other in np.flatnonzero(taken_KK[label]):
            if other != label:
                margins = scores_NK[members, other] - scores_NK[members, label]
                order = np.argsort(-margins, kind="stable")
                is_wrong_N[members[order[: taken_KK[label, other]]]] = True
    return is_wrong_N


def _members(labels_N: Ints, *, num_classes: int) -> list[tuple[int, Ints]]:
    order = np.argsort(labels_N, kind="stable")
    ends = np.searchsorted(labels_N[order], np.arange(num_classes + 1))
    return [(label, order[ends[label] : ends[label + 1]]) for label in range(num_classes)]


def label_likeliness(labels_N: Ints, scores_NK: Floats) -> Floats:
    """The probability of each clip's own label, float64 [N]: how prototypical it is of its class.

    Source: section 3.2 ("self-confidence"); Kinetics-400 paper, section 3.4 (final filtering).
    """
    return scores_NK[np.arange(len(labels_N)), labels_N].astype(np.float64)


def label_margin(labels_N: Ints, scores_NK: Floats) -> Floats:
    """The probability of each label less that of the likeliest other class, float64 [N], -1 to 1.

    Source: section 3.2, method 4 ("normalized margin").
    """
    others_NK = scores_NK.astype(np.float64)
    own_N = label_likeliness(labels_N, scores_NK)
    others_NK[np.arange(len(labels_N)), labels_N] = -np.inf
    return own_N - others_NK.max(axis=1)


def _check(labels_N: Ints, scores_NK: Floats) -> None:
    if scores_NK.ndim != 2 or labels_N.shape != scores_NK.shape[:1] or not scores_NK.size:
        raise BadInput(
            f"labels of shape {labels_N.shape} and scores of shape {scores_NK.shape}",
            mend="Want a label for each row of scores, and one row and class at least",
        )
    if labels_N.min() < 0 or labels_N.max() >= scores_NK.shape[1]:
        raise BadInput(
            f"labels from {labels_N.min()} to {labels_N.max()} and {scores_NK.shape[1]} classes",
            mend="Labels are places in the classes, from 0",
        )
    lowest, highest = float(scores_NK.min()), float(scores_NK.max())
    if not (lowest >= 0 and highest <= 1 + MARGIN):
        raise BadInput(f"scores from {lowest} to {highest}", mend="Want probabilities, 0 to 1")
