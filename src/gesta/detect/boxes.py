"""Raw detections made fit to keep: inside the frame, of a size to see, one a person, in one fixed order.

Shapes: N boxes of one frame; 4 = x1 y1 x2 y2 as fractions of the frame, x right, y down.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gesta.schema import box_iou

Floats = npt.NDArray[np.float64]

MIN_SIDE_FRAC = 0.004
"""Thinner boxes are dropped: 1 px of a frame 256 px wide. Source: ours."""

DECIMALS = 6
"""Digits kept of corners and scores, as AVA-Kinetics v1.0 writes its corners; also hides the last bits in which
processors differ."""


def clean_boxes(boxes_N4: Floats, scores_N: Floats) -> tuple[Floats, Floats]:
    """Boxes and scores [M, 4] and [M], M <= N: cut to the frame, rounded to six decimals, thin boxes dropped.

    Args:
        boxes_N4: float [N, 4], may reach outside the frame.
        scores_N: float [N]; cut to 0..1.
    Raises:
        ValueError: the shapes do not match, or a value is not finite.

    >>> clean_boxes(np.array([[-0.2, 0.1, 0.5, 1.5], [0.3, 0.3, 0.3001, 0.9]]), np.array([0.7, 0.9]))
    (array([[0. , 0.1, 0.5, 1. ]]), array([0.7]))
    """
    if boxes_N4.shape != (len(scores_N), 4):
        raise ValueError(f"boxes {boxes_N4.shape} and scores {scores_N.shape}: want [N, 4] and [N]")
    if not (np.isfinite(boxes_N4).all() and np.isfinite(scores_N).all()):
        raise ValueError("a detector gave a box or score that is not finite")
    boxes = np.clip(boxes_N4.astype(np.float64), 0, 1).round(DECIMALS)
    scores = np.clip(scores_N.astype(np.float64), 0, 1).round(DECIMALS)
    is_seen = ((boxes[:, 2:] - boxes[:, :2]) >= MIN_SIDE_FRAC).all(axis=1)
    return boxes[is_seen], scores[is_seen]


def best_first(boxes_N4: Floats, scores_N: Floats) -> npt.NDArray[np.intp]:
    """Indices [N] by falling score, then by x1, y1, x2, y2: one order however the detector listed them."""
    return np.lexsort((boxes_N4[:, 3], boxes_N4[:, 2], boxes_N4[:, 1], boxes_N4[:, 0], -scores_N))


def suppress(boxes_N4: Floats, scores_N: Floats, *, max_iou: float) -> npt.NDArray[np.intp]:
    """Indices of the boxes kept, best first: none overlaps a better kept one by more than `max_iou`.

    Source: greedy non-maximum suppression as in Girshick et al., R-CNN (2014), section 2.2; equal scores are taken
    in the order of their corners, so that the result does not depend on the order of the input.

    >>> boxes = np.array([[0.0, 0, 0.5, 1], [0.0, 0, 0.5, 0.9], [0.6, 0, 1, 1]])
    >>> suppress(boxes, np.array([0.8, 0.9, 0.3]), max_iou=0.5)
    array([1, 2])
    """
    order = best_first(boxes_N4, scores_N)
    overlaps_NN = box_iou(boxes_N4[order], boxes_N4[order])
    kept: list[int] = []
    for place in range(len(order)):
        if not (overlaps_NN[place, kept] > max_iou).any():
            kept.append(place)
    return order[kept]
