"""Batch norms folded into the convolutions before them, for inference."""

from __future__ import annotations

import copy

import torch
from torch import nn

from gesta.schema import BadInput


def fold_norms(model: nn.Module) -> nn.Module:
    """A copy of the model in evaluation mode whose convolutions do what their batch norms did.

    It holds for every module that has a `conv` and a `norm` which follows it: units of SlowOnly, SlowFast and I3D,
    alone or inside a detector of persons. Results differ by rounding, below 1e-5 of the largest. The copy is no good
    for training: nothing is normalised there, and its weights ask for no gradient.

    Raises:
        BadInput: a batch norm keeps no running averages, so that there is nothing to fold.

    Source: w' = w gamma / sqrt(var + eps), b' = beta + (b - mean) gamma / sqrt(var + eps), from the definition of batch
    norm (Ioffe & Szegedy 2015, algorithm 2).
    """
    folded = copy.deepcopy(model).eval()
    for name, unit in folded.named_modules():
        conv, norm = getattr(unit, "conv", None), getattr(unit, "norm", None)
        if isinstance(conv, nn.Conv3d) and isinstance(norm, nn.BatchNorm3d):
            _fold(conv, norm, where=name)
            setattr(unit, "norm", nn.Identity())  # noqa: B010 - a name that torch's type does not know
    for weight in folded.parameters():
        weight.requires_grad = False
    return folded


@torch.no_grad()
def _fold(conv: nn.Conv3d, norm: nn.BatchNorm3d, *, where: str) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise BadInput(f"the batch norm of {where!r} keeps no running averages", mend="Fold a norm that tracks them")
    # In float64, so that the weights are rounded once.
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    if conv.bias is not None:
        shift = shift + conv.bias.double()
    shift = shift * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    weight = conv.weight
    # The layout is kept: a product would lay the weight out anew.
    weight.copy_(weight.double() * scale.reshape(-1, 1, 1, 1, 1))
    conv.bias = nn.Parameter(shift.to(weight.dtype))
