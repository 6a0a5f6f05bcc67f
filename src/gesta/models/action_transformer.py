"""The Action Transformer: a person's box asks the clip's whole grid of features what bears on what the person does.

Shapes: B clips, D trunk features, T instants, h and w cells, L = T h w of them; N boxes, R the side of the grid taken
from a box; d features of the transformer, P = 16 of a position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from gesta.models.dropout import SeededDropout
from gesta.models.roi_features import cut_boxes, over_cells, over_time
from gesta.schema import BadInput, UnknownName

QUERIES = ("mean", "max", "high-resolution")
POSITIONS = ("centre", "box", "none")
NUM_POSITION = 16
"""Eight features of the instant and eight of the place. Source: VideoGLUE, ActionTransformerHead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionTransformerSpec:
    """Layers, heads and width of the transformer, what it asks with and how it knows places.

    `query`: the "mean" of the box's features, as the AVA-Kinetics paper found best, their "max", as VideoGLUE does, or
    "high-resolution": each cell narrowed to `num_cell_features`, all of them side by side, as the original does.
    `position`: of a cell and instant from the clip's "centre", or, ours, of a cell from the "box" that asks, or "none".
    `num_ffn` None = `num_hidden`.

    Source: Girdhar et al., Video Action Transformer Network (2019), the head (128 features, 3 layers); Li et al.,
    AVA-Kinetics (2020), section 3.1; VideoGLUE, ActionTransformerHead. `dropout` is ours.
    """

    num_hidden: int = 128
    num_layers: int = 3
    num_heads: int = 2
    num_ffn: int | None = None
    dropout: float = 0.1
    query: str = "mean"
    num_cell_features: int = 32
    position: str = "centre"

    def __post_init__(self) -> None:
        """Refuse what cannot be built.

        Raises:
            UnknownName: no such query, or no such position.
            BadInput: a number outside its range.
        """
        for what, name, choices in (("query", self.query, QUERIES), ("position", self.position, POSITIONS)):
            if name not in choices:
                raise UnknownName(what=f"{what} of an Action Transformer", name=name, choices=choices)
        if min(self.num_hidden, self.num_layers, self.num_heads, self.num_cell_features) < 1 or (self.num_ffn or 1) < 1:
            raise BadInput("an Action Transformer of no features, layers or heads", mend="Give numbers from 1 on")
        if self.num_hidden % self.num_heads:
            raise BadInput(
                f"{self.num_hidden} features cannot be shared among {self.num_heads} heads",
                mend="Give a num_hidden that num_heads divides",
            )
        if not 0 <= self.dropout < 1:
            raise BadInput(f"dropout of an Action Transformer is {self.dropout}", mend="Give 0 to below 1")


class PlaceCode(nn.Module):
    """Sixteen features of where a cell lies, learned from how far it is off in time, down and right.

    Source: VideoGLUE, ActionTransformerHead: 1 -> 4 -> 8 for time, 2 -> 4 -> 8 for space, ReLU between. There offsets
    are in cells; here half a clip or frame is 1, so that another size of clip means the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, NUM_POSITION // 2))
        self.space = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, NUM_POSITION // 2))

    def forward(self, offsets_L3: Tensor) -> Tensor:
        """Features [..., L, 16] of offsets [..., L, 3]: time, down, right."""
        return torch.cat((self.time(offsets_L3[..., :1]), self.space(offsets_L3[..., 1:])), dim=-1)


class AttentionLayer(nn.Module):
    """One query a box asks the memory: attention, residual, norm; a two-layer net, residual, norm.

    Source: Girdhar et al. (2019), the transformer unit of the Action Transformer head.
    """

    def __init__(self, *, num_hidden: int, num_heads: int, num_ffn: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(num_hidden, num_hidden)
        self.key = nn.Linear(num_hidden, num_hidden)
        self.value = nn.Linear(num_hidden, num_hidden)
        self.norm_asked = nn.LayerNorm(num_hidden)
        self.net = nn.Sequential(nn.Linear(num_hidden, num_ffn), nn.GELU(), nn.Linear(num_ffn, num_hidden))
        self.norm_out = nn.LayerNorm(num_hidden)
        self.dropout = SeededDropout(dropout)

    def forward(self, query_Nd: Tensor, memory_Ld: Tensor, clips_N: Tensor | None) -> Tensor:
        """The queries [N, d] after they asked the memory: [B, L, d] and each box's clip, or [N, L, d] and None."""
        query = self.query(query_Nd)[:, None]
        key, value = self.key(memory_Ld), self.value(memory_Ld)
        if clips_N is not None:
            key, value = key[clips_N], value[clips_N]
        found = functional.scaled_dot_product_attention(self._heads(query), self._heads(key), self._heads(value))
        asked_Nd = self.norm_asked(query_Nd + self.dropout(found.transpose(1, 2).flatten(1)))
        return self.norm_out(asked_Nd + self.dropout(self.net(asked_Nd)))

    def _heads(self, x_NLd: Tensor) -> Tensor:
        return x_NLd.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


