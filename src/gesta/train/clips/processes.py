"""The processes of one run, as `torchrun` starts them: who is who, and what they add up.

Parts of a batch are numbered through; process `rank` of `size` computes the parts of its block, in order.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed

from gesta.schema import BadInput

Item = TypeVar("Item")

BUCKET_NUMBERS = 1 << 24
"""Numbers summed over the processes at a time: 64 MiB of float32, so that copies stay small beside the model."""

WAIT = datetime.timedelta(minutes=60)
"""How long a process waits for the slowest one: as long as the longest checkpoint, validation or compilation takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """One process among those of a run, and the device it computes on (`cpu`, `cuda`, `cuda:1`)."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def own_parts(self, num_parts: int) -> range:
        """The numbers of the parts that this process computes.

        Raises:
            BadInput: the parts cannot be shared out evenly.

        >>> [list(Crew(rank=rank, size=2).own_parts(4)) for rank in range(2)]
        [[0, 1], [2, 3]]
        """
        if num_parts % self.size:
            raise BadInput(
                f"{num_parts} parts of a batch cannot be shared out evenly among {self.size} processes",
                mend="Start a number of processes that divides the recipe's num_parts",
            )
        each = num_parts // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        """The sums over all processes, computed in float64."""
        if self.size == 1:
            return list(numbers)
        total = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return total.tolist()

    def sum_tensors(self, tensors: Sequence[Tensor]) -> None:
        """Nothing; each tensor (float32 or float64, [...]) becomes its sum over all processes, in place."""
        if self.size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            distributed.all_reduce(flat)
            for tensor, part in zip(bucket, flat.split([tensor.numel() for tensor in bucket]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def gather(self, values: Sequence[Item]) -> list[Item]:
        """The values of all processes, those of the first one first."""
        if self.size == 1:
            return list(values)
        lists: list[list[Item]] = [[] for _ in range(self.size)]
        distributed.all_gather_object(lists, list(values))
        return [value for each in lists for value in each]

    def wait(self) -> None:
        """Nothing, once every process has come here."""
        if self.size > 1:
            distributed.barrier()


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for tensor in tensors:
        is_other = bool(bucket) and tensor.dtype != bucket[0].dtype
        if bucket and (is_other or sum(each.numel() for each in bucket) + tensor.numel() > BUCKET_NUMBERS):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


@contextmanager
def joined_crew(
    device: str, *, needs_group: bool = False, environment: Mapping[str, str] = os.environ
) -> Iterator[Crew]:
    """This process's place among those that `torchrun` started; alone where it was not started so.

    Args:
        device: cpu or cuda; with several processes each takes the GPU of its local number.
        needs_group: make a process group even for one process, as sharded weights want it.
        environment: where torchrun leaves RANK, WORLD_SIZE and LOCAL_RANK.
    Raises:
        BadInput: there are fewer GPUs than processes on this machine.
    """
    size = int(environment.get("WORLD_SIZE", "1"))
    rank, local = int(environment.get("RANK", "0")), int(environment.get("LOCAL_RANK", "0"))
    if size == 1 and not needs_group:
        yield Crew(device=device)
        return
    place = device
    if device == "cuda":
        if local >= torch.cuda.device_count():
            raise BadInput(
                f"process {local} of this machine has no GPU: torch sees {torch.cuda.device_count()}",
                mend="Start at most as many processes as there are GPUs, or use --device cpu",
            )
        place = f"cuda:{local}"
        torch.cuda.set_device(local)
    store = distributed.HashStore() if size == 1 else None
    distributed.init_process_group(
        "nccl" if device == "cuda" else "gloo", timeout=WAIT, store=store, rank=rank, world_size=size
    )
    try:
        yield Crew(rank=rank, size=size, device=place)
    finally:
        distributed.destroy_process_group()
