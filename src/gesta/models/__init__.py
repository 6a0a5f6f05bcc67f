"""Models by name: a plain dict of constructors, one file a family. Needs torch; imports nothing of ours but schema."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from gesta.models.dropout import SeededDropout
from gesta.models.roi_r3d import RoiR3d, roi_r3d_tiny
from gesta.schema import UnknownName

MODELS: dict[str, Callable[..., nn.Module]] = {"roi_r3d_tiny": roi_r3d_tiny}
"""Constructors by name; each takes `num_classes` and gives a module of `(clip_BCTHW, boxes_N5) -> logits_NK`."""


def build_model(name: str, *, num_classes: int) -> nn.Module:
    """The model of that name with fresh weights (drawn from torch's global generator).

    Raises:
        UnknownName: there is no such model; the message lists them.
    """
    if name not in MODELS:
        raise UnknownName(what="model", name=name, choices=MODELS)
    return MODELS[name](num_classes=num_classes)


__all__ = ["MODELS", "RoiR3d", "SeededDropout", "build_model", "roi_r3d_tiny"]
