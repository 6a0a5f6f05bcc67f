"""How much of what was looked at stays: candidates to released clips, and published clips to those still there."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from gesta.formats.delimited import read_text
from gesta.schema import BadInput, BadRow


def yields_of(
    candidates: pl.DataFrame, clip_labels: pl.DataFrame, kept: pl.DataFrame, *, names: pl.DataFrame
) -> pl.DataFrame:
    """What became of each class's candidates, best published first: one row a class that has candidates.

    Columns: class_id, name, num_candidates, num_asked (with a verdict of accepted or rejected), num_accepted,
    num_released (kept after de-duplication and filtering), accepted_share and released_share of those asked; null
    where none was asked.

    Args:
        candidates: `clip_id`, `class_id`.
        clip_labels: `clip_id`, `class_id`, `verdict`.
        kept: `clip_id`, `class_id`; empty before the curating stage.
        names: `class_id`, `name`.
    Source: Kinetics-700-2020, appendix A: the share of candidates voted positive by three or more, and the share
        published after de-duplication and the final filtering.
    """
    key = ["clip_id", "class_id"]
    listed = candidates.select(key).unique()
    verdicts = clip_labels.select(*key, "verdict").join(listed, on=key)
    released = kept.select(key).unique().join(listed, on=key)
    is_closed = pl.col("verdict").is_in(["accepted", "rejected"])
    per_class = (
        listed.group_by("class_id")
        .len("num_candidates")
        .join(
            verdicts.group_by("class_id").agg(
                is_closed.sum().alias("num_asked"), (pl.col("verdict") == "accepted").sum().alias("num_accepted")
            ),
            on="class_id",
            how="left",
        )
        .join(released.group_by("class_id").len("num_released"), on="class_id", how="left")
        .join(names.select("class_id", "name"), on="class_id", how="left")
    )
    counts = ("num_candidates", "num_asked", "num_accepted", "num_released")
    asked = pl.col("num_asked")
    return (
        per_class.with_columns([pl.col(name).fill_null(0).cast(pl.Int64) for name in counts])
        .with_columns(
            pl.when(asked > 0).then((pl.col(f"num_{what}") / asked).round(6)).alias(f"{what}_share")
            for what in ("accepted", "released")
        )
        .sort(["released_share", "accepted_share", "class_id"], descending=[True, True, False], nulls_last=True)
        .select("class_id", "name", *counts, "accepted_share", "released_share")
    )


RETENTION = {
    "name": pl.String(), "split": pl.String(), "num_clips": pl.Int64(), "num_available": pl.Int64(),
    "share": pl.Float64(),
}  # fmt: skip


def per_file_retention(availability: pl.DataFrame) -> pl.DataFrame:
    """Of the rows of each annotation file, how many name a video that is at hand: columns of `RETENTION`.

    Source: Kinetics-700-2020, table 2.
    """
    present = pl.when("is_present").then("num_rows").otherwise(0)
    return (
        availability.group_by(pl.col("file").alias("name"))
        .agg(pl.col("num_rows").sum().alias("num_clips"), present.sum().alias("num_available"))
        .with_columns(
            (pl.col("num_available") / pl.col("num_clips")).round(6).alias("share"),
            pl.lit(None, dtype=pl.String).alias("split"),
        )
        .sort("name")
        .select([pl.col(column).cast(dtype) for column, dtype in RETENTION.items()])
    )


def retention(then: pl.DataFrame, later_ids: pl.Series, *, name: str) -> pl.DataFrame:
    """Of the clips listed at one date, how many have their video in a later list: a row a split, then `all`.

    Args:
        then: `clip_id`, `video_id`, `split` of the earlier list; a clip of several classes counts once.
        later_ids: video ids of the later one.
        name: for the column `name`.
    Source: Kinetics-700-2020, table 2.
    """
    clips = then.select("clip_id", "video_id", "split").unique()
    is_there = pl.col("video_id").is_in(later_ids.unique().implode())
    counts = (pl.len().alias("num_clips"), is_there.sum().alias("num_available"))
    whole = clips.unique("clip_id").select(pl.lit("all").alias("split"), *counts)
    each = clips.drop_nulls("split").group_by("split").agg(*counts).sort("split")
    return (
        pl.concat([each.select(whole.columns), whole])
        .with_columns(
            pl.when(pl.col("num_clips") > 0)
            .then((pl.col("num_available") / pl.col("num_clips")).round(6))
            .alias("share"),
            pl.lit(name).alias("name"),
        )
        .select([pl.col(column).cast(dtype) for column, dtype in RETENTION.items()])
    )  # fmt: skip


def read_catalogue_column(path: Path, column: str) -> dict[str, str]:
    """What a catalogue says of each video in one of its columns, empty cells left out: video id to text.

    Args:
        path: a csv with a header that has `video_id` (or `youtube_id`) and the column.
        column: its name, such as `continent`.
    Raises:
        BadInput: there is no such file, it cannot be read, or it is empty.
        BadRow: the header lacks a column, a line has another number of cells, or a video stands twice with two values.
    """
    lines = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    found: dict[str, str] = {}
    header: list[str] = []
    try:
        for cells in lines:
            if not cells:
                continue
            if not header:
                header, (at_id, at_value) = cells, _places(cells, column, path=path, line=lines.line_num)
                continue
            if len(cells) != len(header):
                problem = f"{len(cells)} cells, want {len(header)}"
                raise BadRow(problem, path=path, line=lines.line_num, mend="Quote a comma inside a cell")
            if cells[at_value].strip() and found.setdefault(cells[at_id], cells[at_value]) != cells[at_value]:
                problem = f"{cells[at_id]!r} has {column} {found[cells[at_id]]!r} and {cells[at_value]!r}"
                raise BadRow(problem, path=path, line=lines.line_num, mend="Keep one row a video")
    except csv.Error as error:
        raise BadRow(f"cannot be read ({error})", path=path, line=lines.line_num, mend="Mend the quotes") from error
    if not header:
        raise BadInput("the file is empty", where=path, mend=f"Want a header: video_id,{column}")
    return found


def _places(header: list[str], column: str, *, path: Path, line: int) -> tuple[int, int]:
    names = [name.strip() for name in header]
    key = next((name for name in ("video_id", "youtube_id") if name in names), None)
    if key is None or column not in names:
        missing = "video_id" if key is None else column
        raise BadRow(f"the header lacks {missing!r}", path=path, line=line, mend=f"It has: {', '.join(names)}")
    return names.index(key), names.index(column)


def shares_of(video_ids: pl.Series, values: Mapping[str, str]) -> pl.DataFrame:
    """How many of the videos have each value, and their share of those that have any: value, num_videos, share.

    Source: Kinetics-700-2020, table 3 (continents), "based on the fraction of videos containing that information".

    >>> shares_of(pl.Series(["a", "b", "b", "c"]), {"a": "Asia", "b": "Africa", "d": "Asia"}).rows()
    [('Africa', 1, 0.5), ('Asia', 1, 0.5)]
    """
    known = pl.DataFrame(
        {"video_id": list(values), "value": list(values.values())},
        schema_overrides={"video_id": pl.String, "value": pl.String},
    )
    found = known.join(pl.DataFrame({"video_id": video_ids.unique()}), on="video_id", how="semi")
    counts = found.group_by("value").agg(pl.len().cast(pl.Int64).alias("num_videos"))
    return counts.with_columns((pl.col("num_videos") / max(len(found), 1)).round(6).alias("share")).sort("value")
