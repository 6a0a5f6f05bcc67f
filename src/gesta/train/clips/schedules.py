"""The learning rate of a step: steps down at given epochs, when validation no longer improves, or along a cosine."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gesta.train.clips.tasks import AnyRecipe

DIVISOR = 10.0
"""Of the rate at a milestone or plateau. Source: Kay et al., Kinetics (2017), section 4.4; Smaira et al. (2020),
section 3."""


def learning_rate(
    recipe: AnyRecipe, *, step: int, steps_per_epoch: int, num_steps: int, num_plateaus: int = 0
) -> float:
    """The rate at a step, counted from 0.

    Args:
        recipe: its schedule.
        step: since the beginning of the run.
        steps_per_epoch: of this run.
        num_steps: of the whole run.
        num_plateaus: how often validation has stopped improving so far; see `num_plateaus_of`.
    Source: the cosine is Loshchilov & Hutter, SGDR (2017), equation 5 without restarts; the linear rise is Goyal et
        al., Accurate, Large Minibatch SGD (2017), section 2.2; the rise from a share of the rate is MMCV 1.x's
        `LrUpdaterHook.get_warmup_lr` and PySlowFast's `lr_policy.get_lr_at_epoch`.
    """
    num_warmup = recipe.warmup_steps or round(recipe.warmup_epochs * steps_per_epoch)
    if step < num_warmup:
        if recipe.warmup_from_frac is None:
            return recipe.base_lr * (step + 1) / num_warmup
        least = recipe.warmup_from_frac
        return recipe.base_lr * (least + (1 - least) * step / num_warmup)
    if recipe.schedule == "cosine":
        share = (step - num_warmup) / max(1, num_steps - num_warmup)
        return recipe.base_lr * 0.5 * (1 + math.cos(math.pi * share))
    if recipe.schedule == "plateau":
        return recipe.base_lr / DIVISOR**num_plateaus
    epoch = step // steps_per_epoch
    return recipe.base_lr / DIVISOR ** sum(epoch >= milestone for milestone in recipe.milestones)


def num_plateaus_of(val_losses: Sequence[float], *, patience: int) -> int:
    """How often the loss went `patience` epochs without a new low, counting anew after each time.

    >>> num_plateaus_of([1.0, 0.9, 0.95, 0.92, 0.91, 0.8, 0.85, 0.85, 0.85], patience=3)
    2
    """
    lowest, num_stale, count = math.inf, 0, 0
    for loss in val_losses:
        num_stale = 0 if loss < lowest else num_stale + 1
        lowest = min(lowest, loss)
        if num_stale == patience:
            count, num_stale = count + 1, 0
    return count
