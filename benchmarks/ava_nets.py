"""The detectors that `benchmarks.ava` measures, the forms in which ours may run, and the steps of all sides.

Shapes: B clips, C channels, T frames, H and W pixels; N boxes, K classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import ava_peers
from benchmarks.train_steps import Step
from gesta.models import TRUNKS, TrunkSpec
from gesta.models.fold_norms import fold_norms
from gesta.models.person_heads import PersonHead
from gesta.models.person_model import PersonModel, build_person_model
from gesta.models.res_stage import ResPath
from gesta.models.res_units import FactoredConv3d

NUM_CLASSES = 80
NUM_BATCHES = 4
"""Distinct batches that take turns, so that no step finds its input in a cache."""

BOXES_PER_CLIP = 3
"""Persons of a key-frame. Source: ours, about what AVA has; the head is below a hundredth of the arithmetic."""

NAMES = ("slowfast_r50_8x8", "slowfast_r50_4x16", "slow_only_r50_4x16")
CROPS = {"pyslowfast": 224, "mmaction2": 256}
"""What each lineage crops in AVA training. Source: their AVA configs, DATA.TRAIN_CROP_SIZE and RandomCrop."""

HEADS = {"mmaction2": PersonHead(), "pyslowfast": PersonHead(order="pyslowfast", grid=7)}
"""Each lineage's plain head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """A trunk with its plain head, ours and a lineage's own; `peer` is None where its checkout is not given."""

    name: str
    lineage: str
    num_frames: int
    crop_px: int
    clips_per_batch: int
    ours: Callable[[], PersonModel]
    peer: Callable[[], nn.Module] | None

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """[C, T, H, W] of a clip."""
        return (3, self.num_frames, self.crop_px, self.crop_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvaForm:
    """How ours is run.

    `layout`: "contiguous"; "channels_last_3d"; or "factored", that layout with convolutions in two dimensions, which is
    how the library runs by itself. `is_folded`: norms folded, weights cast once; for inference only.
    """

    layout: str
    is_compiled: bool = False
    is_folded: bool = False

    def __str__(self) -> str:
        """In words."""
        parts = [self.layout, "compiled" if self.is_compiled else "eager", *(["folded"] if self.is_folded else [])]
        return ", ".join(parts)


LAYOUTS = ("contiguous", "channels_last_3d", "factored")


def detectors(
    *, is_large: bool, checkouts: dict[str, Path], small_px: int = 64, num_clips: int | None = None
) -> list[Detector]:
    """What is measured: each network in both lineages, at AVA's sizes or small for a processor."""
    found = []
    for name in NAMES:
        num_frames = TRUNKS[name].num_frames
        for lineage in CROPS:
            crop_px = CROPS[lineage] if is_large else small_px
            peer: Callable[[], nn.Module] | None = None
            if lineage in checkouts and lineage == "pyslowfast":
                peer = partial(ava_peers.pyslowfast, checkouts[lineage], name=name, num_frames=num_frames)
            elif lineage in checkouts:
                peer = partial(ava_peers.mmaction2, checkouts[lineage], name=name)
            ours = partial(
                build_person_model, TrunkSpec(name=name, lineage=lineage), HEADS[lineage], num_classes=NUM_CLASSES,
                num_frames=num_frames, crop_px=crop_px,
            )  # fmt: skip
            found.append(
                Detector(
                    name=name, lineage=lineage, num_frames=num_frames, crop_px=crop_px,
                    clips_per_batch=num_clips or (32 if is_large else 1), ours=ours, peer=peer,
                )
            )  # fmt: skip
    return found


