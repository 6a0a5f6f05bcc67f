"""The items table, the known answers and the names of classes, taken into the label database."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from gesta.label.class_gates import apply_gates, gate_rule, planned_rule
from gesta.label.recount import CLOSED, OPEN, WAITING, recount_all
from gesta.label.rules import Rules
from gesta.label.sql_tables import classes, items, settings, tallies, votes
from gesta.label.store import Store
from gesta.schema import BadInput, Refused, clip_item_id_of
from gesta.tables import empty_frame, hashes_of, read_table, sha256_of_json, table_path

SETTING = "items_loaded"
"""Name of the row of `settings` that says which tables were loaded last."""

_NUM_AT_ONCE = 20_000
_NUM_IN_LIST = 500
_SHOWN = ("x1", "y1", "x2", "y2", "detail")
_TAKEN = (
    "kind", "clip_id", "class_id", "class_name", "timestamp_us", "person_id", *_SHOWN, "gate_seq", "gold_answer",
    "gold_detail", "is_active",
)  # fmt: skip
_DTYPES: Mapping[str, pl.DataType] = {
    "kind": pl.String(), "clip_id": pl.String(), "class_id": pl.Int64(), "class_name": pl.String(),
    "timestamp_us": pl.Int64(), "person_id": pl.Int64(), **dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float64()),
    "detail": pl.String(), "gate_seq": pl.Int64(), "gold_answer": pl.String(), "gold_detail": pl.String(),
    "is_active": pl.Boolean(),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedItems:
    """What a load changed; `changed_seqs` are the items that were there before and are not as they were."""

    num_new: int
    num_gone: int
    changed_seqs: tuple[int, ...]


def load_items(store: Store, work: Path, *, rules: Rules, now_us: int) -> LoadedItems:
    """What changed when the database was made to ask what the work folder's items say; then all views are rebuilt.

    Raises:
        MissingTable: `items` or `label_map` is not there.
        BadInput: an item asks for a class that has no name.
        Refused: what is shown of an item that has votes is another thing now.
    """
    with store.writing() as db:
        loaded = take_in_items(db, work, rules=rules)
        recount_all(db, rules=rules, now_us=now_us)
        apply_gates(db, rule=gate_rule(db, otherwise=planned_rule(rules)), now_us=now_us)
    return loaded


def take_in_items(
    db: sa.Connection, work: Path, *, rules: Rules, class_ids: Collection[int] | None = None
) -> LoadedItems:
    """What changed when the tables `items`, `label_map` and (where there is one) `gold` were taken in.

    New items come behind those that are there, in an order that is chance, the same each time: the hash of their ids.
    Items that are gone are asked no more; every vote stays. Nothing is done where the tables are those of last time.
    The tallies of new items are made, but the states of old ones are the caller's next step (`recount`).

    Args:
        class_ids: look at the items of these classes alone, for a service that must not wait for all of them.
    Raises:
        MissingTable: `items` or `label_map` is not there.
        BadInput: an item asks for a class that has no name.
        Refused: what is shown of an item that has votes is another thing now: they would be read as votes on it.
    """
    has_gold = table_path(work, "gold").is_file()
    tables = hashes_of(work, ["items", "label_map", *(["gold"] if has_gold else [])])
    protocols = {kind: rule.max_votes for kind, rule in sorted(rules.protocols.items())}
    mark = sha256_of_json({"tables": tables, "max_votes": protocols})
    is_known = db.execute(sa.select(settings.c.value).where(settings.c.name == SETTING)).scalar() == f'"{mark}"'
    if is_known:
        return LoadedItems(num_new=0, num_gone=0, changed_seqs=())
    label_map = read_table(work, "label_map")
    wanted = _wanted(work, label_map, gold=read_table(work, "gold") if has_gold else empty_frame("gold"))
    there = _there(db, class_ids)
    if class_ids is not None:
        wanted = wanted.filter(pl.col("class_id").is_in(list(class_ids)))
    numbered = _numbered(wanted, there, first=1 + (db.execute(sa.select(sa.func.max(items.c.seq))).scalar() or 0))
    _take_in_classes(db, label_map)
    changed, gone = _changes(numbered, there)
    _refuse_what_moved(db, changed, there, where=work)
    _update(db, changed, gone)
    new = numbered.join(there, on="item_id", how="anti").sort("seq")
    _insert(db, new, rules=rules)
    # After some classes' items the database holds neither those tables nor those of last time: an edit that is undone
    # brings the tables of last time back.
    db.execute(sa.delete(settings).where(settings.c.name == SETTING))
    if class_ids is None:
        db.execute(sa.insert(settings).values(name=SETTING, value=f'"{mark}"'))
    return LoadedItems(
        num_new=len(new), num_gone=len(gone), changed_seqs=tuple(sorted([*changed["seq"], *gone["seq"]]))
    )


def _wanted(work: Path, label_map: pl.DataFrame, *, gold: pl.DataFrame) -> pl.DataFrame:
    """What the database should hold of each item, but for `seq` and `gate_seq`; `gate_item_id` is the gate's id."""
    names = label_map.select("class_id", class_name="name")
    known = gold.select("item_id", gold_answer="answer", gold_detail="detail")
    frame = (
        read_table(work, "items")
        .join(names, on="class_id", how="left", maintain_order="left")
        .join(known, on="item_id", how="left", maintain_order="left")
    )
    unnamed = frame.filter(pl.col("class_id").is_not_null() & pl.col("class_name").is_null())
    if len(unnamed):
        raise BadInput(
            f"item {unnamed['item_id'][0]!r} asks for class {unnamed['class_id'][0]}, which `label_map` lacks",
            where=work,
            mend="Run `gesta label` again after `gesta mine`",
        )
    # A box that raters proposed (it says so in its detail) is asked whatever the clip as a whole was found to show.
    is_gated = (pl.col("kind") == "box") & pl.col("detail").is_null()
    gated = frame.filter(is_gated).select("item_id", "clip_id", "class_id")
    gates = [clip_item_id_of(clip_id=clip_id, class_id=class_id) for _, clip_id, class_id in gated.iter_rows()]
    gate_of = gated.select("item_id", pl.Series("gate_item_id", gates, dtype=pl.String))
    return frame.join(gate_of, on="item_id", how="left", maintain_order="left").with_columns(
        pl.lit(value=True).alias("is_active")
    )


