"""A small person detector that tells, for every cell of a grid, whether a person's centre lies in it.

Shapes: B frames of H by W pixels; h by w cells of STRIDE pixels; C channels; K boxes; 4 = x1 y1 x2 y2.
The five output channels C: 0 centre (logit), 1 2 log of width and height in pixels, 3 4 offset of the centre within
its cell, x and y.

Source: Zhou et al., Objects as Points (2019), sections 3 and 4, with one class and a net of ours that runs at some
hundreds of frames a second on one core.
"""

from __future__ import annotations

import math
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gesta.schema import BadInput

STRIDE = 4
"""Pixels a cell. Source: Objects as Points, section 3, R = 4."""

FORMAT = "gesta-centernet-1"
"""What the checkpoint's key `format` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How a frame becomes the net's input; stored in the checkpoint beside the weights.

    The frame is scaled to `long_side_px`, its colours become (value / 255 - `mean`) / `std`, and zeros fill it up at
    the right and the bottom to whole multiples of `multiple_px`.
    """

    long_side_px: int = 192
    multiple_px: int = 16
    mean: float = 0.45
    std: float = 0.25


def _block(num_in: int, num_out: int, *, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(num_in, num_out, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(num_out), nn.ReLU(inplace=True))


class CenterNet(nn.Module):
    """Frames [B, 3, H, W], normalised, to the five channels [B, 5, H / 4, W / 4]; H and W multiples of 16."""

    def __init__(self, *, width: int = 32) -> None:
        super().__init__()
        half, double, triple = width // 2, width * 2, width * 3
        self.width = width
        self.stem = nn.Sequential(_block(3, half, stride=2), _block(half, width, stride=2), _block(width, width))
        self.down8 = nn.Sequential(_block(width, double, stride=2), _block(double, double))
        self.down16 = nn.Sequential(
            _block(double, triple, stride=2), _block(triple, triple), _block(triple, triple), _block(triple, triple)
        )
        self.side8 = nn.Conv2d(double, double, 1)
        self.side16 = nn.Conv2d(triple, double, 1)
        self.up8 = _block(double, width)
        self.up4 = _block(width, width)
        self.head = nn.Conv2d(width, 5, 1)
        # A first guess of 1 % of cells keeps the many empty ones from drowning the first steps.
        # Source: Lin et al., Focal Loss for Dense Object Detection (2017), section 4.1.
        first = torch.tensor([-math.log(99), math.log(40.0), math.log(40.0), 0.5, 0.5])
        self.head.bias = nn.Parameter(first)

    def forward(self, frames_BCHW: Tensor) -> Tensor:
        """The five channels [B, 5, H / 4, W / 4] of normalised frames [B, 3, H, W]."""
        at4 = self.stem(frames_BCHW)
        at8 = self.down8(at4)
        at16 = self.down16(at8)
        up8 = self.up8(self.side8(at8) + _doubled(self.side16(at16)))
        return self.head(self.up4(at4 + _doubled(up8)))


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


def decode_centers(grid_Chw: Tensor, *, max_boxes: int = 60, min_score: float = 0.05) -> tuple[Tensor, Tensor]:
    """Boxes [K, 4] in pixels of the net's input, and scores [K], best first, of one frame's channels [5, h, w].

    A centre is a cell that no neighbour exceeds. Source: Objects as Points, section 4.
    """
    heat_hw = grid_Chw[0].sigmoid()
    highest = functional.max_pool2d(heat_hw[None, None], 3, stride=1, padding=1)[0, 0]
    peaks = torch.where(heat_hw == highest, heat_hw, torch.zeros(())).flatten()
    scores_K, cells_K = peaks.topk(min(max_boxes, len(peaks)))
    cells_K = cells_K[scores_K >= min_score]
    scores_K = scores_K[: len(cells_K)]
    width = grid_Chw.shape[2]
    _, log_w, log_h, off_x, off_y = grid_Chw.flatten(1)[:, cells_K]
    x, y = (cells_K % width + off_x) * STRIDE, (cells_K // width + off_y) * STRIDE
    half_w, half_h = log_w.clamp(max=9).exp() / 2, log_h.clamp(max=9).exp() / 2
    return torch.stack([x - half_w, y - half_h, x + half_w, y + half_h], dim=1), scores_K


@dataclass(frozen=True, slots=True)
class Targets:
    """What the net should say: heat [B, h, w] in 0..1, and for each centre its frame, cell, log size and offset."""

    heat_Bhw: Tensor
    frame_K: Tensor
    row_K: Tensor
    column_K: Tensor
    values_K4: Tensor


def center_targets(boxes: list[Tensor], *, height: int, width: int) -> Targets:
    """Targets on a grid of `height` by `width` cells for each frame's boxes [K, 4] in pixels of the net's input.

    Each centre is 1, with a bell around it whose deviation is a sixth of its reach, 0.3 of each side.
    Source: Objects as Points, section 3; the paper's radius (from CornerNet) keeps IoU 0.3, ours follows the box's
    shape, since people are much higher than wide.
    """
    heat_Bhw = torch.zeros(len(boxes), height, width)
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    frame, row, column, values = [], [], [], []
    for number, boxes_K4 in enumerate(boxes):
        for x1, y1, x2, y2 in (boxes_K4 / STRIDE).tolist():
            x, y, w, h = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
            at_row, at_column = min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
            sigma_x, sigma_y = max(0.1 * w, 0.5), max(0.1 * h, 0.5)
            far = ((columns - at_column) / sigma_x) ** 2 + ((rows - at_row) / sigma_y) ** 2
            torch.maximum(heat_Bhw[number], torch.exp(-far / 2), out=heat_Bhw[number])
            frame.append(number)
            row.append(at_row)
            column.append(at_column)
            values.append((math.log(w * STRIDE), math.log(h * STRIDE), x - at_column, y - at_row))
    at_B, at_h, at_w = (torch.tensor(each, dtype=torch.long) for each in (frame, row, column))
    return Targets(heat_Bhw, at_B, at_h, at_w, torch.tensor(values).reshape(-1, 4))


def center_loss(grid_BChw: Tensor, targets: Targets) -> Tensor:
    """The training loss, a scalar: focal on the heat, plus L1 on log size and offset at the centres, a centre each.

    Source: Objects as Points, equations 1 to 4; alpha = 2, beta = 4; the size is logarithmic and its weight 1, since
    the paper's 0.1 is for pixels.
    """
    logit, heat = grid_BChw[:, 0].float(), targets.heat_Bhw
    sure = logit.sigmoid()
    is_center = heat == 1
    at_center = functional.logsigmoid(logit) * (1 - sure) ** 2
    elsewhere = functional.logsigmoid(-logit) * sure**2 * (1 - heat) ** 4
    num_centers = max(len(targets.frame_K), 1)
    focal = -torch.where(is_center, at_center, elsewhere).sum() / num_centers
    said_K4 = grid_BChw.permute(0, 2, 3, 1)[targets.frame_K, targets.row_K, targets.column_K, 1:]
    return focal + (said_K4 - targets.values_K4).abs().sum() / num_centers


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
    net = CenterNet(width=value["width"])
    net.load_state_dict(value["state"])
    return net.eval(), Preprocessing(**value["preprocessing"])
