"""Where the rows come from: a work folder, a release, or an annotation file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from gesta.formats import (
    format_named,
    format_of,
    read_annotations,
    read_ava_csv,
    read_excluded_timestamps,
    read_included_timestamps,
    read_kinetics_csv,
    read_label_map,
)
from gesta.formats.annotations import Annotations, Context, numbered_labels, shaped
from gesta.schema import BadInput
from gesta.stats.counts import BOX_COLUMNS, CLIP_COLUMNS, Rows, no_groups
from gesta.stats.yields import per_file_retention, yields_of
from gesta.tables import empty_frame, read_table, table_path

_LABELS_FROM = ("kept", "clip_labels", "candidates")
_ALSO = ("clips", "label_map", "key_frames", "box_labels", "splits", "availability", *_LABELS_FROM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Files to read beside the dataset: names of classes, key-frames that (do not) count, groups of classes.

    Args:
        label_map: names of AVA's classes (pbtxt or txt); without it they are called by their ids.
        excluded: lists of key-frames that do not count, as AVA's `ava_val_excluded_timestamps_v2.2.csv`.
        included: times at which every video of an AVA csv has a key-frame, with a box or without, as
            `ava_included_timestamps_v2.2.txt`; None = only the key-frames that the csv names. A source with a key-frame
            at any other time (AVA-Kinetics) is not AVA, and stays as it is.
        parents: a JSON object of groups, each a list of names of classes.
        format_name: of the files that are counted, a name in `gesta.formats.FORMATS`; None = what each looks like.
    """

    label_map: Path | None = None
    excluded: tuple[Path, ...] = ()
    included: Path | None = None
    parents: Path | None = None
    format_name: str | None = None


def is_release(target: Path) -> bool:
    """Whether the folder is a release: it has a manifest."""
    return (target / "manifest.json").is_file()


def _holds_tables(folder: Path) -> bool:
    """Whether the folder is gesta's own; an empty one is taken for a work folder before its first import."""
    return is_release(folder) or any(folder.glob("*.parquet")) or not any(folder.iterdir())


def rows_of(target: Path, *, beside: Beside | None = None, split: str | None = None) -> Rows:
    """The rows of a work folder, a release or an annotation file.

    Args:
        target: a folder with the table `videos`, or a file or folder of any format in `gesta.formats.FORMATS`.
        beside: what else to read.
        split: of all rows, instead of what the source says of them.
    Raises:
        BadInput: there is no such file or folder, it is of none of these kinds, or no class of a group is known.
        UnknownName: there is no format of that name.
        BadRow: a row of a file is wrong.
        MissingTable: the folder has no table `videos`.
    """
    beside = beside if beside is not None else Beside()
    if not target.exists():
        mend = "Name a work folder, a release or an annotation file"
        raise BadInput("there is no such file or folder", where=target, mend=mend)
    if target.is_dir() and _holds_tables(target):
        rows = rows_of_folder(target)
    else:
        rows = rows_of_file(target, label_map=beside.label_map, format_name=beside.format_name)
    if beside.excluded or beside.included is not None:
        rows = replace(rows, boxes=_that_count(rows.boxes, excluded=beside.excluded, included=beside.included))
    if beside.parents is not None:
        rows = replace(rows, groups=read_groups(beside.parents, names=rows.names))
    if split is not None:
        name = pl.lit(split, dtype=pl.String).alias("split")
        rows = replace(rows, clips=rows.clips.with_columns(name), boxes=rows.boxes.with_columns(name))
    return rows


