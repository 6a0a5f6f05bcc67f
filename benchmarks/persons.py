"""What a head gains by looking beyond the box, and what a model loses on the other kind of video, on rendered people.

Two worlds of several people are rendered (`gesta world --kind people`), each of long films and short clips, splits that
share no person and no place. In the first, people do mostly what two do together or one alone in the same posture:
shaking a hand, giving and taking look inside the actor's box like reaching or holding something out to nobody. Recipes
that differ in one thing each learn it, with two seeds, and are scored with annotated and with detected boxes: heads
that see the whole clip must be ahead of the plain one on the deeds of two. The second world has all acts; there one
recipe learns from films, from clips and from both, and is scored on each: the shape of tables 4 and 5 of AVA-Kinetics.

What is finished in the folder (`--work`) is not done again, so a cut run goes on.

Run: python -m benchmarks.persons [--work FOLDER] [--small]
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from gesta.cli.benchmark_joint import How, all_cells, score_models, train_models, truths_of
from gesta.evaluate.joint_tables import DETECTED, SETS, TRUTH, Cell
from gesta.tables import write_json
from gesta.train.persons import PersonSet, read_ava_persons, take_parts
from gesta.train.persons.parts_file import read_parts_file
from gesta.train.persons.prepared import prepare_key_frames, with_prepared
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.recipes import find_person_recipe
from gesta.world import render_people
from gesta.world.people_acts import ACT_CLASSES, LOOK_ALIKES

RESULTS = Path(__file__).parent / "results"
BESIDE_OTHER_WORK = "beside other work: shares hold, wall-clock times are too long and say nothing"

PLAIN = "slowfast_small_world"
RECIPES = (
    PLAIN, "slowfast_small_context_world", "slowfast_small_max_world", "slowfast_small_focal_world",
    "action_transformer_small_world",
)  # fmt: skip
TRANSFERRED = "slowfast_small_context_world"
JOINT = "ava-kinetics"
SEES_OTHERS = ("slowfast_small_context_world", "action_transformer_small_world")

MARGIN = 0.1
"""By how much the AP of the deeds of two must be higher with a head that sees the others, in each seed. Source: ours,
set before the first run."""

INTERACTIONS = tuple(ACT_CLASSES[word].class_id for word in LOOK_ALIKES)


DEEDS, STYLES = "deeds", "styles"
"""The two worlds: of deeds that a partner decides, and of all acts in two styles."""

WORDS = {DEEDS: ("stand", "walk", "reach", "hold", "shake", "give", "take"), STYLES: tuple(ACT_CLASSES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is rendered and how long it is learnt; films and clips by world."""

    num_long: Mapping[str, int]
    num_short: Mapping[str, int]
    long_s: tuple[float, float]
    short_s: tuple[float, float]
    size_px: int
    epochs: int | None
    seeds: tuple[int, ...]


