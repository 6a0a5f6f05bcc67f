"""Trunks by name: what turns a clip into maps that heads for persons, or for whole clips, read.

Shapes: B clips, C channels, T frames, H and W pixels; of path p D_p features and T_p frames; h and w the grid; K
classes.

Every difference between the two lineages of SlowOnly and SlowFast is an argument of `TrunkSpec`; `lineage` chooses
what is left None. Source: MMAction2 1.x, configs/detection and configs/recognition/slow{only,fast}; PySlowFast,
configs/AVA and configs/Kinetics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from gesta.models.clip_shape import check_clip
from gesta.models.dropout import SeededDropout
from gesta.models.i3d import I3dTrunk
from gesta.models.non_local import NON_LOCAL, NonLocalPlan
from gesta.models.res_stage import PathPlan
from gesta.models.roi_r3d import R3dTrunk
from gesta.models.slow_only import SlowOnlyTrunk
from gesta.models.slowfast import SlowFastTrunk
from gesta.models.token_trunk import LIBRARY_TRUNKS, library_trunk
from gesta.schema import BadInput, UnknownName

LINEAGES = ("mmaction2", "pyslowfast")
"""Whose network comes out where an argument is left None."""


class Trunk(Protocol):
    """What a trunk is: maps of a clip, one a path, the slow path's first."""

    path_features: tuple[int, ...]
    stride_px: int

    def forward(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """One map a path, [B, D_p, T_p, h, w]."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkSpec:
    """A trunk by name, and its lineage's differences; None = the lineage's own.

    Args:
        name: one of `TRUNKS`.
        lineage: "mmaction2" or "pyslowfast".
        res5_dilation: spacing of the last stage's 3x3 kernels: 1 in MMAction2, 2 in PySlowFast's AVA networks; 1
            wherever that stage halves the grid, in both.
        lateral_norm: batch norm and ReLU behind lateral convolutions: without in MMAction2, with in PySlowFast.
        lateral_kernel: frames that a lateral convolution sees, 5 or 7: 5 in 4x16, 7 in 8x8; PySlowFast's R101 has 5.
        slow_frames: "strided" in MMAction2, "linspace" in PySlowFast (`slow_numbers`).
        res4_temporal_blocks: blocks of res4 with a temporal kernel, one number a path: all in MMAction2, the first 6
            in PySlowFast (of R101's 23, its "R101_50_50").
        non_local: a key of `gesta.models.non_local.NON_LOCAL`.
        non_local_weighing: "softmax" or "dot-product"; None = the named plan's.
        norm_momentum: the part of a batch that enters the running averages; both lineages have 0.1, I3D 0.01.
        norm_eps: added to variances; both lineages have 1e-5; I3D's 0.001 is fixed.
        saves_memory: compute activations again in the backward pass instead of keeping them.
    """

    name: str
    lineage: str = "mmaction2"
    res5_dilation: int | None = None
    lateral_norm: bool | None = None
    lateral_kernel: int | None = None
    slow_frames: str | None = None
    res4_temporal_blocks: tuple[int, ...] | None = None
    non_local: str = "none"
    non_local_weighing: str | None = None
    norm_momentum: float | None = None
    norm_eps: float | None = None
    saves_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkKind:
    """What a name stands for, and the clips that it is usually shown: frames, and how many apart at 30 a second.

    `alpha` is how many frames of the clip the slow path has one of; None = there is no fast path.
    """

    num_frames: int
    frame_stride: int
    num_blocks: tuple[int, ...] = ()
    alpha: int | None = None
    lateral_kernels: Mapping[str, int] | None = None
    is_small: bool = False


_R50 = (3, 4, 6, 3)
_R101 = (3, 4, 23, 3)
_BOTH_5 = {"mmaction2": 5, "pyslowfast": 5}
_BOTH_7 = {"mmaction2": 7, "pyslowfast": 7}

TRUNKS: dict[str, TrunkKind] = {
    "slow_only_r50_4x16": TrunkKind(num_frames=4, frame_stride=16, num_blocks=_R50),
    "slow_only_r50_8x8": TrunkKind(num_frames=8, frame_stride=8, num_blocks=_R50),
    "slow_only_r50_16x4": TrunkKind(num_frames=16, frame_stride=4, num_blocks=_R50),
    "slow_only_r101_8x8": TrunkKind(num_frames=8, frame_stride=8, num_blocks=_R101),
    "slow_only_small": TrunkKind(num_frames=8, frame_stride=4, num_blocks=(1, 1, 1), is_small=True),
    "slowfast_r50_4x16": TrunkKind(
        num_frames=32, frame_stride=2, num_blocks=_R50, alpha=8, lateral_kernels=_BOTH_5
    ),
    "slowfast_r50_8x8": TrunkKind(num_frames=32, frame_stride=2, num_blocks=_R50, alpha=4, lateral_kernels=_BOTH_7),
    "slowfast_r101_8x8": TrunkKind(
        num_frames=32, frame_stride=2, num_blocks=_R101, alpha=4,
        lateral_kernels={"mmaction2": 7, "pyslowfast": 5},
    ),
    "slowfast_small": TrunkKind(
        num_frames=16, frame_stride=2, num_blocks=(1, 1, 1), alpha=4, lateral_kernels=_BOTH_5, is_small=True
    ),
    "i3d": TrunkKind(num_frames=32, frame_stride=2),
    "r3d_small": TrunkKind(num_frames=8, frame_stride=4, is_small=True),
}  # fmt: skip
"""The trunks of this library by name.

The numbers in a name are the slow path's frames and how many apart they are. Source: SlowFast (2019), table 1; the
small ones are ours.
"""


class OnePath(nn.Module):
    """A network that gives one map, as a trunk; `net` holds it."""

    def __init__(self, net: nn.Module, *, num_features: int, stride_px: int) -> None:
        super().__init__()
        self.net = net
        self.path_features: tuple[int, ...] = (num_features,)
        self.stride_px = stride_px

    @property
    def checkpoint_activations(self) -> bool:
        """Whether activations are computed again in the backward pass instead of kept."""
        return bool(getattr(self.net, "checkpoint_activations", False))

    @checkpoint_activations.setter
    def checkpoint_activations(self, is_on: bool) -> None:
        if not hasattr(self.net, "checkpoint_activations"):
            raise BadInput("this trunk cannot compute activations again", mend="Leave saves_memory off")
        setattr(self.net, "checkpoint_activations", is_on)  # noqa: B010 - a property that torch's type does not know

    def forward(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """One map, [B, D, T_p, h, w].

        Raises:
            ValueError: the clips have another shape than [B, 3, T, H, W].
        """
        check_clip(clip_BCTHW, num_channels=3, model="trunk")
        return (self.net(clip_BCTHW),)


def build_trunk(spec: TrunkSpec, *, num_frames: int, crop_px: int, res5_stride: int = 1) -> nn.Module:
    """The trunk with fresh weights from torch's global generator, for clips [B, 3, num_frames, crop_px, crop_px].

    Other lengths and sizes go too, as far as the trunk's `forward` takes them. `res5_stride` is the last stage's of
    SlowOnly and SlowFast: 1 leaves persons a grid of 16 px, 2 is the clip classifiers'.

    Raises:
        UnknownName: there is no such trunk, lineage, choice of slow frames or plan of non-local blocks.
        BadInput: the trunk cannot take clips of that length or size, or an argument does not fit the trunk.
        MissingExtra: the library that has the trunk is not installed.
    """
    if spec.name not in TRUNKS and spec.name not in LIBRARY_TRUNKS:
        raise UnknownName(what="trunk", name=spec.name, choices=(*TRUNKS, *LIBRARY_TRUNKS))
    if min(num_frames, crop_px) < 1:
        raise BadInput(f"a trunk for clips of {num_frames} frames of {crop_px} px", mend="Want at least 1 of each")
    trunk: nn.Module
    if spec.name in LIBRARY_TRUNKS:
        trunk = library_trunk(spec.name, num_frames=num_frames, crop_px=crop_px)
        if spec.saves_memory:
            _save_memory(trunk)
        return trunk
    kind = TRUNKS[spec.name]
    if spec.name == "i3d":
        net = I3dTrunk(
            final_end_point="Mixed_4f", norm_momentum=0.01 if spec.norm_momentum is None else spec.norm_momentum
        )
        trunk = OnePath(net, num_features=net.num_features, stride_px=16)
    elif spec.name == "r3d_small":
        trunk = OnePath(R3dTrunk(stem=16, num_features=48), num_features=48, stride_px=4)
    elif kind.alpha is None:
        plan = _slow_plan(spec, res5_stride=res5_stride)
        trunk = SlowOnlyTrunk(plan, name=spec.name, non_local=_non_local(spec))
    else:
        if num_frames % kind.alpha:
            raise BadInput(
                f"{spec.name} cannot take clips of {num_frames} frames",
                mend=f"Want a multiple of {kind.alpha}: the slow path sees one frame of {kind.alpha}",
            )
        trunk = _slowfast(spec, kind=kind, res5_stride=res5_stride)
    if spec.saves_memory:
        _save_memory(trunk)
    return trunk


def _save_memory(trunk: nn.Module) -> None:
    if not isinstance(getattr(type(trunk), "checkpoint_activations", None), property):
        raise BadInput("this trunk cannot compute activations again", mend="Leave saves_memory off")
    setattr(trunk, "checkpoint_activations", True)  # noqa: B010 - a property that torch's type does not know


def _slowfast(spec: TrunkSpec, *, kind: TrunkKind, res5_stride: int) -> SlowFastTrunk:
    is_theirs = _is_pyslowfast(spec)
    kernels = cast(Mapping[str, int], kind.lateral_kernels)
    return SlowFastTrunk(
        _slow_plan(spec, res5_stride=res5_stride),
        _fast_plan(spec, res5_stride=res5_stride),
        alpha=cast(int, kind.alpha),
        name=spec.name,
        lateral_norm=is_theirs if spec.lateral_norm is None else spec.lateral_norm,
        lateral_kernel=kernels[spec.lineage] if spec.lateral_kernel is None else spec.lateral_kernel,
        slow_frames=spec.slow_frames or ("linspace" if is_theirs else "strided"),
        non_local=_non_local(spec),
    )


def _is_pyslowfast(spec: TrunkSpec) -> bool:
    if spec.lineage not in LINEAGES:
        raise UnknownName(what="lineage", name=spec.lineage, choices=LINEAGES)
    return spec.lineage == "pyslowfast"


def _non_local(spec: TrunkSpec) -> NonLocalPlan:
    if spec.non_local not in NON_LOCAL:
        raise UnknownName(what="plan of non-local blocks", name=spec.non_local, choices=NON_LOCAL)
    plan = NON_LOCAL[spec.non_local]
    return plan if spec.non_local_weighing is None else replace(plan, weighing=spec.non_local_weighing)


def _slow_plan(spec: TrunkSpec, *, res5_stride: int) -> PathPlan:
    kind = TRUNKS[spec.name]
    is_theirs = _is_pyslowfast(spec)
    norm_eps = 1e-5 if spec.norm_eps is None else spec.norm_eps
    norm_momentum = 0.1 if spec.norm_momentum is None else spec.norm_momentum
    if kind.is_small:
        return PathPlan(
            num_blocks=kind.num_blocks, temporal_kernels=(3, 3, 3), temporal_blocks=kind.num_blocks,
            strides_px=(2, 2, 1), dilations_px=(1, 1, 1), num_features=16, stem_kernel_thw=(1, 5, 5),
            pools_stem=False, differences=True, zero_init_last=False, norm_eps=norm_eps,
            norm_momentum=norm_momentum,
        )  # fmt: skip
    dilation = spec.res5_dilation or (2 if is_theirs and res5_stride == 1 else 1)
    return PathPlan(
        num_blocks=kind.num_blocks,
        temporal_kernels=(1, 1, 3, 3),
        temporal_blocks=_temporal_blocks(spec, path=0),
        strides_px=(1, 2, 2, res5_stride),
        dilations_px=(1, 1, 1, dilation),
        norm_eps=norm_eps,
        norm_momentum=norm_momentum,
    )


def _fast_plan(spec: TrunkSpec, *, res5_stride: int) -> PathPlan:
    slow = _slow_plan(spec, res5_stride=res5_stride)
    if TRUNKS[spec.name].is_small:
        return replace(slow, num_features=8, stem_kernel_thw=(3, 5, 5))
    return replace(
        slow,
        temporal_kernels=(3, 3, 3, 3),
        temporal_blocks=_temporal_blocks(spec, path=1),
        num_features=8,
        stem_kernel_thw=(5, 7, 7),
    )


def _temporal_blocks(spec: TrunkSpec, *, path: int) -> tuple[int, ...]:
    first, second, third, last = TRUNKS[spec.name].num_blocks
    if spec.res4_temporal_blocks is not None:
        if path >= len(spec.res4_temporal_blocks):
            raise BadInput(
                f"res4_temporal_blocks has {len(spec.res4_temporal_blocks)} numbers for {spec.name}",
                mend="Want one a path, the slow path's first",
            )
        third = spec.res4_temporal_blocks[path]
    elif _is_pyslowfast(spec):
        third = min(third, 6)
    return first, second, third, last


class ClipClassifier(nn.Module):
    """Logits of whole clips: each path's map averaged, side by side (the slow path's first), dropped out, multiplied.

    Source: PySlowFast, models/head_helper.py, ResNetBasicHead; MMAction2's SlowFastHead puts the fast path first.
    """

    def __init__(self, trunk: nn.Module, *, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.trunk = trunk
        self.dropout = SeededDropout(dropout)
        self.logits = nn.Linear(sum(cast(tuple[int, ...], trunk.path_features)), num_classes)
        # Source: both lineages' FC_INIT_STD / init_std.
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.zeros_(self.logits.bias)

    @property
    def checkpoint_activations(self) -> bool:
        """Whether the trunk's activations are computed again in the backward pass instead of kept."""
        return bool(self.trunk.checkpoint_activations)

    @checkpoint_activations.setter
    def checkpoint_activations(self, is_on: bool) -> None:
        setattr(self.trunk, "checkpoint_activations", is_on)  # noqa: B010 - as above

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K] of clips [B, 3, T, H, W].

        Raises:
            ValueError: the clips have another shape, or a length that the trunk cannot take.
            BadInput: the map is too small for a non-local block's pool.
        """
        pooled = [features.mean(dim=(2, 3, 4)) for features in self.trunk(clip_BCTHW)]
        return cast(Tensor, self.logits(self.dropout(torch.cat(pooled, dim=1))))


def trunk_classifier(spec: TrunkSpec, *, num_classes: int) -> ClipClassifier:
    """The trunk with its last stage halving the grid, as a clip classifier.

    Raises:
        UnknownName: there is no such trunk, lineage, choice of slow frames or plan of non-local blocks.
        BadInput: an argument does not fit the trunk.
    """
    if spec.name not in TRUNKS:
        raise UnknownName(what="trunk", name=spec.name, choices=TRUNKS)
    num_frames = TRUNKS[spec.name].num_frames
    trunk = build_trunk(spec, num_frames=num_frames, crop_px=224, res5_stride=2)
    return ClipClassifier(trunk, num_classes=num_classes, dropout=0.2 if TRUNKS[spec.name].is_small else 0.5)


def _classifier(name: str, *, num_classes: int) -> nn.Module:
    return trunk_classifier(TrunkSpec(name=name), num_classes=num_classes)


TRUNK_CLASSIFIERS: Mapping[str, Callable[..., nn.Module]] = {
    name: partial(_classifier, name) for name in TRUNKS if name != "i3d"
}
"""Constructors of clip classifiers by the trunk's name, each with `num_classes`; `i3d` has one of its own."""
