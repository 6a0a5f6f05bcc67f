"""Two ResNet-50, one on single RGB frames and one on stacks of ten flow frames: the Two-Stream net of Kinetics-400.

Shapes: B clips, C channels, T frames, S snapshots of a clip, H and W pixels; K classes.

Source: Kay et al., The Kinetics Human Action Video Dataset (2017), section 4.2; Simonyan & Zisserman, Two-Stream
Convolutional Networks (2014), section 3.1 for the stack (dx and dy of a frame side by side, frame after frame) and
section 2 for the fusion: the two nets' softmax scores are averaged.

24,327,632 and 24,380,944 parameters with 400 classes, together 48,708,576; table 3 says 48 M, cut and not rounded
(0.7 M less). 7.6 and 8.8 G multiply-adds a snapshot of 299 x 299.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from gesta.models.clip_shape import check_clip
from gesta.models.resnet import resnet50_body

FLOW_FRAMES = 10
"""Flow frames of a snapshot. Source: Kay et al., section 4.2."""


class Stream(nn.Module):
    """One ResNet-50 on snapshots of `num_frames` frames of `num_channels`, stacked; a clip's are averaged.

    `checkpoint_activations` computes the ResNet's activations again in the backward pass.
    """

    def __init__(
        self, *, num_classes: int, num_channels: int, num_frames: int, checkpoint_activations: bool = False
    ) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.num_frames = num_frames
        self.body = resnet50_body(num_channels=num_channels * num_frames)
        self.body.checkpoint_activations = checkpoint_activations
        self.logits = nn.Linear(self.body.num_features, num_classes)

    @property
    def checkpoint_activations(self) -> bool:
        """Whether the ResNet's activations are computed again in the backward pass instead of kept."""
        return self.body.checkpoint_activations

    @checkpoint_activations.setter
    def checkpoint_activations(self, is_on: bool) -> None:
        self.body.checkpoint_activations = is_on

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K] of a clip of one snapshot; of several, the log of the mean of their probabilities.

        Raises:
            ValueError: the clips have another number of channels, or T is no multiple of a snapshot's frames.
        """
        logits_BSK = self.snapshot_logits(clip_BCTHW)
        if logits_BSK.shape[1] == 1:
            return logits_BSK[:, 0]
        return logits_BSK.log_softmax(dim=2).logsumexp(dim=1) - math.log(logits_BSK.shape[1])

    def snapshot_logits(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, S, K] of every snapshot of clips [B, C, S x num_frames, H, W], in order.

        Raises:
            ValueError: the clips have another number of channels, or T is no multiple of a snapshot's frames.
        """
        model = "two_stream_rgb" if self.num_channels == 3 else "two_stream_flow"
        check_clip(clip_BCTHW, num_channels=self.num_channels, model=model)
        num_clips, num_frames = len(clip_BCTHW), clip_BCTHW.shape[2]
        if num_frames % self.num_frames:
            raise ValueError(f"{model}: clips of {num_frames} frames, want a multiple of {self.num_frames}")
        # [B, T, C, H, W] lays a snapshot's frames and their channels beside each other in the paper's order.
        frames_BTCHW = clip_BCTHW.transpose(1, 2)
        stacks_NDHW = frames_BTCHW.reshape(-1, self.num_frames * self.num_channels, *clip_BCTHW.shape[3:])
        return cast(Tensor, self.logits(self.body(stacks_NDHW)).unflatten(0, (num_clips, -1)))


class TwoStream(nn.Module):
    """Both streams; they are trained apart, and `rgb` and `flow` take the weights of each."""

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.rgb = two_stream_rgb(num_classes=num_classes)
        self.flow = two_stream_flow(num_classes=num_classes)

    @property
    def checkpoint_activations(self) -> bool:
        """Whether the streams' activations are computed again in the backward pass instead of kept."""
        return self.rgb.checkpoint_activations and self.flow.checkpoint_activations

    @checkpoint_activations.setter
    def checkpoint_activations(self, is_on: bool) -> None:
        self.rgb.checkpoint_activations = self.flow.checkpoint_activations = is_on

    def forward(self, rgb_B3THW: Tensor, flow_B2THW: Tensor) -> Tensor:
        """Log of the mean of the two streams' probabilities, [B, K]; its softmax is that mean.

        Raises:
            ValueError: a clip has another shape than its stream wants, or there are not as many of both.
        """
        if len(rgb_B3THW) != len(flow_B2THW):
            raise ValueError(f"two_stream: {len(rgb_B3THW)} RGB clips and {len(flow_B2THW)} of flow")
        both_2BK = torch.stack((self.rgb(rgb_B3THW), self.flow(flow_B2THW))).log_softmax(dim=2)
        return both_2BK.logsumexp(dim=0) - math.log(2)


def two_stream_rgb(*, num_classes: int) -> Stream:
    """The RGB stream for clips [B, 3, T, H, W] of standard scale, each frame a snapshot.

    23,508,032 parameters and 2049 for each class.
    """
    return Stream(num_classes=num_classes, num_channels=3, num_frames=1)


def two_stream_flow(*, num_classes: int) -> Stream:
    """The flow stream for clips [B, 2, T, H, W], every ten frames a snapshot for a stem of 20 channels.

    23,561,344 parameters and 2049 for each class.
    """
    return Stream(num_classes=num_classes, num_channels=2, num_frames=FLOW_FRAMES)


def two_stream(*, num_classes: int) -> TwoStream:
    """Both streams, `forward(rgb_B3THW, flow_B2THW)`; their probabilities are averaged.

    47,069,376 parameters and 4098 for each class.
    """
    return TwoStream(num_classes=num_classes)
