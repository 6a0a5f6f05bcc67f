"""The person detectors by name, and what every one's findings go through before they are kept.

Shapes: N frames of H by W; K boxes a frame; 4 = x1 y1 x2 y2 as fractions of the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gesta.detect.boxes import clean_boxes, suppress
from gesta.detect.centernet_file import centernet
from gesta.detect.hog import hog
from gesta.detect.interface import Detector, Found, Frames
from gesta.detect.onnx_file import onnx
from gesta.detect.torchvision_file import find_weights, torchvision
from gesta.schema import UnknownName

DETECTORS: Mapping[str, Callable[[Path | None], Detector]] = {
    "torchvision": torchvision,
    "onnx": onnx,
    "hog": hog,
    "centernet": centernet,
}
"""A constructor of each detector, from its weights file (None = what it has by itself)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What a detector's numbers mean in use: the score from which a box is kept, and the programs it runs on."""

    min_score: float
    tools: tuple[str, ...]


HABITS: Mapping[str, Habits] = {
    # Source: ours, not tried on real video for want of the weights.
    "torchvision": Habits(min_score=0.7, tools=("torch", "torchvision")),
    # Source: ours; looked at on real clips (0.65 loses people sitting in the background).
    "onnx": Habits(min_score=0.5, tools=("onnxruntime", "opencv-python-headless")),
    # Source: ours; looked at on real clips (`gesta.detect.hog.SLOPE` says what the score is).
    "hog": Habits(min_score=0.5, tools=("opencv-python-headless",)),
    # Source: ours; the recall and precision there are in the docstring of
    # `gesta.train.detector.world_detector`.
    "centernet": Habits(min_score=0.35, tools=("torch", "opencv-python-headless")),
}

NMS_IOU = 0.45
"""Two boxes that overlap more are one person. Source: FastestDet, `utils/tool.py`, `nms_thresh=0.45`."""


def check_detector(name: str) -> None:
    """Nothing, where there is such a detector.

    Raises:
        UnknownName: there is none; the message lists them.
    """
    if name not in DETECTORS:
        raise UnknownName(what="detector", name=name, choices=DETECTORS)


def build_detector(name: str, weights: Path | None) -> Detector:
    """The detector of that name.

    Raises:
        UnknownName: there is no such detector.
        GestaError: it needs weights and none are given, or the file is missing or of another kind.
        MissingExtra: what it runs on is not installed.
    """
    check_detector(name)
    return DETECTORS[name](weights)


def weights_in_use(name: str, weights: Path | None) -> Path | None:
    """The file whose hash belongs in the provenance: the one given, or the one the detector finds by itself.

    Raises:
        UnknownName: there is no such detector.
        GestaError: the detector is torchvision's and there is no file.
    """
    check_detector(name)
    return find_weights(weights) if name == "torchvision" else weights


def find_people(detector: Detector, frames_NHWC: Frames, *, min_score: float, nms_iou: float = NMS_IOU) -> list[Found]:
    """People in each frame: boxes [K, 4] and scores [K], best first, inside the frame, without overlaps.

    Args:
        frames_NHWC: uint8 [N, H, W, 3], RGB.
        min_score: boxes of lower scores are left out.
        nms_iou: of two boxes that overlap more than this the surer stays.
    """
    found = []
    for boxes_K4, scores_K in detector(frames_NHWC):
        boxes, scores = clean_boxes(boxes_K4, scores_K)
        boxes, scores = boxes[scores >= min_score], scores[scores >= min_score]
        kept = suppress(boxes, scores, max_iou=nms_iou)
        found.append((boxes[kept], scores[kept]))
    return found
