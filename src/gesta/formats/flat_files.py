"""The csv files of AVA and Kinetics, and label maps, in the neutral shape, so that they convert like the others."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from gesta.formats.annotations import (
    BOX_COLUMNS,
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    empty,
    shaped,
)
from gesta.formats.ava import read_ava_csv, write_ava_csv, write_ava_kinetics_csv, write_detections_csv
from gesta.formats.clip_labels import class_names, refuse_boxes, with_class_ids
from gesta.formats.kinetics import read_kinetics_csv, write_kinetics_csv
from gesta.formats.label_map import read_label_map, write_label_map
from gesta.schema import BadInput


def _named(frame: pl.DataFrame) -> pl.DataFrame:
    """The videos that the rows name, in the order of their first row."""
    return shaped(frame.select("video_id").unique(maintain_order=True), VIDEO_COLUMNS)


def _own_map(context: Context) -> pl.DataFrame:
    known = context.label_map
    return empty(LABEL_MAP_COLUMNS) if known is None else shaped(known, LABEL_MAP_COLUMNS)


def _of_ava(path: Path, *, context: Context, column_8: Literal["person_id", "score"]) -> Annotations:
    rows = read_ava_csv(path, column_8=column_8)
    return Annotations(videos=_named(rows), boxes=shaped(rows, BOX_COLUMNS), label_map=_own_map(context))


def read_ava(path: Path, *, context: Context = Context()) -> Annotations:
    """The boxes of an AVA or AVA-Kinetics csv; names of classes are those of the context's label map.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line is not what it must be.
    """
    return _of_ava(path, context=context, column_8="person_id")


def read_detections_file(path: Path, *, context: Context = Context()) -> Annotations:
    """The scored boxes of a detections csv; names of classes are those of the context's label map.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line is not what it must be.
    """
    return _of_ava(path, context=context, column_8="score")


def _boxes(annotations: Annotations, *, path: Path) -> pl.DataFrame:
    if annotations.clips.height:
        raise BadInput(
            f"{annotations.clips.height} rows label clips, and this format holds boxes only",
            where=path,
            mend="Write the boxes alone, or use a format that holds clips (kinetics, activitynet)",
        )
    return annotations.boxes


def write_ava(path: Path, annotations: Annotations, *, context: Context = Context()) -> None:
    """An AVA csv: three decimals, whole seconds with four digits; see `write_ava_csv`.

    Raises:
        BadInput: there are clip labels, an id cannot stand in a csv, or a box has no class.
    """
    write_ava_csv(path, _boxes(annotations, path=path))


def write_ava_kinetics(path: Path, annotations: Annotations, *, context: Context = Context()) -> None:
    """An AVA-Kinetics csv: six decimals, no persons; see `write_ava_kinetics_csv`.

    Raises:
        BadInput: there are clip labels, an id cannot stand in a csv, or a box has no class.
    """
    write_ava_kinetics_csv(path, _boxes(annotations, path=path))


def write_detections_file(path: Path, annotations: Annotations, *, context: Context = Context()) -> None:
    """A detections csv: all the digits there are, scores last; see `write_detections_csv`.

    Raises:
        BadInput: there are clip labels, an id cannot stand in a csv, or a box has no class.
    """
    write_detections_csv(path, _boxes(annotations, path=path))


def read_kinetics(path: Path, *, context: Context = Context()) -> Annotations:
    """The clips of a Kinetics csv; ids are those of the context's label map, else the labels are numbered.

    Raises:
        BadInput: there is no such file, it cannot be read, or the context's label map has a name twice.
        BadRow: a line is not what it must be, or the context's label map lacks its class.
    """
    rows = read_kinetics_csv(path)
    ids, label_map = with_class_ids(rows["label"], context=context, path=path, lines=rows["line"])
    clips = shaped(rows.with_columns(ids.alias("class_id")), CLIP_COLUMNS)
    return Annotations(videos=_named(rows), clips=clips, label_map=label_map)


def write_kinetics(path: Path, annotations: Annotations, *, context: Context = Context()) -> None:
    """A Kinetics csv with the columns that have values; see `write_kinetics_csv`.

    Raises:
        BadInput: there are boxes, a clip has no times, a class has no name, or a column has a value in some rows only.
    """
    refuse_boxes(annotations, path=path, holds="clips")
    clips = annotations.clips
    timeless = clips.filter(pl.col("start_us").is_null() | pl.col("end_us").is_null())
    if timeless.height:
        raise BadInput(
            f"{timeless.height} clips have no times, the first of video {timeless['video_id'][0]!r}",
            where=path,
            mend="Kinetics files say seconds; use a format of whole files (path-labels, ucf101, video-folder)",
        )
    rows = clips.with_columns(class_names(annotations, context=context, path=path))
    write_kinetics_csv(path, rows.select("video_id", "start_us", "end_us", "label", "split", "is_cc"))


def read_classes(path: Path, *, context: Context = Context()) -> Annotations:
    """The classes of a label map in any of its dialects.

    Raises:
        BadInput: there is no such file, it cannot be read, or holds no class.
        BadRow: a line is not what it must be.
    """
    return Annotations(label_map=shaped(read_label_map(path), LABEL_MAP_COLUMNS))


def write_classes(path: Path, annotations: Annotations, *, context: Context = Context()) -> None:
    """A label map: a name a line where the file ends in .txt, else protobuf text with ids and categories.

    Raises:
        BadInput: there is nothing but ids, or a name cannot be written.
    """
    label_map = annotations.label_map if annotations.label_map.height else _own_map(context)
    if not label_map.height:
        raise BadInput("there are no class names to write", where=path, mend="Give --label-map")
    write_label_map(path, label_map, dialect="txt" if path.suffix == ".txt" else "label")
