"""Training on persons at key-frames, as the loop asks for it: the model, the batches, the loss, numbers after an epoch.

The loss of a batch is the mean over its persons: a part's share is the sum over its own, divided by the number of
persons in the whole batch over all processes. A part without persons gives a loss and gradients of zero.

Shapes: B clips, C channels, T frames, H and W px; N persons, K classes; `boxes_N5` = number of the clip in the batch,
then x1 y1 x2 y2 as fractions of the clip.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from gesta.models.person_losses import person_loss
from gesta.models.person_model import PersonModel
from gesta.schema import BadInput
from gesta.tables import Json
from gesta.train.checkpoints import versions
from gesta.train.clips.compiling import random_clips
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.steps import Setting, StepPlan, autocast_of
from gesta.train.clips.tasks import AnyRecipe, Forward, Task
from gesta.train.persons.banks import OpenBank, bank_width, check_bank, with_windows
from gesta.train.persons.batches import person_batches
from gesta.train.persons.checkpoints import (
    PersonCheckpoint,
    build_recipe_model,
    load_person_checkpoint,
    save_person_checkpoint,
)
from gesta.train.persons.examples import PersonSet
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.rows import PersonBatch, bank_to_model, persons_to_model
from gesta.train.persons.starting import put_person_start
from gesta.train.persons.validate import Measure, validate_persons

NUM_BOXES_COUNTED = 3
"""Persons of a key-frame where operations are counted. Source: ours; nearly all operations are the trunk's."""


def person_task(persons: PersonSet, *, measure: Measure | None = None, bank: OpenBank | None = None) -> Task:
    """Training on those persons; `measure` turns scores on validation persons into numbers.

    `bank` is shown to a head that reads one.
    """
    counts_K = torch.tensor(class_counts(persons), dtype=torch.float64)
    return Task(
        noun="key-frame",
        check=functools.partial(check_person_set, bank=bank),
        build=_build,
        put_start=_start,
        batches=functools.partial(_batches, bank=bank),
        totals=totals_of_persons,
        share_of_loss=functools.partial(share_of_persons, class_counts_K=counts_K),
        validate=functools.partial(validate_persons, class_counts_K=counts_K, measure=measure, bank=bank),
        inputs=_inputs,
        plain=ask_both,
        compiled=_compiled,
        entry="both",
        flops=lambda recipe, data: person_flops(
            recipe, num_classes=len(data.class_ids), num_clip_classes=len(data.clip_class_names)
        ),
        checkpoint=functools.partial(_checkpoint, bank=bank),
        save=save_person_checkpoint,
        load=load_person_checkpoint,
        counts=_counts,
        files={} if bank is None else {"bank": bank.sha256},
    )


def class_counts(persons: PersonSet) -> list[int]:
    """How many annotated persons do each class, in the order of the classes."""
    counts = [0] * len(persons.class_ids)
    for example in persons.examples:
        for place, count in enumerate((example.targets_NK > 0).sum(axis=0).tolist()):
            counts[place] += count
    return counts


def check_person_set(
    persons: PersonSet, val: PersonSet | None, recipe: PersonRecipe, *, bank: OpenBank | None = None
) -> None:
    """Nothing, once the persons can be learnt from with that recipe.

    Raises:
        BadInput: nobody is annotated, the classes are not those that the recipe names, the validation persons have
            others, clips have no classes though the recipe learns them, proposals are wanted and there are none, the
            head wants a feature bank and there is none that fits, the recipe wants validation and there is none, or it
            mirrors a class whose name is false in a mirror.
    """
    if persons.num_persons == 0:
        raise BadInput("there is no person to learn from", mend="Look at the rejects and at the labels' times and ids")
    if recipe.classes is not None and recipe.classes != persons.class_ids:
        raise BadInput(
            f"recipe {recipe.name!r} learns classes {list(recipe.classes)}, and the persons have "
            f"{list(persons.class_ids)}",
            mend="Read them with class_ids=recipe.classes, or take a recipe with classes=None",
        )
    if val is not None and (val.class_ids, val.class_names) != (persons.class_ids, persons.class_names):
        raise BadInput(
            "the validation persons have other classes than the training persons", mend="Use the same label map"
        )
    if recipe.clip_loss_weight > 0 and not any(example.clip_label >= 0 for example in persons.examples):
        raise BadInput(
            f"recipe {recipe.name!r} learns the clips' own classes too, and no clip has one",
            mend="Name the list of clip labels of the part that has it (Kinetics), or want clip_loss_weight=0",
        )
    if recipe.boxes.train != "truth" and not any(len(example.proposals_M5) for example in persons.examples):
        raise BadInput(
            f"recipe {recipe.name!r} trains on proposals, and there are none",
            mend="Name them with --proposals, or take a recipe whose boxes.train is 'truth'",
        )
    check_bank(recipe, bank, [one for one in (persons, val) if one is not None])
    if recipe.schedule == "plateau" and val is None:
        raise BadInput(
            f"recipe {recipe.name!r} lowers its rate when the validation loss no longer falls",
            mend="Name validation persons with --val",
        )
    sided = [name for name in persons.class_names if {"left", "right"} & set(name.lower().replace("_", " ").split())]
    if recipe.augment.flip and sided:
        raise BadInput(
            f"recipe {recipe.name!r} flips clips left to right, which makes {sided[0]!r} false",
            mend="Use a recipe whose augment has flip=False",
        )


