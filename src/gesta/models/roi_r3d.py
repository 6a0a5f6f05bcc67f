"""A small 3-D residual trunk with a head that scores person boxes.

Shapes: B clips, C channels, T frames, H and W pixels; D features, h and w their grid; N boxes, K classes, R the side
of the grid taken from a box. `boxes_N5` = number of the clip in the batch, then x1 y1 x2 y2 as fractions of the clip's
frame, at the instant the clip is centred on.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align


class Residual(nn.Module):
    """Two 3x3x3 convolutions with batch norm and a skip connection; `stride_thw` in the first.

    Source: Tran et al., A Closer Look at Spatiotemporal Convolutions (2018), section 3.2 (R3D's basic block).
    """

    def __init__(self, num_in: int, num_out: int, *, stride_thw: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(num_in, num_out, 3, stride=stride_thw, padding=1, bias=False)
        self.norm1 = nn.BatchNorm3d(num_out)
        self.conv2 = nn.Conv3d(num_out, num_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(num_out)
        self.skip: nn.Module = nn.Identity()
        if num_in != num_out or stride_thw != (1, 1, 1):
            # Averaging before the 1x1x1 convolution keeps what a strided one would drop (He et al. 2019, ResNet-D).
            self.skip = nn.Sequential(
                nn.AvgPool3d(stride_thw, ceil_mode=True),
                nn.Conv3d(num_in, num_out, 1, bias=False),
                nn.BatchNorm3d(num_out),
            )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Features [B, num_out, T / t, H / h, W / w]."""
        y_BCTHW = functional.relu(self.norm1(self.conv1(x_BCTHW)))
        return functional.relu(self.norm2(self.conv2(y_BCTHW)) + self.skip(x_BCTHW))


class R3dTrunk(nn.Module):
    """A clip's features at 1/8 of its height and width and 1/2 of its frames.

    The stem sees each frame beside its difference from the frame before, so that motion is at hand from the first
    layer: with a few hundred clips to learn from, a network does not find it by itself. Time is not strided before
    the last stage, since a clap at 8 frames a second has no frame to spare.

    Source: R3D (Tran et al. 2018) with fewer channels; the differences are ours, after temporal difference networks
    (Wang et al., TDN, 2021, section 3.2).
    """

    def __init__(self, *, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        stem, one, two, three = widths
        self.stem = nn.Conv3d(6, stem, 3, stride=(1, 2, 2), padding=1, bias=False)
        self.norm = nn.BatchNorm3d(stem)
        self.stages = nn.Sequential(
            Residual(stem, one, stride_thw=(1, 2, 2)),
            Residual(one, two, stride_thw=(1, 2, 2)),
            Residual(two, three, stride_thw=(2, 1, 1)),
        )
        self.num_features = three

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Features [B, D, ceil(T / 2), ceil(H / 8), ceil(W / 8)] of RGB clips [B, 3, T, H, W] of standard scale."""
        moved_BCTHW = functional.pad(clip_BCTHW[:, :, 1:] - clip_BCTHW[:, :, :-1], (0, 0, 0, 0, 1, 0))
        x_BCTHW = functional.relu(self.norm(self.stem(torch.cat((clip_BCTHW, moved_BCTHW), dim=1))))
        return self.stages(x_BCTHW)


class RoiHead(nn.Module):
    """Multi-label logits of each box: pooled over time, cut out by RoIAlign, strongest response over the box.

    Time is pooled by mean and by maximum, side by side; the clip's mean features stand beside the box's as context.

    Source: Feichtenhofer et al., SlowFast (2019), section 5 (RoIAlign, spatial max, sigmoid); temporal maximum and
    context as in MMAction2's AVA configurations ("max", "context").
    """

    def __init__(self, *, num_features: int, num_classes: int, grid: int, dropout: float) -> None:
        super().__init__()
        self.grid = grid
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(4 * num_features, num_classes)

    def forward(self, features_BDThw: Tensor, boxes_N5: Tensor) -> Tensor:
        """Logits [N, K] for boxes [N, 5] on features [B, D, T, h, w]."""
        features_BDThw = features_BDThw.float()
        pooled_BDhw = torch.cat((features_BDThw.mean(dim=2), features_BDThw.amax(dim=2)), dim=1)
        height, width = pooled_BDhw.shape[-2:]
        # Fractions of the frame become cells of the feature grid, whose cell i spans [i, i + 1) of the frame's edge.
        cells_N5 = boxes_N5 * boxes_N5.new_tensor((1, width, height, width, height))
        grid_NDRR = roi_align(pooled_BDhw, cells_N5, output_size=self.grid, sampling_ratio=2, aligned=True)
        context_BD = pooled_BDhw.mean(dim=(2, 3))
        joined_ND = torch.cat((grid_NDRR.amax(dim=(2, 3)), context_BD[boxes_N5[:, 0].long()]), dim=1)
        return self.classify(self.dropout(joined_ND))


class RoiR3d(nn.Module):
    """Trunk and head: what each boxed person in a clip does."""

    def __init__(
        self, *, num_classes: int, widths: tuple[int, int, int, int], grid: int = 7, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.trunk = R3dTrunk(widths=widths)
        self.head = RoiHead(num_features=self.trunk.num_features, num_classes=num_classes, grid=grid, dropout=dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.head.classify.weight, std=0.01)
        # Every class starts as unlikely (prior 0.1), or the many negatives rule the first steps.
        # Source: Lin et al., Focal Loss (2017), section 4.1.
        nn.init.constant_(self.head.classify.bias, -2.2)

    def forward(self, clip_BCTHW: Tensor, boxes_N5: Tensor) -> Tensor:
        """Logits [N, K] of `boxes_N5` (clip number, x1 y1 x2 y2 as fractions of the frame) in clips [B, 3, T, H, W].

        Raises:
            ValueError: a tensor has another shape, or a box names a clip that is not in the batch.
        """
        if clip_BCTHW.ndim != 5 or clip_BCTHW.shape[1] != 3:
            raise ValueError(f"clips of shape {tuple(clip_BCTHW.shape)}: want [B, 3, T, H, W]")
        if boxes_N5.ndim != 2 or boxes_N5.shape[1] != 5:
            raise ValueError(f"boxes of shape {tuple(boxes_N5.shape)}: want [N, 5], clip number first")
        if len(boxes_N5) and not 0 <= int(boxes_N5[:, 0].min()) <= int(boxes_N5[:, 0].max()) < len(clip_BCTHW):
            raise ValueError(f"a box names a clip outside 0 to {len(clip_BCTHW) - 1}")
        return cast(Tensor, self.head(self.trunk(clip_BCTHW), boxes_N5))


def roi_r3d_tiny(*, num_classes: int) -> RoiR3d:
    """The smallest RoI model: 6 3-D convolutions of 32 to 64 channels after the stem; learns on a CPU in minutes.

    438,784 parameters and 257 for each class.

    >>> sum(weight.numel() for weight in roi_r3d_tiny(num_classes=10).parameters())
    441354
    """
    return RoiR3d(num_classes=num_classes, widths=(16, 32, 64, 64))
