"""The files of a release that other programs read: AVA, AVA-Kinetics and Kinetics csv, COCO-VID, label maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from gesta.formats import (
    BOX_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    write_ava_csv,
    write_ava_kinetics_csv,
    write_kinetics_csv,
    write_label_map,
)
from gesta.formats.annotations import shaped
from gesta.formats.coco_vid import write_coco_vid
from gesta.release.splits import SPLITS
from gesta.tables import write_text

MAX_LISTED_ID = 10_000
"""With a greater class id there is no `actions.txt`, whose line numbers are the ids. Source: ours."""


def write_exports(folder: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    """The exports of a release's tables, into its folder.

    `kinetics_<split>.csv` (clip labels), `ava_<split>.csv` (8 columns: with person ids) and
    `ava_kinetics_<split>.csv` (7 columns; both with 2-column rows for key-frames without an accepted label),
    `coco_vid_<split>.json` (frames instead of times, so not where a video's frame rate varies or is not known),
    `label_map.pbtxt` (`label`, `label_id`), `label_map_activitynet.pbtxt` (`item`, `id`), and `actions.txt`, whose
    line numbers are the class ids: lines of ids that are not in use are blank. Empty splits give empty files.

    Raises:
        BadInput: a video id or class name cannot stand in one of the files.
    """
    names = tables["label_map"].select("class_id", pl.col("name").alias("label"))
    clips = (
        tables["kept"]
        .select("clip_id", "class_id")
        .join(tables["clips"], on="clip_id")
        .join(tables["splits"].select("clip_id", "split"), on="clip_id")
        .join(names, on="class_id")
        .sort("clip_id", "class_id")
    )
    boxes = _box_rows(tables)
    for split in SPLITS:
        rows = clips.filter(split=split).select("label", "video_id", "start_us", "end_us", "split")
        write_kinetics_csv(folder / f"kinetics_{split}.csv", rows)
        write_ava_csv(folder / f"ava_{split}.csv", boxes.filter(split=split))
        write_ava_kinetics_csv(folder / f"ava_kinetics_{split}.csv", boxes.filter(split=split))
    _write_coco_vid(folder, tables, boxes)
    label_map = tables["label_map"].sort("class_id")
    write_label_map(folder / "label_map.pbtxt", label_map, dialect="label")
    write_label_map(folder / "label_map_activitynet.pbtxt", label_map, dialect="item")
    name_of = dict(label_map.select("class_id", "name").iter_rows())
    if min(name_of) >= 1 and max(name_of) <= MAX_LISTED_ID:
        lines = (name_of.get(number, "") for number in range(1, max(name_of) + 1))
        write_text(folder / "actions.txt", "".join(f"{line}\n" for line in lines))


def _write_coco_vid(folder: Path, tables: Mapping[str, pl.DataFrame], boxes: pl.DataFrame) -> None:
    """COCO-VID of each split, where a frame number says the time of every labelled video."""
    labelled = tables["videos"].join(boxes, on="video_id", how="semi")
    if labelled.filter(pl.col("is_vfr") | (pl.col("fps_num") < 1)).height:
        return
    of_split = tables["splits"].select("video_id", "split").unique().sort("video_id")
    videos = tables["videos"].join(of_split, on="video_id").sort("video_id")
    for split in SPLITS:
        rows = Annotations(
            videos=shaped(videos.filter(split=split), VIDEO_COLUMNS),
            boxes=shaped(boxes.filter(split=split), BOX_COLUMNS),
            label_map=shaped(tables["label_map"].sort("class_id"), LABEL_MAP_COLUMNS),
        )
        write_coco_vid(folder / f"coco_vid_{split}.json", rows)


def _box_rows(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row an accepted label, and one without a box for each key-frame that has no accepted label."""
    splits = tables["splits"].select("clip_id", "split")
    columns = ["video_id", "timestamp_us", "x1", "y1", "x2", "y2", "class_id", "person_id", "split"]
    labels = tables["box_labels"].join(splits, on="clip_id").select(columns)
    frames = tables["key_frames"].join(splits, on="clip_id").select("video_id", "timestamp_us", "split").unique()
    empty = frames.join(labels, on=["video_id", "timestamp_us"], how="anti")
    if not len(labels):
        # Without any label the key-frames were never asked about: an empty row would claim that nobody acts there.
        empty = empty.clear()
    rows = pl.concat([labels, empty], how="diagonal")
    return rows.sort("video_id", "timestamp_us", "person_id", "class_id", nulls_last=True)
