"""The label database: what is asked, who has it on lease, and the append-only log of answers.

`votes` is the truth and is only ever appended to. `tallies` and the columns of `workers` beyond its key are views
of the log, kept in tables so that handing out questions needs no counting; they are written in the transaction
that changed what they show, and rebuilt whole when the service starts.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gesta.schema import BadInput

BUSY_TIMEOUT_S = 30
"""How long a second process waits for the database's one writer. Source: ours; a transaction here takes under 0.1 s."""

_ID = sa.String(400)
_metadata = sa.MetaData()

items = sa.Table(
    "items",
    _metadata,
    sa.Column("item_id", _ID, primary_key=True),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("clip_id", _ID, nullable=False),
    sa.Column("class_id", sa.BigInteger, nullable=False),
    sa.Column("class_name", sa.String(400), nullable=False),
    sa.Column("timestamp_us", sa.BigInteger),
    sa.Column("person_id", sa.BigInteger),
    *(sa.Column(name, sa.Float) for name in ("x1", "y1", "x2", "y2")),
    sa.Column("place", sa.BigInteger, nullable=False, comment="random, fixed by the item's id: the order of asking"),
    sa.Column("gate_item_id", _ID, index=True, comment="item that must be accepted before this one is asked"),
    sa.Column("gold_answer", sa.String(8), comment="the known answer, where it is known"),
    sa.Column("is_active", sa.Boolean, nullable=False, comment="false once the items table no longer holds it"),
)

tallies = sa.Table(
    "tallies",
    _metadata,
    sa.Column("item_id", _ID, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("place", sa.BigInteger, nullable=False),
    *(sa.Column(f"num_{answer}", sa.Integer, nullable=False) for answer in ("yes", "no", "unsure", "broken")),
    sa.Column("num_standing", sa.Integer, nullable=False, comment="votes of workers who are not barred"),
    sa.Column("num_leased", sa.Integer, nullable=False, comment="live leases"),
    sa.Column("num_free", sa.Integer, nullable=False, comment="leases that may still be given out"),
    sa.Column("is_free", sa.Boolean, nullable=False, comment="num_free > 0, for the index of what can be asked"),
    sa.Column("verdict", sa.String(8), nullable=False),
    sa.Column("is_closed", sa.Boolean, nullable=False, comment="will not be asked again: decided, gold or withdrawn"),
)
sa.Index("tallies_supply", tallies.c.kind, tallies.c.is_free, tallies.c.num_standing.desc(), tallies.c.place)

votes = sa.Table(
    "votes",
    _metadata,
    sa.Column("vote_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("item_id", _ID, sa.ForeignKey("items.item_id"), nullable=False),
    sa.Column("worker_id", sa.String(64), sa.ForeignKey("workers.worker_id"), nullable=False),
    sa.Column("answer", sa.String(8), nullable=False),
    sa.Column("lasts_whole_clip", sa.Boolean),
    sa.Column("spent_ms", sa.BigInteger, nullable=False),
    sa.Column("cast_at_us", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("item_id", "worker_id", name="one_answer_a_worker"),
    sa.Index("votes_of_worker", "worker_id", "item_id"),
)

leases = sa.Table(
    "leases",
    _metadata,
    sa.Column("item_id", _ID, sa.ForeignKey("items.item_id"), primary_key=True),
    sa.Column("worker_id", sa.String(64), sa.ForeignKey("workers.worker_id"), primary_key=True),
    sa.Column("task_id", sa.String(32), nullable=False),
    sa.Column("slot", sa.Integer, nullable=False, comment="place in the task, from 0"),
    sa.Column("expires_at_us", sa.BigInteger, nullable=False),
    sa.Column("is_live", sa.Boolean, nullable=False, comment="false once answered, expired or taken back"),
    sa.Index("leases_expiring", "is_live", "expires_at_us"),
    sa.Index("leases_of_worker", "worker_id", "is_live"),
)

workers = sa.Table(
    "workers",
    _metadata,
    sa.Column("worker_id", sa.String(64), primary_key=True),
    sa.Column("num_votes", sa.Integer, nullable=False),
    sa.Column("num_gold", sa.Integer, nullable=False),
    sa.Column("num_gold_right", sa.Integer, nullable=False),
    sa.Column("is_barred", sa.Boolean, nullable=False),
)

submissions = sa.Table(
    "submissions",
    _metadata,
    sa.Column("worker_id", sa.String(64), sa.ForeignKey("workers.worker_id"), primary_key=True),
    sa.Column("idempotency_key", sa.String(64), primary_key=True),
    sa.Column("body_sha256", sa.String(64), nullable=False),
    sa.Column("outcome", sa.Text, nullable=False, comment="JSON of the first answer, given again to replays"),
)

for _verb in ("UPDATE", "DELETE"):
    sa.event.listen(
        votes,
        "after_create",
        sa.DDL(
            f"CREATE TRIGGER votes_no_{_verb.lower()} BEFORE {_verb} ON votes "
            "BEGIN SELECT RAISE(ABORT, 'the vote log is append-only'); END"
        ).execute_if(dialect="sqlite"),
    )


@dataclass(frozen=True, slots=True)
class Store:
    """An open label database."""

    engine: sa.Engine
    _one_writer: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that holds the database's write lock from its first statement; commits at the end.

        Threads of this process queue on a lock of ours, which wakes them at once, in turn; SQLite's own waiting
        sleeps and retries. Other processes wait on SQLite's (BEGIN IMMEDIATE).
        """
        with self._one_writer, self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the database and waits for no writer."""
        with self.engine.connect().execution_options(only_reads=True) as connection:
            yield connection

    def close(self) -> None:
        """Close every connection; SQLite folds its write-ahead log into the file."""
        self.engine.dispose()


def database_url_of(work: Path) -> str:
    """The URL of a work folder's own database, a SQLite file."""
    return f"sqlite:///{(work / 'labels.sqlite').resolve().as_posix()}"


def open_store(url: str) -> Store:
    """The label database at an SQLAlchemy URL, its tables made where missing.

    SQLite runs with a write-ahead log and `synchronous=FULL`: an answer that was acknowledged is on the disk, and
    survives a power cut as well as a killed process. (`NORMAL` would lose the last ones to a power cut.)

    Raises:
        BadInput: `url` is no database URL, its driver is not installed, or the database cannot be opened.
    """
    try:
        engine = sa.create_engine(url, pool_size=8, max_overflow=56)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _set_up_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
        with engine.begin() as connection:
            _metadata.create_all(connection)
    except (sa.exc.ArgumentError, sa.exc.OperationalError, sa.exc.DatabaseError, ModuleNotFoundError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise BadInput(
            f"the label database cannot be opened ({reason})",
            where=url,
            mend="Give a URL like sqlite:////full/path/labels.sqlite in a folder that can be written",
        ) from error
    return Store(engine)


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Without this Python's driver would begin transactions itself, late and without the write lock.
    connection.isolation_level = None
    for pragma in (f"busy_timeout={BUSY_TIMEOUT_S * 1000}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: sa.Connection) -> None:
    only_reads = connection.get_execution_options().get("only_reads", False)
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


def in_chunks(ids: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    """The ids in slices short enough for one SQL statement's list of values."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def rows_in(connection: sa.Connection, query: sa.Select[Any], column: sa.Column[Any], ids: Sequence[str]) -> list[Any]:
    """The rows of `query` whose `column` is among `ids`."""
    return [row for some in in_chunks(ids) for row in connection.execute(query.where(column.in_(some)))]
