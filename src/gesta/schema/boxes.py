"""Person boxes as arrays: corners x1 y1 x2 y2 as fractions of the frame, x right, y down."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def box_area(boxes_N4: Floats) -> Floats:
    """Area of every box, [N]; 0 where a box is inverted.

    >>> box_area(np.array([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 0.4, 0.9]]))
    array([0.25, 0.  ])
    """
    sides_N2 = np.clip(boxes_N4[:, 2:] - boxes_N4[:, :2], 0, None)
    return sides_N2[:, 0] * sides_N2[:, 1]


def box_iou(a_N4: Floats, b_M4: Floats) -> Floats:
    """Intersection over union of every box of `a_N4` with every box of `b_M4`, [N, M] in 0..1.

    Args:
        a_N4: float [N, 4], columns x1 y1 x2 y2, any one unit.
        b_M4: float [M, 4], same columns and unit.
    Raises:
        ValueError: an array is not two-dimensional with four columns.
    Source: Everingham et al., The PASCAL VOC Challenge (2010), section 4.2; without the pixel-count "+ 1".

    >>> box_iou(np.array([[0.0, 0, 2, 1]]), np.array([[1.0, 0, 3, 1]])).round(3)
    array([[0.333]])
    """
    for boxes in (a_N4, b_M4):
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"boxes of shape {boxes.shape}: want [N, 4]")
    low_NM2 = np.maximum(a_N4[:, None, :2], b_M4[None, :, :2])
    high_NM2 = np.minimum(a_N4[:, None, 2:], b_M4[None, :, 2:])
    sides_NM2 = np.clip(high_NM2 - low_NM2, 0, None)
    shared_NM = sides_NM2[..., 0] * sides_NM2[..., 1]
    union_NM = box_area(a_N4)[:, None] + box_area(b_M4)[None, :] - shared_NM
    return np.divide(shared_NM, union_NM, out=np.zeros_like(shared_NM), where=union_NM > 0)
