"""Where the rows come from: a work folder, a release, or an annotation file of AVA, AVA-Kinetics or Kinetics."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gesta.formats import annotation_format_of, read_ava_csv, read_kinetics_csv, read_label_map
from gesta.stats.counts import BOX_COLUMNS, CLIP_COLUMNS, Rows
from gesta.tables import empty_frame, read_table, table_path

_LABELS_FROM = ("kept", "clip_labels", "candidates")


def is_release(target: Path) -> bool:
    """Whether the folder is a release: it has a manifest."""
    return (target / "manifest.json").is_file()


def rows_of_folder(folder: Path) -> Rows:
    """The rows of a work folder or release: clip labels from the latest table there is, accepted box labels.

    Raises:
        MissingTable: the folder has no `videos` table.
    """
    videos = read_table(folder, "videos")
    tables = {
        table: read_table(folder, table) if table_path(folder, table).is_file() else empty_frame(table)
        for table in ("clips", "label_map", "key_frames", "box_labels", "splits", *_LABELS_FROM)
    }
    source = next((table for table in _LABELS_FROM if table_path(folder, table).is_file()), "")
    labels = tables[source].filter(verdict="accepted") if source == "clip_labels" else tables.get(source)
    if labels is None:
        labels = empty_frame("kept")
    splits = tables["splits"].select("clip_id", "split")
    durations = tables["clips"].select(
        "clip_id", "video_id", (pl.col("end_us") - pl.col("start_us")).alias("duration_us")
    )
    clips = labels.select("clip_id", "class_id").join(durations, on="clip_id").join(splits, on="clip_id", how="left")
    boxes = tables["box_labels"].filter(verdict="accepted").join(splits, on="clip_id", how="left")
    key_frames = tables["key_frames"]
    if source in ("kept", "clip_labels"):
        key_frames = key_frames.join(clips, on="clip_id", how="semi")
        boxes = boxes.join(clips, on="clip_id", how="semi") if source == "kept" else boxes
    empty = key_frames.join(boxes, on=["video_id", "timestamp_us"], how="anti").select("video_id", "timestamp_us")
    kind = "release" if is_release(folder) else "work folder"
    return Rows(
        what=f"{kind} (clip labels from {source!r})" if source else kind,
        clips=_shaped(clips, CLIP_COLUMNS),
        boxes=pl.concat([_shaped(boxes, BOX_COLUMNS), _shaped(empty if len(boxes) else empty.clear(), BOX_COLUMNS)]),
        names=tables["label_map"].select("class_id", "name"),
        person_counts=key_frames["num_boxes"],
        video_durations_us=videos["duration_us"],
    )


def _shaped(frame: pl.DataFrame, columns: dict[str, pl.DataType]) -> pl.DataFrame:
    """The frame with just those columns, nulls where it has none of that name."""
    return frame.select(
        [
            (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in columns.items()
        ]
    )


def rows_of_file(path: Path, *, label_map: Path | None = None) -> Rows:
    """The rows of one annotation csv; Kinetics has a header line, AVA and AVA-Kinetics have none.

    Args:
        path: the csv.
        label_map: names of AVA's classes; without it they are called by their ids.
    Raises:
        BadInput: the file is empty or is neither.
        BadRow: a row is wrong.
    """
    if annotation_format_of(path) == "kinetics":
        return _rows_of_kinetics(path)
    return _rows_of_ava(path, label_map=label_map)


def _rows_of_kinetics(path: Path) -> Rows:
    """Clip labels of a Kinetics csv; class ids number the labels in alphabetical order, from 1."""
    frame = read_kinetics_csv(path)
    labels = frame["label"].drop_nulls().unique().sort()
    names = pl.DataFrame(
        {"class_id": range(1, len(labels) + 1), "name": labels}, schema={"class_id": pl.Int64, "name": pl.String}
    )
    # Two classes of one video are two clips: the same footage may be listed under both.
    clips = frame.join(names.rename({"name": "label"}), on="label", how="left", maintain_order="left").with_columns(
        pl.concat_str(
            "video_id", pl.col("start_us").cast(pl.String), pl.col("end_us").cast(pl.String), separator=" "
        ).alias("clip_id"),
        (pl.col("end_us") - pl.col("start_us")).alias("duration_us"),
    )
    return Rows(
        what=f"Kinetics csv, {len(frame):,} rows",
        clips=_shaped(clips, CLIP_COLUMNS),
        boxes=pl.DataFrame(schema=BOX_COLUMNS),
        names=names,
        person_counts=pl.Series([], dtype=pl.Int64),
        video_durations_us=pl.Series([], dtype=pl.Int64),
    )


def _rows_of_ava(path: Path, *, label_map: Path | None) -> Rows:
    """Box labels of an AVA or AVA-Kinetics csv."""
    frame = read_ava_csv(path)
    names = _names(frame["class_id"], label_map=label_map)
    return Rows(
        what=f"AVA csv, {len(frame):,} rows",
        clips=pl.DataFrame(schema=CLIP_COLUMNS),
        boxes=_shaped(frame, BOX_COLUMNS),
        names=names,
        person_counts=pl.Series([], dtype=pl.Int64),
        video_durations_us=pl.Series([], dtype=pl.Int64),
    )


def _names(class_ids: pl.Series, *, label_map: Path | None) -> pl.DataFrame:
    """Names of the classes: of the label map, and `class <id>` for ids that it does not hold."""
    ids = class_ids.drop_nulls().unique().sort()
    known = read_label_map(label_map).select("class_id", "name") if label_map is not None else None
    plain = pl.DataFrame({"class_id": ids}).with_columns(pl.format("class {}", "class_id").alias("name"))
    if known is None:
        return plain
    return pl.concat([known, plain.join(known, on="class_id", how="anti")]).sort("class_id")
