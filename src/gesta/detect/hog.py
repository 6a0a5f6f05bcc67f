"""OpenCV's built-in people detector: histograms of oriented gradients and a linear classifier, nothing to download.

Shapes: N frames of H by W; K boxes a frame; 4 = x1 y1 x2 y2 as fractions of the frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gesta.detect.interface import Detector, Found, Frames, import_cv2
from gesta.schema import BadInput, GestaError

SHORT_SIDE_PX = (400, 720)
"""Smaller frames are enlarged to the first, larger ones reduced to the second. Its window shows a person 96 px tall
in 128 px (Dalal and Triggs, 2005, section 6.6), so that people from about a quarter of a small frame's height are
found. Source: ours; measured by `benchmarks/detect.py`."""

MARGIN_FRAC = (0.1, 0.07, 0.1, 0.13)
"""Left, top, right and bottom parts of the window that are not the person.
Source: OpenCV 4.14, samples/cpp/peopledetect.cpp, `adjustRect`: x + 0.1 w, y + 0.07 h, 0.8 w, 0.8 h."""

MAX_LONG_SIDE_PX = 1280
"""Longer frames, and frames that would become longer, are scaled to this instead. Source: ours."""

SLOPE, CENTER = 2.0, 0.5
"""A classifier's distance d from its plane becomes the score 1 / (1 + exp(-2 (d - 0.5))): rising in d, 0.27 at the
plane, 0.5 at 0.5, 0.95 at 2. Source: ours; a logistic map as in Platt (1999), its two numbers not fitted."""


def hog(weights: Path | None) -> Detector:
    """A detector that needs no weights; 30 ms to 400 ms a frame on one core.

    Raises:
        BadInput: `weights` is given, for the classifier is built in.
        GestaError: OpenCV has no HOG detector (5.0 dropped it).
        MissingExtra: OpenCV is not installed.
    """
    cv2 = import_cv2()
    if weights is not None:
        raise BadInput("the detector 'hog' takes no weights", where=weights, mend="Leave --weights out")
    if not hasattr(cv2, "HOGDescriptor"):
        raise GestaError(
            f"OpenCV {cv2.__version__} has no HOG people detector", mend="Run: pip install 'opencv-python-headless<5'"
        )
    descriptor = cv2.HOGDescriptor()
    descriptor.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())

    def detect(frames_NHWC: Frames) -> list[Found]:
        return [_people(cv2, descriptor, frame_HWC) for frame_HWC in frames_NHWC]

    return detect


def score_of_distance(distance_K: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores [K] in 0..1, rising with the distances [K] from the classifier's plane (see `SLOPE`).

    >>> score_of_distance(np.array([0.0, 0.5, 2.0])).round(2)
    array([0.27, 0.5 , 0.95])
    """
    return 1 / (1 + np.exp(-SLOPE * (distance_K - CENTER)))


def _people(cv2: Any, descriptor: Any, frame_HWC: Frames) -> Found:
    height_px, width_px = frame_HWC.shape[:2]
    short_px = min(height_px, width_px)
    scale = min(max(short_px, SHORT_SIDE_PX[0]), SHORT_SIDE_PX[1]) / short_px
    scale = min(scale, MAX_LONG_SIDE_PX / max(height_px, width_px))
    # The window must fit in: a frame narrower than 64 px or lower than 128 px after scaling has no place for it.
    wide, high = max(round(width_px * scale), 64), max(round(height_px * scale), 128)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = frame_HWC if scale == 1 else cv2.resize(frame_HWC, (wide, high), interpolation=how)
    high, wide = resized.shape[:2]
    windows, distances = descriptor.detectMultiScale(
        cv2.cvtColor(resized, cv2.COLOR_RGB2BGR), hitThreshold=0.0, winStride=(8, 8), padding=(16, 16), scale=1.05
    )
    windows_K4 = np.asarray(windows, np.float64).reshape(-1, 4)
    left, top, right, bottom = MARGIN_FRAC
    x, y, w, h = windows_K4.T
    boxes_K4 = np.stack([x + left * w, y + top * h, x + (1 - right) * w, y + (1 - bottom) * h], axis=1)
    return boxes_K4 / [wide, high, wide, high], score_of_distance(np.asarray(distances, np.float64).reshape(-1))
