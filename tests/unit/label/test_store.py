"""The label database on SQLite and PostgreSQL: what its tables themselves refuse, and who may work on it."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.postgres import PostgresServer, running_postgres

from gesta.label.answers import Overloaded, StoreDown
from gesta.label.database_lock import exclusive
from gesta.label.desk import Desk
from gesta.label.migrations import migrate
from gesta.label.rules import Rules
from gesta.label.sql_tables import events, items, tallies, tasks, votes, workers
from gesta.label.store import open_store
from gesta.schema import Refused

HOLD = (
    "import sys, sqlalchemy as sa\n"
    "from gesta.label.database_lock import exclusive\n"
    "lock = exclusive(sa.create_engine(sys.argv[1]))\n"
    "print('held', flush=True)\n"
    "sys.stdin.readline()\n"
)


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """A migrated database with one item and one worker."""
    engine = sa.create_engine(database_url)
    migrate(engine)
    with engine.begin() as db:
        db.execute(items.insert(), {"seq": 1, "item_id": "i1", "kind": "clip", "clip_id": "c1", "is_active": True})
        db.execute(
            workers.insert(),
            {
                "seq": 1, "worker_id": "ada", "role": "worker", "state": "active", "is_held_by_owner": False,
                "origin": "local", "joined_at_us": 0, "num_votes": 0, "num_gold": 0, "num_gold_right": 0,
            },
        )  # fmt: skip
    yield engine
    engine.dispose()


def tally(**counts: int) -> dict[str, int]:
    """A row of `tallies` for item 1, at most 5 votes."""
    zeros = dict.fromkeys(("num_yes", "num_no", "num_unsure", "num_broken", "num_leased"), 0)
    return {"seq": 1, **zeros, "max_votes": 5, "state": 1, **counts}


def vote(revision: int = 0) -> dict[str, object]:
    """A row of `votes`: ada says yes to item 1."""
    return {"seq": 1, "worker_seq": 1, "revision": revision, "answer": "yes", "spent_ms": 5, "cast_at_us": 9}


def task(task_id: str, status: str = "live") -> dict[str, object]:
    """A row of `tasks`: item 1 for ada."""
    return {
        "task_id": task_id, "worker_seq": 1, "kind": "clip", "seqs": "[1]", "status": status, "given_at_us": 0,
        "expires_at_us": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "counts", [{"num_leased": 6}, {"num_yes": 3, "num_no": 2, "num_leased": 1}, {"num_leased": -1}]
)
def test_an_item_never_gets_more_than_it_may(engine: sa.Engine, counts: dict[str, int]) -> None:
    with pytest.raises(sa.exc.IntegrityError, match=r"never_over|no_negative_lease"), engine.begin() as db:
        db.execute(tallies.insert(), tally(**counts))
    with engine.begin() as db:
        db.execute(tallies.insert(), tally(num_yes=3, num_leased=2))


def test_a_second_answer_of_a_worker_to_an_item_is_refused(engine: sa.Engine) -> None:
    with engine.begin() as db:
        db.execute(votes.insert(), [vote(0), vote(1)])
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as db:
        db.execute(votes.insert(), vote(1))


def test_a_worker_has_one_live_task_and_any_number_of_ended_ones(engine: sa.Engine) -> None:
    with engine.begin() as db:
        db.execute(tasks.insert(), [task("a"), task("b", "expired"), task("c", "expired")])
    with pytest.raises(sa.exc.IntegrityError), engine.begin() as db:
        db.execute(tasks.insert(), task("d"))


@pytest.mark.parametrize("table", [votes, events], ids=lambda table: table.name)
@pytest.mark.parametrize("verb", ["update", "delete"])
def test_the_log_and_the_diary_are_append_only(engine: sa.Engine, table: sa.Table, verb: str) -> None:
    event = {"at_us": 1, "actor": "gate", "what": "class-paused", "subject": "7", "detail": "{}"}
    with engine.begin() as db:
        db.execute(table.insert(), vote() if table is votes else event)
    column = "spent_ms" if table is votes else "at_us"
    change = table.delete() if verb == "delete" else table.update().values({column: 1})
    with pytest.raises(sa.exc.DBAPIError, match=f"the table {table.name} is append-only"), engine.begin() as db:
        db.execute(change)


@pytest.mark.parametrize("table", [items, workers], ids=lambda table: table.name)
def test_what_the_log_names_stays(engine: sa.Engine, table: sa.Table) -> None:
    with (
        pytest.raises(sa.exc.DBAPIError, match=f"rows of the table {table.name} stay: the log names them"),
        engine.begin() as db,
    ):
        db.execute(table.delete())


def test_a_second_service_on_a_database_is_refused(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    with exclusive(engine):
        second = subprocess.run(
            [sys.executable, "-c", HOLD.replace("exclusive(sa", "exclusive(patience_s=0.2, engine=sa"), database_url],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert "held" not in second.stdout
        assert "another service is working on this database. Stop it first" in second.stderr
        assert "Refused" in second.stderr
    engine.dispose()


def test_a_killed_service_leaves_the_database_to_the_next(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(Refused, match="another service is working on this database"):
        exclusive(engine, patience_s=0)
    holder.kill()
    holder.communicate()
    exclusive(engine).close()
    exclusive(engine).close()
    engine.dispose()


def test_a_database_in_memory_needs_no_lock() -> None:
    engine = sa.create_engine("sqlite://")
    with exclusive(engine), exclusive(engine) as lock:
        lock.renew()
    engine.dispose()


def test_the_refusal_hides_the_password(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url.replace("postgres@", "postgres:hushhush@"))
    with exclusive(engine), pytest.raises(Refused) as refused:
        exclusive(engine, patience_s=0)
    assert "hushhush" not in str(refused.value)
    engine.dispose()


def test_a_killed_server_keeps_what_it_acknowledged_and_the_lock_is_taken_anew() -> None:
    with running_postgres() as server:
        engine = sa.create_engine(server.make_database(), pool_pre_ping=True)
        lock = exclusive(engine)
        with engine.begin() as db:
            db.execute(sa.text("CREATE TABLE t (n INTEGER)"))
            assert db.execute(sa.text("SHOW fsync")).scalar() == "on"
        for n in range(2):
            with engine.begin() as db:
                db.execute(sa.text("INSERT INTO t VALUES (:n)"), {"n": n})
            server.kill9()
            with pytest.raises(sa.exc.OperationalError):
                lock.renew()
            server.start()
            lock.renew()
            lock.renew()
            with pytest.raises(Refused):
                exclusive(engine, patience_s=0)
        with engine.begin() as db:
            assert sorted(db.execute(sa.text("SELECT n FROM t")).scalars()) == [0, 1]
        lock.close()
        engine.dispose()
        folder = server.folder
    assert not folder.exists()


def test_the_server_for_tests_never_runs_as_root(postgres_server: PostgresServer) -> None:
    assert postgres_server.folder.joinpath("data").stat().st_uid != 0


def test_a_desk_stays_down_while_another_service_holds_the_database(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running_postgres() as server:
        store = open_store(server.make_database())
        lock = exclusive(store.engine)
        desk = Desk(
            store=store, rules=Rules(), now_us=lambda: 1, rng=random.Random(1),
            renew_lock=partial(lock.renew, patience_s=0.0),
        )  # fmt: skip
        desk.start()

        def ask(db: sa.Connection, _book: object) -> int | None:
            return db.execute(sa.select(1)).scalar()

        desk.run(ask).result()
        server.kill9()
        with pytest.raises(StoreDown, match="does not take answers just now"):
            desk.run(ask).result()
        server.start()
        other = exclusive(store.engine)
        for _ in range(2):
            with pytest.raises(StoreDown):
                desk.run(ask).result()
        assert "another service is working on this database" in caplog.text
        other.close()
        desk.run(ask).result()
        with pytest.raises(Refused):
            exclusive(store.engine, patience_s=0)
        desk.stop()
        lock.close()
        store.close()
        caplog.clear()


def test_a_long_queue_turns_requests_away_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesta.label.desk.MAX_WAITING", 10)
    store = open_store(f"sqlite:///{tmp_path}/labels.sqlite")
    desk = Desk(store=store, rules=Rules(), now_us=lambda: 1, rng=random.Random(1))
    desk.start()
    begun, go_on = threading.Event(), threading.Event()

    def block(_db: sa.Connection, _book: object) -> bool:
        begun.set()
        return go_on.wait(60)

    blocked = desk.run(block)
    assert begun.wait(60)
    sent = [desk.tick() for _ in range(100)]
    away = [future for future in sent if future.done()]
    assert len(away) == 100 - 11
    assert {type(future.exception()) for future in away} == {Overloaded}
    go_on.set()
    assert blocked.result()
    assert [future.result() for future in sent if future not in away] == [None] * 11
    desk.stop()
    store.close()
