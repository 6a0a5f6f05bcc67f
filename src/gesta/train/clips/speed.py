"""How fast a run is: clips a second, the share of time spent waiting for data, and the share of the device's peak.

The share of the peak (MFU) is the model's arithmetic a second, as its layers need it, over what the device could do;
arithmetic done twice to spare memory does not count. Source: Chowdhery et al., PaLM (2022), appendix B.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gesta.models import build_clip_model
from gesta.train.clips.frames import ClipFrames

TERA = 1e12

PEAK_TFLOPS: dict[str, dict[str, float]] = {
    "H200": {"float16": 989.0, "bfloat16": 989.0, "float32": 494.0},
    "H100 NVL": {"float16": 835.0, "bfloat16": 835.0, "float32": 417.0},
    "H100 PCIe": {"float16": 756.0, "bfloat16": 756.0, "float32": 378.0},
    "H100": {"float16": 989.0, "bfloat16": 989.0, "float32": 494.0},
    "A100": {"float16": 312.0, "bfloat16": 312.0, "float32": 156.0},
    "L40S": {"float16": 362.0, "bfloat16": 362.0, "float32": 183.0},
    "L4": {"float16": 121.0, "bfloat16": 121.0, "float32": 60.0},
    "A10": {"float16": 125.0, "bfloat16": 125.0, "float32": 62.5},
    "V100": {"float16": 125.0, "float32": 15.7},
    "T4": {"float16": 65.0, "float32": 8.1},
}
"""Dense peaks by a part of the card's name; float32 is TF32's where the card has it, which torch uses in convolutions.

Source: NVIDIA's data sheets of each card, tensor cores, without sparsity. The first name found in the card's counts.
"""

MATMUL_SIDE = 512
"""Of the square matrices whose product measures a peak. Source: ours; its 0.3 GFLOP take over 1 ms on a processor's
core, and the matrices fit into its caches."""

CONVOLVED = (4, 128, 28)
"""Pictures, channels and side of the 3 x 3 convolution beside it: on AMD's processors torch's products of matrices do
not use AVX-512 and its convolutions do, which are then twice as fast. Source: measured by us, torch 2.13."""

MEASURE_S = 0.3
"""How long each of them is measured at most, beside its first run. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """What a device can do: operations a second, and where that number is from."""

    flops_per_s: float
    how: str


def peak_of(device: str, *, precision: str, clock: Callable[[], float] = time.perf_counter) -> Peak:
    """The device's peak: from the table where its name is known, else measured: a matrix product or a convolution."""
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
        for part, peaks in PEAK_TFLOPS.items():
            if part in name and precision in peaks:
                return Peak(flops_per_s=peaks[precision] * TERA, how=f"data sheet of {name}, {precision}")
    else:
        name = f"CPU, {torch.get_num_threads()} threads"
    return Peak(
        flops_per_s=_measured(device, precision=precision, clock=clock),
        how=f"measured: the faster of a matrix product and a convolution in {precision} on {name}",
    )


def _measured(device: str, *, precision: str, clock: Callable[[], float]) -> float:
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    matrix = torch.ones(MATMUL_SIDE, MATMUL_SIDE, dtype=dtype, device=device)
    num, channels, side = CONVOLVED
    maps_NCHW = torch.ones(num, channels, side, side, dtype=dtype, device=device)
    kernels = torch.ones(channels, channels, 3, 3, dtype=dtype, device=device)
    maps_NCHW, kernels = (each.to(memory_format=torch.channels_last) for each in (maps_NCHW, kernels))
    return max(
        2 * MATMUL_SIDE**3 / _fastest_s(lambda: matrix @ matrix, clock=clock),
        2 * 9 * maps_NCHW.numel() * channels
        / _fastest_s(lambda: torch.conv2d(maps_NCHW, kernels, padding=1), clock=clock),
    )  # fmt: skip


def _fastest_s(compute: Callable[[], Tensor], *, clock: Callable[[], float]) -> float:
    """Seconds of the fastest of some runs, and of reading one number of the result."""
    seconds: list[float] = []
    while len(seconds) < 8 and sum(seconds) < MEASURE_S:
        began = clock()
        compute().flatten()[0].item()
        seconds.append(clock() - began)
    return max(min(seconds), 1e-9)


@functools.lru_cache(maxsize=64)
def train_flops(model_name: str, *, num_classes: int, frames: ClipFrames) -> float:
    """Operations that one clip needs forward and backward, a multiply-add counted as two.

    Counted on tensors without memory; three times the forward pass where the model has grouped convolutions, whose
    backward pass torch's counter counts wrong.

    Raises:
        UnknownName: there is no such model.
    """
    # Batch norm in evaluation mode needs no second clip and counts the same.
    with torch.device("meta"):
        model = build_clip_model(
            model_name, num_classes=num_classes, num_frames=frames.num_frames, crop_px=frames.crop_px
        ).eval()
        clip_BCTHW = torch.zeros(1, frames.num_channels, frames.num_frames, frames.crop_px, frames.crop_px)
    with FlopCounterMode(display=False) as forward:
        logits = model(clip_BCTHW)
    if any(getattr(module, "groups", 1) != 1 for module in model.modules()):
        return 3.0 * forward.get_total_flops()
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    return float(forward.get_total_flops() + backward.get_total_flops())


def num_parameters(model: nn.Module) -> int:
    """How many numbers the model learns."""
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


@dataclass(slots=True, kw_only=True)
class Meter:
    """Clips and seconds since the last reading; one object goes through a run.

    Only the steps count, not validation and checkpoints. `num_devices` processes share the work.
    """

    flops_per_clip: float
    peak: Peak
    num_devices: int = 1
    num_clips: int = 0
    waited_s: float = 0.0
    spent_s: float = 0.0

    def add(self, *, num_clips: int, waited_s: float, spent_s: float) -> None:
        """Nothing; one more step, which took `spent_s` with the wait for its data."""
        self.num_clips += num_clips
        self.waited_s += waited_s
        self.spent_s += spent_s

    def reading(self) -> dict[str, float]:
        """`clips_per_s`, `data_wait_frac` and `mfu_frac` since the last reading of `reset`."""
        spent_s = max(self.spent_s, 1e-9)
        clips_per_s = self.num_clips / spent_s
        mfu = clips_per_s * self.flops_per_clip / (self.peak.flops_per_s * self.num_devices)
        return {
            "clips_per_s": round(clips_per_s, 3),
            "data_wait_frac": round(min(1.0, self.waited_s / spent_s), 4),
            "mfu_frac": round(mfu, 6),
        }

    def reset(self) -> None:
        """Nothing; the next reading begins here."""
        self.num_clips, self.waited_s, self.spent_s = 0, 0.0, 0.0
