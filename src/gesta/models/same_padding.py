"""TensorFlow's SAME padding, which depends on the size of the input and can be one longer behind than in front.

Shapes: B clips, C channels, T frames, H and W pixels; thw = a value for time, one for height and one for width.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

Thw = tuple[int, int, int]


def same_pads(size: int, *, kernel: int, stride: int) -> tuple[int, int]:
    """Padding in front and behind with which `size` values give ceil(size / stride) windows.

    The whole padding is what the last window lacks; the odd one goes behind.

    Source: TensorFlow 1.x, "Notes on padding convention" of the tf.nn page.

    >>> same_pads(224, kernel=7, stride=2), same_pads(225, kernel=7, stride=2)
    ((2, 3), (3, 3))
    """
    num_windows = -(-size // stride)
    whole = max((num_windows - 1) * stride + kernel - size, 0)
    return whole // 2, whole - whole // 2


def pad_same(clip_BCTHW: Tensor, *, kernel_thw: Thw, stride_thw: Thw) -> Tensor:
    """The clip with zeros around it, so that a convolution without padding gives what SAME gives in TensorFlow."""
    pads: list[int] = []
    for size, kernel, stride in zip(clip_BCTHW.shape[:1:-1], kernel_thw[::-1], stride_thw[::-1], strict=True):
        pads.extend(same_pads(size, kernel=kernel, stride=stride))
    return functional.pad(clip_BCTHW, pads)


def max_pool_same(clip_BCTHW: Tensor, *, kernel_thw: Thw, stride_thw: Thw) -> Tensor:
    """Maxima [B, C, ceil(T / t), ceil(H / h), ceil(W / w)] over windows in which padding never wins.

    Padding in front is torch's own (minus infinity, without a copy), and `ceil_mode` lets the last window hang over.
    That is SAME wherever the stride is above 1 or the kernel is odd.

    Raises:
        ValueError: an even kernel with stride 1, for which that does not hold.
    """
    pads = []
    for size, kernel, stride in zip(clip_BCTHW.shape[2:], kernel_thw, stride_thw, strict=True):
        if stride == 1 and kernel % 2 == 0:
            raise ValueError(f"a window of {kernel} with stride 1: want an odd window, or a longer stride")
        pads.append(same_pads(size, kernel=kernel, stride=stride)[0])
    return functional.max_pool3d(clip_BCTHW, kernel_thw, stride_thw, padding=tuple(pads), ceil_mode=True)
