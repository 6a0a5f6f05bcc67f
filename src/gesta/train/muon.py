"""An optimiser for the matrices inside a net: every step turns and scales all directions of a matrix alike.

On the small detector it needs about half of AdamW's steps (`gesta.train.detector`). torch's own `Muon` takes
two-dimensional weights only, and a convolution's have four.

Shapes: N rows (outputs) by M columns (inputs times the kernel's places).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic that drives singular values towards 1. Source: Jordan et al., Muon: an optimizer for hidden layers in
neural networks (2024), section "Newton-Schulz iteration"."""

ITERATIONS = 5
"""Source: the same."""


def orthogonalised(matrix_NM: Tensor) -> Tensor:
    """The matrix with its singular values brought near 1 (0.7 to 1.2), its directions kept.

    >>> near = orthogonalised(torch.tensor([[3.0, 0.0], [0.0, 0.1]]))
    >>> bool((near.diag() > 0.6).all() and (near.diag() < 1.3).all())
    True
    """
    a, b, c = COEFFICIENTS
    is_tall = matrix_NM.shape[0] > matrix_NM.shape[1]
    x = matrix_NM.T if is_tall else matrix_NM
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if is_tall else x


class Muon(torch.optim.Optimizer):
    """Momentum, then the update's directions made equal; for weights of two or more dimensions.

    A kernel [N, ...] counts as the matrix [N, M]; its update is scaled by sqrt(max(1, N / M)).

    Source: Jordan et al. (2024), algorithm 2, with Nesterov momentum; the weight decay is AdamW's.
    """

    def __init__(self, weights: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every weight that has a gradient; a closure is not taken."""
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, group)

    def _update(self, weight: nn.Parameter, group: dict[str, Any]) -> None:
        gradient = weight.grad
        assert gradient is not None
        memory = self.state[weight].setdefault("memory", torch.zeros_like(weight))
        memory.lerp_(gradient, 1 - group["momentum"])
        update_NM = orthogonalised(gradient.lerp(memory, group["momentum"]).flatten(1))
        scale = max(1.0, update_NM.shape[0] / update_NM.shape[1]) ** 0.5
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(update_NM.view_as(weight.flatten(1)).reshape(weight.shape), alpha=-group["lr"] * scale)
