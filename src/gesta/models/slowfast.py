"""SlowFast: a wide path over few frames beside a narrow one over all of them, which feeds the wide one stage by stage.

Shapes: B clips, D features, T frames, H and W pixels; T_s frames of the slow path; h and w the grid.

Source: Feichtenhofer et al., SlowFast Networks for Video Recognition (2019), table 1 and section 3.3 (lateral
connections, time-strided convolution); built as MMAction2 1.x (models/backbones/resnet3d_slowfast.py) and PySlowFast
(models/video_model_builder.py, SlowFast) build it, which differ in what stands in `TrunkSpec`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gesta.models.clip_shape import check_clip
from gesta.models.non_local import NON_LOCAL, NonLocalPlan
from gesta.models.res_stage import PathPlan, ResPath
from gesta.models.res_units import ConvNorm
from gesta.schema import BadInput, UnknownName

LATERAL_RATIO = 2
"""Features of a lateral connection for each of the fast path's. Source: SlowFast (2019), section 3.3, 2 beta C."""

SLOW_FRAMES = ("strided", "linspace")
"""Which frames the slow path sees: every alpha-th from the first, or as many spread from the first to the last.

Source: MMAction2 1.x, ResNet3dSlowFast.forward (nearest interpolation); PySlowFast, datasets/utils.py,
pack_pathway_output.
"""


def slow_numbers(num_frames: int, *, alpha: int, slow_frames: str = "strided") -> tuple[int, ...]:
    """The numbers of the `num_frames // alpha` frames that the slow path sees.

    Raises:
        UnknownName: `slow_frames` is none of `SLOW_FRAMES`.

    Source: as `SLOW_FRAMES`.

    >>> slow_numbers(32, alpha=8)
    (0, 8, 16, 24)
    >>> slow_numbers(32, alpha=8, slow_frames="linspace")
    (0, 10, 20, 31)
    """
    if slow_frames not in SLOW_FRAMES:
        raise UnknownName(what="choice of slow frames", name=slow_frames, choices=SLOW_FRAMES)
    num_slow = num_frames // alpha
    if slow_frames == "strided" or num_slow == 1:
        return tuple(range(0, num_slow * alpha, alpha))
    return tuple(number * (num_frames - 1) // (num_slow - 1) for number in range(num_slow))


class SlowFastTrunk(nn.Module):
    """Two paths' features; `slow` and `fast` hold the paths, `laterals` what leads from one to the other.

    `laterals` are named after the part of the fast path that they start from: `stem` and all stages but the last. They
    bear batch norm and ReLU where `lateral_norm`, else they are the convolution alone.
    """

    def __init__(
        self,
        slow: PathPlan,
        fast: PathPlan,
        *,
        alpha: int,
        name: str = "slowfast",
        lateral_norm: bool = False,
        lateral_kernel: int = 5,
        slow_frames: str = "strided",
        non_local: NonLocalPlan = NON_LOCAL["none"],
    ) -> None:
        super().__init__()
        slow_numbers(alpha, alpha=alpha, slow_frames=slow_frames)
        if lateral_kernel < 1 or lateral_kernel % 2 == 0:
            raise BadInput(f"a lateral kernel of {lateral_kernel} frames", mend="Want an odd number, as 5 or 7")
        self.name = name
        self.alpha = alpha
        self.slow_frames = slow_frames
        starts = {"stem": fast.num_features} | dict(zip(fast.stages, fast.stage_features, strict=True))
        starts.popitem()
        self.laterals = nn.ModuleDict()
        for start, num in starts.items():
            self.laterals[start] = lateral = ConvNorm(
                num, LATERAL_RATIO * num, kernel_thw=(lateral_kernel, 1, 1), stride_thw=(alpha, 1, 1),
                has_relu=lateral_norm, has_norm=lateral_norm, norm_eps=slow.norm_eps,
                norm_momentum=slow.norm_momentum,
            )  # fmt: skip
            nn.init.kaiming_normal_(lateral.conv.weight, mode="fan_out", nonlinearity="relu")
        extra = tuple(LATERAL_RATIO * num for num in starts.values())
        self.slow = ResPath(slow, non_local=non_local, extra_features=extra)
        self.fast = ResPath(fast)
        self.path_features: tuple[int, ...] = (self.slow.num_features, self.fast.num_features)
        self.stride_px = slow.stride_px

    @property
    def checkpoint_activations(self) -> bool:
        """Whether the blocks' activations are computed again in the backward pass instead of kept."""
        return all(stage.checkpoint_activations for path in (self.slow, self.fast) for _, stage in path.stages())

    @checkpoint_activations.setter
    def checkpoint_activations(self, is_on: bool) -> None:
        for path in (self.slow, self.fast):
            for _, stage in path.stages():
                stage.checkpoint_activations = is_on

    def forward(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """The slow path's map [B, D_s, T / alpha, h, w] and the fast path's [B, D_f, T, h, w].

        Raises:
            ValueError: the clips have another shape than [B, 3, T, H, W], or T is no multiple of alpha.
            BadInput: the map is too small for a non-local block's pool.
        """
        check_clip(clip_BCTHW, num_channels=3, model=self.name)
        num_frames = clip_BCTHW.shape[2]
        if num_frames % self.alpha:
            raise ValueError(f"{self.name}: a clip of {num_frames} frames, want a multiple of {self.alpha}")
        slow = self.slow.begin(self._slow_clip(clip_BCTHW))
        fast = self.fast.begin(clip_BCTHW)
        slow = torch.cat((slow, self.laterals["stem"](fast)), dim=1)
        for (name, slow_stage), (_, fast_stage) in zip(self.slow.stages(), self.fast.stages(), strict=True):
            slow, fast = slow_stage(slow), fast_stage(fast)
            if name in self.laterals:
                slow = torch.cat((slow, self.laterals[name](fast)), dim=1)
        return slow, fast

    def _slow_clip(self, clip_BCTHW: Tensor) -> Tensor:
        if self.slow_frames == "strided":
            return clip_BCTHW[:, :, :: self.alpha]
        numbers = slow_numbers(clip_BCTHW.shape[2], alpha=self.alpha, slow_frames=self.slow_frames)
        return clip_BCTHW.index_select(2, torch.tensor(numbers, device=clip_BCTHW.device))
