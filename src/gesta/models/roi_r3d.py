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

from gesta.models.dropout import SeededDropout


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
            self.skip = nn.Sequential(
                nn.Conv3d(num_in, num_out, 1, stride=stride_thw, bias=False), nn.BatchNorm3d(num_out)
            )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Features [B, num_out, T / t, H / h, W / w]."""
        y_BCTHW = functional.relu_(self.norm1(self.conv1(x_BCTHW)))
        return functional.relu_(self.norm2(self.conv2(y_BCTHW)) + self.skip(x_BCTHW))


class R3dTrunk(nn.Module):
    """A clip's features at a quarter of its height and width, of every frame.

    The stem sees each frame beside its difference from the frame before, so that motion is at hand from the first
    layer: with a few hundred clips to learn from, a network does not find it by itself.

    Source: R3D (Tran et al. 2018), stem and first stage, with fewer channels; the differences are ours, after temporal
    difference networks (Wang et al., TDN, 2021, section 3.2).
    """

    def __init__(self, *, stem: int, num_features: int) -> None:
        super().__init__()
        self.stem = nn.Conv3d(6, stem, 3, stride=(1, 2, 2), padding=1, bias=False)
        self.norm = nn.BatchNorm3d(stem)
        self.stage = Residual(stem, num_features, stride_thw=(1, 2, 2))

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Features [B, D, T, ceil(H / 4), ceil(W / 4)] of RGB clips [B, 3, T, H, W] of standard scale."""
        moved_BCTHW = functional.pad(clip_BCTHW[:, :, 1:] - clip_BCTHW[:, :, :-1], (0, 0, 0, 0, 1, 0))
        x_BCTHW = functional.relu_(self.norm(self.stem(torch.cat((clip_BCTHW, moved_BCTHW), dim=1))))
        return self.stage(x_BCTHW)


class RoiHead(nn.Module):
    """Multi-label logits of each box: its features cut out of every frame by RoIAlign, two stages on them, pooling.

    The later stages stand behind RoIAlign: there each person has one size, whatever the size in the frame, so that
    far fewer examples teach what an arm does. Time is halved between them, not before: a clap at 8 frames a second has
    no frame to spare. Features are pooled over time and space by mean and by maximum, side by side. Boxes are widened
    by `context` of their sides first, for hands that reach out and what they reach for.

    Source: Gu et al., AVA (2018), section 5: RoI pooling after Mixed_4e, the rest of the network on the pooled
    features; Feichtenhofer et al., SlowFast (2019), section 5: RoIAlign, maximum over the box, sigmoid.
    """

    def __init__(
        self,
        *,
        num_features: int,
        widths: tuple[int, int],
        num_classes: int,
        grid: int,
        context: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.context = context
        self.stages = nn.Sequential(
            Residual(num_features, widths[0], stride_thw=(2, 1, 1)),
            Residual(widths[0], widths[1], stride_thw=(1, 2, 2)),
        )
        self.dropout = SeededDropout(dropout)
        self.classify = nn.Linear(2 * widths[1], num_classes)

    def forward(self, features_BDThw: Tensor, boxes_N5: Tensor) -> Tensor:
        """Logits [N, K] for boxes [N, 5] on features [B, D, T, h, w]."""
        if len(boxes_N5) == 0:
            return features_BDThw.new_zeros((0, self.classify.out_features), dtype=torch.float32)
        grid_NDTRR = self.stages(self.cut(features_BDThw, boxes_N5)).float()
        joined_ND = torch.cat((grid_NDTRR.mean(dim=(2, 3, 4)), grid_NDTRR.amax(dim=(2, 3, 4))), dim=1)
        return self.classify(self.dropout(joined_ND))

    def cut(self, features_BDThw: Tensor, boxes_N5: Tensor) -> Tensor:
        """The boxes' features in every frame, [N, D, T, R, R]."""
        num_frames, height, width = features_BDThw.shape[2:]
        # Every frame is one image to RoIAlign, and each box is asked for in each of its clip's frames.
        images = features_BDThw.permute(0, 2, 1, 3, 4).flatten(0, 1).float()
        pads_N4 = self.context * torch.cat((boxes_N5[:, 1:3] - boxes_N5[:, 3:], boxes_N5[:, 3:] - boxes_N5[:, 1:3]), 1)
        cells_N4 = (boxes_N5[:, 1:] + pads_N4) * boxes_N5.new_tensor((width, height, width, height))
        frames = torch.arange(num_frames, device=boxes_N5.device)
        numbers_NT = boxes_N5[:, :1] * num_frames + frames
        rows_M5 = torch.cat((numbers_NT[..., None], cells_N4[:, None].expand(-1, num_frames, -1)), dim=2).flatten(0, 1)
        cut_MDRR = roi_align(images, rows_M5, output_size=self.grid, sampling_ratio=1, aligned=True)
        return cut_MDRR.unflatten(0, (len(boxes_N5), num_frames)).transpose(1, 2)


class RoiR3d(nn.Module):
    """Trunk and head: what each boxed person in a clip does."""

    def __init__(
        self,
        *,
        num_classes: int,
        widths: tuple[int, int, int, int],
        grid: int = 12,
        context: float = 0.1,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        stem, num_features, *head = widths
        self.trunk = R3dTrunk(stem=stem, num_features=num_features)
        self.head = RoiHead(
            num_features=num_features,
            widths=(head[0], head[1]),
            num_classes=num_classes,
            grid=grid,
            context=context,
            dropout=dropout,
        )
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
    """The smallest RoI model: a stem and three residual stages of 24, 48 and 96 channels; learns on a CPU in minutes.

    501,616 parameters and 193 for each class.

    >>> sum(weight.numel() for weight in roi_r3d_tiny(num_classes=10).parameters())
    504186
    """
    return RoiR3d(num_classes=num_classes, widths=(16, 24, 48, 96))
