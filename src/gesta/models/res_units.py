"""The units that residual paths are made of: a convolution, its batch norm and ReLU, and a bottleneck of three.

Shapes: B clips, C and D features, T frames, H and W cells.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

Thw = tuple[int, int, int]


class FactoredConv3d(nn.Conv3d):
    """`nn.Conv3d`, computed in two dimensions where its kernel reaches over time alone, over space alone or no further.

    With colours last in memory a clip is a pile of pictures, [B T, C, H, W], and also one picture a clip, [B, C, T,
    H W], without a copy; a kernel of 1x1x1 is a product of matrices. There are faster ways to compute those: on one
    thread of a processor a 3x1x1 convolution of 64 to 32 features takes a fifth to a tenth of the time (measured by us,
    torch 2.13). With other layouts, in an export, and where `is_factored` is off, it is torch's own.
    """

    is_factored = True

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Features [B, D, T, H, W], as `nn.Conv3d` gives them but for rounding."""
        is_last = x_BCTHW.is_contiguous(memory_format=torch.channels_last_3d)
        if not self.is_factored or not is_last or torch.compiler.is_exporting():
            return super().forward(x_BCTHW)
        depth, height, width = self.kernel_size
        by_time, by_row, by_column = self.stride
        if depth == by_time == 1:
            return self._over_space(x_BCTHW)
        if height == width == by_row == by_column == 1:
            return self._over_time(x_BCTHW)
        return super().forward(x_BCTHW)

    def _over_space(self, x_BCTHW: Tensor) -> Tensor:
        x_BTHWC = x_BCTHW.permute(0, 2, 3, 4, 1)
        if self.kernel_size == self.stride == (1, 1, 1):
            return functional.linear(x_BTHWC, self.weight.flatten(1), self.bias).permute(0, 4, 1, 2, 3)
        pictures = functional.conv2d(
            x_BTHWC.flatten(0, 1).permute(0, 3, 1, 2),
            self.weight.squeeze(2),
            self.bias,
            self.stride[1:],
            cast(Thw, self.padding)[1:],
            self.dilation[1:],
        )
        return pictures.permute(0, 2, 3, 1).unflatten(0, x_BTHWC.shape[:2]).permute(0, 4, 1, 2, 3)

    def _over_time(self, x_BCTHW: Tensor) -> Tensor:
        x_BTHWC = x_BCTHW.permute(0, 2, 3, 4, 1)
        rows = functional.conv2d(
            x_BTHWC.flatten(2, 3).permute(0, 3, 1, 2),
            self.weight.squeeze(-1),
            self.bias,
            (self.stride[0], 1),
            (cast(Thw, self.padding)[0], 0),
            (self.dilation[0], 1),
        )
        return rows.permute(0, 2, 3, 1).unflatten(2, x_BTHWC.shape[2:4]).permute(0, 4, 1, 2, 3)


class ConvNorm(nn.Module):
    """A convolution, batch norm, and ReLU where `has_relu`; padded so that stride 1 keeps the size.

    `norm` is an `nn.Identity` once it was folded into the convolution (`fold_norms`).
    """

    def __init__(
        self,
        num_in: int,
        num_out: int,
        *,
        kernel_thw: Thw,
        stride_thw: Thw = (1, 1, 1),
        dilation_px: int = 1,
        has_relu: bool = True,
        has_bias: bool = False,
        has_norm: bool = True,
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        depth, height, width = kernel_thw
        self.has_relu = has_relu
        self.conv = FactoredConv3d(
            num_in,
            num_out,
            kernel_thw,
            stride=stride_thw,
            padding=(depth // 2, height // 2 * dilation_px, width // 2 * dilation_px),
            dilation=(1, dilation_px, dilation_px),
            bias=has_bias,
        )
        self.norm: nn.Module = (
            nn.BatchNorm3d(num_out, eps=norm_eps, momentum=norm_momentum) if has_norm else nn.Identity()
        )

    def start_at_zero(self) -> None:
        """Nothing; the norm's scale becomes 0, so that what the unit stands in begins without it.

        Source: Goyal et al., Accurate, Large Minibatch SGD (2017), section 5.1.
        """
        if isinstance(self.norm, nn.BatchNorm3d):
            nn.init.zeros_(self.norm.weight)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Features [B, num_out, ceil(T / t), ceil(H / h), ceil(W / w)] for a stride of t, h, w."""
        x_BDTHW = self.norm(self.conv(x_BCTHW))
        return functional.relu_(x_BDTHW) if self.has_relu else x_BDTHW


class Bottleneck(nn.Module):
    """1x1 (or 3x1x1) to few features, 1x3x3 there, 1x1 to many, and a way past them; ReLU on the sum.

    Source: He et al., Deep Residual Learning (2015), figure 5, the stride in the 3x3 convolution; Feichtenhofer et
    al., SlowFast (2019), table 1, for the temporal kernel in the first.
    """

    def __init__(
        self,
        num_in: int,
        num_inner: int,
        num_out: int,
        *,
        temporal_kernel: int,
        stride_px: int = 1,
        dilation_px: int = 1,
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.a = ConvNorm(
            num_in, num_inner, kernel_thw=(temporal_kernel, 1, 1), norm_eps=norm_eps, norm_momentum=norm_momentum
        )
        self.b = ConvNorm(
            num_inner, num_inner, kernel_thw=(1, 3, 3), stride_thw=(1, stride_px, stride_px), dilation_px=dilation_px,
            norm_eps=norm_eps, norm_momentum=norm_momentum,
        )  # fmt: skip
        self.c = ConvNorm(
            num_inner, num_out, kernel_thw=(1, 1, 1), has_relu=False, norm_eps=norm_eps, norm_momentum=norm_momentum
        )
        self.skip: nn.Module = nn.Identity()
        if num_in != num_out or stride_px != 1:
            self.skip = ConvNorm(
                num_in, num_out, kernel_thw=(1, 1, 1), stride_thw=(1, stride_px, stride_px), has_relu=False,
                norm_eps=norm_eps, norm_momentum=norm_momentum,
            )  # fmt: skip

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Features [B, num_out, T, ceil(H / stride_px), ceil(W / stride_px)], none below 0."""
        return functional.relu_(self.c(self.b(self.a(x_BCTHW))) + self.skip(x_BCTHW))
