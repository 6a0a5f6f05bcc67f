"""`gesta release`: kept clips into an immutable, versioned dataset."""

from __future__ import annotations

import json
from pathlib import Path

import click
import polars as pl

from gesta.cli.options import dry_run_option, finish, json_option


@click.command("release")
@click.argument("work", type=click.Path(file_okay=False, exists=True, path_type=Path), required=False)
@click.option("--version", default="1.0.0", show_default=True, help="Names the release's folder.")
@click.option("--out", type=click.Path(path_type=Path), help="The release's folder.  [default: WORK/releases/VERSION]")
@click.option(
    "--fractions", type=(float, float, float), default=(0.7, 0.1, 0.2), show_default=True,
    help="Shares of train, val and test; they sum to 1.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the splits.")
@click.option("--name", default="dataset", show_default=True, help="Of the dataset, for its card.")
@click.option("--licence", default="unknown", show_default=True, help="Of the annotations, for the card: cc-by-4.0 …")
@click.option("--citation", default="", help="BibTeX for the card.  [default: an entry made from name and version]")
@click.option("--published", default="", help="Day of publication for the Croissant card, as 2026-05-17.")
@click.option("--verify", type=click.Path(file_okay=False, exists=True, path_type=Path), help="Check this release.")
@dry_run_option
@json_option
def command(
    work: Path | None, version: str, out: Path | None, fractions: tuple[float, float, float], seed: int, name: str,
    licence: str, citation: str, published: str, verify: Path | None, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Turn kept clips into a release: splits, tables, files in the world's formats, manifest and cards.

    Splits keep a video, and all footage found to be the same, in one part, and spread each class over the parts. A
    release is written whole and never changes: the same content again is "already done", other content wants another
    --version. --verify hashes every file of a release again and writes nothing.

    \b
    Example:
      gesta release work --version 1.0.0 --name my-actions --licence cc-by-4.0
      gesta release work --dry-run
      gesta release --verify work/releases/1.0.0
    """
    from gesta.release import plan_release, run_release, verify_release

    if verify is not None:
        summary = verify_release(verify)
        if as_json:
            finish(summary, as_json=True)
        else:
            click.echo(f"release: {summary.kept:,} files are as the manifest says")
        return
    work = _given(work)
    if dry_run:
        _show_plan(plan_release(work, fractions=fractions, seed=seed).counts, as_json=as_json)
        return
    summary = run_release(
        work, version=version, out=out, fractions=fractions, seed=seed, name=name, licence=licence, citation=citation,
        published=published,
    )  # fmt: skip
    finish(summary, as_json=as_json)


def _given(work: Path | None) -> Path:
    if work is None:
        raise click.UsageError("Missing argument 'WORK' (or --verify RELEASE).")
    return work


def _show_plan(counts: pl.DataFrame, *, as_json: bool) -> None:
    """Print videos (and boxes) per class and split."""
    if as_json:
        click.echo(json.dumps({"classes": counts.to_dicts()}, sort_keys=True))
        return
    wide = counts.pivot("split", index=["class_id", "name"], values=["num_videos", "num_boxes"])
    columns = [f"{what}_{split}" for what in ("num_videos", "num_boxes") for split in ("train", "val", "test")]
    click.echo(f"{'':>6}  {'':<36}{'videos':^24}{'box labels':^24}")
    click.echo(f"{'id':>6}  {'class':<36}" + f"{'train':>8}{'val':>8}{'test':>8}" * 2)
    for row in wide.iter_rows(named=True):
        numbers = "".join(f"{row[column]:>8,}" for column in columns)
        click.echo(f"{row['class_id']:>6}  {row['name'][:35]:<36}{numbers}")
    totals = "".join(f"{wide[column].sum():>8,}" for column in columns)
    click.echo(f"{'':>6}  {'all labels':<36}{totals}")