def _there(db: sa.Connection, class_ids: Collection[int] | None) -> pl.DataFrame:
    """The items that the database has, of these classes or all: item_id, seq and what can change of them."""
    query = sa.select(items.c.item_id, items.c.seq, *(items.c[name] for name in _TAKEN))
    if class_ids is not None:
        query = query.where(items.c.class_id.in_(class_ids))
    schema = {"item_id": pl.String(), "seq": pl.Int64(), **_DTYPES}
    # In parts, so that a million rows never stand in memory as Python objects.
    parts = db.execute(query, execution_options={"yield_per": _NUM_AT_ONCE}).partitions()
    frames = [pl.DataFrame([tuple(row) for row in part], schema=schema, orient="row") for part in parts]
    return pl.concat([pl.DataFrame(schema=schema), *frames])


def _numbered(wanted: pl.DataFrame, there: pl.DataFrame, *, first: int) -> pl.DataFrame:
    """The items with `seq`: their own where they have one, else the next, in the order of their ids' hashes."""
    known = wanted.select("item_id").join(there.select("item_id", "seq"), on="item_id", how="inner")
    fresh = wanted.select("item_id").join(there, on="item_id", how="anti")["item_id"].to_list()
    fresh.sort(key=lambda item_id: hashlib.sha256(item_id.encode()).digest())
    new = pl.DataFrame({"item_id": fresh, "seq": range(first, first + len(fresh))}, schema=known.schema)
    seqs = pl.concat([known, new])
    return (
        wanted.join(seqs, on="item_id", how="left", maintain_order="left")
        .join(seqs.rename({"item_id": "gate_item_id", "seq": "gate_seq"}), on="gate_item_id", how="left")
        .select("item_id", "seq", *(pl.col(name).cast(dtype) for name, dtype in _DTYPES.items()))
    )


def _take_in_classes(db: sa.Connection, label_map: pl.DataFrame) -> None:
    there = {row.class_id: row.name for row in db.execute(sa.select(classes.c.class_id, classes.c.name))}
    named = dict(label_map.select("class_id", "name").iter_rows())
    new = [
        {"class_id": class_id, "name": name, "state": "active", "state_by": "gate", "num_decided": 0, "num_accepted": 0}
        for class_id, name in named.items()
        if class_id not in there
    ]
    renamed = [{"of": k, "name": name} for k, name in named.items() if there.get(k, name) != name]
    if new:
        db.execute(sa.insert(classes), new)
    if renamed:
        db.execute(sa.update(classes).where(classes.c.class_id == sa.bindparam("of")), renamed)


