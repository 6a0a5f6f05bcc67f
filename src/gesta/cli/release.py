"""`gesta release`: kept clips into an immutable, versioned dataset."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gesta.cli.options import dry_run_option, finish, json_option

if TYPE_CHECKING:
    from gesta.release import Plan

_FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)
_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.command("release")
@click.argument("work", type=click.Path(file_okay=False, exists=True, path_type=Path), required=False)
@click.option("--version", default="1.0.0", show_default=True, help="Names the release's folder.")
@click.option("--out", type=click.Path(path_type=Path), help="The release's folder.  [default: WORK/releases/VERSION]")
@click.option(
    "--fractions", type=(float, float, float), default=(0.7, 0.1, 0.2), show_default=True,
    help="Shares of train, val and test; they sum to 1.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the splits.")
@click.option("--per-class", help="Clips a class instead: val=50,test=100,min-train=250,max=1000; max is of train.")
@click.option(
    "--short", type=click.Choice(["keep", "leave-out", "refuse"]), default="keep", show_default=True,
    help="What becomes of classes that --per-class finds too small.",
)  # fmt: skip
@click.option("--after", type=_FOLDER, help="The earlier release: its videos keep their splits.")
@click.option("--carry", is_flag=True, help="Keep what WORK lacks of the earlier release.")
@click.option("--gone", type=_FILE, help="Ids of videos that --carry leaves out: a line each, or csv with video_id.")
@click.option("--name", default="dataset", show_default=True, help="Of the dataset, for its card.")
@click.option("--licence", default="unknown", show_default=True, help="Of the annotations, for the card: cc-by-4.0 …")
@click.option("--citation", default="", help="BibTeX for the card.  [default: an entry made from name and version]")
@click.option("--published", default="", help="Day of publication for the Croissant card, as 2026-05-17.")
@click.option("--verify", type=click.Path(file_okay=False, exists=True, path_type=Path), help="Check this release.")
@dry_run_option
@json_option
def command(
    work: Path | None, version: str, out: Path | None, fractions: tuple[float, float, float], seed: int,
    per_class: str | None, short: Literal["keep", "leave-out", "refuse"], after: Path | None, carry: bool,
    gone: Path | None, name: str, licence: str, citation: str, published: str, verify: Path | None, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Turn kept clips into a release: splits, tables, files in the world's formats, manifest and cards.

    Splits keep a video, and all footage found to be the same, in one part, and spread each class over the parts. A
    release is written whole and never changes: the same content again is "already done", other content wants another
    --version. --verify hashes every file of a release again and writes nothing.

    --after makes the next version of a release: each of its videos keeps its split for ever, what shows the same
    footage joins it there, and the card says what changed. --per-class gives val and test a fixed number of clips of
    each class, as Kinetics does.

    \b
    Example:
      gesta release work --version 1.0.0 --name my-actions --licence cc-by-4.0
      gesta release work --version 1.1.0 --after work/releases/1.0.0
      gesta release work --per-class val=50,test=100,min-train=250,max=1000 --short leave-out
      gesta release work --dry-run
      gesta release --verify work/releases/1.0.0
    """
    from gesta.release import Splitting, parse_per_class, plan_release, read_video_ids, run_release, verify_release

    if verify is not None:
        summary = verify_release(verify)
        if as_json:
            finish(summary, as_json=True)
        else:
            click.echo(f"release: {summary.kept:,} files are as the manifest says")
        return
    work = _given(work)
    if (carry and after is None) or (gone is not None and not carry):
        raise click.UsageError("--carry needs --after, and --gone needs --carry.")
    rule = None if per_class is None else parse_per_class(per_class)
    splitting = Splitting(
        fractions=fractions, seed=seed, per_class=rule, short=short, after=after, carry=carry,
        gone=frozenset() if gone is None else read_video_ids(gone),
    )  # fmt: skip
    if dry_run:
        _show_plan(plan_release(work, splitting=splitting), as_json=as_json)
        return
    summary = run_release(
        work, version=version, out=out, name=name, licence=licence, citation=citation, published=published,
        splitting=splitting,
    )  # fmt: skip
    finish(summary, as_json=as_json)
    if not as_json:
        _tell_growth(summary.numbers)


def _given(work: Path | None) -> Path:
    if work is None:
        raise click.UsageError("Missing argument 'WORK' (or --verify RELEASE).")
    return work


def _tell_growth(numbers: Mapping[str, Any]) -> None:
    """Print what changed since the earlier version, and the classes that are short, where there are such."""
    if "diff" in numbers:
        click.echo(f"since {numbers['diff']['before']}: {numbers['diff']['line']}")
    for row in numbers.get("short_classes", ()):
        splits = ", ".join(f"{split} {row[f'num_{split}']:,}" for split in ("train", "val", "test"))
        click.echo(f"short: {row['name']} has {row['num_clips']:,} clips ({splits})")


def _show_plan(plan: Plan, *, as_json: bool) -> None:
    """Print videos (and boxes) per class and split, short classes and what changed."""
    growth: dict[str, Any] = {}
    if plan.diff is not None:
        growth["diff"] = plan.diff.as_json()
    if plan.short_classes:
        growth["short_classes"] = [dataclasses.asdict(row) for row in plan.short_classes]
    if as_json:
        click.echo(json.dumps({"classes": plan.counts.to_dicts(), **growth}, sort_keys=True))
        return
    wide = plan.counts.pivot("split", index=["class_id", "name"], values=["num_videos", "num_boxes"])
    columns = [f"{what}_{split}" for what in ("num_videos", "num_boxes") for split in ("train", "val", "test")]
    click.echo(f"{'':>6}  {'':<36}{'videos':^24}{'box labels':^24}")
    click.echo(f"{'id':>6}  {'class':<36}" + f"{'train':>8}{'val':>8}{'test':>8}" * 2)
    for row in wide.iter_rows(named=True):
        numbers = "".join(f"{row[column]:>8,}" for column in columns)
        click.echo(f"{row['class_id']:>6}  {row['name'][:35]:<36}{numbers}")
    totals = "".join(f"{wide[column].sum():>8,}" for column in columns)
    click.echo(f"{'':>6}  {'all labels':<36}{totals}")
    _tell_growth(growth)
