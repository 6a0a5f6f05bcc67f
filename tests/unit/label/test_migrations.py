"""The label database is brought up to date when opened: the same tables by every road, on SQLite and PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from gesta.label.migrations import current_revision, migrate
from gesta.label.sql_tables import metadata
from gesta.schema import Refused

LATER = '''
"""A later step."""
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("classes", sa.Column("hint", sa.String(50), server_default="none"))
    if BREAKS:
        raise RuntimeError("half-way")
'''

CATALOGUE = {
    "sqlite": ["SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name != 'alembic_version'"],
    "postgresql": [
        "SELECT tgname, tgtype, tgrelid::regclass::text, proname, prosrc FROM pg_trigger "
        "JOIN pg_proc ON pg_proc.oid = tgfoid WHERE NOT tgisinternal",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename != 'alembic_version'",
        "SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text != 'alembic_version'",
        "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default, "
        "character_maximum_length, col_description(table_name::regclass, ordinal_position) "
        "FROM information_schema.columns WHERE table_schema = 'public' AND table_name != 'alembic_version'",
    ],
}


def catalogue(engine: sa.Engine) -> list[list[tuple[object, ...]]]:
    """Everything that the database says of its tables, indexes, checks and triggers."""
    with engine.connect() as db:
        queries = CATALOGUE[engine.dialect.name]
        return [sorted(map(tuple, db.execute(sa.text(query)).all()), key=str) for query in queries]


def later_step(folder: Path, *, breaks: bool = False) -> Path:
    """A folder with a revision 0002."""
    folder.mkdir()
    (folder / "r0002_later.py").write_text(LATER.replace("BREAKS", str(breaks)))
    return folder


def add_class(engine: sa.Engine) -> None:
    """One row of our own."""
    with engine.begin() as db:
        db.execute(
            metadata.tables["classes"].insert(),
            {
                "class_id": 7, "name": "juggling", "state": "active", "state_by": "gate", "num_decided": 0,
                "num_accepted": 0,
            },
        )  # fmt: skip


def test_migrating_makes_exactly_the_tables_of_the_program(
    database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    migrated = sa.create_engine(database_url)
    assert current_revision(migrated) is None
    migrate(migrated)
    assert current_revision(migrated) == "0001"
    with migrated.connect() as db:
        assert compare_metadata(MigrationContext.configure(db, opts={"compare_type": True}), metadata) == []

    if migrated.dialect.name == "sqlite":
        made = sa.create_engine(f"sqlite:///{tmp_path / 'made.sqlite'}")
    else:
        made = sa.create_engine(request.getfixturevalue("postgres_server").make_database())
    metadata.create_all(made)
    assert catalogue(migrated) == catalogue(made), "copy the change of sql_tables into a revision"
    migrated.dispose()
    made.dispose()


def test_opening_again_changes_nothing_and_keeps_rows(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    migrate(engine)
    add_class(engine)
    before = catalogue(engine)
    migrate(engine)
    assert catalogue(engine) == before
    with engine.connect() as db:
        assert db.execute(sa.select(metadata.tables["classes"].c.name)).scalars().all() == ["juggling"]
    engine.dispose()


def test_a_later_revision_is_applied_and_keeps_the_rows(database_url: str, tmp_path: Path) -> None:
    engine = sa.create_engine(database_url)
    migrate(engine)
    add_class(engine)
    migrate(engine, further_versions=[later_step(tmp_path / "later")])
    assert current_revision(engine) == "0002"
    with engine.connect() as db:
        assert db.execute(sa.text("SELECT name, hint FROM classes")).all() == [("juggling", "none")]
    engine.dispose()


def test_a_revision_that_fails_leaves_the_database_as_it_was(database_url: str, tmp_path: Path) -> None:
    engine = sa.create_engine(database_url)
    migrate(engine)
    before = catalogue(engine)
    with pytest.raises(RuntimeError, match="half-way"):
        migrate(engine, further_versions=[later_step(tmp_path / "later", breaks=True)])
    assert current_revision(engine) == "0001"
    assert catalogue(engine) == before
    engine.dispose()


def test_a_database_of_a_newer_program_is_refused(database_url: str, tmp_path: Path) -> None:
    engine = sa.create_engine(database_url)
    migrate(engine, further_versions=[later_step(tmp_path / "later")])
    with pytest.raises(Refused, match=r"made by a newer gesta .*'0002'.*Update gesta"):
        migrate(engine)
    engine.dispose()


def test_tables_that_no_revision_made_are_refused(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    with engine.begin() as db:
        db.execute(sa.text("CREATE TABLE votes (vote_id INTEGER)"))
    with pytest.raises(Refused, match=r"before it kept revisions: votes\. Give an empty database"):
        migrate(engine)
    assert sa.inspect(engine).get_table_names() == ["votes"]
    engine.dispose()


def test_the_refusal_hides_the_password(postgres_url: str, tmp_path: Path) -> None:
    engine = sa.create_engine(postgres_url.replace("postgres@", "postgres:hushhush@"))
    migrate(engine, further_versions=[later_step(tmp_path / "later")])
    with pytest.raises(Refused) as refused:
        migrate(engine)
    assert "hushhush" not in str(refused.value)
    assert refused.value.where.startswith("postgresql+psycopg://postgres:***@127.0.0.1")
    engine.dispose()


def test_many_processes_may_open_a_new_database_at_once(database_url: str) -> None:
    script = (
        "import sys, sqlalchemy as sa\n"
        "from gesta.label.migrations import migrate\n"
        "engine = sa.create_engine(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "migrate(engine)\n"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", script, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == b"ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate(timeout=60)
    assert [racer.returncode for racer in racers] == [0, 0, 0, 0]
    engine = sa.create_engine(database_url)
    assert current_revision(engine) == "0001"
    engine.dispose()
