"""Top-k accuracy of clip scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput


def top_k(scores_NC: npt.NDArray[np.floating], labels_N: npt.NDArray[np.integer], k: int) -> float:
    """Share of clips whose label is among the `k` highest of its scores, 0 to 1; NaN without clips.

    Args:
        scores_NC: [N, C], one row a clip, one column a class; of equal scores the lower column comes first.
        labels_N: int [N], the right column of each row.
        k: how many columns count; at least 1, and with k >= C every clip is a hit.
    Raises:
        BadInput: the shapes do not fit, a label is no column, a score is NaN, or `k` is below 1.
    Source: Kinetics-400 paper, section 4.5 (top-1 and top-5 accuracy).

    >>> scores = np.array([[0.1, 0.9, 0.0], [0.5, 0.3, 0.2]])
    >>> top_k(scores, np.array([1, 2]), 1), top_k(scores, np.array([1, 2]), 3)
    (0.5, 1.0)
    """
    if k < 1:
        raise BadInput(f"k={k}", mend="Want at least 1")
    rank_N = label_ranks(scores_NC, labels_N)
    return float(np.mean(rank_N < k)) if len(rank_N) else float("nan")


def label_ranks(scores_NC: npt.NDArray[np.floating], labels_N: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """How many classes are guessed before each clip's label, int64 [N]; 0 = the label is the first guess.

    Args:
        scores_NC: [N, C], one row a clip, one column a class; of equal scores the lower column comes first.
        labels_N: int [N], the right column of each row.
    Raises:
        BadInput: the shapes do not fit, a label is no column, or a score is NaN.

    >>> label_ranks(np.array([[0.1, 0.9, 0.1], [0.1, 0.9, 0.1]]), np.array([0, 2]))
    array([1, 2])
    """
    if scores_NC.ndim != 2 or labels_N.shape != scores_NC.shape[:1]:
        raise BadInput(f"scores {scores_NC.shape} and labels {labels_N.shape}", mend="Want [N, C] and [N]")
    num_clips, num_classes = scores_NC.shape
    if not num_clips:
        return np.empty(0, dtype=np.int64)
    if np.isnan(scores_NC).any():
        raise BadInput("a score is NaN", mend="Want numbers")
    if labels_N.min() < 0 or labels_N.max() >= num_classes:
        raise BadInput(f"a label is outside 0..{num_classes - 1}", mend="Labels are columns of the scores")
    own_N1 = np.take_along_axis(scores_NC, labels_N[:, None], axis=1)
    is_before_NC = (scores_NC == own_N1) & (np.arange(num_classes) < labels_N[:, None])
    return ((scores_NC > own_N1) | is_before_NC).sum(axis=1).astype(np.int64)
