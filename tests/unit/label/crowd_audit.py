"""What the database says of a crowd's work, counted from tasks and votes and not from any view of them."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa

from gesta.label.sql_tables import items, tasks, votes, workers
from gesta.schema import PROTOCOLS

PAUSE_S = 0.02


@dataclass(slots=True)
class Audit:
    """The most standing answers and live leases that an item of each kind had at any look; looks; and what is wrong."""

    most: Counter[str] = field(default_factory=Counter)
    num_looks: int = 0
    over_collected: set[str] = field(default_factory=set)


def look(db: sa.Connection, audit: Audit) -> None:
    """Count once, in one transaction."""
    asked = {row.seq: row for row in db.execute(sa.select(items).where(items.c.gold_answer.is_(None)))}
    state = {row.seq: row.state for row in db.execute(sa.select(workers.c.seq, workers.c.state))}
    given = {(v.seq, v.worker_seq) for v in db.execute(sa.select(votes.c.seq, votes.c.worker_seq))}
    held = Counter(seq for seq, worker_seq in given if state[worker_seq] != "barred")
    for task in db.execute(sa.select(tasks.c.worker_seq, tasks.c.seqs).where(tasks.c.status == "live")):
        held.update(seq for seq in json.loads(task.seqs) if (seq, task.worker_seq) not in given)
    for seq, row in asked.items():
        audit.most[row.kind] = max(audit.most[row.kind], held[seq])
        if held[seq] > PROTOCOLS[row.kind].max_votes:
            audit.over_collected.add(row.item_id)
    audit.num_looks += 1


@contextmanager
def audited(engine: sa.Engine) -> Iterator[Audit]:
    """Looks again and again from another thread, until the block ends."""
    audit, stop = Audit(), threading.Event()
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")

    def watch() -> None:
        while not stop.is_set():
            with engine.connect() as db, db.begin():
                look(db, audit)
            time.sleep(PAUSE_S)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield audit
    finally:
        stop.set()
        thread.join()
    assert audit.num_looks > 1


def doubled(db: sa.Connection) -> list[tuple[int, int]]:
    """Items and workers with more than one first answer."""
    first = sa.select(votes.c.seq, votes.c.worker_seq).where(votes.c.revision == 0)
    counted = Counter((row.seq, row.worker_seq) for row in db.execute(first))
    return [pair for pair, number in counted.items() if number > 1]


def gold_shown_again(db: sa.Connection) -> list[tuple[int, int]]:
    """Workers and known items that stood in more than one task of theirs."""
    gold = set(db.execute(sa.select(items.c.seq).where(items.c.gold_answer.is_not(None))).scalars())
    shown = Counter(
        (task.worker_seq, seq)
        for task in db.execute(sa.select(tasks.c.worker_seq, tasks.c.seqs))
        for seq in json.loads(task.seqs)
        if seq in gold
    )
    assert shown or not gold, "no gold was shown"
    return [pair for pair, number in shown.items() if number > 1]


def answers_after_the_verdict(db: sa.Connection) -> list[str]:
    """Items that were asked on after the votes of those who are not barred had decided them."""
    query = (
        sa.select(items.c.item_id, items.c.kind, votes.c.answer)
        .join(items, items.c.seq == votes.c.seq)
        .join(workers, workers.c.seq == votes.c.worker_seq)
        .where(items.c.gold_answer.is_(None), workers.c.state != "barred", votes.c.revision == 0)
        .order_by(votes.c.vote_id)
    )
    counts: dict[str, Counter[str]] = {}
    late = []
    for item_id, kind, answer in db.execute(query):
        known = counts.setdefault(item_id, Counter())
        if PROTOCOLS[kind].verdict(known) != "open":
            late.append(item_id)
        known[answer] += 1
    return late
