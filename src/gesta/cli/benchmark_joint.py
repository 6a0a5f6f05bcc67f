"""How the nine cells come about: three trainings a seed, their scores on each part, and the numbers of each cell.

Whatever is finished is not done again: a training that lies in the folder, and each file of scores.

    OUT/models/<set>-seed<n>/model.pt
    OUT/scores/<set>-seed<n>/<split>-<part>-<boxes>/detections.parquet
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from gesta.cli.person_data import person_map
from gesta.cli.score_persons import diagnosis_if_poor
from gesta.evaluate.groups import category_of_classes
from gesta.evaluate.joint_tables import (
    BOXES,
    DETECTED,
    PARTS_OF,
    SETS,
    TRUTH,
    Benchmark,
    Cell,
    Chance,
    Truths,
    cells_of,
    chances_of,
)
from gesta.evaluate.result_json import diagnosis_json
from gesta.evaluate.text import diagnosis_text
from gesta.formats import (
    ava_label_map,
    read_ava_csv,
    read_excluded_timestamps,
    read_included_timestamps,
    read_label_map,
)
from gesta.schema import BadInput, UnknownName
from gesta.tables import Json, read_table

if TYPE_CHECKING:
    from gesta.train.persons import AvaSource, PersonSet
    from gesta.train.persons.recipe import PersonRecipe

KEY = ["video_id", "timestamp_us"]
SPLITS = ("val", "test")

PERSON_BOXES = {TRUTH: "truth", DETECTED: "proposals"}
"""What the scorer calls each kind of boxes."""

Sources = Mapping[str, "tuple[AvaSource, ...]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What all trainings and scorings share."""

    recipe: PersonRecipe
    seeds: tuple[int, ...]
    out: Path
    device: str = "auto"
    num_workers: int = 0
    threads: int | None = None
    start: str | None = None
    least_score: float | None = None
    on_train: Callable[[int], None] | None = None
    on_score: Callable[[int], None] | None = None
    on_note: Callable[[str], None] | None = None


def checked_parts(sources: Sources, *, models: Mapping[str, Path], where: Path) -> tuple[str, ...]:
    """The sets of `SETS` that can be trained, or whose model is given, in order.

    Args:
        sources: parts by split, as a file of parts names them.
        models: given checkpoints by set.
        where: the file.
    Raises:
        BadInput: there is nothing to train, or nothing to score on.
        UnknownName: a part is none of AVA-Kinetics', or a model is of no set.
    """
    for split, parts in sources.items():
        for source in parts:
            if source.part not in PARTS_OF:
                raise UnknownName(what=f"part of {split}", name=source.part, choices=PARTS_OF, where=where)
    for name in models:
        if name not in SETS:
            raise UnknownName(what="set to train on", name=name, choices=SETS)
    there = {source.part for source in sources.get("train", ())}
    sets = tuple(name for name in SETS if name in models or set(PARTS_OF[name]) <= there)
    if not sets:
        raise BadInput("there is nothing to train on", where=where, mend="Want [[train]] with part 'ava' or 'kinetics'")
    if not any(sources.get(split) for split in SPLITS):
        raise BadInput("there is nothing to score on", where=where, mend="Want [[val]] with part 'ava' or 'kinetics'")
    return sets


def read_sets(sources: Sources, *, recipe: PersonRecipe, needs_train: bool) -> dict[str, PersonSet]:
    """The key-frames of each split, all parts together.

    Raises:
        BadInput: a file cannot be read, or no key-frame of a split can be used.
    """
    from gesta.train.persons import read_ava_persons

    found = {}
    for split in (*(("train",) if needs_train else ()), *SPLITS):
        if sources.get(split):
            found[split] = read_ava_persons(sources[split], class_ids=recipe.classes, outside=recipe.outside)[0]
    return found


