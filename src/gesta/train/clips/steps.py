"""One step of training: a batch's parts in, moved weights out, unless the loss says no.

Shapes: B clips of a part, C channels, T frames, H and W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.nn import functional

from gesta.train.clips.averaging import move_average
from gesta.train.clips.batches import ClipBatch, to_model
from gesta.train.clips.gradients import (
    Copies,
    put_gradients,
    share_statistics,
    sum_over_processes,
    sum_parts,
)
from gesta.train.clips.guards import LossGuard, refuse_no_number
from gesta.train.clips.optimisers import set_rate
from gesta.train.clips.processes import Crew
from gesta.train.clips.recipe import ClipRecipe
from gesta.train.clips.tasks import AnyRecipe, Batch, Forward, Task

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What stays the same over a run."""

    task: Task
    recipe: AnyRecipe
    crew: Crew
    precision: str
    seed: int
    forward: Forward


@dataclass(slots=True, kw_only=True)
class Learner:
    """What a run changes: weights, their average, the optimiser's memory, the loss scale, the last losses."""

    model: nn.Module
    copies: tuple[nn.Module, ...]
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    averaged: dict[str, Tensor] | None
    guard: LossGuard


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """Which step it is, at which rate, over how many clips and parts in all processes."""

    epoch: int
    place: int
    step: int
    rate: float
    num_clips: int
    num_parts: int
    part_numbers: tuple[int, ...]
    clip_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """The batch's mean loss, its weight in the epoch's, the gradient's norm before clipping, whether weights stayed."""

    loss: float
    weight: float
    gradient_norm: float
    is_skipped: bool


def autocast_of(device: str, precision: str) -> torch.autocast:
    """The context in which convolutions and products run in that precision."""
    dtype = DTYPES.get(precision)
    return torch.autocast(device.split(":")[0], dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def loss_of(logits_BK: Tensor, labels_B: Tensor, *, label_smoothing: float) -> Tensor:
    """Cross-entropy summed over the clips, in float32."""
    return functional.cross_entropy(logits_BK.float(), labels_B, reduction="sum", label_smoothing=label_smoothing)


def totals_of_clips(_parts: Sequence[ClipBatch], plan: StepPlan, _setting: Setting) -> tuple[float, ...]:
    """The number of clips in the batch."""
    return (plan.num_clips,)


def share_of_clips(copy: nn.Module, part: ClipBatch, *, totals: Sequence[float], setting: Setting) -> Tensor:
    """The cross-entropy of the part's clips over the number of clips in the whole batch, a scalar tensor [...]."""
    recipe, device = cast(ClipRecipe, setting.recipe), setting.crew.device
    clip_BCTHW = to_model(part, frames=recipe.frames, device=device)
    with autocast_of(device, setting.precision):
        logits_BK = setting.forward(copy, clip_BCTHW)
    labels_B = part.labels_B.to(device, non_blocking=True)
    return loss_of(logits_BK, labels_B, label_smoothing=recipe.label_smoothing) / totals[0]


def to_train(model: nn.Module, *, frozen_norms: bool) -> None:
    """Nothing; the model is in training mode, but for batch norms whose statistics are to stay."""
    model.train()
    if frozen_norms:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def take_step(
    learner: Learner, parts: Sequence[Batch], *, plan: StepPlan, setting: Setting, pool: Executor
) -> StepOutcome:
    """What came of it; the weights, their average and the running statistics have moved unless it was skipped.

    Raises:
        GestaError: the loss or the gradient is no number, or too many of the last steps were skipped.
    """
    recipe, crew, model, scaler = setting.recipe, setting.crew, learner.model, learner.scaler

    totals = setting.task.totals(parts, plan, setting)

    def share_of_loss(copy: nn.Module, part: Batch) -> Tensor:
        return scaler.scale(setting.task.share_of_loss(copy, part, totals=totals, setting=setting))

    for model_copy in learner.copies:
        to_train(model_copy, frozen_norms=recipe.frozen_norms)
    own = sum_parts(
        Copies(models=learner.copies, share_of_loss=share_of_loss),
        parts,
        seeds=[(setting.seed, plan.epoch, plan.place, number) for number in plan.part_numbers],
        pool=pool,
    )
    total = sum_over_processes(own, model=model, crew=crew)
    put_gradients(model, total)
    loss = float(total.loss) / scaler.get_scale()
    scaler.unscale_(learner.optimiser)
    norm = _clipped_norm(model, clip_norm=recipe.clip_norm)
    is_skipped = _is_skipped(loss, norm, learner=learner, plan=plan, recipe=recipe)
    if not is_skipped:
        set_rate(learner.optimiser, plan.rate)
        scaler.step(learner.optimiser)
        if not recipe.frozen_norms:
            share_statistics(model, total, num_parts=plan.num_parts)
        if learner.averaged is not None and recipe.ema_decay is not None:
            move_average(learner.averaged, model.state_dict(), decay=recipe.ema_decay, step=plan.step + 1)
    if scaler.is_enabled():
        scaler.update()
    learner.optimiser.zero_grad(set_to_none=True)
    return StepOutcome(loss=loss, weight=totals[0], gradient_norm=norm, is_skipped=is_skipped)


def _clipped_norm(model: nn.Module, *, clip_norm: float | None) -> float:
    weights = [weight for weight in model.parameters() if weight.grad is not None]
    norm = nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    if clip_norm is not None:
        nn.utils.clip_grads_with_norm_(weights, clip_norm, norm)
    return float(norm)


def _is_skipped(loss: float, norm: float, *, learner: Learner, plan: StepPlan, recipe: AnyRecipe) -> bool:
    # With a loss scale an infinite gradient means that the scale is too high: `scaler.update` halves it.
    is_overflow = learner.scaler.is_enabled() and not torch.isfinite(torch.tensor(norm))
    refuse_no_number(
        loss,
        0.0 if is_overflow else norm,
        epoch=plan.epoch,
        step=plan.step,
        clip_ids=plan.clip_ids,
        base_lr=recipe.base_lr,
    )
    return learner.guard.skips(loss, is_overflow=bool(is_overflow))
