"""The optimiser of a recipe over a model's weights."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import nn

from gesta.schema import BadInput
from gesta.train.clips.tasks import AnyRecipe

_LAYER = re.compile(r"(?:^|\.)(?:layer|layers|blocks)\.(\d+)\.")
"""How the libraries that have video transformers name their layers in the names of weights."""

_BEFORE_LAYERS = ("embed", "cls_token", "mask_token", "conv_proj", "patch")
"""Parts of the names of what stands before the first layer. Source: transformers 5, torchvision 0.28."""

Named = tuple[str, nn.Parameter]


def make_optimiser(model: nn.Module, *, recipe: AnyRecipe) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW. On a GPU all weights move in one kernel.

    Which weights decay is the recipe's `decayed`: "matrices" (neither norms nor biases), "all-but-norms" (biases too)
    or "all". With `layer_decay` each layer of a transformer learns that much slower than the next one.

    Raises:
        BadInput: layer decay is asked for, and the model has not one list of numbered layers.
    Source: He et al., Bag of Tricks (2019), section 2.3, for "matrices"; PySlowFast's `construct_optimizer` with
        BN.WEIGHT_DECAY 0 for "all-but-norms"; MMAction2's AVA configs for "all"; Bao et al., BEiT (2021), appendix H,
        for layer decay.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    norms = _weights_of_norms(model) if recipe.decayed == "all-but-norms" else set()
    groups = []
    for scale, members in _by_scale(named, layer_decay=recipe.layer_decay, recipe_name=recipe.name):
        decayed = [name for name, weight in members if _is_decayed(name, weight, rule=recipe.decayed, norms=norms)]
        for is_decayed in (True, False):
            weights = [weight for name, weight in members if (name in set(decayed)) is is_decayed]
            group = {"params": weights, "weight_decay": recipe.weight_decay if is_decayed else 0.0}
            groups.append(group if scale is None else group | {"rate_scale": scale})
    groups = [group for group in groups if group["params"]]
    # Off the GPU torch's choice stays, and with it the last bit of every weight.
    is_fused = True if all(weight.is_cuda for _name, weight in named) else None
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.base_lr, fused=is_fused)
    return torch.optim.SGD(
        groups, lr=recipe.base_lr, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=is_fused
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Nothing; every group of the optimiser learns at that rate from now on, or at its own share of it."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("rate_scale", 1.0)


def layer_of(name: str, *, num_layers: int) -> int:
    """The layer that a weight of a transformer belongs to: 0 is what stands before them, `num_layers` + 1 behind.

    >>> [layer_of(name, num_layers=12) for name in ("trunk.embeddings.x", "trunk.encoder.layer.3.w", "last.weight")]
    [0, 4, 13]
    """
    found = _LAYER.search(name)
    if found is not None:
        return int(found.group(1)) + 1
    return 0 if any(part in name for part in _BEFORE_LAYERS) else num_layers + 1


def _by_scale(
    named: list[Named], *, layer_decay: float | None, recipe_name: str
) -> Iterator[tuple[float | None, list[Named]]]:
    """The weights that learn at one rate, with its share of the recipe's."""
    if layer_decay is None:
        yield None, named
        return
    found_all = [found for name, _weight in named if (found := _LAYER.search(name))]
    numbers = [int(found.group(1)) for found in found_all]
    # The stages of a ResNet have blocks too, each its own list.
    if len({found.string[: found.start()] for found in found_all}) != 1:
        raise BadInput(
            f"recipe {recipe_name!r} decays rates layer by layer, and the model has not one list of numbered layers",
            mend="Want layer_decay=None",
        )
    num_layers = max(numbers) + 1
    for layer in range(num_layers + 2):
        members = [(name, weight) for name, weight in named if layer_of(name, num_layers=num_layers) == layer]
        yield layer_decay ** (num_layers + 1 - layer), members


def _is_decayed(name: str, weight: nn.Parameter, *, rule: str, norms: set[str]) -> bool:
    if rule == "all":
        return True
    return weight.ndim > 1 if rule == "matrices" else name not in norms


def _weights_of_norms(model: nn.Module) -> set[str]:
    kinds = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)
    return {
        f"{name}.{own}" if name else own
        for name, module in model.named_modules()
        if isinstance(module, kinds)
        for own, _weight in module.named_parameters(recurse=False)
    }