def train_models(
    persons: Mapping[str, PersonSet], *, sets: Sequence[str], models: Mapping[str, Path], how: How
) -> tuple[dict[tuple[str, int], Path], int]:
    """The checkpoint of each set and seed, and how many were there already.

    Args:
        persons: key-frames of all parts by split; without "train", all models are given.
        sets: what to train on.
        models: given checkpoints by set; they stand for every seed.
        how: recipe, seeds, device.
    Raises:
        BadInput: a training refuses its data.
        GestaError: a loss is no number.
        Interrupted: SIGTERM or SIGINT came; the checkpoint is written.
    """
    from gesta.train.persons import take_parts
    from gesta.train.persons.train import run_train_persons

    found: dict[tuple[str, int], Path] = {}
    num_current = 0
    for name in sets:
        if name in models:
            found[name, how.seeds[0]] = models[name]
            num_current += 1
            continue
        part = take_parts(persons["train"], PARTS_OF[name])
        recipe = recipe_for(part, how.recipe, name=name, on_note=how.on_note)
        val = take_parts(persons["val"], PARTS_OF[name]) if recipe.schedule == "plateau" else None
        for seed in how.seeds:
            out = how.out / "models" / f"{name}-seed{seed}"
            seen = 0

            def count_epoch(_line: object) -> None:
                nonlocal seen
                seen += 1
                if how.on_train is not None:
                    how.on_train(1)

            summary = run_train_persons(
                part, out=out, recipe=recipe, val=val, seed=seed, device=how.device, num_workers=how.num_workers,
                threads=how.threads, start=how.start, measure=person_map, on_epoch=count_epoch, on_note=how.on_note,
            )  # fmt: skip
            if how.on_train is not None:
                how.on_train(how.recipe.epochs - seen)
            num_current += summary.was_current
            found[name, seed] = out / "model.pt"
    return found, num_current


def recipe_for(
    part: PersonSet, recipe: PersonRecipe, *, name: str, on_note: Callable[[str], None] | None
) -> PersonRecipe:
    """The recipe; without its loss of the clips' own classes where no clip of the part has one (AVA's films).

    Args:
        part: what is learnt from.
        recipe: of the benchmark.
        name: of the set, for the note.
        on_note: is told where the recipe is another one.
    """
    if recipe.clip_loss_weight == 0 or any(example.clip_label >= 0 for example in part.examples):
        return recipe
    if on_note is not None:
        on_note(f"no clip of {name} has a class of its own: its model learns persons alone")
    return dataclasses.replace(recipe, clip_loss_weight=0.0)


def num_to_score(sets: Mapping[str, PersonSet], *, recipe: PersonRecipe, num_models: int) -> int:
    """Key-frames that are decoded and scored, over all models, splits and kinds of boxes."""
    from gesta.predict.person_scores import numbers_with_boxes

    return num_models * sum(
        len(numbers_with_boxes(persons, boxes=kind, rules=recipe.boxes))
        for split, persons in sets.items() if split in SPLITS for kind in PERSON_BOXES.values()
    )  # fmt: skip


def score_models(
    models: Mapping[tuple[str, int], Path], sets: Mapping[str, PersonSet], *, how: How
) -> dict[tuple[str, int, str, str, str], Path]:
    """The folder of scores by set, seed, split, boxes and part; none where no key-frame has such boxes.

    Args:
        models: checkpoints by set and seed.
        sets: key-frames by split.
        how: device and workers.
    Raises:
        BadInput: a model does not know the labels' classes.
        GestaError: a model gives a number that is none.
    """
    from gesta.predict.person_score_stage import run_score_persons
    from gesta.predict.person_scores import numbers_with_boxes
    from gesta.train.persons import take_parts

    found = {}
    for (name, seed), checkpoint in models.items():
        for split, persons in sets.items():
            if split not in SPLITS:
                continue
            for part in persons.parts:
                mine = take_parts(persons, [part])
                for boxes in BOXES:
                    kind = PERSON_BOXES[boxes]
                    if not numbers_with_boxes(mine, boxes=kind, rules=how.recipe.boxes):
                        continue
                    out = how.out / "scores" / f"{name}-seed{seed}" / f"{split}-{part}-{boxes}"
                    run_score_persons(
                        checkpoint, mine, out=out, boxes=kind, least_score=how.least_score, device=how.device,
                        num_workers=how.num_workers, threads=how.threads, on_key_frames=how.on_score,
                    )  # fmt: skip
                    found[name, seed, split, boxes, part] = out
    return found


def truths_of(sources: Sequence[AvaSource], persons: PersonSet) -> Truths:
    """The ground truth of each part of a split: whole, on videos at hand, and on key-frames that the labels name.

    The labels' lines count as they stand, without excluded key-frames and those that are not included, also those of
    videos that are not at hand; and every key-frame of the set counts, those that only a list of times names too.
    """
    whole, at_hand, named = {}, {}, {}
    for source in sources:
        rows = read_ava_csv(source.labels, column_8="score").drop("score", "person_id", "line")
        if source.excluded is not None:
            rows = rows.join(read_excluded_timestamps(source.excluded), on=KEY, how="anti", maintain_order="left")
        if source.included is not None:
            times = read_included_timestamps(source.included)["timestamp_us"].unique()
            rows = rows.filter(pl.col("timestamp_us").is_in(times.implode()))
        mine = [one for one in persons.examples if one.part == source.part]
        keys = pl.DataFrame(
            [(one.video_id, one.timestamp_us) for one in mine],
            schema={"video_id": pl.String, "timestamp_us": pl.Int64}, orient="row",
        )  # fmt: skip
        others = keys.join(rows.select(KEY).unique(), on=KEY, how="anti", maintain_order="left")
        whole[source.part] = pl.concat([rows, others], how="diagonal")
        at_hand[source.part] = whole[source.part].join(keys, on=KEY, how="semi", maintain_order="left")
        named[source.part] = rows
    return Truths(whole=whole, at_hand=at_hand, named=named)


