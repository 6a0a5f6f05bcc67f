"""The part of `gesta prepare` that shortens films to what training on persons is shown of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from gesta.cli.options import finish_json
from gesta.cli.person_data import open_persons
from gesta.cli.progress import progress
from gesta.schema import BadInput
from gesta.tables import Json


def prepare_persons(
    data: Path,
    *,
    out: Path,
    recipe: str,
    form: str,
    splits: Sequence[str],
    videos: Path | None,
    label_map: Path | None,
    excluded: Path | None,
    clip_labels: Path | None,
    num_workers: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Short films in a folder for each part, and one line a part.

    Args:
        data: a release, a csv in AVA's layout, or a file of parts.
        out: folder of the folders.
        recipe: of persons.
        form: only "short-gop".
        splits: of a release or file of parts; none = train.
        videos: folder of a csv's videos.
        label_map: of a csv.
        excluded: of a csv.
        clip_labels: of a csv.
        num_workers: processes that decode; 0 = this one.
        dry_run: count only.
        as_json: print one JSON object.
    Raises:
        BadInput: another form is asked for, or the data cannot be read.
        UnknownName: no such split.
    """
    from gesta.train.persons import take_parts
    from gesta.train.persons.recipes import find_person_recipe
    from gesta.train.persons.short_films import shorten_films

    if form != "short-gop":
        raise BadInput(
            f"--form {form} is for clips, and {recipe!r} is a recipe of persons",
            mend="Take --form short-gop here, or `gesta train --cache`, which keeps raw key-frames",
        )
    chosen = find_person_recipe(recipe)
    lines: list[dict[str, Json]] = []
    for split in splits or (None,):
        persons, missing = open_persons(
            data, split=split or _first_split(data), videos=videos, label_map=label_map, excluded=excluded,
            clip_labels=clip_labels,
        )  # fmt: skip
        for part in sorted({example.part for example in persons.examples}):
            of_part = take_parts(persons, [part])
            num_films = len({example.path for example in of_part.examples})
            folder = out / part
            about: dict[str, Json] = {
                "split": split, "part": part, "out": str(folder), "num_key_frames": len(of_part),
                "num_films": num_films, "num_missing": len(missing),
            }  # fmt: skip
            if not dry_run:
                with progress(f"prepare {part}", total=num_films) as advance:
                    summary = shorten_films(
                        of_part, out=folder, frames=chosen.frames, augment=chosen.augment,
                        num_workers=num_workers, on_films=advance,
                    )  # fmt: skip
                about |= {"line": summary.line, **summary.as_json()}
            lines.append(about)
    if as_json:
        return finish_json({"parts": lines})
    for line in lines:
        would = "would shorten {num_films:,} films about {num_key_frames:,} key-frames to {out}".format(**line)
        click.echo(f"prepare: {would}" if dry_run else f"{line['part']}: {line['line']}; give --videos {line['out']}")
    return None


def _first_split(data: Path) -> str | None:
    """The split that is prepared where none is named: of a csv none, else train."""
    from gesta.train.persons.parts_file import SUFFIXES

    return "train" if data.is_dir() or data.suffix in SUFFIXES else None
