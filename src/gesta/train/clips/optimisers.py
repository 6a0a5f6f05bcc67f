"""The optimiser of a recipe over a model's weights."""

from __future__ import annotations

import torch
from torch import nn

from gesta.train.clips.recipe import ClipRecipe


def make_optimiser(model: nn.Module, *, recipe: ClipRecipe) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW; norms and biases are not decayed. On a GPU all weights move in one kernel.

    Source: He et al., Bag of Tricks (2019), section 2.3, for what is not decayed.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    # Off the GPU torch's choice stays, and with it the last bit of every weight.
    is_fused = True if all(weight.is_cuda for weight in weights) else None
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.base_lr, fused=is_fused)
    return torch.optim.SGD(groups, lr=recipe.base_lr, momentum=recipe.momentum, fused=is_fused)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Nothing; every group of the optimiser learns at that rate from now on."""
    for group in optimiser.param_groups:
        group["lr"] = rate
