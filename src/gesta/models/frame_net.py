"""A net that sees one frame: the yardstick for how much of a task can be told without motion.

Shapes: B clips, T frames, H and W pixels; K classes.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from gesta.models.clip_shape import check_clip
from gesta.models.resnet import resnet18_body


class FrameNet(nn.Module):
    """ResNet-18 without the max pool behind the stem, on the middle frame of a clip, T // 2.

    Source: ours; He et al., Deep Residual Learning (2015), table 1, for small frames.
    """

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.body = resnet18_body(pool_stem=False)
        self.logits = nn.Linear(self.body.num_features, num_classes)

    @property
    def checkpoint_activations(self) -> bool:
        """Whether the ResNet's activations are computed again in the backward pass instead of kept."""
        return self.body.checkpoint_activations

    @checkpoint_activations.setter
    def checkpoint_activations(self, is_on: bool) -> None:
        self.body.checkpoint_activations = is_on

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K] of clips [B, 3, T, H, W]; the other frames change nothing.

        Raises:
            ValueError: the clips have another shape.
        """
        check_clip(clip_BCTHW, num_channels=3, model="frame_r18_small")
        return cast(Tensor, self.logits(self.body(clip_BCTHW[:, :, clip_BCTHW.shape[2] // 2])))


def frame_r18_small(*, num_classes: int) -> FrameNet:
    """A ResNet-18 on the middle frame of clips [B, 3, T, H, W] of about 64 pixels.

    11,176,512 parameters and 513 for each class.
    """
    return FrameNet(num_classes=num_classes)
