"""Which file shows a key-frame, when that file begins on the film's clock, and from when frames may come.

A file called `<id>_<start>_<end>` begins at `start` (`gesta.train.persons.files`). One called by the id alone is the
whole video, or holds the clip that a Kinetics csv names and begins at that clip's start. Which of the two, its length
says: it is the clip where it is at most `SLACK_US` longer than the clip, and ends before the clip does on the film's
clock. A whole video is at least as long as its clip's end, but for a clip that begins in its first second.

Of several files of a video the shortest cut that shows the key-frame counts, then the file called by the id alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.schema import US_PER_S
from gesta.train.clips.frames import UNTIL_END_US
from gesta.train.persons.files import files_below, read_headers

FILES = ("auto", "whole", "cut")
"""What a file called by a video's id alone holds."""

SLACK_US = US_PER_S
"""How much longer than its clip a cut may be: cutting without encoding anew ends at the next sync frame or packet.
Source: ours; Kinetics' clips are cut to whole seconds."""

KEY = ["video_id", "timestamp_us"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Key-frames with their files, and those without.

    Attributes:
        used: `video_id`, `timestamp_us`, `path`, `file_start_us`, `start_us`, `end_us`, and of the clip `label`,
            `clip_start_us`, `clip_end_us` where it has one.
        missing: key-frames of videos without a file, or whose files cannot be opened (`reason`, `problem`).
        outside: key-frames that no file of their video shows.
    """

    used: pl.DataFrame
    missing: pl.DataFrame
    outside: pl.DataFrame
    num_videos_found: int


def place_key_frames(
    key_frames: pl.DataFrame, *, videos: Path, clips: pl.DataFrame | None, files: str, checks_videos: bool
) -> Placed:
    """The key-frames with their files, in the order given.

    Args:
        key_frames: `video_id`, `timestamp_us`.
        videos: folder of the files.
        clips: as `read_kinetics_csv` gives them; None = none is known.
        files: one of `FILES`.
        checks_videos: open every file, and leave out what it does not show.
    Raises:
        BadInput: there is no such folder.
    """
    found = files_below(videos, video_ids=key_frames["video_id"].unique().to_list())
    with_clip = _with_clip(key_frames.with_row_index("order"), clips)
    found = _with_lengths(found, videos=videos, opens=checks_videos or (files == "auto" and clips is not None))
    good, broken = found.filter(pl.col("reason") == ""), found.filter(pl.col("reason") != "")
    candidates = with_clip.join(good, on="video_id").with_columns(_file_start(files).alias("file_start_us"))
    in_file_us = pl.col("timestamp_us") - pl.col("file_start_us")
    is_shown = in_file_us >= 0
    if checks_videos:
        is_shown = is_shown & (pl.col("duration_us").is_null() | (in_file_us < pl.col("duration_us")))
    is_shown = is_shown & (pl.col("cut_end_us").is_null() | (pl.col("timestamp_us") <= pl.col("cut_end_us") + SLACK_US))
    length_us = (pl.col("cut_end_us") - pl.col("cut_start_us")).fill_null(UNTIL_END_US)
    used = (
        candidates.filter(is_shown)
        .with_columns(length_us.alias("length_us"))
        .sort("order", "length_us", "path")
        .unique("order", keep="first", maintain_order=True)
        .with_columns(_stretch())
    )
    absent = with_clip.join(used, on="order", how="anti", maintain_order="left")
    outside = absent.join(good, on="video_id", how="semi", maintain_order="left").select(KEY)
    missing = absent.join(good, on="video_id", how="anti", maintain_order="left").select(KEY)
    whys = broken.unique("video_id", keep="first").select("video_id", "reason", "problem")
    columns = [*KEY, "path", "file_start_us", "start_us", "end_us", "label", "clip_start_us", "clip_end_us"]
    return Placed(
        used=used.select(columns),
        missing=missing.join(whys, on="video_id", how="left", maintain_order="left"),
        outside=outside,
        num_videos_found=good["video_id"].n_unique(),
    )


def _with_clip(key_frames: pl.DataFrame, clips: pl.DataFrame | None) -> pl.DataFrame:
    """With `label`, `clip_start_us`, `clip_end_us` of the first clip of the video that holds the key-frame, else null.

    A key-frame at the very end of a clip belongs to it: its frame is the clip's last.
    """
    columns = {"label": pl.String, "clip_start_us": pl.Int64, "clip_end_us": pl.Int64}
    if clips is None:
        return key_frames.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in columns.items())
    named = clips.select("video_id", "label", clip_start_us="start_us", clip_end_us="end_us")
    time_us = pl.col("timestamp_us")
    held = (
        key_frames.join(named, on="video_id")
        .filter((pl.col("clip_start_us") <= time_us) & (time_us <= pl.col("clip_end_us")))
        .sort("order", "clip_start_us", "clip_end_us", "label")
        .unique("order", keep="first", maintain_order=True)
        .select("order", *columns)
    )
    return key_frames.join(held, on="order", how="left", maintain_order="left")


def _with_lengths(found: pl.DataFrame, *, videos: Path, opens: bool) -> pl.DataFrame:
    """With `duration_us` (null = not known), and `reason` and `problem` of files that cannot be opened."""
    headers = read_headers([videos / path for path in found["path"]]) if opens else {}
    said = [headers.get(videos / path) for path in found["path"]]
    return found.with_columns(
        pl.Series("duration_us", [None if one is None else one.duration_us for one in said], dtype=pl.Int64),
        pl.Series("reason", ["" if one is None else one.reason for one in said], dtype=pl.String),
        pl.Series("problem", ["" if one is None else one.problem for one in said], dtype=pl.String),
    )


def _file_start(files: str) -> pl.Expr:
    """When the file begins on the film's clock."""
    clip_us = pl.col("clip_end_us") - pl.col("clip_start_us")
    if files == "cut":
        is_cut = pl.lit(value=True)
    elif files == "whole":
        is_cut = pl.lit(value=False)
    else:
        is_cut = (pl.col("duration_us") <= clip_us + SLACK_US) & (pl.col("duration_us") < pl.col("clip_end_us"))
    by_clip = pl.when(is_cut).then(pl.col("clip_start_us")).fill_null(0)
    return pl.col("cut_start_us").fill_null(by_clip)


def _stretch() -> list[pl.Expr]:
    """From when to when frames may come: the clip's times where there are any, else all of the file.

    The key-frame itself is always inside: one at the clip's very end moves the end by a microsecond.
    """
    behind_us = pl.col("timestamp_us") + 1
    return [
        pl.col("clip_start_us").fill_null(pl.col("file_start_us")).alias("start_us"),
        pl.max_horizontal(pl.col("clip_end_us").fill_null(UNTIL_END_US), behind_us).alias("end_us"),
    ]
