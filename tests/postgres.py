"""A real PostgreSQL server of our own, for tests and benchmarks: made in a fresh folder, stopped at the end.

It listens on a port of its own on 127.0.0.1 and on a Unix socket, trusts whoever can reach them, and never runs as
root. `kill9` ends every process of it at once, as a fallen machine would.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg
import pytest

START_TIMEOUT_S = 60
"""How long a server may take until it answers, crash recovery included. Source: ours; it takes under 1 s here."""

PORTS = range(20000, 32000)
"""Below the ports that Linux lends to outgoing connections (32768 to 60999), so that a restart finds its own free."""

_STARTER = ThreadPoolExecutor(max_workers=1)
"""Starts servers: Linux ends them with the thread that started them, and this one lives as long as we do."""

_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


class PostgresAbsent(Exception):
    """There is no PostgreSQL on this machine that could be started; the text says why."""


@dataclass(slots=True, kw_only=True)
class PostgresServer:
    """One server; `url_of` gives SQLAlchemy URLs of its databases."""

    folder: Path
    port: int
    settings: Mapping[str, str]
    _binaries: Path
    _process: subprocess.Popen[bytes] | None = None
    _num_made: int = field(default=0)

    @property
    def url(self) -> str:
        """The URL of the server's first database."""
        return self.url_of("postgres")

    @property
    def pid(self) -> int:
        """Process id of the postmaster.

        Raises:
            RuntimeError: the server does not run.
        """
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def url_of(self, database: str) -> str:
        """The SQLAlchemy URL of one database."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def make_database(self, *, folder: Path | None = None) -> str:
        """The URL of a fresh, empty database; its tables are in `folder`, which is empty and the server's own."""
        self._num_made += 1
        name = f"gesta_{os.getpid()}_{self._num_made}"
        if folder is None:
            self._run_sql(f"CREATE DATABASE {name} TEMPLATE template0")
        else:
            self._run_sql(f"CREATE TABLESPACE {name} LOCATION '{folder}'")
            self._run_sql(f"CREATE DATABASE {name} TEMPLATE template0 TABLESPACE {name}")
        return self.url_of(name)

    def drop_database(self, url: str) -> None:
        """Remove a database of this server, whoever is still connected to it."""
        self._run_sql(f"DROP DATABASE IF EXISTS {url.rsplit('/', 1)[1]} WITH (FORCE)")

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: it already runs, or did not come up; the end of its log is in the text.
        """
        if self._process is not None:
            raise RuntimeError("the server already runs")
        log = self.folder / "log"
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        data = str(self.folder / "data")
        command = [str(self._binaries / "postgres"), "-D", data, "-p", str(self.port), *options]
        with log.open("ab") as out:
            start = partial(subprocess.Popen, stdout=out, stderr=out, cwd=self.folder)
            self._process = _STARTER.submit(start, _as_nobody_special(command, dies_with_us=True)).result()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill9()
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Shut down in order; nothing happens when it does not run."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill9()
        self._process = None

    def kill9(self) -> None:
        """Kill every process of the server with SIGKILL, the postmaster stopped first so that it bears no more."""
        if self._process is None:
            return
        pid = self._process.pid
        if self._process.poll() is None:
            os.kill(pid, signal.SIGSTOP)
            children = _children_of(pid)
            for each in (*children, pid):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            self._process.wait()
            while any(_is_running(child) for child in children):
                time.sleep(0.005)
        self._process = None

    def _answers(self) -> bool:
        try:
            psycopg.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def _run_sql(self, statement: str) -> None:
        where = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": "postgres"}
        with psycopg.connect(**where, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running_postgres(
    folder: Path | None = None, *, fsync: bool = True, settings: Mapping[str, str] | None = None
) -> Iterator[PostgresServer]:
    """A started server whose files are in `folder`, or in a temporary one of its own that vanishes at the end.

    With `fsync` an acknowledged transaction is on the disk; without, the server is quick and promises nothing.
    `settings` are further ones of postgresql.conf. A `folder` must be reachable for the system user `postgres` when
    the caller is root.

    Raises:
        PostgresAbsent: PostgreSQL is not installed, or only root is here to run it.
    """
    binaries = _binaries()
    made = Path(tempfile.mkdtemp(prefix="gesta-pg-")) if folder is None else folder
    made.mkdir(parents=True, exist_ok=True)
    made.chmod(0o700)
    if os.geteuid() == 0:
        shutil.chown(made, _user(), pwd.getpwnam(_user()).pw_gid)
    try:
        init = ["-D", str(made / "data"), "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"]
        command = [str(binaries / "initdb"), *init, "--no-sync"]
        done = subprocess.run(_as_nobody_special(command), cwd=made, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed: {done.stderr}")
        server = _first_start(made, binaries, {**_settings(made), **(_DURABLE if fsync else _FAST), **(settings or {})})
        try:
            yield server
        finally:
            server.stop()
    finally:
        if folder is None:
            shutil.rmtree(made, ignore_errors=True)


def postgres_or_skip(*, fsync: bool = True) -> Iterator[PostgresServer]:
    """For a fixture: `running_postgres`, or a skip with its reason; under REQUIRE_SHARED=1 a failure."""
    try:
        with running_postgres(fsync=fsync) as server:
            yield server
    except PostgresAbsent as absent:
        if os.environ.get("REQUIRE_SHARED") == "1":
            pytest.fail(str(absent))
        pytest.skip(str(absent))


def _settings(folder: Path) -> dict[str, str]:
    return {
        "listen_addresses": "127.0.0.1",
        # A socket's path may have 107 bytes.
        "unix_socket_directories": str(folder) if len(str(folder)) < 80 else "",
        "max_connections": "100",
        "shared_buffers": "128MB",
        # A killed server would leave its segments in /dev/shm.
        "dynamic_shared_memory_type": "mmap",
        "log_min_messages": "warning",
    }


def _first_start(folder: Path, binaries: Path, settings: Mapping[str, str]) -> PostgresServer:
    chance = random.Random(f"{os.getpid()} {time.monotonic_ns()}")
    for num_left in reversed(range(10)):
        server = PostgresServer(folder=folder, port=chance.choice(PORTS), settings=settings, _binaries=binaries)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                continue
        try:
            server.start()
        except RuntimeError:
            # Another server may have taken the port since it was looked at.
            if not num_left:
                raise
        else:
            return server
    raise RuntimeError("found no free port")


def _binaries() -> Path:
    on_path = shutil.which("postgres")
    if on_path is not None:
        return Path(on_path).resolve().parent
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if not found:
        raise PostgresAbsent("PostgreSQL is not installed: install the package postgresql (tools/system_packages.sh)")
    return max(found, key=lambda path: float(path.parent.name))


def _user() -> str:
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise PostgresAbsent("PostgreSQL refuses to run as root and there is no system user postgres") from None


def _as_nobody_special(command: list[str], *, dies_with_us: bool = False) -> list[str]:
    """The command so that it runs without root's rights, and ends when the process that started it ends."""
    setpriv = shutil.which("setpriv")
    as_user = [f"--reuid={_user()}", f"--regid={_user()}", "--init-groups"] if os.geteuid() == 0 else []
    if setpriv is None:
        if as_user:
            raise PostgresAbsent("the program setpriv is missing: install util-linux")
        return command
    on_death = ["--pdeathsig", "INT"] if dies_with_us else []
    return [setpriv, *as_user, *on_death, "--", *command] if as_user or on_death else command


def _children_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(path.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(path.parent.name))
    return found


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
