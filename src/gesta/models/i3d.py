"""Inception-V1 inflated to three dimensions (I3D), for RGB and for optical flow.

Shapes: B clips, C channels, T frames, H and W pixels; t, h, w the grid of a layer; D features; K classes.

Source: Carreira & Zisserman, Quo Vadis, Action Recognition? (2017), figure 3; layer by layer, google-deepmind/
kinetics-i3d, i3d.py at commit 0667e88, whose end points' names are kept. Padding is TensorFlow's SAME throughout
(`gesta.models.same_padding`); batch norm has an offset and no scale, epsilon 0.001, as Sonnet's default there.

12,697,264 parameters with 400 classes, RGB (the papers: 12 M), of which 7,280 are scales fixed at 1, and 12,675,312 for
flow. 111.2 G multiply-adds for a clip of 64 x 224 x 224 and 55.6 G for 32 x 224 x 224, RGB, padding counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gesta.models.clip_shape import check_clip
from gesta.models.dropout import SeededDropout
from gesta.models.recompute import recomputed
from gesta.models.same_padding import Thw, max_pool_same, pad_same
from gesta.schema import UnknownName

NORM_EPSILON = 1e-3
"""Added to a batch norm's variance. Source: Sonnet 1, BatchNorm's default, which DeepMind's i3d.py leaves."""

POOL_THW = (2, 7, 7)
"""Window of the average before the logits. Source: DeepMind's i3d.py, end point Logits."""


@dataclass(frozen=True, slots=True)
class _Conv:
    num_out: int
    kernel: int
    stride: int = 1


@dataclass(frozen=True, slots=True)
class _Pool:
    kernel_thw: Thw
    stride_thw: Thw


@dataclass(frozen=True, slots=True)
class _Mixed:
    """Features of the four branches; a pair is the 1x1x1 unit that narrows and the 3x3x3 unit behind it."""

    point: int
    middle: tuple[int, int]
    small: tuple[int, int]
    pooled: int


