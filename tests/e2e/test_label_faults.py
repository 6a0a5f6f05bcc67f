"""kill -9, full disks, clocks that jump, slow disks: every acknowledged answer is there afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.label_faults import ServiceProcess, make_work, run_under_kills
from tests.postgres import PostgresAbsent, PostgresServer, running_postgres

GOOD = {"lost": 0, "duplicated": 0, "over_collected": 0, "wrong_views": 0, "unfinished": 0, "leases_left": 0}

Start = Callable[..., tuple[ServiceProcess, PostgresServer | None]]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Start]:
    """Starts a service over a new work folder, on a database of its own that keeps what it acknowledged."""
    with ExitStack() as stack:

        def start(kind: str, *, num_clips: int, num_workers: int = 12) -> tuple[ServiceProcess, PostgresServer | None]:
            work = make_work(tmp_path / "work", num_clips=num_clips)
            server = None
            url = f"sqlite:///{work / 'labels.sqlite'}"
            if kind == "postgresql":
                try:
                    server = stack.enter_context(running_postgres(fsync=True))
                except PostgresAbsent as absent:
                    pytest.skip(str(absent))
                url = server.make_database()
            service = ServiceProcess(work=work, database=url, num_workers=num_workers)
            stack.callback(service.kill9)
            service.start()
            return service, server

        yield start


def kill_service(service: ServiceProcess) -> Callable[[], None]:
    """kill -9 of the service, and its next start."""

    def fault() -> None:
        service.kill9()
        service.start()

    return fault


def kill_database(server: PostgresServer) -> Callable[[], None]:
    """kill -9 of every process of the database server, and its next start; the service lives on."""

    def fault() -> None:
        server.kill9()
        server.start()

    return fault


def check(service: ServiceProcess, faults: list[tuple[str, Callable[[], None]]], *, num_items: int, out: Path) -> None:
    """Nothing acknowledged is lost while these faults strike, and all is finished afterwards."""
    result = run_under_kills(service, num_items=num_items, faults=faults, seed=len(faults))
    out.write_text(json.dumps(result.as_json()))
    found = asdict(result.found)
    assert {name: found[name] for name in GOOD} == GOOD
    assert result.found.acknowledged >= 3 * num_items
    assert sum(result.kills.values()) == len(faults)
    assert result.num_retries + result.num_refused > 0, "no fault was felt"
    assert "Traceback" not in service.log.read_text()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_killed_service_loses_no_acknowledged_answer(kind: str, start_service: Start, tmp_path: Path) -> None:
    service, _ = start_service(kind, num_clips=60)
    check(service, [("service", kill_service(service))], num_items=54, out=tmp_path / "result.json")


def test_a_killed_database_loses_no_acknowledged_answer(start_service: Start, tmp_path: Path) -> None:
    service, server = start_service("postgresql", num_clips=60)
    assert server is not None
    check(service, [("database", kill_database(server))], num_items=54, out=tmp_path / "result.json")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_ten_kills_of_the_service_lose_nothing(kind: str, start_service: Start, tmp_path: Path) -> None:
    service, _ = start_service(kind, num_clips=1000, num_workers=32)
    check(service, [("service", kill_service(service))] * 10, num_items=900, out=tmp_path / "result.json")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_kills_of_the_database_lose_nothing(start_service: Start, tmp_path: Path) -> None:
    service, server = start_service("postgresql", num_clips=1000, num_workers=32)
    assert server is not None
    check(service, [("database", kill_database(server))] * 10, num_items=900, out=tmp_path / "result.json")