def rows_of_folder(folder: Path) -> Rows:
    """The rows of a work folder or release: clip labels from the latest table there is, accepted box labels.

    With candidates and verdicts there is a table `yields`, with an availability table a table `retention`.

    Raises:
        MissingTable: the folder has no `videos` table.
    """
    videos = read_table(folder, "videos")
    there = {table for table in _ALSO if table_path(folder, table).is_file()}
    tables = {table: read_table(folder, table) if table in there else empty_frame(table) for table in _ALSO}
    source = next((table for table in _LABELS_FROM if table in there), "")
    labels = tables[source].filter(verdict="accepted") if source == "clip_labels" else tables.get(source)
    if labels is None:
        labels = empty_frame("kept")
    splits = tables["splits"].select("clip_id", "split")
    durations = tables["clips"].select(
        "clip_id", "video_id", (pl.col("end_us") - pl.col("start_us")).alias("duration_us")
    )
    clips = labels.select("clip_id", "class_id").join(durations, on="clip_id").join(splits, on="clip_id", how="left")
    boxes = tables["box_labels"].filter(verdict="accepted").join(splits, on="clip_id", how="left")
    key_frames = tables["key_frames"].join(splits, on="clip_id", how="left")
    if source in ("kept", "clip_labels"):
        key_frames = key_frames.join(clips, on="clip_id", how="semi")
        boxes = boxes.join(clips, on="clip_id", how="semi") if source == "kept" else boxes
    empty = key_frames.join(boxes, on=["video_id", "timestamp_us"], how="anti")
    empty = empty.select("video_id", "timestamp_us", "split")
    kind = "release" if is_release(folder) else "work folder"
    more = {}
    if {"candidates", "clip_labels"} <= there:
        more["yields"] = yields_of(
            tables["candidates"], tables["clip_labels"], tables["kept"], names=tables["label_map"]
        )  # fmt: skip
    if len(tables["availability"]):
        more["retention"] = per_file_retention(tables["availability"])
    return Rows(
        what=f"{kind} (clip labels from {source!r})" if source else kind,
        clips=shaped(clips, CLIP_COLUMNS),
        boxes=pl.concat([shaped(boxes, BOX_COLUMNS), shaped(empty if len(boxes) else empty.clear(), BOX_COLUMNS)]),
        names=tables["label_map"].select("class_id", "name"),
        groups=_groups_of(tables["label_map"]),
        person_counts=key_frames["num_boxes"],
        video_durations_us=videos["duration_us"],
        more=more,
    )


def _groups_of(label_map: pl.DataFrame) -> pl.DataFrame:
    """The categories of a label map as groups."""
    if "category" not in label_map.columns:
        return no_groups()
    return label_map.select("class_id", pl.col("category").cast(pl.String).alias("group")).drop_nulls()


_WITHOUT_NAMES = ("detections", "proposals", "path-labels")
"""Formats that number their classes and name none; the others bring their names, and a label map would clash."""


def rows_of_file(path: Path, *, label_map: Path | None = None, format_name: str | None = None) -> Rows:
    """The rows of one annotation file, or of a folder that is one, of any format that gesta reads.

    Args:
        path: the file.
        label_map: names of AVA's classes; without it they are called by their ids.
        format_name: a name in `gesta.formats.FORMATS`; None = what it looks like.
    Raises:
        BadInput: it cannot be read, or looks like no format.
        BadRow: a row is wrong.
        UnknownName: there is no format of that name.
    """
    name = format_name if format_name is not None else format_of(path)
    known = read_label_map(label_map) if label_map is not None else None
    if name == "kinetics":
        frame = read_kinetics_csv(path)
        names = numbered_labels(frame["label"])
        ids = names.select("class_id", pl.col("name").alias("label"))
        clips = frame.join(ids, on="label", how="left", maintain_order="left")
        found = Annotations(clips=clips, label_map=names)
    elif name in ("ava", "ava-kinetics"):
        # Read as it stands: an id that the label map lacks is counted under its number.
        found = Annotations(boxes=read_ava_csv(path), label_map=empty_frame("label_map") if known is None else known)
    else:
        context = Context(label_map=known if name in _WITHOUT_NAMES else None)
        found = read_annotations(path, format_name=name, context=context)
    return rows_of_annotations(found, what=f"{format_named(name).what}, {len(found.clips) + len(found.boxes):,} rows")


