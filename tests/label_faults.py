"""A label service in a process of its own, a crowd that notes every acknowledged answer, and kill -9 in between.

The crowd is what matters here: whatever it was told is accepted must be in the log afterwards. It sends each part of
a task until it is answered, under the same key, as the page does; some of its workers take a task and leave.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import httpx
import sqlalchemy as sa
from tests.postgres import PostgresServer

from gesta.label import desk
from gesta.label.guards import NO_LIMITS
from gesta.label.items import build_items
from gesta.label.recount import ACCEPTED, REJECTED, recount_all
from gesta.label.rules import Rules
from gesta.label.server import running_server
from gesta.label.sql_tables import items, tallies, tasks, votes
from gesta.label.store import open_store
from gesta.schema import Candidate, Clip, Gold, LabelClass, TrustRule, Video, clip_item_id_of
from gesta.tables import frame_of, made_by, table_path, write_table

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 120
RULES = Rules(
    # The crowd answers by chance, so neither gold nor classes may stop it.
    trust=TrustRule(min_accuracy=0.0), class_after_num_clips=0, lease_us=3_000_000, prepared_lease_us=1_000_000,
)  # fmt: skip


def make_work(folder: Path, *, num_clips: int, num_classes: int = 20, gold_every: int = 10) -> Path:
    """A work folder with one clip item a clip, and no video in it; every so many are gold."""
    ids = [f"c{number:05d}" for number in range(num_clips)]
    class_of = {clip_id: 1 + number % num_classes for number, clip_id in enumerate(ids)}
    gold = [clip_item_id_of(clip_id=c, class_id=class_of[c]) for c in ids[::gold_every]]
    tables: dict[str, list[Any]] = {
        "videos": [_video(c) for c in ids],
        "clips": [Clip(clip_id=c, video_id=f"v{c}", start_us=0, end_us=4_000_000) for c in ids],
        "candidates": [Candidate(clip_id=c, class_id=class_of[c], source="title", query="", score=1.0) for c in ids],
        "label_map": [LabelClass(class_id=k, name=f"action {k}") for k in range(1, num_classes + 1)],
        "gold": [Gold(item_id=item_id, answer="yes") for item_id in gold],
    }
    provenance = made_by("test", arguments={}, inputs={})
    for name, rows in tables.items():
        write_table(table_path(folder, name), name, frame_of(name, rows), made_by=provenance)
    build_items(folder)
    return folder


def _video(clip_id: str) -> Video:
    return Video(
        video_id=f"v{clip_id}", path=f"v{clip_id}.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
        width_px=64, height_px=48, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=100, start_us=0,
        duration_us=4_000_000, has_audio=False,
    )  # fmt: skip


# ---- the service -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class ServiceProcess:
    """A label service in a process of its own, on one port through all its lives.

    It is forked from a process that has imported everything and does nothing else, so that a start is quick.
    """

    work: Path
    database: str
    num_workers: int
    port: int = field(default_factory=lambda: _free_port())
    environment: Mapping[str, str] = field(default_factory=dict)
    _nursery: subprocess.Popen[str] | None = None
    _pid: int | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            RuntimeError: it does not run.
        """
        if self._pid is None:
            raise RuntimeError("the service does not run")
        return self._pid

    @property
    def log(self) -> Path:
        """What it wrote to its error stream in all its lives."""
        return self.work / "service.log"

    @property
    def tokens(self) -> list[str]:
        """The workers' tokens, minted in its first life."""
        found: list[str] = json.loads((self.work / "tokens.json").read_text())
        return found

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it ended before, or took too long; the end of its log is in the text.
        """
        told = {"work": str(self.work), "database": self.database, "port": self.port, "num_workers": self.num_workers}
        self._pid = self._ask_nursery({"what": "start", **told})
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._ask_nursery({"what": "poll", "pid": self.pid}) is not None or time.monotonic() > deadline:
                self._pid = None
                raise RuntimeError(f"the service did not start: {self.log.read_text()[-3000:]}")
            time.sleep(0.02)

    def kill9(self) -> None:
        """End it with SIGKILL."""
        if self._pid is not None:
            self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and wait.

        Raises:
            RuntimeError: it did not end in order.
        """
        if self._pid is not None:
            code = self._end(signal.SIGTERM)
            if code != 0:
                raise RuntimeError(f"the service ended with {code}: {self.log.read_text()[-3000:]}")

    def close(self) -> None:
        """Kill it, and what it is forked from."""
        self.kill9()
        if self._nursery is not None:
            self._nursery.communicate()
            self._nursery = None

    def _end(self, by: signal.Signals) -> int | None:
        pid, self._pid = self.pid, None
        os.kill(pid, by)
        return self._ask_nursery({"what": "wait", "pid": pid})

    def _ask_nursery(self, question: Mapping[str, Any]) -> int | None:
        if self._nursery is None:
            with self.log.open("ab") as log:
                self._nursery = subprocess.Popen(
                    [sys.executable, "-m", "tests.label_faults"], cwd=ROOT, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=log, text=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", **self.environment},
                )  # fmt: skip
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(json.dumps(question) + "\n")
        self._nursery.stdin.flush()
        answer: int | None = json.loads(self._nursery.stdout.readline())
        return answer

    def _answers(self) -> bool:
        try:
            is_up = httpx.get(f"{self.url}/api/me", timeout=5).status_code == 401
        except httpx.TransportError:
            return False
        return is_up and (self.work / "tokens.json").is_file()


