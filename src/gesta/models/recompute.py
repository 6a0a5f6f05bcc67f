"""Activation checkpointing: a block's activations are thrown away in the forward pass and computed again for backward.

Memory for time: about a third more arithmetic. Source: Chen et al., Training Deep Nets with Sublinear Memory Cost
(2016).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


@contextlib.contextmanager
def _averages_at_rest(block: nn.Module) -> Iterator[None]:
    norms = [part for part in block.modules() if isinstance(part, _BatchNorm)]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        # They must be written all the same, with nothing: the two passes have to keep the same tensors.
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, num_batches) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, num_batches


def recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """`block(x)`, of `x` of any shape [...], of which only `x` is kept for the backward pass.

    Running averages of batch norms move once, as without it. No `SeededDropout` may stand in the block: its second
    draw would differ from its first.

    Source: torch.utils.checkpoint, without re-entry.
    """
    if torch.compiler.is_compiling():
        # The compiler takes no context, and moves the averages once by itself.
        return cast(Tensor, checkpoint(block, x, use_reentrant=False))
    return cast(
        Tensor,
        checkpoint(
            block, x, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), _averages_at_rest(block))
        ),
    )
