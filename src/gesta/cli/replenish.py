"""`gesta replenish`: what a release has lost, which classes are small, and how many candidates would fill them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
import polars as pl

from gesta.cli.options import dry_run_option, json_option

if TYPE_CHECKING:
    from gesta.release.replenish import Replenishment

_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command("replenish")
@click.argument("release", type=click.Path(file_okay=False, exists=True, path_type=Path))
@click.option(
    "--want", default=700, show_default=True, type=click.IntRange(min=1), help="Clips that a class shall have."
)
@click.option(
    "--there", type=click.Path(exists=True, path_type=Path),
    help="Videos to be had: a list of ids or a work folder.  [default: those whose file is in its place]",
)  # fmt: skip
@click.option("--gone", type=_FILE, help="Videos not to be had: a list of ids, or csv with video_id.")
@click.option(
    "--yields", type=click.Path(exists=True, path_type=Path),
    help="Work folder whose yields count, or csv with name,num_asked,num_published.",
)  # fmt: skip
@click.option("--level", default=0.95, show_default=True, help="How sure the bounds of the candidates are.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder.  [default: RELEASE-replenish]")
@click.option("--max-classes", default=20, show_default=True, help="Classes to print; all are written.")
@dry_run_option
@json_option
def command(
    release: Path, want: int, there: Path | None, gone: Path | None, yields: Path | None, level: float,
    out: Path | None, max_classes: int, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Find videos of RELEASE that have disappeared and classes below --want, and plan what to collect.

    The number of candidates of a class comes from its yield, the share of decided candidates that was published, as
    measured in --yields: with even odds it is enough, and what will be needed lies within the bounds. Writes
    replenish.json, gone.csv, retained.csv and classes.csv. When the new clips are curated, the next version is

    \b
      gesta release WORK --after RELEASE --carry --gone RELEASE-replenish/gone.csv --version 2.0.0

    \b
    Example:
      gesta replenish work/releases/1.0.0 --yields work
      gesta replenish work/releases/1.0.0 --there still-online.txt --yields work --want 700 --dry-run
    """
    from gesta.release.replenish import gone_videos, read_yields, replenishment_of, write_replenishment

    found = replenishment_of(
        release, gone=gone_videos(release, there=there, gone=gone), num_wanted=want, level=level,
        yields=None if yields is None else read_yields(yields),
    )  # fmt: skip
    summary = None if dry_run else write_replenishment(found, release, out=out)
    if as_json:
        outputs = {} if summary is None else {"outputs": list(summary.outputs)}
        click.echo(json.dumps({**found.as_json(), **outputs}, sort_keys=True))
        return
    _show(found, max_classes=max_classes)
    if summary is not None:
        click.echo(f"written: {Path(summary.outputs[0]).parent}")


def _show(found: Replenishment, *, max_classes: int) -> None:
    """Print what is gone by split, and the classes that need most candidates."""
    click.echo(f"{'split':<8}{'clips':>10}{'there':>10}{'share':>9}")
    for row in found.retained.iter_rows(named=True):
        click.echo(f"{row['split']:<8}{row['num_clips']:>10,}{row['num_available']:>10,}{100 * row['share']:>8.1f}%")
    short = found.classes.filter(pl.col("num_lacking") > 0)
    click.echo(
        f"\n{len(found.gone):,} videos are gone; {len(short):,} classes have fewer than {found.num_wanted:,} clips"
    )
    if not len(short):
        return
    click.echo(f"\n{'class':<32}{'there':>8}{'lacks':>8}{'yield':>8}{'candidates':>12}{'from':>10}{'to':>10}")
    for row in short.head(max_classes).iter_rows(named=True):
        share = "-" if row["yield_share"] is None else f"{100 * row['yield_share']:.1f}%"
        needs = (row["num_candidates"], row["num_candidates_low"], row["num_candidates_high"])
        texts = ["-" if number is None else f"{number:,}" for number in needs]
        click.echo(
            f"{row['name'][:31]:<32}{row['num_left']:>8,}{row['num_lacking']:>8,}{share:>8}"
            f"{texts[0]:>12}{texts[1]:>10}{texts[2]:>10}"
        )
    if len(short) > max_classes:
        click.echo(f"... and {len(short) - max_classes:,} more classes")
    if short["num_candidates"].null_count() < len(short):
        click.echo(f"together about {int(short['num_candidates'].sum()):,} candidates")
