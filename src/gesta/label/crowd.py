"""A simulated crowd: workers with known habits who answer over the same HTTP interface as people do.

The crowd runs in the process of the service, which mints its tokens and tells it what stands behind a task's slots;
everything that workers do goes over HTTP.
"""

from __future__ import annotations

import json
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import httpx
import polars as pl

from gesta.label.crowd_workers import (
    MANNERS,
    SimulatedWorker,
    answer_of,
    check_answers,
    default_crowd,
    habits_of,
)
from gesta.label.server import RunningServer
from gesta.schema import BadInput, GestaError
from gesta.tables import Json, sha256_of_json

__all__ = [
    "MANNERS", "CrowdSummary", "SimulatedWorker", "check_answers", "default_crowd", "habits_of", "simulate_crowd",
]  # fmt: skip

SEND_TRIES = 4
"""Times a request is sent before the service counts as gone; each may be repeated, a send under its key too. Source:
ours; a connection that was idle may be closed by either end just when it is used."""

TIMEOUT_S = 60.0
PAUSE_S = 0.02
"""Between two looks for leases that have run out. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdSummary:
    """What a crowd did: votes that were taken, tasks, workers who were barred, seconds of wall time.

    `num_repeats` are sends that were made again under the same key; `asleep` are workers who left with a task.
    """

    num_votes: int
    num_tasks: int
    barred: tuple[str, ...]
    wall_s: float
    num_repeats: int = 0
    asleep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Turn:
    status: str
    num_votes: int = 0
    num_repeats: int = 0


@dataclass(slots=True)
class _Rest:
    """Who is not at work, and for how long: until votes come in, until somebody is barred, or for good."""

    ready: deque[SimulatedWorker]
    waiting: deque[SimulatedWorker]
    done: deque[SimulatedWorker]
    barred: list[str]
    asleep: list[str]

    def put(self, worker: SimulatedWorker, status: str) -> None:
        """Take in a worker after a turn, and wake those for whom it may have opened something."""
        if status == "task":
            self.ready.append(worker)
            self.wake(self.waiting)
        elif status == "barred":
            self.barred.append(worker.worker_id)
            self.wake(self.waiting)
            self.wake(self.done)
        elif status == "asleep":
            self.asleep.append(worker.worker_id)
        else:
            (self.waiting if status == "wait" else self.done).append(worker)

    def wake(self, some: deque[SimulatedWorker]) -> None:
        """Let these ask again."""
        self.ready.extend(some)
        some.clear()


def simulate_crowd(
    server: RunningServer,
    *,
    answers: pl.DataFrame,
    workers: Sequence[SimulatedWorker],
    seed: int,
    concurrency: int = 1,
    patience_s: float = 0.0,
    on_rows: Callable[[int], None] | None = None,
) -> CrowdSummary:
    """What the crowd did, once no question is left that any of its workers may answer.

    What a worker answers to an item depends on `seed`, worker and item alone; with `concurrency` 1 the workers take
    turns, a task each, so that the whole vote log is the same from run to run.

    Args:
        server: a service that runs in this process.
        answers: the truth, columns item_id and answer, for every item that will be asked.
        concurrency: workers at work at once, each in a thread.
        patience_s: for how long those who found nothing free keep asking, where others have left with their tasks.
        on_rows: called with the number of votes taken by each send.
    Raises:
        BadInput: the service asks an item that `answers` lacks, or `concurrency` is below 1.
        GestaError: the service refuses a request or cannot be reached, or answers a repeated send otherwise.
    """
    if concurrency < 1:
        raise BadInput(f"concurrency={concurrency}", mend="Want 1 or more")
    truth: dict[str, str] = dict(answers.select("item_id", "answer").iter_rows())
    tokens = {worker.worker_id: server.token_of(worker.worker_id) for worker in workers}
    started = last_vote = time.monotonic()
    num_votes = num_tasks = num_repeats = 0
    rest = _Rest(deque(workers), deque(), deque(), [], [])
    # A pool that closes what is over its limit may close a connection that another thread has just been given.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    with (
        httpx.Client(base_url=server.url, timeout=TIMEOUT_S, limits=limits, trust_env=False) as client,
        ThreadPoolExecutor(concurrency, thread_name_prefix="gesta-crowd") as pool,
    ):
        running: dict[Future[_Turn], SimulatedWorker] = {}
        while rest.ready or running or (rest.waiting and time.monotonic() < last_vote + patience_s):
            if not rest.ready and not running:
                time.sleep(PAUSE_S)
                rest.wake(rest.waiting)
            while rest.ready and len(running) < concurrency:
                worker = rest.ready.popleft()
                desk = _Desk(server, client, tokens[worker.worker_id])
                running[pool.submit(_take_turn, desk, worker, truth=truth, seed=seed)] = worker
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                worker, turn = running.pop(future), future.result()
                rest.put(worker, turn.status)
                num_tasks += turn.status in ("task", "asleep") or turn.num_votes > 0
                num_votes += turn.num_votes
                num_repeats += turn.num_repeats
                if turn.num_votes:
                    last_vote = time.monotonic()
                    if on_rows is not None:
                        on_rows(turn.num_votes)
    return CrowdSummary(
        num_votes=num_votes,
        num_tasks=num_tasks,
        barred=tuple(sorted(rest.barred)),
        wall_s=time.monotonic() - started,
        num_repeats=num_repeats,
        asleep=tuple(sorted(rest.asleep)),
    )


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where one worker sends requests: the service, the shared connections, and the worker's own token."""

    server: RunningServer
    client: httpx.Client
    token: str

    def post(self, path: str, body: Json) -> dict[str, Any]:
        """The reply; that of one who is barred is `{"status": "barred"}`.

        Raises:
            GestaError: the service refuses, or cannot be reached.
        """
        headers = {"Authorization": f"Bearer {self.token}"}
        for num_tries in range(1, SEND_TRIES + 1):
            try:
                response = self.client.post(path, json=body, headers=headers)
                break
            except httpx.TransportError as error:
                if num_tries == SEND_TRIES:
                    raise GestaError(
                        f"the label service cannot be reached ({type(error).__name__}: {error})",
                        where=f"{self.client.base_url}{path}",
                        mend="See that it runs",
                    ) from error
        reply = json.loads(response.content)
        if response.status_code == 403 and reply["error"]["code"] == "barred":
            return {"status": "barred"}
        if response.status_code != 200:
            raise GestaError(f"the label service refused: {response.text}", where=f"{self.client.base_url}{path}")
        return dict(reply)

    def post_and_hang_up(self, path: str, body: Json) -> None:
        """Send the request and close the line before the reply."""
        url, content = self.client.base_url, json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {url.host}\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        with socket.create_connection((url.host, url.port or 80), timeout=TIMEOUT_S) as line:
            line.sendall(head.encode() + content)


