"""Run the service: in a thread of this process, on a free or a given port, until the block ends."""

from __future__ import annotations

import gc
import json
import random
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI

from gesta.label.app import create_app
from gesta.label.book import Book
from gesta.label.database_lock import DatabaseLock, exclusive
from gesta.label.desk import Desk
from gesta.label.guards import Limits
from gesta.label.load_items import load_items
from gesta.label.media import Cut, open_media
from gesta.label.rules import Rules
from gesta.label.service import Service, Skill
from gesta.label.sql_tables import items, settings, tasks
from gesta.label.store import Store, database_url_of, folding_in_background, open_store
from gesta.label.workers import (
    FirstLinks,
    find_worker,
    first_start,
    invite_link,
    mint_worker,
    replace_token,
    sign_in_link,
)
from gesta.schema import BadInput, GestaError
from gesta.video import cut_clip

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 5
TICK_S = 1.0
SWITCH_S = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A service that answers at `url`.

    `owner_link` and `invite_link` are there on the first start of a database only: they are secrets, and it keeps
    their hashes alone.
    """

    url: str
    service: Service
    owner_link: str | None = None
    invite_link: str | None = None

    @property
    def store(self) -> Store:
        """The open database."""
        return self.service.store

    @property
    def num_open(self) -> int:
        """Questions of this run that are not decided."""
        return sum(self.service.book.num_pending[kind] for kind in self.service.rules.kinds)

    def token_of(self, worker_id: str, *, role: str = "worker") -> str:
        """A fresh token of this worker, who is made where there is none; an older token is good for nothing then.

        For a crowd that is simulated in this process, and for the operator who has lost a link.
        """
        now_us = self.service.now_us()

        def work(db: sa.Connection, book: Book) -> str:
            if worker_id in book.by_name:
                token = replace_token(db, worker_id=worker_id, actor="operator", now_us=now_us).token
            else:
                token = mint_worker(db, worker_id=worker_id, role=role, now_us=now_us)
            book.reload_worker(db, find_worker(db, worker_id).seq)
            return token

        return self.service.desk.run(work).result()

    def item_ids_of(self, task_id: str) -> list[str]:
        """The items of a task in the order of asking: what a worker is never told.

        Raises:
            BadInput: there is no such task.
        """
        with self.store.reading() as db:
            told = db.execute(sa.select(tasks.c.seqs).where(tasks.c.task_id == task_id)).scalar()
            if told is None:
                raise BadInput(f"no task {task_id!r}", mend="Give the id of a task that was handed out")
            seqs = json.loads(told)
            ids = dict(db.execute(sa.select(items.c.seq, items.c.item_id).where(items.c.seq.in_(seqs))).all())
        return [ids[seq] for seq in seqs]


def system_clock_us() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


@contextmanager
def running_server(
    work: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    database: str | None = None,
    rules: Rules | None = None,
    seed: int = 0,
    now_us: Callable[[], int] | None = None,
    cut: Cut | None = None,
    limits: Limits | None = None,
    skill_of: Skill | None = None,
    framed_by: Mapping[str, Sequence[str]] | None = None,
    configure: Callable[[sa.Connection], None] | None = None,
) -> Iterator[RunningServer]:
    """The service over the work folder's items, answering from the first line of the block to its last.

    Args:
        port: 0 = any that is free.
        database: SQLAlchemy URL; None = `work/labels.sqlite`.
        rules: None = the papers' rules.
        seed: of the order in which questions are put.
        now_us: the clock; None = the system's, and leases then run out while nobody asks too.
        cut: what cuts the clips that are played; None = `gesta.video.cut_clip`.
        limits: of requests; None = the usual ones.
        skill_of: what tells the skill of workers from votes; None = the owner's page does without.
        framed_by: path of a page, and the hosts that may show it inside theirs; None = Mechanical Turk its own.
        configure: called with a transaction before the service starts: pay, outside crowds.
    Raises:
        MissingTable: `items`, `label_map`, `clips` or `videos` is not there.
        Refused: another service is working on this database.
        GestaError: the address is taken or not of this machine, or the service does not start.
    """
    listener = _listen(host, port)
    rules = rules or Rules()
    clock = now_us or system_clock_us
    with listener, _open(database or database_url_of(work)) as (store, lock):
        load_items(store, work, rules=rules, now_us=clock())
        with store.writing() as db:
            secret = _secret(db)
            first = first_start(db, now_us=clock())
            if configure is not None:
                configure(db)
        desk = Desk(store=store, rules=rules, now_us=clock, rng=random.Random(seed), renew_lock=lock.renew)
        media = open_media(work, cut=cut or cut_clip)
        service = Service(
            store=store, desk=desk, media=media, rules=rules, now_us=clock, rng=random.Random(f"{seed} page"),
            work=work, secret=secret, skill_of=skill_of,
        )  # fmt: skip
        app = create_app(service, limits=limits, framed_by=framed_by)
        with closing(media), _at_work(desk, is_ticking=now_us is None), _serving(app, listener):
            url_host = f"[{host}]" if ":" in host else host
            url = f"http://{url_host}:{listener.getsockname()[1]}"
            yield _running(url, service, first)


def _running(url: str, service: Service, first: FirstLinks | None) -> RunningServer:
    if first is None:
        return RunningServer(url=url, service=service)
    return RunningServer(
        url=url,
        service=service,
        owner_link=sign_in_link(url, first.owner_token, page="/owner"),
        invite_link=invite_link(url, first.invite_code),
    )


@contextmanager
def _open(url: str) -> Iterator[tuple[Store, DatabaseLock]]:
    store = open_store(url)
    try:
        with exclusive(store.engine) as lock, folding_in_background(store):
            yield store, lock
    finally:
        store.close()


@contextmanager
def _at_work(desk: Desk, *, is_ticking: bool) -> Iterator[None]:
    """The desk serves; where time passes by itself, leases run out by themselves too."""
    desk.start()
    # The book is many small objects that stay: the collector need not walk through them while people wait.
    gc.collect()
    gc.freeze()
    # Two threads serve: one reads requests, one writes. The usual 5 ms before one must let the other on add up to
    # tenths of a second a batch.
    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    stopped = threading.Event()

    def tick() -> None:
        while not stopped.wait(TICK_S):
            desk.tick()

    ticker = threading.Thread(target=tick, name="gesta-tick", daemon=True)
    if is_ticking:
        ticker.start()
    try:
        yield
    finally:
        stopped.set()
        if is_ticking:
            ticker.join()
        desk.stop()
        sys.setswitchinterval(switch_s)
        gc.unfreeze()


def _secret(db: sa.Connection) -> bytes:
    """What signs media links: drawn once, kept in the database, so that links outlive a restart."""
    value = db.execute(sa.select(settings.c.value).where(settings.c.name == "secret")).scalar()
    if value is None:
        value = json.dumps(secrets.token_hex(32))
        db.execute(sa.insert(settings).values(name="secret", value=value))
    return bytes.fromhex(json.loads(value))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay (40 ms an answer) off only for sockets that say their protocol.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(4096)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise GestaError(
            f"cannot listen there ({reason})", where=f"{host}:{port}", mend="Choose another --port or --host"
        ) from error
    return listener


@contextmanager
def _serving(app: FastAPI, listener: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="gesta-label", daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise GestaError("the label service did not start", mend="See the log above")
            time.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        thread.join(STOP_TIMEOUT_S + START_TIMEOUT_S)
        if thread.is_alive():
            raise GestaError("the label service did not stop", mend="See the log above")
