"""Rows of the items table from the tables that a kind of question is made of."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from gesta.formats import ava_label_map
from gesta.label.kinds import MAX_BOXES
from gesta.schema import (
    BadInput,
    MissingTable,
    Reject,
    box_item_id_of,
    clip_item_id_of,
    frame_item_id_of,
    person_item_id_of,
    suggestion_item_id_of,
)
from gesta.tables import empty_frame, read_table, table_path

STAGE = "label"
CORNERS = ("x1", "y1", "x2", "y2")

_AT = ["clip_id", "timestamp_us"]


def as_items(frame: pl.DataFrame, *, kind: str, item_ids: list[str]) -> pl.DataFrame:
    """The frame as rows of the items table: with these ids and this kind, other columns null where it lacks them."""
    schema = empty_frame("items").schema
    named = frame.with_columns(pl.Series("item_id", item_ids, dtype=pl.String), pl.lit(kind).alias("kind"))
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in named.columns]
    return named.with_columns(absent).select([pl.col(name).cast(dtype) for name, dtype in schema.items()])


def asked_candidates(work: Path) -> tuple[pl.DataFrame, list[Reject]]:
    """The clip and class of each candidate whose clip and class are known, and rejects for the others.

    Raises:
        MissingTable: the candidates, the clips or the label map are not there.
    """
    candidates = read_table(work, "candidates").select("clip_id", "class_id")
    is_known_clip = candidates["clip_id"].is_in(read_table(work, "clips")["clip_id"].implode())
    is_known_class = candidates["class_id"].is_in(read_table(work, "label_map")["class_id"].implode())
    rejects = [
        Reject(stage=STAGE, reason="no-clip", clip_id=row["clip_id"], detail="`clips` does not hold the clip")
        for row in candidates.filter(~is_known_clip).iter_rows(named=True)
    ] + [
        Reject(stage=STAGE, reason="no-class", clip_id=row["clip_id"], detail=f"no class {row['class_id']}")
        for row in candidates.filter(is_known_clip & ~is_known_class).iter_rows(named=True)
    ]
    return candidates.filter(is_known_clip & is_known_class), rejects


def clip_items(asked: pl.DataFrame) -> pl.DataFrame:
    """A clip item for each clip and class that is asked for."""
    ids = [clip_item_id_of(clip_id=clip_id, class_id=class_id) for clip_id, class_id in asked.iter_rows()]
    return as_items(asked, kind="clip", item_ids=ids)


def suggestion_items(work: Path) -> pl.DataFrame:
    """A suggestion item for each clip and class that was rejected since more than half of its votes said no.

    Raises:
        MissingTable: there is no consensus on clips yet.
    Source: Kinetics-400 paper, section 3.1; which clips are sent: ours. A broken or doubtful clip shows nothing.
    """
    said = pl.sum_horizontal("num_yes", "num_no", "num_unsure", "num_broken")
    labels = read_table(work, "clip_labels").filter(pl.col("verdict") == "rejected", 2 * pl.col("num_no") > said)
    rows = labels.select("clip_id", "class_id")
    ids = [suggestion_item_id_of(clip_id=clip_id, class_id=class_id) for clip_id, class_id in rows.iter_rows()]
    return as_items(rows, kind="suggestion", item_ids=ids)


def frame_items(work: Path) -> pl.DataFrame:
    """A frame item for each key-frame, with the detector's boxes there, the surest first.

    Raises:
        MissingTable: `detect` has not run.
    Source: AVA-Kinetics paper, section 1.2, step 3.
    """
    key_frames = read_table(work, "key_frames").select(_AT)
    boxes = read_table(work, "boxes").join(key_frames, on=_AT, how="semi")
    proposals: dict[tuple[str, int], list[dict[str, float]]] = {}
    ordered = boxes.sort("clip_id", "timestamp_us", "score", *CORNERS, descending=[False, False, True, *[False] * 4])
    for row in ordered.select(*_AT, *CORNERS, "score").iter_rows(named=True):
        corners = {name: row[name] for name in (*CORNERS, "score")}
        proposals.setdefault((row["clip_id"], row["timestamp_us"]), []).append(corners)
    details = [json.dumps({"boxes": proposals.get(at, [])[:MAX_BOXES]}) for at in key_frames.iter_rows()]
    ids = [frame_item_id_of(clip_id=clip_id, timestamp_us=time_us) for clip_id, time_us in key_frames.iter_rows()]
    rows = key_frames.with_columns(pl.Series("detail", details, dtype=pl.String))
    return as_items(rows, kind="frame", item_ids=ids)


def person_items(work: Path) -> pl.DataFrame:
    """A person item for each person of a key-frame: as workers verified them, else as they were tracked.

    Raises:
        MissingTable: there are neither verified nor tracked persons.
    Source: AVA-Kinetics paper, section 1.2, step 4.
    """
    columns = [*_AT, "person_id", *CORNERS]
    if table_path(work, "key_frame_boxes").is_file():
        rows = read_table(work, "key_frame_boxes").select(columns)
    else:
        rows = tracked_persons(work)
    ids = [
        person_item_id_of(clip_id=clip_id, timestamp_us=time_us, person_id=person_id)
        for clip_id, time_us, person_id in rows.select(*_AT, "person_id").iter_rows()
    ]
    return as_items(rows, kind="person", item_ids=ids)


def tracked_persons(work: Path) -> pl.DataFrame:
    """clip_id, timestamp_us, person_id, x1, y1, x2, y2 of every person tracked at a key-frame.

    Raises:
        MissingTable: `detect` has not run.
    """
    columns = [*_AT, "person_id", *CORNERS]
    return read_table(work, "key_frames").select(_AT).join(read_table(work, "tracks").select(columns), on=_AT)


def proposed_box_items(work: Path) -> pl.DataFrame:
    """A box item for each action that raters proposed for a person; how many did stands in its detail.

    Raises:
        BadInput: the label map does not name one of AVA's actions as AVA does: its id would be read as another.
        MissingTable: there is no label map.
    Source: AVA-Kinetics paper, section 1.2, step 5.
    """
    rows = read_table(work, "proposed_labels")
    names = dict(read_table(work, "label_map").select("class_id", "name").iter_rows())
    of_ava = dict(ava_label_map(80).select("class_id", "name").iter_rows())
    for class_id in sorted(rows["class_id"].unique()):
        if names.get(class_id) != of_ava.get(class_id):
            held = f"{names[class_id]!r}" if class_id in names else "missing"
            raise BadInput(
                f"raters proposed class {class_id}, AVA's {of_ava.get(class_id)!r}, which is {held} in `label_map`",
                where=work,
                mend="Give AVA's own list of actions to `gesta mine --actions`, in a work folder of its own",
            )
    details = [
        json.dumps({"num_proposed": num_proposed, "num_raters": num_raters})
        for num_proposed, num_raters in rows.select("num_proposed", "num_raters").iter_rows()
    ]
    return _box_items(rows.with_columns(pl.Series("detail", details, dtype=pl.String)))


def tracked_box_items(asked: pl.DataFrame, work: Path) -> pl.DataFrame:
    """A box item for each clip and class that is asked for and every person tracked at the clip's key-frame.

    None where `detect` has not run.
    """
    try:
        persons = tracked_persons(work)
    except MissingTable:
        return empty_frame("items")
    return _box_items(asked.join(persons, on="clip_id"))


def _box_items(rows: pl.DataFrame) -> pl.DataFrame:
    ids = [
        box_item_id_of(clip_id=clip_id, timestamp_us=time_us, person_id=person_id, class_id=class_id)
        for clip_id, time_us, person_id, class_id in rows.select(*_AT, "person_id", "class_id").iter_rows()
    ]
    return as_items(rows, kind="box", item_ids=ids)
