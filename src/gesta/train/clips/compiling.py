"""Whether a model is compiled: `torch.compile` where a few steps of it were measured to be faster.

Shapes: B clips, C channels, T frames, H and W pixels.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from gesta.train.clips.gradients import counters_of, set_statistics, statistics_of
from gesta.train.clips.steps import autocast_of
from gesta.train.clips.tasks import AnyRecipe, Forward, Task

NUM_WARMUP, NUM_TIMED = 3, 5
"""Steps before and while timing. Source: ours; the first compiles and picks convolutions, two more settle caches."""

LEAST_GAIN = 1.03
"""How much faster compiled steps must be: below that, compiling costs more than it gives. Source: ours."""


def as_it_is(model: nn.Module, clip_BCTHW: Tensor) -> Tensor:
    """The model's logits [B, K], not compiled."""
    return model(clip_BCTHW)


def compiled_forward(model: nn.Module) -> Forward:
    """A function that computes that model's logits, compiled at its first call; of another model, plainly."""
    fast = torch.compile(model)
    return lambda asked, clip_BCTHW: fast(clip_BCTHW) if asked is model else asked(clip_BCTHW)


def random_clips(recipe: AnyRecipe, num_clips: int, device: str) -> tuple[Tensor]:
    """Clips of noise [B, C, T, H, W] of the size that the recipe shows a model, on the device."""
    frames = recipe.frames
    return (
        torch.randn(
            num_clips, frames.num_channels, frames.num_frames, frames.crop_px, frames.crop_px, device=device
        ).to(memory_format=torch.channels_last_3d),
    )


def choose_forward(
    model: nn.Module,
    *,
    recipe: AnyRecipe,
    num_clips: int,
    device: str,
    precision: str,
    clock: Callable[[], float] = time.perf_counter,
    task: Task | None = None,
) -> tuple[bool, dict[str, float]]:
    """Whether to compile, and the seconds a step of both where they were timed; on the CPU "auto" is off.

    Args:
        model: on the device, in training mode; its weights and statistics stay as they are.
        recipe: its `compile` and `frames`.
        num_clips: of a part.
        device: where it computes.
        precision: of the run.
        clock: seconds.
        task: how the model is asked; None = as a model of clips.
    """
    if recipe.compile != "auto" or not device.startswith("cuda"):
        return recipe.compile == "on", {}
    seconds = time_both(
        model, recipe=recipe, num_clips=num_clips, device=device, precision=precision, clock=clock, task=task
    )  # fmt: skip
    return seconds["plain_step_s"] > LEAST_GAIN * seconds["compiled_step_s"], seconds


def time_both(
    model: nn.Module,
    *,
    recipe: AnyRecipe,
    num_clips: int,
    device: str,
    precision: str,
    clock: Callable[[], float],
    compiled: Forward | None = None,
    task: Task | None = None,
) -> dict[str, float]:
    """Seconds a step, forward and backward, as `plain_step_s` and `compiled_step_s`; the model stays as it is.

    Args:
        model: on the device, in training mode.
        recipe: its `frames`.
        num_clips: of a part.
        device: where it computes.
        precision: of the run.
        clock: seconds.
        compiled: what counts as compiled; None = `torch.compile`.
        task: how the model is asked; None = as a model of clips.
    """
    inputs = (random_clips if task is None else task.inputs)(recipe, num_clips, device)
    plain = as_it_is if task is None else task.plain
    fast = compiled or (compiled_forward if task is None else task.compiled)(model)
    seconds = {}
    for name, forward in (("plain", plain), ("compiled", fast)):
        took_s = _seconds_a_step(forward, model, inputs, device=device, precision=precision, clock=clock)
        seconds[f"{name}_step_s"] = took_s
    return seconds


def _seconds_a_step(
    forward: Forward,
    model: nn.Module,
    inputs: tuple[Tensor, ...],
    *,
    device: str,
    precision: str,
    clock: Callable[[], float],
) -> float:
    before = [statistic.clone() for statistic in statistics_of(model)]
    counters = [counter.clone() for counter in counters_of(model)]
    began = clock()
    for number in range(NUM_WARMUP + NUM_TIMED):
        if number == NUM_WARMUP:
            _finish(device)
            began = clock()
        with autocast_of(device, precision):
            answer = forward(model, *inputs)
        # A model of persons answers for persons and for clips.
        logits_BK = answer[0] if isinstance(answer, tuple) else answer
        logits_BK.float().logsumexp(dim=1).sum().backward()
        model.zero_grad(set_to_none=True)
    _finish(device)
    seconds = (clock() - began) / NUM_TIMED
    set_statistics(model, before)
    for mine, counter in zip(counters_of(model), counters, strict=True):
        mine.copy_(counter)
    return seconds


def _finish(device: str) -> None:
    """Nothing, once the device has done all that was asked of it."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
