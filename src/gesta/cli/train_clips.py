"""The part of `gesta train` that trains clip models: from options to clips, weights and one line at the end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gesta.cli.options import finish, finish_json
from gesta.cli.progress import progress
from gesta.schema import BadInput

if TYPE_CHECKING:
    from gesta.schema import Reject
    from gesta.train.clips import ClipRecipe, ClipSet


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOptions:
    """What the command line says of a clip run beside what it says of every run."""

    split: str | None
    val: str | None
    videos: Path | None
    label_map: Path | None
    start: str | None
    workers: int | None
    cache: Path | None
    save_every_min: float
    save_every_steps: int


def train_clips(
    data: Path,
    *,
    recipe: str,
    out: Path,
    seed: int,
    device: str,
    threads: int | None,
    options: ClipOptions,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train, or say what would be trained, and print one line.

    Raises:
        click.exceptions.Exit: SIGTERM or SIGINT came (143 or 130); the checkpoint is written.
    """
    from gesta.train.clips import Interrupted, Saving, find_clip_recipe, run_train_clips
    from gesta.train.clips.plan import plan_train_clips
    from gesta.train.devices import pick_device

    chosen = find_clip_recipe(recipe)
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    clips, rejects = _clips_of(data, split=options.split, options=options, recipe=chosen)
    val = _val_of(data, options=options, recipe=chosen)
    is_first = os.environ.get("RANK", "0") == "0"
    if dry_run:
        plan = plan_train_clips(
            clips, recipe=chosen, val=val, seed=seed, device=device, num_processes=num_processes
        )  # fmt: skip
        text = (
            "train: would learn {num_classes} classes from {num_clips:,} clips in {steps:,} steps of {epochs} epochs, "
            "about {hours:,} hours and at least {memory_gb:,} GB; {num_val_clips:,} clips to validate"
        )
        if is_first:
            finish_json(plan) if as_json else click.echo(text.format(**plan))
        return
    num_workers = options.workers
    if num_workers is None:
        num_workers = len(os.sched_getaffinity(0)) // num_processes if pick_device(device) == "cuda" else 0
    if options.cache is not None:
        clips, val = _prepared(clips, val, options=options, recipe=chosen, num_workers=num_workers)
    with progress("train", total=None) as advance:
        try:
            summary = run_train_clips(
                clips,
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
                on_step=lambda _line: advance(1),
                on_note=lambda note: click.echo(note, err=True),
            )
        except Interrupted as stop:
            if is_first:
                click.echo(f"gesta: {stop}", err=True)
            raise click.exceptions.Exit(stop.exit_code) from None
    if is_first:
        finish(summary, as_json=as_json)


def _clips_of(
    data: Path, *, split: str | None, options: ClipOptions, recipe: ClipRecipe
) -> tuple[ClipSet, list[Reject]]:
    from gesta.train.clips import open_clips, splits_of

    named = split
    if named is None and "train" in splits_of(data):
        named = "train"
    return open_clips(
        data, split=named, videos=options.videos, label_map=options.label_map, frames=recipe.frames
    )  # fmt: skip


def _val_of(data: Path, *, options: ClipOptions, recipe: ClipRecipe) -> ClipSet | None:
    """The validation clips: `--val` is a split of DATA, or else a path to clips of their own."""
    from gesta.train.clips import open_clips, splits_of

    if options.val is None:
        return None
    if options.val in splits_of(data):
        return _clips_of(data, split=options.val, options=options, recipe=recipe)[0]
    path = Path(options.val)
    if not path.exists():
        names = ", ".join(splits_of(data)) or "none"
        raise BadInput(
            f"--val {options.val}: neither a split of {data} nor a path",
            mend=f"Name a split ({names}) or the validation clips' list, release or folder",
        )
    split = "val" if "val" in splits_of(path) else None
    return open_clips(
        path, split=split, videos=options.videos, label_map=options.label_map, frames=recipe.frames
    )[0]  # fmt: skip


def _prepared(
    clips: ClipSet, val: ClipSet | None, *, options: ClipOptions, recipe: ClipRecipe, num_workers: int
) -> tuple[ClipSet, ClipSet | None]:
    from gesta.train.clips import open_prepared, run_prepare

    assert options.cache is not None
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise BadInput(
            "several processes would fill the cache at the same time", mend="Run `gesta prepare` first and train on OUT"
        )
    cache = options.cache

    def prepared(name: str, each: ClipSet) -> ClipSet:
        with progress(f"cache {name}", total=len(each.examples)) as advance:
            run_prepare(
                each, out=cache / name, form="uint8", frames=recipe.frames, num_workers=num_workers, on_clips=advance
            )  # fmt: skip
        return open_prepared(cache / name, frames=recipe.frames)

    return prepared("train", clips), None if val is None else prepared("val", val)
