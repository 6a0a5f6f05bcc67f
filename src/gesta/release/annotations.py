"""What a work folder or release says, in the shape that every annotation format converts from."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gesta.formats import BOX_COLUMNS, CLIP_COLUMNS, LABEL_MAP_COLUMNS, VIDEO_COLUMNS, Annotations
from gesta.formats.annotations import shaped
from gesta.schema import BadInput, UnknownName
from gesta.tables import empty_frame, read_table, table_path

_CLIP_SOURCES = ("kept", "clip_labels", "candidates")
KEY = ["video_id", "timestamp_us"]


def annotations_of(folder: Path, *, split: str | None = None) -> Annotations:
    """The videos, clip labels, box labels and label map of a work folder or a release.

    Clips are the kept ones, else those with an accepted label, else the candidates; boxes are those with an accepted
    label, and where there are any, every key-frame without one is a row without a box.

    Args:
        folder: with at least the tables `videos` and `label_map`.
        split: only this split's clips and boxes, and the videos they are in; None = all.
    Raises:
        MissingTable: `videos` or `label_map` is not there.
        UnknownName: there is no such split.
        BadInput: a split was asked for and there are none.
    """
    videos, label_map = read_table(folder, "videos"), read_table(folder, "label_map")
    splits = _table(folder, "splits").select("clip_id", "split")
    clips = _clips(folder).join(splits, on="clip_id", how="left", maintain_order="left")
    key_frames, boxes = _table(folder, "key_frames"), _table(folder, "box_labels").filter(verdict="accepted")
    if splits.height:
        key_frames, boxes = (rows.join(splits, on="clip_id", how="left") for rows in (key_frames, boxes))
    if split is not None:
        if not splits.height:
            raise BadInput("there are no splits here", where=folder, mend="Name a release, or leave --split out")
        if split not in set(splits["split"]):
            raise UnknownName(what="split", name=split, choices=set(splits["split"]), where=folder)
        clips, key_frames, boxes = (rows.filter(split=split) for rows in (clips, key_frames, boxes))
    bare = key_frames.select(KEY).unique(maintain_order=True).join(boxes, on=KEY, how="anti", maintain_order="left")
    if not boxes.height:
        # Without any label the key-frames were never asked about: an empty row would claim that nobody acts there.
        bare = bare.clear()
    rows = pl.concat([shaped(boxes, BOX_COLUMNS), shaped(bare, BOX_COLUMNS)]).sort(
        *KEY, "person_id", "class_id", nulls_last=True, maintain_order=True
    )
    named = pl.concat([clips.select("video_id"), rows.select("video_id")]).unique()
    shown = videos if split is None else videos.join(named, on="video_id", how="semi")
    return Annotations(
        videos=shaped(shown.sort("video_id"), VIDEO_COLUMNS),
        clips=shaped(clips.sort("video_id", "start_us", "class_id"), CLIP_COLUMNS),
        boxes=rows,
        label_map=shaped(label_map.sort("class_id"), LABEL_MAP_COLUMNS),
    )


def _table(folder: Path, table: str) -> pl.DataFrame:
    return read_table(folder, table) if table_path(folder, table).is_file() else empty_frame(table)


def _clips(folder: Path) -> pl.DataFrame:
    source = next((table for table in _CLIP_SOURCES if table_path(folder, table).is_file()), None)
    if source is None:
        return empty_frame("clips").with_columns(pl.lit(None, dtype=pl.Int64).alias("class_id"))
    labels = read_table(folder, source)
    if source == "clip_labels":
        labels = labels.filter(verdict="accepted")
    return labels.select("clip_id", "class_id").join(_table(folder, "clips"), on="clip_id", maintain_order="left")