_BLOCKS: dict[str, _Conv | _Pool | _Mixed] = {
    "Conv3d_1a_7x7": _Conv(64, 7, stride=2),
    "MaxPool3d_2a_3x3": _Pool((1, 3, 3), (1, 2, 2)),
    "Conv3d_2b_1x1": _Conv(64, 1),
    "Conv3d_2c_3x3": _Conv(192, 3),
    "MaxPool3d_3a_3x3": _Pool((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": _Mixed(64, (96, 128), (16, 32), 32),
    "Mixed_3c": _Mixed(128, (128, 192), (32, 96), 64),
    "MaxPool3d_4a_3x3": _Pool((3, 3, 3), (2, 2, 2)),
    "Mixed_4b": _Mixed(192, (96, 208), (16, 48), 64),
    "Mixed_4c": _Mixed(160, (112, 224), (24, 64), 64),
    "Mixed_4d": _Mixed(128, (128, 256), (24, 64), 64),
    "Mixed_4e": _Mixed(112, (144, 288), (32, 64), 64),
    "Mixed_4f": _Mixed(256, (160, 320), (32, 128), 128),
    "MaxPool3d_5a_2x2": _Pool((2, 2, 2), (2, 2, 2)),
    "Mixed_5b": _Mixed(256, (160, 320), (32, 128), 128),
    "Mixed_5c": _Mixed(384, (192, 384), (48, 128), 128),
}

END_POINTS: tuple[str, ...] = (*_BLOCKS, "Logits", "Predictions")
"""Names of the layers in order, DeepMind's. `Logits` are [B, K], averaged over time; `Predictions` their softmax."""


class PointConv(nn.Conv3d):
    """A convolution of 1x1x1, on a processor as a product of matrices.

    There torch's own leaves its fast path for fewer than 16 clips on one thread: parts of eight clips train 1.7 times
    as fast in this way. Source: torch 2.13, Convolution.cpp, `use_mkldnn`.
    """

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Features [B, num_out, T, H, W]."""
        if x_BCTHW.device.type != "cpu":
            return super().forward(x_BCTHW)
        return functional.linear(x_BCTHW.movedim(1, 4), self.weight.flatten(1), self.bias).movedim(4, 1)


class Unit(nn.Module):
    """A convolution with SAME padding, batch norm with an offset and no scale, ReLU.

    The scale is there, fixed at 1 and not learned, so that weights of the common PyTorch port, which has one, fit.
    """

    def __init__(self, num_in: int, num_out: int, *, kernel: int, stride: int, norm_momentum: float) -> None:
        super().__init__()
        self.kernel_thw: Thw = (kernel, kernel, kernel)
        self.stride_thw: Thw = (stride, stride, stride)
        # With stride 1 an odd kernel's padding is the same on both sides, whatever the size of the input.
        padding = kernel // 2 if stride == 1 else 0
        make = PointConv if kernel == stride == 1 else nn.Conv3d
        self.conv = make(num_in, num_out, kernel, stride=stride, padding=padding, bias=False)
        self.norm = nn.BatchNorm3d(num_out, eps=NORM_EPSILON, momentum=norm_momentum)
        self.norm.weight.requires_grad = False

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Features [B, num_out, ceil(T / stride), ceil(H / stride), ceil(W / stride)], none below 0."""
        if self.stride_thw != (1, 1, 1):
            x_BCTHW = pad_same(x_BCTHW, kernel_thw=self.kernel_thw, stride_thw=self.stride_thw)
        return functional.relu_(self.norm(self.conv(x_BCTHW)))


class MaxPool(nn.Module):
    """Maxima over windows with SAME padding."""

    def __init__(self, kernel_thw: Thw, stride_thw: Thw) -> None:
        super().__init__()
        self.kernel_thw = kernel_thw
        self.stride_thw = stride_thw

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Maxima [B, C, ceil(T / t), ceil(H / h), ceil(W / w)] for a stride of t, h, w."""
        return max_pool_same(x_BCTHW, kernel_thw=self.kernel_thw, stride_thw=self.stride_thw)


class Mixed(nn.Module):
    """Inception's four branches side by side; `branch_1a` feeds `branch_1b`, as DeepMind's Conv3d_0a feeds Conv3d_0b.

    Source: DeepMind's i3d.py, the blocks Mixed_3b to Mixed_5c.
    """

    def __init__(
        self,
        num_in: int,
        *,
        point: int,
        middle: tuple[int, int],
        small: tuple[int, int],
        pooled: int,
        norm_momentum: float,
    ) -> None:
        super().__init__()

        def unit(num_from: int, num_to: int, kernel: int) -> Unit:
            return Unit(num_from, num_to, kernel=kernel, stride=1, norm_momentum=norm_momentum)

        self.branch_0 = unit(num_in, point, 1)
        self.branch_1a = unit(num_in, middle[0], 1)
        self.branch_1b = unit(middle[0], middle[1], 3)
        self.branch_2a = unit(num_in, small[0], 1)
        self.branch_2b = unit(small[0], small[1], 3)
        self.branch_3a = MaxPool((3, 3, 3), (1, 1, 1))
        self.branch_3b = unit(num_in, pooled, 1)
        self.num_out = point + middle[1] + small[1] + pooled

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Features [B, num_out, T, H, W]: the branches' in order."""
        middle = self.branch_1b(self.branch_1a(x_BCTHW))
        small = self.branch_2b(self.branch_2a(x_BCTHW))
        pooled = self.branch_3b(self.branch_3a(x_BCTHW))
        return torch.cat((self.branch_0(x_BCTHW), middle, small, pooled), dim=1)


def _scaled(num_features: int, width: float) -> int:
    # Whole eights keep the channels fit for vector units and tensor cores.
    return num_features if width == 1 else max(8, round(num_features * width / 8) * 8)


class I3dTrunk(nn.Module):
    """I3D from the pixels up to one of its blocks, with no parameter of those behind.

    `blocks` holds them by DeepMind's names. `checkpoint_activations` computes the mixed blocks' activations again in
    the backward pass instead of keeping them. With `differences` the stem sees each frame beside its change from the
    frame before.
    """

    def __init__(
        self,
        *,
        final_end_point: str = "Mixed_4f",
        num_channels: int = 3,
        width: float = 1.0,
        differences: bool = False,
        norm_momentum: float = 0.01,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        if final_end_point not in _BLOCKS:
            raise UnknownName(what="end point of a trunk", name=final_end_point, choices=_BLOCKS)
        self.final_end_point = final_end_point
        self.num_channels = num_channels
        self.differences = differences
        self.checkpoint_activations = checkpoint_activations
        self.blocks = nn.ModuleDict()
        num = 2 * num_channels if differences else num_channels
        for name, spec in _BLOCKS.items():
            if isinstance(spec, _Pool):
                self.blocks[name] = MaxPool(spec.kernel_thw, spec.stride_thw)
            elif isinstance(spec, _Conv):
                num_in, num = num, _scaled(spec.num_out, width)
                self.blocks[name] = Unit(
                    num_in, num, kernel=spec.kernel, stride=spec.stride, norm_momentum=norm_momentum
                )
            else:
                block = Mixed(
                    num,
                    point=_scaled(spec.point, width),
                    middle=(_scaled(spec.middle[0], width), _scaled(spec.middle[1], width)),
                    small=(_scaled(spec.small[0], width), _scaled(spec.small[1], width)),
                    pooled=_scaled(spec.pooled, width),
                    norm_momentum=norm_momentum,
                )
                self.blocks[name], num = block, block.num_out
            if name == final_end_point:
                break
        self.num_features = num
        _start_as_sonnet(self)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Features [B, D, t, h, w] of the last block.

        Raises:
            ValueError: the clip has another shape than [B, num_channels, T, H, W].
        """
        return self.features(clip_BCTHW, end_point=self.final_end_point)

    def features(self, clip_BCTHW: Tensor, *, end_point: str) -> Tensor:
        """Features [B, D, t, h, w] of the block of that name; those behind it do not run.

        Raises:
            ValueError: the clip has another shape than [B, num_channels, T, H, W].
            UnknownName: the trunk has no such block.
        """
        if end_point not in self.blocks:
            raise UnknownName(what="end point", name=end_point, choices=self.blocks.keys())
        x_BDthw = self.seen(clip_BCTHW)
        for name, block in self.blocks.items():
            if self.checkpoint_activations and self.training and isinstance(block, Mixed):
                x_BDthw = recomputed(block, x_BDthw)
            else:
                x_BDthw = block(x_BDthw)
            if name == end_point:
                break
        return x_BDthw

    def seen(self, clip_BCTHW: Tensor) -> Tensor:
        """What the stem sees: the clip [B, C, T, H, W], or [B, 2 C, T, H, W] with the differences behind it.

        Raises:
            ValueError: the clip has another shape than [B, num_channels, T, H, W].
        """
        check_clip(clip_BCTHW, num_channels=self.num_channels, model="i3d")
        if not self.differences:
            return clip_BCTHW
        moved_BCTHW = functional.pad(clip_BCTHW[:, :, 1:] - clip_BCTHW[:, :, :-1], (0, 0, 0, 0, 1, 0))
        return torch.cat((clip_BCTHW, moved_BCTHW), dim=1)


class I3d(nn.Module):
    """I3D whole: logits of a clip of any number of frames and any size.

    The average over 2x7x7 runs with stride 1 and the logits of all its places are averaged: over time as DeepMind's
    program does, over height and width too, where it has one place only (224 pixels give a grid of 7). A grid smaller
    than the window is averaged whole.

    `norm_momentum` is the part of a batch that enters the running averages. Sonnet's default is 0.001, the common
    PyTorch port's 0.01; we take the port's, since at 0.001 a run of a few hundred steps is tested with averages that
    still remember their start.

    `dropout` before the logits is the port's 0.5; DeepMind's program leaves the share to its caller.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        num_channels: int = 3,
        width: float = 1.0,
        differences: bool = False,
        dropout: float = 0.5,
        norm_momentum: float = 0.01,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        self.trunk = I3dTrunk(
            final_end_point="Mixed_5c",
            num_channels=num_channels,
            width=width,
            differences=differences,
            norm_momentum=norm_momentum,
            checkpoint_activations=checkpoint_activations,
        )
        self.dropout = SeededDropout(dropout)
        self.logits = PointConv(self.trunk.num_features, num_classes, 1)
        _start_as_sonnet(self.logits)

    @property
    def checkpoint_activations(self) -> bool:
        """Whether the mixed blocks' activations are computed again in the backward pass instead of kept."""
        return self.trunk.checkpoint_activations

    @checkpoint_activations.setter
    def checkpoint_activations(self, is_on: bool) -> None:
        self.trunk.checkpoint_activations = is_on

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K] of clips [B, num_channels, T, H, W], scaled to -1..1.

        Raises:
            ValueError: the clip has another shape.
        """
        return self._logits(self.trunk(clip_BCTHW))

    def features(self, clip_BCTHW: Tensor, *, end_point: str = "Mixed_4f") -> Tensor:
        """What the layer of that name gives: [B, D, t, h, w], or [B, K] for `Logits` and `Predictions`.

        Raises:
            ValueError: the clip has another shape than [B, num_channels, T, H, W].
            UnknownName: there is no such end point; the message lists them.
        """
        if end_point not in END_POINTS:
            raise UnknownName(what="end point", name=end_point, choices=END_POINTS)
        if end_point in _BLOCKS:
            return self.trunk.features(clip_BCTHW, end_point=end_point)
        logits_BK = self(clip_BCTHW)
        return cast(Tensor, logits_BK if end_point == "Logits" else logits_BK.softmax(dim=1))

    def all_features(self, clip_BCTHW: Tensor) -> dict[str, Tensor]:
        """What every end point gives, by name in order, from one pass: [B, D, t, h, w] each, the last two [B, K].

        Raises:
            ValueError: the clip has another shape than [B, num_channels, T, H, W].
        """
        given: dict[str, Tensor] = {}
        x_BDthw = self.trunk.seen(clip_BCTHW)
        for name, block in self.trunk.blocks.items():
            x_BDthw = given[name] = block(x_BDthw)
        given["Logits"] = self._logits(x_BDthw)
        given["Predictions"] = given["Logits"].softmax(dim=1)
        return given

    def _logits(self, x_BDthw: Tensor) -> Tensor:
        num_frames, height, width = x_BDthw.shape[2:]
        window = (min(POOL_THW[0], num_frames), min(POOL_THW[1], height), min(POOL_THW[2], width))
        pooled_BDthw = functional.avg_pool3d(x_BDthw, window, stride=1)
        return self.logits(self.dropout(pooled_BDthw)).mean(dim=(2, 3, 4))


@torch.no_grad()
def _start_as_sonnet(model: nn.Module) -> None:
    """Give convolutions Sonnet 1's default start: normal within two deviations of 1 / sqrt(fan in), biases 0."""
    for part in model.modules():
        if isinstance(part, nn.Conv3d):
            deviation = 1 / math.sqrt(part.weight[0].numel())
            nn.init.trunc_normal_(part.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def i3d(*, num_classes: int) -> I3d:
    """I3D for RGB clips [B, 3, T, H, W] in -1..1.

    12,287,264 parameters and 1025 for each class.
    """
    return I3d(num_classes=num_classes)


def i3d_flow(*, num_classes: int) -> I3d:
    """I3D for flow clips [B, 2, T, H, W]: dx and dy, 20 pixels a frame to 1.

    Source: DeepMind's README: flow cut at 20 pixels either way and scaled to -1..1.
    """
    return I3d(num_classes=num_classes, num_channels=2)


def i3d_small(*, num_classes: int) -> I3d:
    """I3D of a quarter of the width for small RGB clips, 16x64x64; learns on a CPU in minutes.

    Its stem sees each frame beside its change from the frame before. On 684 clips of 18 rendered motions that brought
    it in 6 passes to 0.49 of the motions told right, where 12 passes without brought 0.25. Its few features drop by a
    fifth, and running averages move by a tenth a step, torch's default, for its runs are short.

    806,528 parameters and 257 for each class; 0.4 G multiply-adds a clip.

    Source: ours; the differences after temporal difference networks (Wang et al., TDN, 2021, section 3.2).
    """
    return I3d(num_classes=num_classes, width=0.25, differences=True, dropout=0.2, norm_momentum=0.1)
