"""A small person detector that tells, for every cell of a grid, whether a person's centre lies in it.

Shapes: B frames of H by W pixels; h by w cells of STRIDE pixels; C channels; K boxes; 4 = x1 y1 x2 y2.
The five output channels C: 0 centre (logit), 1 to 4 log of the distances in pixels from the cell's middle to the
person's left, top, right and bottom.

Source: Zhou et al., Objects as Points (2019), sections 3 and 4, for the heat of centres; Liu et al., Training-Time-
Friendly Network (2020), for distances learned at all cells near a centre, which learns several times
faster than the paper's size and offset at the centre alone. The net is ours, for some hundreds of frames a second on
one core.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gesta.schema import BadInput

STRIDE = 8
"""Pixels a cell. Source: ours; Objects as Points has 4, which is dearer and in our first tries found fewer."""

BELL_SHARE = 0.13
"""Deviation of a centre's bell, as a part of each side of its box. Source: ours; Training-Time-Friendly Network's
alpha = 0.54 gives 0.09."""

NEAR = 0.3
"""Cells where the bell is higher learn the box's sides too. Source: ours."""

FORMAT = "gesta-centernet-1"
"""What the checkpoint's key `format` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a frame becomes the net's input; stored in the checkpoint beside the weights.

    The frame is scaled to `long_side_px`, its colours become (value / 255 - `mean`) / `std`, and zeros fill it up at
    the right and the bottom to whole multiples of `multiple_px`.
    """

    long_side_px: int = 192
    multiple_px: int = 32
    mean: float = 0.45
    std: float = 0.25


