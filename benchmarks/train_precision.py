"""Whether bfloat16 computes what float32 computes, before any speed of it is told.

Known: wrong bfloat16 results of 3-D convolutions with cuDNN 9.10.2 (pytorch issue 163539), slow ones with a bias
(pytorch issue 167420) and in one memory layout (LightX2V issue 860). So every convolution of a network is tried alone,
on its own shapes, in the layout it would run in, and then one whole step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.train_floors import synchronise
from gesta.models import SeededDropout

KERNEL_TOLERANCE = 0.02
"""Largest relative error, |bf16 - fp32| / |fp32| over all values, of one convolution's output and two gradients.

Both see the same bfloat16 numbers. Only roundings to 8 bits remain: 2**-9 of each value at most, 0.002 together.
"""

LOSS_TOLERANCE = 0.02
"""Largest relative difference of one step's loss."""

DRIFT_TOLERANCE = 1.5
"""Largest drift of one step's gradient, over the drift that rounding alone makes.

Rounding alone: float32 arithmetic with every convolution's and product's input, weight and output, and every norm's
output, rounded to bfloat16 on the way forward and its gradient on the way back. In a fresh network this deep, trained
on a small batch, that is no small number, so no fixed tolerance would do.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far a bfloat16 step is from the same step in float32: its loss, its gradient, and what rounding explains."""

    loss: float
    gradient: float
    rounding: float

    def problem(self) -> str | None:
        """Why bfloat16 is refused; None where it is near enough.

        >>> Drift(loss=0.5, gradient=0.1, rounding=0.1).problem()
        'bfloat16 loss is off by 50 %'
        """
        if not self.loss <= LOSS_TOLERANCE:  # a NaN is refused too
            return f"bfloat16 loss is off by {100 * self.loss:.3g} %"
        if not self.gradient <= DRIFT_TOLERANCE * self.rounding + KERNEL_TOLERANCE:
            return f"bfloat16 gradient is off by {100 * self.gradient:.3g} %, {100 * self.rounding:.3g} % from rounding"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One convolution of a network, tried alone."""

    place: str
    error: float
    bfloat16_s: float
    float32_s: float


def relative_error(got: Tensor, want: Tensor) -> float:
    """Norm of the difference over the norm of `want`; NaN or infinite numbers give NaN or infinity."""
    want = want.double()
    return float((got.double() - want).norm() / want.norm().clamp_min(1e-30))


@contextmanager
def exact_float32() -> Iterator[None]:
    """A block in which float32 convolutions and products are not rounded to TF32."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """A block in which the model, else as in training, drops nothing."""
    drops = [part for part in model.modules() if isinstance(part, nn.Dropout | SeededDropout) and part.training]
    for part in drops:
        part.eval()
    try:
        yield
    finally:
        for part in drops:
            part.train()


def one_gradient(
    model: nn.Module, clip_BCTHW: Tensor, labels_B: Tensor, *, precision: str, run: nn.Module | None = None
) -> tuple[float, Tensor]:
    """Loss and the whole gradient, flat, of one training step without dropout; `run` is the model compiled, if so."""
    model.zero_grad(set_to_none=True)
    device = clip_BCTHW.device.type
    with without_dropout(model):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            logits_BK = (run or model)(clip_BCTHW)
            loss = functional.cross_entropy(logits_BK.float(), labels_B)
        loss.backward()
    flat = torch.cat([weight.grad.flatten().float() for weight in model.parameters() if weight.grad is not None])
    model.zero_grad(set_to_none=True)
    return float(loss.detach()), flat


def _rounded(x: Tensor) -> Tensor:
    return x.to(torch.bfloat16).to(x.dtype)


@contextmanager
def rounding_as_bfloat16(model: nn.Module) -> Iterator[None]:
    """A block in which the model computes in float32 numbers that bfloat16 could hold."""
    hooks = []
    weights = [part for part in model.modules() if isinstance(part, nn.modules.conv._ConvNd | nn.Linear)]
    norms = [part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    kept = [part.weight.detach().clone() for part in weights]
    for part in weights:
        part.weight.data = _rounded(part.weight.data)
        hooks.append(part.register_forward_pre_hook(lambda _, inputs: (_rounded(inputs[0]),)))
    for part in (*weights, *norms):
        hooks.append(part.register_forward_hook(lambda _module, _inputs, output: _rounded(output)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for part, weight in zip(weights, kept, strict=True):
            part.weight.data = weight


def step_drift(model: nn.Module, clip_BCTHW: Tensor, labels_B: Tensor) -> Drift:
    """How far a bfloat16 step of this model on these clips is from the float32 one."""
    with exact_float32():
        want = one_gradient(model, clip_BCTHW, labels_B, precision="float32")
        with rounding_as_bfloat16(model):
            rounded = one_gradient(model, clip_BCTHW, labels_B, precision="float32")
    got = one_gradient(model, clip_BCTHW, labels_B, precision="bfloat16")
    return Drift(
        loss=relative_difference(got[0], want[0]),
        gradient=relative_error(got[1], want[1]),
        rounding=relative_error(rounded[1], want[1]),
    )


def relative_difference(got: float, want: float) -> float:
    """|got - want| / |want|."""
    return abs(got - want) / max(abs(want), 1e-30)


def _shapes(model: nn.Module, clip_BCTHW: Tensor) -> dict[str, tuple[nn.Conv3d, Tensor]]:
    """Each convolution once, by the place of the first of its kind, with the input that it saw (shape and layout)."""
    found: dict[Any, tuple[str, nn.Conv3d, Tensor]] = {}
    names = {part: name for name, part in model.named_modules()}

    def keep(part: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        assert isinstance(part, nn.Conv3d)
        key = (*part.weight.shape, part.stride, part.padding, *inputs[0].shape, inputs[0].stride())
        found.setdefault(key, (names[part], part, torch.empty_like(inputs[0])))

    hooks = [part.register_forward_hook(keep) for part in model.modules() if isinstance(part, nn.Conv3d)]
    with torch.no_grad():
        model(clip_BCTHW)
    for hook in hooks:
        hook.remove()
    return {name: (part, seen) for name, part, seen in found.values()}


def _poison(*shapes: Tensor) -> None:
    """Leave numbers that are none in memory that the next tensors of these shapes may be given."""
    for like in shapes:
        torch.full_like(like, math.nan)


def _convolve(part: nn.Conv3d, x_BCTHW: Tensor, weight: Tensor, gradient: Tensor | None) -> tuple[Tensor, ...]:
    """Output and the gradients of input and weight."""
    x_BCTHW, weight = x_BCTHW.detach().requires_grad_(), weight.detach().requires_grad_()
    y_BCTHW = functional.conv3d(x_BCTHW, weight, None, part.stride, part.padding, part.dilation, part.groups)
    y_BCTHW.backward(torch.ones_like(y_BCTHW) if gradient is None else gradient)
    assert x_BCTHW.grad is not None
    assert weight.grad is not None
    return y_BCTHW.detach(), x_BCTHW.grad, weight.grad


def try_kernels(model: nn.Module, clip_BCTHW: Tensor) -> list[Kernel]:
    """Each kind of convolution of the model, forward and backward, in bfloat16 against float32 of the same numbers."""
    device = clip_BCTHW.device.type
    kernels = []
    for place, (part, seen) in _shapes(model, clip_BCTHW).items():
        x_BCTHW = torch.randn_like(seen, dtype=torch.bfloat16)
        weight = torch.randn_like(part.weight, dtype=torch.bfloat16) / math.sqrt(part.weight[0].numel())
        output, spent = {}, {}
        gradient: Tensor | None = None
        for dtype in (torch.bfloat16, torch.float32):
            with exact_float32():
                if gradient is None:
                    gradient = torch.randn_like(_convolve(part, x_BCTHW, weight, None)[0])
                arguments = (x_BCTHW.to(dtype), weight.to(dtype), gradient.to(dtype))
                _poison(*arguments)
                output[dtype] = _convolve(part, *arguments)
                synchronise(device)
                begin = time.perf_counter()
                _convolve(part, *arguments)
                synchronise(device)
                spent[dtype] = time.perf_counter() - begin
        pairs = zip(output[torch.bfloat16], output[torch.float32], strict=True)
        errors = [relative_error(got, want) for got, want in pairs]
        kernels.append(
            Kernel(
                place=place,
                error=math.nan if any(math.isnan(error) for error in errors) else max(errors),
                bfloat16_s=spent[torch.bfloat16],
                float32_s=spent[torch.float32],
            )
        )
    return kernels


def verdict(kernels: list[Kernel]) -> dict[str, Any]:
    """The kernels in one row: how many there are, the worst error, which are wrong, which are slower than float32."""
    wrong = [kernel for kernel in kernels if not kernel.error <= KERNEL_TOLERANCE]
    slow = [kernel for kernel in kernels if kernel.bfloat16_s > kernel.float32_s]
    return {
        "kinds_of_convolution": len(kernels),
        "largest_error": max((kernel.error for kernel in kernels), default=0.0),
        "wrong": ", ".join(f"{kernel.place} ({kernel.error:.2g})" for kernel in wrong) or "none",
        "slower_than_float32": ", ".join(
            f"{kernel.place} ({kernel.bfloat16_s / kernel.float32_s:.2g} x)"
            for kernel in sorted(slow, key=lambda kernel: kernel.float32_s / kernel.bfloat16_s)[:6]
        )
        or "none",
        "num_slower": len(slow),
    }