class ActionTransformer(nn.Module):
    """Features [N, d] of each box: a query from its own features, keys and values from its clip's un-pooled grid."""

    def __init__(
        self,
        spec: ActionTransformerSpec,
        *,
        num_features: int,
        grid: int,
        temporal: str,
        sampling_ratio: int,
        aligned: bool,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.grid = grid
        self.temporal = temporal
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned
        self.num_out = spec.num_hidden
        num_position = 0 if spec.position == "none" else NUM_POSITION
        self.place = PlaceCode() if num_position else None
        self.reduce = nn.Linear(num_features, spec.num_hidden)
        self.reduce_place = nn.Linear(num_position, spec.num_hidden, bias=False) if num_position else None
        num_asking = num_features + (NUM_POSITION if spec.position == "centre" else 0)
        self.cell = None
        if spec.query == "high-resolution":
            self.cell = nn.Conv2d(num_asking, spec.num_cell_features, 1)
            num_asking = grid * grid * spec.num_cell_features
        self.ask = nn.Linear(num_asking, spec.num_hidden)
        self.layers = nn.ModuleList(
            AttentionLayer(
                num_hidden=spec.num_hidden,
                num_heads=spec.num_heads,
                num_ffn=spec.num_ffn or spec.num_hidden,
                dropout=spec.dropout,
            )
            for _ in range(spec.num_layers)
        )

    def forward(self, maps: Sequence[Tensor], boxes_N5: Tensor, *, cells_hw: tuple[float, float]) -> Tensor:
        """Features [N, d] of `boxes_N5` [N, 5] on `maps` [B, D_p, T_p, h, w], slow path first."""
        grid_BDThw = one_grid(maps)
        if grid_BDThw.dtype in (torch.float16, torch.bfloat16) and not torch.is_autocast_enabled(
            grid_BDThw.device.type
        ):
            grid_BDThw = grid_BDThw.float()
        offsets_L3 = centre_offsets(grid_BDThw)
        clips_N: Tensor | None = boxes_N5[:, 0].long()
        memory = self.reduce(grid_BDThw.flatten(2).transpose(1, 2))
        query_Nd = self._query(grid_BDThw, offsets_L3, boxes_N5, cells_hw=cells_hw)
        if self.place is not None and self.reduce_place is not None:
            if self.spec.position == "box":
                offsets_NL3 = offsets_L3 - _box_offsets(boxes_N5, grid_BDThw, cells_hw=cells_hw)[:, None]
                memory, clips_N = memory[clips_N] + self.reduce_place(self.place(offsets_NL3)), None
            else:
                memory = memory + self.reduce_place(self.place(offsets_L3))
        for layer in self.layers:
            query_Nd = layer(query_Nd, memory, clips_N)
        return query_Nd

    def _query(
        self, grid_BDThw: Tensor, offsets_L3: Tensor, boxes_N5: Tensor, *, cells_hw: tuple[float, float]
    ) -> Tensor:
        flat_BDhw = over_time(grid_BDThw, how=self.temporal)
        if self.spec.position == "centre" and self.place is not None:
            placed_ThwP = self.place(offsets_L3).unflatten(0, grid_BDThw.shape[2:])
            placed_Phw = placed_ThwP.mean(dim=0).permute(2, 0, 1).to(flat_BDhw.dtype)
            flat_BDhw = torch.cat((flat_BDhw, placed_Phw.expand(len(flat_BDhw), -1, -1, -1)), dim=1)
        cut_NDRR = cut_boxes(
            flat_BDhw,
            boxes_N5,
            cells_hw=cells_hw,
            grid=self.grid,
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
        )
        if self.cell is not None:
            return self.ask(self.cell(cut_NDRR).flatten(1))
        return self.ask(over_cells(cut_NDRR, how=self.spec.query))


def one_grid(maps: Sequence[Tensor]) -> Tensor:
    """All paths on the first path's grid, [B, D, T, h, w]: a faster path's instants averaged.

    `maps` are [B, D_p, T_p, h, w]. Source: ours; no Action Transformer on two paths is published. Averaging keeps the
    memory as short as the slow path's.
    """
    first = maps[0]
    joined = [first]
    for x_BDThw in maps[1:]:
        if x_BDThw.shape[2] % first.shape[2] == 0:
            x_BDThw = x_BDThw.unflatten(2, (first.shape[2], -1)).mean(dim=3)
        if x_BDThw.shape[2:] != first.shape[2:]:
            x_BDThw = functional.interpolate(x_BDThw, first.shape[2:])
        joined.append(x_BDThw)
    return torch.cat(joined, dim=1)


def centre_offsets(grid_BDThw: Tensor) -> Tensor:
    """How far each cell of a grid [B, D, T, h, w] is from the middle: [L, 3], time, down, right; half a side is 1."""
    kind = torch.float64 if grid_BDThw.dtype == torch.float64 else torch.float32
    axes = [
        (2 * torch.arange(length, device=grid_BDThw.device, dtype=kind) + 1 - length) / length
        for length in grid_BDThw.shape[2:]
    ]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 2)


def _box_offsets(boxes_N5: Tensor, grid_BDThw: Tensor, *, cells_hw: tuple[float, float]) -> Tensor:
    # A map that was rounded up is a little larger than the frame: the box's middle counts in the map's halves.
    height, width = grid_BDThw.shape[3:]
    _, x1, y1, x2, y2 = boxes_N5.unbind(dim=1)
    down, right = (y1 + y2) * (cells_hw[0] / height) - 1, (x1 + x2) * (cells_hw[1] / width) - 1
    return torch.stack((torch.zeros_like(down), down, right), dim=1)
