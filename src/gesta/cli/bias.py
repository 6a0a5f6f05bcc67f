"""`gesta bias`: who is shown in each class, and whether a classifier recognises some worse than others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import polars as pl

from gesta.cli.options import json_option

if TYPE_CHECKING:
    from gesta.stats.bias import Bias

_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)
_TIMES = re.compile(r"_\d{6}_\d{6}\Z")
"""The end of a clip's name as Kinetics names its files: start and end in whole seconds."""


@click.command("bias")
@click.argument("target", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--attributes", type=_FILE, required=True, help="csv with clip_id or video_id, and a column an attribute."
)
@click.option("--columns", default="", help="Attributes, with commas between them.  [default: all of the csv]")
@click.option("--scores", type=_FILE, help="Scores of clips, as `gesta evaluate clips` takes them.")
@click.option("--label-map", type=_FILE, help="Class ids, where TARGET is a list with names and there are --scores.")
@click.option("--split", help="Only clips of this split of a release count for --scores.")
@click.option("--top", default=1, show_default=True, type=click.IntRange(min=1), help="Guesses that a clip has.")
@click.option("--dominated", default=0.8, show_default=True, help="Share from which a value dominates a class.")
@click.option("--min-clips", default=5, show_default=True, help="Smallest subgroup, and rest of it, to compare.")
@click.option("--level", default=0.95, show_default=True, help="Confidence of intervals and tests.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the tables as csv and JSON.")
@click.option("--max-rows", default=20, show_default=True, help="Rows of a table to print; all are written.")
@json_option
def command(
    target: Path, attributes: Path, columns: str, scores: Path | None, label_map: Path | None, split: str | None,
    top: int, dominated: float, min_clips: int, level: float, out: Path | None, max_rows: int, as_json: bool,
) -> None:  # fmt: skip
    """Say which classes of TARGET are dominated by one gender, age or region, and who is classified worse.

    TARGET is a work folder, a release or an annotation file. With --scores every subgroup of a class is compared with
    the rest of its class (Fisher's exact test), and every subgroup with the others over all classes (Mantel and
    Haenszel). The p-values are corrected for the number of tests, by Holm and by Benjamini and Hochberg.

    \b
    Example:
      gesta bias work --attributes people.csv --columns gender,age
      gesta bias work/releases/1.0.0 --attributes people.csv --scores scores.csv --split test --out bias
    """
    from gesta.formats import read_label_map
    from gesta.stats import Beside, rows_of
    from gesta.stats.attributes import read_attributes
    from gesta.stats.bias import bias_of, write_bias

    if split is not None and target.is_file():
        raise click.UsageError("--split is for work folders and releases; name the list of the split instead.")
    listed = [name.strip() for name in columns.split(",") if name.strip()]
    rows = rows_of(target, beside=Beside())
    known = read_attributes(attributes, columns=listed)
    names = dict(rows.names.select("class_id", "name").iter_rows())
    scored = None
    if scores is not None:
        classes = rows.names if label_map is None else read_label_map(label_map)
        clips = rows.clips if split is None else rows.clips.filter(split=split)
        if target.is_file():
            clips = _clips_of_list(target, classes)
        scored = _as_called(scored_clips(clips, scores, classes=classes, top=top), classes, rows.names)
    found = bias_of(
        rows.clips, known, names=names, scored=scored, what=rows.what, level=level, dominated=dominated,
        min_clips=min_clips,
    )  # fmt: skip
    if out is not None:
        write_bias(found, out)
    click.echo(json.dumps(found.as_json(), sort_keys=True) if as_json else "\n".join(_lines(found, max_rows=max_rows)))


def _clips_of_list(path: Path, classes: pl.DataFrame) -> pl.DataFrame:
    """Clips of a list under the names that scores have: `clip_id`, `video_id`, `class_id`."""
    from gesta.evaluate.clip_files import read_clip_labels

    labels = read_clip_labels(path, label_map=classes)
    videos = [_TIMES.sub("", clip_id) for clip_id in labels["clip_id"]]
    return labels.with_columns(pl.Series("video_id", videos, dtype=pl.String))


