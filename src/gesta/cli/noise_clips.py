"""The part of `gesta noise folds` that trains a clip recipe on each fold and scores what was held out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from gesta.tables import read_table

if TYPE_CHECKING:
    from gesta.curate.noise.folds import Floats, Fold, FoldScorer
    from gesta.schema import Reject
    from gesta.train.clips import ClipRecipe, ClipSet


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRun:
    """How each fold's model is trained: the recipe, and what `gesta train` is told beside it."""

    recipe: str
    seed: int
    device: str
    num_workers: int
    threads: int | None
    start: str | None
    caches: bool


def recipe_scorer(work: Path, *, run: RecipeRun, on_step: Callable[[int], None] | None = None) -> FoldScorer:
    """A scorer for `run_folds`: a model of the recipe for each fold, which goes on where it was cut.

    With `caches` every clip is decoded once, at the recipe's rate and size, into `noise/clips` of the work folder.

    Raises:
        UnknownName: there is no such recipe.
    """
    from gesta.train.clips import find_clip_recipe

    recipe = find_clip_recipe(run.recipe)

    def score(fold: Fold) -> tuple[Floats, Sequence[Reject]]:
        from gesta.predict.clip_test import score_clips
        from gesta.train.clips import clip_model_of, load_clip_checkpoint, run_train_clips, sub_set
        from gesta.train.devices import pick_device, threads_in_use

        clips = clips_of_work(work, class_ids=fold.class_ids)
        if run.caches:
            clips = _cached(clips, folder=work / "noise" / "clips" / recipe.name, recipe=recipe, run=run)
        held = set(fold.held)
        taught = set(fold.train.rows())
        train = [n for n, one in enumerate(clips.examples) if (one.clip_id, clips.class_ids[one.label]) in taught]
        first = {one.clip_id: n for n, one in reversed(list(enumerate(clips.examples))) if one.clip_id in held}
        run_train_clips(
            sub_set(clips, train), out=fold.folder / "model", recipe=recipe, seed=run.seed, device=run.device,
            num_workers=run.num_workers, threads=run.threads, start=run.start,
            on_step=None if on_step is None else lambda _line: on_step(1),
        )  # fmt: skip
        place = pick_device(run.device)
        rejects: list[Reject] = []
        shown = [clip_id for clip_id in fold.held if clip_id in first]
        with threads_in_use(run.threads):
            model = clip_model_of(load_clip_checkpoint(fold.folder / "model" / "model.pt"), device=place).eval()
            scores_SK = score_clips(
                model, sub_set(clips, [first[clip_id] for clip_id in shown]), frames=recipe.frames, test=recipe.test,
                device=place, num_workers=run.num_workers, on_reject=rejects.append,
            )  # fmt: skip
        return _in_order(fold, shown, scores_SK), [*rejects, *_missing(fold, first)]

    return score


def clips_of_work(work: Path, *, class_ids: Sequence[int]) -> ClipSet:
    """The clips of the work folder with a label of these classes and a file that is there, in the order of their ids.

    Raises:
        MissingTable: a table is not there.
        BadInput: there is none.
    """
    from gesta.curate.noise.labels import read_labels
    from gesta.train.clips import ClipExample, clip_set

    labels = read_labels(work)
    videos = read_table(work, "videos").select("video_id", "path")
    times = read_table(work, "clips").select("clip_id", "start_us", "end_us")
    rows = (
        labels.rows.filter(pl.col("class_id").is_in(list(class_ids)))
        .join(videos, on="video_id", how="inner")
        .join(times, on="clip_id", how="inner")
        .sort("clip_id", "class_id")
    )
    label_of = {class_id: label for label, class_id in enumerate(class_ids)}
    examples = [
        ClipExample(
            clip_id=row["clip_id"], video_id=row["video_id"], path=work / row["path"], start_us=row["start_us"],
            end_us=row["end_us"], label=label_of[row["class_id"]],
        )
        for row in rows.iter_rows(named=True)
        if (work / row["path"]).is_file()
    ]  # fmt: skip
    names = {class_id: labels.names.get(class_id, str(class_id)) for class_id in class_ids}
    return clip_set(examples, classes=names)


def _cached(clips: ClipSet, *, folder: Path, recipe: ClipRecipe, run: RecipeRun) -> ClipSet:
    from gesta.train.clips import open_prepared, run_prepare

    place = folder / clips.sha256[:16]
    run_prepare(clips, out=place, form="uint8", frames=recipe.frames, num_workers=run.num_workers)
    return open_prepared(place, frames=recipe.frames)


def _in_order(fold: Fold, shown: Sequence[str], scores_SK: Floats) -> Floats:
    """The scores of the clips shown, float [S, K], as rows of the held clips, float64 [M, K]; NaN for the others."""
    import numpy as np

    row_of = {clip_id: row for row, clip_id in enumerate(shown)}
    scores_MK = np.full((len(fold.held), len(fold.class_ids)), np.nan)
    for place, clip_id in enumerate(fold.held):
        if clip_id in row_of:
            scores_MK[place] = scores_SK[row_of[clip_id]]
    return scores_MK


def _missing(fold: Fold, there: Mapping[str, int]) -> list[Reject]:
    from gesta.schema import Reject

    return [
        Reject(stage="noise-folds", reason="missing", clip_id=clip_id, detail="there is no file that can be read")
        for clip_id in fold.held
        if clip_id not in there
    ]
