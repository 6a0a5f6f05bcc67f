"""kill -9, full disks, clocks that jump, slow disks: every acknowledged answer is there afterwards."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.label_faults import (
    Fault,
    ServiceProcess,
    SmallDisk,
    kill_database,
    kill_service,
    make_work,
    run_out,
    run_under_kills,
    small_disk,
)
from tests.postgres import PostgresAbsent, PostgresServer, running_postgres

GOOD = {"lost": 0, "duplicated": 0, "over_collected": 0, "wrong_views": 0, "unfinished": 0, "leases_left": 0}

BUT_SLOWLY = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]

Start = Callable[..., tuple[ServiceProcess, PostgresServer | None]]


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Start]:
    """Starts a service over a new work folder, on a database of its own that keeps what it acknowledged."""
    with ExitStack() as stack:

        def start(
            kind: str,
            *,
            num_clips: int,
            num_workers: int = 12,
            disk: SmallDisk | None = None,
            environment: Mapping[str, str] | None = None,
        ) -> tuple[ServiceProcess, PostgresServer | None]:
            work = make_work(tmp_path / "work", num_clips=num_clips)
            server = None
            url = f"sqlite:///{work if disk is None else disk.folder}/labels.sqlite"
            if kind == "postgresql":
                try:
                    server = stack.enter_context(running_postgres(fsync=True))
                except PostgresAbsent as absent:
                    pytest.skip(str(absent))
                url = server.make_database(folder=None if disk is None else disk.folder)
            service = ServiceProcess(work=work, database=url, num_workers=num_workers, environment=environment or {})
            stack.callback(service.close)
            service.start()
            return service, server

        yield start


def check(service: ServiceProcess, faults: list[tuple[str, Fault]], *, num_items: int, out: Path) -> None:
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


@pytest.fixture
def disk_for() -> Iterator[Callable[[str], SmallDisk]]:
    """Mounts a small disk for a database of this kind, or skips the test where that is not allowed."""
    with ExitStack() as stack:

        def mount(kind: str) -> SmallDisk:
            try:
                is_sqlite = kind == "sqlite"
                disk = small_disk(num_mib=8 if is_sqlite else 32, owner=None if is_sqlite else "postgres")
                return stack.enter_context(disk)
            except PermissionError as refused:
                pytest.skip(str(refused))

        yield mount


@pytest.mark.parametrize("kind", BUT_SLOWLY)
def test_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room(
    kind: str, disk_for: Callable[[str], SmallDisk], start_service: Start, tmp_path: Path
) -> None:
    disk = disk_for(kind)
    service, _ = start_service(kind, num_clips=200, disk=disk)
    full = run_out(of=disk.fill, again=disk.make_room)
    check(service, [("full disk", full)], num_items=180, out=tmp_path / "result.json")


@pytest.mark.slow
def test_a_file_that_may_not_grow_loses_nothing(start_service: Start, tmp_path: Path) -> None:
    service, _ = start_service("sqlite", num_clips=200)
    full = run_out(
        of=lambda: resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY)),
        again=lambda: resource.prlimit(
            service.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        ),
    )  # fmt: skip
    check(service, [("full disk", full)], num_items=180, out=tmp_path / "result.json")


@pytest.mark.parametrize("kind", BUT_SLOWLY)
def test_a_slow_disk_sends_some_away_and_loses_nothing(kind: str, start_service: Start, tmp_path: Path) -> None:
    service, _ = start_service(
        kind, num_clips=60, num_workers=16, environment={"SLOW_COMMIT_MS": "60", "MAX_WAITING": "3"}
    )
    check(service, [], num_items=54, out=tmp_path / "result.json")
    assert json.loads((tmp_path / "result.json").read_text())["num_refused"] > 0