def _as_called(scored: pl.DataFrame, classes: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """The scored clips with the dataset's ids of classes: a list without ids numbers its classes by itself."""
    ids = classes.select(pl.col("class_id").alias("theirs"), "name").join(
        names.select("class_id", "name").rename({"class_id": "ours"}), on="name"
    )
    joined = scored.join(ids, left_on="class_id", right_on="theirs", maintain_order="left")
    return joined.select("clip_id", "video_id", pl.col("ours").alias("class_id"), "is_right")


def scored_clips(clips: pl.DataFrame, scores: Path, *, classes: pl.DataFrame, top: int) -> pl.DataFrame:
    """Which labels of the clips that have scores were guessed: `clip_id`, `video_id`, `class_id`, `is_right`.

    A guess is one of the `top` highest scores of a clip, of equal ones the lower class id first.

    Raises:
        BadInput: no clip has scores, or the file cannot be read.
        BadRow: a line of the file is wrong.
    """
    from gesta.evaluate.clip_files import read_clip_scores
    from gesta.schema import BadInput

    found = read_clip_scores(scores, label_map=classes)
    guesses = (
        found.sort(["clip_id", "score", "class_id"], descending=[False, True, False])
        .group_by("clip_id", maintain_order=True)
        .agg(pl.col("class_id").head(top).alias("guesses"))
    )
    joined = clips.select("clip_id", "video_id", "class_id").unique(maintain_order=True).join(guesses, on="clip_id")
    if not len(joined):
        raise BadInput("no clip of the scores is one of the dataset's", where=scores, mend="Compare the clip ids")
    is_right = pl.col("class_id").is_in(pl.col("guesses")).alias("is_right")
    return joined.select("clip_id", "video_id", "class_id", is_right)


def _lines(found: Bias, *, max_rows: int) -> list[str]:
    from gesta.stats.bias import DOMINANT, verdicts_of

    lines = [found.what, ""]
    for column in found.columns:
        verdicts = verdicts_of(found.balance).filter(column=column)
        counts = ", ".join(f"{verdict} {num:,}" for _, verdict, num in verdicts.iter_rows())
        lines.append(f"{column}: of {verdicts['num_classes'].sum():,} classes {counts}")
    strong = found.balance.filter(verdict=DOMINANT).sort(["low", "name"], descending=[True, False])
    if len(strong):
        lines += [
            "",
            f"{'dominated class':<32}{'attribute':<12}{'value':<16}{'share':>7}{'from':>7}{'to':>7}{'known':>8}",
        ]
    for row in strong.head(max_rows).iter_rows(named=True):
        ends = "".join(f"{100 * row[name]:>6.1f}%" for name in ("share", "low", "high"))
        lines.append(
            f"{row['name'][:31]:<32}{row['column'][:11]:<12}{row['value'][:15]:<16}{ends}{row['num_known']:>8,}"
        )
    if len(found.accuracy):
        lines += ["", *_accuracy_lines(found, max_rows=max_rows)]
    return lines


def _accuracy_lines(found: Bias, *, max_rows: int) -> list[str]:
    alpha = 1 - found.level
    tests = found.accuracy.drop_nulls("p").unique(["column", "test"]).height
    lines = [
        f"{'over all classes':<28}{'clips':>8}{'right':>8}{'from':>7}{'to':>7}{'odds':>7}{'p':>9}{'Holm':>9}{'BH':>9}"
    ]
    for row in found.overall.iter_rows(named=True):
        ends = "".join(f"{100 * row[name]:>6.1f}%" for name in ("low", "high"))
        odds = "-" if row["odds_ratio"] is None else f"{row['odds_ratio']:.2f}"
        who = f"{row['column']} {row['value']}"[:27]
        lines.append(f"{who:<28}{row['num_clips']:>8,}{100 * row['accuracy']:>7.1f}%{ends}{odds:>7}{_p_texts(row)}")
    lines += ["", f"{tests:,} comparisons within classes; below {alpha:.2g} by Benjamini and Hochberg:"]
    strong = found.accuracy.filter(pl.col("p_bh") < alpha).sort("p", "name", "value")
    for row in strong.head(max_rows).iter_rows(named=True):
        ends = f"{100 * row['difference_low']:+.1f} to {100 * row['difference_high']:+.1f}"
        ours = f"{row['column']} {row['value']}: {100 * row['accuracy']:.1f}% of {row['num_clips']:,}"
        rest = f"the rest {100 * row['rest_accuracy']:.1f}% of {row['num_rest']:,}"
        lines.append(f"  {row['name'][:27]:<28}{ours}, {rest} ({ends});{_p_texts(row)}")
    return lines if len(strong) else [*lines, "  none"]


def _p_texts(row: dict[str, float | None]) -> str:
    return "".join(f"{'-' if row[name] is None else format(row[name], '.2g'):>9}" for name in ("p", "p_holm", "p_bh"))
