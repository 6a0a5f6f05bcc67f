"""What is asked: the items table from candidates and tracked persons, the gold table, and both into the database."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa

from gesta.label.store import Store, items, rows_in, tallies, votes
from gesta.label.tally import Rules, refresh_everything
from gesta.schema import ANSWERS, BadInput, BadRow, Refused, Reject, box_item_id_of, clip_item_id_of
from gesta.tables import (
    StageSummary,
    check_frame,
    count_reasons,
    empty_frame,
    hashes_of,
    is_current,
    made_by,
    read_sidecar,
    read_table,
    rejects_path,
    table_path,
    write_rejects,
    write_table,
)

STAGE = "label"
_COORDINATES = ("x1", "y1", "x2", "y2")


def build_items(work: Path) -> StageSummary:
    """Write the items table: a clip item for every candidate, and a box item for every candidate's class and every
    person tracked at its clip's key-frame.

    Where `detect` has not run there are clip items only. A candidate whose clip or class is unknown is rejected
    (`no-clip`, `no-class`).

    Raises:
        MissingTable: the candidates, the clips or the label map are not there.
    """
    optional = [name for name in ("key_frames", "tracks") if read_sidecar(table_path(work, name)) is not None]
    inputs = hashes_of(work, ["candidates", "clips", "label_map", *optional])
    provenance = made_by(STAGE, arguments={}, inputs=inputs)
    outputs = (table_path(work, "items"), rejects_path(work, STAGE))
    if all(is_current(path, provenance) for path in outputs):
        rejected = read_table(outputs[1], "rejects")["reason"].value_counts()
        return _summary(read_table(work, "items"), dict(rejected.iter_rows()), was_current=True)
    candidates = read_table(work, "candidates").select("clip_id", "class_id")
    clips = read_table(work, "clips").select("clip_id", "video_id")
    classes = read_table(work, "label_map").select("class_id")
    is_known_clip = candidates["clip_id"].is_in(clips["clip_id"].implode())
    is_known_class = candidates["class_id"].is_in(classes["class_id"].implode())
    rejects = [
        Reject(stage=STAGE, reason="no-clip", clip_id=row["clip_id"], detail="`clips` does not hold the clip")
        for row in candidates.filter(~is_known_clip).iter_rows(named=True)
    ] + [
        Reject(stage=STAGE, reason="no-class", clip_id=row["clip_id"], detail=f"no class {row['class_id']}")
        for row in candidates.filter(is_known_clip & ~is_known_class).iter_rows(named=True)
    ]
    asked = candidates.filter(is_known_clip & is_known_class)
    key_frames = read_table(work, "key_frames") if "key_frames" in optional else empty_frame("key_frames")
    tracks = read_table(work, "tracks") if "tracks" in optional else empty_frame("tracks")
    frame = pl.concat([_clip_items(asked), _box_items(asked, key_frames=key_frames, tracks=tracks)])
    write_table(outputs[0], "items", frame, made_by=provenance)
    write_rejects(work, STAGE, rejects, made_by=provenance)
    return _summary(frame, count_reasons(rejects), was_current=False)


def _summary(frame: pl.DataFrame, rejected: Mapping[str, int], *, was_current: bool) -> StageSummary:
    kinds = dict(frame["kind"].value_counts().iter_rows())
    return StageSummary(
        stage=STAGE,
        kept=len(frame),
        rejected=rejected,
        outputs=("items.parquet", f"rejects/{STAGE}.parquet"),
        was_current=was_current,
        numbers={"num_clip_items": kinds.get("clip", 0), "num_box_items": kinds.get("box", 0)},
    )


def _clip_items(asked: pl.DataFrame) -> pl.DataFrame:
    ids = [clip_item_id_of(clip_id=clip_id, class_id=class_id) for clip_id, class_id in asked.iter_rows()]
    frame = asked.with_columns(pl.Series("item_id", ids, dtype=pl.String), pl.lit("clip").alias("kind"))
    return _as_items(frame)


def _box_items(asked: pl.DataFrame, *, key_frames: pl.DataFrame, tracks: pl.DataFrame) -> pl.DataFrame:
    persons = key_frames.select("clip_id", "timestamp_us").join(
        tracks.select("clip_id", "timestamp_us", "person_id", *_COORDINATES), on=["clip_id", "timestamp_us"]
    )
    frame = asked.join(persons, on="clip_id")
    ids = [
        box_item_id_of(clip_id=clip_id, timestamp_us=timestamp_us, person_id=person_id, class_id=class_id)
        for clip_id, class_id, timestamp_us, person_id in frame.select(
            "clip_id", "class_id", "timestamp_us", "person_id"
        ).iter_rows()
    ]
    return _as_items(frame.with_columns(pl.Series("item_id", ids, dtype=pl.String), pl.lit("box").alias("kind")))


def _as_items(frame: pl.DataFrame) -> pl.DataFrame:
    schema = empty_frame("items").schema
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in schema.items() if name not in frame.columns]
    return frame.with_columns(absent).select(list(schema))


def import_gold(work: Path, *, gold: Path) -> StageSummary:
    """Write the gold table from a file with the columns item_id and answer (csv, jsonl or parquet).

    A row whose item is unknown is rejected (`no-item`, in `rejects/gold.parquet`).

    Raises:
        MissingTable: the file or the items table is not there.
        BadRow: an answer is none, or an item is named twice; the message names the line (lines from 1, the header
            is line 1; in other files than csv the row plus 1).
        WrongSchema: the columns are others.
    """
    known = read_table(work, "items")["item_id"]
    frame = check_frame("gold", read_table(gold, "gold"), where=gold)
    seen: set[str] = set()
    for line, (item_id, answer) in enumerate(frame.iter_rows(), start=2):
        if answer not in ANSWERS:
            raise BadRow(f"{answer!r} is no answer", path=gold, line=line, mend=f"Want one of {', '.join(ANSWERS)}")
        if item_id in seen:
            raise BadRow(f"item {item_id!r} is there twice", path=gold, line=line, mend="Drop one of the lines")
        seen.add(item_id)
    is_known = frame["item_id"].is_in(known.implode())
    rejects = [
        Reject(stage="gold", reason="no-item", path=str(gold), detail=f"no item {item_id}")
        for item_id in frame.filter(~is_known)["item_id"]
    ]
    kept = frame.filter(is_known)
    provenance = made_by("gold", arguments={}, inputs=hashes_of(work, ["items"]))
    write_table(table_path(work, "gold"), "gold", kept, made_by=provenance)
    write_rejects(work, "gold", rejects, made_by=provenance)
    return StageSummary(
        stage="gold", kept=len(kept), rejected=count_reasons(rejects), outputs=("gold.parquet", "rejects/gold.parquet")
    )


def load_items(store: Store, work: Path, *, rules: Rules) -> None:
    """Make the database ask what the work folder's `items`, `label_map` and (where there is one) `gold` say.

    New items are added; items that are gone are asked no more; every vote stays. Then all views are rebuilt.

    Raises:
        MissingTable: `items` or `label_map` is not there.
        Refused: an item that has votes now has another box: they would be read as votes on it.
    """
    names = dict(read_table(work, "label_map").select("class_id", "name").iter_rows())
    gold_path = table_path(work, "gold")
    gold = dict(read_table(work, "gold").iter_rows()) if gold_path.is_file() else {}
    frame = read_table(work, "items")
    unnamed = frame.filter(~frame["class_id"].is_in(list(names)))
    if len(unnamed):
        raise BadInput(
            f"item {unnamed['item_id'][0]!r} asks for class {unnamed['class_id'][0]}, which `label_map` lacks",
            where=work,
            mend="Run `gesta label` again after `gesta mine`",
        )
    rows = [_row_of(values, names=names, gold=gold) for values in frame.iter_rows(named=True)]
    with store.writing() as db:
        known = set(db.execute(sa.select(items.c.item_id)).scalars())
        _refuse_moved_boxes(db, rows, where=work)
        new = [row for row in rows if row["item_id"] not in known]
        old = [{"of_item": row["item_id"], **row} for row in rows if row["item_id"] in known]
        db.execute(sa.update(items).values(is_active=False, gold_answer=None))
        if old:
            db.execute(sa.update(items).where(items.c.item_id == sa.bindparam("of_item")), old)
        if new:
            db.execute(sa.insert(items), new)
            db.execute(sa.insert(tallies), [_empty_tally(row) for row in new])
        refresh_everything(db, rules=rules)


def _row_of(values: Mapping[str, Any], *, names: Mapping[int, str], gold: Mapping[str, str]) -> dict[str, Any]:
    item_id, is_box = values["item_id"], values["kind"] == "box"
    gate = clip_item_id_of(clip_id=values["clip_id"], class_id=values["class_id"]) if is_box else None
    return {
        **values,
        "class_name": names[values["class_id"]],
        "place": int.from_bytes(hashlib.sha256(item_id.encode()).digest()[:7], "big"),
        "gate_item_id": gate,
        "gold_answer": gold.get(item_id),
        "is_active": True,
    }


def _empty_tally(row: Mapping[str, Any]) -> dict[str, Any]:
    counts = {f"num_{what}": 0 for what in (*ANSWERS, "standing", "leased", "free")}
    return {
        "item_id": row["item_id"],
        "kind": row["kind"],
        "place": row["place"],
        **counts,
        "is_free": False,
        "verdict": "open",
        "is_closed": False,
    }


def _refuse_moved_boxes(db: sa.Connection, rows: Sequence[Mapping[str, Any]], *, where: Path) -> None:
    boxes = {row["item_id"]: tuple(row[name] for name in _COORDINATES) for row in rows if row["kind"] == "box"}
    voted = sa.select(items).where(sa.exists().where(votes.c.item_id == items.c.item_id))
    for row in rows_in(db, voted, items.c.item_id, sorted(boxes)):
        if (row.x1, row.y1, row.x2, row.y2) != boxes[row.item_id]:
            raise Refused(
                f"the box of {row.item_id!r} has moved since workers voted on it",
                where=where,
                mend="Persons were detected anew: move the label database aside to ask again, or restore the tracks",
            )
