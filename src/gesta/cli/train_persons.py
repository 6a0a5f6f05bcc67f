"""The part of `gesta train` that trains models of persons: from options to key-frames, weights and one line."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gesta.cli.options import finish, finish_json
from gesta.cli.person_checks import checked_release, checked_sources
from gesta.cli.person_data import person_map, source_of
from gesta.cli.progress import progress
from gesta.schema import BadInput, Reject, UnknownName

if TYPE_CHECKING:
    from gesta.train.persons import AvaSource, PersonSet
    from gesta.train.persons.recipe import PersonRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonOptions:
    """What the command line says of a run on persons beside what it says of every run.

    `files` are a csv's companions by the names of their options, those left out None.
    """

    split: str | None
    val: str | None
    files: dict[str, Path | None]
    classes: str | None
    parts: str | None
    start: str | None
    banks: tuple[Path, ...]
    workers: int | None
    cache: Path | None
    save_every_min: float
    save_every_steps: int
    is_forced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Where one split's key-frames come from: a release, or parts in AVA's layout."""

    release: Path | None = None
    split: str = ""
    sources: tuple[AvaSource, ...] = ()


def train_persons(
    data: Path,
    *,
    recipe: str,
    out: Path,
    seed: int,
    device: str,
    threads: int | None,
    options: PersonOptions,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Check the labels, train, or say what would be trained, and print one line.

    Raises:
        BadInput: the data cannot be read, do not fit the recipe, or something makes training on them pointless.
        UnknownName: no such split, part or recipe.
        click.exceptions.Exit: SIGTERM or SIGINT came (143 or 130); the checkpoint is written.
    """
    from gesta.train.clips import Interrupted, Saving
    from gesta.train.devices import pick_device
    from gesta.train.persons.recipes import find_person_recipe
    from gesta.train.persons.train import plan_train_persons, run_train_persons

    chosen = _with_classes(find_person_recipe(recipe), options.classes)
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    is_first = os.environ.get("RANK", "0") == "0"
    wanted = _wanted(data, split=options.split, options=options)
    val_wanted = None if options.val is None else _val_wanted(data, options.val, options=options)
    if is_first:
        _check(wanted, val_wanted, recipe=chosen, is_forced=options.is_forced)
    persons, rejects = _read(wanted, recipe=chosen)
    val = None if val_wanted is None else _read(val_wanted, recipe=chosen)[0]
    if is_first:
        click.echo(accounting_text(persons), err=True)
        if chosen.pretrained and options.start is None:
            click.echo(f"its published numbers begin from --start {chosen.pretrained}; this begins anew", err=True)
    if dry_run:
        plan = plan_train_persons(
            persons, recipe=chosen, val=val, device=device, num_processes=num_processes, banks=options.banks
        )
        text = (
            "train: would learn {num_classes} classes from {num_persons:,} persons in {num_key_frames:,} key-frames "
            "({num_empty:,} show nobody) in {steps:,} steps of {epochs} epochs, about {hours:,} hours and at least "
            "{memory_gb:,} GB; {num_val_key_frames:,} key-frames to validate"
        )
        if is_first:
            finish_json(plan) if as_json else click.echo(text.format(**plan))
        return
    num_workers = options.workers
    if num_workers is None:
        num_workers = len(os.sched_getaffinity(0)) // num_processes if pick_device(device) == "cuda" else 0
    if options.cache is not None:
        persons = _prepared(persons, cache=options.cache / "train", recipe=chosen, num_workers=num_workers)
    with progress("train", total=None) as advance:
        try:
            summary = run_train_persons(
                persons,
                out=out,
                recipe=chosen,
                val=val,
                seed=seed,
                device=device,
                num_workers=num_workers,
                threads=threads,
                start=options.start,
                saving=Saving(every_steps=options.save_every_steps, every_s=60 * options.save_every_min),
                rejects=rejects,
                measure=person_map,
                banks=options.banks,
                on_step=lambda _line: advance(1),
                on_note=lambda note: click.echo(note, err=True),
            )
        except Interrupted as stop:
            if is_first:
                click.echo(f"gesta: {stop}", err=True)
            raise click.exceptions.Exit(stop.exit_code) from None
    if is_first:
        finish(summary, as_json=as_json)


def accounting_text(persons: PersonSet) -> str:
    """One line a part: what was listed, found, left out and is used.

    A release's persons, which have no parts, give one line too.
    """
    lines = []
    for account in persons.accounting:
        lacking = {
            "excluded": account.num_excluded, "not included": account.num_not_included,
            "without their video": account.num_video_missing, "outside their video": account.num_outside_video,
        }  # fmt: skip
        dropped = "".join(f", {number:,} {what}" for what, number in lacking.items() if number)
        lines.append(
            f"{account.part}: {account.num_used:,} of {account.num_listed:,} key-frames{dropped}; "
            f"{account.num_persons:,} persons, {account.num_no_persons:,} key-frames show nobody; "
            f"{account.num_videos_found:,} of {account.num_videos_listed:,} videos found"
        )
    return "\n".join(lines) or f"{len(persons):,} key-frames, {persons.num_persons:,} persons"


def _with_classes(recipe: PersonRecipe, classes: str | None) -> PersonRecipe:
    if classes is None:
        return recipe
    try:
        chosen = tuple(int(number) for number in classes.split(","))
    except ValueError:
        raise BadInput(f"--classes {classes}", mend="Want class ids with commas between them, such as 3,6,10") from None
    return dataclasses.replace(recipe, classes=chosen)


def _wanted(data: Path, *, split: str | None, options: PersonOptions) -> _Wanted:
    """What DATA holds of that split; None = train."""
    from gesta.train.persons.parts_file import SUFFIXES, read_parts_file

    given = [name for name, path in options.files.items() if path is not None]
    if data.is_dir() or data.suffix in SUFFIXES:
        if given:
            what = "A release has" if data.is_dir() else "The file names"
            raise BadInput(f"--{given[0]} goes with a csv", where=data, mend=f"{what} all it needs; leave it out")
        if data.is_dir():
            return _Wanted(release=data, split=split or "train")
        parts = read_parts_file(data)
        name = split or "train"
        if name not in parts:
            raise UnknownName(what="split", name=name, choices=parts, where=data)
        return _Wanted(sources=_chosen_parts(parts[name], options.parts, where=data))
    if split is not None:
        raise BadInput("--split goes with a release or a file of parts", where=data, mend="Leave it out")
    name = options.parts or "ava"
    return _Wanted(sources=(source_of(data, part=name, values=options.files),))


def _chosen_parts(sources: Sequence[AvaSource], parts: str | None, *, where: Path) -> tuple[AvaSource, ...]:
    if parts is None:
        return tuple(sources)
    names = parts.split(",")
    for name in names:
        if name not in [source.part for source in sources]:
            raise UnknownName(what="part", name=name, choices=[source.part for source in sources], where=where)
    return tuple(source for source in sources if source.part in names)


def _val_wanted(data: Path, named: str, *, options: PersonOptions) -> _Wanted:
    """What `--val` names: a split of DATA, or a path to a release, a file of parts or a csv.

    A csv for validation shares the folder of videos and the label map with the one that is learnt from, and nothing
    that belongs to the other's key-frames.
    """
    from gesta.train.clips import splits_of
    from gesta.train.persons.parts_file import SUFFIXES, read_parts_file

    splits: tuple[str, ...] = ()
    if data.is_dir():
        splits = splits_of(data)
    elif data.suffix in SUFFIXES:
        splits = tuple(read_parts_file(data))
    # Parts are chosen to learn from: what is learnt from one may be tried on all.
    options = dataclasses.replace(options, parts=None)
    if named in splits:
        return _wanted(data, split=named, options=options)
    path = Path(named)
    if not path.exists():
        raise BadInput(
            f"--val {named}: neither a split of {data} nor a path",
            mend=f"Name a split ({', '.join(splits) or 'none'}) or the validation key-frames' csv, parts or release",
        )
    is_csv = not path.is_dir() and path.suffix not in SUFFIXES
    kept = ("videos", "label-map") if is_csv else ()
    files = {name: options.files.get(name) if name in kept else None for name in options.files}
    return _wanted(path, split=None if is_csv else "val", options=dataclasses.replace(options, files=files))


def _read(wanted: _Wanted, *, recipe: PersonRecipe) -> tuple[PersonSet, list[Reject]]:
    from gesta.train.persons import read_ava_persons, read_release_persons

    if wanted.release is not None:
        return read_release_persons(
            wanted.release, split=wanted.split, class_ids=recipe.classes, outside=recipe.outside
        )
    return read_ava_persons(wanted.sources, class_ids=recipe.classes, outside=recipe.outside)


def _check(wanted: _Wanted, val: _Wanted | None, *, recipe: PersonRecipe, is_forced: bool) -> None:
    """Nothing, once the labels promise something; what was found is printed.

    Raises:
        BadInput: training on them is pointless, and not forced.
    """
    if wanted.release is not None:
        is_same = val is not None and val.release == wanted.release
        checked_release(
            wanted.release, split=wanted.split, val=val.split if val is not None and is_same else None,
            class_ids=recipe.classes, least_score=recipe.boxes.least_score, is_forced=is_forced,
        )  # fmt: skip
    else:
        checked_sources(
            wanted.sources, val=() if val is None else val.sources, class_ids=recipe.classes,
            least_score=recipe.boxes.least_score, is_forced=is_forced,
        )  # fmt: skip


def _prepared(persons: PersonSet, *, cache: Path, recipe: PersonRecipe, num_workers: int) -> PersonSet:
    from gesta.train.persons.prepared import prepare_key_frames, with_prepared

    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not cache.is_dir():
        raise BadInput("several processes would fill the cache at the same time", mend="Fill it with one process first")
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        with progress("cache", total=len(persons.examples)) as advance:
            prepare_key_frames(
                persons, out=cache, frames=recipe.frames, augment=recipe.augment, num_workers=num_workers,
                on_key_frames=advance,
            )  # fmt: skip
    return with_prepared(persons, cache, frames=recipe.frames, augment=recipe.augment)
