"""Weights averaged over the steps: a model that is steadier than any one step's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def begin_average(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's weights and statistics (each of any shape [...]), by name."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def move_average(averaged: Mapping[str, Tensor], weights: Mapping[str, Tensor], *, decay: float, step: int) -> None:
    """Move the averaged weights (of any shape [...]) towards the present ones, in place; counters are copied.

    Early on the mean is taken over the steps there were: `decay` is at most (1 + step) / (10 + step).
    Source: TensorFlow's `ExponentialMovingAverage`, argument `num_updates`.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    floats = [name for name, value in weights.items() if value.is_floating_point()]
    torch._foreach_lerp_([averaged[name] for name in floats], [weights[name] for name in floats], share)
    for name, value in weights.items():
        if not value.is_floating_point():
            averaged[name].copy_(value)


@contextmanager
def averaged_weights(model: nn.Module, averaged: Mapping[str, Tensor] | None) -> Iterator[None]:
    """A block in which the model has the averaged weights (of any shape [...]); its own are put back bit for bit.

    None changes nothing.
    """
    if averaged is None:
        yield
        return
    own = begin_average(model)
    try:
        model.load_state_dict(dict(averaged))
        yield
    finally:
        model.load_state_dict(own)
