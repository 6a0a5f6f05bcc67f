"""One service a database: a lock that its holder loses by ending in any way, and that a second service is refused.

The desk keeps what may be asked in memory; two of them on one database would give the same answer out twice.
"""

from __future__ import annotations

import fcntl
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa

from gesta.schema import Refused

PATIENCE_S = 5.0
"""How long a starting service waits for the lock of one that just ended. Source: ours; PostgreSQL notices a killed
client when it next reads from it, within milliseconds of the statement that it was running."""

_LOCK = 0x6765737461_02
"""Number of the PostgreSQL advisory lock; "gesta" in ASCII, then 2."""
_RETRY_S = 0.05


@dataclass(slots=True)
class DatabaseLock:
    """The lock on one database, held from `exclusive` until `close`; a context manager."""

    engine: sa.Engine
    _session: sa.Connection | None = field(default=None)
    _file: Any = field(default=None)

    def renew(self, *, patience_s: float = PATIENCE_S) -> None:
        """Take the lock again where the database's server lost it by restarting; nothing happens while it is held.

        Raises:
            Refused: another service took it meanwhile.
            sqlalchemy.exc.OperationalError: the server does not answer.
        """
        if self._file is None and not self._is_alive():
            self._session = _advisory_lock(self.engine, patience_s=patience_s)

    def close(self) -> None:
        """Let go of the lock."""
        if self._session is not None:
            _drop(self._session)
            self._session = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> DatabaseLock:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _is_alive(self) -> bool:
        if self._session is None:
            return self.engine.dialect.name != "postgresql"
        try:
            self._session.execute(sa.select(1)).close()
        except sa.exc.DBAPIError:
            _drop(self._session)
            self._session = None
            return False
        return True


def exclusive(engine: sa.Engine, *, patience_s: float = PATIENCE_S) -> DatabaseLock:
    """The only lock on this database; a process that is killed lets go of it.

    On PostgreSQL an advisory lock on a connection of its own; on SQLite a lock on the file `<database>.lock`, which
    stays when the lock is gone. A SQLite database in memory is nobody else's, and needs none.

    Raises:
        Refused: another service works on the database, still so after `patience_s`.
    """
    if engine.dialect.name == "postgresql":
        return DatabaseLock(engine, _session=_advisory_lock(engine, patience_s=patience_s))
    with engine.connect() as db:
        path = db.execute(sa.text("SELECT file FROM pragma_database_list WHERE name = 'main'")).scalar()
    return DatabaseLock(engine, _file=_file_lock(engine, Path(f"{path}.lock"), patience_s=patience_s) if path else None)


def _advisory_lock(engine: sa.Engine, *, patience_s: float) -> sa.Connection:
    alone = sa.create_engine(engine.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    deadline = time.monotonic() + patience_s
    with ExitStack() as on_failure:
        session = alone.connect()
        on_failure.callback(_drop, session)
        while not session.execute(sa.select(sa.func.pg_try_advisory_lock(_LOCK))).scalar():
            if time.monotonic() >= deadline:
                raise _refusal(engine)
            time.sleep(_RETRY_S)
        on_failure.pop_all()
    return session


def _file_lock(engine: sa.Engine, path: Path, *, patience_s: float) -> Any:
    file = path.open("ab")
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                file.close()
                raise _refusal(engine) from None
            time.sleep(_RETRY_S)
        else:
            return file


def _drop(session: sa.Connection) -> None:
    with suppress(sa.exc.DBAPIError):
        session.invalidate()
        session.close()


def _refusal(engine: sa.Engine) -> Refused:
    return Refused(
        "another service is working on this database",
        where=engine.url.render_as_string(hide_password=True),
        mend="Stop it first, or give this one a database of its own",
    )
