"""Where and how precisely a model computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch.nn import functional

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


def pick_clip_precision(name: str, *, device: str) -> str:
    """As `pick_precision`, but "auto" is bfloat16 only where it also gives the right gradients of 3-D convolutions."""
    picked = pick_precision(name, device=device)
    if name == "auto" and picked == "bfloat16" and not has_right_bfloat16_gradients(device):
        return "float32"
    return picked


@cache
def has_right_bfloat16_gradients(device: str) -> bool:
    """Whether a 3x3x3 convolution's weights get their gradient in bfloat16, tried on clips of two to four frames.

    Source: ours. Torch 2.13 with oneDNN 3.12 on processors that multiply bfloat16 (AVX512-BF16) leaves the gradient of
    every such convolution over two padded frames unwritten, so that it is what the memory held before: NaN, 1e35 or an
    older number. Other lengths are right there. Wrong bfloat16 convolutions on GPUs: pytorch issue 163539.
    """
    num_channels, side = 16, 8
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for num_frames in (2, 3, 4):
            clip_BCTHW = torch.randn(2, num_channels, num_frames, side, side).to(torch.bfloat16)
            towards_BCTHW = torch.randn_like(clip_BCTHW)
            weight = torch.randn(num_channels, num_channels, 3, 3, 3).to(torch.bfloat16)
            found = []
            for dtype in (torch.float32, torch.bfloat16):
                # Memory that is given out again holds no number, lest an old gradient pass for a new one.
                spoilt = [torch.full_like(weight, torch.nan, dtype=dtype, device=device) for _ in range(4)]
                del spoilt
                own = weight.to(device, dtype).requires_grad_()
                out_BCTHW = functional.conv3d(clip_BCTHW.to(device, dtype), own, padding=1)
                out_BCTHW.backward(towards_BCTHW.to(device, dtype))
                assert own.grad is not None
                found.append(own.grad.double())
            # Rounding to eight bits alone gives 0.002; a NaN is not below.
            if not float((found[1] - found[0]).norm()) < 0.05 * float(found[0].norm()):
                return False
    return True


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
