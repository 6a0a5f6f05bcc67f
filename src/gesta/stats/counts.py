"""The numbers of a dataset: per class, per key-frame, areas and durations, from rows of any source.

The figures are those of the papers' data sections: clips and videos per class (Kinetics-400, section 2; AVA-Kinetics,
figures 2 and 3), boxes per key-frame (AVA-Kinetics, figure 4), square-rooted box areas (figure 5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from gesta.schema import US_PER_S

NUM_AREA_BINS = 20
"""Bins of the histogram of square-rooted areas over 0..1. Source: ours."""

MAX_BOXES_SHOWN = 10
"""Key-frames with more boxes are counted together. Source: ours; AVA-Kinetics 2.4 calls more than 5 very rare."""

NUM_DURATION_BINS = 10

CLIP_COLUMNS = {
    "clip_id": pl.String(), "video_id": pl.String(), "class_id": pl.Int64(), "split": pl.String(),
    "duration_us": pl.Int64(),
}  # fmt: skip
"""One row a clip and class; class_id is null where the file has no labels, split where there are none."""

BOX_COLUMNS = {
    "video_id": pl.String(), "timestamp_us": pl.Int64(), "x1": pl.Float64(), "y1": pl.Float64(), "x2": pl.Float64(),
    "y2": pl.Float64(), "class_id": pl.Int64(), "split": pl.String(),
}  # fmt: skip
"""One row a box and class; corners and class are null on a key-frame without labelled boxes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What is counted: clip labels, box labels, key-frames and names of classes, and where they came from."""

    what: str
    clips: pl.DataFrame
    boxes: pl.DataFrame
    names: pl.DataFrame
    person_counts: pl.Series
    video_durations_us: pl.Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The numbers of a dataset: totals, and one table a figure."""

    what: str
    totals: dict[str, int | float | None]
    tables: dict[str, pl.DataFrame]

    def as_json(self) -> dict[str, Any]:
        """The parts as plain JSON values."""
        return {
            "what": self.what,
            "totals": dict(self.totals),
            **{name: frame.to_dicts() for name, frame in self.tables.items()},
        }


def count(rows: Rows) -> Stats:
    """The numbers of `rows`; a table that has nothing to count has no rows.

    Tables: classes (class_id, name, num_clips, num_videos, num_boxes, num_box_videos), splits (split, num_videos,
    num_clips, num_boxes), class_splits (class_id, name, split, num_clips, num_boxes), boxes_per_key_frame and
    persons_per_key_frame (num_boxes, num_key_frames), box_areas (from_side, to_side, num_boxes: square roots of
    areas as shares of the frame's, half-open but the last), clip_durations and video_durations (from_s, to_s, num).
    """
    key_frames = _per_key_frame(rows.boxes)
    boxes = rows.boxes.filter(pl.col("x1").is_not_null())
    # One person has a row per action: the box is counted once.
    distinct = boxes.unique(["video_id", "timestamp_us", "x1", "y1", "x2", "y2"], maintain_order=True)
    sides = distinct.select(
        ((pl.col("x2") - pl.col("x1")).clip(0) * (pl.col("y2") - pl.col("y1")).clip(0)).sqrt().alias("side")
    )["side"]
    classes = _classes(rows)
    clips = rows.clips.unique("clip_id", maintain_order=True)
    tables = {
        "classes": classes,
        "splits": _splits(rows),
        "class_splits": _class_splits(rows),
        "boxes_per_key_frame": _histogram_of_counts(key_frames["num_boxes"]),
        "persons_per_key_frame": _histogram_of_counts(rows.person_counts),
        "box_areas": _area_histogram(sides),
        "clip_durations": _duration_histogram(clips["duration_us"].drop_nulls()),
        "video_durations": _duration_histogram(rows.video_durations_us),
    }
    totals: dict[str, int | float | None] = {
        "num_videos": pl.concat([rows.clips["video_id"], rows.boxes["video_id"]]).n_unique(),
        "num_clips": len(clips),
        "num_clip_labels": rows.clips["class_id"].count(),
        "num_classes": len(classes.filter((pl.col("num_clips") > 0) | (pl.col("num_boxes") > 0))),
        "num_key_frames": len(key_frames),
        "num_empty_key_frames": len(key_frames.filter(num_boxes=0)),
        "num_boxes": len(distinct),
        "num_box_labels": boxes["class_id"].count(),
        "mean_boxes_per_key_frame": _mean(key_frames["num_boxes"]),
        "median_box_side": _rounded(sides.median()),
        "hours": _rounded((clips["duration_us"].sum() or 0) / (3600 * US_PER_S)),
    }
    labelled = classes.filter(pl.col("num_clips") > 0)["num_clips"]
    totals["min_clips_per_class"] = _whole(labelled.min())
    totals["max_clips_per_class"] = _whole(labelled.max())
    return Stats(what=rows.what, totals=totals, tables=tables)


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value))


def _rounded(value: object) -> float | None:
    return None if value is None else round(float(str(value)), 6)


def _mean(values: pl.Series) -> float | None:
    return _rounded(values.mean()) if len(values) else None


