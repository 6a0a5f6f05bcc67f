"""What became of what each query, language or class found: candidates, accepted, published."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from gesta.schema import UnknownName
from gesta.tables import empty_frame, read_table, table_path

By = Literal["class", "language", "query"]
BY: tuple[By, ...] = ("class", "language", "query")


def yields_by(
    candidates: pl.DataFrame,
    clip_labels: pl.DataFrame,
    kept: pl.DataFrame,
    *,
    by: By,
    label_map: pl.DataFrame,
    query_matches: pl.DataFrame,
) -> pl.DataFrame:
    """What became of candidates, best published first: a row a class, a class and language, or a class and query.

    Columns: class_id, name, language and query where they are told apart (null: no query made the candidate),
    num_found (videos of the catalogue), num_candidates, num_asked (with a verdict of accepted or rejected),
    num_accepted, num_published (kept after de-duplication and filtering), accepted_share and published_share of those
    asked; null where none was asked. A query that found nothing has its row.

    Args:
        candidates: `clip_id`, `class_id`, `language`, `query`.
        clip_labels: `clip_id`, `class_id`, `verdict`.
        kept: `clip_id`, `class_id`; empty before the curating stage.
        label_map: `class_id`, `name`.
        query_matches: as `gesta catalogue search` writes it; empty without a catalogue.
    Raises:
        UnknownName: `by` is none of the three.
    Source: Kinetics-700-2020 paper, appendix A: the share of candidates voted positive by three or more, and the share
        published after de-duplication and the final filtering.
    """
    if by not in BY:
        raise UnknownName(what="way to group yields", name=by, choices=BY)
    keys = ["class_id", *{"class": [], "language": ["language"], "query": ["language", "query"]}[by]]
    pair = ["clip_id", "class_id"]
    verdicts = clip_labels.select(*pair, "verdict").unique(pair)
    published = kept.select(pair).unique().with_columns(pl.lit(value=True).alias("is_published"))
    listed = (
        candidates.with_columns(pl.when(pl.col("query") != "").then("query").alias("query"))
        .unique(pair, keep="first", maintain_order=True)
        .join(verdicts, on=pair, how="left")
        .join(published, on=pair, how="left")
    )
    is_asked = pl.col("verdict").is_in(["accepted", "rejected"])
    became = listed.group_by(keys).agg(
        pl.len().alias("num_candidates"),
        is_asked.sum().alias("num_asked"),
        (pl.col("verdict") == "accepted").sum().alias("num_accepted"),
        pl.col("is_published").sum().alias("num_published"),
    )
    found = query_matches.group_by(keys).agg(pl.col("num_recorded").sum().alias("num_found"))
    counts = ("num_found", "num_candidates", "num_asked", "num_accepted", "num_published")
    asked = pl.col("num_asked")
    return (
        found.join(became, on=keys, how="full", coalesce=True, nulls_equal=True)
        .with_columns(pl.col(name).fill_null(0).cast(pl.Int64) for name in counts)
        .join(label_map.select("class_id", "name"), on="class_id", how="left")
        .with_columns(
            pl.when(asked > 0).then((pl.col(f"num_{what}") / asked).round(6)).alias(f"{what}_share")
            for what in ("accepted", "published")
        )
        .sort(
            ["published_share", "accepted_share", "num_found", *keys],
            descending=[True, True, True, *(False for _ in keys)],
            nulls_last=True,
        )
        .select("class_id", "name", *keys[1:], *counts, "accepted_share", "published_share")
    )


def yields_of_work(work: Path, *, by: By) -> pl.DataFrame:
    """`yields_by` of a work folder's tables; those of stages that have not run count as empty.

    Raises:
        MissingTable: there are neither `candidates` nor `query_matches`.
        UnknownName: `by` is none of the three.
    """
    has_matches = table_path(work, "query_matches").is_file()
    candidates = _table(work, "candidates", is_needed=not has_matches)
    return yields_by(
        candidates,
        _table(work, "clip_labels"),
        _table(work, "kept"),
        by=by,
        label_map=_table(work, "label_map"),
        query_matches=_table(work, "query_matches"),
    )


def _table(work: Path, table: str, *, is_needed: bool = False) -> pl.DataFrame:
    is_there = is_needed or table_path(work, table).is_file()
    return read_table(work, table) if is_there else empty_frame(table)
