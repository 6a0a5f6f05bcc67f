"""The label database on SQLite and PostgreSQL: what its tables themselves refuse, and that it is real."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.postgres import PostgresServer, running_postgres


def test_a_test_database_is_fresh_and_takes_rows(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    with engine.begin() as db:
        db.execute(sa.text("CREATE TABLE t (n INTEGER)"))
        db.execute(sa.text("INSERT INTO t VALUES (:n)"), {"n": 7})
        assert db.execute(sa.text("SELECT n FROM t")).scalar() == 7
    engine.dispose()


def test_a_killed_server_keeps_what_it_acknowledged_and_starts_again() -> None:
    with running_postgres() as server:
        engine = sa.create_engine(server.make_database(), pool_pre_ping=True)
        with engine.begin() as db:
            db.execute(sa.text("CREATE TABLE t (n INTEGER)"))
            assert db.execute(sa.text("SHOW fsync")).scalar() == "on"
        for n in range(3):
            with engine.begin() as db:
                db.execute(sa.text("INSERT INTO t VALUES (:n)"), {"n": n})
            old_pid = server.pid
            server.kill9()
            with pytest.raises(sa.exc.OperationalError), sa.create_engine(server.url).connect():
                pass
            server.start()
            assert server.pid != old_pid
        with engine.begin() as db:
            assert sorted(db.execute(sa.text("SELECT n FROM t")).scalars()) == [0, 1, 2]
        engine.dispose()
        folder = server.folder
    assert not folder.exists()


def test_the_server_never_runs_as_root(postgres_server: PostgresServer) -> None:
    assert postgres_server.folder.joinpath("data").stat().st_uid != 0
