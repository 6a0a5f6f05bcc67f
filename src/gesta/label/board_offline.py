"""The board, and what the owner does, without a running service: for a terminal beside the label database."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import sqlalchemy as sa

from gesta.label.board import event_rows
from gesta.label.board_cache import BoardCache
from gesta.label.book import Book
from gesta.label.class_gates import set_class_state
from gesta.label.database_lock import exclusive
from gesta.label.desk import Desk
from gesta.label.rules import Rules
from gesta.label.store import open_store
from gesta.label.worker_states import ban_worker, pause_worker, reopen_answers, resume_worker
from gesta.schema import Refused, UnknownName

OPERATOR = "operator"
"""Who does what is done here, in the diary."""

WORKER_ACTIONS = {"pause": pause_worker, "resume": resume_worker, "ban": ban_worker, "reopen": reopen_answers}

Act = Callable[[str, str, str], dict[str, Any]]
"""Does an action to a class or worker for a reason: `act("pause", "class:7", "too easy")`; what came of it."""


def read_board(database: str, *, rules: Rules, now_us: int) -> dict[str, Any]:
    """What the routes of the board, of its workers, of what is disputed or suggested, and of the diary tell.

    Raises:
        BadInput: the database cannot be opened.
    """
    store = open_store(database)
    try:
        cache = BoardCache(store=store, rules=rules, now_us=lambda: now_us, votes_a_look=None)
        with store.reading() as db:
            diary = event_rows(db)
        return {
            "board": orjson.loads(cache.board().body),
            "workers": orjson.loads(cache.workers().body),
            "suggestions": cache.suggestions(),
            "disputed": cache.disputed(class_id=None, limit=24),
            "events": diary,
        }
    finally:
        store.close()


@contextmanager
def offline_desk(database: str, *, rules: Rules, now_us: Callable[[], int]) -> Iterator[Act]:
    """What does the owner's actions on a database that no service works on; the desk is the service's own.

    Raises:
        Refused: a service works on the database.
        BadInput: the database cannot be opened.
    """
    store = open_store(database)
    try:
        with _alone(store.engine):
            desk = Desk(store=store, rules=rules, now_us=now_us, rng=random.Random(0))
            desk.start()
            try:
                yield lambda action, subject, reason: desk.run(
                    lambda db, book: _done(db, book, action=action, subject=subject, reason=reason, now_us=now_us())
                ).result()
            finally:
                desk.stop()
    finally:
        store.close()


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[None]:
    try:
        lock = exclusive(engine, patience_s=0)
    except Refused as error:
        raise Refused(error.problem, where=error.where, mend="Act through it: give --url and --token") from error
    with lock:
        yield


def _done(db: sa.Connection, book: Book, *, action: str, subject: str, reason: str, now_us: int) -> dict[str, Any]:
    kind, _, name = subject.partition(":")
    if kind == "class":
        found = set_class_state(
            db, class_id=class_id_of(book.classes.values(), name), action=action, actor=OPERATOR, now_us=now_us,
            reason=reason,
        )  # fmt: skip
        book.reload_classes(db)
        return {"class_id": found["class_id"], "name": found["name"], "state": found["state"]}
    if kind != "worker":
        raise UnknownName(what="kind of subject", name=kind, choices=("class", "worker"))
    if action not in WORKER_ACTIONS:
        raise UnknownName(what="action on a worker", name=action, choices=WORKER_ACTIONS)
    changed = WORKER_ACTIONS[action](db, book, worker_id=name, reason=reason, actor=OPERATOR, now_us=now_us)
    return {
        "worker_id": changed.worker.worker_id, "state": changed.worker.state, "num_answers": changed.num_answers
    }  # fmt: skip


def class_id_of(rows: Any, name: str) -> int:
    """The id of the class of that name, or that has this id.

    Raises:
        UnknownName: there is none.
    """
    ids = {str(row["name"]): int(row["class_id"]) for row in rows}
    if name in ids:
        return ids[name]
    if name.isdecimal() and int(name) in ids.values():
        return int(name)
    raise UnknownName(what="class", name=name, choices=ids)