def all_cells(
    folders: Mapping[tuple[str, int, str, str, str], Path], truths: Mapping[str, Truths], *, class_ids: Sequence[int]
) -> tuple[tuple[Cell, ...], tuple[Chance, ...]]:
    """Every cell, and the level of chance of each set and kind of boxes.

    Args:
        folders: as `score_models` gives them.
        truths: ground truth by split.
        class_ids: classes that count.
    Raises:
        BadInput: `frame_map` refuses rows.
    """
    cells: list[Cell] = []
    chance: dict[tuple[str, str, str], Chance] = {}
    for name, seed, split, boxes in dict.fromkeys(key[:4] for key in folders):
        found = {
            part: read_table(folder, "detections")
            for (*key, part), folder in folders.items() if tuple(key) == (name, seed, split, boxes)
        }  # fmt: skip
        cells += cells_of(
            truths[split], found, trained_on=name, split=split, boxes=boxes, seed=seed, class_ids=class_ids
        )
        if not any(key[1:] == (split, boxes) for key in chance):
            for one in chances_of(truths[split].whole, found, split=split, boxes=boxes, class_ids=class_ids):
                chance[one.evaluated_on, split, boxes] = one
    return tuple(cells), tuple(chance.values())


def samples_by_class(train: Sequence[AvaSource], persons: PersonSet | None) -> dict[str, dict[int, int]]:
    """Training samples (a box with an action) of each part by class; counted in the csv where no set was read.

    Args:
        train: the training parts.
        persons: their key-frames as they were learnt from.
    """
    if persons is None:
        counts = {}
        for source in train:
            labels = read_ava_csv(source.labels, column_8="score")["class_id"].drop_nulls()
            counts[source.part] = dict(labels.to_frame().group_by("class_id").len().sort("class_id").iter_rows())
        return counts
    found: dict[str, dict[int, int]] = {}
    for part in persons.parts:
        counts_K = sum((one.targets_NK > 0).sum(axis=0) for one in persons.examples if one.part == part)
        found[part] = dict(zip(persons.class_ids, np.asarray(counts_K).tolist(), strict=True))
    return found


def categories_of(sources: Sources) -> dict[int, str]:
    """The category of each class that has one, from the label maps."""
    found: dict[int, str] = {}
    for source in (source for parts in sources.values() for source in parts):
        label_map = ava_label_map(80) if source.label_map is None else read_label_map(source.label_map)
        found |= category_of_classes(label_map)
    return found


def poor_cells(
    benchmark: Benchmark,
    folders: Mapping[tuple[str, int, str, str, str], Path],
    truths: Mapping[str, Truths],
) -> tuple[list[Json], list[str]]:
    """What is wrong with models that are near chance on what they were trained on: as JSON, and as text."""
    chance = {(one.evaluated_on, one.split, one.boxes): one.mean_ap for one in benchmark.chance}
    values: list[Json] = []
    texts = []
    for cell in benchmark.cells:
        folder = folders.get((cell.trained_on, cell.seed, cell.split, cell.boxes, cell.evaluated_on))
        if folder is None or cell.evaluated_on not in PARTS_OF[cell.trained_on]:
            continue
        why = diagnosis_if_poor(
            truths[cell.split].whole[cell.evaluated_on], read_table(folder, "detections"),
            class_ids=benchmark.class_ids, label_map=read_label_map(folder / "label_map.pbtxt"), mean_ap=cell.mean_ap,
            chance=chance.get((cell.evaluated_on, cell.split, cell.boxes), math.nan),
        )  # fmt: skip
        if why is not None:
            name = f"{cell.trained_on}-seed{cell.seed} on {cell.evaluated_on} {cell.split}, {cell.boxes} boxes"
            values.append({"of": name, "diagnosis": diagnosis_json(why)})
            texts.append(f"{name}: the mAP is near chance\n{diagnosis_text(why)}")
    return values, texts


def accounts_of(sets: Mapping[str, PersonSet]) -> list[Json]:
    """What became of the key-frames of each split and part."""
    return [
        {"split": split, **dataclasses.asdict(account)} for split, persons in sets.items()
        for account in persons.accounting
    ]  # fmt: skip
