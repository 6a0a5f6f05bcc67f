"""What the label service loses when it is killed, when its database is killed, and when its disk is full: nothing.

The service runs in a process of its own, on SQLite and on PostgreSQL (durable: `synchronous=FULL`,
`synchronous_commit=on`, `fsync=on`). A crowd answers clips without a pause and notes every answer that was
acknowledged; meanwhile the service, and then PostgreSQL with all its processes, get SIGKILL at moments spread over the
work, and are started again. Where this machine lets root mount a small disk, it is filled to the last byte and freed.

Afterwards the database is compared with what was acknowledged, answer by answer: `lost`, `duplicated`,
`over_collected` (answers after an item's verdict), `wrong_views` (tallies that a recount of the log gives otherwise),
`unfinished` items and `leases_left` are counted.

Run: python -m benchmarks.label_faults [--kills N] [--clips N]
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

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
from tests.postgres import PostgresServer, running_postgres

from benchmarks.label import RESULTS
from gesta.tables import write_json

NUM_WORKERS = 32


@contextmanager
def _service(folder: Path, url: str, *, num_clips: int) -> Iterator[ServiceProcess]:
    work = make_work(folder, num_clips=num_clips)
    service = ServiceProcess(work=work, database=url, num_workers=NUM_WORKERS)
    try:
        service.start()
        yield service
    finally:
        service.close()


def _trial(service: ServiceProcess, faults: Sequence[tuple[str, Fault]], *, num_clips: int) -> dict[str, Any]:
    told = run_under_kills(service, num_items=num_clips * 9 // 10, faults=faults).as_json()
    print({name: told[name] for name in ("database", "kills", "acknowledged", "lost", "wall_s")}, flush=True)
    return told


def _trials(database: str, *, num_kills: int, num_clips: int) -> list[dict[str, Any]]:
    is_sqlite = database == "sqlite"
    told = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gesta-faults-")))
        try:
            of = small_disk(num_mib=8 if is_sqlite else 32, owner=None if is_sqlite else "postgres")
            disk = stack.enter_context(of)
        except PermissionError as refused:
            print(refused, flush=True)
            disk = None
        server = None if is_sqlite else stack.enter_context(running_postgres())
        url = f"sqlite:///{folder}/labels.sqlite" if server is None else server.make_database()
        with _service(folder / "kills", url, num_clips=num_clips) as service:
            faults = [("service", kill_service(service))] * num_kills
            if server is not None:
                faults = [fault for kill in faults for fault in (kill, ("database", kill_database(server)))]
            told.append(_trial(service, faults, num_clips=num_clips))
        if disk is not None:
            with _service(folder / "full", _url_on(disk, server), num_clips=200) as service:
                full = run_out(of=disk.fill, again=disk.make_room)
                told.append(_trial(service, [("full disk", full)], num_clips=200))
    return told


def _url_on(disk: SmallDisk, server: PostgresServer | None) -> str:
    return f"sqlite:///{disk.folder}/labels.sqlite" if server is None else server.make_database(folder=disk.folder)


def main() -> None:
    """Try, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="of each kind and on each database")
    parser.add_argument("--clips", type=int, default=1000)
    args = parser.parse_args()
    trials = {name: _trials(name, num_kills=args.kills, num_clips=args.clips) for name in ("sqlite", "postgresql")}
    result = {
        "what": "label_faults",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "hardware": f"{os.cpu_count()}core-cpu",
        "processor": platform.processor() or platform.machine(),
        "kills": {
            name: sum(trial["kills"].get(what, 0) for trial in told for what in ("service", "database"))
            for name, told in trials.items()
        },
        "trials": trials,
    }
    path = RESULTS / f"label_faults_{result['hardware']}_{result['date']}.json"
    write_json(path, result)
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
