"""`gesta stats`: the numbers of a dataset or annotation file, or of several side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Literal

import click

from gesta.cli.options import dry_run_option, json_option

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("stats")
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--name", "names", multiple=True, help="Dataset of a TARGET, or DATASET/SPLIT; once a TARGET, in order.")
@click.option("--combined", help="What to call all datasets as one.  [default: their names with hyphens]")
@click.option("--from", "format_name", help="Format of the files, see `gesta convert --list`.  [default: looked at]")
@click.option("--label-map", type=_FILE, help="Names of AVA's classes.")
@click.option("--excluded", multiple=True, type=_FILE, help="Key-frames that do not count; may be repeated.")
@click.option("--included", type=_FILE, help="Times at which every video of an AVA csv has a key-frame.")
@click.option("--parents", type=_FILE, help="JSON of groups of classes, as Kinetics-400's parents.")
@click.option("--npmi-with", multiple=True, type=_FILE, help="File with the clip classes of boxed videos.")
@click.option(
    "--npmi-over",
    type=click.Choice(["labels", "clips"]),
    default="labels",
    show_default=True,
    help="What probabilities are shares of.",
)
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="Partners of each class (NPMI).")
@click.option(
    "--later",
    type=click.Path(exists=True, path_type=Path),
    help="A later list, or a work folder: which clips are there?",
)
@click.option("--catalogue", type=_FILE, help="csv with video_id and --column: shares of videos by it.")
@click.option("--column", default="continent", show_default=True, help="Column of the catalogue.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write.  [default: see above]")
@click.option("--pictures/--no-pictures", default=False, help="Draw the figures too, as PNG and SVG.")
@click.option("--max-classes", type=int, default=40, show_default=True, help="Classes to print; all are written.")
@dry_run_option
@json_option
def command(
    targets: tuple[Path, ...],
    names: tuple[str, ...],
    combined: str | None,
    format_name: str | None,
    label_map: Path | None,
    excluded: tuple[Path, ...],
    included: Path | None,
    parents: Path | None,
    npmi_with: tuple[Path, ...],
    npmi_over: Literal["labels", "clips"],
    top: int,
    later: Path | None,
    catalogue: Path | None,
    column: str,
    out: Path | None,
    pictures: bool,
    max_classes: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Count clips, videos and boxes per class and split, boxes per key-frame, box areas and durations.

    TARGET is a work folder, a release, or an annotation file of any format that gesta reads. Several are set side by
    side, or, under one --name, counted as one. Writes stats.json, one csv a table, and with --pictures the figures: to
    WORK/stats, or beside a release or a file, in a folder with its name and -stats at the end (of the first TARGET).
    With --dry-run the numbers are printed and nothing is written.

    \b
    Example:
      gesta stats work
      gesta stats kinetics-400_val.csv --out build/k400 --pictures
      gesta stats ava_val_v2.2.csv --label-map ava_action_list_v2.2.pbtxt --dry-run
      gesta stats ava_train_v2.2.csv kinetics_train_v1.0.csv --name AVA/train --name Kinetics/train
    """
    from gesta.stats import (
        Asked,
        Beside,
        Stats,
        named_targets,
        overlay_text,
        stats_of_targets,
        stats_text,
        write_stats,
    )

    beside = Beside(
        label_map=label_map, excluded=excluded, included=included, parents=parents, format_name=format_name
    )  # fmt: skip
    asked = Asked(
        npmi_with=npmi_with, npmi_over=npmi_over, top=top, later=later, catalogue=catalogue, column=column
    )  # fmt: skip
    stats = stats_of_targets(named_targets(targets, names), beside=beside, asked=asked, combined=combined)
    summary = None if dry_run else write_stats(stats, targets[0], out=out, pictures=pictures)
    if as_json:
        value = stats.as_json() if summary is None else {**stats.as_json(), "outputs": list(summary.outputs)}
        click.echo(json.dumps(value, sort_keys=True))
        return
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    if isinstance(stats, Stats):
        click.echo(stats_text(stats, width=width, max_classes=max_classes))
    else:
        click.echo(overlay_text(stats, width=width, max_classes=max_classes))
    if summary is not None:
        click.echo(f"\n{summary.line}; written: {Path(summary.outputs[0]).parent}")
