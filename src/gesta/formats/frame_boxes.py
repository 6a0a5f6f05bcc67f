"""Boxes in pixels on numbered frames, as many formats have them, to and from fractions at times."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gesta.formats.annotations import (
    VIDEO_COLUMNS,
    Annotations,
    Context,
    empty,
    frame_numbers,
    frame_times_us,
    shaped,
)
from gesta.schema import BadInput

BOX = ["x1", "y1", "x2", "y2"]
PIXEL_DECIMALS = 6
"""Digits of a pixel that are written. Source: ours. A box on that grid or a coarser one survives as a fraction."""

_SIZES, _RATES = ("width_px", "height_px"), ("fps_num", "fps_den")
_MAX_TICKS = 4 * 10**18
"""Source: ours. Twice a frame's number times `fps_den` in millionths, and as much for times, has to fit 64 bits."""


def filled_videos(annotations: Annotations, *, context: Context, path: Path) -> pl.DataFrame:
    """One row a video: those of `videos`, then those that only boxes name; what is null is taken from the context.

    Raises:
        BadInput: a video comes twice in the annotations or in the context.
    """
    named = shaped(annotations.boxes.select("video_id").unique(maintain_order=True), VIDEO_COLUMNS)
    videos = shaped(annotations.videos, VIDEO_COLUMNS)
    videos = pl.concat([videos, named.join(videos, on="video_id", how="anti", maintain_order="left")])
    return with_context(videos, context=context, path=path)


def with_context(videos: pl.DataFrame, *, context: Context, path: Path) -> pl.DataFrame:
    """The videos (columns of `VIDEO_COLUMNS`) with what is null taken from the context.

    Size and rate are each taken as a pair. Raises:
        BadInput: a video comes twice in either.
    """
    more = empty(VIDEO_COLUMNS) if context.videos is None else shaped(context.videos, VIDEO_COLUMNS)
    for frame, what in ((videos, "the annotations"), (more, "the table of videos")):
        double = frame.filter(pl.col("video_id").is_duplicated())
        if double.height:
            raise BadInput(f"video {double['video_id'][0]!r} comes twice in {what}", where=path, mend="Keep one row")
    both = videos.join(more, on="video_id", how="left", suffix="_more", maintain_order="left")
    columns = [
        pl.coalesce(name, f"{name}_more").alias(name) for name in VIDEO_COLUMNS if name not in ("video_id", *_PAIRED)
    ]
    for pair in (_SIZES, _RATES):
        is_whole = pl.all_horizontal(pl.col(pair).is_not_null())
        columns += [pl.when(is_whole).then(pl.col(n)).otherwise(pl.col(f"{n}_more")).alias(n) for n in pair]
    return both.with_columns(columns).select(list(VIDEO_COLUMNS))


_PAIRED = (*_SIZES, *_RATES)


def at_times(rows: pl.DataFrame, videos: pl.DataFrame, *, path: Path) -> pl.DataFrame:
    """The rows with `timestamp_us` for their `frame` (from 0) and corners as fractions of the frame for pixels.

    Args:
        rows: `video_id`, `frame`, `x1`, `y1`, `x2`, `y2` in pixels (null: no box), and whatever else.
        videos: columns of `VIDEO_COLUMNS`.
        path: for messages.
    Raises:
        BadInput: a video's size or frame rate is not known or no such thing, or a frame has a number too great.
    """
    known = _known(rows, videos, path=path)
    too_great = known.filter(pl.col("frame").abs().cast(pl.Float64) * pl.col("fps_den") * 2e6 > _MAX_TICKS)
    if too_great.height:
        row = too_great.row(0, named=True)
        raise BadInput(f"video {row['video_id']!r} has a frame {row['frame']}", where=path, mend="Correct the number")
    time_us = frame_times_us(pl.col("frame"), fps_num=pl.col("fps_num"), fps_den=pl.col("fps_den"))
    # numpy, since polars divides by a column of one value through its reciprocal, which is not the same number.
    corners = [
        pl.Series(name, known[name].to_numpy() / known["width_px" if name[0] == "x" else "height_px"].to_numpy())
        for name in BOX
    ]
    fractions = known.with_columns(time_us.alias("timestamp_us"), *corners)
    return fractions.with_columns(pl.when(pl.col(name).is_not_nan()).then(name) for name in BOX).drop(_PAIRED)


def on_frames(boxes: pl.DataFrame, videos: pl.DataFrame, *, path: str | Path, decimals: int | None) -> pl.DataFrame:
    """The rows with `frame` (from 0), the nearest to their `timestamp_us`, and corners in pixels for fractions.

    Args:
        boxes: columns of `BOX_COLUMNS`.
        videos: columns of `VIDEO_COLUMNS`.
        path: for messages.
        decimals: digits to which pixels are rounded; None leaves them.
    Raises:
        BadInput: a video's size or frame rate is not known or no such thing, a time is null, negative or too great,
            or a row has a part of a box or a corner that is not finite.
    """
    num_null = boxes.select(pl.sum_horizontal(pl.col(BOX).is_null().cast(pl.Int64))).to_series()
    if (~num_null.is_in([0, 4])).any():
        raise BadInput("a row has a part of a box only", where=path, mend="Give x1, y1, x2, y2, or none of them")
    unbounded = boxes.filter(~pl.all_horizontal(pl.col(BOX).is_finite()))
    if unbounded.height:
        where = f"a corner of a box of video {unbounded['video_id'][0]!r}"
        raise BadInput(f"{where} is no finite number", where=path, mend="Leave that row out")
    known = _known(boxes, videos, path=path)
    ticks = pl.col("timestamp_us").cast(pl.Float64) * pl.col("fps_num") * 2
    bad = known.filter((pl.col("timestamp_us").fill_null(-1) < 0) | (ticks > _MAX_TICKS))
    if bad.height:
        time_us, video_id = bad["timestamp_us"][0], bad["video_id"][0]
        raise BadInput(f"{time_us} microseconds is no time in video {video_id!r}", where=path, mend="Correct the time")
    number = frame_numbers(pl.col("timestamp_us"), fps_num=pl.col("fps_num"), fps_den=pl.col("fps_den"))
    corners = [pl.col(name) * pl.col("width_px" if name[0] == "x" else "height_px") for name in BOX]
    rounded = corners if decimals is None else [corner.round(decimals) for corner in corners]
    return known.with_columns(number.alias("frame"), *rounded).drop(_PAIRED)


def _known(rows: pl.DataFrame, videos: pl.DataFrame, *, path: str | Path) -> pl.DataFrame:
    """The rows with size and rate of their videos, found to be there."""
    known = rows.join(videos.select("video_id", *_PAIRED), on="video_id", how="left", maintain_order="left")
    for pair, what, where in (
        (_RATES, "frame rate", pl.lit(value=True)),
        (_SIZES, "frame size", pl.col("x1").is_not_null()),
    ):
        is_good = pl.all_horizontal(pl.col(pair).is_between(1, 10**9).fill_null(value=False))
        bad = known.filter(where & ~is_good)
        if bad.height:
            raise BadInput(
                f"the {what} of video {bad['video_id'][0]!r} is not known",
                where=path,
                mend=f"Give a table of videos with {pair[0]} and {pair[1]} (--videos)",
            )
    return known
