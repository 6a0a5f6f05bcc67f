"""Training steps that race each other: ours in several forms, and a peer's, on the same clips and the same device.

Shapes: B clips, C channels, T frames, H and W pixels.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.train_floors import synchronise
from gesta.train.clips import ClipAugment, ClipFrames
from gesta.train.clips.optimisers import make_optimiser
from gesta.train.clips.recipe import ClipRecipe

Step = Callable[[int], None]
"""One training step, optimiser included, on the prepared batch of that number; nothing waits for the device."""

NUM_BATCHES = 4
"""Distinct batches that take turns, so that no step finds its input in a cache."""

MIN_ROUNDS = 3
ROUND_S = 1.5
"""Length of one contender's turn: far above the clock's and the launches' own times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a step of ours is run."""

    layout: str
    is_compiled: bool

    @property
    def memory_format(self) -> torch.memory_format:
        """Torch's word for the layout."""
        return torch.channels_last_3d if self.layout == "channels_last_3d" else torch.contiguous_format


PLAIN = Form(layout="contiguous", is_compiled=False)


def synthetic_batches(
    clip_shape: Sequence[int], *, num_clips: int, num_classes: int, device: str, seed: int = 0
) -> list[tuple[Tensor, Tensor]]:
    """Batches of random clips [B, C, T, H, W] of standard scale, and labels [B], on the device."""
    generator = torch.Generator(device).manual_seed(seed)
    return [
        (
            torch.randn((num_clips, *clip_shape), device=device, generator=generator),
            torch.randint(num_classes, (num_clips,), device=device, generator=generator),
        )
        for _ in range(NUM_BATCHES)
    ]


def step_of(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    prepared: Sequence[tuple[Tensor, Tensor]],
    *,
    form: Form,
    precision: str,
) -> Step:
    """A step: autocast forward, cross-entropy, backward, optimiser. The batches are laid out as `form` says."""
    device = prepared[0][0].device.type
    laid_out = [(clip_BCTHW.to(memory_format=form.memory_format), labels_B) for clip_BCTHW, labels_B in prepared]
    run = torch.compile(model) if form.is_compiled else model

    def step(number: int) -> None:
        clip_BCTHW, labels_B = laid_out[number % len(laid_out)]
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss = functional.cross_entropy(run(clip_BCTHW), labels_B)
        loss.backward()
        optimiser.step()

    return step


def our_optimiser(model: nn.Module) -> torch.optim.Optimizer:
    """SGD with momentum as a recipe of gesta builds it."""
    recipe = ClipRecipe(
        name="benchmark", model="i3d", frames=ClipFrames(num_frames=64), augment=ClipAugment(), epochs=1,
        clips_per_batch=1, base_lr=0.01, momentum=0.9, weight_decay=1e-4,
    )  # fmt: skip
    return make_optimiser(model, recipe=recipe)


def turn_s(step: Step, *, num_steps: int, device: str) -> float:
    """Seconds of that many steps, the device's work included."""
    synchronise(device)
    begin = time.perf_counter()
    for number in range(num_steps):
        step(number)
    synchronise(device)
    return time.perf_counter() - begin


def steps_a_turn(step: Step, *, device: str, turn: float = ROUND_S, num_warm: int = 2) -> int:
    """How many steps fill one turn, found after some uncounted ones."""
    turn_s(step, num_steps=num_warm, device=device)
    return max(1, round(turn / turn_s(step, num_steps=1, device=device)))


def race(
    contenders: Mapping[str, Step],
    *,
    seconds: float,
    device: str,
    clock: Callable[[], float] = time.perf_counter,
    turn: float = ROUND_S,
) -> dict[str, list[float]]:
    """Steps a second of each contender in each round; the rounds are interleaved and go on for `seconds`.

    The order turns round by round, so that none always follows the same other.
    """
    num_steps = {name: steps_a_turn(step, device=device, turn=turn) for name, step in contenders.items()}
    found: dict[str, list[float]] = {name: [] for name in contenders}
    begin = clock()
    names = list(contenders)
    while len(found[names[0]]) < MIN_ROUNDS or clock() - begin < seconds:
        for name in names:
            spent = turn_s(contenders[name], num_steps=num_steps[name], device=device)
            found[name].append(num_steps[name] / spent)
        names = [*names[1:], names[0]]
    return found


def spread(rates: Sequence[float]) -> float:
    """Half the distance of the quartiles over the median.

    >>> spread([1.0, 2.0, 3.0])
    0.5
    """
    low, middle, high = statistics.quantiles(rates, n=4)
    return (high - low) / 2 / middle


def profile_of(step: Step, *, device: str, num_steps: int = 2, top: int = 8) -> list[dict[str, float | str]]:
    """The operations (on a GPU: kernels) that take most of a step's time, each with its share and its number a step."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=kinds) as profiler:
        turn_s(step, num_steps=num_steps, device=device)

    def spent_us(event: torch.autograd.profiler_util.FunctionEventAvg) -> float:
        return float(event.self_device_time_total if device == "cuda" else event.self_cpu_time_total)

    # On a GPU an operation and the kernels that it started are events both: only the kernels count.
    events = [event for event in profiler.key_averages() if event.device_type.name == kinds[-1].name]
    events.sort(key=spent_us, reverse=True)
    total_us = sum(spent_us(event) for event in events)
    return [
        {"operation": event.key[:60], "share": spent_us(event) / total_us, "calls_a_step": event.count / num_steps}
        for event in events[:top]
    ]
