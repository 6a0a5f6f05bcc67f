"""Studies: the same recipe trained again and again with one thing changed, and each model scored.

A study is resumed by giving it again: a model that is trained and scored already is not touched, one that was cut goes
on. The folder of a study holds a folder for each run:

    <run>/model/            as `gesta train` leaves it
    <run>/<split>/          as `gesta score` leaves it
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gesta.predict.score_stage import run_score_clips
from gesta.schema import BadInput
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.loop import run_train_clips
from gesta.train.clips.recipe import ClipRecipe
from gesta.train.clips.recipes import find_clip_recipe
from gesta.train.clips.sets import ClipSet, take_per_class

ALL = "all"
"""The name of the run on every clip."""

SOURCE, SCRATCH, FINE_TUNED = "source", "scratch", "fine-tuned"
"""Names of a transfer's runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What every run of a study shares; nothing of it but the recipe, the seed and the device decides the weights."""

    recipe: ClipRecipe
    seed: int = 0
    device: str = "auto"
    num_workers: int = 0
    threads: int | None = None
    source: ClipSource | None = None
    on_epoch: Callable[[int], None] | None = None
    on_run: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRun:
    """One model trained and scored: its name, what it learned from, and the folder of each split's scores."""

    name: str
    num_clips: int
    mean_per_class: float
    model: Path
    scores: Mapping[str, Path]
    was_current: bool


def checked_counts(texts: Sequence[str]) -> tuple[int | None, ...]:
    """Numbers of clips of each class in ascending order, `all` as None and last.

    Raises:
        BadInput: one is neither a whole number of at least 1 nor `all`, stands twice, or there is none.

    >>> checked_counts(["all", "200", "100"])
    (100, 200, None)
    """
    counts: list[int | None] = []
    for text in texts:
        word = text.strip()
        if word != ALL and (not word.isascii() or not word.isdigit() or int(word) < 1):
            raise BadInput(f"a count is {text!r}", mend="Want whole numbers of at least 1, and 'all', such as 100,all")
        counts.append(None if word == ALL else int(word))
    if not counts or len(set(counts)) < len(counts):
        raise BadInput(f"the counts are {','.join(texts)!r}", mend="Want each of them once")
    return tuple(sorted(counts, key=lambda count: (count is None, count or 0)))


def subset_of(clips: ClipSet, count: int | None, *, seed: int) -> ClipSet:
    """At most `count` clips of each class; None = all of them. Smaller subsets lie within larger ones.

    Raises:
        BadInput: `count` is below 1.
    """
    return clips if count is None else take_per_class(clips, num=count, seed=seed)


def study_samples_per_class(
    train: ClipSet, *, tested: Mapping[str, ClipSet], out: Path, counts: Sequence[int | None], setting: Setting
) -> tuple[StudyRun, ...]:
    """The recipe trained on `counts` clips of each class, one model a count, each scored on every split of `tested`.

    The subsets are nested. A recipe whose rate falls when the validation loss does no more sees the first split of
    `tested` in training, as the papers do; others see none.

    Args:
        train: clips to take subsets of.
        tested: clips to score by the name of their split.
        out: folder of the study.
        counts: clips of each class; None = all. A class that has fewer gives what it has.
        setting: recipe, seed, device.
    Raises:
        BadInput: no count, no split, or what training and scoring refuse.
        Refused: a run's folder holds the cut run of something else.
        GestaError: a training's loss is no number.
    Source: Smaira et al., A short note on the Kinetics-700-2020 dataset (2020), section 3, figure 1 and table 4.
    """
    if not counts or not tested:
        raise BadInput("nothing to study", mend="Want at least one count and one split to score")
    recipe = dataclasses.replace(setting.recipe, per_class=None)
    runs = []
    for count in counts:
        part = subset_of(train, count, seed=setting.seed)
        name = ALL if count is None else str(count)
        runs.append(_run(name, part, tested=tested, out=out / name, recipe=recipe, setting=setting))
    return tuple(runs)