def _take_turn(desk: _Desk, worker: SimulatedWorker, *, truth: Mapping[str, str], seed: int) -> _Turn:
    found = desk.post("/api/task", {})
    if found["status"] != "task":
        return _Turn(found["status"])
    if worker.manner == "sleeper":
        return _Turn("asleep")
    task = found["task"]
    item_ids = desk.server.item_ids_of(task["task_id"])
    answers = [
        answer_of(worker, slot=q["slot"], kind=q["kind"], item_id=item_ids[q["slot"]], truth=truth, seed=seed)
        for q in task["items"]
        if q["slot"] not in task["answered"]
    ]
    parts = [answers]
    if worker.manner == "partial" and len(answers) > 1:
        cut = random.Random(f"{seed} {worker.worker_id} {item_ids[0]} cut").randrange(1, len(answers))
        parts = [answers[:cut], answers[cut:]]
    num_votes = num_repeats = 0
    for part in parts:
        key = sha256_of_json([task["task_id"], part])[:32]
        body: Json = {"task_id": task["task_id"], "idempotency_key": key, "answers": part}
        outcome, is_repeated = _sent(desk, worker.manner, body)
        if "num_accepted" not in outcome:
            return _Turn("barred", num_votes, num_repeats)
        num_votes += outcome["num_accepted"]
        num_repeats += is_repeated
    return _Turn("task", num_votes, num_repeats)


def _sent(desk: _Desk, manner: str, body: Json) -> tuple[dict[str, Any], bool]:
    """What became of the answers, sent in the worker's manner, and whether they were sent twice."""
    if manner == "disconnecter":
        desk.post_and_hang_up("/api/answers", body)
        return desk.post("/api/answers", body), True
    if manner != "double-clicker":
        return desk.post("/api/answers", body), False
    with ThreadPoolExecutor(1, thread_name_prefix="gesta-second-click") as second:
        other = second.submit(desk.post, "/api/answers", body)
        outcome = desk.post("/api/answers", body)
    if other.result() != outcome:
        raise GestaError(f"one send was answered in two ways: {outcome} and {other.result()}", where=desk.server.url)
    return outcome, True
