"""The label database, open: its engine, and how transactions begin on each of the two kinds."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gesta.label.migrations import migrate
from gesta.schema import BadInput

BUSY_TIMEOUT_S = 30
"""How long one process waits for SQLite's one writer. Source: ours; a transaction here takes under 0.1 s."""

CHECKPOINT_EVERY_S = 1.0
"""How often SQLite's write-ahead log is folded into its file, in the background. Source: ours; left to the writer,
the fold falls on whoever's commit comes then, which made the slowest one in a hundred wait 0.3 s and more."""

MAX_LOG_PAGES = 8_000
"""Pages of 4 KiB that the log may have before it is begun anew. Source: ours."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open label database."""

    engine: sa.Engine

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that may write, and holds SQLite's write lock from its first statement; commits at the end."""
        with self.engine.begin() as connection:
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
    """The label database at an SQLAlchemy URL, brought up to date.

    `postgresql://` means psycopg. SQLite runs with a write-ahead log and `synchronous=FULL`, PostgreSQL with
    `synchronous_commit=on`: an answer that was acknowledged is on the disk, and survives a power cut as well as a
    killed process.

    Raises:
        BadInput: `url` is no database URL, its driver is not installed, or the database cannot be opened.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise BadInput(
                f"no labels on {parsed.get_backend_name()}", where=_shown(url), mend="Want sqlite or postgresql"
            )
        # A failing statement is logged: without the values, which are people's names and answers.
        engine = sa.create_engine(
            parsed, pool_size=8, max_overflow=56, hide_parameters=True,
            pool_pre_ping=parsed.get_backend_name() != "sqlite",
        )  # fmt: skip
        sa.event.listen(engine, "connect", _SET_UP[engine.dialect.name])
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "begin", _begin_sqlite)
        migrate(engine)
    except (sa.exc.ArgumentError, sa.exc.OperationalError, sa.exc.DatabaseError, ModuleNotFoundError) as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise BadInput(
            f"the label database cannot be opened ({reason})",
            where=_shown(url),
            mend="Give a URL like sqlite:////full/path/labels.sqlite or postgresql://user@host/name",
        ) from error
    return Store(engine)


def _shown(url: str) -> str:
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return url


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Without this Python's driver would begin transactions itself, late and without the write lock.
    connection.isolation_level = None
    pragmas = (
        f"busy_timeout={BUSY_TIMEOUT_S * 1000}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON",
        "cache_size=-65536", "temp_store=MEMORY", "journal_size_limit=268435456",
    )  # fmt: skip
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}").close()


def _set_up_postgresql(connection: Any, _record: object) -> None:
    # A role or server that was set to answer before the disk has it would lose acknowledged answers to a power cut.
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
        cursor.execute("SET jit TO off")
    connection.commit()


_SET_UP = {"sqlite": _set_up_sqlite, "postgresql": _set_up_postgresql}


def _begin_sqlite(connection: sa.Connection) -> None:
    only_reads = connection.get_execution_options().get("only_reads", False)
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


@contextmanager
def folding_in_background(store: Store) -> Iterator[None]:
    """While the block runs, SQLite's write-ahead log is folded by a thread of its own; nothing on PostgreSQL."""
    database = store.engine.url.database
    if store.dialect != "sqlite" or not database or database == ":memory:":
        yield
        return
    stopped = threading.Event()

    def fold() -> None:
        connection = sqlite3.connect(database, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous=FULL").close()
            while not stopped.wait(CHECKPOINT_EVERY_S):
                # A full or failing disk is the writer's to report; the log stays, and the next fold takes it along.
                with suppress(sqlite3.Error):
                    _, num_pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                    # A log that is written all the time is never folded to its end: the writer has to wait for the
                    # last of it now and then, or the log grows without bound and slows every read.
                    if num_pages > MAX_LOG_PAGES:
                        connection.execute("PRAGMA wal_checkpoint(RESTART)").close()
        finally:
            connection.close()

    thread = threading.Thread(target=fold, name="gesta-fold", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def in_chunks(ids: Sequence[Any], size: int = 500) -> Iterator[Sequence[Any]]:
    """The ids in slices short enough for one SQL statement's list of values."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