def _per_key_frame(boxes: pl.DataFrame) -> pl.DataFrame:
    """Labelled boxes at each key-frame: video_id, timestamp_us, num_boxes (0 where it has none)."""
    corners = pl.struct("x1", "y1", "x2", "y2")
    return boxes.group_by("video_id", "timestamp_us").agg(
        pl.when(pl.col("x1").is_not_null()).then(corners).drop_nulls().n_unique().cast(pl.Int64).alias("num_boxes")
    )


def _classes(rows: Rows) -> pl.DataFrame:
    clips = (
        rows.clips.drop_nulls("class_id")
        .group_by("class_id")
        .agg(pl.col("clip_id").n_unique().alias("num_clips"), pl.col("video_id").n_unique().alias("num_videos"))
    )
    boxes = (
        rows.boxes.drop_nulls(["class_id", "x1"])
        .group_by("class_id")
        .agg(pl.len().alias("num_boxes"), pl.col("video_id").n_unique().alias("num_box_videos"))
    )
    joined = rows.names.join(clips, on="class_id", how="left").join(boxes, on="class_id", how="left")
    counts = ("num_clips", "num_videos", "num_boxes", "num_box_videos")
    whole = [pl.col(name).fill_null(0).cast(pl.Int64) for name in counts]
    return joined.select("class_id", "name", *whole).sort("class_id")


_SPLIT_ORDER = pl.col("split").replace_strict({"train": 0, "val": 1, "validate": 1, "test": 2}, default=3)


def _splits(rows: Rows) -> pl.DataFrame:
    clips = rows.clips.drop_nulls("split").group_by("split")
    boxes = rows.boxes.drop_nulls(["split", "x1"]).group_by("split")
    per_split = clips.agg(
        pl.col("video_id").n_unique().alias("num_videos"), pl.col("clip_id").n_unique().alias("num_clips")
    )
    joined = per_split.join(boxes.agg(pl.len().alias("num_boxes")), on="split", how="left")
    whole = [pl.col(name).fill_null(0).cast(pl.Int64) for name in ("num_videos", "num_clips", "num_boxes")]
    return joined.select("split", *whole).sort(_SPLIT_ORDER, "split")


def _class_splits(rows: Rows) -> pl.DataFrame:
    keys = ["class_id", "split"]
    clips = rows.clips.drop_nulls(keys).group_by(keys).agg(pl.col("clip_id").n_unique().alias("num_clips"))
    boxes = rows.boxes.drop_nulls([*keys, "x1"]).group_by(keys).agg(pl.len().alias("num_boxes"))
    joined = clips.join(boxes, on=keys, how="full", coalesce=True).join(rows.names, on="class_id")
    whole = [pl.col(name).fill_null(0).cast(pl.Int64) for name in ("num_clips", "num_boxes")]
    return joined.select("class_id", "name", "split", *whole).sort("class_id", _SPLIT_ORDER, "split")


def _histogram_of_counts(counts: pl.Series) -> pl.DataFrame:
    """How many key-frames have 0, 1, 2 … boxes; `MAX_BOXES_SHOWN` stands for that many or more."""
    found = dict(counts.clip(upper_bound=MAX_BOXES_SHOWN).value_counts().iter_rows())
    top = max(found, default=-1)
    rows = {"num_boxes": list(range(top + 1)), "num_key_frames": [found.get(number, 0) for number in range(top + 1)]}
    return pl.DataFrame(rows, schema={"num_boxes": pl.Int64, "num_key_frames": pl.Int64})


def _area_histogram(sides: pl.Series) -> pl.DataFrame:
    edges = [number / NUM_AREA_BINS for number in range(NUM_AREA_BINS + 1)]
    found = _binned(sides, low=0.0, width=1 / NUM_AREA_BINS, num_bins=NUM_AREA_BINS) if len(sides) else []
    rows = {"from_side": edges[:-1][: len(found)], "to_side": edges[1:][: len(found)], "num_boxes": found}
    return pl.DataFrame(rows, schema={"from_side": pl.Float64, "to_side": pl.Float64, "num_boxes": pl.Int64})


def _binned(values: pl.Series, *, low: float, width: float, num_bins: int) -> list[int]:
    # A tenth of a billionth is added so that 0.15 falls into the bin that starts there in spite of rounding.
    bins = ((values.cast(pl.Float64) - low) / width + 1e-10).floor().cast(pl.Int64).clip(0, num_bins - 1)
    found = dict(bins.value_counts().iter_rows())
    return [found.get(number, 0) for number in range(num_bins)]


def _duration_histogram(durations_us: pl.Series) -> pl.DataFrame:
    """Durations in `NUM_DURATION_BINS` equal bins from the shortest to the longest; one bin where all are equal."""
    schema = {"from_s": pl.Float64, "to_s": pl.Float64, "num": pl.Int64}
    if not len(durations_us):
        return pl.DataFrame(schema=schema)
    low, high = int(str(durations_us.min())) / US_PER_S, int(str(durations_us.max())) / US_PER_S
    if low == high:
        return pl.DataFrame({"from_s": [low], "to_s": [high], "num": [len(durations_us)]}, schema=schema)
    width = (high - low) / NUM_DURATION_BINS
    found = _binned(durations_us / US_PER_S, low=low, width=width, num_bins=NUM_DURATION_BINS)
    edges: Sequence[float] = [round(low + number * width, 6) for number in range(NUM_DURATION_BINS + 1)]
    return pl.DataFrame({"from_s": edges[:-1], "to_s": edges[1:], "num": found}, schema=schema)
