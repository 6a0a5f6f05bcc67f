"""The label database brought to the tables that this program knows, one numbered step (revision) at a time.

Alembic keeps the revision in the table `alembic_version`. The steps are the modules in `versions`; there is no ini
file, and nothing for the user to run: a database is brought up to date when it is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from gesta.label.sql_tables import metadata
from gesta.schema import Refused

_FOLDER = Path(__file__).resolve().parent
_LOCK = 0x6765737461_01
"""Number of the PostgreSQL advisory lock that whoever changes the tables holds; "gesta" in ASCII, then 1."""


def migrate(engine: sa.Engine, *, further_versions: Sequence[Path] = ()) -> None:
    """Bring the database's tables to the newest revision, all of it in one transaction.

    Two processes may do so at once: the second waits for the first, and finds nothing left to do. Revisions are
    looked for in this package and in the folders `further_versions`.

    Raises:
        Refused: the database was made by a newer gesta, or holds tables of the same names that no revision made.
    """
    config = _config(further_versions)
    with engine.begin() as db:
        _wait_for_others(db)
        script = ScriptDirectory.from_config(config)
        found = MigrationContext.configure(db).get_current_revision()
        if found == script.get_current_head():
            return
        _check_known(db, found, known={step.revision for step in script.walk_revisions()})
        config.attributes["connection"] = db
        command.upgrade(config, "head")


def current_revision(engine: sa.Engine) -> str | None:
    """The revision that the database's tables are at; None before the first."""
    with engine.connect() as db:
        return MigrationContext.configure(db).get_current_revision()


def _config(further_versions: Sequence[Path]) -> Config:
    config = Config()
    folders = [_FOLDER / "versions", *further_versions]
    for name, value in (
        ("script_location", str(_FOLDER)),
        ("path_separator", "newline"),
        ("version_locations", "\n".join(str(folder) for folder in folders)),
    ):
        config.set_main_option(name, value.replace("%", "%%"))
    return config


def _wait_for_others(db: sa.Connection) -> None:
    if db.dialect.name == "postgresql":
        db.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    elif not db.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
        # An engine without the store's own listeners: Python's driver would begin too late, and without the lock.
        db.exec_driver_sql("BEGIN IMMEDIATE")


def _check_known(db: sa.Connection, found: str | None, *, known: set[str]) -> None:
    where = db.engine.url.render_as_string(hide_password=True)
    if found is not None and found not in known:
        raise Refused(
            f"this label database was made by a newer gesta (its tables are at revision {found!r})",
            where=where,
            mend="Update gesta, or give another database",
        )
    taken = sorted(set(sa.inspect(db).get_table_names()) & set(metadata.tables))
    if found is None and taken:
        raise Refused(
            f"this database has tables that gesta did not make or made before it kept revisions: {', '.join(taken)}",
            where=where,
            mend="Give an empty database; the answers in this one are read by the version that wrote them",
        )
