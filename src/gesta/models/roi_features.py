"""Features of person boxes cut out of a trunk's maps by RoIAlign, in the order of either lineage.

Shapes: B clips, P paths, D_p features of a path, D their sum, T_p instants, h and w cells of a map; N boxes, R the side
of the grid taken from a box. `maps` = one tensor [B, D_p, T_p, h, w] a path, the slow path first. `boxes_N5` = number
of the clip in the batch, then x1 y1 x2 y2 as fractions of the clip that the trunk was shown. `cells_hw` = height and
width of that clip in cells, its pixels divided by the trunk's stride: a map can be larger, where the trunk rounds up.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align


def over_time(x_BDThw: Tensor, *, how: str) -> Tensor:
    """The "mean" or "max" over the instants of `x_BDThw` [B, D, T, h, w]: [B, D, h, w].

    Of several equal maxima one alone gets the gradient, as in both references.

    Source: MMAction2, SingleRoIExtractor3D, `temporal_pool_mode`.
    """
    return x_BDThw.mean(dim=2) if how == "mean" else x_BDThw.max(dim=2).values


def over_cells(x_NDRR: Tensor, *, how: str) -> Tensor:
    """The "mean" or "max" over the cells of `x_NDRR` [N, D, R, R]: [N, D]."""
    cells_NDL = x_NDRR.flatten(2)
    return cells_NDL.mean(dim=2) if how == "mean" else cells_NDL.max(dim=2).values


def joined_over_time(maps: Sequence[Tensor], *, how: str) -> Tensor:
    """One map [B, D, h, w] of all paths: brought to the same size by nearest neighbours, pooled over time, joined.

    `maps` are [B, D_p, T_p, h, w]. The size is the longest path's T and the first path's h and w. Copies of instants
    change neither a maximum nor, where all are copied as often, a mean: there nothing is copied.

    Source: MMAction2, SingleRoIExtractor3D.forward.
    """
    longest = max(x_BDThw.shape[2] for x_BDThw in maps)
    flat = []
    for x_BDThw in maps:
        num_frames = x_BDThw.shape[2] if how == "max" or longest % x_BDThw.shape[2] == 0 else longest
        size = (num_frames, *maps[0].shape[3:])
        if tuple(x_BDThw.shape[2:]) != size:
            x_BDThw = functional.interpolate(x_BDThw, size)
        flat.append(over_time(x_BDThw, how=how))
    return torch.cat(flat, dim=1)


def cut_boxes(
    x_BDhw: Tensor, boxes_N5: Tensor, *, cells_hw: tuple[float, float], grid: int, sampling_ratio: int, aligned: bool
) -> Tensor:
    """The boxes' features, [N, D, R, R], taken from maps [B, D, h, w] by RoIAlign.

    Computed in float32 where the maps are of half precision: cells are wider apart than half precision's steps.
    `boxes_N5` as at the head of this file; `sampling_ratio` 0 = as many samples a cell as the box is larger than the
    grid.

    Source: He et al., Mask R-CNN (2017), section 3; `aligned` by detectron2 (half a cell less).
    """
    if x_BDhw.dtype in (torch.float16, torch.bfloat16):
        x_BDhw = x_BDhw.float()
    height, width = cells_hw
    boxes = boxes_N5.to(x_BDhw.dtype)
    clips, x1, y1, x2, y2 = boxes.unbind(dim=1)
    rows_N5 = torch.stack((clips, x1 * width, y1 * height, x2 * width, y2 * height), dim=1)
    return roi_align(x_BDhw, rows_N5, output_size=grid, sampling_ratio=sampling_ratio, aligned=aligned)


def around_boxes(x_BDhw: Tensor, boxes_N5: Tensor, *, grid: int) -> Tensor:
    """The whole map [B, D, h, w] of each box's clip, averaged to the grid of a box: [N, D, R, R].

    Source: MMAction2, SingleRoIExtractor3D, `with_global`.
    """
    pooled_BDRR = functional.adaptive_avg_pool2d(x_BDhw.float() if x_BDhw.dtype != torch.float64 else x_BDhw, grid)
    return pooled_BDRR[boxes_N5[:, 0].long()]


def box_grids(
    maps: Sequence[Tensor],
    boxes_N5: Tensor,
    *,
    cells_hw: tuple[float, float],
    order: str,
    temporal: str,
    grid: int,
    sampling_ratio: int,
    aligned: bool,
    context: bool,
) -> Tensor:
    """Each box's features, [N, D, R, R], all paths side by side; with `context` [N, 2 D, R, R], its clip's behind.

    `order` "mmaction2" joins the paths of `maps` [B, D_p, T_p, h, w] and then cuts the `boxes_N5`; "pyslowfast" cuts
    each path by itself. The results differ where the paths' sizes differ and for a mean over uneven copies of time.

    Source: MMAction2, SingleRoIExtractor3D.forward; PySlowFast, ResNetRoIHead.forward.
    """
    flat = (
        [joined_over_time(maps, how=temporal)]
        if order == "mmaction2"
        else [over_time(x_BDThw, how=temporal) for x_BDThw in maps]
    )
    parts = []
    for x_BDhw in flat:
        scale_h, scale_w = (x_BDhw.shape[i + 2] / maps[0].shape[i + 3] for i in range(2))
        parts.append(
            cut_boxes(
                x_BDhw,
                boxes_N5,
                cells_hw=(cells_hw[0] * scale_h, cells_hw[1] * scale_w),
                grid=grid,
                sampling_ratio=sampling_ratio,
                aligned=aligned,
            )
        )
    if context:
        parts += [around_boxes(x_BDhw, boxes_N5, grid=grid) for x_BDhw in flat]
    return torch.cat(parts, dim=1)
