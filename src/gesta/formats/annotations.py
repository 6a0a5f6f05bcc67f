"""One shape for what any annotation file says, so that every format converts to every other.

Four frames: the videos a file names with what it knows of them, clip labels, box labels and the label map. A format
fills what it can hold and leaves the rest empty; `gesta.formats.FORMATS` says which parts those are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

PathIds = Literal["stem", "path", "kinetics"]
"""How a file's path becomes a video id: its last part without the ending, the whole path without the ending, or
Kinetics' name of a clip file, `<id>_<start>_<end>` in whole seconds, which says the clip's times too."""

VIDEO_COLUMNS: dict[str, pl.DataType] = {
    "video_id": pl.String(), "path": pl.String(), "split": pl.String(), "width_px": pl.Int64(), "height_px": pl.Int64(),
    "fps_num": pl.Int64(), "fps_den": pl.Int64(), "num_frames": pl.Int64(), "duration_us": pl.Int64(),
    "url": pl.String(),
}  # fmt: skip
"""One row a video; all but `video_id` may be null. `path` is relative and POSIX, `split` as the file writes it."""

CLIP_COLUMNS: dict[str, pl.DataType] = {
    "video_id": pl.String(), "start_us": pl.Int64(), "end_us": pl.Int64(), "class_id": pl.Int64(),
    "split": pl.String(), "score": pl.Float64(), "is_cc": pl.Boolean(),
}  # fmt: skip
"""One row a clip and class. Both ends null: the whole file. `class_id` null: no label. `score` null: not a guess."""

BOX_COLUMNS: dict[str, pl.DataType] = {
    "video_id": pl.String(), "timestamp_us": pl.Int64(), "x1": pl.Float64(), "y1": pl.Float64(), "x2": pl.Float64(),
    "y2": pl.Float64(), "class_id": pl.Int64(), "person_id": pl.Int64(), "score": pl.Float64(),
    "is_interpolated": pl.Boolean(),
}  # fmt: skip
"""One row a box and class. Corners null: a key-frame without boxes. `class_id` null with corners: a person without an
action (a proposal). Boxes are fractions of the frame; one on a file's pixel grid survives the round trip."""

LABEL_MAP_COLUMNS: dict[str, pl.DataType] = {"class_id": pl.Int64(), "name": pl.String(), "category": pl.String()}


def shaped(frame: pl.DataFrame, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The frame with just those columns, in their order and types; null where it has none of that name."""
    return frame.select(
        [
            (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in columns.items()
        ]
    )


def empty(columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """A frame of those columns without rows."""
    return pl.DataFrame(schema=dict(columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotations:
    """What an annotation file says. Rows are in the file's order; `class_id` is what the file or label map calls it.

    Where a file has names only, ids number the sorted names from 1 (`numbered_labels`), or are those of the label map
    that the reader was given.
    """

    videos: pl.DataFrame = field(default_factory=lambda: empty(VIDEO_COLUMNS))
    clips: pl.DataFrame = field(default_factory=lambda: empty(CLIP_COLUMNS))
    boxes: pl.DataFrame = field(default_factory=lambda: empty(BOX_COLUMNS))
    label_map: pl.DataFrame = field(default_factory=lambda: empty(LABEL_MAP_COLUMNS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a reader or writer may need beside the file.

    `label_map` gives names to ids (columns of `LABEL_MAP_COLUMNS`). `videos` gives frame sizes and rates
    (`VIDEO_COLUMNS`, matched by `video_id`) to formats that count pixels or frames and do not say them. `ids` is how
    lists of files name videos, `split_number` which of several splits a file of tubes is read for.
    """

    label_map: pl.DataFrame | None = None
    videos: pl.DataFrame | None = None
    ids: PathIds = "stem"
    split_number: int = 1


def numbered_labels(names: pl.Series) -> pl.DataFrame:
    """A label map of the distinct names, sorted by code point and numbered from 1; nulls are left out.

    >>> numbered_labels(pl.Series(["walk", None, "jump", "walk"])).rows()
    [(1, 'jump', None), (2, 'walk', None)]
    """
    distinct = names.drop_nulls().unique().sort()
    return shaped(pl.DataFrame({"class_id": range(1, len(distinct) + 1), "name": distinct}), LABEL_MAP_COLUMNS)


def frame_times_us(frames: pl.Expr, *, fps_num: pl.Expr, fps_den: pl.Expr) -> pl.Expr:
    """Microseconds at which frame number `frames` (from 0) begins, rounded half up, without a float between.

    >>> frame = pl.DataFrame({"f": [0, 1, 30], "n": [30000] * 3, "d": [1001] * 3})
    >>> frame.select(frame_times_us(pl.col("f"), fps_num=pl.col("n"), fps_den=pl.col("d"))).to_series().to_list()
    [0, 33367, 1001000]
    """
    return (2 * frames * fps_den * 1_000_000 + fps_num) // (2 * fps_num)


def frame_numbers(times_us: pl.Expr, *, fps_num: pl.Expr, fps_den: pl.Expr) -> pl.Expr:
    """Number (from 0) of the frame nearest to each time; undoes `frame_times_us` below 500,000 frames a second.

    >>> frame = pl.DataFrame({"t": [0, 33367, 1001000]})
    >>> rate = {"fps_num": pl.lit(30000), "fps_den": pl.lit(1001)}
    >>> frame.select(frame_numbers(pl.col("t"), **rate)).to_series().to_list()
    [0, 1, 30]
    """
    return (2 * times_us * fps_num + fps_den * 1_000_000) // (2 * fps_den * 1_000_000)