def _block(num_in: int, num_out: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(num_in, num_out, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(num_out), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    def __init__(self, num_channels: int, *, dilation: int) -> None:
        super().__init__()
        self.block = _block(num_channels, num_channels, dilation=dilation)

    def forward(self, features_BChw: Tensor) -> Tensor:
        return features_BChw + self.block(features_BChw)


class CenterNet(nn.Module):
    """Frames [B, 3, H, W], normalised, to the five channels [B, 5, H / 8, W / 8]; H and W multiples of 32."""

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        half, wide, widest = width // 2, width * 3 // 2, width * 2
        self.width = width
        # Convolving whole pixels costs more in memory traffic than all that follows.
        self.stem = nn.Sequential(nn.PixelUnshuffle(4), _block(48, half))
        self.down8 = nn.Sequential(_block(half, width, stride=2), _block(width, width))
        self.down16 = nn.Sequential(_block(width, wide, stride=2), _block(wide, wide))
        self.down32 = nn.Sequential(_block(wide, widest, stride=2), _block(widest, widest))
        self.side32 = nn.Conv2d(widest, wide, 1)
        self.side16 = nn.Conv2d(wide, width, 1)
        self.side8 = nn.Conv2d(width, width, 1)
        # Dilated, so that a cell in the middle of a person sees the hands and feet.
        self.body = nn.Sequential(*(_Residual(width, dilation=dilation) for dilation in (1, 2, 4)))
        self.heat = nn.Conv2d(width, 1, 1)
        self.sides = nn.Conv2d(width, 4, 1)
        for layer in (self.heat, self.sides):
            nn.init.normal_(layer.weight, std=0.01)
        # A first guess of 1 % of cells keeps the many empty ones from drowning the first steps.
        # Source: Lin et al., Focal Loss for Dense Object Detection (2017), section 4.1.
        self.heat.bias = nn.Parameter(torch.tensor([-math.log(99)]))
        self.sides.bias = nn.Parameter(torch.tensor([18.0, 36.0, 18.0, 36.0]).log())

    def forward(self, frames_BCHW: Tensor) -> Tensor:
        """The five channels [B, 5, H / 8, W / 8] of normalised frames [B, 3, H, W]."""
        at8 = self.down8(self.stem(frames_BCHW))
        at16 = self.down16(at8)
        at16 = at16 + _doubled(self.side32(self.down32(at16)))
        seen = self.body(self.side8(at8) + _doubled(self.side16(at16)))
        return torch.cat([self.heat(seen), self.sides(seen)], dim=1)


def _doubled(features_BChw: Tensor) -> Tensor:
    return functional.interpolate(features_BChw, scale_factor=2.0, mode="nearest")


def normalise(frames_BHWC: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Net input float [B, 3, H', W'] of uint8 frames [B, H, W, 3] that are scaled already: centred and filled up."""
    frames_BCHW = frames_BHWC.permute(0, 3, 1, 2).float().div_(255 * preprocessing.std)
    frames_BCHW.sub_(preprocessing.mean / preprocessing.std)
    height, width = frames_BCHW.shape[2:]
    multiple = preprocessing.multiple_px
    filled = functional.pad(frames_BCHW, (0, -width % multiple, 0, -height % multiple))
    return filled.contiguous(memory_format=torch.channels_last)


def scaled_size(height_px: int, width_px: int, preprocessing: Preprocessing) -> tuple[int, int]:
    """Height and width to which a frame is scaled before `normalise`.

    >>> scaled_size(720, 1280, Preprocessing(long_side_px=192))
    (108, 192)
    """
    scale = preprocessing.long_side_px / max(height_px, width_px)
    return max(round(height_px * scale), 1), max(round(width_px * scale), 1)


def boxes_of_cells(grid_BChw: Tensor) -> Tensor:
    """The box that each cell tells of, [B, h, w, 4], in pixels of the net's input, from the channels [B, 5, h, w]."""
    x_w, y_h = _middles(grid_BChw.shape[3]), _middles(grid_BChw.shape[2])[:, None]
    # Limits that no box of a frame reaches keep exp() finite in the first steps.
    left, top, right, bottom = grid_BChw[:, 1:].clamp(-3, 6).exp().unbind(dim=1)
    return torch.stack([x_w - left, y_h - top, x_w + right, y_h + bottom], dim=3)


def _middles(num_cells: int) -> Tensor:
    return (torch.arange(num_cells) + 0.5) * STRIDE


def decode_centers(grid_BChw: Tensor, *, min_score: float = 0.05) -> list[tuple[Tensor, Tensor]]:
    """Each frame's boxes [K, 4] in pixels of the net's input and scores [K], from the channels [B, 5, h, w].

    A centre is a cell that no neighbour exceeds. Source: Objects as Points, section 4.
    """
    heat_Bhw = grid_BChw[:, 0].sigmoid()
    highest_Bhw = functional.max_pool2d(heat_Bhw[:, None], 3, stride=1, padding=1)[:, 0]
    is_center_Bhw = (heat_Bhw == highest_Bhw) & (heat_Bhw >= min_score)
    boxes_Bhw4 = boxes_of_cells(grid_BChw)
    return [(boxes_Bhw4[b][is_center], heat_Bhw[b][is_center]) for b, is_center in enumerate(is_center_Bhw)]


@dataclass(frozen=True, slots=True)
class Targets:
    """What the net should say: heat [B, h, w] in 0..1, 1 at centres; boxes [B, h, w, 4] with a weight [B, h, w]."""

    heat_Bhw: Tensor
    boxes_Bhw4: Tensor
    weights_Bhw: Tensor
    num_boxes: int


def center_targets(boxes: Sequence[Tensor], *, height: int, width: int) -> Targets:
    """Targets on a grid of `height` by `width` cells for each frame's boxes [K, 4] in pixels of the net's input.

    A bell stands at each centre; where bells overlap the higher counts for the heat, the smaller box for the sides.
    The weights of one box's cells sum to 1, or to less where a smaller box took some.

    Source: Training-Time-Friendly Network.
    """
    heat_Bhw, weights_Bhw = torch.zeros(len(boxes), height, width), torch.zeros(len(boxes), height, width)
    boxes_Bhw4 = torch.zeros(len(boxes), height, width, 4)
    x_w, y_h = _middles(width), _middles(height)[:, None]
    for frame, boxes_K4 in enumerate(boxes):
        sizes_K2 = boxes_K4[:, 2:] - boxes_K4[:, :2]
        for number in sizes_K2.prod(dim=1).argsort(descending=True, stable=True).tolist():
            x1, y1, x2, y2 = boxes_K4[number].tolist()
            row = min(max(int((y1 + y2) / 2 / STRIDE), 0), height - 1)
            column = min(max(int((x1 + x2) / 2 / STRIDE), 0), width - 1)
            wide, high = (max(BELL_SHARE * side, 0.35 * STRIDE) for side in (x2 - x1, y2 - y1))
            bell_hw = torch.exp(-(((x_w - x_w[column]) / wide) ** 2 + ((y_h - y_h[row]) / high) ** 2) / 2)
            heat_Bhw[frame] = torch.maximum(heat_Bhw[frame], bell_hw)
            near_hw = bell_hw > NEAR
            boxes_Bhw4[frame][near_hw] = boxes_K4[number]
            weights_Bhw[frame][near_hw] = bell_hw[near_hw] / bell_hw[near_hw].sum()
    return Targets(heat_Bhw, boxes_Bhw4, weights_Bhw, sum(len(boxes_K4) for boxes_K4 in boxes))


SIDES_WEIGHT = 3.0
"""Weight of the sides' loss. Source: ours; Training-Time-Friendly Network has 5."""


def center_loss(grid_BChw: Tensor, targets: Targets) -> Tensor:
    """The training loss, a scalar, of the channels [B, 5, h, w]: focal on the heat, generalised IoU near centres.

    Both are sums over the frames, divided by the number of people.

    Source: Objects as Points, equation 1, alpha = 2, beta = 4; Rezatofighi et al., Generalized Intersection over Union
    (2019), algorithm 1.
    """
    logit_Bhw, heat_Bhw = grid_BChw[:, 0], targets.heat_Bhw
    sure_Bhw = logit_Bhw.sigmoid()
    at_center = functional.logsigmoid(logit_Bhw) * (1 - sure_Bhw) ** 2
    elsewhere = functional.logsigmoid(-logit_Bhw) * sure_Bhw**2 * (1 - heat_Bhw) ** 4
    focal = -torch.where(heat_Bhw == 1, at_center, elsewhere).sum()
    is_near = targets.weights_Bhw > 0
    overlap_N = generalised_iou(boxes_of_cells(grid_BChw)[is_near], targets.boxes_Bhw4[is_near])
    sides = ((1 - overlap_N) * targets.weights_Bhw[is_near]).sum()
    return (focal + SIDES_WEIGHT * sides) / max(targets.num_boxes, 1)


def generalised_iou(a_N4: Tensor, b_N4: Tensor) -> Tensor:
    """Generalised IoU [N], -1 to 1, of boxes with an area, pair by pair.

    >>> generalised_iou(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[1.0, 0, 3, 1]]))
    tensor([0.])
    """
    shared_N = (torch.minimum(a_N4[:, 2:], b_N4[:, 2:]) - torch.maximum(a_N4[:, :2], b_N4[:, :2])).clamp(min=0).prod(1)
    union_N = (a_N4[:, 2:] - a_N4[:, :2]).prod(1) + (b_N4[:, 2:] - b_N4[:, :2]).prod(1) - shared_N
    hull_N = (torch.maximum(a_N4[:, 2:], b_N4[:, 2:]) - torch.minimum(a_N4[:, :2], b_N4[:, :2])).prod(1)
    return shared_N / union_N - (hull_N - union_N) / hull_N


def checkpoint_of(net: CenterNet, preprocessing: Preprocessing, *, made_by: dict[str, Any]) -> dict[str, Any]:
    """What `torch.save` writes: weights, width, preprocessing and where it came from; plain values and tensors."""
    return {
        "format": FORMAT,
        "width": net.width,
        "preprocessing": asdict(preprocessing),
        "made_by": made_by,
        "state": net.state_dict(),
    }


def load_centernet(path: Path) -> tuple[CenterNet, Preprocessing]:
    """The net, ready to detect, and its preprocessing, from a checkpoint of `gesta train-detector`.

    Raises:
        BadInput: the file is not such a checkpoint. Nothing in the file is run (`weights_only`).
    """
    mend = "Make one with: gesta train-detector WORLD FILE"
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise BadInput("cannot be read as a checkpoint", where=path, mend=mend) from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise BadInput(f"is no checkpoint of format {FORMAT!r}", where=path, mend=mend)
    with torch.random.fork_rng(devices=[]):  # the first weights, thrown away at once, must not cost chance
        net = CenterNet(width=value["width"])
    net.load_state_dict(value["state"])
    return net.eval(), Preprocessing(**value["preprocessing"])
