"""Models by name: a plain dict of constructors, one file a family. Needs torch; imports nothing of ours but schema."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from gesta.models.action_transformer import ActionTransformerSpec
from gesta.models.c3d import C3dBn, c3d_bn
from gesta.models.conv_lstm import ConvLstm, conv_lstm
from gesta.models.dropout import SeededDropout
from gesta.models.feature_bank import FeatureBank, FeatureBankSpec
from gesta.models.frame_net import FrameNet, frame_r18_small
from gesta.models.i3d import END_POINTS, I3d, I3dTrunk, i3d, i3d_flow, i3d_small
from gesta.models.person_heads import PersonHead
from gesta.models.person_losses import PersonLoss, person_loss
from gesta.models.person_model import PersonModel, build_person_model
from gesta.models.roi_r3d import RoiR3d, roi_r3d_tiny
from gesta.models.torchvision_video import TORCHVISION_VIDEO, torchvision_video
from gesta.models.transformers_video import TRANSFORMERS_VIDEO, TransformersVideo, transformers_video
from gesta.models.trunks import TRUNK_CLASSIFIERS, TRUNKS, Trunk, TrunkSpec, build_trunk, trunk_classifier
from gesta.models.two_stream import Stream, TwoStream, two_stream, two_stream_flow, two_stream_rgb
from gesta.schema import UnknownName

MODELS: dict[str, Callable[..., nn.Module]] = {
    "c3d_bn": c3d_bn,
    "conv_lstm": conv_lstm,
    "frame_r18_small": frame_r18_small,
    "i3d": i3d,
    "i3d_flow": i3d_flow,
    "i3d_small": i3d_small,
    "roi_r3d_tiny": roi_r3d_tiny,
    "two_stream": two_stream,
    "two_stream_flow": two_stream_flow,
    "two_stream_rgb": two_stream_rgb,
    **TRUNK_CLASSIFIERS,
    **TORCHVISION_VIDEO,
    **TRANSFORMERS_VIDEO,
}
"""Constructors by name; each takes `num_classes`.

Most give a module of `clip_BCTHW -> logits_BK`; `two_stream` takes `(rgb_B3THW, flow_B2THW)`, and `roi_r3d_tiny`
`(clip_BCTHW, boxes_N5) -> logits_NK`.
"""


def build_model(name: str, *, num_classes: int) -> nn.Module:
    """The model of that name with fresh weights (drawn from torch's global generator).

    Raises:
        UnknownName: there is no such model; the message lists them.
    """
    if name not in MODELS:
        raise UnknownName(what="model", name=name, choices=MODELS)
    return MODELS[name](num_classes=num_classes)


def build_clip_model(name: str, *, num_classes: int, num_frames: int, crop_px: int) -> nn.Module:
    """The model of that name with fresh weights, its positions made for clips of that length and size.

    Only video transformers have such positions; the others are built as `build_model` builds them.

    Raises:
        UnknownName: there is no such model; the message lists them.
        BadInput: the model cannot take clips of that length and size.
        MissingExtra: the library that has the model is not installed.
    """
    if name in TORCHVISION_VIDEO or name in TRANSFORMERS_VIDEO:
        return MODELS[name](num_classes=num_classes, num_frames=num_frames, crop_px=crop_px)
    return build_model(name, num_classes=num_classes)


__all__ = [
    "END_POINTS",
    "MODELS",
    "TORCHVISION_VIDEO",
    "TRANSFORMERS_VIDEO",
    "TRUNKS",
    "TRUNK_CLASSIFIERS",
    "ActionTransformerSpec",
    "C3dBn",
    "ConvLstm",
    "FeatureBank",
    "FeatureBankSpec",
    "FrameNet",
    "I3d",
    "I3dTrunk",
    "PersonHead",
    "PersonLoss",
    "PersonModel",
    "RoiR3d",
    "SeededDropout",
    "Stream",
    "TransformersVideo",
    "Trunk",
    "TrunkSpec",
    "TwoStream",
    "build_clip_model",
    "build_model",
    "build_person_model",
    "build_trunk",
    "c3d_bn",
    "conv_lstm",
    "frame_r18_small",
    "i3d",
    "i3d_flow",
    "i3d_small",
    "person_loss",
    "roi_r3d_tiny",
    "torchvision_video",
    "transformers_video",
    "trunk_classifier",
    "two_stream",
    "two_stream_flow",
    "two_stream_rgb",
]
