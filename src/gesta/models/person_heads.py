"""Heads that say what each boxed person does, on any trunk: what they are made of, and their modules.

Shapes: B clips, P paths, D_p features of a path, D their sum, T_p instants, h and w cells; N boxes, R the side of the
grid taken from a box; K classes. `maps`, `boxes_N5` and `cells_hw` as in gesta.models.roi_features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gesta.models.action_transformer import ActionTransformer, ActionTransformerSpec
from gesta.models.dropout import SeededDropout
from gesta.models.feature_bank import BankPool, BankReader, FeatureBankSpec, build_bank_reader
from gesta.models.roi_features import box_grids, over_cells
from gesta.schema import BadInput, UnknownName

KINDS = ("linear", "two-layer", "action-transformer")
ORDERS = ("mmaction2", "pyslowfast")
POOLS = ("mean", "max")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonHead:
    """How a person's features are taken from the trunk's maps and classified; part of a recipe.

    Args:
        kind: "linear" (one layer), "two-layer" (one of `num_hidden` features with ReLU before it) or
            "action-transformer" (see `ActionTransformerSpec`; a linear layer behind).
        grid: R of RoIAlign: 8 in MMAction2, 7 in PySlowFast.
        temporal: "mean" or "max" over a clip's instants.
        spatial: "mean" or "max" over a box's cells.
        order: "mmaction2": paths joined, then RoIAlign, dropout on the cells, pooling. "pyslowfast": RoIAlign on each
            path, pooling, paths joined, dropout. New layers start as that lineage's do.
        sampling_ratio: samples of a RoIAlign cell along each side; 0 = by the size of the box.
        aligned: RoIAlign with the half-cell shift; False only for models of the first Detectron.
        context: the clip's whole map beside the box's, so that the head sees the other persons.
        num_hidden: of the two-layer head; None = as many as go in.
        dropout: share of features dropped in training.
        transformer: of the Action Transformer; None = its defaults.
        bank: a long-term feature bank beside the box's features; None = none.
        prior: probability that every class starts with; None = even odds, as both lineages have it. A small one
            (Lin et al., Focal Loss (2017), section 4.1) spares short runs their first steps.
    Source: facts of MMAction2, SingleRoIExtractor3D and BBoxHeadAVA, and of PySlowFast, ResNetRoIHead.
    """

    kind: str = "linear"
    grid: int = 8
    temporal: str = "mean"
    spatial: str = "max"
    order: str = "mmaction2"
    sampling_ratio: int = 0
    aligned: bool = True
    context: bool = False
    num_hidden: int | None = None
    dropout: float = 0.5
    transformer: ActionTransformerSpec | None = None
    bank: FeatureBankSpec | None = None
    prior: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be built.

        Raises:
            UnknownName: no such kind, order or pooling.
            BadInput: a number outside its range, or two settings that exclude each other.
        """
        for what, name, choices in (
            ("kind of person head", self.kind, KINDS),
            ("order of a person head", self.order, ORDERS),
            ("temporal pooling", self.temporal, POOLS),
            ("spatial pooling", self.spatial, POOLS),
        ):
            if name not in choices:
                raise UnknownName(what=what, name=name, choices=choices)
        if self.grid < 1 or self.sampling_ratio < 0 or (self.num_hidden is not None and self.num_hidden < 1):
            raise BadInput(
                f"a person head with grid={self.grid}, sampling_ratio={self.sampling_ratio} and "
                f"num_hidden={self.num_hidden}",
                mend="Give a grid and hidden features from 1 on, and samples from 0 on",
            )
        if not 0 <= self.dropout < 1:
            raise BadInput(f"dropout of a person head is {self.dropout}", mend="Give 0 to below 1")
        if self.prior is not None and not 0 < self.prior < 1:
            raise BadInput(f"prior of a person head is {self.prior}", mend="Give a probability between 0 and 1")
        is_transformer = self.kind == "action-transformer"
        if is_transformer and self.context:
            raise BadInput("an Action Transformer sees the whole clip already", mend="Leave out context")
        if self.transformer is not None and not is_transformer:
            raise BadInput(f"a {self.kind} head has no transformer", mend="Give kind='action-transformer'")
        if self.num_hidden is not None and self.kind != "two-layer":
            raise BadInput(f"a {self.kind} head has no hidden layer", mend="Give kind='two-layer'")


