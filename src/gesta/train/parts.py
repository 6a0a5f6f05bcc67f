"""A batch's gradient computed in parts, each by a copy of the model, at the same time where there are cores.

One thread a part is faster than several threads a convolution: oneDNN's backward pass waits for the slowest thread at
a barrier that spins, which on a machine that does other things too made it three times slower than one thread. And
the result does not depend on how many parts run at a time. Each part has its own batch-norm statistics, as in
training on several devices.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from gesta.models import SeededDropout
from gesta.train.batches import Batch

LossOf = Callable[[nn.Module, Batch], torch.Tensor]
"""A part's share of the batch's loss, from a model and the part: the parts' shares add up to the loss."""


def copies_of(model: nn.Module, *, num: int) -> tuple[nn.Module, ...]:
    """The model and `num` - 1 copies whose weights are the model's own memory; their gradients and counters are not.

    Raises:
        ValueError: the model has a `torch.nn.Dropout`, whose draws would depend on the threads (our own claim).
    """
    if any(isinstance(module, nn.Dropout) for module in model.modules()):
        raise ValueError("the model has a torch.nn.Dropout: want gesta.models.SeededDropout")
    copies = [model]
    for _ in range(num - 1):
        twin = copy.deepcopy(model)
        for mine, its in zip(model.parameters(), twin.parameters(), strict=True):
            its.data = mine.data
        copies.append(twin)
    return tuple(copies)


def add_gradients(
    copies: Sequence[nn.Module], parts: Sequence[Batch], *, loss_of: LossOf, seed: tuple[int, int, int], pool: Executor
) -> float:
    """The batch's loss, its gradient left in the first copy; the copies' running statistics become their mean.

    Args:
        copies: what `copies_of` gave, at least as many as parts.
        parts: of the batch.
        loss_of: each part's share of the loss.
        seed: of the run, and numbers of the epoch and the step: dropout depends on these and the part's number alone.
        pool: where the parts are computed.
    """
    used = list(copies[: len(parts)])

    def compute(number: int) -> float:
        draw = int(np.random.SeedSequence((*seed, number)).generate_state(1)[0])
        for module in used[number].modules():
            if isinstance(module, SeededDropout):
                module.generator = torch.Generator().manual_seed(draw)
        for weight in used[number].parameters():
            weight.grad = None
        loss = loss_of(used[number], parts[number])
        loss.backward()
        return float(loss.detach())

    waiting: list[Future[float]] = [pool.submit(compute, number) for number in range(len(parts))]
    loss = sum(future.result() for future in waiting)
    for mine, *others in zip(*(model.parameters() for model in used), strict=True):
        for other in others:
            if mine.grad is not None and other.grad is not None:
                mine.grad += other.grad
    _share_statistics(used, copies)
    return loss


@torch.no_grad()
def _share_statistics(used: Sequence[nn.Module], copies: Sequence[nn.Module]) -> None:
    for first, *others in zip(*(model.buffers() for model in used), strict=True):
        if first.is_floating_point():
            for other in others:
                first += other
            first /= len(used)
    for twin in copies[1:]:
        for mine, its in zip(copies[0].buffers(), twin.buffers(), strict=True):
            its.copy_(mine)


@contextmanager
def part_workers(*, num_parts: int, threads: int, device: str) -> Iterator[ThreadPoolExecutor]:
    """Threads for the parts; torch's own threads are shared out between them while the block runs.

    On an accelerator there is one, since the device runs one part after another anyway.
    """
    num_workers = min(num_parts, threads) if device == "cpu" else 1
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(max(1, threads // num_workers))
        with ThreadPoolExecutor(num_workers) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)
