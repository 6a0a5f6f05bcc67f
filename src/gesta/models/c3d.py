"""C3D with batch norm after every convolution and fully connected layer, for clips of 16 frames.

Shapes: B clips, C channels, T frames, H and W pixels; D features; K classes.

Source: Kay et al., The Kinetics Human Action Video Dataset (2017), section 4.3, "a small variation of C3D": Tran et
al., Learning Spatiotemporal Features with 3D Convolutional Networks (2015), section 3.2 (8 convolutions of 3x3x3, 5
max pools, 2 fully connected layers of 4096), with batch norm and with a temporal stride of 2 in the first pool.

79,645,520 parameters with 400 classes; table 3 says 79 M, cut and not rounded. 19.8 G multiply-adds a clip. "2 fully
connected layers" counts the two of 4096 and not the one that gives the logits: with the logits as the second of two it
would be 62.9 M. With the temporal stride of 2 the fourth pool leaves one frame, so the fifth, which halves time in the
original, has one frame to pool here.
"""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from gesta.models.clip_shape import check_clip
from gesta.models.dropout import SeededDropout
from gesta.models.recompute import recomputed

_STAGES: tuple[tuple[int, ...], ...] = ((64,), (128,), (256, 256), (512, 512), (512, 512))

FULL = 4096
"""Features of each of the two fully connected layers. Source: Tran et al. 2015, section 3.2."""

NUM_FRAMES = 16
CROP_PX = 112


class _Stage(nn.Module):
    """Convolutions of 3x3x3, each with batch norm and ReLU, then a max pool of 2x2x2 and stride 2.

    A last frame, row or column without a partner is pooled alone: of 7x7 cells the fifth pool makes 4x4, as the
    original's padding does.
    """

    def __init__(self, num_in: int, nums_out: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList()
        self.norms = nn.ModuleList()
        for num_out in nums_out:
            self.convs.append(nn.Conv3d(num_in, num_out, 3, padding=1, bias=False))
            self.norms.append(nn.BatchNorm3d(num_out))
            num_in = num_out

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x_BCTHW = functional.relu_(norm(conv(x_BCTHW)))
        return functional.max_pool3d(x_BCTHW, 2, 2, ceil_mode=True)


class C3dBn(nn.Module):
    """Logits of clips [B, 3, num_frames, crop_px, crop_px]; the fully connected layers tie it to that size.

    Convolutions and fully connected layers have no bias: their batch norm's offset stands for it. `dropout` behind
    each fully connected layer is the original's 0.5 (the Kinetics paper says nothing of it). Weights start as He et
    al. (2015) for ReLU, by fan out; the original's deviations of 0.01 and 0.005 were for a net without batch norm.

    `checkpoint_activations` computes the convolutions' activations again in the backward pass.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        num_frames: int = NUM_FRAMES,
        crop_px: int = CROP_PX,
        width: float = 1.0,
        dropout: float = 0.5,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.crop_px = crop_px
        self.checkpoint_activations = checkpoint_activations
        self.stages = nn.ModuleList()
        num = 3
        for nums_out in _STAGES:
            scaled = tuple(round(num_out * width) for num_out in nums_out)
            self.stages.append(_Stage(num, scaled))
            num = scaled[-1]
        halvings = 2 ** len(_STAGES)
        num_cells = math.ceil(num_frames / halvings) * math.ceil(crop_px / halvings) ** 2
        full = round(FULL * width)
        self.full6 = nn.Linear(num * num_cells, full, bias=False)
        self.norm6 = nn.BatchNorm1d(full)
        self.full7 = nn.Linear(full, full, bias=False)
        self.norm7 = nn.BatchNorm1d(full)
        self.dropout = SeededDropout(dropout)
        self.logits = nn.Linear(full, num_classes)
        for part in self.modules():
            if isinstance(part, nn.Conv3d | nn.Linear):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.logits.weight, std=0.01)
        nn.init.zeros_(self.logits.bias)

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K].

        Raises:
            ValueError: the clips have another shape than [B, 3, num_frames, crop_px, crop_px], or one clip alone is
                given to train on, of which batch norm after a fully connected layer has no spread.
        """
        features_BD = self.features(clip_BCTHW).flatten(1)
        if self.training and len(features_BD) == 1:
            raise ValueError("c3d_bn: one clip to train on, want two or more for batch norm after its full layers")
        full_BD = self.dropout(functional.relu(self.norm6(self.full6(features_BD))))
        full_BD = self.dropout(functional.relu(self.norm7(self.full7(full_BD))))
        return cast(Tensor, self.logits(full_BD))

    def features(self, clip_BCTHW: Tensor) -> Tensor:
        """What the last pool gives, [B, 512, 1, 4, 4] of a clip of 16 frames and 112 pixels.

        Raises:
            ValueError: the clips have another shape than [B, 3, num_frames, crop_px, crop_px].
        """
        check_clip(clip_BCTHW, num_channels=3, model="c3d_bn")
        want = (self.num_frames, self.crop_px, self.crop_px)
        if tuple(clip_BCTHW.shape[2:]) != want:
            raise ValueError(f"c3d_bn: a clip of shape {tuple(clip_BCTHW.shape)}, want T, H, W = {want}")
        x_BCTHW = clip_BCTHW
        for stage in self.stages:
            remember = not (self.checkpoint_activations and self.training)
            x_BCTHW = stage(x_BCTHW) if remember else recomputed(stage, x_BCTHW)
        return x_BCTHW


def c3d_bn(*, num_classes: int) -> C3dBn:
    """C3D with batch norm for RGB clips of 16 frames and 112 x 112 pixels.

    78,006,720 parameters and 4097 for each class.
    """
    return C3dBn(num_classes=num_classes)