def prepared_batches(detector: Detector, *, num_clips: int, device: str, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Random clips [B, C, T, H, W] of standard scale and boxes [N, 5] in them, on the device."""
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.arange(num_clips).repeat_interleave(BOXES_PER_CLIP)
    batches = []
    for _ in range(NUM_BATCHES):
        corners = torch.rand((len(numbers), 2), generator=generator) * 0.4
        sides = 0.2 + 0.4 * torch.rand((len(numbers), 2), generator=generator)
        boxes_N5 = torch.cat((numbers[:, None].float(), corners, corners + sides), dim=1)
        clip_BCTHW = torch.randn((num_clips, *detector.clip_shape), generator=generator)
        batches.append((clip_BCTHW.to(device), boxes_N5.to(device)))
    return batches


def built_apart(build: Callable[[], nn.Module], batch: tuple[Tensor, Tensor], *, device: str) -> nn.Module:
    """A network with seeded weights on the device, as one that has learned: no scale is 0, averages are a batch's.

    Otherwise half of it would compute nothing, and the other half numbers without bounds.
    """
    torch.manual_seed(0)
    model = build().to(device)
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm3d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        nn.init.ones_(norm.weight)
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(*batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model


def in_form(model: nn.Module, form: AvaForm, *, precision: str) -> nn.Module:
    """The same model laid out as the form says; folded, a copy of it."""
    if form.is_folded:
        model = fold_norms(model)
        if precision == "bfloat16":
            model = model.to(torch.bfloat16)
    is_last = form.layout != "contiguous"
    model = cast(nn.Module, model.to(memory_format=torch.channels_last_3d if is_last else torch.contiguous_format))  # type: ignore[call-overload]
    for part in model.modules():
        if isinstance(part, ResPath):
            part.colours_last = is_last
        elif isinstance(part, FactoredConv3d):
            part.is_factored = form.layout == "factored"
    return model


def laid_out(
    prepared: Sequence[tuple[Tensor, Tensor]], form: AvaForm, *, precision: str
) -> list[tuple[Tensor, Tensor]]:
    """The batches in the form's layout, in its precision where its weights are cast."""
    layout = torch.contiguous_format if form.layout == "contiguous" else torch.channels_last_3d
    dtype = torch.bfloat16 if form.is_folded and precision == "bfloat16" else torch.float32
    return [(clip_BCTHW.to(dtype).contiguous(memory_format=layout), boxes_N5) for clip_BCTHW, boxes_N5 in prepared]


def train_step(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    prepared: Sequence[tuple[Tensor, Tensor]],
    *,
    is_compiled: bool,
    precision: str,
) -> Step:
    """A step: autocast forward, binary cross-entropy on the logits, backward, optimiser."""
    device = prepared[0][0].device.type
    run = torch.compile(model) if is_compiled else model

    def step(number: int) -> None:
        clip_BCTHW, boxes_N5 = prepared[number % len(prepared)]
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            logits_NK = run(clip_BCTHW, boxes_N5)
        logits_NK = logits_NK.float()
        functional.binary_cross_entropy_with_logits(logits_NK, torch.zeros_like(logits_NK)).backward()
        optimiser.step()

    return step


def score_step(
    model: nn.Module,
    prepared: Sequence[tuple[Tensor, Tensor]],
    *,
    is_compiled: bool,
    precision: str,
) -> Callable[[int], Tensor]:
    """Logits [N, K] of the boxes of one batch, without a gradient; autocast where the weights are float32."""
    device = prepared[0][0].device.type
    run = torch.compile(model) if is_compiled else model
    casts = precision == "bfloat16" and prepared[0][0].dtype == torch.float32

    def step(number: int) -> Tensor:
        clip_BCTHW, boxes_N5 = prepared[number % len(prepared)]
        # A compiled network may not see tensors of inference mode in one call and others in the next.
        with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=casts):
            logits_NK: Tensor = run(clip_BCTHW, boxes_N5).float()
        return logits_NK

    return step


class OnePersonEach(nn.Module):
    """A detector as a classifier of clips, one box in the middle of each, so that its arithmetic can be counted."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K]."""
        numbers_B1 = torch.arange(len(clip_BCTHW), device=clip_BCTHW.device, dtype=torch.float32)[:, None]
        box_4 = torch.full((len(clip_BCTHW), 2), 0.25, device=clip_BCTHW.device)
        logits_BK: Tensor = self.model(clip_BCTHW, torch.cat((numbers_B1, box_4, box_4 + 0.5), dim=1))
        return logits_BK


def smaller(detector: Detector) -> Detector:
    """The same with half the clips a batch."""
    return dataclasses.replace(detector, clips_per_batch=detector.clips_per_batch // 2)
