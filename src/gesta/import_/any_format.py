"""Annotation files of every format as the two kinds of rows that the import knows: labelled clips and boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.formats import (
    AVA_COLUMNS,
    KINETICS_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    format_named,
    format_of,
    read_ava_csv,
    read_kinetics_csv,
)
from gesta.formats.annotations import shaped
from gesta.schema import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRows:
    """What one file says: clips (`KINETICS_COLUMNS`), boxes (`AVA_COLUMNS`), and its classes where it has its own.

    `line` is the line of a csv, and the row's number from 1 in other formats.
    """

    clips: pl.DataFrame | None
    boxes: pl.DataFrame | None
    label_map: pl.DataFrame | None


def rows_of(path: Path, *, label_map: pl.DataFrame | None, videos: pl.DataFrame) -> FileRows:
    """The rows of an annotation file of any format; what the file is, its content says.

    Boxes that were only interpolated between annotated frames are left out: nobody looked at them. A clip over a whole
    file lasts as long as the video does, in the file or in `videos`; where neither says, its times are null.

    Args:
        path: of the file, or of the folder where the format is one.
        label_map: the ids to use for names; None = the file's own.
        videos: the work folder's videos, for frame sizes and rates that the file does not say.
    Raises:
        BadInput: the file cannot be read, is of no known format, or holds neither labelled clips nor labelled boxes.
        BadRow: a line is not what it must be.
    """
    name = format_of(path)
    if name == "kinetics":
        return FileRows(clips=read_kinetics_csv(path), boxes=None, label_map=None)
    if name in ("ava", "detections"):
        return FileRows(clips=None, boxes=read_ava_csv(path), label_map=None)
    context = Context(label_map=label_map, videos=shaped(videos, VIDEO_COLUMNS))
    found = format_named(name).read(path, context=context)
    boxes = found.boxes.filter(pl.col("is_interpolated").fill_null(value=False).not_())
    if boxes.filter(pl.col("x1").is_not_null() & pl.col("class_id").is_null()).height:
        raise BadInput(
            "boxes here have no action, so they label nothing", where=path, mend="Let `gesta detect` find persons"
        )
    if not found.clips.height and not boxes.height:
        raise BadInput(f"this {name} file holds no labels", where=path, mend="Name a file of clip or box labels")
    return FileRows(
        clips=_clips(found, videos, path=path) if found.clips.height else None,
        boxes=_numbered(shaped(boxes, AVA_COLUMNS)) if boxes.height else None,
        label_map=None if label_map is not None else shaped(found.label_map, LABEL_MAP_COLUMNS),
    )


def _numbered(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("line"))


def _clips(found: Annotations, videos: pl.DataFrame, *, path: Path) -> pl.DataFrame:
    names = found.label_map.select("class_id", pl.col("name").alias("label"))
    rows = found.clips.join(names, on="class_id", how="left", maintain_order="left")
    nameless = rows.filter(pl.col("class_id").is_not_null() & pl.col("label").is_null())
    if nameless.height:
        raise BadInput(f"class {nameless['class_id'][0]} has no name in this file", where=path, mend="Give --label-map")
    lasting = pl.concat([shaped(videos, VIDEO_COLUMNS), found.videos]).drop_nulls("duration_us")
    lasting = lasting.unique("video_id", keep="first").select("video_id", "duration_us")
    rows = rows.join(lasting, on="video_id", how="left", maintain_order="left")
    is_whole = pl.col("start_us").is_null() & pl.col("duration_us").is_not_null()
    rows = rows.with_columns(
        pl.when(is_whole).then(0).otherwise("start_us").alias("start_us"),
        pl.when(is_whole).then("duration_us").otherwise("end_us").alias("end_us"),
    )
    return _numbered(shaped(rows, KINETICS_COLUMNS))
