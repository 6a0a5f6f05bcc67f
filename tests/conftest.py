"""What every test gets: the folder of real files, one thread for numeric libraries, and no stray log errors."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tests.postgres import PostgresServer, postgres_or_skip

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# A shared machine may stall for longer than Hypothesis' 200 ms an example; pytest's own timeout guards against hanging.
settings.register_profile("gesta", deadline=None)
settings.load_profile("gesta")

ROOT = Path(__file__).resolve().parents[1]


def shared_folder() -> Path:
    """The folder of real files; skips the test where it is absent, or fails under REQUIRE_SHARED=1."""
    folder = Path(os.environ.get("GESTA_SHARED", ROOT.parent / "shared")) / "data"
    if not folder.is_dir():
        message = f"the folder of real files is absent: {folder} (set GESTA_SHARED)"
        if os.environ.get("REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """`data` of the folder of real files."""
    return shared_folder()


@pytest.fixture(autouse=True)
def _no_logged_errors(caplog: pytest.LogCaptureFixture):
    yield
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert not errors, f"the test logged errors: {[record.getMessage() for record in errors]}"


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered world of 24 files (seed 3) with its truth; treat it as read-only, or copy it."""
    from gesta.world import render_world

    folder = tmp_path_factory.mktemp("tiny-world")
    render_world(folder, seed=3, num_videos=24, workers=1)
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL server without fsync, one a session; tests of durability start their own."""
    yield from postgres_or_skip(fsync=False)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a fresh, empty database on a real PostgreSQL server, dropped afterwards."""
    url = postgres_server.make_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh, empty database: the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{(tmp_path / 'labels.sqlite').as_posix()}"
    return str(request.getfixturevalue("postgres_url"))