def study_transfer(
    source: Path | ClipSet,
    target: Mapping[str, tuple[ClipSet, ClipSet]],
    *,
    out: Path,
    setting: Setting,
    source_recipe: ClipRecipe | str | None = None,
    fine_tune_recipe: ClipRecipe | str | None = None,
) -> dict[str, tuple[StudyRun, StudyRun]]:
    """For each split of the target two models, from scratch and fine-tuned, both scored on the split's test clips.

    Args:
        source: a `model.pt` to begin from, or clips to train one on first, in `out/source/model`.
        target: training and test clips by the name of the split.
        out: folder of the study.
        setting: recipe (from scratch), seed, device.
        source_recipe: of the training on the source; None = the setting's.
        fine_tune_recipe: None = the setting's.
    Raises:
        BadInput: no split, another model in the source than in the recipe, or what training and scoring refuse.
        UnknownName: no such recipe.
        Refused: a run's folder holds the cut run of something else.
        GestaError: a training's loss is no number.
    Source: Kay et al., The Kinetics human action video dataset (2017), section 4.5 and table 4 (training and testing on
        the splits of UCF-101 and HMDB-51); Carreira & Zisserman, Quo Vadis (2017), section 5 (fine-tuning on them).
    """
    if not target:
        raise BadInput("no split to transfer to", mend="Name at least one split of the target")
    start = source if isinstance(source, Path) else out / SOURCE / "model" / "model.pt"
    if not isinstance(source, Path):
        first = setting.recipe if source_recipe is None else find_clip_recipe(source_recipe)
        _train(SOURCE, source, out=out / SOURCE, recipe=first, setting=setting, val=None, start=None)
    tuned = setting.recipe if fine_tune_recipe is None else find_clip_recipe(fine_tune_recipe)
    runs = {}
    for split, (train, test) in target.items():
        home = out / f"split-{split}"
        tested = {"test": test}
        runs[split] = (
            _run(SCRATCH, train, tested=tested, out=home / SCRATCH, recipe=setting.recipe, setting=setting),
            _run(FINE_TUNED, train, tested=tested, out=home / FINE_TUNED, recipe=tuned, setting=setting, start=start),
        )
    return runs


def _run(
    name: str, train: ClipSet, *, tested: Mapping[str, ClipSet], out: Path, recipe: ClipRecipe, setting: Setting,
    start: Path | None = None,
) -> StudyRun:  # fmt: skip
    val = next(iter(tested.values())) if recipe.schedule == "plateau" else None
    was_current = _train(name, train, out=out, recipe=recipe, setting=setting, val=val, start=start)
    scores = {}
    for split, clips in tested.items():
        summary = run_score_clips(
            out / "model" / "model.pt", clips, out=out / split, device=setting.device, precision=recipe.precision,
            num_workers=setting.num_workers, threads=setting.threads, source=setting.source,
        )  # fmt: skip
        was_current = was_current and summary.was_current
        scores[split] = out / split
    return StudyRun(
        name=name, num_clips=len(train), mean_per_class=len(train) / len({one.label for one in train.examples}),
        model=out / "model" / "model.pt", scores=scores, was_current=was_current,
    )  # fmt: skip


def _train(
    name: str, train: ClipSet, *, out: Path, recipe: ClipRecipe, setting: Setting, val: ClipSet | None,
    start: Path | None,
) -> bool:  # fmt: skip
    """Whether the model was there already; it is afterwards."""
    if setting.on_run is not None:
        setting.on_run(name)
    seen = 0

    def count_epoch(_line: object) -> None:
        nonlocal seen
        seen += 1
        if setting.on_epoch is not None:
            setting.on_epoch(1)

    summary = run_train_clips(
        train, out=out / "model", recipe=recipe, val=val, seed=setting.seed, device=setting.device,
        num_workers=setting.num_workers, threads=setting.threads, start=start, source=setting.source,
        on_epoch=count_epoch,
    )  # fmt: skip
    if setting.on_epoch is not None:
        setting.on_epoch(recipe.epochs - seen)
    return summary.was_current
