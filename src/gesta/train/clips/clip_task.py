"""Training on labelled clips, as the loop asks for it: the model, the batches, the loss, the numbers after an epoch."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from gesta.models import build_clip_model
from gesta.schema import BadInput
from gesta.tables import Json
from gesta.train.checkpoints import versions
from gesta.train.clips.checkpoints import ClipCheckpoint, load_clip_checkpoint, save_clip_checkpoint
from gesta.train.clips.compiling import as_it_is, compiled_forward, random_clips
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.recipe import ClipRecipe
from gesta.train.clips.sets import ClipSet
from gesta.train.clips.speed import train_flops
from gesta.train.clips.starting import put_start
from gesta.train.clips.steps import Setting, share_of_clips, totals_of_clips
from gesta.train.clips.tasks import MakeBatches, Task, Tried
from gesta.train.clips.validate import validate


def check_data(clips: ClipSet, val: ClipSet | None, recipe: ClipRecipe) -> None:
    """Nothing, once the clips can be learnt from with that recipe.

    Raises:
        BadInput: there are no clips, the validation clips have other classes, the recipe wants validation and there
            is none, or it flips clips of a class whose name is false in a mirror.
    """
    if not clips.examples:
        raise BadInput("there is no clip to learn from", mend="Look at the release's kept clips, videos and splits")
    if val is not None and (val.class_ids, val.class_names) != (clips.class_ids, clips.class_names):
        raise BadInput("the validation clips have other classes than the training clips", mend="Use the same label map")
    if recipe.schedule == "plateau" and val is None:
        raise BadInput(
            f"recipe {recipe.name!r} lowers its rate when the validation loss no longer falls",
            mend="Name validation clips with --val",
        )
    sided = [name for name in clips.class_names if {"left", "right"} & set(name.lower().replace("_", " ").split())]
    if recipe.augment.flip and sided:
        raise BadInput(
            f"recipe {recipe.name!r} flips clips left to right, which makes {sided[0]!r} false",
            mend="Use a recipe whose augment has flip=False",
        )


def clip_task(*, batches: MakeBatches) -> Task:
    """Training on labelled clips; `batches` makes those that are learnt from."""
    return Task(
        noun="clip",
        check=check_data,
        build=_build,
        put_start=_start,
        batches=batches,
        totals=totals_of_clips,
        share_of_loss=share_of_clips,
        validate=_validate,
        inputs=random_clips,
        plain=as_it_is,
        compiled=compiled_forward,
        entry="forward",
        flops=_flops,
        checkpoint=_checkpoint,
        save=save_clip_checkpoint,
        load=load_clip_checkpoint,
        counts=_counts,
    )


def _build(recipe: ClipRecipe, clips: ClipSet) -> nn.Module:
    model = build_clip_model(
        recipe.model,
        num_classes=len(clips.class_ids),
        num_frames=recipe.frames.num_frames,
        crop_px=recipe.frames.crop_px,
    )
    if recipe.saves_memory:
        if not hasattr(model, "checkpoint_activations"):
            raise BadInput(f"the model {recipe.model!r} keeps all activations", mend="Want saves_memory=False")
        setattr(model, "checkpoint_activations", True)  # noqa: B010 - a property that torch's type does not know
    return model


def _start(model: nn.Module, start: Path | str, clips: ClipSet) -> None:
    put_start(model, start, class_names=clips.class_names)


def _flops(recipe: ClipRecipe, clips: ClipSet) -> float:
    return train_flops(recipe.model, num_classes=len(clips.class_ids), frames=recipe.frames)


def _checkpoint(recipe: ClipRecipe, clips: ClipSet, fingerprint: str) -> ClipCheckpoint:
    return ClipCheckpoint(
        weights={},
        class_ids=clips.class_ids,
        class_names=clips.class_names,
        recipe=recipe,
        data_sha256=clips.sha256,
        fingerprint=fingerprint,
        versions=versions(),
    )


def _counts(clips: ClipSet) -> dict[str, Json]:
    return {"classes": len(clips.class_ids), "num_clips": len(clips.examples)}


def _validate(
    model: nn.Module, val: ClipSet, *, setting: Setting, num_workers: int, source: ClipSource | None
) -> Tried:
    found = validate(model, val, setting=setting, num_workers=num_workers, source=source)
    return Tried(
        loss=found.loss,
        score=found.top1_frac,
        numbers={
            "val_loss": round(found.loss, 6),
            "val_top1": round(found.top1_frac, 6),
            "val_top5": round(found.top5_frac, 6),
            "val_clips": found.num_clips,
        },
        rejects=found.rejects,
    )
