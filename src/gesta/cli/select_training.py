"""`gesta select-training`: which clips of another dataset to annotate next, for the sake of weak classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gesta.cli.options import dry_run_option, finish, json_option

if TYPE_CHECKING:
    from gesta.mine.relate import Related
    from gesta.schema import SelectedClip

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT = click.Path(dir_okay=False, path_type=Path)


@click.command("select-training")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--scores", type=click.Path(exists=True, path_type=Path), help="Table class_scores, or folder with it.")
@click.option("--worst", type=int, help="How many classes of the lowest average precision are weak.")
@click.option("--below", type=float, help="Classes with less than this average precision are weak.")
@click.option("--weak", help="Weak classes instead: a list of names, or a shipped list of actions.")
@click.option(
    "--match", "matches", default="name,verb", show_default=True, help="How classes are related: name, verb, object."
)
@click.option("--pairs-out", type=_OUT, help="Write the related classes as csv, to be gone over by hand.")
@click.option("--pairs", type=_FILE, help="Take the related classes from this csv instead of matching names.")
@click.option("--uniform", "num_uniform", type=int, default=0, show_default=True, help="Clips to draw of the rest.")
@click.option("--max-per-class", type=int, help="Clips of a related class at most.  [default: all]")
@click.option("--split", help="Only clips of this split of SOURCE.")
@click.option("--label-map", type=_FILE, help="Ids of SOURCE's classes, where it is a file with names.")
@click.option("--excluded", type=_FILE, help="Clips annotated already: a list of ids, or an earlier selection.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws.")
@click.option("--out", type=_OUT, help="File to write the chosen clips to: .csv, .jsonl, .parquet.")
@dry_run_option
@json_option
def command(
    source: Path,
    *,
    scores: Path | None,
    worst: int | None,
    below: float | None,
    weak: str | None,
    matches: str,
    pairs_out: Path | None,
    pairs: Path | None,
    num_uniform: int,
    max_per_class: int | None,
    split: str | None,
    label_map: Path | None,
    excluded: Path | None,
    seed: int,
    out: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Choose clips of SOURCE to annotate: of classes related to weak ones, then a uniform draw of the rest.

    SOURCE is a work folder with verdicts, or a list of labelled clips as Kinetics' csv. Weak classes come from an
    evaluation, or are named. Classes are related when their names share words; look the pairs over with --pairs-out,
    and give the mended file back with --pairs.

    \b
    Example:
      gesta select-training kinetics-700_train.csv --scores out --worst 27 --pairs-out pairs.csv
      gesta select-training kinetics-700_train.csv --pairs pairs.csv --uniform 20000 --out selected.csv
    """
    from gesta.mine.relate import read_related, related_classes, write_related
    from gesta.mine.selection import run_selection, source_clips

    clips, classes = source_clips(source, split=split, label_map=label_map)
    names = [row.name for row in classes]
    if pairs is not None:
        related = read_related(pairs, sources=names)
    else:
        targets = _weak_names(scores=scores, worst=worst, below=below, weak=weak)
        wanted = [match.strip() for match in matches.split(",") if match.strip()]
        related = related_classes(targets, names, matches=wanted)
        _warn_of_lonely(targets, related, as_json=as_json)
    if pairs_out is not None and not dry_run:
        write_related(pairs_out, related)
    chosen, summary = run_selection(
        clips,
        classes=classes,
        related=related,
        num_uniform=num_uniform,
        max_per_class=max_per_class,
        seed=seed,
        excluded=excluded,
        source=source,
        split=split,
        out=None if dry_run else out,
    )
    if not as_json:
        _show(related, chosen)
    finish(summary, as_json=as_json)


def _weak_names(*, scores: Path | None, worst: int | None, below: float | None, weak: str | None) -> list[str]:
    """Names of the weak classes, from an evaluation or a list.

    Raises:
        BadInput: neither is given, or both are.
    """
    from gesta.mine.actions import read_actions
    from gesta.mine.relate import weak_classes
    from gesta.schema import BadInput
    from gesta.tables import read_table, rows_of

    if (scores is None) == (weak is None):
        raise BadInput("weak classes come from --scores or --weak", mend="Give one of them, or --pairs")
    if scores is not None:
        return weak_classes(rows_of("class_scores", read_table(scores, "class_scores")), worst=worst, below=below)
    return [row.name for row in read_actions(weak or "").classes]


def _warn_of_lonely(targets: Sequence[str], related: Sequence[Related], *, as_json: bool) -> None:
    matched = {pair.target for pair in related}
    lonely = [name for name in targets if name not in matched]
    if lonely and not as_json:
        click.echo(f"no class is related to: {'; '.join(lonely)}")


def _show(related: Sequence[Related], chosen: Sequence[SelectedClip]) -> None:
    per_class = Counter(row.name for row in chosen if row.reason == "related")
    by_target: dict[str, list[str]] = {}
    for pair in related:
        by_target.setdefault(pair.target, []).append(f"{pair.source} ({per_class[pair.source]:,})")
    for target, sources in by_target.items():
        click.echo(f"{target}: {', '.join(sources)}")
