"""Dropout that draws from a generator of its own, so that copies of a model in several threads draw alike every run."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SeededDropout(nn.Module):
    """`torch.nn.Dropout`, with the draw from `generator` (on the CPU); None = torch's global one.

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
        keep = torch.rand(x.shape, generator=self.generator) >= self.share
        return x * keep.to(x.device) / (1 - self.share)
