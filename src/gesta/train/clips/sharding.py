"""Weights in one piece, or sharded over the processes (FSDP): how they are taken out whole and put back.

A sharded model holds a piece of every weight in each process, gathers a layer's when it is needed, and adds gradients
up itself. Source: torch.distributed.fsdp.fully_shard; Zhao et al., PyTorch FSDP (2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from gesta.train.clips.processes import Crew

LEAST_PARAMETERS = 1_000_000
"""A module with fewer weights is not sharded by itself: it would be gathered in small messages. Source: ours."""

_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def shard(model: nn.Module, *, entry: str = "forward") -> nn.Module:
    """The model, its weights sharded over the processes of the run, module by module; `entry` is how it is asked."""
    for _name, module in reversed(list(model.named_modules())):
        is_list = isinstance(module, nn.ModuleList | nn.ModuleDict)
        own = sum(w.numel() for w in module.parameters() if not isinstance(w, torch.distributed.tensor.DTensor))
        if module is not model and not is_list and own >= LEAST_PARAMETERS:
            fully_shard(module)
    fully_shard(model)
    if entry != "forward":
        register_fsdp_forward_method(model, entry)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # Parts' shares of the loss are divided by the whole batch already: sums are wanted, not means.
            module.set_gradient_divide_factor(1.0)
            # Gloo knows plain sums alone.
            module.set_force_sum_reduction_for_comms(True)
    return model


def is_sharded(model: nn.Module) -> bool:
    """Whether `shard` went over the model."""
    return isinstance(model, FSDPModule)


def full_weights(model: nn.Module, *, crew: Crew) -> dict[str, Tensor]:
    """The whole weights and statistics (of any shape [...]) by name, on the CPU; all must ask, the first gets them."""
    if is_sharded(model):
        whole: dict[str, Any] = get_model_state_dict(model, options=_WHOLE)
        return whole
    return {name: value.detach().cpu() for name, value in model.state_dict().items()} if crew.is_first else {}


def put_weights(model: nn.Module, weights: Mapping[str, Tensor], *, crew: Crew) -> None:
    """Nothing; the model has those whole weights (of any shape [...]) now, which every process must hand in."""
    if is_sharded(model):
        set_model_state_dict(model, dict(weights), options=StateDictOptions(full_state_dict=True))
    else:
        model.load_state_dict(dict(weights))


def full_optimiser(model: nn.Module, optimiser: torch.optim.Optimizer, *, crew: Crew) -> dict[str, Any]:
    """The optimiser's whole memory as plain values and tensors; all processes must ask, the first one gets it."""
    if is_sharded(model):
        return dict(get_optimizer_state_dict(model, optimiser, options=_WHOLE))
    return optimiser.state_dict() if crew.is_first else {}


def put_optimiser(model: nn.Module, optimiser: torch.optim.Optimizer, value: Mapping[str, Any], *, crew: Crew) -> None:
    """Nothing; the optimiser has that whole memory now, which every process must hand in."""
    if is_sharded(model):
        set_optimizer_state_dict(model, optimiser, dict(value), options=StateDictOptions(full_state_dict=True))
    else:
        optimiser.load_state_dict(dict(value))
