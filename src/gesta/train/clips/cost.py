"""What a recipe costs: steps, hours and memory, from arithmetic and stated assumptions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gesta.models import build_clip_model
from gesta.train.clips.recipe import ClipRecipe
from gesta.train.clips.speed import TERA, num_parameters, train_flops

CARD = "H200"
CARD_FLOPS_PER_S = 989 * TERA
"""Source: NVIDIA's data sheet of the H200, bfloat16 without sparsity."""

EXPECTED_MFU_FRAC = 0.15
"""The share of its peak at which a card is assumed to train such a net: a target, not a measurement.

Source: NVIDIA's own examples reach 9 % (nnU-Net) and 20 % (ResNet-50) on an A100 (DeepLearningExamples; our
arithmetic).
"""

NUM_CLASSES_COUNTED = 400
"""Classes of the model whose operations are counted."""

BYTES_PER_WEIGHT = {"sgd": 12, "adamw": 16}
"""Weight, gradient and the optimiser's one or two moments, float32 each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Steps in all, clips shown, operations, and hours where data never keep it waiting."""

    num_steps: int
    num_clips_shown: int
    train_flops: float
    hours: float


def cost_of(
    recipe: ClipRecipe, *, num_clips: int, num_classes: int, flops_per_s: float = EXPECTED_MFU_FRAC * CARD_FLOPS_PER_S
) -> Cost:
    """What training takes where data never keep it waiting; validation and tests come on top.

    Args:
        recipe: what is trained.
        num_clips: in the set, before `recipe.per_class` takes its share.
        num_classes: of the set.
        flops_per_s: operations a second that the model really gets.
    Raises:
        UnknownName: there is no such model.
    """
    used = num_clips if recipe.per_class is None else min(num_clips, recipe.per_class * num_classes)
    per_epoch = max(1, -(-used // recipe.clips_per_batch))
    steps = recipe.epochs * per_epoch
    shown = recipe.epochs * used
    if recipe.max_steps and recipe.max_steps < steps:
        shown = round(used / per_epoch * recipe.max_steps)
        steps = recipe.max_steps
    # The last layer is below a thousandth of a net, and counting once serves data sets of all sizes.
    flops = shown * train_flops(recipe.model, num_classes=NUM_CLASSES_COUNTED, frames=recipe.frames)
    return Cost(
        num_steps=steps,
        num_clips_shown=shown,
        train_flops=flops,
        hours=flops / flops_per_s / 3600,
    )


def memory_bytes(recipe: ClipRecipe, *, num_classes: int) -> int:
    """Bytes for weights, gradients, moments, averages, and what one part keeps for its way back: a lower bound.

    Raises:
        UnknownName: there is no such model.
    """
    with torch.device("meta"):
        model = build_clip_model(
            recipe.model, num_classes=num_classes, num_frames=recipe.frames.num_frames, crop_px=recipe.frames.crop_px
        ).eval()
    weights = num_parameters(model) * (BYTES_PER_WEIGHT[recipe.optimiser] + (4 if recipe.ema_decay else 0))
    clips = -(-recipe.clips_per_batch // recipe.num_parts)
    frames = recipe.frames
    clip_BCTHW = torch.zeros(
        1, frames.num_channels, frames.num_frames, frames.crop_px, frames.crop_px, device="meta"
    )  # fmt: skip
    kept = 0 if recipe.saves_memory else activation_numbers(model, (clip_BCTHW,)) * clips
    return weights + kept * (4 if recipe.precision == "float32" else 2)


def activation_numbers(model: nn.Module, inputs: tuple[Tensor, ...]) -> int:
    """Numbers that layers keep of `inputs` (of any shapes [...]) for the way back: what enters a layer with weights."""
    total = 0

    def note(module: nn.Module, given: tuple[Tensor, ...], _output: object) -> None:
        nonlocal total
        if next(module.parameters(recurse=False), None) is not None:
            total += sum(each.numel() for each in given if isinstance(each, Tensor))

    handles = [module.register_forward_hook(note) for module in model.modules()]
    with torch.no_grad():
        model(*inputs)
    for handle in handles:
        handle.remove()
    return total
