"""Training on persons: key-frames and a recipe in, a checkpoint and a log out, through the loop that clips go through.

The folder that comes out is `gesta.train.clips.loop`'s; `best.pt` is the model after the epoch of the highest frame
mAP on the validation persons, or of the lowest loss where nothing measures it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gesta.schema import Reject
from gesta.tables import Json, StageSummary
from gesta.train.clips.cost import BYTES_PER_WEIGHT, EXPECTED_MFU_FRAC, activation_numbers
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.loop import LOG_EVERY_STEPS, Line, Saving, run_training
from gesta.train.clips.setup import num_steps, steps_per_epoch
from gesta.train.clips.speed import num_parameters, peak_of
from gesta.train.devices import pick_device, pick_precision
from gesta.train.persons.banks import open_banks
from gesta.train.persons.examples import PersonSet
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.recipes import find_person_recipe
from gesta.train.persons.task import check_person_set, person_flops, person_task, weightless
from gesta.train.persons.validate import Measure


def run_train_persons(
    persons: PersonSet,
    *,
    out: Path,
    recipe: str | PersonRecipe,
    val: PersonSet | None = None,
    seed: int = 0,
    device: str = "auto",
    num_workers: int = 0,
    threads: int | None = None,
    start: Path | str | None = None,
    source: ClipSource | None = None,
    saving: Saving | None = None,
    rejects: Sequence[Reject] = (),
    log_every_steps: int = LOG_EVERY_STEPS,
    measure: Measure | None = None,
    banks: Sequence[Path] = (),
    on_step: Callable[[Line], None] | None = None,
    on_epoch: Callable[[Line], None] | None = None,
    on_note: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> StageSummary:
    """A model trained on the persons, as `out/model.pt`, with its log.

    Goes on from `out/last.pt` where the same run was cut, in the middle of an epoch too; on the CPU the weights are
    those of an uncut run, bit for bit, at any number of workers.

    Args:
        persons: key-frames to learn from.
        out: folder for what comes out.
        recipe: a recipe, or the name of one.
        val: key-frames to try the model on after each epoch, on their annotated boxes.
        seed: of weights, order, changes and dropout.
        device: auto, cpu or cuda.
        num_workers: processes that decode; 0 = this one does.
        threads: of torch; None = torch's own number.
        start: weights to begin from: a `model.pt` of persons or clips, a file of published weights or their name.
        source: how videos are opened.
        saving: when checkpoints are written; None = every ten minutes and after each epoch.
        rejects: key-frames left out before; they are written and counted with those that cannot be read.
        log_every_steps: steps a line of the log.
        measure: turns scores on `val` into numbers, "map" among them; None = the loss alone.
        banks: what `gesta bank` wrote of these persons and of `val`, for a head that reads a feature bank.
        on_step: called after each step with what the log would say of it.
        on_epoch: called with each epoch's line of the log.
        on_note: called with a sentence on something that is missing but not needed.
        clock: seconds, for speeds and for `saving`.
    Raises:
        BadInput: nobody to learn from, a recipe that fits neither them nor the processes, `start` is none of the
            model's, or the banks are not what the head reads.
        UnknownName: no such recipe, trunk or device.
        Refused: `out` holds the cut run of something else.
        GestaError: the loss is no number, or spikes again and again.
        Interrupted: SIGTERM or SIGINT came; the checkpoint is written.
    """
    bank = open_banks(banks) if banks else None
    return run_training(
        person_task(persons, measure=measure, bank=bank), persons, out=out, recipe=find_person_recipe(recipe), val=val,
        seed=seed, device=device, num_workers=num_workers, threads=threads, start=start, source=source, saving=saving,
        rejects=rejects, log_every_steps=log_every_steps, on_step=on_step, on_epoch=on_epoch, on_note=on_note,
        clock=clock,
    )  # fmt: skip


def plan_train_persons(
    persons: PersonSet,
    *,
    recipe: str | PersonRecipe,
    val: PersonSet | None = None,
    device: str = "auto",
    num_processes: int = 1,
    banks: Sequence[Path] = (),
) -> dict[str, Json]:
    """What `run_train_persons` would learn from and take; nothing is decoded and nothing written.

    Hours assume that each device gets 15 % of its peak and never waits for data; memory is a lower bound, that of the
    weights and of one part of a batch.

    Raises:
        BadInput: nobody to learn from, or a recipe that does not fit them or the banks.
        UnknownName: no such recipe, trunk or device.
    """
    chosen = find_person_recipe(recipe)
    check_person_set(persons, val, chosen, bank=open_banks(banks) if banks else None)
    place = pick_device(device)
    peak = peak_of(place, precision=pick_precision(chosen.precision, device=place))
    num_key_frames, num_classes = len(persons.examples), len(persons.class_ids)
    per_epoch, total = (counted(chosen, num_clips=num_key_frames) for counted in (steps_per_epoch, num_steps))
    flops = total / per_epoch * num_key_frames * person_flops(
        chosen, num_classes=num_classes, num_clip_classes=len(persons.clip_class_names)
    )  # fmt: skip
    return {
        "recipe": chosen.name,
        "num_classes": num_classes,
        "num_key_frames": num_key_frames,
        "num_persons": persons.num_persons,
        "num_empty": sum(not len(example.boxes_N4) for example in persons.examples),
        "num_val_key_frames": 0 if val is None else len(val.examples),
        "parts": {part: sum(example.part == part for example in persons.examples) for part in persons.parts},
        "epochs": chosen.epochs,
        "steps": total,
        "steps_per_epoch": per_epoch,
        "train_flops": flops,
        "hours": round(flops / (EXPECTED_MFU_FRAC * peak.flops_per_s * num_processes) / 3600, 3),
        "memory_gb": round(person_memory_bytes(chosen, num_classes=num_classes) / 1e9, 3),
        "peak": peak.how,
    }


def person_memory_bytes(recipe: PersonRecipe, *, num_classes: int) -> int:
    """Bytes for weights, gradients, moments, averages, and what one part keeps for its way back: a lower bound.

    Raises:
        UnknownName: there is no such trunk.
    """
    model, inputs = weightless(recipe, num_classes=num_classes)
    weights = num_parameters(model) * (BYTES_PER_WEIGHT[recipe.optimiser] + (4 if recipe.ema_decay else 0))
    clips = -(-recipe.clips_per_batch // recipe.num_parts)
    is_kept = not (recipe.saves_memory or recipe.trunk.saves_memory)
    kept = activation_numbers(model, inputs) * clips if is_kept else 0
    return weights + kept * (4 if recipe.precision == "float32" else 2)