def rows_of_annotations(annotations: Annotations, *, what: str) -> Rows:
    """The rows of what any annotation file says; ids that its label map does not name are called `class <id>`.

    A clip is a video and its two ends: the same footage listed under two classes is one clip of two classes. Boxes take
    the split that the file gives their video.
    """
    clips = annotations.clips.with_columns(
        pl.concat_str(
            "video_id", pl.col("start_us").cast(pl.String), pl.col("end_us").cast(pl.String), separator=" "
        )
        .fill_null(pl.col("video_id"))
        .alias("clip_id"),
        (pl.col("end_us") - pl.col("start_us")).alias("duration_us"),
    )  # fmt: skip
    boxes = annotations.boxes
    videos = annotations.videos.select("video_id", "split").drop_nulls() if len(annotations.videos) else None
    if videos is not None and len(videos) and len(boxes):
        boxes = boxes.join(videos.unique("video_id"), on="video_id", how="left", maintain_order="left")
    used = pl.concat([clips["class_id"], boxes["class_id"].drop_nulls().unique()]).drop_nulls().unique().sort()
    known = annotations.label_map
    plain = pl.DataFrame({"class_id": used}).with_columns(pl.format("class {}", "class_id").alias("name"))
    unnamed = plain.join(known, on="class_id", how="anti")
    names = pl.concat([known.select("class_id", "name"), unnamed]).unique("class_id", keep="first").sort("class_id")
    durations_us = annotations.videos["duration_us"].drop_nulls()
    return Rows(
        what=what,
        clips=shaped(clips, CLIP_COLUMNS),
        boxes=shaped(boxes, BOX_COLUMNS),
        names=names,
        groups=_groups_of(known),
        person_counts=pl.Series([], dtype=pl.Int64),
        video_durations_us=durations_us,
    )


def _that_count(boxes: pl.DataFrame, *, excluded: Sequence[Path], included: Path | None) -> pl.DataFrame:
    """The rows at key-frames that count, and a row without a box for each included one that has none."""
    key = ["video_id", "timestamp_us"]
    left_out = pl.concat(
        [pl.DataFrame(schema={"video_id": pl.String, "timestamp_us": pl.Int64})]
        + [read_excluded_timestamps(path).select(key) for path in excluded]
    )
    kept = boxes.join(left_out, on=key, how="anti", maintain_order="left") if len(left_out) else boxes
    if included is None:
        return kept
    times = read_included_timestamps(included).select("timestamp_us").unique()
    if kept.select("timestamp_us").join(times, on="timestamp_us", how="anti").height:
        return kept
    videos = boxes.group_by("video_id", maintain_order=True).agg(pl.col("split").first())
    silent = videos.join(times, how="cross").join(left_out, on=key, how="anti").join(kept, on=key, how="anti")
    # In order of video and time, as the pass over the rows likes them best.
    return pl.concat([kept, shaped(silent, BOX_COLUMNS)]).sort(key, maintain_order=True)


def read_groups(path: Path, *, names: pl.DataFrame) -> pl.DataFrame:
    """Which classes a JSON object of groups puts together: columns `class_id`, `group`; groups may share classes.

    Args:
        path: `{"group": ["name of a class", ...], ...}`, as the published parent groups of Kinetics-400.
        names: `class_id` and `name` of the dataset's classes; names of groups that it lacks are passed over.
    Raises:
        BadInput: the file cannot be read, is no such object, or none of its classes is one of the dataset's.
    """
    mend = 'Want {"group": ["class", ...], ...}'
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=path, mend="Name a file that is there") from error
    except (ValueError, RecursionError) as error:
        raise BadInput("this is no JSON", where=path, mend=mend) from error
    if not isinstance(value, dict) or not all(isinstance(group, list) for group in value.values()):
        raise BadInput("this is no JSON object of lists", where=path, mend=mend)
    rows = [(group, name) for group, listed in value.items() for name in listed]
    if not all(isinstance(name, str) for _, name in rows):
        raise BadInput("a group holds something that is no name", where=path, mend=mend)
    if any("\ud800" <= mark <= "\udfff" for group, name in rows for mark in group + name):
        raise BadInput("a name holds half a character", where=path, mend=mend)
    frame = pl.DataFrame(rows, schema={"group": pl.String, "name": pl.String}, orient="row")
    found = frame.join(names, on="name").select("class_id", "group").unique(maintain_order=True)
    if not len(found):
        raise BadInput("no class of these groups is a class of the dataset", where=path, mend="Compare their spelling")
    return found
