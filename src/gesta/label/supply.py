"""Hand out tasks: lease questions that still want answers to one worker, in one transaction."""

from __future__ import annotations

import random
import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gesta.label.store import Store, in_chunks, items, leases, tallies, votes, workers
from gesta.label.tally import Rules, refresh_tallies
from gesta.schema import BadInput

KINDS = ("clip", "box")
"""The order in which kinds are asked: a box item opens only once its clip's item is accepted."""

WINDOW_ITEMS = 6
"""How many times a task's length is looked at, so that classes can be mixed. Source: ours."""

_WORKER_ID = re.compile(r"[\w@.+-]{1,64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a task, as a worker sees it: nothing here tells whether its answer is known."""

    item_id: str
    kind: str
    clip_id: str
    action: str
    timestamp_us: int | None
    person_id: int | None
    box: tuple[float, float, float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What the service says to a worker who asks for work.

    `status` is `task` (with `task_id` and `questions`), `wait` (others hold what is left), `done` (nothing is left
    for this worker) or `barred`.
    """

    status: str
    task_id: str = ""
    kind: str = ""
    questions: tuple[Question, ...] = ()


def check_worker_id(worker_id: str) -> str:
    """The id, once it is found to be one.

    Raises:
        BadInput: it is empty, longer than 64 characters, or holds others than letters, digits and _ @ . + -
    """
    if not _WORKER_ID.match(worker_id):
        raise BadInput(
            f"{worker_id!r} is no worker id", mend="Want 1 to 64 letters, digits or any of _ @ . + - (no spaces)"
        )
    return worker_id


def next_task(store: Store, *, worker_id: str, now_us: int, rng: random.Random, rules: Rules) -> Task:
    """The worker's task: the one still on lease to them, its lease renewed, or a new one.

    A task holds questions of one kind, of different classes where possible, and gold questions among them where
    there is gold that this worker has not met. `rng` chooses and shuffles.

    Raises:
        BadInput: `worker_id` is not one.
    """
    check_worker_id(worker_id)
    with store.writing() as db:
        if is_barred(db, worker_id):
            return Task(status="barred")
        expire_leases(db, now_us=now_us, rules=rules)
        held = _held(db, worker_id)
        if held:
            db.execute(
                sa.update(leases)
                .where(leases.c.worker_id == worker_id, leases.c.is_live)
                .values(expires_at_us=now_us + rules.lease_us)
            )
            return _task_of(held)
        chosen = _choose(db, worker_id, rng=rng, rules=rules)
        if not chosen:
            return Task(status="wait" if _may_be_asked_later(db, worker_id) else "done")
        _lease(db, chosen, worker_id=worker_id, task_id=f"{rng.getrandbits(64):016x}", now_us=now_us, rules=rules)
        return _task_of(_held(db, worker_id))


def is_barred(db: sa.Connection, worker_id: str) -> bool:
    """Whether the worker is barred; a worker who was never seen is noted, and is not."""
    found = db.execute(sa.select(workers.c.is_barred).where(workers.c.worker_id == worker_id)).scalar_one_or_none()
    if found is None:
        db.execute(
            sa.insert(workers).values(worker_id=worker_id, num_votes=0, num_gold=0, num_gold_right=0, is_barred=False)
        )
    return bool(found)


def expire_leases(db: sa.Connection, *, now_us: int, rules: Rules) -> None:
    """Take back every lease that has run out, so that its item can be given to others."""
    is_over = sa.and_(leases.c.is_live, leases.c.expires_at_us <= now_us)
    over = list(db.execute(sa.select(leases.c.item_id).where(is_over)).scalars())
    if over:
        db.execute(sa.update(leases).where(is_over).values(is_live=False))
        refresh_tallies(db, over, rules=rules)


def _held(db: sa.Connection, worker_id: str) -> Sequence[sa.Row[Any]]:
    query = (
        sa.select(leases.c.task_id, items)
        .join(items, items.c.item_id == leases.c.item_id)
        .where(leases.c.worker_id == worker_id, leases.c.is_live)
        .order_by(leases.c.slot)
    )
    return db.execute(query).all()


def _task_of(held: Sequence[sa.Row[Any]]) -> Task:
    questions = tuple(question_of(row) for row in held)
    return Task(status="task", task_id=held[0].task_id, kind=held[0].kind, questions=questions)


def question_of(row: sa.Row[Any]) -> Question:
    """A row of `items` as a worker may see it."""
    return Question(
        item_id=row.item_id,
        kind=row.kind,
        clip_id=row.clip_id,
        action=row.class_name,
        timestamp_us=row.timestamp_us,
        person_id=row.person_id,
        box=None if row.x1 is None else (row.x1, row.y1, row.x2, row.y2),
    )


def _choose(db: sa.Connection, worker_id: str, *, rng: random.Random, rules: Rules) -> list[str]:
    """Ids of the items of a new task in the order of asking; empty when nothing is free for this worker."""
    for kind in KINDS:
        room = rules.items_per_task - rules.gold_per_task
        free = _free_items(db, worker_id, kind=kind, limit=WINDOW_ITEMS * rules.items_per_task)
        if not free:
            continue
        gold = _unmet_gold(db, worker_id, kind=kind)
        asked_gold = rng.sample(gold, k=min(len(gold), _gold_for(min(len(free), room), rules=rules)))
        asked = _mix_classes(free, limit=rules.items_per_task - len(asked_gold), rng=rng)
        chosen = [*asked, *asked_gold]
        rng.shuffle(chosen)
        return chosen
    return []


def _gold_for(num_asked: int, *, rules: Rules) -> int:
    """How many gold questions go with so many real ones: the full task's share, at least one.

    Source: 2 of 20 as in the Kinetics-400 paper (3.3). The last tasks of a run are short; two gold questions in each
    of them would use up the gold and tell the worker what they are.
    """
    room = rules.items_per_task - rules.gold_per_task
    return -(-num_asked * rules.gold_per_task // room)


def _not_answered_by(item_id: sa.Column[str], worker_id: str) -> sa.ColumnElement[bool]:
    return ~sa.exists().where(votes.c.item_id == item_id, votes.c.worker_id == worker_id)


def _free_items(db: sa.Connection, worker_id: str, *, kind: str, limit: int) -> list[tuple[str, int]]:
    """(item id, class id) of items that want another worker's answer; those that were begun come first."""
    first = (
        sa.select(tallies.c.item_id, tallies.c.num_standing, tallies.c.place)
        .where(tallies.c.kind == kind, tallies.c.is_free.is_(True), _not_answered_by(tallies.c.item_id, worker_id))
        .order_by(tallies.c.num_standing.desc(), tallies.c.place)
        .limit(limit)
        .subquery()
    )
    query = (
        sa.select(items.c.item_id, items.c.class_id)
        .join(first, first.c.item_id == items.c.item_id)
        .order_by(first.c.num_standing.desc(), first.c.place)
    )
    return [(row.item_id, row.class_id) for row in db.execute(query)]


def _unmet_gold(db: sa.Connection, worker_id: str, *, kind: str) -> list[str]:
    query = (
        sa.select(items.c.item_id)
        .where(
            items.c.kind == kind,
            items.c.gold_answer.is_not(None),
            items.c.is_active,
            _not_answered_by(items.c.item_id, worker_id),
        )
        .order_by(items.c.place)
    )
    return list(db.execute(query).scalars())


def _mix_classes(free: Sequence[tuple[str, int]], *, limit: int, rng: random.Random) -> list[str]:
    """At most `limit` ids: one of each class in turn, the classes in random order, each in the order given.

    >>> _mix_classes([("a", 1), ("b", 1), ("c", 2)], limit=2, rng=random.Random(0))
    ['a', 'c']
    """
    by_class: dict[int, deque[str]] = {}
    for item_id, class_id in free:
        by_class.setdefault(class_id, deque()).append(item_id)
    classes = sorted(by_class)
    rng.shuffle(classes)
    chosen: list[str] = []
    while classes and len(chosen) < limit:
        for class_id in classes[: limit - len(chosen)]:
            chosen.append(by_class[class_id].popleft())
        classes = [class_id for class_id in classes if by_class[class_id]]
    return chosen


def _lease(
    db: sa.Connection, item_ids: Sequence[str], *, worker_id: str, task_id: str, now_us: int, rules: Rules
) -> None:
    # A lease that ran out unanswered may be given to the same worker again: its row is replaced.
    for some in in_chunks(item_ids):
        db.execute(sa.delete(leases).where(leases.c.worker_id == worker_id, leases.c.item_id.in_(some)))
    rows = [
        {
            "item_id": item_id,
            "worker_id": worker_id,
            "task_id": task_id,
            "slot": slot,
            "expires_at_us": now_us + rules.lease_us,
            "is_live": True,
        }
        for slot, item_id in enumerate(item_ids)
    ]
    db.execute(sa.insert(leases), rows)
    refresh_tallies(db, item_ids, rules=rules)


def _may_be_asked_later(db: sa.Connection, worker_id: str) -> bool:
    query = sa.select(tallies.c.item_id).where(
        tallies.c.is_closed.is_(False), _not_answered_by(tallies.c.item_id, worker_id)
    )
    return db.execute(query.limit(1)).first() is not None


def progress_of(store: Store, *, worker_id: str | None = None) -> Mapping[str, Any]:
    """How far the work is, by kind of item, and how much of it this worker did; gold is counted in neither."""
    with store.reading() as db:
        counted = (
            sa.select(
                tallies.c.kind,
                sa.func.count().label("num_items"),
                sa.func.sum(sa.case((tallies.c.verdict != "open", 1), else_=0)).label("num_decided"),
                sa.func.sum(tallies.c.num_standing).label("num_votes"),
            )
            .join(items, items.c.item_id == tallies.c.item_id)
            .where(items.c.gold_answer.is_(None), items.c.is_active)
            .where(sa.or_(tallies.c.is_closed.is_(False), tallies.c.verdict != "open"))
            .group_by(tallies.c.kind)
        )
        kinds = {
            row.kind: {"num_items": row.num_items, "num_decided": row.num_decided, "num_votes": row.num_votes}
            for row in db.execute(counted)
        }
        own = None
        if worker_id is not None:
            query = sa.select(workers.c.num_votes).where(workers.c.worker_id == check_worker_id(worker_id))
            own = {"worker_id": worker_id, "num_answers": db.execute(query).scalar_one_or_none() or 0}
        return {"kinds": kinds, "worker": own}
