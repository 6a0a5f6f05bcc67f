"""A batch's gradient, added up over its parts in an order that depends on the number of parts alone.

Each part has its own batch-norm statistics and its own dropout. On the CPU copies of the model compute several parts
at a time, one thread a part (why: `gesta.train.parts`); elsewhere one part follows another, which is gradient
accumulation. The sums are taken pairwise, so that for a power of two parts it is the same sum, bit for bit, whether one
process adds all of them up or two processes half of them each.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from gesta.models import SeededDropout
from gesta.train.clips.processes import Crew
from gesta.train.clips.sharding import is_sharded
from gesta.train.parts import copies_of

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSum:
    """What one part, or several together, have to say: sums of losses, of gradients and of running statistics."""

    loss: Tensor
    gradients: list[Tensor]
    statistics: list[Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies(Generic[Part]):
    """The model and its copies, which share its weights, and how each turns a part into its share of the loss."""

    models: tuple[nn.Module, ...]
    share_of_loss: Callable[[nn.Module, Part], Tensor]


def can_be_copied(model: nn.Module) -> bool:
    """Whether all chance in the model is a `SeededDropout`'s, so that parts may be computed at the same time."""
    return all(
        type(module).__module__.startswith(("gesta.", "torch.nn.")) and not isinstance(module, _DropoutNd)
        for module in model.modules()
    )


def make_copies(model: nn.Module, *, num_parts: int, threads: int, device: str) -> tuple[nn.Module, ...]:
    """The model, and on the CPU as many copies with the same weights as there are parts and threads for them."""
    num = min(num_parts, threads) if device == "cpu" and can_be_copied(model) else 1
    return copies_of(model, num=num) if num > 1 else (model,)


def statistics_of(model: nn.Module) -> list[Tensor]:
    """The buffers (of any shape [...]) that training moves, such as running means of batch norms; counters are not."""
    return [buffer for buffer in model.buffers() if buffer.is_floating_point()]


def counters_of(model: nn.Module) -> list[Tensor]:
    """The batch norms' counters of steps, scalars [...]."""
    return [buffer for name, buffer in model.named_buffers() if name.endswith("num_batches_tracked")]


def sum_parts(
    copies: Copies[Part], parts: Sequence[Part], *, seeds: Sequence[tuple[int, ...]], pool: Executor
) -> PartSum | None:
    """The sum over the parts, None where there is none; the weights' gradients and the statistics stay untouched.

    Args:
        copies: of the model.
        parts: those of this process, in order.
        seeds: one a part, for its dropout.
        pool: threads, one a copy.
    """
    before = [statistic.clone() for statistic in statistics_of(copies.models[0])]
    counters = [counter.clone() for counter in counters_of(copies.models[0])]
    free: queue.SimpleQueue[nn.Module] = queue.SimpleQueue()
    for model in copies.models:
        free.put(model)

    def compute(part: Part, seed: tuple[int, ...]) -> PartSum:
        model = free.get()
        try:
            _seed_dropout(model, seed=seed, is_alone=len(copies.models) == 1)
            return _one_part(model, part, share_of_loss=copies.share_of_loss, before=before)
        finally:
            free.put(model)

    jobs = ((part, seed) for part, seed in zip(parts, seeds, strict=True))
    total = pairwise_sum(_in_order(compute, jobs, pool=pool, num_at_once=len(copies.models)))
    set_statistics(copies.models[0], before)
    for mine, counter in zip(counters_of(copies.models[0]), counters, strict=True):
        mine.copy_(counter)
    return total


def _in_order(
    compute: Callable[[Part, tuple[int, ...]], PartSum],
    jobs: Iterable[tuple[Part, tuple[int, ...]]],
    *,
    pool: Executor,
    num_at_once: int,
) -> Iterator[PartSum]:
    if num_at_once == 1:
        yield from (compute(part, seed) for part, seed in jobs)
        return
    waiting: list[Future[PartSum]] = []
    for part, seed in jobs:
        if len(waiting) == num_at_once:
            yield waiting.pop(0).result()
        waiting.append(pool.submit(compute, part, seed))
    while waiting:
        yield waiting.pop(0).result()