def totals_of_persons(parts: Sequence[PersonBatch], _plan: StepPlan, setting: Setting) -> tuple[float, ...]:
    """Persons who answer a question, and clips with a class of their own, of the whole batch; each at least 1."""
    own = [0.0, 0.0]
    for part in parts:
        own[0] += float((part.weights_NK > 0).any(dim=1).sum())
        own[1] += float((part.clip_labels_B >= 0).sum())
    return tuple(max(1.0, number) for number in setting.crew.sum_numbers(own))


def share_of_persons(
    copy: nn.Module, part: PersonBatch, *, totals: Sequence[float], setting: Setting, class_counts_K: Tensor
) -> Tensor:
    """The part's share of the batch's loss, a scalar: of its persons, and of its clips' classes where these are learnt.

    Args:
        copy: of the model.
        part: what it computes.
        totals: what `totals_of_persons` gave.
        setting: of the run; its recipe is one of persons.
        class_counts_K: persons of each class in training, float64 [K].
    """
    recipe, device = cast(PersonRecipe, setting.recipe), setting.crew.device
    clip_BCTHW, boxes_N5 = persons_to_model(part, frames=recipe.frames, device=device)
    with autocast_of(device, setting.precision):
        logits_NK, clip_logits_BC = setting.forward(copy, clip_BCTHW, boxes_N5, *bank_to_model(part, device=device))
    targets_NK = part.targets_NK.to(device, non_blocking=True)
    weights_NK = part.weights_NK.to(device, non_blocking=True)
    loss = person_loss(
        logits_NK, targets_NK, weights_NK, loss=recipe.loss, class_counts_K=class_counts_K.to(device)
    ) / totals[0]  # fmt: skip
    if clip_logits_BC is None:
        return loss
    labels_B = part.clip_labels_B.to(device, non_blocking=True)
    wide = clip_logits_BC if clip_logits_BC.dtype == torch.float64 else clip_logits_BC.float()
    of_clips = functional.cross_entropy(wide, labels_B, reduction="sum", ignore_index=-1)
    return loss + recipe.clip_loss_weight * of_clips / totals[1]


