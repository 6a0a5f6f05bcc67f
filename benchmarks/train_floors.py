"""What a training step cannot beat: the arithmetic and the memory traffic of a network over the device's own rates.

The rates are measured on the device in the same run: one large matrix product, and a copy.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from gesta.train.clips.speed import peak_of

BYTES = {"bfloat16": 2, "float32": 4}
DATASHEET_TFLOPS = {
    "H200": {"bfloat16": 989.4, "float32": 494.7},
    "H100": {"bfloat16": 989.4, "float32": 494.7},
    "A100": {"bfloat16": 312.0, "float32": 156.0},
}
"""Dense rates of the matrix units; float32 is TF32, which cuDNN's convolutions use for it unless told otherwise.

Source: NVIDIA's datasheets of the H200 SXM, H100 SXM and A100, rows "BFLOAT16" and "TF32", without sparsity.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one clip costs in one training step, forward and backward, at `clips_per_batch` of one."""

    num_params: int
    flops: float
    moved_elements: float

    def moved_bytes(self, precision: str) -> float:
        """Bytes that activations move through memory."""
        return self.moved_elements * BYTES[precision]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What the device does at best: FLOP/s of a matrix product, bytes/s (read plus written) of a copy."""

    flops_per_s: float
    bytes_per_s: float


def work_of(build: Callable[[], nn.Module], *, clip_shape: tuple[int, int, int, int], num_clips: int = 2) -> Work:
    """Arithmetic by torch's counter, traffic by a model, of one clip [C, T, H, W]; nothing is computed.

    Traffic: a convolution reads its input and writes its output; batch norm with ReLU reads that twice and writes it
    once; a pool reads its input and writes its output; the backward pass moves twice as much. Weights and what a
    cache may keep are left out.
    """
    moved = 0.0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal moved
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            moved += 2 * inputs[0].numel() + output.numel()
        else:
            moved += inputs[0].numel() + output.numel()

    # Built and run where tensors have shapes only.
    with torch.device("meta"):
        model = build().train()
        counted = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.MaxPool3d, nn.AvgPool3d)
        hooks = [part.register_forward_hook(count) for part in model.modules() if isinstance(part, counted)]
        clip_BCTHW = torch.empty((num_clips, *clip_shape))
        with FlopCounterMode(display=False) as counter:
            logits_BK = model(clip_BCTHW)
            functional.cross_entropy(logits_BK, torch.zeros(num_clips, dtype=torch.int64)).backward()
        for hook in hooks:
            hook.remove()
        num_params = sum(weight.numel() for weight in model.parameters())
    return Work(
        num_params=num_params, flops=counter.get_total_flops() / num_clips, moved_elements=3 * moved / num_clips
    )


def limits(work: Work, rates: Rates, *, precision: str) -> dict[str, float]:
    """Clips a second that arithmetic alone, traffic alone, and both without overlap allow."""
    compute_s = work.flops / rates.flops_per_s
    traffic_s = work.moved_bytes(precision) / rates.bytes_per_s
    return {
        "limit_compute": 1 / compute_s,
        "limit_traffic": 1 / traffic_s,
        "limit_no_overlap": 1 / (compute_s + traffic_s),
    }


def datasheet_flops_per_s(device_name: str, *, precision: str) -> float | None:
    """The maker's figure for the device, None where it is not known here.

    >>> datasheet_flops_per_s("NVIDIA H200", precision="bfloat16")
    989400000000000.0
    """
    for name, rates in DATASHEET_TFLOPS.items():
        if name in device_name:
            return rates[precision] * 1e12
    return None


def synchronise(device: str) -> None:
    """Wait for all work on the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def _fastest_s(work: Callable[[], Any], *, device: str, repeats: int) -> float:
    for _ in range(2):
        work()
    spent = []
    for _ in range(repeats):
        synchronise(device)
        begin = time.perf_counter()
        work()
        synchronise(device)
        spent.append(time.perf_counter() - begin)
    return min(spent)


def measure_rates(*, device: str, precision: str, repeats: int = 9) -> Rates:
    """Rates of arithmetic and of a copy far larger than the caches.

    Arithmetic is a square matrix product of random numbers; on a processor a convolution where that is faster, since
    torch's products do not use AVX-512 on AMD's.
    """
    side = 8192 if device == "cuda" else 2048
    num_copied = (4 << 30) if device == "cuda" else (256 << 20)
    dtype = {"bfloat16": torch.bfloat16, "float32": torch.float32}[precision]
    a_NN = torch.randn((side, side), device=device, dtype=dtype)
    b_NN = torch.randn((side, side), device=device, dtype=dtype)
    was_tf32 = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True  # as cuDNN has it for float32 convolutions
    try:
        product_s = _fastest_s(lambda: a_NN @ b_NN, device=device, repeats=repeats)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = was_tf32
    source = torch.randint(0, 255, (num_copied,), device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    copy_s = _fastest_s(lambda: target.copy_(source), device=device, repeats=repeats)
    flops_per_s = 2 * side**3 / product_s
    if device == "cpu":
        flops_per_s = max(flops_per_s, peak_of(device, precision=precision).flops_per_s)
    return Rates(flops_per_s=flops_per_s, bytes_per_s=2 * num_copied / copy_s)