class PersonRoiHead(nn.Module):
    """Multi-label logits of each box.

    Its layers: `hidden` (two-layer only) and `classify`; `transformer` and `bank` where the spec has them.
    """

    def __init__(self, spec: PersonHead, *, path_features: Sequence[int], num_classes: int) -> None:
        super().__init__()
        self.spec = spec
        num_trunk = sum(path_features)
        self.dropout = SeededDropout(spec.dropout)
        self.transformer: ActionTransformer | None = None
        self.bank: BankReader | BankPool | None = None
        self.hidden: nn.Linear | None = None
        num = num_trunk * (2 if spec.context else 1)
        if spec.kind == "action-transformer":
            self.transformer = ActionTransformer(
                spec.transformer or ActionTransformerSpec(),
                num_features=num_trunk,
                grid=spec.grid,
                temporal=spec.temporal,
                sampling_ratio=spec.sampling_ratio,
                aligned=spec.aligned,
            )
            num = self.transformer.num_out
        self.num_box_features = num
        if spec.bank is not None:
            self.bank = build_bank_reader(spec.bank, num_features=num)
            num += self.bank.num_out
        if spec.kind == "two-layer":
            self.hidden = nn.Linear(num, spec.num_hidden or num)
            num = self.hidden.out_features
        self.classify = nn.Linear(num, num_classes)
        for layer in (self.hidden, self.classify):
            if layer is not None:
                start_layer(layer, order=spec.order)
        if spec.prior is not None:
            nn.init.constant_(self.classify.bias, math.log(spec.prior / (1 - spec.prior)))

    def forward(
        self,
        maps: Sequence[Tensor],
        boxes_N5: Tensor,
        *,
        cells_hw: tuple[float, float],
        bank_BLD: Tensor | None = None,
    ) -> Tensor:
        """Logits [N, K] of `boxes_N5` [N, 5] on `maps` [B, D_p, T_p, h, w]; `bank_BLD` [B, L, D], None = nothing."""
        # MMAction2 drops cells before they are pooled: what one cell shows its neighbour shows too.
        drops_cells = self.spec.order == "mmaction2" and self.transformer is None and self.bank is None
        x_ND = self._pooled(maps, boxes_N5, cells_hw=cells_hw, drops_cells=drops_cells)
        if self.bank is not None:
            x_ND = torch.cat((x_ND, self.bank(x_ND, bank_BLD, boxes_N5[:, 0].long())), dim=1)
        if not drops_cells:
            x_ND = self.dropout(x_ND)
        if self.hidden is not None:
            x_ND = torch.relu(self.hidden(x_ND))
        logits_NK = self.classify(x_ND)
        return logits_NK if logits_NK.dtype == torch.float64 else logits_NK.float()

    def features(self, maps: Sequence[Tensor], boxes_N5: Tensor, *, cells_hw: tuple[float, float]) -> Tensor:
        """Each box's own features, [N, num_box_features], before bank, dropout and layers: what a bank stores.

        `maps` [B, D_p, T_p, h, w] and `boxes_N5` [N, 5] as for `forward`.

        Source: MMAction2, LFBInferHead: RoI features pooled over time and cells.
        """
        return self._pooled(maps, boxes_N5, cells_hw=cells_hw, drops_cells=False)

    def _pooled(
        self, maps: Sequence[Tensor], boxes_N5: Tensor, *, cells_hw: tuple[float, float], drops_cells: bool
    ) -> Tensor:
        if self.transformer is not None:
            return self.transformer(maps, boxes_N5, cells_hw=cells_hw)
        spec = self.spec
        x_NDRR = box_grids(
            maps,
            boxes_N5,
            cells_hw=cells_hw,
            order=spec.order,
            temporal=spec.temporal,
            grid=spec.grid,
            sampling_ratio=spec.sampling_ratio,
            aligned=spec.aligned,
            context=spec.context,
        )
        return over_cells(self.dropout(x_NDRR) if drops_cells else x_NDRR, how=spec.spatial)


class ClipHead(nn.Module):
    """Logits of whole clips, for learning from their labels beside the persons': global mean, dropout, linear."""

    def __init__(self, *, path_features: Sequence[int], num_classes: int, dropout: float, order: str) -> None:
        super().__init__()
        self.dropout = SeededDropout(dropout)
        self.classify = nn.Linear(sum(path_features), num_classes)
        start_layer(self.classify, order=order)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Logits [B, C] of `maps` [B, D_p, T_p, h, w]."""
        pooled_BD = torch.cat([x_BDThw.mean(dim=(2, 3, 4)) for x_BDThw in maps], dim=1)
        logits_BC = self.classify(self.dropout(pooled_BD))
        return logits_BC if logits_BC.dtype == torch.float64 else logits_BC.float()


def start_layer(layer: nn.Linear, *, order: str) -> None:
    """Draw a new layer's weights as the lineage does, from torch's global generator; its bias is 0.

    Source: MMAction2, BBoxHeadAVA.init_weights (Xavier, normal); PySlowFast, weight_init_helper with FC_INIT_STD 0.01.
    """
    if order == "mmaction2":
        nn.init.xavier_normal_(layer.weight)
    else:
        nn.init.normal_(layer.weight, std=0.01)
    nn.init.zeros_(layer.bias)
