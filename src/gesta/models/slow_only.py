"""SlowOnly: a residual network over few frames, with temporal kernels in its last two stages alone.

Shapes: B clips, D features, T frames, H and W pixels; h and w the grid.

Source: Feichtenhofer et al., SlowFast Networks for Video Recognition (2019), table 1, the slow pathway alone; built as
MMAction2 1.x (models/backbones/resnet3d_slowonly.py) and PySlowFast (models/video_model_builder.py, ResNet with arch
"slow") build it, which differ in what stands in `TrunkSpec`.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from gesta.models.clip_shape import check_clip
from gesta.models.non_local import NON_LOCAL, NonLocalPlan
from gesta.models.res_stage import PathPlan, ResPath


class SlowOnlyTrunk(nn.Module):
    """One path's features of every frame that is shown; `slow` holds the path."""

    def __init__(self, plan: PathPlan, *, name: str = "slow_only", non_local: NonLocalPlan = NON_LOCAL["none"]) -> None:
        super().__init__()
        self.name = name
        self.slow = ResPath(plan, non_local=non_local)
        self.path_features: tuple[int, ...] = (self.slow.num_features,)
        self.stride_px = plan.stride_px

    @property
    def checkpoint_activations(self) -> bool:
        """Whether the blocks' activations are computed again in the backward pass instead of kept."""
        return all(stage.checkpoint_activations for _, stage in self.slow.stages())

    @checkpoint_activations.setter
    def checkpoint_activations(self, is_on: bool) -> None:
        for _, stage in self.slow.stages():
            stage.checkpoint_activations = is_on

    def forward(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """One map, [B, D, T, h, w], of RGB clips [B, 3, T, H, W] of any number of frames and any size.

        Raises:
            ValueError: the clips have another shape.
            BadInput: the map is too small for a non-local block's pool.
        """
        check_clip(clip_BCTHW, num_channels=3, model=self.name)
        return (cast(Tensor, self.slow(clip_BCTHW)),)
