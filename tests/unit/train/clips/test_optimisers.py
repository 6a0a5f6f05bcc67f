"""Optimisers of recipes: what is decayed, which rate, and how many kernels."""

from __future__ import annotations

import pytest
import torch
from tests.unit.train.clips.small_run import small, tiny

from gesta.train.clips.optimisers import make_optimiser, set_rate


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_kernels_are_decayed_and_norms_and_biases_are_not(name: str) -> None:
    model = tiny(num_classes=3)
    optimiser = make_optimiser(model, recipe=small(optimiser=name, weight_decay=0.25))
    decays = {id(weight): group["weight_decay"] for group in optimiser.param_groups for weight in group["params"]}
    assert len(decays) == len(list(model.parameters()))
    for weight in model.parameters():
        assert decays[id(weight)] == (0.25 if weight.ndim > 1 else 0.0)
    set_rate(optimiser, 0.125)
    assert [group["lr"] for group in optimiser.param_groups] == [0.125] * len(optimiser.param_groups)


def test_a_weight_that_is_fixed_is_not_learned() -> None:
    model = tiny(num_classes=3)
    model[1].weight.requires_grad = False
    optimiser = make_optimiser(model, recipe=small())
    assert all(weight is not model[1].weight for group in optimiser.param_groups for weight in group["params"])


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_on_a_processor_torch_chooses_the_kernels(name: str) -> None:
    assert not make_optimiser(tiny(num_classes=3), recipe=small(optimiser=name)).defaults["fused"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_on_a_gpu_one_kernel_moves_all_weights(name: str) -> None:
    assert make_optimiser(tiny(num_classes=3).cuda(), recipe=small(optimiser=name)).defaults["fused"]
