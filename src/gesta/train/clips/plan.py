"""What a training run would do, without doing it: clips, steps, hours and memory."""

from __future__ import annotations

from gesta.tables import Json
from gesta.train.clips.clip_task import check_data
from gesta.train.clips.cost import EXPECTED_MFU_FRAC, cost_of, memory_bytes
from gesta.train.clips.recipe import ClipRecipe
from gesta.train.clips.recipes import find_clip_recipe
from gesta.train.clips.sets import ClipSet, take_per_class
from gesta.train.clips.setup import steps_per_epoch
from gesta.train.clips.speed import peak_of
from gesta.train.devices import pick_device, pick_precision


def plan_train_clips(
    clips: ClipSet,
    *,
    recipe: str | ClipRecipe,
    val: ClipSet | None = None,
    seed: int = 0,
    device: str = "auto",
    num_processes: int = 1,
) -> dict[str, Json]:
    """What `run_train_clips` would learn from and take; nothing is decoded and nothing written.

    Hours assume that each device gets 15 % of its peak and never waits for data; memory is a lower bound, that of the
    weights and of one part of a batch.

    Raises:
        BadInput: too few clips, or a recipe that does not fit them.
        UnknownName: no such recipe, model or device.
    """
    chosen = find_clip_recipe(recipe)
    check_data(clips, val, chosen)
    used = clips if chosen.per_class is None else take_per_class(clips, num=chosen.per_class, seed=seed)
    place = pick_device(device)
    peak = peak_of(place, precision=pick_precision(chosen.precision, device=place))
    num_classes = len(clips.class_ids)
    cost = cost_of(
        chosen,
        num_clips=len(used.examples),
        num_classes=num_classes,
        flops_per_s=EXPECTED_MFU_FRAC * peak.flops_per_s * num_processes,
    )
    return {
        "recipe": chosen.name,
        "num_classes": num_classes,
        "num_clips": len(used.examples),
        "num_val_clips": 0 if val is None else len(val.examples),
        "epochs": chosen.epochs,
        "steps": cost.num_steps,
        "steps_per_epoch": steps_per_epoch(chosen, num_clips=len(used.examples)),
        "train_flops": cost.train_flops,
        "hours": round(cost.hours, 3),
        "memory_gb": round(memory_bytes(chosen, num_classes=num_classes) / 1e9, 3),
        "peak": peak.how,
    }
