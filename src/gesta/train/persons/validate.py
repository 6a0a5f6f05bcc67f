"""How good a model is on persons that it has not seen: the loss, and what a measure makes of its scores.

The frame mAP is computed outside this room: whoever starts the run hands a `Measure` in.

Shapes: B clips, T frames, H and W px; N persons, K classes; boxes x1 y1 x2 y2 as fractions of the frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from gesta.models.person_losses import person_loss
from gesta.models.person_model import PersonModel
from gesta.schema import Reject
from gesta.tables import Json
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.steps import Setting, autocast_of
from gesta.train.clips.tasks import Tried
from gesta.train.persons.banks import OpenBank, with_windows
from gesta.train.persons.batches import person_batches
from gesta.train.persons.examples import PersonSet
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.rows import PersonBatch, bank_to_model, persons_to_model

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

MAP = "map"
"""The number of a measure that decides which epoch is best."""


class Measure(Protocol):
    """Numbers of a model's scores on annotated persons, by name; "map" decides which epoch is best."""

    def __call__(
        self, persons: PersonSet, numbers_N: Ints, boxes_N4: Floats, scores_NK: Float32s
    ) -> Mapping[str, float]:
        """The numbers, each a share.

        Args:
            persons: the validation set.
            numbers_N: int64, which example each person stands in.
            boxes_N4: float64, fractions of the whole frame.
            scores_NK: float32, probabilities in the order of the set's classes.
        """


@dataclass(slots=True, kw_only=True)
class _Sums:
    """What one process has seen of the validation set."""

    loss: float = 0.0
    num_persons: int = 0
    clip_loss: float = 0.0
    num_labelled: int = 0
    num_right: int = 0


