"""What a file is held against: a label map, lists of key-frames, clips, videos, ground truth; read before linting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.formats import (
    read_ava_csv,
    read_excluded_timestamps,
    read_included_timestamps,
    read_kinetics_csv,
    read_label_map,
)
from gesta.formats.delimited import read_lines
from gesta.lint.kinds import VIDEO_ENDINGS
from gesta.schema import BadInput
from gesta.tables import read_table

VIDEO_FACTS = {"video_id": pl.String(), "start_us": pl.Int64(), "end_us": pl.Int64()}
"""A video at hand; both times are null where only its name is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """What rows are held against; None = not asked for.

    `label_map` has `class_id` and `name`; `excluded` and `groundtruth` have `video_id` and `timestamp_us`, and
    `groundtruth` also `has_box`; `clips` has `video_id`, `start_us` and `end_us`; `videos` has `VIDEO_FACTS`.
    `min_per_class`: least rows a class; 0 = none, None = as `gesta.lint.counts` decides.
    """

    label_map: pl.DataFrame | None = None
    excluded: pl.DataFrame | None = None
    included_us: pl.Series | None = None
    groundtruth: pl.DataFrame | None = None
    clips: pl.DataFrame | None = None
    videos: pl.DataFrame | None = None
    min_per_class: int | None = None


def read_against(
    *,
    label_map: Path | None = None,
    excluded: Path | None = None,
    included: Path | None = None,
    groundtruth: Path | None = None,
    clips: Path | None = None,
    videos: Path | None = None,
    min_per_class: int | None = None,
) -> Against:
    """What these files say, read strictly: what others are held against must itself be whole.

    Args:
        label_map: protobuf text or a name a line.
        excluded: AVA's excluded timestamps.
        included: AVA's included timestamps.
        groundtruth: csv in AVA's layout, for detections.
        clips: Kinetics csv, for the key-frames of AVA-Kinetics.
        videos: a folder of video files, a table `videos`, a work folder, or a list of names, one a line.
        min_per_class: least rows a class; 0 = none, None = by the papers.
    Raises:
        BadInput: a file cannot be read or is not what it is given for (`BadRow` names the line).
    """
    return Against(
        label_map=None if label_map is None else read_label_map(label_map),
        excluded=None if excluded is None else read_excluded_timestamps(excluded),
        included_us=None if included is None else read_included_timestamps(included)["timestamp_us"],
        groundtruth=None if groundtruth is None else _key_frames(groundtruth),
        clips=None if clips is None else read_kinetics_csv(clips).select("video_id", "start_us", "end_us"),
        videos=None if videos is None else read_videos(videos),
        min_per_class=min_per_class,
    )


def _key_frames(path: Path) -> pl.DataFrame:
    # Read as scores: some ground truth has 1.0 where others have a person.
    rows = read_ava_csv(path, column_8="score")
    key = ["video_id", "timestamp_us"]
    return rows.group_by(key, maintain_order=True).agg(pl.col("x1").is_not_null().any().alias("has_box"))


def read_videos(path: Path) -> pl.DataFrame:
    """The videos at hand, with the columns of `VIDEO_FACTS`.

    A file's id is its name without its ending; where that is Kinetics' `id_start_end`, both that and the id count.

    Raises:
        BadInput: there is no such folder or file, or it names no video.
    """
    if (path / "videos.parquet").is_file() or path.suffix in (".parquet", ".jsonl"):
        table = read_table(path, "videos")
        end_us = (pl.col("start_us") + pl.col("duration_us")).alias("end_us")
        return table.select("video_id", "start_us", end_us)
    if path.is_dir():
        names = [file.name for file in sorted(path.rglob("*")) if file.suffix.lower() in VIDEO_ENDINGS]
    else:
        names = [line.strip() for line in read_lines(path)["text"]]
    ids = sorted({name for text in names for name in names_of(text)})
    if not ids:
        raise BadInput("names no video", where=path, mend=f"Want files that end with {', '.join(VIDEO_ENDINGS)}")
    return pl.DataFrame({"video_id": ids, "start_us": None, "end_us": None}, schema=VIDEO_FACTS)


def names_of(text: str) -> tuple[str, ...]:
    """The ids that a file name may stand for.

    >>> names_of("-APF0-L14kw.mkv"), names_of("train/0wR5jVB-WPk_000417_000427.mp4")
    (('-APF0-L14kw',), ('0wR5jVB-WPk_000417_000427', '0wR5jVB-WPk'))
    """
    name = text.rsplit("/", 1)[-1]
    for ending in VIDEO_ENDINGS:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
            break
    parts = name.rsplit("_", 2)
    is_clip = len(parts) == 3 and all(len(part) == 6 and part.isdigit() for part in parts[1:])
    return (name, parts[0]) if is_clip else (name,)
