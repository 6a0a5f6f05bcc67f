"""What a detector is: a function from frames to the people in each.

Shapes: N frames of H by W; K boxes a frame, another K each frame; 4 = x1 y1 x2 y2 as fractions of the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gesta.schema import GestaError, MissingExtra

Frames = npt.NDArray[np.uint8]
"""uint8 [N, H, W, 3], RGB, turned as displayed."""

Found = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""Boxes float64 [K, 4], fractions of the frame, and scores float64 [K], 0 to 1; in any order, overlaps allowed."""

Detector = Callable[[Frames], list[Found]]
"""The people in each of the frames, a `Found` a frame."""

SCORE_FLOOR = 0.05
"""Detectors need not report what they are less sure of. Source: torchvision 0.28, `FasterRCNN.box_score_thresh`."""


def weights_file(weights: Path | None, *, detector: str, mend: str) -> Path:
    """The weights file, once it is found to be there.

    Raises:
        GestaError: none is given, or there is no such file.
    """
    if weights is None:
        raise GestaError(f"the detector {detector!r} needs a weights file", mend=mend)
    if not weights.is_file():
        raise GestaError("there is no such weights file", where=weights, mend=mend)
    return weights


def import_cv2() -> Any:
    """The module `cv2`.

    Raises:
        MissingExtra: OpenCV is not installed.
    """
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="video", module="cv2") from error
    return cv2
