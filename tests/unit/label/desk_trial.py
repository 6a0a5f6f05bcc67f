"""A desk without HTTP, at a clock that the test moves; answers are given by item, as no worker could."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gesta.label.answers import Answer
from gesta.label.desk import Desk
from gesta.label.load_items import load_items
from gesta.label.rules import Rules
from gesta.label.sql_tables import items, tallies, tasks, votes, workers
from gesta.label.store import Store, open_store
from gesta.label.workers import find_worker, mint_worker

MINUTE_US = 60_000_000
PLAIN = Rules(prepared_lease_us=0)
"""The papers' rules, and no task is made ready before it is asked for: what is leased is then easy to follow."""


@dataclass(frozen=True)
class Asked:
    """What a worker was told."""

    status: str
    task_id: str = ""
    kind: str = ""
    ids: tuple[str, ...] = ()
    actions: tuple[str | None, ...] = ()


@dataclass
class Trial:
    """One desk and its workers."""

    store: Store
    desk: Desk
    rules: Rules
    ids: dict[int, str]
    now_us: int = 1_000_000
    num_sends: int = 0
    last: dict[str, Asked] = field(default_factory=dict)

    def clock(self) -> int:
        return self.now_us

    def seq_of(self, worker_id: str, *, role: str = "worker") -> int:
        if worker_id not in self.desk.book.by_name:

            def work(db: sa.Connection, book: Any) -> None:
                mint_worker(db, worker_id=worker_id, role=role, now_us=self.now_us)
                book.reload_worker(db, find_worker(db, worker_id).seq)

            self.desk.run(work).result()
        return self.desk.book.by_name[worker_id].seq

    def ask(self, worker_id: str) -> Asked:
        self.now_us += 1
        given = self.desk.fetch(self.seq_of(worker_id)).result()
        if given.task is None:
            return Asked(given.status)
        seqs = [seq for slot, seq in enumerate(given.task.seqs) if slot not in given.task.answered]
        actions = tuple(self.desk.book.question(seq).action for seq in seqs)
        told = Asked("task", given.task.task_id, given.task.kind, tuple(self.ids[seq] for seq in seqs), actions)
        self.last[worker_id] = told
        return told

    def send(self, worker_id: str, answers: Mapping[str, str], *, key: str | None = None) -> list[str]:
        """Answer items of the task that the worker was given last."""
        self.now_us += 1
        self.num_sends += 1
        task_id = self.last[worker_id].task_id
        with self.store.reading() as db:
            row = db.execute(sa.select(tasks.c.seqs).where(tasks.c.task_id == task_id)).scalar_one()
        places = {self.ids[seq]: slot for slot, seq in enumerate(sa_json(row))}
        outcome = self.desk.submit(
            self.seq_of(worker_id),
            key=key or f"key-{self.num_sends:08d}",
            task_id=task_id,
            answers=[Answer(slot=places.get(item_id, 999), answer=answer) for item_id, answer in answers.items()],
        ).result()
        return [result["status"] for result in outcome["results"]]

    def work_off(self, worker_id: str, answer: str) -> list[str]:
        """Give one answer to every question of the worker's next task; the items asked."""
        ids = list(self.ask(worker_id).ids)
        if ids:
            self.send(worker_id, dict.fromkeys(ids, answer))
        return ids

    def tally(self, item_id: str) -> dict[str, int]:
        """The item's row of `tallies`."""
        with self.store.reading() as db:
            query = sa.select(tallies).join(items, items.c.seq == tallies.c.seq).where(items.c.item_id == item_id)
            return dict(db.execute(query).one()._mapping)

    def check(self) -> None:
        """The tables agree with the log and with the book, and no item has more than it may."""
        with self.store.reading() as db:
            counted: dict[int, dict[str, int]] = {}
            query = (
                sa.select(votes.c.seq, votes.c.worker_seq, votes.c.answer)
                .join(workers, workers.c.seq == votes.c.worker_seq)
                .where(workers.c.state != "barred")
                .order_by(votes.c.revision)
            )
            standing = {(row.seq, row.worker_seq): row.answer for row in db.execute(query)}
            for (seq, _), answer in standing.items():
                name = "yes" if answer == "done" else answer
                counts = counted.setdefault(seq, {})
                counts[name] = counts.get(name, 0) + 1
            answered = set(db.execute(sa.select(votes.c.seq, votes.c.worker_seq)).all())
            leased: dict[int, int] = {}
            for row in db.execute(sa.select(tasks).where(tasks.c.status == "live")):
                for seq in sa_json(row.seqs):
                    leased[seq] = leased.get(seq, 0) + ((seq, row.worker_seq) not in answered)
            gold = set(db.execute(sa.select(items.c.seq).where(items.c.gold_answer.is_not(None))).scalars())
            for row in db.execute(sa.select(tallies)):
                seq, book = row.seq, self.desk.book
                if seq in gold:
                    continue
                counts = tuple(counted.get(seq, {}).get(name, 0) for name in ("yes", "no", "unsure", "broken"))
                assert (row.num_yes, row.num_no, row.num_unsure, row.num_broken) == counts == book.counts_of(seq)
                assert row.num_leased == leased.get(seq, 0) == book.leased[seq]
                assert row.state == book.state[seq]
                assert not row.num_leased or sum(counts) + row.num_leased <= row.max_votes


def sa_json(text: str) -> list[int]:
    """The numbers of a task."""
    return [int(part) for part in text.strip("[]").split(",") if part]


@contextmanager
def trial(work: Path, url: str, *, rules: Rules = PLAIN, seed: int = 5) -> Iterator[Trial]:
    """A desk at work over a work folder's items."""
    store = open_store(url)
    load_items(store, work, rules=rules, now_us=0)
    with store.reading() as db:
        ids = dict(db.execute(sa.select(items.c.seq, items.c.item_id)).all())
    clock: list[Trial] = []
    desk = Desk(store=store, rules=rules, now_us=lambda: clock[0].now_us, rng=random.Random(seed))
    clock.append(Trial(store=store, desk=desk, rules=rules, ids=ids))
    desk.start()
    try:
        yield clock[0]
    finally:
        desk.stop()
        store.close()
