"""One path of a SlowOnly or SlowFast network: a stem and stages of bottlenecks over a clip, time never shortened.

Shapes: B clips, C channels, D features, T frames, H and W pixels; h and w the grid of a stage.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gesta.models.non_local import NON_LOCAL, NonLocal, NonLocalPlan
from gesta.models.recompute import recomputed
from gesta.models.res_units import Bottleneck, ConvNorm
from gesta.schema import BadInput

STAGES = ("res2", "res3", "res4", "res5")
"""Names of the stages behind the stem. Source: SlowFast (2019), table 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathPlan:
    """The sizes of one path.

    Args:
        num_blocks: bottlenecks of each stage; the tuple may be shorter than `STAGES`.
        temporal_kernels: of each stage's first convolutions, 1 or 3.
        temporal_blocks: how many blocks of each stage have that kernel, from the first on; the others have 1.
        strides_px: of each stage's first block.
        dilations_px: of each stage's 3x3 convolutions.
        num_features: of the stem; stage s has `num_features * expansion * 2**s`, and a `expansion`-th of it inside.
        stem_kernel_thw: odd numbers.
        pools_stem: a max pool of 1x3x3 and stride 2 behind the stem.
        differences: the stem sees each frame beside its change from the frame before.
        zero_init_last: the last norm of each block starts with scale 0.
    """

    num_blocks: tuple[int, ...]
    temporal_kernels: tuple[int, ...]
    temporal_blocks: tuple[int, ...]
    strides_px: tuple[int, ...]
    dilations_px: tuple[int, ...]
    num_features: int = 64
    expansion: int = 4
    stem_kernel_thw: tuple[int, int, int] = (1, 7, 7)
    pools_stem: bool = True
    differences: bool = False
    zero_init_last: bool = True
    norm_eps: float = 1e-5
    norm_momentum: float = 0.1

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages there are."""
        return STAGES[: len(self.num_blocks)]

    @property
    def stage_features(self) -> tuple[int, ...]:
        """Features that each stage gives."""
        return tuple(self.num_features * self.expansion * 2**stage for stage in range(len(self.num_blocks)))

    @property
    def stride_px(self) -> int:
        """Pixels of the clip a cell of the last stage."""
        stride = 4 if self.pools_stem else 2
        for each in self.strides_px:
            stride *= each
        return stride


class ResStage(nn.Module):
    """Bottlenecks one behind the other, the first with the stride; non-local blocks behind those in `places`.

    `blocks` and `non_locals` hold them by number. `checkpoint_activations` computes the blocks' activations again in
    the backward pass instead of keeping them.
    """

    def __init__(
        self,
        num_in: int,
        num_inner: int,
        num_out: int,
        *,
        temporal_kernels: tuple[int, ...],
        stride_px: int,
        dilation_px: int,
        non_local: NonLocalPlan = NON_LOCAL["none"],
        places: tuple[int, ...] = (),
        zero_init_last: bool = True,
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        if places and max(places) >= len(temporal_kernels):
            raise BadInput(
                f"a non-local block behind block {max(places)} of a stage of {len(temporal_kernels)}",
                mend="Count blocks from 0, and name places that the trunk has",
            )
        self.checkpoint_activations = False
        self.blocks = nn.ModuleList(
            Bottleneck(
                num_out if number else num_in, num_inner, num_out, temporal_kernel=kernel,
                stride_px=1 if number else stride_px, dilation_px=dilation_px,
                norm_eps=norm_eps, norm_momentum=norm_momentum,
            )
            for number, kernel in enumerate(temporal_kernels)
        )  # fmt: skip
        for block in self.blocks:
            _start(block)
            if zero_init_last:
                cast(Bottleneck, block).c.start_at_zero()
        self.non_locals = nn.ModuleDict(
            {
                str(number): NonLocal(num_out, plan=non_local, norm_eps=norm_eps, norm_momentum=norm_momentum)
                for number in places
            }
        )
        _start(self.non_locals)

    def forward(self, x_BCThw: Tensor) -> Tensor:
        """Features [B, D, T, h, w]; of h and w a cell in every `stride_px`, counted upwards.

        Raises:
            BadInput: the map is too small for a non-local block's pool.
        """
        remember = not (self.checkpoint_activations and self.training)
        for number, block in enumerate(self.blocks):
            x_BCThw = block(x_BCThw) if remember else recomputed(block, x_BCThw)
            if str(number) in self.non_locals:
                gather = self.non_locals[str(number)]
                x_BCThw = gather(x_BCThw) if remember else recomputed(gather, x_BCThw)
        return x_BCThw


class ResPath(nn.Module):
    """A stem and stages, `res2` to the last. `extra_features` enter each stage beside what the stage before gives.

    Convolutions start as He et al. (2015) for ReLU, by fan out, norms with scale 1 but the last of each block with 0.
    `colours_last` lays the clip out so that convolutions take their faster ways (`FactoredConv3d`), whatever its own
    layout is; all that follows keeps it.
    """

    def __init__(
        self,
        plan: PathPlan,
        *,
        num_channels: int = 3,
        non_local: NonLocalPlan = NON_LOCAL["none"],
        extra_features: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.plan = plan
        num_in = 2 * num_channels if plan.differences else num_channels
        self.stem = ConvNorm(
            num_in, plan.num_features, kernel_thw=plan.stem_kernel_thw, stride_thw=(1, 2, 2),
            norm_eps=plan.norm_eps, norm_momentum=plan.norm_momentum,
        )  # fmt: skip
        _start(self.stem)
        num = plan.num_features
        for number, name in enumerate(plan.stages):
            num_out = plan.stage_features[number]
            num_temporal = plan.temporal_blocks[number]
            kernels = tuple(
                plan.temporal_kernels[number] if block < num_temporal else 1 for block in range(plan.num_blocks[number])
            )
            stage = ResStage(
                num + (extra_features[number] if extra_features else 0), num_out // plan.expansion, num_out,
                temporal_kernels=kernels, stride_px=plan.strides_px[number], dilation_px=plan.dilations_px[number],
                non_local=non_local, places=tuple(non_local.places.get(name, ())), zero_init_last=plan.zero_init_last,
                norm_eps=plan.norm_eps, norm_momentum=plan.norm_momentum,
            )  # fmt: skip
            self.add_module(name, stage)
            num = num_out
        self.num_features = num
        self.colours_last = True

    def stages(self) -> Iterator[tuple[str, ResStage]]:
        """The stages by name, in order."""
        for name in self.plan.stages:
            yield name, cast(ResStage, getattr(self, name))

    def begin(self, clip_BCTHW: Tensor) -> Tensor:
        """What the stem and its pool give, [B, D, T, h, w]."""
        if self.plan.differences:
            moved_BCTHW = functional.pad(clip_BCTHW[:, :, 1:] - clip_BCTHW[:, :, :-1], (0, 0, 0, 0, 1, 0))
            clip_BCTHW = torch.cat((clip_BCTHW, moved_BCTHW), dim=1)
        if self.colours_last and not torch.compiler.is_exporting():
            clip_BCTHW = clip_BCTHW.contiguous(memory_format=torch.channels_last_3d)
        x_BDThw = self.stem(clip_BCTHW)
        if self.plan.pools_stem:
            x_BDThw = functional.max_pool3d(x_BDThw, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        return cast(Tensor, x_BDThw)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Features [B, D, T, h, w] of the last stage, without extra features.

        Raises:
            BadInput: the map is too small for a non-local block's pool.
        """
        x_BDThw = self.begin(clip_BCTHW)
        for _, stage in self.stages():
            x_BDThw = stage(x_BDThw)
        return x_BDThw


def _start(part: nn.Module) -> None:
    """Give convolutions their start: He et al. (2015) for ReLU, by fan out; biases 0.

    Source: fvcore's c2_msra_fill and mmengine's kaiming_init, which are the same.
    """
    for module in part.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
