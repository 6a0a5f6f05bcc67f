"""A trunk and a head in one: what each boxed person in a clip does.

Shapes: B clips, T frames, H and W px; N boxes, K classes of persons, C classes of clips; a bank's L features of D
numbers. `boxes_N5` = number of the clip in the batch, then x1 y1 x2 y2 as fractions of the clip that is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from gesta.models.person_heads import ClipHead, PersonHead, PersonRoiHead
from gesta.models.trunks import TrunkSpec, build_trunk
from gesta.schema import BadInput


class PersonModel(nn.Module):
    """A trunk and its heads; `trunk`, `head` and, for multi-task, `clip_head`.

    A trunk is any module with `path_features` (features of each path) and `stride_px` (pixels from one cell of its
    maps to the next) that turns clips into a tuple of maps, or into one map.
    """

    def __init__(self, trunk: nn.Module, head: PersonHead, *, num_classes: int, num_clip_classes: int = 0) -> None:
        super().__init__()
        if num_classes < 1 or num_clip_classes < 0:
            raise BadInput(
                f"a person model of {num_classes} classes and {num_clip_classes} of clips",
                mend="Give at least one class",
            )
        features = tuple(cast(Sequence[int], trunk.path_features))
        self.trunk = trunk
        self.stride_px = int(cast(Any, trunk.stride_px))
        self.num_classes = num_classes
        self.head = PersonRoiHead(head, path_features=features, num_classes=num_classes)
        self.clip_head = (
            ClipHead(path_features=features, num_classes=num_clip_classes, dropout=head.dropout, order=head.order)
            if num_clip_classes
            else None
        )

    def forward(self, clip_BCTHW: Tensor, boxes_N5: Tensor, bank_BLD: Tensor | None = None) -> Tensor:
        """Logits [N, K] of `boxes_N5` [N, 5] in clips [B, 3, T, H, W]; N may be 0.

        `bank_BLD` [B, L, D]: the clips' long-term features, for a head with a bank; None = an empty bank.

        Raises:
            ValueError: a tensor has another shape, or a box (on the CPU) names a clip that is not in the batch.
        """
        return self.both(clip_BCTHW, boxes_N5, bank_BLD)[0]

    def both(
        self, clip_BCTHW: Tensor, boxes_N5: Tensor, bank_BLD: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits [N, K] of the boxes and [B, C] of the clips; None where the model has no head for clips.

        Takes clips [B, 3, T, H, W], `boxes_N5` [N, 5] and `bank_BLD` [B, L, D] as `forward` does.

        Raises:
            ValueError: a tensor has another shape, or a box (on the CPU) names a clip that is not in the batch.
        """
        maps = self.maps(clip_BCTHW, boxes_N5)
        logits_NK = self.head(maps, boxes_N5, cells_hw=self.cells_of(clip_BCTHW), bank_BLD=bank_BLD)
        return logits_NK, None if self.clip_head is None else self.clip_head(maps)

    def person_features(self, clip_BCTHW: Tensor, boxes_N5: Tensor) -> Tensor:
        """What a feature bank stores of each box, [N, D], for clips [B, 3, T, H, W] and `boxes_N5` [N, 5].

        Raises:
            ValueError: a tensor has another shape, or a box (on the CPU) names a clip that is not in the batch.
        """
        maps = self.maps(clip_BCTHW, boxes_N5)
        return self.head.features(maps, boxes_N5, cells_hw=self.cells_of(clip_BCTHW))

    def maps(self, clip_BCTHW: Tensor, boxes_N5: Tensor) -> tuple[Tensor, ...]:
        """The trunk's maps [B, D_p, T_p, h, w] of clips [B, 3, T, H, W], once these and `boxes_N5` [N, 5] are checked.

        Raises:
            ValueError: a tensor has another shape, or a box (on the CPU) names a clip that is not in the batch.
        """
        check_boxes(clip_BCTHW, boxes_N5)
        found = self.trunk(clip_BCTHW)
        return (found,) if isinstance(found, Tensor) else tuple(found)

    def cells_of(self, clip_BCTHW: Tensor) -> tuple[float, float]:
        """Height and width of a clip [B, 3, T, H, W] in cells of the trunk's maps."""
        return clip_BCTHW.shape[3] / self.stride_px, clip_BCTHW.shape[4] / self.stride_px


def check_boxes(clip_BCTHW: Tensor, boxes_N5: Tensor) -> None:
    """Nothing: `clip_BCTHW` [B, 3, T, H, W] and `boxes_N5` [N, 5] belong together.

    The clips' numbers are looked at on the CPU only: elsewhere the look would wait for the device at every step.

    Raises:
        ValueError: a tensor has another shape, or a box names a clip that is not in the batch.
    """
    if clip_BCTHW.ndim != 5 or clip_BCTHW.shape[1] != 3:
        raise ValueError(f"clips of shape {tuple(clip_BCTHW.shape)}: want [B, 3, T, H, W]")
    if boxes_N5.ndim != 2 or boxes_N5.shape[1] != 5:
        raise ValueError(f"boxes of shape {tuple(boxes_N5.shape)}: want [N, 5], clip number first")
    if boxes_N5.device.type != "cpu" or torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
        return
    if len(boxes_N5) and not 0 <= int(boxes_N5[:, 0].min()) <= int(boxes_N5[:, 0].max()) < len(clip_BCTHW):
        raise ValueError(f"a box names a clip outside 0 to {len(clip_BCTHW) - 1}")


def build_person_model(
    trunk: TrunkSpec,
    head: PersonHead,
    *,
    num_classes: int,
    num_frames: int,
    crop_px: int,
    num_clip_classes: int = 0,
) -> PersonModel:
    """The trunk and the head with fresh weights, drawn from torch's global generator.

    `num_frames` and `crop_px` matter to trunks with positions; `num_clip_classes` adds a head for clips' labels.

    Raises:
        UnknownName: there is no such trunk.
        BadInput: the trunk cannot take clips of that length and size, or there is no class.
        MissingExtra: the library that has the trunk is not installed.
    """
    made = build_trunk(trunk, num_frames=num_frames, crop_px=crop_px)
    return PersonModel(made, head, num_classes=num_classes, num_clip_classes=num_clip_classes)