@torch.no_grad()
def validate_persons(
    model: nn.Module,
    val: PersonSet,
    *,
    setting: Setting,
    num_workers: int,
    source: ClipSource | None = None,
    class_counts_K: Tensor,
    measure: Measure | None = None,
    bank: OpenBank | None = None,
) -> Tried:
    """The model's numbers on the annotated persons of `val`; each process takes its share of the batches.

    The score is the measure's "map", or the loss with its sign turned where there is no measure.

    Args:
        model: as it stands, not compiled.
        val: persons of whole frames.
        setting: of the run.
        num_workers: processes that decode.
        source: how videos are opened.
        class_counts_K: persons of each class in training, float64 [K].
        measure: turns scores into numbers; the first process asks it.
        bank: for a head that reads one.
    """
    recipe, crew = cast(PersonRecipe, setting.recipe), setting.crew
    size = max(1, recipe.clips_per_batch // recipe.num_parts)
    places = list(range(len(val.examples)))
    batches = [places[start : start + size] for start in range(0, len(places), size)][crew.rank :: crew.size]
    sums = _Sums()
    rows: list[tuple[Ints, Floats, Float32s]] = []
    rejects: list[Reject] = []
    was_training = model.training
    model.eval()
    with person_batches(
        val, frames=recipe.frames, augment=None, boxes=recipe.boxes, numbers=batches, seed=setting.seed, epoch=0,
        num_workers=num_workers, source=source, unreadable="leave-out", which="truth",
    ) as prepared:  # fmt: skip
        for batch in prepared:
            rejects += batch.rejects
            if bank is not None and recipe.head.bank is not None:
                batch = with_windows(batch, val, bank=bank, spec=recipe.head.bank)
            if len(batch.numbers):
                rows.append(
                    _tried(cast(PersonModel, model), batch, setting=setting, sums=sums, counts_K=class_counts_K)
                )
    model.train(was_training)
    return _gathered(rows, sums, val=val, setting=setting, measure=measure, rejects=rejects)


def _tried(
    model: PersonModel, batch: PersonBatch, *, setting: Setting, sums: _Sums, counts_K: Tensor
) -> tuple[Ints, Floats, Float32s]:
    """Example numbers [N], boxes [N, 4] and probabilities [N, K] of a batch, whose losses are added to `sums`."""
    recipe, device = cast(PersonRecipe, setting.recipe), setting.crew.device
    clip_BCTHW, boxes_N5 = persons_to_model(batch, frames=recipe.frames, device=device)
    with autocast_of(device, setting.precision):
        logits_NK, clip_logits_BC = model.both(clip_BCTHW, boxes_N5, *bank_to_model(batch, device=device))
    targets_NK, weights_NK = batch.targets_NK.to(device), batch.weights_NK.to(device)
    sums.loss += float(
        person_loss(logits_NK, targets_NK, weights_NK, loss=recipe.loss, class_counts_K=counts_K.to(device))
    )
    sums.num_persons += int((batch.weights_NK > 0).any(dim=1).sum())
    if clip_logits_BC is not None:
        labels_B = batch.clip_labels_B.to(device)
        sums.clip_loss += float(
            functional.cross_entropy(clip_logits_BC.float(), labels_B, reduction="sum", ignore_index=-1)
        )
        sums.num_labelled += int((labels_B >= 0).sum())
        sums.num_right += int((clip_logits_BC.argmax(dim=1) == labels_B).sum())
    numbers_B = np.asarray(batch.shown, dtype=np.int64)
    numbers_N = numbers_B[batch.boxes_N5[:, 0].long().numpy()]
    return numbers_N, batch.frame_boxes_N4.numpy(), logits_NK.float().sigmoid().cpu().numpy()


def _gathered(
    rows: list[tuple[Ints, Floats, Float32s]],
    sums: _Sums,
    *,
    val: PersonSet,
    setting: Setting,
    measure: Measure | None,
    rejects: list[Reject],
) -> Tried:
    """The numbers over all processes."""
    crew, recipe = setting.crew, cast(PersonRecipe, setting.recipe)
    loss, num, clip_loss, labelled, right = crew.sum_numbers(
        [sums.loss, float(sums.num_persons), sums.clip_loss, float(sums.num_labelled), float(sums.num_right)]
    )
    mean = loss / max(1.0, num)
    numbers: dict[str, Json] = {"val_loss": round(mean, 6), "val_persons": round(num)}
    if recipe.clip_loss_weight > 0:
        numbers |= {
            "val_clip_loss": round(clip_loss / max(1.0, labelled), 6),
            "val_clip_top1": round(right / max(1.0, labelled), 6),
        }
        mean += recipe.clip_loss_weight * clip_loss / max(1.0, labelled)
    score = -mean
    if measure is not None:
        every = crew.gather(rows)
        found = _measured(every, val=val, measure=measure) if crew.is_first else {}
        # The first process's numbers are everybody's: all must agree which epoch is best.
        found = crew.gather([found])[0]
        # No number, as of persons of whom nothing is annotated, is no score either.
        known = {name: value for name, value in found.items() if math.isfinite(value)}
        numbers |= {f"val_{name}": round(known[name], 6) if name in known else None for name in found}
        score = known.get(MAP, score)
    return Tried(loss=mean, score=score, numbers=numbers, rejects=rejects)


def _measured(rows: list[tuple[Ints, Floats, Float32s]], *, val: PersonSet, measure: Measure) -> dict[str, float]:
    numbers_N = np.concatenate([row[0] for row in rows]) if rows else np.zeros(0, dtype=np.int64)
    boxes_N4 = np.concatenate([row[1] for row in rows]) if rows else np.zeros((0, 4))
    scores_NK = (
        np.concatenate([row[2] for row in rows]) if rows else np.zeros((0, len(val.class_ids)), dtype=np.float32)
    )
    # In the set's order, whatever the number of processes.
    order_N = np.argsort(numbers_N, kind="stable")
    return dict(measure(val, numbers_N[order_N], boxes_N4[order_N], scores_NK[order_N]))
