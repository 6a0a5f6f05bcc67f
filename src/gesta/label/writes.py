"""What a batch of requests writes, gathered while it is worked through and sent to the database at its end.

Rows go in few statements a table: SQLite takes them as lists of values, PostgreSQL as arrays; a statement a row would
cost either several times as much.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
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

    def renew_task(self, task_id: str, expires_at_us: int) -> None:
        """Note that a task's lease ends later; of one that began in this batch its own row says so."""
        begun = self.new_tasks.get(task_id)
        if begun is None:
            self.task_renewals[task_id] = (task_id, expires_at_us)
        else:
            self.new_tasks[task_id] = (*begun[:6], expires_at_us, *begun[7:])

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
        parts = (
            _Part(tasks, _TASK, list(self.new_tasks.values())),
            _Part(votes, _VOTE, self.votes),
            _Part(gold_shown, ("worker_seq", "seq"), self.gold_shown),
            _Part(submissions, ("worker_seq", "idempotency_key", "body_sha256", "outcome"), self.submissions),
            _Part(events, ("at_us", "actor", "what", "subject", "detail"), self.events),
            _Part(tallies, _TALLY, tally_rows, is_change=True),
            _Part(workers, ("seq", "num_votes", "num_gold", "num_gold_right", "state"), worker_rows, is_change=True),
            _Part(classes, ("class_id", "state", "num_decided", "num_accepted"), class_rows, is_change=True),
            _Part(tasks, ("task_id", "expires_at_us"), sorted(self.task_renewals.values()), is_change=True),
        )
        change(db, tasks, ("task_id", "status", "ended_at_us"), sorted(self.task_ends.values()))
        if db.dialect.name == "postgresql":
            _send_together(db, parts)
        else:
            for part in parts:
                send = change if part.is_change else append
                send(db, part.table, part.names, part.rows)
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
        _send(db, functools.partial(_insert_sql, table.name, names), rows)


def change(db: sa.Connection, table: sa.Table, names: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> None:
    """Set the columns of `names` beyond the first in the rows that the first one names."""
    if rows:
        _send(db, functools.partial(_update_sql, table.name, names), rows)


@dataclass(frozen=True, slots=True)
class _Part:
    table: sa.Table
    names: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    is_change: bool = False


def _send_together(db: sa.Connection, parts: Sequence[_Part]) -> None:
    """Everything in one statement: PostgreSQL then answers once, and its server never waits for the next part."""
    if any(part.rows for part in parts):
        sql = _together_sql(tuple((part.table.name, part.names, part.is_change) for part in parts))
        values: list[str] = []
        for part in parts:
            values += map(pg_array, zip(*part.rows, strict=True)) if part.rows else ["{}"] * len(part.names)
        db.exec_driver_sql(sql, tuple(values)).close()


@functools.cache
def _together_sql(parts: tuple[tuple[str, tuple[str, ...], bool], ...]) -> str:
    statements = [
        (_update_sql if is_change else _insert_sql)(table_name, names, "postgresql", 0)
        for table_name, names, is_change in parts
    ]
    named = ", ".join(f"part_{number} AS ({statement})" for number, statement in enumerate(statements))
    return f"WITH {named} SELECT 1"


_CHUNKS = (512, 64, 8, 1)
"""Rows in one SQLite statement. Source: ours; Python lets other threads run at each statement's step and may wait 5 ms
to go on, so a step a row, as its `executemany` takes, made batches ten times as long while requests were being read."""


def _send(db: sa.Connection, statement: Callable[[str, int], str], rows: Sequence[tuple[Any, ...]]) -> None:
    if db.dialect.name == "postgresql":
        db.exec_driver_sql(statement("postgresql", 0), tuple(map(pg_array, zip(*rows, strict=True))))
        return
    done = 0
    for num_rows in _CHUNKS:
        while len(rows) - done >= num_rows:
            values = tuple(value for row in rows[done : done + num_rows] for value in row)
            db.exec_driver_sql(statement("sqlite", num_rows), values)
            done += num_rows


def pg_array(values: Sequence[bool | int | str | None]) -> str:
    r"""The values, all of one type, as PostgreSQL writes an array: psycopg takes several times as long over a list.

    Source: PostgreSQL 15 documentation, section 8.15.2.

    >>> pg_array([1, None, 3]), pg_array([True, None])
    ('{1,NULL,3}', '{true,NULL}')
    >>> print(pg_array(['a "b"', None, "NULL"]))
    {"a \"b\"",NULL,"NULL"}
    """
    first = next((value for value in values if value is not None), None)
    if isinstance(first, str):
        told = ["NULL" if value is None else _pg_quoted(str(value)) for value in values]
    elif isinstance(first, bool) or None in values:
        told = ["NULL" if value is None else str(value).lower() for value in values]
    else:
        told = list(map(str, values))
    return f"{{{','.join(told)}}}"


def _pg_quoted(text: str) -> str:
    if not text.isalnum():
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


_PG_TYPES = {sa.SmallInteger: "smallint", sa.Boolean: "boolean", sa.BigInteger: "bigint", sa.Integer: "integer"}


def _pg_arrays(table_name: str, names: tuple[str, ...]) -> str:
    table = tallies.metadata.tables[table_name]
    types = (next((name for kind, name in _PG_TYPES.items() if isinstance(table.c[n].type, kind)), "text")
             for n in names)  # fmt: skip
    return ", ".join(f"%s::{name}[]" for name in types)


# The statements below are made of the names of our own tables and columns; values are always parameters.


@functools.cache
def _insert_sql(table_name: str, names: tuple[str, ...], dialect: str, num_rows: int) -> str:
    into = f"INSERT INTO {table_name} ({', '.join(names)})"
    if dialect == "postgresql":
        return f"{into} SELECT * FROM unnest({_pg_arrays(table_name, names)})"  # noqa: S608
    return f"{into} VALUES {_values(names, num_rows)}"


@functools.cache
def _update_sql(table_name: str, names: tuple[str, ...], dialect: str, num_rows: int) -> str:
    key, *changed = names
    if dialect == "postgresql":
        pairs = ", ".join(f"{name} = u.{name}" for name in changed)
        arrays = f"unnest({_pg_arrays(table_name, names)}) AS u({', '.join(names)})"
        return f"UPDATE {table_name} t SET {pairs} FROM {arrays} WHERE t.{key} = u.{key}"  # noqa: S608
    pairs = ", ".join(f"{name} = u.column{place}" for place, name in enumerate(changed, start=2))
    rows = f"(VALUES {_values(names, num_rows)}) AS u"
    return f"UPDATE {table_name} SET {pairs} FROM {rows} WHERE {table_name}.{key} = u.column1"  # noqa: S608


def _values(names: tuple[str, ...], num_rows: int) -> str:
    return ", ".join([f"({', '.join('?' * len(names))})"] * num_rows)
