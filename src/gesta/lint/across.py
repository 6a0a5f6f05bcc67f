"""Leakage between files: one video in train here and in val or test there, by its id, whatever the version."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import polars as pl

from gesta.lint.clips import SPLIT_OF
from gesta.lint.findings import Finding, rows_found, shown

SEEN = {"video_id": pl.String(), "split": pl.String(), "line": pl.Int64()}
"""What is remembered of each file: a row a video and split, with its first line there."""

_ALIKE = {("train", "trainval"), ("trainval", "val")}
"""Splits, in order, that share videos by their meaning."""


def seen_videos(rows: pl.DataFrame, *, split: str | None) -> pl.DataFrame:
    """The videos of the rows with the split they are in and the first line that says so; others are left out.

    Args:
        rows: `line`, `video_id`, and `split` where the rows tell it.
        split: of all rows that do not tell one.
    """
    told = pl.col("split") if "split" in rows.columns else pl.lit(None, dtype=pl.String)
    plain = told.str.strip_chars().str.to_lowercase().replace_strict(SPLIT_OF, default=None, return_dtype=pl.String)
    known = rows.select("line", pl.col("video_id").str.strip_chars(), plain.fill_null(pl.lit(split)).alias("split"))
    kept = known.filter(pl.col("split").is_not_null() & (pl.col("video_id") != ""))
    return kept.group_by("video_id", "split", maintain_order=True).agg(pl.col("line").first())


def leak_findings(seen: Sequence[tuple[str, pl.DataFrame]]) -> list[Finding]:
    """Videos that are in two splits, in one file or in two; a finding a pair of files and splits.

    It stands at the file with the earlier split of train, val, test: that is where videos are to be left out.

    Args:
        seen: each file's name and its `seen_videos`.
    """
    order = {"train": 0, "trainval": 1, "val": 2, "test": 3}
    parts = [
        (where, str(split), part)
        for where, frame in seen
        for (split,), part in frame.group_by(["split"], maintain_order=True)
    ]
    parts.sort(key=lambda part: order[part[1]])
    found: list[Finding] = []
    for (where, split, early), (other, other_split, late) in combinations_with_replacement(parts, 2):
        if split == other_split or (split, other_split) in _ALIKE:
            continue
        both = early.join(late, on="video_id", how="inner", suffix="_other", maintain_order="left")
        at = pl.format("{}:{}", pl.lit(other), "line_other").fill_null(pl.lit(other))
        text = pl.format("{} is in {} here and in {} in {}", shown("video_id"), pl.lit(split), pl.lit(other_split), at)
        code = "leak-train" if split in ("train", "trainval") else "leak-val-test"
        found += rows_found(code, both, None, text, where=where)
    return found
