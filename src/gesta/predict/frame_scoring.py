"""A clip model of one frame as a scorer of any frames: what `gesta mine` positions clips by.

Shapes: F frames, H and W px, 3 = R, G, B; V crops; K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gesta.predict.clip_models import ClipModel, load_clip_model
from gesta.predict.clip_test import view_windows
from gesta.schema import BadInput

ScoreFrames = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameScorer:
    """The log-odds of every class in every frame, float32 [F, K] of uint8 [F, H, W, 3]; names of the classes.

    `short_side_px` is the shorter side that frames need no scaling at; None where the longer side decides.
    """

    score: ScoreFrames
    class_names: tuple[str, ...]
    short_side_px: int | None


def frame_scorer(checkpoint: str | Path, *, device: str = "auto") -> FrameScorer:
    """The scorer of a model of single frames that `gesta train` made.

    A frame is scaled and cut as the model's recipe tests it, and the crops' probabilities are averaged. The score of a
    class is the logarithm of its odds, ln(p / (1 - p)): it orders frames as the probability p does, and still tells
    them apart where p is 1 to seven digits.

    Args:
        checkpoint: a `model.pt` of a recipe of one frame.
        device: auto, cpu or cuda.
    Raises:
        BadInput: it is no such checkpoint, or the model wants several frames, or flow.
        UnknownName: there is no such device.
    """
    model = load_clip_model(checkpoint, device=device)
    if model.frames.num_frames != 1 or model.frames.modality != "rgb":
        raise BadInput(
            f"the model wants {model.frames.num_frames} frames of {model.frames.modality} at once",
            where=checkpoint,
            mend="Train a classifier of single frames: --recipe frame_r18_images",
        )
    frames = model.frames
    short_side_px = max(frames.side_px, frames.crop_px) if frames.side == "short" else None

    def score(frames_FHWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return _log_odds(model, _scaled(frames_FHWC, model=model))

    return FrameScorer(score=score, class_names=model.class_names, short_side_px=short_side_px)


def _scaled(frames_FHWC: npt.NDArray[np.uint8], *, model: ClipModel) -> npt.NDArray[np.uint8]:
    """The frames in the size that the model's recipe wants, [F, h, w, 3]; themselves where they have it."""
    height_px, width_px = frames_FHWC.shape[1:3]
    size = model.frames.frame_size(width_px=width_px, height_px=height_px)
    if size == (width_px, height_px):
        return frames_FHWC
    shrinks = size[0] * size[1] < width_px * height_px
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame_HWC, size, interpolation=how) for frame_HWC in frames_FHWC]).astype(np.uint8)


def _log_odds(model: ClipModel, frames_FHWC: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    height_px, width_px = frames_FHWC.shape[1:3]
    mean = torch.tensor(model.frames.mean_rgb, device=model.device) * 255
    std = torch.tensor(model.frames.std_rgb, device=model.device) * 255
    views = view_windows(
        width_px=width_px, height_px=height_px, crop_px=model.frames.crop_px, crops=model.test.crops
    )  # fmt: skip
    logs: list[Tensor] = []
    for window, is_flipped in views:
        part_FHWC = frames_FHWC[
            :, window.top_px : window.top_px + window.height_px, window.left_px : window.left_px + window.width_px
        ]
        part = torch.from_numpy(np.ascontiguousarray(part_FHWC[:, :, ::-1] if is_flipped else part_FHWC))
        clip_FHWC = (part.to(model.device).float() - mean) / std
        with torch.inference_mode():
            logits_FK = model.net(clip_FHWC.permute(0, 3, 1, 2)[:, :, None]).double().cpu()
        logs.append(logits_FK.log_softmax(dim=1))
    # The mean probability and that of all other classes, both as logarithms so that neither rounds to 0.
    log_VFK = torch.stack(logs)
    num_classes = log_VFK.shape[2]
    if num_classes == 1:
        return log_VFK.mean(dim=0).float().numpy()
    other_VFK = torch.stack(
        [log_VFK[:, :, torch.arange(num_classes) != k].logsumexp(dim=2) for k in range(num_classes)], dim=2
    )
    return (log_VFK.logsumexp(dim=0) - other_VFK.logsumexp(dim=0)).float().numpy()
