"""Dropout that draws from a generator of its own, so that copies of a model in several threads draw alike every run."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SeededDropout(nn.Module):
    """`torch.nn.Dropout`, with the draw from `generator` (on the CPU); None = torch's global one.

    Without a generator, on another device than the CPU, the draw is that device's own, which spares the transfer of a
    mask a step.

    Source: Srivastava et al., Dropout (2014), scaled in training as torch does.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        """`x` of any shape [...]; in training with a share of its values set to 0 and the others scaled up."""
        if not self.training or self.share == 0:
            return x
        if self.generator is None and x.device.type != "cpu":
            return functional.dropout(x, self.share)
        # Named only where there is one: the compiler knows no sizes of its own beside a generator.
        drawn = torch.rand(x.shape) if self.generator is None else torch.rand(x.shape, generator=self.generator)
        return x * (drawn >= self.share).to(x.device) / (1 - self.share)