def nursery() -> None:
    """Fork services when told to on standard input, until it ends."""
    for line in sys.stdin:
        told = json.loads(line)
        if told["what"] == "start":
            answer = os.fork() or _child(told)
        else:
            pid, status = os.waitpid(told["pid"], os.WNOHANG if told["what"] == "poll" else 0)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _child(told: Mapping[str, Any]) -> NoReturn:
    work = Path(told["work"])
    log = os.open(work / "service.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for fd, of in ((0, nothing), (1, log), (2, log)):
        os.dup2(of, fd)
    code = 1
    try:
        serve(work, told["database"], port=told["port"], num_workers=told["num_workers"])
        code = 0
    finally:
        if code:
            traceback.print_exc()
        sys.stderr.flush()
        # Not by the way of the process that it was forked from: that one's loop is not ours to go on with.
        os._exit(code)


def serve(work: Path, database: str, *, port: int, num_workers: int) -> None:
    """Run the service until SIGTERM, or until whoever started it is gone.

    Each commit takes `SLOW_COMMIT_MS` longer, and `MAX_WAITING` requests may queue, where the environment says so.
    """
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        stopped.set()

    threading.Thread(target=watch, daemon=True).start()
    desk.MAX_WAITING = int(os.environ.get("MAX_WAITING", desk.MAX_WAITING))
    slow_s = float(os.environ.get("SLOW_COMMIT_MS", 0)) / 1000
    with running_server(work, port=port, database=database, rules=RULES, limits=NO_LIMITS) as server:
        if slow_s:
            sa.event.listen(server.store.engine, "commit", lambda _connection: time.sleep(slow_s))
        tokens = work / "tokens.json"
        if not tokens.is_file():
            fresh = work / "tokens.json.new"
            fresh.write_text(json.dumps([server.token_of(f"worker{n:03d}") for n in range(num_workers)]))
            fresh.replace(tokens)
        stopped.wait()


def _free_port() -> int:
    # Below the ports that Linux lends to outgoing connections, so that a restart finds it free.
    chance = random.Random(f"{os.getpid()} {time.monotonic_ns()}")
    while True:
        port = chance.randrange(12_000, 20_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


# ---- the crowd -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Crowd:
    """Workers that answer by chance until nothing is left, and the log of what was acknowledged."""

    url: str
    tokens: Sequence[str]
    log: Path
    seed: int = 0
    num_acknowledged: int = 0
    num_retries: int = 0
    num_refused: int = 0
    latencies_ms: list[float] = field(default_factory=list)

    async def work(self) -> None:
        """Until every worker was told that there is nothing more."""
        with self.log.open("a") as log:

            def note(line: dict[str, Any]) -> None:
                log.write(json.dumps(line) + "\n")
                log.flush()

            limits = httpx.Limits(max_connections=len(self.tokens), max_keepalive_connections=len(self.tokens))
            async with httpx.AsyncClient(base_url=self.url, timeout=60, limits=limits, trust_env=False) as client:
                await asyncio.gather(*(self._one(client, n, note) for n in range(len(self.tokens))))

    async def _one(self, client: httpx.AsyncClient, number: int, note: Callable[[dict[str, Any]], None]) -> None:
        rng = random.Random(f"{self.seed} {number}")
        while True:
            told = await self._send(client, number, "/api/task", {})
            if told["status"] == "done":
                return
            if told["status"] != "task":
                await asyncio.sleep(0.2)
                continue
            task = told["task"]
            slots = [q["slot"] for q in task["items"] if q["slot"] not in task["answered"]]
            if rng.random() < 0.03:
                await asyncio.sleep(1.5 * RULES.lease_us / 1e6)
            while slots:
                num_sent = rng.randint(1, 12)
                part, slots = slots[:num_sent], slots[num_sent:]
                answers = [_answer(slot, rng) for slot in part]
                body = {
                    "task_id": task["task_id"], "answers": answers,
                    "idempotency_key": f"{number:04d}-{rng.getrandbits(64):016x}",
                }  # fmt: skip
                outcome = await self._send(client, number, "/api/answers", body)
                for answer, result in zip(answers, outcome["results"], strict=True):
                    note({"worker": number, "task_id": task["task_id"], **answer, "status": result["status"]})
                    self.num_acknowledged += result["status"] == "accepted"

    async def _send(self, client: httpx.AsyncClient, number: int, path: str, body: dict[str, Any]) -> dict[str, Any]:
        while True:
            started = time.perf_counter()
            try:
                reply = await client.post(path, json=body, headers={"Authorization": f"Bearer {self.tokens[number]}"})
            except httpx.TransportError:
                self.num_retries += 1
                await asyncio.sleep(0.1)
                continue
            if reply.status_code == 503:
                self.num_refused += 1
                assert set(reply.json()["error"]) == {"code", "message"}, reply.text
                assert int(reply.headers["retry-after"]) >= 1
                await asyncio.sleep(0.1)
                continue
            assert reply.status_code == 200, reply.text
            self.latencies_ms.append((time.perf_counter() - started) * 1000)
            found: dict[str, Any] = reply.json()
            return found


def _answer(slot: int, rng: random.Random) -> dict[str, Any]:
    answer = rng.choices(("yes", "no", "unsure", "broken"), (6, 3, 1, 1))[0]
    said = {"slot": slot, "answer": answer, "spent_ms": rng.randrange(5000)}
    return {**said, "lasts_whole_clip": rng.random() < 0.5} if answer == "yes" else said


# ---- what is there afterwards ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the database holds, against what was acknowledged; all but the first two are 0 when nothing went wrong."""

    acknowledged: int
    votes: int
    lost: int
    duplicated: int
    over_collected: int
    wrong_views: int
    unfinished: int
    leases_left: int


def examine(database: str, log: Path) -> Found:
    """What the log of acknowledged answers and the database say of each other; the service is stopped."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    store = open_store(database)
    try:
        with store.engine.connect() as db:
            found = _examine(db, lines)
            db.rollback()
    finally:
        store.close()
    return found


def _examine(db: sa.Connection, lines: Sequence[dict[str, Any]]) -> Found:
    task_rows = {row.task_id: (row.worker_seq, json.loads(row.seqs)) for row in db.execute(sa.select(tasks))}
    cast = db.execute(sa.select(votes).where(votes.c.revision == 0).order_by(votes.c.vote_id)).all()
    answer_of = {(row.seq, row.worker_seq): row.answer for row in cast}
    promised: Counter[tuple[int, int]] = Counter()
    num_lost = 0
    for line in lines:
        if line["status"] not in ("accepted", "already"):
            continue
        worker_seq, seqs = task_rows[line["task_id"]]
        key = (seqs[line["slot"]], worker_seq)
        if line["status"] == "accepted":
            promised[key] += 1
            num_lost += answer_of.get(key) != line["answer"]
        else:
            num_lost += key not in answer_of
    gold = set(db.execute(sa.select(items.c.seq).where(items.c.gold_answer.is_not(None))).scalars())
    before = {row.seq: row for row in db.execute(sa.select(tallies))}
    recount_all(db, rules=RULES, now_us=0)
    after = {row.seq: row for row in db.execute(sa.select(tallies))}
    return Found(
        acknowledged=sum(promised.values()),
        votes=len(cast),
        lost=num_lost,
        duplicated=len(cast) - len(answer_of) + sum(promised.values()) - len(promised),
        over_collected=_num_after_verdict([(row.seq, row.answer) for row in cast if row.seq not in gold]),
        wrong_views=sum(tuple(before[seq]) != tuple(row) for seq, row in after.items()),
        unfinished=sum(row.state not in (ACCEPTED, REJECTED) for seq, row in after.items() if seq not in gold),
        leases_left=sum(row.num_leased for row in before.values()),
    )


def _num_after_verdict(cast: Sequence[tuple[int, str]]) -> int:
    """Answers that came when their item had been decided, in the order of arrival: nobody should have been asked."""
    counts: dict[int, Counter[str]] = {}
    num = 0
    for seq, answer in cast:
        given = counts.setdefault(seq, Counter())
        num += RULES.protocols["clip"].verdict(given) != "open"
        given[answer] += 1
    return num


# ---- faults ----------------------------------------------------------------------------------------------------------

Fault = Callable[[Crowd], None]
"""What happens to the service while the crowd works; returns when it is over."""


def kill_service(service: ServiceProcess) -> Fault:
    """kill -9 of the service, and its next start."""

    def fault(_: Crowd) -> None:
        service.kill9()
        service.start()

    return fault


def kill_database(server: PostgresServer) -> Fault:
    """kill -9 of every process of the database server, and its next start; the service lives on."""

    def fault(_: Crowd) -> None:
        server.kill9()
        server.start()

    return fault


def run_out(*, of: Callable[[], None], again: Callable[[], None], timeout_s: float = 60) -> Fault:
    """Something runs out (`of`), until the crowd was sent away with 503 a few times; then there is enough `again`.

    The fault raises TimeoutError when the crowd is not sent away.
    """

    def fault(crowd: Crowd) -> None:
        of()
        try:
            wanted = crowd.num_refused + 5
            deadline = time.monotonic() + timeout_s
            while crowd.num_refused < wanted:
                if time.monotonic() > deadline:
                    raise TimeoutError("the service did not feel it")
                time.sleep(0.02)
        finally:
            again()

    return fault


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A disk of a few MiB of its own, that can be filled to the last byte."""

    folder: Path

    def fill(self) -> None:
        """Leave no room."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            for size in (1 << 16, 1 << 12, 1):
                with suppress(OSError):
                    while True:
                        filler.write(bytes(size))

    def make_room(self) -> None:
        """Free what `fill` took."""
        (self.folder / "filler").unlink()


@contextmanager
def small_disk(*, num_mib: int, owner: str | None = None) -> Iterator[SmallDisk]:
    """A small disk in memory, mounted for the block.

    Raises:
        PermissionError: only root may mount, and some machines do not let root either.
    """
    folder = Path(tempfile.mkdtemp(prefix="gesta-disk-"))
    try:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={num_mib}m", "tmpfs", str(folder)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PermissionError(f"cannot mount a small disk: {done.stderr.strip()}")
        try:
            if owner is not None:
                shutil.chown(folder, owner, owner)
            yield SmallDisk(folder)
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
    finally:
        folder.rmdir()


@dataclass(frozen=True, slots=True, kw_only=True)
class KillResult:
    """What became of the answers while the service and the database were killed."""

    database: str
    kills: dict[str, int]
    num_retries: int
    num_refused: int
    found: Found
    wall_s: float

    def as_json(self) -> dict[str, Any]:
        """The result for a file."""
        told = asdict(self)
        found = told.pop("found")
        return {**told, **found, "num_kills": sum(self.kills.values())}


def run_under_kills(
    service: ServiceProcess, *, num_items: int, faults: Sequence[tuple[str, Fault]], seed: int = 0
) -> KillResult:
    """The crowd works until all is done, while `faults` (name, what happens) strike one after the other.

    They are spread over the answers that `num_items` items take at least. The service runs when this is called, and
    is stopped when it returns.
    """
    started = time.perf_counter()
    log = service.work / "acknowledged.jsonl"
    crowd = Crowd(url=service.url, tokens=service.tokens, log=log, seed=seed)
    rng = random.Random(f"{seed} kills")
    struck: Counter[str] = Counter()

    async def strike() -> None:
        at_least = RULES.protocols["clip"].accept_yes * num_items
        for number, (name, fault) in enumerate(faults, start=1):
            while crowd.num_acknowledged < at_least * number / (len(faults) + 1):
                await asyncio.sleep(0.005)
            await asyncio.sleep(rng.uniform(0, 0.05))
            await asyncio.to_thread(fault, crowd)
            struck[name] += 1

    async def both() -> None:
        working = asyncio.create_task(crowd.work())
        striking = asyncio.create_task(strike())
        done, _ = await asyncio.wait((working, striking), return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        await asyncio.gather(working, striking)

    asyncio.run(both())
    time.sleep((RULES.lease_us + RULES.prepared_lease_us) / 1e6)
    service.stop()
    return KillResult(
        database=sa.make_url(service.database).get_backend_name(), kills=dict(struck), num_retries=crowd.num_retries,
        num_refused=crowd.num_refused, found=examine(service.database, log), wall_s=time.perf_counter() - started,
    )  # fmt: skip


if __name__ == "__main__":
    nursery()
