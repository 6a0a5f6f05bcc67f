"""The crowd of `benchmarks.label`: many workers over HTTP from one process, timed, with what they were told kept.

A connection is a bare asyncio protocol that writes requests made beforehand and reads answers by their length, so that
the crowd costs the two processors as little as may be: they are the service's too. It reports, for each worker and
task, how many answers the service said that it took; the database is compared with that afterwards.

Run: python -m benchmarks.label_client PLAN.json   (made by benchmarks.label)
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import uvloop

ANSWERS, WEIGHTS = ("yes", "no", "unsure", "broken"), (0.55, 0.33, 0.07, 0.05)


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection, a request at a time."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.waiting: asyncio.Future[bytes] | None = None
        self.need = -1
        self.status = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Hand over the body once it is whole."""
        self.buffer += data
        if self.need < 0:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self.buffer[:end]).lower()
            self.status = int(head[9:12])
            at = head.index(b"content-length:") + 15
            self.need = int(head[at : (head + b"\r\n").index(b"\r\n", at)])
            del self.buffer[: end + 4]
        if len(self.buffer) >= self.need and self.waiting is not None:
            body, waiting = bytes(self.buffer[: self.need]), self.waiting
            del self.buffer[: self.need]
            self.need, self.waiting = -1, None
            waiting.set_result(body)

    def connection_lost(self, error: Exception | None) -> None:
        """Fail whoever waits."""
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(error or ConnectionResetError())

    async def ask(self, request: bytes) -> bytes:
        """The body of the answer."""
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)  # type: ignore[attr-defined]
        return await self.waiting


@dataclass
class Tally:
    """What was measured and what the service said that it took."""

    fetch_ms: list[float] = field(default_factory=list)
    submit_ms: list[float] = field(default_factory=list)
    taken: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    failed: int = 0


@dataclass
class Crowd:
    """Workers, by their tokens, and what they hold."""

    host: str
    port: int
    tokens: list[str]
    rng: random.Random
    tally: Tally = field(default_factory=Tally)
    held: dict[int, tuple[str, int]] = field(default_factory=dict)

    def request(self, worker: int, path: str, body: bytes) -> bytes:
        """A POST as it goes over the wire."""
        return (
            f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {self.tokens[worker]}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    async def connect(self) -> Connection:
        """A fresh connection."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self.host, self.port)
        return connection

    async def fetch(self, connection: Connection, worker: int, *, due: float, measured: bool) -> bool:
        """Whether the worker holds a task now."""
        body = await connection.ask(self.request(worker, "/api/task", b"{}"))
        if measured:
            self.tally.fetch_ms.append((time.perf_counter() - due) * 1000)
        told = orjson.loads(body)
        if connection.status != 200 or told["status"] != "task":
            self.tally.failed += 1
            return False
        task = told["task"]
        self.held[worker] = (task["task_id"], len(task["items"]))
        return True

    async def submit(self, connection: Connection, worker: int, *, due: float, measured: bool) -> None:
        """Answer all questions of the task that the worker holds."""
        task_id, num_items = self.held.pop(worker)
        chosen = self.rng.choices(ANSWERS, WEIGHTS, k=num_items)
        answers = [
            {"slot": slot, "answer": answer, "lasts_whole_clip": answer == "yes" or None, "spent_ms": 4000}
            for slot, answer in enumerate(chosen)
        ]
        key = f"{self.rng.getrandbits(96):024x}"
        body = orjson.dumps({"task_id": task_id, "idempotency_key": key, "answers": answers})
        reply = await connection.ask(self.request(worker, "/api/answers", body))
        if measured:
            self.tally.submit_ms.append((time.perf_counter() - due) * 1000)
        if connection.status != 200:
            self.tally.failed += 1
            return
        num_taken = orjson.loads(reply)["num_accepted"]
        self.tally.taken[task_id] = self.tally.taken.get(task_id, 0) + num_taken
        self.tally.refused += num_items - num_taken


async def closed_loop(crowd: Crowd, *, num_connections: int, seconds: float) -> float:
    """Seconds taken: each connection fetches and submits without a pause, for one worker after the other."""
    num_workers = len(crowd.tokens)
    until = time.perf_counter() + seconds

    async def drive(first: int) -> None:
        connection = await crowd.connect()
        worker = first
        while time.perf_counter() < until:
            if await crowd.fetch(connection, worker, due=time.perf_counter(), measured=True):
                await crowd.submit(connection, worker, due=time.perf_counter(), measured=True)
            worker = (worker + num_connections) % num_workers
        connection.transport.close()  # type: ignore[attr-defined]

    started = time.perf_counter()
    await asyncio.gather(*(drive(first) for first in range(num_connections)))
    return time.perf_counter() - started


async def open_loop(crowd: Crowd, *, task_s: float, seconds: float) -> float:
    """Seconds taken: every worker comes back each `task_s`, at a moment of their own, sends and fetches.

    Each visit opens its connection anew, as a browser's has long been closed after so many clips. Times are counted
    from when the worker was due, so that a service that falls behind cannot hide it.
    """
    num_workers = len(crowd.tokens)
    gate = asyncio.Semaphore(64)

    async def begin(worker: int) -> None:
        async with gate:
            connection = await crowd.connect()
            await crowd.fetch(connection, worker, due=time.perf_counter(), measured=False)
            connection.transport.close()  # type: ignore[attr-defined]

    await asyncio.gather(*(begin(worker) for worker in range(num_workers)))
    started = time.perf_counter() + 0.5

    async def visit(worker: int, due: float) -> None:
        connection = await crowd.connect()
        if worker in crowd.held:
            await crowd.submit(connection, worker, due=due, measured=True)
            due = time.perf_counter()
        await crowd.fetch(connection, worker, due=due, measured=True)
        connection.transport.close()  # type: ignore[attr-defined]

    async def work(worker: int, phase_s: float) -> None:
        due = started + phase_s
        while due < started + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await visit(worker, due)
            due += task_s

    await asyncio.gather(*(work(worker, crowd.rng.uniform(0, task_s)) for worker in range(num_workers)))
    return seconds


def main() -> None:
    """Carry the plan out and write what came of it beside it."""
    path = Path(sys.argv[1])
    plan: dict[str, Any] = json.loads(path.read_text())
    crowd = Crowd(plan["host"], plan["port"], plan["tokens"], random.Random(plan["seed"]))
    modes: dict[str, Callable[[], Awaitable[float]]] = {
        "closed": lambda: closed_loop(crowd, num_connections=plan["connections"], seconds=plan["seconds"]),
        "open": lambda: open_loop(crowd, task_s=plan["task_s"], seconds=plan["seconds"]),
    }

    async def run() -> float:
        return await modes[plan["mode"]]()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        took_s = runner.run(run())
    usage = resource.getrusage(resource.RUSAGE_SELF)
    tally = crowd.tally
    found = {
        "seconds": took_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "fetch_ms": tally.fetch_ms,
        "submit_ms": tally.submit_ms,
        "taken": tally.taken,
        "refused": tally.refused,
        "failed": tally.failed,
    }
    path.with_suffix(".out.json").write_bytes(orjson.dumps(found))


if __name__ == "__main__":
    main()
