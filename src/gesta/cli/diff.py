"""`gesta diff`: what changed between two versions of a dataset, and whether anything leaks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gesta.cli.options import finish_json, json_option

if TYPE_CHECKING:
    from gesta.release import Diff


@click.command("diff")
@click.argument("before", type=click.Path(exists=True, path_type=Path))
@click.argument("after", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--more-before", multiple=True, type=click.Path(exists=True, path_type=Path),
    help="Another list of the earlier version, such as of its test split; may be repeated.",
)  # fmt: skip
@click.option(
    "--more-after", multiple=True, type=click.Path(exists=True, path_type=Path),
    help="Another list of the later version; may be repeated.",
)  # fmt: skip
@click.option("--max-classes", default=10, show_default=True, help="Changed classes to print, most changed first.")
@json_option
def command(
    before: Path, after: Path, more_before: tuple[Path, ...], more_after: tuple[Path, ...], max_classes: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Say what came, went and moved between two releases, or two lists such as those of Kinetics.

    Clips are known by their id, in lists by video and times. A leak is a video of the later version's train that is in
    val or test of either version, by its id or as the same file. The second table has the shape of Kinetics-700-2020's
    table 2: clips of the earlier version whose video the later one has.

    \b
    Example:
      gesta diff work/releases/1.0.0 work/releases/2.0.0
      gesta diff kinetics-400_val.csv kinetics-600_val.csv --json
    """
    from gesta.release import diff_of, read_version

    found = diff_of(read_version([before, *more_before]), read_version([after, *more_after]))
    finish_json(found.as_json()) if as_json else click.echo("\n".join(_lines(found, max_classes=max_classes)))


def _lines(found: Diff, *, max_classes: int) -> list[str]:
    lines = [f"{found.before} to {found.after}: {found.line}", ""]
    columns = ("before", "added", "removed", "moved_in", "moved_out", "after")
    lines.append(f"{'split':<8}" + "".join(f"{name.replace('_', ' '):>11}" for name in columns))
    for row in found.splits.iter_rows(named=True):
        lines.append(f"{row['split']:<8}" + "".join(f"{row[f'num_{name}']:>11,}" for name in columns))
    lines += ["", f"{'split':<8}{'clips':>11}{'there':>11}{'share':>9}"]
    for row in found.retained.iter_rows(named=True):
        share = "-" if row["share"] is None else f"{100 * row['share']:.1f}%"
        lines.append(f"{row['split']:<8}{row['num_clips']:>11,}{row['num_available']:>11,}{share:>9}")
    changed = found.classes.with_columns((found.classes["num_added"] + found.classes["num_removed"]).alias("change"))
    changed = changed.filter(changed["change"] > 0).sort(["change", "name"], descending=[True, False])
    if len(changed):
        lines += ["", f"{'class':<36}{'before':>9}{'added':>9}{'removed':>9}{'after':>9}"]
    for row in changed.head(max_classes).iter_rows(named=True):
        numbers = "".join(f"{row[f'num_{name}']:>9,}" for name in ("before", "added", "removed", "after"))
        lines.append(f"{row['name'][:35]:<36}{numbers}")
    if len(changed) > max_classes:
        lines.append(f"... and {len(changed) - max_classes:,} more classes that changed")
    lines += [f"renamed: {old} is now {new}" for old, new in found.renamed]
    for row in found.leaks.head(max_classes).iter_rows(named=True):
        lines.append(f"leak: {row['video_id']} is in train, {row['other_video_id']} in {row['split']} {row['where']}")
    if found.num_seen:
        lines.append(f"{found.num_seen:,} videos of val or test were in train of the earlier version, or their footage")
    return lines
