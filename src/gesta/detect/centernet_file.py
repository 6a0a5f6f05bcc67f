"""Our own small detector, from a checkpoint of `gesta train-detector`; its preprocessing lies in the checkpoint.

Shapes: N frames of H by W; B frames a batch; K boxes a frame; 4 = x1 y1 x2 y2 as fractions of the frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gesta.detect.interface import SCORE_FLOOR, Detector, Found, Frames, import_cv2, weights_file
from gesta.schema import MissingExtra

BATCH_FRAMES = 16
"""Frames a forward pass. Source: ours; beyond it a core does no more frames a second."""


def centernet(weights: Path | None) -> Detector:
    """A detector of ours, about 2 ms a frame on one core.

    Raises:
        GestaError: no checkpoint is given, or there is no such file.
        BadInput: the file is no such checkpoint.
        MissingExtra: torch or OpenCV is not installed.
    """
    mend = "Train one on a rendered world with: gesta train-detector WORLD FILE; then pass --weights FILE"
    path = weights_file(weights, detector="centernet", mend=mend)
    cv2 = import_cv2()
    try:
        import torch

        from gesta.models import centernet as nets
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="train", module=error.name or "torch") from error
    net, preprocessing = nets.load_centernet(path)

    def detect(frames_NHWC: Frames) -> list[Found]:
        found: list[Found] = []
        for first in range(0, len(frames_NHWC), BATCH_FRAMES):
            found += detect_batch(frames_NHWC[first : first + BATCH_FRAMES])
        return found

    def detect_batch(frames_BHWC: Frames) -> list[Found]:
        height, width = nets.scaled_size(frames_BHWC.shape[1], frames_BHWC.shape[2], preprocessing)
        how = cv2.INTER_AREA if height < frames_BHWC.shape[1] else cv2.INTER_LINEAR
        scaled = np.stack([cv2.resize(frame_HWC, (width, height), interpolation=how) for frame_HWC in frames_BHWC])
        with torch.inference_mode():
            grid_BChw = net(nets.normalise(torch.from_numpy(scaled), preprocessing))
            found = nets.decode_centers(grid_BChw, min_score=SCORE_FLOOR)
        return [_fractions(boxes_K4, scores_K, width, height) for boxes_K4, scores_K in found]

    return detect


def _fractions(boxes_K4: Any, scores_K: Any, width: int, height: int) -> Found:
    return boxes_K4.double().numpy() / [width, height, width, height], scores_K.double().numpy()