def _one_part(
    model: nn.Module, part: Part, *, share_of_loss: Callable[[nn.Module, Part], Tensor], before: Sequence[Tensor]
) -> PartSum:
    set_statistics(model, before)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in weights:
        weight.grad = None
    loss = share_of_loss(model, part)
    loss.backward()
    gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    for weight in weights:
        weight.grad = None
    statistics = [statistic.clone() for statistic in statistics_of(model)]
    return PartSum(loss=loss.detach().double(), gradients=gradients, statistics=statistics)


def _seed_dropout(model: nn.Module, *, seed: tuple[int, ...], is_alone: bool) -> None:
    draw = int(np.random.SeedSequence(seed).generate_state(1)[0])
    on_cpu = all(weight.device.type == "cpu" for weight in model.parameters())
    for module in model.modules():
        if isinstance(module, SeededDropout):
            module.generator = torch.Generator().manual_seed(draw) if on_cpu else None
    if is_alone:
        # Dropouts that are not ours draw from torch's own generator; with several threads there are none.
        torch.manual_seed(draw)


def pairwise_sum(leaves: Iterable[PartSum]) -> PartSum | None:
    """The sum of all leaves, neighbours first, then neighbouring pairs …; the leaves' tensors are used up.

    About log2(number of leaves) sums wait at a time.

    Source: pairwise summation as in Higham, The Accuracy of Floating Point Summation (1993), section 2.
    """
    stack: list[tuple[int, PartSum]] = []

    @torch.no_grad()
    def join() -> None:
        (size_b, b), (size_a, a) = stack.pop(), stack.pop()
        if a.gradients:
            torch._foreach_add_(a.gradients, b.gradients)
        if a.statistics:
            torch._foreach_add_(a.statistics, b.statistics)
        stack.append((size_a + size_b, PartSum(loss=a.loss + b.loss, gradients=a.gradients, statistics=a.statistics)))

    for leaf in leaves:
        stack.append((1, leaf))
        while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
            join()
    while len(stack) > 1:
        join()
    return stack[0][1] if stack else None


@torch.no_grad()
def sum_over_processes(total: PartSum | None, *, model: nn.Module, crew: Crew) -> PartSum:
    """The sum over all processes; one that had no part adds nothing."""
    if total is None:
        total = PartSum(
            loss=torch.zeros((), dtype=torch.float64, device=crew.device),
            gradients=[torch.zeros_like(weight) for weight in model.parameters() if weight.requires_grad],
            statistics=[torch.zeros_like(statistic) for statistic in statistics_of(model)],
        )
    # Sharded weights have added their gradients up over the processes on the way back.
    gradients = [] if is_sharded(model) else total.gradients
    crew.sum_tensors([*gradients, *total.statistics, total.loss])
    return total


@torch.no_grad()
def set_statistics(model: nn.Module, values: Sequence[Tensor]) -> None:
    """Nothing; the model's running statistics (each of any shape [...]) become those values."""
    mine = statistics_of(model)
    if mine:
        torch._foreach_copy_(mine, list(values))


@torch.no_grad()
def put_gradients(model: nn.Module, total: PartSum) -> None:
    """Nothing; the weights' gradients become the sum's."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    for weight, gradient in zip(weights, total.gradients, strict=True):
        weight.grad = gradient


@torch.no_grad()
def share_statistics(model: nn.Module, total: PartSum, *, num_parts: int) -> None:
    """Nothing; running statistics become the parts' mean, and the batch norms' counters move by one."""
    set_statistics(model, [value / num_parts for value in total.statistics])
    for counter in counters_of(model):
        counter += 1
