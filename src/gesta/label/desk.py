"""The desk: the one thread that writes labels. Requests queue, and a batch of them is one transaction.

A request is worked through against the book (memory), which gathers what to write; then the batch is written and
committed; only then are the requests answered. Where the transaction fails nothing was promised: the book is read
anew from the database, and the requests fail with `StoreDown`, to be sent again under the same key.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import sqlalchemy as sa

from gesta.label.answers import Answer, Given, Overloaded, StoreDown
from gesta.label.book import Book, LiveTask
from gesta.label.class_gates import planned_rule
from gesta.label.clerk import Clerk
from gesta.label.rules import Rules
from gesta.label.store import Store
from gesta.label.writes import Writes
from gesta.schema import GestaError, Refused

MAX_BATCH = 256
MAX_WAITING = 20_000
"""Requests that may queue before others are sent away with `Overloaded`. Source: ours; some 100 MB at most."""

RETRY_S = 0.5
"""Pause between attempts to reach a database that is down. Source: ours."""

_PG_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

_SOON = "Send them again soon; nothing is lost"

_log = logging.getLogger("gesta.label")
_T = TypeVar("_T")


@dataclass(slots=True)
class Health:
    """How the desk is doing."""

    num_waiting: int = 0
    num_batches: int = 0
    num_requests: int = 0
    num_failures: int = 0
    last_batch_ms: float = 0.0
    is_down: bool = False


@dataclass(slots=True)
class _Request:
    work: Callable[[Clerk, sa.Connection, Writes], Any]
    future: Future[Any]
    now_us: int
    submission: tuple[int, str] | None = None
    is_alone: bool = False
    result: Any = None
    error: BaseException | None = None


class _TurnedDown(Exception):
    """What an operator asked for cannot be done: the transaction is undone."""


@dataclass(slots=True)
class Desk:
    """The queue before the database's one writer; `start` it, `stop` it.

    `renew_lock` is called before a database that was down is read anew: the lock on it may have gone down with it.
    """

    store: Store
    rules: Rules
    now_us: Callable[[], int]
    rng: random.Random
    renew_lock: Callable[[], None] | None = None
    clerk: Clerk = field(init=False)
    health: Health = field(default_factory=Health)
    _queue: queue.SimpleQueue[_Request | None] = field(default_factory=queue.SimpleQueue)
    _renewals: list[LiveTask] = field(default_factory=list)
    _thread: threading.Thread | None = None
    _connection: sa.Connection | None = None
    _is_stopping: bool = False

    def __post_init__(self) -> None:
        self.clerk = self._new_clerk()

    @property
    def book(self) -> Book:
        """What may be asked of whom; read it from any thread, change it in `run` only."""
        return self.clerk.book

    # ---- what the routes call --------------------------------------------------------------------------------------

    def fetch(self, worker_seq: int) -> Future[Given]:
        """The worker's task: the one they hold, its lease renewed, or a new one; or why there is none."""
        now_us = self.now_us()
        worker = self.book.workers.get(worker_seq)
        task = worker.task if worker else None
        is_ready = task is not None and task.is_kept and not self.health.is_down
        if task is not None and worker is not None and is_ready and worker.state == "active":
            # Nothing has to be written before this is said: the lease stands already, and is made longer with the
            # next batch.
            task.expires_at_us = now_us + self.rules.lease_us
            self._renewals.append(task)
            done: Future[Given] = Future()
            done.set_result(Given("task", task))
            return done
        return self._ask(lambda clerk, db, writes: clerk.fetch(db, writes, worker_seq, now_us=now_us), now_us)

    def submit(self, worker_seq: int, *, key: str, task_id: str, answers: Sequence[Answer]) -> Future[dict[str, Any]]:
        """What became of each answer; a repeated key gives the first call's outcome and changes nothing.

        Each is `accepted`, `already` (answered before; the first answer stands), `late` (the lease ran out and others
        have answered meanwhile) or `not-asked` (the worker was never given it).
        The future's errors: `KeyReused`, `WorkerBarred`, `StoreDown`, `BadInput`.
        """
        now_us = self.now_us()
        return self._ask(
            lambda clerk, db, writes: clerk.submit(
                db, writes, worker_seq, key=key, task_id=task_id, answers=answers, now_us=now_us
            ),
            now_us,
            submission=(worker_seq, key),
        )

    def revise(
        self, worker_seq: int, *, task_id: str, slot: int, answer: Answer, if_match: int
    ) -> Future[dict[str, Any]]:
        """The new revision of an answer that the worker gave before; `if_match` is the one that they saw.

        The future's errors: `Stale`, `NotYours`, `WorkerBarred`, `StoreDown`, `BadInput`.
        """
        now_us = self.now_us()
        return self._ask(
            lambda clerk, db, _writes: clerk.revise(
                db, worker_seq, task_id=task_id, slot=slot, answer=answer, if_match=if_match, now_us=now_us
            ),
            now_us,
            is_alone=True,
        )

    def give_back(self, worker_seq: int, *, task_id: str) -> Future[bool]:
        """Whether the worker held the task; its questions may be asked of others from now on."""
        now_us = self.now_us()
        return self._ask(
            lambda clerk, _db, writes: clerk.give_back(writes, worker_seq, task_id=task_id, now_us=now_us), now_us
        )

    def run(self, change: Callable[[sa.Connection, Book], _T]) -> Future[_T]:
        """The result of `change`, called alone in a transaction: what operators do."""
        return self._ask(lambda clerk, db, _writes: clerk.operate(db, change), self.now_us(), is_alone=True)

    def tick(self) -> Future[None]:
        """Takes back leases that have run out; for a clock that moves while nobody asks."""
        return self._ask(lambda _clerk, _db, _writes: None, self.now_us())

    def _ask(
        self,
        work: Callable[[Clerk, sa.Connection, Writes], _T],
        now_us: int,
        *,
        submission: tuple[int, str] | None = None,
        is_alone: bool = False,
    ) -> Future[_T]:
        future: Future[_T] = Future()
        if self._is_stopping or self._queue.qsize() > MAX_WAITING:
            future.set_exception(Overloaded("Too many people are at work just now", mend="Try again in some seconds"))
        else:
            self._queue.put(_Request(work, future, now_us, submission, is_alone))
        return future

    # ---- the thread ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Read the book from the database and begin to serve."""
        self._connection = self._connect()
        with self._connection.begin():
            self.clerk.load(self._connection)
        self._thread = threading.Thread(target=self._serve, name="gesta-desk", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Serve what waits, then end."""
        self._is_stopping = True
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> sa.Connection:
        connection = self.store.engine.connect()
        if self.store.dialect == "postgresql":
            # A batch names the rows that it changes, and an index finds them. A plan made for one batch at hand, or for
            # a table as it was when it was small, reads the whole table instead.
            with connection.begin():
                for name, value in _PG_PLANS.items():
                    connection.exec_driver_sql(f"SET {name} TO {value}")
        return connection

    def _new_clerk(self) -> Clerk:
        return Clerk(
            book=Book(self.rules, now_us=self.now_us),
            rules=self.rules,
            rng=self.rng,
            otherwise_gate=planned_rule(self.rules),
        )

    def _serve(self) -> None:
        held: _Request | None = None
        while True:
            first = held or self._queue.get()
            held = None
            if first is None:
                return
            batch = [first]
            while not batch[-1].is_alone and len(batch) < MAX_BATCH and held is None:
                try:
                    request = self._queue.get_nowait()
                except queue.Empty:
                    break
                if request is None:
                    self._queue.put(None)
                    break
                if request.is_alone:
                    held = request
                else:
                    batch.append(request)
            self._work_through(batch)

    def _work_through(self, batch: list[_Request]) -> None:
        started = time.perf_counter()
        self.health.num_waiting = self._queue.qsize()
        try:
            self._commit(batch)
        except _TurnedDown:
            pass
        except (sa.exc.OperationalError, sa.exc.InterfaceError, Refused) as error:
            _log.error("the label database did not take a batch of %d: %s", len(batch), error)
            self._start_over(batch, StoreDown("The label database does not take answers just now", mend=_SOON))
        except Exception as error:  # noqa: BLE001 - a defect must not end the service for everybody; it is logged
            _log.exception("a batch of %d failed", len(batch))
            self._start_over(batch, error)
            if len(batch) > 1:
                # One request's defect is not to fail those that came with it: each is tried alone.
                for request in batch:
                    request.error = None
                    self._work_through([request])
                return
        else:
            self.health.is_down = False
            self.health.num_batches += 1
            self.health.num_requests += len(batch)
            self.health.last_batch_ms = (time.perf_counter() - started) * 1000
        for request in batch:
            if request.error is None:
                request.future.set_result(request.result)
            else:
                request.future.set_exception(request.error)

    def _commit(self, batch: list[_Request]) -> None:
        if self._connection is None:
            self._reconnect()
        assert self._connection is not None
        clerk, writes = self.clerk, Writes()
        now_us = max(request.now_us for request in batch)
        with self._connection.begin():
            clerk.know_outcomes(self._connection, [r.submission for r in batch if r.submission])
            if not batch[0].is_alone:
                # What stands alone may be undone, and the book with it cannot: leases are seen to beside others.
                renewals, self._renewals = self._renewals, []
                clerk.renew(writes, renewals, now_us=now_us)
                clerk.take_back(writes, now_us=now_us)
            for request in batch:
                try:
                    request.result = request.work(clerk, self._connection, writes)
                except GestaError as error:
                    request.error = error
            if batch[0].is_alone:
                if batch[0].error is not None:
                    raise _TurnedDown
                clerk.read_gate(self._connection)
            clerk.flush(self._connection, writes)
        for task in clerk.begun:
            task.is_kept = True
        clerk.begun.clear()

    def _start_over(self, batch: list[_Request], error: BaseException) -> None:
        """Note for the requests that nothing was written, and drop the book: it may hold what was not."""
        self.health.is_down = isinstance(error, StoreDown)
        self.health.num_failures += 1
        for request in batch:
            request.error = error
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _reconnect(self) -> None:
        """A fresh connection and a fresh book.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is still down.
            Refused: another service works on the database now.
        """
        if self.health.is_down:
            time.sleep(RETRY_S)
        if self.renew_lock is not None:
            self.renew_lock()
        connection = self._connect()
        clerk = self._new_clerk()
        with connection.begin():
            clerk.load(connection)
        self._connection, self.clerk = connection, clerk
