"""torchvision's Faster R-CNN trained on COCO, people only: the kind of detector that AVA-Kinetics used.

Shapes: N frames of H by W; K boxes a frame; 4 = x1 y1 x2 y2 as fractions of the frame.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from gesta.detect.interface import SCORE_FLOOR, Detector, Found, Frames
from gesta.schema import BadInput, GestaError, MissingExtra

PERSON = 1
"""COCO's id of person. Source: torchvision 0.28, `FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1.meta["categories"]`."""

NUM_CLASSES = 91
"""COCO's ids with the background and the gaps in them. Source: the same."""

BATCH_FRAMES = 4
"""Frames a forward pass: bounds the memory. Source: ours."""


def torchvision(weights: Path | None, *, short_side_px: int = 800) -> Detector:
    """Faster R-CNN with a ResNet-50 FPN (version 2 or 1, told by the file), 1.5 s to 4 s a frame on one core.

    Args:
        weights: a state dict as torchvision publishes; None = the file in torch's hub cache.
        short_side_px: frames are scaled to it; 800 is what the published weights were trained with.
    Raises:
        GestaError: no weights are given and none lie in the cache, or there is no such file; the message says which
            file to get.
        BadInput: the file is no state dict of this model.
        MissingExtra: torchvision is not installed.
    """
    torch, detection = _import()
    path = find_weights(weights)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise BadInput("cannot be read as torch weights", where=path, mend=_how_to_get()) from error
    if not isinstance(state, dict) or "roi_heads.box_predictor.cls_score.weight" not in state:
        raise BadInput("is no state dict of torchvision's Faster R-CNN", where=path, mend=_how_to_get())
    # Only version 2 has normalisation layers in its feature pyramid.
    is_v2 = any(name.startswith("backbone.fpn.inner_blocks.0.1.") for name in state)
    build = detection.fasterrcnn_resnet50_fpn_v2 if is_v2 else detection.fasterrcnn_resnet50_fpn
    model = build(
        weights=None,
        weights_backbone=None,
        num_classes=NUM_CLASSES,
        min_size=short_side_px,
        max_size=short_side_px * 5 // 3,
        box_score_thresh=SCORE_FLOOR,
    )
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise BadInput("does not fit torchvision's Faster R-CNN for COCO", where=path, mend=_how_to_get()) from error
    model.eval()
    return lambda frames_NHWC: _detect(torch, model, frames_NHWC)


def find_weights(weights: Path | None) -> Path:
    """The weights file: the one given, or the published one where torch's hub keeps it.

    Raises:
        GestaError: there is none; the message says which file to get and where to pass it.
        MissingExtra: torchvision is not installed.
    """
    if weights is not None:
        if not weights.is_file():
            raise GestaError("there is no such weights file", where=weights, mend=_how_to_get())
        return weights
    torch, detection = _import()
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    for url in _urls(detection):
        if (cache / url.rsplit("/", 1)[1]).is_file():
            return cache / url.rsplit("/", 1)[1]
    raise GestaError("the detector 'torchvision' needs its COCO weights", where=cache, mend=_how_to_get())


def _urls(detection: Any) -> tuple[str, str]:
    v2 = detection.FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1.url
    return v2, detection.FasterRCNN_ResNet50_FPN_Weights.COCO_V1.url


def _how_to_get() -> str:
    _, detection = _import()
    return f"Download {_urls(detection)[0]} and pass it with --weights FILE, or use --detector hog"


def _import() -> tuple[Any, Any]:
    try:
        import torch
        from torchvision.models import detection
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="train", module=error.name or "torchvision") from error
    return torch, detection


def _detect(torch: Any, model: Any, frames_NHWC: Frames) -> list[Found]:
    height_px, width_px = frames_NHWC.shape[1:3]
    found: list[Found] = []
    for first in range(0, len(frames_NHWC), BATCH_FRAMES):
        batch = [
            torch.from_numpy(np.ascontiguousarray(frame_HWC.transpose(2, 0, 1))).float() / 255
            for frame_HWC in frames_NHWC[first : first + BATCH_FRAMES]
        ]
        with torch.inference_mode():
            results = model(batch)
        for result in results:
            is_person = result["labels"] == PERSON
            boxes_K4 = result["boxes"][is_person].double().numpy() / [width_px, height_px, width_px, height_px]
            found.append((boxes_K4, result["scores"][is_person].double().numpy()))
    return found