FULL = Plan(
    num_long={DEEDS: 12, STYLES: 24}, num_short={DEEDS: 1600, STYLES: 900}, long_s=(30.0, 40.0), short_s=(2.2, 2.4),
    size_px=72, epochs=20, seeds=(0, 1),
)  # fmt: skip
SMALL = Plan(
    num_long={DEEDS: 3, STYLES: 3}, num_short={DEEDS: 20, STYLES: 20}, long_s=(6.0, 8.0), short_s=(2.2, 2.4),
    size_px=64, epochs=1, seeds=(0,),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training and the scores of its model."""

    world: str
    recipe: str
    trained_on: str
    seed: int


def render(world: str, plan: Plan, folder: Path) -> dict[str, Any]:
    """The world's counts; nothing is rendered that is there already."""
    summary = render_people(
        folder / world / "world", seed=0, num_long=plan.num_long[world], num_short=plan.num_short[world],
        width_px=plan.size_px, height_px=plan.size_px, words=WORDS[world], long_s=plan.long_s, short_s=plan.short_s,
    )  # fmt: skip
    return {name: value for name, value in summary.numbers.items() if name.startswith("num_")}


def recipe_of(name: str, plan: Plan) -> PersonRecipe:
    """The recipe, with the plan's epochs."""
    recipe = find_person_recipe(name)
    return recipe if plan.epochs is None else dataclasses.replace(recipe, epochs=plan.epochs)


def sets_of(world: str, plan: Plan, folder: Path) -> dict[str, PersonSet]:
    """Training and test key-frames of both parts of a world, decoded once."""
    recipe = recipe_of(PLAIN, plan)
    sources = read_parts_file(folder / world / "world" / "world.json")
    train, test = (read_ava_persons(sources[split])[0] for split in ("train", "test"))
    found = {}
    for split, persons, augment in (("train", train, recipe.augment), ("test", test, None)):
        cache = folder / world / "prepared" / split
        prepare_key_frames(persons, out=cache, frames=recipe.frames, augment=augment)
        found[split] = with_prepared(persons, cache, frames=recipe.frames, augment=augment)
    return found


def run_job(job: Job, plan: Plan, folder: Path) -> list[Cell]:
    """The cells of one model: on films, on clips and on both, with annotated and detected boxes."""
    torch.set_num_threads(1)
    sets = sets_of(job.world, plan, folder)
    how = How(
        recipe=recipe_of(job.recipe, plan), seeds=(job.seed,), out=folder / job.world / job.recipe, device="cpu",
        threads=1,
    )  # fmt: skip
    models, _ = train_models(sets, sets=(job.trained_on,), models={}, how=how)
    folders = score_models(models, {"test": sets["test"]}, how=how)
    sources = read_parts_file(folder / job.world / "world" / "world.json")
    truths = {"test": truths_of(sources["test"], sets["test"])}
    return list(all_cells(folders, truths, class_ids=sets["test"].class_ids)[0])


def jobs_of(plan: Plan) -> list[Job]:
    """Every training: all recipes on the deeds, one recipe on each part of the other world and on both."""
    heads = [Job(world=DEEDS, recipe=name, trained_on=JOINT, seed=seed) for name in RECIPES for seed in plan.seeds]
    transfer = [
        Job(world=STYLES, recipe=TRANSFERRED, trained_on=name, seed=seed) for name in SETS for seed in plan.seeds
    ]
    return heads + transfer


def measure(plan: Plan, *, folder: Path, num_processes: int) -> dict[str, Any]:
    """All tables of the result."""
    worlds, counts, names = {}, {}, {}
    for world in WORDS:
        rendered, sets = render(world, plan, folder), sets_of(world, plan, folder)
        worlds[world] = {
            **rendered, "train_key_frames": len(sets["train"].examples), "test_key_frames": len(sets["test"].examples),
            "train_persons": sets["train"].num_persons, "test_persons": sets["test"].num_persons,
        }  # fmt: skip
        counts[world] = {part: labels_of(take_parts(sets["train"], [part])) for part in ("ava", "kinetics")}
        names[world] = dict(zip(sets["test"].class_ids, sets["test"].class_names, strict=True))
    cells: dict[Job, list[Cell]] = {}
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn")) as pool:
        started = {job: pool.submit(run_job, job, plan, folder) for job in jobs_of(plan)}
        for job, result in started.items():
            cells[job] = result.result()
            print(job, {(one.evaluated_on, one.boxes): round(one.mean_ap, 3) for one in cells[job]}, flush=True)
    heads = {job: found for job, found in cells.items() if job.world == DEEDS}
    table = transfer_rows([one for job, found in cells.items() if job.world == STYLES for one in found])
    return {
        "worlds": worlds,
        "heads": [head_row(job, found) for job, found in heads.items()],
        "by_class": [
            row for seed in plan.seeds for row in class_rows(heads, names=names[DEEDS], counts=counts[DEEDS], seed=seed)
        ],
        "transfer": table,
        "claims": claims(heads, table),
    }  # fmt: skip


def labels_of(persons: PersonSet) -> dict[int, int]:
    """How many annotated persons do each class, by its id."""
    return {
        class_id: int(sum(one.targets_NK[:, place].sum() for one in persons.examples))
        for place, class_id in enumerate(persons.class_ids)
    }


def cell_of(found: Sequence[Cell], *, evaluated_on: str, boxes: str) -> Cell:
    """The one cell of a model that was scored so."""
    return next(one for one in found if (one.evaluated_on, one.boxes) == (evaluated_on, boxes))


def of_interactions(cell: Cell) -> float:
    """Mean AP of the deeds of two, over the classes that the ground truth has."""
    values = [value for class_id, value in cell.by_class.items() if class_id in INTERACTIONS and not math.isnan(value)]
    return sum(values) / max(1, len(values))


def head_row(job: Job, found: Sequence[Cell]) -> dict[str, Any]:
    """A row of the table of heads: mAP, and mAP of the deeds of two, with both kinds of boxes."""
    truth, detected = (cell_of(found, evaluated_on=JOINT, boxes=boxes) for boxes in (TRUTH, DETECTED))
    return {
        "recipe": job.recipe, "seed": job.seed, "truth_map": truth.mean_ap,
        "truth_interactions": of_interactions(truth), "detected_map": detected.mean_ap,
        "detected_interactions": of_interactions(detected),
    }  # fmt: skip


def class_rows(
    variants: Mapping[Job, Sequence[Cell]],
    *,
    names: Mapping[int, str],
    counts: Mapping[str, Mapping[int, int]],
    seed: int,
) -> list[dict[str, Any]]:
    """AP of each class with annotated boxes, one seed, beside how often films and clips show it in training."""
    rows = []
    for class_id, name in names.items():
        row: dict[str, Any] = {
            "class": name,
            "seed": seed,
            **{f"train_{part}": counts[part][class_id] for part in counts},
        }
        for job, found in variants.items():
            value = cell_of(found, evaluated_on=JOINT, boxes=TRUTH).by_class[class_id]
            # A class that the test key-frames do not show has no AP.
            if job.seed == seed and not math.isnan(value):
                row[job.recipe] = value
        rows.append(row)
    return rows


def transfer_rows(found: Sequence[Cell]) -> list[dict[str, Any]]:
    """Tables 4 and 5: a row for what was trained on, a column for what was scored on, the mean over the seeds."""
    rows = []
    for boxes in (TRUTH, DETECTED):
        for trained_on in SETS:
            mine = [one for one in found if (one.trained_on, one.boxes) == (trained_on, boxes)]
            row: dict[str, Any] = {"boxes": boxes, "trained_on": trained_on}
            for evaluated_on in SETS:
                values = [one.mean_ap for one in mine if one.evaluated_on == evaluated_on]
                row[f"on_{evaluated_on}"] = sum(values) / max(1, len(values))
            rows.append(row)
    return rows


def claims(variants: Mapping[Job, Sequence[Cell]], table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was to come out, and whether it did."""
    rows = []
    for boxes in (TRUTH, DETECTED):
        for name in SEES_OTHERS:
            gains = []
            for job, found in variants.items():
                if job.recipe == name:
                    plain = variants[dataclasses.replace(job, recipe=PLAIN)]
                    mine, theirs = (cell_of(one, evaluated_on=JOINT, boxes=boxes) for one in (found, plain))
                    gains.append(of_interactions(mine) - of_interactions(theirs))
            said = f"{name} at least {MARGIN} above the plain head on deeds of two, every seed, boxes {boxes}"
            rows.append({"claim": said, "least": min(gains), "holds": min(gains) >= MARGIN})
        by = {str(row["trained_on"]): row for row in table if row["boxes"] == boxes}
        for part in ("ava", "kinetics"):
            other = "kinetics" if part == "ava" else "ava"
            column = f"on_{part}"
            gain, joint = by[part][column] - by[other][column], by[JOINT][column] - by[part][column]
            said = f"on {part}: trained on {part} above trained on {other}, boxes {boxes}"
            rows.append({"claim": said, "least": gain, "holds": gain > 0})
            said = f"on {part}: trained on both at least as good as on {part} alone, boxes {boxes}"
            rows.append({"claim": said, "least": joint, "holds": joint >= 0})
    return rows


def main() -> None:
    """Render, train, score; write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="minutes: shows that it runs, says nothing")
    parser.add_argument("--work", type=Path, default=Path("build/persons"), help="folder of what is finished")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    load, started = os.getloadavg()[0], time.perf_counter()
    plan = SMALL if asked.small else FULL
    found = measure(plan, folder=asked.work, num_processes=asked.processes)
    hardware = f"{os.cpu_count()}core-cpu"
    result = {
        "what": "persons of a rendered world: heads that see beyond the box, and transfer between films and clips",
        "program": f"python -m benchmarks.persons{' --small' if asked.small else ''}",
        "hardware": hardware, "processor": platform.processor() or platform.machine(), "date": date, "load": load,
        "times": BESIDE_OTHER_WORK if load > 1 else "alone on the machine",
        "wall_s": time.perf_counter() - started,
        "versions": {name: importlib.metadata.version(name) for name in ("gesta", "torch", "torchvision", "av")},
        **found,
    }  # fmt: skip
    write_json(asked.results / f"persons_{hardware}_{date}.json", result)


if __name__ == "__main__":
    main()
