"""Run the service: in a thread of this process, on a free or a given port, until the block ends."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from gesta.label.app import create_app
from gesta.label.items import load_items
from gesta.label.media import Cut, open_media
from gesta.label.store import Store, database_url_of, open_store
from gesta.label.tally import Rules
from gesta.schema import GestaError, TrustRule
from gesta.video import cut_clip

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A service that answers at `url`."""

    url: str
    store: Store
    rules: Rules


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
    trust: TrustRule | None = None,
    seed: int = 0,
    now_us: Callable[[], int] = system_clock_us,
    cut: Cut | None = None,
) -> Iterator[RunningServer]:
    """The service over the work folder's items, answering from the first line of the block to its last.

    Args:
        port: 0 = any that is free.
        database: SQLAlchemy URL; None = `work/labels.sqlite`.
        rules: None = the papers' rules, with `trust` where it is given.
        seed: of the order in which questions are put.
        cut: what cuts the clips that are played; None = `gesta.video.cut_clip`.
    Raises:
        MissingTable: `items`, `label_map`, `clips` or `videos` is not there.
        GestaError: the address is taken or not of this machine, or the service does not start.
    """
    listener = _listen(host, port)
    rules = rules or (Rules(trust=trust) if trust else Rules())
    with listener:
        store = open_store(database or database_url_of(work))
        try:
            load_items(store, work, rules=rules)
            media = open_media(work, cut=cut or cut_clip)
            app = create_app(store, media, rules=rules, now_us=now_us, rng=random.Random(seed))
            try:
                with _serving(app, listener):
                    url_host = f"[{host}]" if ":" in host else host
                    yield RunningServer(url=f"http://{url_host}:{listener.getsockname()[1]}", store=store, rules=rules)
            finally:
                app.state.close()
        finally:
            store.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay (40 ms an answer) off only for sockets that say their protocol.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)
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
