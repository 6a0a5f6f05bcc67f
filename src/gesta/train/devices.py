"""Where and how precisely a model computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gesta.schema import GestaError, UnknownName

DEVICES = ("auto", "cpu", "cuda")


def pick_device(name: str) -> str:
    """`cpu` or `cuda`; "auto" is CUDA where torch sees a device.

    Raises:
        UnknownName: no such choice.
        GestaError: CUDA is asked for and torch sees none.
    """
    if name not in DEVICES:
        raise UnknownName(what="device", name=name, choices=DEVICES)
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise GestaError("--device cuda: torch sees no CUDA device here", mend="Use --device cpu or auto")
    return "cuda" if has_cuda and name != "cpu" else "cpu"


def pick_precision(name: str, *, device: str) -> str:
    """`float32` or `bfloat16`; "auto" is bfloat16 where the hardware multiplies it.

    On processors that emulate it, bfloat16 is several times slower than float32; on those that do not, about as much
    faster.
    """
    if name != "auto":
        return name
    if device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"


def autocast(*, device: str, precision: str) -> torch.autocast:
    """The context in which convolutions and products run in that precision."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16")


@contextmanager
def threads_in_use(threads: int | None) -> Iterator[int]:
    """A block in which torch uses that many threads (None = as many as it does); gives the number, puts it back."""
    before = torch.get_num_threads()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A block with torch's generators seeded; their states are put back behind it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