def ask_both(model: nn.Module, clip_BCTHW: Tensor, boxes_N5: Tensor, *bank_BLD: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits of persons [N, K] and of clips [B, C], not compiled, for clips [B, C, T, H, W] and boxes [N, 5].

    `bank_BLD` [B, L, D] are the clips' windows of a feature bank, for a model that reads one.
    """
    return cast(PersonModel, model).both(clip_BCTHW, boxes_N5, *bank_BLD)


def person_flops(recipe: PersonRecipe, *, num_classes: int, num_clip_classes: int = 0) -> float:
    """Operations that one key-frame with three persons needs forward and backward, a multiply-add counted as two.

    Counted on tensors without memory; three times the forward pass where the model has grouped convolutions, whose
    backward pass torch's counter counts wrong.

    Raises:
        UnknownName: there is no such trunk.
    """
    model, inputs = weightless(recipe, num_classes=num_classes, num_clip_classes=num_clip_classes)
    with FlopCounterMode(display=False) as forward:
        logits_NK, clip_logits_BC = ask_both(model, *inputs)
    if any(getattr(module, "groups", 1) != 1 for module in model.modules()):
        return 3.0 * forward.get_total_flops()
    loss = logits_NK.sum() if clip_logits_BC is None else logits_NK.sum() + clip_logits_BC.sum()
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    return float(forward.get_total_flops() + backward.get_total_flops())


def weightless(
    recipe: PersonRecipe, *, num_classes: int, num_clip_classes: int = 0
) -> tuple[PersonModel, tuple[Tensor, Tensor]]:
    """The recipe's model and a clip [1, C, T, H, W] with three boxes [3, 5], all without memory, to be counted.

    Activations computed a second time are no work of the model's, so none are.

    Raises:
        UnknownName: there is no such trunk.
    """
    trunk = dataclasses.replace(recipe.trunk, saves_memory=False)
    plain = dataclasses.replace(recipe, saves_memory=False, trunk=trunk)
    frames = recipe.frames
    with torch.device("meta"):
        model = build_recipe_model(plain, num_classes=num_classes, num_clip_classes=num_clip_classes).eval()
        clip_BCTHW = torch.zeros(1, frames.num_channels, frames.num_frames, frames.crop_px, frames.crop_px)
        return model, (clip_BCTHW, torch.zeros(NUM_BOXES_COUNTED, 5))


def _build(recipe: PersonRecipe, persons: PersonSet) -> nn.Module:
    return build_recipe_model(
        recipe, num_classes=len(persons.class_ids), num_clip_classes=len(persons.clip_class_names)
    )


def _start(model: nn.Module, start: Path | str, persons: PersonSet) -> None:
    put_person_start(
        cast(PersonModel, model), start, class_names=persons.class_names, clip_class_names=persons.clip_class_names
    )


@contextmanager
def _batches(
    persons: PersonSet,
    /,
    *,
    bank: OpenBank | None,
    recipe: PersonRecipe,
    numbers: Sequence[Sequence[int]],
    seed: int,
    epoch: int,
    source: ClipSource | None,
    num_workers: int,
) -> Iterator[Iterator[PersonBatch]]:
    spec = recipe.head.bank
    with person_batches(
        persons, frames=recipe.frames, augment=recipe.augment, boxes=recipe.boxes, numbers=numbers, seed=seed,
        epoch=epoch, num_workers=num_workers, source=source,
    ) as made:  # fmt: skip
        if spec is None or bank is None:
            yield made
        else:
            yield (with_windows(one, persons, bank=bank, spec=spec, seed=seed, epoch=epoch) for one in made)


def _inputs(recipe: AnyRecipe, num_clips: int, device: str) -> tuple[Tensor, ...]:
    places_N = torch.arange(num_clips).repeat_interleave(NUM_BOXES_COUNTED)[:, None]
    boxes_N4 = torch.tensor([[0.25, 0.25, 0.75, 0.75]]).expand(len(places_N), 4)
    shown = (*random_clips(recipe, num_clips, device), torch.cat((places_N, boxes_N4), dim=1).to(device))
    asked = cast(PersonRecipe, recipe)
    if asked.head.bank is None:
        return shown
    width = bank_width(asked, asked.head.bank)
    return (*shown, torch.zeros(num_clips, asked.head.bank.num_rows, width, device=device, dtype=torch.float16))


def _compiled(model: nn.Module) -> Forward:
    fast = torch.compile(cast(PersonModel, model).both)

    def forward(
        asked: nn.Module, clip_BCTHW: Tensor, boxes_N5: Tensor, *bank_BLD: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        # A batch without persons would be compiled anew for nothing.
        if asked is not model or not len(boxes_N5):
            return ask_both(asked, clip_BCTHW, boxes_N5, *bank_BLD)
        torch._dynamo.maybe_mark_dynamic(boxes_N5, 0)
        return fast(clip_BCTHW, boxes_N5, *bank_BLD)

    return forward


def _checkpoint(
    recipe: PersonRecipe, persons: PersonSet, fingerprint: str, *, bank: OpenBank | None
) -> PersonCheckpoint:
    return PersonCheckpoint(
        weights={},
        class_ids=persons.class_ids,
        class_names=persons.class_names,
        clip_class_names=persons.clip_class_names if recipe.clip_loss_weight > 0 else (),
        recipe=recipe,
        data_sha256=persons.sha256,
        fingerprint=fingerprint,
        versions=versions(),
        bank={} if bank is None else bank.said(),
    )


def _counts(persons: PersonSet) -> dict[str, Json]:
    return {
        "classes": len(persons.class_ids),
        "num_clips": len(persons.examples),
        "num_persons": persons.num_persons,
        "num_empty": sum(not len(example.boxes_N4) for example in persons.examples),
    }
