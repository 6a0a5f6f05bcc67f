"""Tables of studies: accuracies of several models with their bounds, as csv, JSON and Markdown.

A table has a row a model and split of clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from gesta.evaluate.classification import ranked_labels
from gesta.evaluate.clip_files import read_clip_labels, read_clip_scores
from gesta.evaluate.difficulty import share_interval
from gesta.evaluate.result_json import plain_json
from gesta.evaluate.text import table_text
from gesta.formats import read_label_map
from gesta.schema import BadInput
from gesta.tables import Json, Provenance, whole_file, write_json, write_text

Value = str | int | float | None
Row = Mapping[str, Value]

SCORE_FILES = ("scores.csv", "scores.parquet")


def scores_in(folder: Path) -> Path:
    """The file of scores in a folder that `gesta score` wrote.

    Raises:
        BadInput: there is none.
    """
    found = [folder / name for name in SCORE_FILES if (folder / name).is_file()]
    if not found:
        raise BadInput("the folder holds no scores", where=folder, mend="Want what `gesta score --out` wrote")
    return found[0]


def accuracy_row(folder: Path, *, ks: Sequence[int] = (1, 5), level: float = 0.95) -> dict[str, Value]:
    """Accuracies of the scores in a folder: num_clips, num_without_scores, and for each k top_k, top_k_low, top_k_high.

    A clip without scores is wrong. `mean_class_accuracy` is of the first guess. The bounds are of shares of
    independent clips.

    Args:
        folder: scores, labels.csv and label_map.pbtxt as `gesta score` writes them.
        ks: numbers of guesses.
        level: of the bounds.
    Raises:
        BadInput: a file is missing or broken, or no clip has a label.
    """
    classes = read_label_map(folder / "label_map.pbtxt")
    labels = read_clip_labels(folder / "labels.csv")
    scores = read_clip_scores(scores_in(folder))
    ranks = ranked_labels(labels, scores, class_ids=classes["class_id"].to_list())
    if not len(ranks):
        raise BadInput("no clip has a label", where=folder, mend="Score clips of a labelled set")
    num_clips = ranks["clip_id"].n_unique()
    row: dict[str, Value] = {
        "num_clips": num_clips,
        "num_without_scores": num_clips - ranks.join(scores, on="clip_id", how="semi")["clip_id"].n_unique(),
    }
    for k in ks:
        is_right = (ranks["rank"] < k).fill_null(value=False)
        low, high = share_interval(int(is_right.sum()), len(ranks), level=level)
        row |= {f"top_{k}": int(is_right.sum()) / len(ranks), f"top_{k}_low": low, f"top_{k}_high": high}
    first = ranks.with_columns(is_right=(ranks["rank"] == 0).fill_null(value=False))
    by_class = first.group_by("class_id").agg(pl.col("is_right").mean())["is_right"]
    row["mean_class_accuracy"] = sum(by_class.sort()) / len(by_class)
    return row


def markdown_table(rows: Sequence[Row], *, columns: Mapping[str, str]) -> str:
    """The rows as a table of Markdown with an end of line; shares (floats up to 1) in percent with one decimal.

    Args:
        rows: values by column; what a row lacks stays empty.
        columns: heading of each column that is shown, in order.

    >>> rows = [{"name": "100", "top_1": 0.3881}, {"name": "all"}]
    >>> print(markdown_table(rows, columns={"name": "clips", "top_1": "top-1"}))
    | clips | top-1 |
    |---|---|
    | 100 | 38.8 % |
    | all |  |
    """
    lines = [f"| {' | '.join(columns.values())} |", "|" + "---|" * len(columns)]
    lines += [f"| {' | '.join(cell_text(row.get(name)) for name in columns)} |" for row in rows]
    return "\n".join(lines) + "\n"


def study_text(rows: Sequence[Row], *, columns: Mapping[str, str]) -> str:
    """The rows as aligned text for a terminal."""
    return table_text([*columns.values(), ""], [[*(cell_text(row.get(name)) for name in columns), ""] for row in rows])


def cell_text(value: Value) -> str:
    """The value as a cell: shares in percent, counts with commas.

    >>> [cell_text(value) for value in (0.5931, 545793, "all", None)]
    ['59.3 %', '545,793', 'all', '']
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{100 * value:.1f} %"
    return f"{value:,}" if isinstance(value, int) else value


def write_study(
    out: Path, rows: Sequence[Row], *, columns: Mapping[str, str], made_by: Provenance, notes: Mapping[str, Json]
) -> tuple[Path, ...]:
    """The paths written: `study.json`, `study.csv` and `study.md`, each whole.

    Args:
        out: folder.
        rows: values by column.
        columns: heading of each column of the Markdown table.
        made_by: what ran.
        notes: more for the JSON.
    Raises:
        BadInput: there is no row.
    """
    if not rows:
        raise BadInput("the study has no row", mend="Finish at least one run")
    value = {"rows": plain_json([dict(row) for row in rows]), **notes, "made_by": made_by.as_json()}
    write_json(out / "study.json", value)
    with whole_file(out / "study.csv") as temporary:
        pl.DataFrame([dict(row) for row in rows], infer_schema_length=None).write_csv(temporary)
    write_text(out / "study.md", markdown_table(rows, columns=columns))
    return tuple(out / name for name in ("study.json", "study.csv", "study.md"))
