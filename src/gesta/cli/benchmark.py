"""`gesta benchmark`: published experiments run as their papers ran them, their tables beside the papers' numbers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import polars as pl

from gesta.cli import benchmark_joint as joint
from gesta.cli.options import dry_run_option, finish_json, json_option
from gesta.cli.person_checks import checked_sources, force_option
from gesta.cli.person_data import FILE, counted_classes
from gesta.cli.progress import progress
from gesta.cli.score import decoders_option, num_workers
from gesta.evaluate.joint_files import Printed, benchmark_text, printed_of, read_benchmark, write_tables
from gesta.evaluate.joint_tables import (
    AVA,
    DETECTED,
    JOINT,
    SETS,
    TITLES,
    TRUTH,
    Benchmark,
    benchmark_json,
    class_rows,
    gain_rows,
    write_benchmark,
)
from gesta.schema import BadInput
from gesta.tables import Json, made_by, sha256_of_file

if TYPE_CHECKING:
    from gesta.train.persons import AvaSource, PersonSet
    from gesta.train.persons.recipe import PersonRecipe

MAX_TROUBLES = 3
"""Models near chance of which it is said why. Source: ours; what is wrong with one is mostly wrong with all."""


@click.group("benchmark")
def command() -> None:
    """Run a published experiment as its paper did, and set its tables beside the paper's.

    A benchmark can be given again: what is trained and scored already is not repeated. Every one takes --json.

    \b
    Example:
      gesta benchmark ava-kinetics parts.toml --recipe action_transformer_ava_kinetics --out work/nine
    """


@command.command("ava-kinetics")
@click.argument("parts", type=FILE)
@click.option("--recipe", required=True, help="Name of a recipe of persons.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the results.")
@click.option("--seeds", default="0", show_default=True, help="Of the trainings, such as 0,1,2.")
@click.option(
    "--model", "models", multiple=True,
    help="SET=PATH: a model.pt in place of a training; SET is ava, kinetics or ava-kinetics. May be given again.",
)  # fmt: skip
@click.option("--start", default=None, help="Weights that every training begins from: a file, or a published name.")
@click.option("--cache", type=click.Path(file_okay=False, path_type=Path), help="Folder of prepared key-frames.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@decoders_option
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@force_option
@dry_run_option
@json_option
def ava_kinetics(
    parts: Path, *, recipe: str, out: Path, seeds: str, models: tuple[str, ...], start: str | None,
    cache: Path | None, device: str, workers: int | None, threads: int | None, is_forced: bool, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """The nine cells of AVA-Kinetics: train on AVA, Kinetics and both; score on each, with true and detected boxes.

    PARTS is a file of parts as `gesta train` takes it (docs/train.md), with [[train]], [[val]] and where it is labelled
    [[test]], whose parts are called ava and kinetics. Writes OUT/benchmark.json, tables 4 and 5 as .json, .csv and .md
    beside the paper's, AP by class over training samples (figures 6 and 7), gain against added data (figure 8), and
    report.html, one page with all of it.

    The labels are checked first: what makes training pointless stops it (exit code 2). A model that is near chance on
    what it was trained on is looked into, and what is wrong is said.

    \b
    Example:
      gesta benchmark ava-kinetics parts.toml --recipe action_transformer_ava_kinetics --seeds 0,1 --out work/nine
      gesta benchmark ava-kinetics parts.toml --recipe action_transformer_ava_kinetics --dry-run --out work/nine
    """
    from gesta.train.persons.parts_file import read_parts_file
    from gesta.train.persons.recipes import find_person_recipe

    _refuse_many_processes()
    chosen = find_person_recipe(recipe)
    sources = read_parts_file(parts)
    given = _models(models)
    sets = joint.checked_parts(sources, models=given, where=parts)
    needs_train = any(name not in given for name in sets)
    how = joint.How(
        recipe=chosen, seeds=_seeds(seeds), out=out, device=device, threads=threads, start=start,
        num_workers=num_workers(workers, device=device), on_note=lambda note: click.echo(note, err=True),
    )  # fmt: skip
    if needs_train:
        checked_sources(
            sources["train"], val=sources.get("val", ()), class_ids=chosen.classes,
            least_score=chosen.boxes.least_score, is_forced=is_forced or dry_run,
        )  # fmt: skip
    persons = joint.read_sets(sources, recipe=chosen, needs_train=needs_train)
    if dry_run:
        return _say_plan(persons, sets=sets, models=given, how=how, as_json=as_json)
    if needs_train and chosen.pretrained and start is None:
        click.echo(f"its published numbers begin from --start {chosen.pretrained}; this begins anew", err=True)
    if cache is not None and needs_train:
        persons["train"] = _prepared(persons["train"], cache=cache, how=how)
    num_trainings = sum(name not in given for name in sets) * len(how.seeds)
    with progress("train", total=num_trainings * chosen.epochs) as advance:
        counted = dataclasses.replace(how, on_train=advance)
        trained, num_current = _trained(persons, sets=sets, models=given, how=counted)
    total = joint.num_to_score(persons, recipe=chosen, num_models=len(trained))
    with progress("score", total=total) as advance:
        folders = joint.score_models(trained, persons, how=dataclasses.replace(how, on_score=advance))
    benchmark, troubles = _evaluated(
        folders, trained, sources=sources, persons=persons, recipe=chosen, seeds=how.seeds, start=start
    )
    for trouble in troubles[:MAX_TROUBLES]:
        click.echo(trouble, err=True)
    if len(troubles) > MAX_TROUBLES:
        click.echo(f"{len(troubles) - MAX_TROUBLES} more are near chance; benchmark.json says why", err=True)
    _write(out, benchmark)
    return _say(out, benchmark, num_current=num_current, num_models=len(trained), as_json=as_json)


def _refuse_many_processes() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput(
            "a benchmark is one process", mend="Train with torchrun and `gesta train`, and give the models with --model"
        )


def _trained(
    persons: Mapping[str, PersonSet], *, sets: Sequence[str], models: Mapping[str, Path], how: joint.How
) -> tuple[dict[tuple[str, int], Path], int]:
    """As `joint.train_models`; a signal ends the program with its code."""
    from gesta.train.clips import Interrupted

    try:
        return joint.train_models(persons, sets=sets, models=models, how=how)
    except Interrupted as stop:
        click.echo(f"gesta: {stop}", err=True)
        raise click.exceptions.Exit(stop.exit_code) from None


def _models(texts: Sequence[str]) -> dict[str, Path]:
    found = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not path or not Path(path).is_file():
            raise BadInput(f"--model {text}", mend="Want SET=PATH, such as ava=model.pt, and the file must be there")
        found[name] = Path(path)
    return found


def _seeds(text: str) -> tuple[int, ...]:
    numbers = [part.strip() for part in text.split(",")]
    if not all(number.isascii() and number.isdigit() for number in numbers) or len(set(numbers)) < len(numbers):
        raise BadInput(f"--seeds {text}", mend="Want whole numbers with commas between them, each once, such as 0,1,2")
    return tuple(int(number) for number in numbers)


def _prepared(train: PersonSet, *, cache: Path, how: joint.How) -> PersonSet:
    from gesta.train.persons.prepared import prepare_key_frames, with_prepared

    frames, augment = how.recipe.frames, how.recipe.augment
    with progress("cache", total=len(train)) as advance:
        prepare_key_frames(
            train, out=cache, frames=frames, augment=augment, num_workers=how.num_workers, on_key_frames=advance
        )
    return with_prepared(train, cache, frames=frames, augment=augment)


def _evaluated(
    folders: Mapping[tuple[str, int, str, str, str], Path],
    trained: Mapping[tuple[str, int], Path],
    *,
    sources: Mapping[str, tuple[AvaSource, ...]],
    persons: Mapping[str, PersonSet],
    recipe: PersonRecipe,
    seeds: tuple[int, ...],
    start: str | None,
) -> tuple[Benchmark, list[str]]:
    """The benchmark, and what is wrong with models that are near chance."""
    from gesta.train.persons.checkpoints import load_person_checkpoint

    loaded = [load_person_checkpoint(path) for path in trained.values()]
    known = {(one.class_ids, one.class_names) for one in loaded}
    if len(known) > 1:
        raise BadInput("the models know other classes", mend="Give models that were trained on the same classes")
    class_ids = counted_classes(*known.pop())
    scored = [split for split in joint.SPLITS if split in persons]
    truths = {split: joint.truths_of(sources[split], persons[split]) for split in scored}
    cells, chance = joint.all_cells(folders, truths, class_ids=class_ids)
    one = persons[scored[0]]
    names = dict(zip(one.class_ids, one.class_names, strict=True))
    made = made_by(
        "benchmark ava-kinetics", arguments={"recipe": recipe.name, "seeds": list(seeds), "start": start},
        inputs={
            **{f"persons-{split}": one.sha256 for split, one in persons.items()},
            **{f"model-{name}-seed{seed}": sha256_of_file(path) for (name, seed), path in trained.items()},
        },
        tools=["torch"],
    )  # fmt: skip
    notes: dict[str, Json] = {"accounting": joint.accounts_of(persons), "made_by": made.as_json()}
    benchmark = Benchmark(
        recipe=recipe.name, class_ids=class_ids, class_names=tuple(names.get(i, f"class {i}") for i in class_ids),
        categories=joint.categories_of(sources), cells=cells, chance=chance, notes=notes,
        samples=joint.samples_by_class(sources.get("train", ()), persons.get("train")),
    )  # fmt: skip
    values, texts = joint.poor_cells(benchmark, folders, truths)
    return dataclasses.replace(benchmark, notes={**notes, "diagnoses": values}), texts


def papers_numbers() -> Printed:
    """Tables 4 and 5 of the paper."""
    from gesta.formats.papers import paper_table

    tables = [
        paper_table(f"ava_kinetics_table_{number}").frame.with_columns(boxes=pl.lit(boxes))
        for number, boxes in ((4, TRUTH), (5, DETECTED))
    ]
    return printed_of(pl.concat(tables))


def _write(out: Path, benchmark: Benchmark) -> None:
    """All files, the page last; figures and page are made from `benchmark.json` as it was written."""
    from gesta.report.benchmark import write_benchmark_page

    write_benchmark(out / "benchmark.json", benchmark)
    written = read_benchmark(out / "benchmark.json")
    printed = papers_numbers()
    write_tables(out, written, printed=printed)
    figures = draw_figures(written, out / "figures")
    write_benchmark_page(out / "report.html", written, figures=figures, printed=printed)


def draw_figures(benchmark: Benchmark, folder: Path) -> list[tuple[Path, str]]:
    """The pictures (svg) with the sentence below each: figures 6, 7 and 8 of the paper, where there are numbers.

    Args:
        benchmark: what was found.
        folder: of the pictures.
    """
    from gesta.stats.benchmark_pictures import draw_class_bars, draw_gain

    figures = []
    split = benchmark.splits[0]
    for name, number in ((AVA, 6), (JOINT, 7)):
        rows = class_rows(benchmark, evaluated_on=name, split=split)
        if not len(rows):
            continue
        said = f"AP of each class on {TITLES[name]} {split}, annotated boxes; below the axis the training samples (log)"
        paths = draw_class_bars(
            rows.sort("category", maintain_order=True), folder, sets=TITLES, file_name=f"classes_{name}", title=said
        )
        figures.append((paths[1], f"{said} (the paper's figure {number})"))
    gains = gain_rows(benchmark, split=split)
    if len(gains.drop_nulls(["added", "gain"])):
        said = f"What training on Kinetics too gains on {TITLES[JOINT]} {split}, by the samples it adds"
        figures.append((draw_gain(gains, folder, title=said)[1], f"{said} (the paper's figure 8)"))
    return figures


def _say_plan(
    persons: Mapping[str, PersonSet], *, sets: Sequence[str], models: Mapping[str, Path], how: joint.How, as_json: bool
) -> None:
    from gesta.train.persons import take_parts
    from gesta.train.persons.train import plan_train_persons

    plans: dict[str, Json] = {}
    for name in SETS:
        if name in sets and name not in models:
            part = take_parts(persons["train"], joint.PARTS_OF[name])
            plans[name] = plan_train_persons(part, recipe=how.recipe, device=how.device)
    num_models = sum(1 if name in models else len(how.seeds) for name in sets)
    num = joint.num_to_score(persons, recipe=how.recipe, num_models=num_models)
    hours = len(how.seeds) * sum(float(str(plan["hours"])) for plan in plans.values() if isinstance(plan, dict))
    value: dict[str, Json] = {
        "trainings": plans, "num_seeds": len(how.seeds), "num_models": num_models, "train_hours": hours,
        "num_key_frames_to_score": num, "models": {name: str(path) for name, path in models.items()},
        "key_frames": {split: len(one) for split, one in persons.items()},
    }  # fmt: skip
    if as_json:
        return finish_json(value)
    for name, plan in plans.items():
        assert isinstance(plan, dict)
        click.echo(
            f"benchmark: would train on {TITLES[name]} ({plan['num_key_frames']:,} key-frames, "
            f"{plan['num_persons']:,} persons) {len(how.seeds)} times, about {plan['hours']:,} hours each"
        )
    return click.echo(f"benchmark: would score {num:,} key-frames with {num_models} models")


def _say(out: Path, benchmark: Benchmark, *, num_current: int, num_models: int, as_json: bool) -> None:
    if as_json:
        return finish_json({**benchmark_json(benchmark), "num_done_before": num_current, "out": out.as_posix()})
    click.echo(benchmark_text(benchmark, printed=papers_numbers()))
    return click.echo(
        f"benchmark: {num_models} models, {num_current} of them there already; {out / 'report.html'} shows all"
    )
