"""A release as labelled persons to check: its accepted labels, tracks and videos, split by split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from gesta.lint.boxes import CORNERS, KEY
from gesta.lint.findings import Finding
from gesta.lint.person_sets import LabelledPersons, check_persons
from gesta.tables import read_table


def check_release(
    release: Path,
    *,
    split: str = "train",
    val: str | None = None,
    class_ids: Sequence[int] | None = None,
    least_score: float = 0.9,
) -> list[Finding]:
    """What is wrong with a release that a model of persons is to learn from, the worst first; see `check_persons`.

    Args:
        release: folder of a released version.
        split: what is learnt from.
        val: what is measured on; None = nothing.
        class_ids: classes that are to be learnt; None = those with an accepted label in any split.
        least_score: of tracks that are used as proposals.
    Raises:
        MissingTable: the folder lacks a table of a release.
        BadInput: a table cannot be read.
    """
    labels = read_table(release, "box_labels").filter(pl.col("verdict") == "accepted")
    shown = labels["class_id"].unique().sort().to_list()
    wanted = shown if class_ids is None else list(class_ids)
    names = [name for name in (split, val) if name is not None]
    parts = [_part(release, labels, split=name) for name in names]
    return check_persons(parts[:1], val=parts[1:], class_ids=wanted or None, least_score=least_score)


def _part(release: Path, labels: pl.DataFrame, *, split: str) -> LabelledPersons:
    clips = read_table(release, "splits").filter(pl.col("split") == split).select("clip_id")
    keys = read_table(release, "key_frames").join(clips, on="clip_id", how="semi").select(*KEY).unique()
    rows = labels.join(clips, on="clip_id", how="semi").select(*KEY, *CORNERS, "class_id", "person_id")
    videos = read_table(release, "videos")
    is_there = pl.Series("is_there", [(release / path).is_file() for path in videos["path"]], dtype=pl.Boolean)
    at_hand = videos.filter(is_there).select(
        "video_id", "start_us", (pl.col("start_us") + pl.col("duration_us")).alias("end_us")
    )
    tracks = read_table(release, "tracks").join(keys, on=KEY, how="semi").select(*KEY, *CORNERS, "score")
    line = pl.lit(None, dtype=pl.Int64).alias("line")
    return LabelledPersons(
        name=f"release {split}",
        where=f"{release}:{split}",
        rows=rows.with_columns(line, pl.lit(None, dtype=pl.Float64).alias("score")),
        label_map=read_table(release, "label_map"),
        videos=at_hand,
        proposals=tracks if tracks.height else None,
        proposals_where=f"{release}:{split}, tracks",
    )