def _changes(numbered: pl.DataFrame, there: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The items that are there and should be otherwise, as they should be; and those that are no longer wanted."""
    both = numbered.join(there, on="item_id", how="inner", suffix="_before")
    is_other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in _TAKEN)
    changed = both.filter(is_other).select(numbered.columns)
    is_here = there.filter(pl.col("is_active") | pl.col("gold_answer").is_not_null())
    return changed, is_here.join(numbered, on="item_id", how="anti").select("item_id", "seq")


def _refuse_what_moved(db: sa.Connection, changed: pl.DataFrame, there: pl.DataFrame, *, where: Path) -> None:
    before = there.select("item_id", *(pl.col(name).alias(f"{name}_before") for name in _SHOWN))
    is_other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in _SHOWN)
    # How many raters proposed an action is not shown: it may grow while the action is being verified.
    is_shown = pl.col("kind") != "box"
    moved = changed.join(before, on="item_id", how="inner", maintain_order="left").filter(
        pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in _SHOWN[:4])
        | (is_other & is_shown)
    )
    for some in _in_lists(moved["seq"].to_list()):
        voted = db.execute(sa.select(votes.c.seq).where(votes.c.seq.in_(some)).order_by(votes.c.seq).limit(1)).scalar()
        if voted is not None:
            item_id, kind = moved.filter(seq=voted).select("item_id", "kind").row(0)
            what = "what was proposed for" if kind == "frame" else "the box of"
            raise Refused(
                f"{what} {item_id!r} has moved since workers voted on it",
                where=where,
                mend="Persons were detected anew: move the label database aside to ask again, or restore the tracks",
            )


def _update(db: sa.Connection, changed: pl.DataFrame, gone: pl.DataFrame) -> None:
    if len(changed):
        rows = changed.select(pl.col("seq").alias("of"), *_TAKEN)
        statement = sa.update(items).where(items.c.seq == sa.bindparam("of"))
        for part in rows.iter_slices(_NUM_AT_ONCE):
            db.execute(statement, part.to_dicts())
    for some in _in_lists(gone["seq"].to_list()):
        db.execute(sa.update(items).where(items.c.seq.in_(some)).values(is_active=False, gold_answer=None))


def _insert(db: sa.Connection, new: pl.DataFrame, *, rules: Rules) -> None:
    """Add the items and their tallies, in the order of `seq`."""
    if not len(new):
        return
    _add_rows(db, new)
    counts = ("num_yes", "num_no", "num_unsure", "num_broken", "num_leased")
    most = sa.case({kind: rule.max_votes for kind, rule in rules.protocols.items()}, value=items.c.kind, else_=0)
    state = sa.case((items.c.gold_answer.is_not(None), CLOSED), (items.c.gate_seq.is_not(None), WAITING), else_=OPEN)
    made = sa.select(items.c.seq, *(sa.literal(0) for _ in counts), most, state).where(items.c.seq >= new["seq"][0])
    db.execute(sa.insert(tallies).from_select(["seq", *counts, "max_votes", "state"], made))


def _add_rows(db: sa.Connection, new: pl.DataFrame) -> None:
    """Add rows to `items`, the fastest way that each database has: a million take seconds, not minutes.

    Source: measured; 1 M rows by executemany took 60 s on PostgreSQL, and SQLAlchemy's own part of it is half the
    time on SQLite. The statements are made from the table's own names, and values never become part of them.
    """
    ordered = new.select(items.c.keys())
    if db.dialect.name == "postgresql":
        copying = f"COPY items ({', '.join(ordered.columns)}) FROM STDIN (FORMAT csv)"
        with db.connection.cursor() as cursor, cursor.copy(copying) as copy:  # type: ignore[attr-defined]
            for part in ordered.iter_slices(_NUM_AT_ONCE):
                copy.write(part.write_csv(include_header=False))
        return
    inserting = str(sa.insert(items).compile(db))
    for part in ordered.iter_slices(_NUM_AT_ONCE):
        db.exec_driver_sql(inserting, part.rows())


def _in_lists(seqs: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(seqs), _NUM_IN_LIST):
        yield seqs[start : start + _NUM_IN_LIST]
