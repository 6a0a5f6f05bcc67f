"""`gesta stats`: the numbers of a dataset or annotation file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from gesta.cli.options import dry_run_option, json_option


@click.command("stats")
@click.argument("target", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write.  [default: see above]")
@click.option(
    "--label-map", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Names of AVA's classes."
)
@click.option("--max-classes", type=int, default=40, show_default=True, help="Classes to print; all are written.")
@dry_run_option
@json_option
def command(
    target: Path, out: Path | None, label_map: Path | None, max_classes: int, dry_run: bool, as_json: bool
) -> None:
    """Count clips, videos and boxes per class, boxes per key-frame, box areas and durations.

    TARGET is a work folder, a release, or a csv file of Kinetics, AVA or AVA-Kinetics. Writes stats.json and one csv
    a table: to WORK/stats, or beside a release or a file, in a folder with its name and -stats at the end. With
    --dry-run the numbers are printed and nothing is written.

    \b
    Example:
      gesta stats work
      gesta stats kinetics-400_val.csv --out build/k400
      gesta stats ava_val_v2.2.csv --label-map ava_action_list_v2.2.pbtxt --dry-run
    """
    from gesta.stats import stats_of, stats_text, write_stats

    stats = stats_of(target, label_map=label_map)
    summary = None if dry_run else write_stats(stats, target, out=out)
    if as_json:
        value = stats.as_json() if summary is None else {**stats.as_json(), "outputs": list(summary.outputs)}
        click.echo(json.dumps(value, sort_keys=True))
        return
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    click.echo(stats_text(stats, width=width, max_classes=max_classes))
    if summary is not None:
        click.echo(f"\n{summary.line}; written: {Path(summary.outputs[0]).parent}")
