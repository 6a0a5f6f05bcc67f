"""What a batch of requests writes, gathered while it is worked through and sent to the database at its end.

Rows go in one statement a table: SQLite runs a prepared statement over them (about 3 µs a row), PostgreSQL takes
arrays, since a statement a row would cost it ten times as much.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from gesta.label.sql_tables import classes, events, gold_shown, submissions, tallies, tasks, votes, workers


@dataclass(slots=True)
class Writes:
    """Rows to append, and the keys of rows whose new values are taken from the book at the end."""

    votes: list[tuple[Any, ...]] = field(default_factory=list)
    new_tasks: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    gold_shown: list[tuple[Any, ...]] = field(default_factory=list)
    submissions: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    task_ends: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    task_renewals: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    workers: set[int] = field(default_factory=set)
    classes: set[int] = field(default_factory=set)
    voted: set[tuple[int, int]] = field(default_factory=set)
    """Items and workers answered in this batch; not sent, and kept through a flush in its middle."""

    def end_task(self, task_id: str, status: str, *, now_us: int) -> None:
        """Note the end of a task; one that began in this batch is written once, as ended."""
        begun = self.new_tasks.get(task_id)
        if begun is None:
            self.task_ends[task_id] = (task_id, status, now_us)
        else:
            self.new_tasks[task_id] = (*begun[:4], status, *begun[5:7], now_us)

    def flush(
        self,
        db: sa.Connection,
        *,
        tally_rows: Sequence[tuple[Any, ...]],
        worker_rows: Sequence[tuple[Any, ...]],
        class_rows: Sequence[tuple[Any, ...]],
    ) -> None:
        """Send everything, and forget it: ends before beginnings, since a worker has one live task at most.

        Args:
            tally_rows: what the tallies of `touched` are now, in the order of `seq`; so of workers and classes.
        """
        change(db, tasks, ("task_id", "status", "ended_at_us"), sorted(self.task_ends.values()))
        append(db, tasks, _TASK, list(self.new_tasks.values()))
        append(db, votes, _VOTE, self.votes)
        append(db, gold_shown, ("worker_seq", "seq"), self.gold_shown)
        append(db, submissions, ("worker_seq", "idempotency_key", "body_sha256", "outcome"), self.submissions)
        append(db, events, ("at_us", "actor", "what", "subject", "detail"), self.events)
        change(db, tallies, _TALLY, tally_rows)
        change(db, workers, ("seq", "num_votes", "num_gold", "num_gold_right", "state"), worker_rows)
        change(db, classes, ("class_id", "state", "num_decided", "num_accepted"), class_rows)
        change(db, tasks, ("task_id", "expires_at_us"), sorted(self.task_renewals.values()))
        for rows in (self.votes, self.gold_shown, self.submissions, self.events):
            rows.clear()
        for keys in (self.new_tasks, self.touched, self.workers, self.classes, self.task_ends, self.task_renewals):
            keys.clear()


_TASK = ("task_id", "worker_seq", "kind", "seqs", "status", "given_at_us", "expires_at_us", "ended_at_us")
_VOTE = ("seq", "worker_seq", "revision", "answer", "lasts_whole_clip", "detail", "spent_ms", "cast_at_us")
_TALLY = ("seq", "num_yes", "num_no", "num_unsure", "num_broken", "num_leased", "state")


def append(db: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert the rows, whose values are in the order of `names`."""
    if rows:
        _send(db, _insert_sql(table.name, names, db.dialect.name), table, names, rows)


def change(db: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """Set the columns of `names` beyond the first in the rows that the first one names."""
    if rows:
        _send(db, _update_sql(table.name, names, db.dialect.name), table, names, rows)


def _send(
    db: sa.Connection, statement: str, table: sa.Table, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    if db.dialect.name == "postgresql":
        db.exec_driver_sql(statement, tuple(list(column) for column in zip(*rows, strict=True)))
        return
    keyed = names[1:] + names[:1] if statement.startswith("UPDATE") else names
    if keyed is not names:
        rows = [(*row[1:], row[0]) for row in rows]
    db.exec_driver_sql(statement, list(rows))


_PG_TYPES = {sa.SmallInteger: "smallint", sa.Boolean: "boolean", sa.BigInteger: "bigint", sa.Integer: "integer"}


def _pg_arrays(table_name: str, names: tuple[str, ...]) -> str:
    table = tallies.metadata.tables[table_name]
    types = (next((name for kind, name in _PG_TYPES.items() if isinstance(table.c[n].type, kind)), "text")
             for n in names)  # fmt: skip
    return ", ".join(f"%s::{name}[]" for name in types)


# The statements below are made of the names of our own tables and columns; values are always parameters.


@functools.cache
def _insert_sql(table_name: str, names: tuple[str, ...], dialect: str) -> str:
    if dialect == "postgresql":
        return f"INSERT INTO {table_name} ({', '.join(names)}) SELECT * FROM unnest({_pg_arrays(table_name, names)})"  # noqa: S608
    return f"INSERT INTO {table_name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608


@functools.cache
def _update_sql(table_name: str, names: tuple[str, ...], dialect: str) -> str:
    key, *changed = names
    if dialect == "postgresql":
        pairs = ", ".join(f"{name} = u.{name}" for name in changed)
        arrays = f"unnest({_pg_arrays(table_name, names)}) AS u({', '.join(names)})"
        return f"UPDATE {table_name} t SET {pairs} FROM {arrays} WHERE t.{key} = u.{key}"  # noqa: S608
    pairs = ", ".join(f"{name} = ?" for name in changed)
    return f"UPDATE {table_name} SET {pairs} WHERE {key} = ?"  # noqa: S608
