"""The numbers of a dataset: per class, split and key-frame, areas and durations, from rows of any source.

The figures are those of the papers' data sections: clips and videos per class and split (Kinetics-400, section 2 and
appendix A; Kinetics-700-2020, table 1), key-frames and videos per split (AVA-Kinetics, table 1), samples and videos per
class (figures 2 and 3), boxes per key-frame (figure 4) and box areas (figure 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.schema import US_PER_S
from gesta.stats.box_pass import BoxCounts, count_boxes

NUM_SIDE_BINS = 20
"""Bins of the histogram of square-rooted areas over 0..1. Source: ours."""

NUM_AREA_BINS = 200
"""Bins of the histogram of areas over 0..1, the 1x1 square of AVA-Kinetics, figure 5. Source: ours; its two peaks, 0.01
and 0.02, are two bins apart."""

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


def no_groups() -> pl.DataFrame:
    """A frame of classes and their groups without rows."""
    return pl.DataFrame(schema={"class_id": pl.Int64, "group": pl.String})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What is counted: clip labels, box labels, key-frames and names of classes, and where they came from.

    `groups` says which classes belong together (`class_id`, `group`; a class may be in several). `more` are tables that
    the source alone can make (yields, retention); they are passed on as they are.
    """

    what: str
    clips: pl.DataFrame
    boxes: pl.DataFrame
    names: pl.DataFrame
    person_counts: pl.Series
    video_durations_us: pl.Series
    groups: pl.DataFrame = field(default_factory=no_groups)
    more: Mapping[str, pl.DataFrame] = field(default_factory=dict)


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
    num_clips, num_boxes, num_key_frames; videos are those of clips or boxes), class_splits (class_id, name, split,
    num_clips, num_boxes), clips_per_class (split, num_classes, num_clips, and their min, mean, median, max a class;
    split `all` holds every clip), groups (group, num_classes, num_clips, num_boxes), boxes_per_key_frame and
    persons_per_key_frame (num_boxes, num_key_frames), box_areas (from_side, to_side, num_boxes: square roots of areas
    as shares of the frame's, half-open but the last), box_area_shares (from_area, to_area, num_boxes: the areas
    themselves, likewise), clip_durations and video_durations (from_s, to_s, num), and those of `rows.more`.
    """
    splits = pl.concat([rows.clips["split"].unique(), rows.boxes["split"].unique()]).drop_nulls().unique()
    found = count_boxes(rows.boxes, class_ids=rows.names["class_id"], splits=splits)
    side_B = np.sqrt(found.area_B)
    classes = _classes(rows, found)
    clips = rows.clips.unique("clip_id", maintain_order=True)
    shares = _area_histogram(found.area_B)
    tables = {
        "classes": classes,
        "splits": _splits(rows, found, splits),
        "class_splits": _class_splits(rows, found, splits),
        "clips_per_class": _clips_per_class(rows),
        "groups": _groups(rows.groups, classes),
        "boxes_per_key_frame": _histogram_of_counts(found.num_boxes_F),
        "persons_per_key_frame": _histogram_of_counts(rows.person_counts.to_numpy()),
        "box_areas": _side_histogram(side_B),
        "box_area_shares": shares,
        "clip_durations": _duration_histogram(clips["duration_us"].drop_nulls()),
        "video_durations": _duration_histogram(rows.video_durations_us),
        **rows.more,
    }
    totals: dict[str, int | float | None] = {
        "num_videos": pl.concat([rows.clips["video_id"].unique(), found.video_ids]).n_unique(),
        "num_clips": len(clips),
        "num_clip_labels": rows.clips["class_id"].count(),
        "num_classes": len(classes.filter((pl.col("num_clips") > 0) | (pl.col("num_boxes") > 0))),
        "num_key_frames": len(found.num_boxes_F),
        "num_empty_key_frames": int(np.count_nonzero(found.num_boxes_F == 0)),
        "num_boxes": len(found.area_B),
        "num_box_labels": int(found.num_rows_C.sum()),
        "mean_boxes_per_key_frame": _rounded(found.num_boxes_F.mean()) if len(found.num_boxes_F) else None,
        "median_box_side": _rounded(np.median(side_B)) if len(side_B) else None,
        "peak_box_area": _peak(shares),
        "hours": _rounded((clips["duration_us"].sum() or 0) / (3600 * US_PER_S)),
    }
    labelled = classes.filter(pl.col("num_clips") > 0)["num_clips"]
    totals["min_clips_per_class"] = _whole(labelled.min())
    totals["mean_clips_per_class"] = _rounded(labelled.mean())
    totals["max_clips_per_class"] = _whole(labelled.max())
    seen = classes.filter(pl.col("num_box_videos") > 0)["num_box_videos"]
    totals["median_videos_per_box_class"] = _rounded(seen.median())
    totals["max_videos_per_box_class"] = _whole(seen.max())
    return Stats(what=rows.what, totals=totals, tables=tables)


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value))


def _rounded(value: object) -> float | None:
    return None if value is None else round(float(str(value)), 6)


def _peak(shares: pl.DataFrame) -> float | None:
    """Middle of the fullest bin of areas, the smallest of several."""
    if not len(shares):
        return None
    low, high, _ = shares.row(int(str(shares["num_boxes"].arg_max())))
    return _rounded((low + high) / 2)


def _classes(rows: Rows, found: BoxCounts) -> pl.DataFrame:
    clips = (
        rows.clips.drop_nulls("class_id")
        .group_by("class_id")
        .agg(pl.col("clip_id").n_unique().alias("num_clips"), pl.col("video_id").n_unique().alias("num_videos"))
    )
    counted = {"num_boxes": found.num_rows_C, "num_box_videos": found.num_videos_C}
    joined = rows.names.select("class_id", "name").with_columns(**{k: pl.Series(k, v) for k, v in counted.items()})
    joined = joined.join(clips, on="class_id", how="left")
    counts = ("num_clips", "num_videos", "num_boxes", "num_box_videos")
    return joined.select("class_id", "name", *_whole_numbers(*counts)).sort("class_id")


def _whole_numbers(*names: str) -> list[pl.Expr]:
    return [pl.col(name).fill_null(0).cast(pl.Int64) for name in names]


SPLIT_ORDER = pl.col("split").replace_strict({"train": 0, "val": 1, "validate": 1, "test": 2}, default=3)
"""Rows in the order of the papers: train, val, test, then others."""


def _splits(rows: Rows, found: BoxCounts, splits: pl.Series) -> pl.DataFrame:
    per_split = pl.DataFrame(
        {
            "split": splits,
            "boxed": found.num_videos_S,
            "num_boxes": found.num_rows_S,
            "num_key_frames": found.num_frames_S,
        },
        schema_overrides={"split": pl.String},
    )
    clips = rows.clips.drop_nulls("split").group_by("split").agg(pl.col("clip_id").n_unique().alias("num_clips"))
    videos = rows.clips.select("split", "video_id").drop_nulls("split").unique()
    if len(videos) and found.num_videos_S.any():
        boxed = rows.boxes.select("split", "video_id").drop_nulls("split").unique()
        videos = pl.concat([videos, boxed]).unique()
    per_video = videos.group_by("split").agg(pl.len().alias("num_videos"))
    joined = per_split.join(clips, on="split", how="left").join(per_video, on="split", how="left")
    joined = joined.with_columns(pl.col("num_videos").fill_null(pl.col("boxed").cast(pl.UInt32)))
    counts = _whole_numbers("num_videos", "num_clips", "num_boxes", "num_key_frames")
    return joined.select("split", *counts).sort(SPLIT_ORDER, "split")


def _class_splits(rows: Rows, found: BoxCounts, splits: pl.Series) -> pl.DataFrame:
    keys = ["class_id", "split"]
    clips = rows.clips.drop_nulls(keys).group_by(keys).agg(pl.col("clip_id").n_unique().alias("num_clips"))
    at_class, at_split = np.nonzero(found.num_rows_CS)
    boxes = pl.DataFrame(
        {
            "class_id": rows.names["class_id"].gather(at_class),
            "split": splits.gather(at_split),
            "num_boxes": found.num_rows_CS[at_class, at_split],
        },
        schema_overrides={"split": pl.String},
    )
    joined = clips.join(boxes, on=keys, how="full", coalesce=True).join(rows.names, on="class_id")
    counts = _whole_numbers("num_clips", "num_boxes")
    return joined.select("class_id", "name", "split", *counts).sort("class_id", SPLIT_ORDER, "split")


def _clips_per_class(rows: Rows) -> pl.DataFrame:
    """Clips a class in each split and in all: a class without a clip in a split does not count there."""
    labelled = rows.clips.drop_nulls("class_id").select("clip_id", "class_id", "split")
    whole = labelled.with_columns(pl.lit("all").alias("split"))
    each = pl.concat([labelled.drop_nulls("split"), whole])
    per_class = each.group_by("split", "class_id").agg(pl.col("clip_id").n_unique().cast(pl.Int64).alias("n"))
    n = pl.col("n")
    return (
        per_class.group_by("split")
        .agg(
            n.len().cast(pl.Int64).alias("num_classes"), n.sum().alias("num_clips"), n.min().alias("min"),
            n.mean().round(6).alias("mean"), n.median().alias("median"), n.max().alias("max"),
        )
        .sort(pl.col("split") == "all", SPLIT_ORDER, "split")
    )  # fmt: skip


def _groups(groups: pl.DataFrame, classes: pl.DataFrame) -> pl.DataFrame:
    return (
        groups.join(classes, on="class_id")
        .group_by("group")
        .agg(
            pl.len().cast(pl.Int64).alias("num_classes"), pl.col("num_clips").sum(), pl.col("num_boxes").sum(),
        )
        .sort("group")
    )  # fmt: skip


def _histogram_of_counts(num_boxes_F: npt.NDArray[np.int64]) -> pl.DataFrame:
    """How many key-frames have 0, 1, 2 … boxes; `MAX_BOXES_SHOWN` stands for that many or more."""
    found = np.bincount(np.minimum(num_boxes_F, MAX_BOXES_SHOWN)) if len(num_boxes_F) else np.zeros(0, np.int64)
    rows = {"num_boxes": np.arange(len(found)), "num_key_frames": found.astype(np.int64)}
    return pl.DataFrame(rows, schema={"num_boxes": pl.Int64, "num_key_frames": pl.Int64})


def _side_histogram(side_B: npt.NDArray[np.float64]) -> pl.DataFrame:
    return _shares(side_B, num_bins=NUM_SIDE_BINS, what="side")


def _area_histogram(area_B: npt.NDArray[np.float64]) -> pl.DataFrame:
    return _shares(area_B, num_bins=NUM_AREA_BINS, what="area")


def _shares(values_B: npt.NDArray[np.float64], *, num_bins: int, what: str) -> pl.DataFrame:
    """Boxes in equal bins over 0..1; without boxes no rows."""
    edges = [number / num_bins for number in range(num_bins + 1)]
    found = _binned(values_B, low=0.0, width=1 / num_bins, num_bins=num_bins) if len(values_B) else []
    num = len(found)
    rows = {f"from_{what}": edges[:-1][:num], f"to_{what}": edges[1:][:num], "num_boxes": found}
    return pl.DataFrame(rows, schema={f"from_{what}": pl.Float64, f"to_{what}": pl.Float64, "num_boxes": pl.Int64})


def _binned(values: npt.NDArray[np.float64], *, low: float, width: float, num_bins: int) -> list[int]:
    # A tenth of a billionth is added so that 0.15 falls into the bin that starts there in spite of rounding.
    bins = np.clip(np.floor((values - low) / width + 1e-10), 0, num_bins - 1).astype(np.int64)
    return [int(number) for number in np.bincount(bins, minlength=num_bins)]


def _duration_histogram(durations_us: pl.Series) -> pl.DataFrame:
    """Durations in `NUM_DURATION_BINS` equal bins from the shortest to the longest; one bin where all are equal."""
    schema = {"from_s": pl.Float64, "to_s": pl.Float64, "num": pl.Int64}
    if not len(durations_us):
        return pl.DataFrame(schema=schema)
    low, high = int(str(durations_us.min())) / US_PER_S, int(str(durations_us.max())) / US_PER_S
    if low == high:
        return pl.DataFrame({"from_s": [low], "to_s": [high], "num": [len(durations_us)]}, schema=schema)
    width = (high - low) / NUM_DURATION_BINS
    found = _binned((durations_us / US_PER_S).to_numpy(), low=low, width=width, num_bins=NUM_DURATION_BINS)
    edges: Sequence[float] = [round(low + number * width, 6) for number in range(NUM_DURATION_BINS + 1)]
    return pl.DataFrame({"from_s": edges[:-1], "to_s": edges[1:], "num": found}, schema=schema)
