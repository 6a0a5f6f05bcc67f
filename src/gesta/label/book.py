"""The book: what the label database says of items, classes, workers and live tasks, in memory.

Only the desk writes, and it is alone on its database, so the book is exact; it is filled from the database at the
start and whenever a transaction has failed. Items are numbers (`seq`) into arrays: a million of them take about
150 MB. Functions that end in `_from` read the database; the others touch memory only.
"""

from __future__ import annotations

import heapq
import json
import random
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa

from gesta.label.class_gates import apply_gates, gate_rule, planned_rule
from gesta.label.recount import recount_classes, recount_items
from gesta.label.rules import REVIEW_KINDS, Rules
from gesta.label.sql_tables import classes, gold_shown, items, tallies, tasks, votes, workers
from gesta.label.supply import KindSupply
from gesta.schema import Protocol, fewest_votes_left

WAITING, OPEN, ACCEPTED, REJECTED, CLOSED = range(5)
"""`tallies.state`."""

NO_CLASS = -1

COUNTED = ("yes", "no", "unsure", "broken")
"""The counts of a tally, in order; done is counted as yes."""


@dataclass(slots=True)
class WorkerHere:
    """A worker as the service knows them.

    `told_gold` is the gold answered, and right, when they finished a task last: what they are told of. Told after every
    answer, it would say which answers were gold.
    """

    seq: int
    worker_id: str
    role: str
    state: str
    is_held_by_owner: bool
    token_sha256: str | None
    num_votes: int
    num_gold: int
    num_gold_right: int
    origin: str = "local"
    gold_met: set[int] | None = None
    task: LiveTask | None = None
    exhausted_at: dict[str, int] = field(default_factory=dict)
    told_gold: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class LiveTask:
    """A task that is out: its items in the order of asking, and the slots that were answered."""

    task_id: str
    worker_seq: int
    kind: str
    seqs: list[int]
    expires_at_us: int
    answered: set[int] = field(default_factory=set)
    is_kept: bool = False
    """Whether the database has it: only then may anybody be told of it."""


class Question(NamedTuple):
    """One question of a task, as the service's own code sees it; workers see less."""

    seq: int
    kind: str
    clip_id: str
    class_id: int | None
    action: str | None
    timestamp_us: int | None
    person_id: int | None
    box: tuple[float, float, float, float] | None
    detail: Mapping[str, Any]


def _votes_left(protocol: Protocol, counts: tuple[int, ...]) -> int:
    return fewest_votes_left(protocol, dict(zip((protocol.positive, *COUNTED[1:]), counts, strict=True)))


def _state_by(protocol: Protocol, counts: tuple[int, ...]) -> int:
    verdict = protocol.verdict(dict(zip((protocol.positive, *COUNTED[1:]), counts, strict=True)))
    return {"open": OPEN, "accepted": ACCEPTED, "rejected": REJECTED}[verdict]


CLOCK_SLACK_US = 1_000_000
"""Requests arrive out of order by less; a clock that falls back further was set. Source: ours."""

FAR_US = 1 << 62


class Book:
    """What may be asked of whom, in memory; see the module's text."""

    def __init__(self, rules: Rules, *, now_us: Callable[[], int]) -> None:
        self.rules = rules
        self.now_us = now_us
        self.kind_names = tuple(rules.protocols)
        self.kind = bytearray(1)
        self.state = bytearray([CLOSED])
        self.counts = tuple(bytearray(1) for _ in COUNTED)
        self.leased = bytearray(1)
        self.queued = bytearray(1)
        self.class_key = array("q", [NO_CLASS])
        self.clip_ids: list[str] = [""]
        self.beyond: dict[int, tuple[Any, ...]] = {}
        self.met: dict[int, list[int]] = {}
        self.gated_by: dict[int, list[int]] = {}
        self.gold: dict[str, list[int]] = {}
        self.gold_known: dict[int, tuple[str, str | None]] = {}
        self.supplies = {kind: KindSupply() for kind in rules.protocols}
        self.num_pending = dict.fromkeys(rules.protocols, 0)
        self.num_waiting = dict.fromkeys(rules.protocols, 0)
        self.classes: dict[int, dict[str, Any]] = {}
        self.workers: dict[int, WorkerHere] = {}
        self.by_token: dict[str, WorkerHere] = {}
        self.by_name: dict[str, WorkerHere] = {}
        self.tasks: dict[str, LiveTask] = {}
        self.expiries: list[tuple[int, str]] = []
        # Before the first look every lease may be from a clock that was ahead.
        self._clock_us = FAR_US
        self._protocols = [rules.protocols[name] for name in self.kind_names]
        # What follows from the counts of a tally, by kind: there are few counts, and millions of questions about them.
        self._votes_left: list[dict[tuple[int, ...], int]] = [{} for _ in self.kind_names]
        self._state_by: list[dict[tuple[int, ...], int]] = [{} for _ in self.kind_names]

    # ---- reading -------------------------------------------------------------------------------------------------

    def worker_of_token(self, token_sha256: str) -> WorkerHere | None:
        """The worker whose token has this hash, or None."""
        return self.by_token.get(token_sha256)

    def question(self, seq: int) -> Question:
        """The item's question."""
        timestamp_us, person_id, box, detail = self.beyond.get(seq, (None, None, None, {}))
        class_id = self.class_key[seq]
        return Question(
            seq=seq,
            kind=self.kind_names[self.kind[seq]],
            clip_id=self.clip_ids[seq],
            class_id=None if class_id == NO_CLASS else class_id,
            action=self.classes[class_id]["name"] if class_id in self.classes else None,
            timestamp_us=timestamp_us,
            person_id=person_id,
            box=box,
            detail=detail,
        )

    def counts_of(self, seq: int) -> tuple[int, ...]:
        """Standing answers to the item: yes or done, no, unsure, broken."""
        yes, no, unsure, broken = self.counts
        return yes[seq], no[seq], unsure[seq], broken[seq]

    def num_free(self, seq: int) -> int:
        """How many more people may be asked the item now."""
        if self.state[seq] != OPEN:
            return 0
        kind, counts = self.kind[seq], self.counts_of(seq)
        left = self._votes_left[kind].get(counts)
        if left is None:
            left = self._votes_left[kind][counts] = _votes_left(self._protocols[kind], counts)
        return left - self.leased[seq]

    def is_gold(self, seq: int) -> bool:
        """Whether the item's answer is known."""
        return seq in self.gold_known

    # ---- handing out -----------------------------------------------------------------------------------------------

    def choose(self, worker: WorkerHere, *, rng: random.Random) -> tuple[str, list[int]] | None:
        """A kind and the items of a new task for the worker, gold among them, in the order of asking; or None.

        `worker.gold_met` is loaded. Nothing is leased yet.
        """
        may_review = worker.role != "worker"
        for kind in self.rules.kinds:
            if kind in REVIEW_KINDS and not may_review:
                continue
            supply = self.supplies[kind]
            if not supply.ready or worker.exhausted_at.get(kind) == supply.num_added:
                continue
            gold = self._unmet_gold(worker, kind, self.rules.gold_per_task, rng)
            asked = supply.take(
                self.rules.items_per_task[kind] - len(gold),
                rng=rng,
                is_free=lambda seq: self.num_free(seq) > 0,
                has_met=lambda seq: worker.seq in self.met.get(seq, ()),
                drop=self._unqueue,
            )
            if not asked:
                worker.exhausted_at[kind] = supply.num_added
                continue
            chosen = asked + gold[: self.rules.num_gold_for(kind, len(asked))]
            chosen.sort(key=lambda _: rng.random())  # a shuffle, in a fifth of the time that `rng.shuffle` takes
            return kind, chosen
        return None

    def _unqueue(self, seq: int) -> None:
        self.queued[seq] = 0

    def _unmet_gold(self, worker: WorkerHere, kind: str, num: int, rng: random.Random) -> list[int]:
        gold = self.gold.get(kind, [])
        met = worker.gold_met or set()
        if len(gold) > 4 * len(met) + 4 * num:
            # Most are new to this worker: a few draws find some without walking through all.
            drawn = rng.sample(gold, min(len(gold), 4 * num))
            fresh = [seq for seq in drawn if seq not in met]
            if len(fresh) >= num:
                return fresh[:num]
        fresh = [seq for seq in gold if seq not in met]
        return rng.sample(fresh, min(num, len(fresh)))

    def has_pending(self, worker: WorkerHere) -> bool:
        """Whether an item that the worker has not met may still be asked later."""
        for kind in self.rules.kinds:
            if self.num_pending[kind] == 0 or (kind in REVIEW_KINDS and worker.role == "worker"):
                continue
            supply = self.supplies[kind]
            if supply.ready and worker.exhausted_at.get(kind) != supply.num_added:
                return True
            if self.num_waiting[kind]:
                return True
            code = self.kind_names.index(kind)
            for seq, met in self.met.items():
                is_open = self.kind[seq] == code and self.state[seq] == OPEN
                if is_open and worker.seq not in met and self.class_key[seq] not in supply.paused:
                    return True
        return False

    def lease(self, task: LiveTask) -> None:
        """Count the task's open questions as leased to its worker."""
        self.tasks[task.task_id] = task
        self.workers[task.worker_seq].task = task
        heapq.heappush(self.expiries, (task.expires_at_us, task.task_id))
        for slot, seq in enumerate(task.seqs):
            if seq not in self.gold_known and slot not in task.answered:
                self.leased[seq] += 1
                self.met.setdefault(seq, []).append(task.worker_seq)
                self.offer(seq)

    def end(self, task: LiveTask) -> list[int]:
        """The items whose leases ended with the task: those that were not answered; they may be given to others."""
        self.tasks.pop(task.task_id, None)
        worker = self.workers[task.worker_seq]
        if worker.task is task:
            worker.task = None
        ended = []
        for slot, seq in enumerate(task.seqs):
            if slot in task.answered or seq in self.gold_known:
                continue
            self.leased[seq] -= 1
            met = self.met.get(seq)
            if met and task.worker_seq in met:
                met.remove(task.worker_seq)
            self.offer(seq)
            ended.append(seq)
        return ended

    def offer(self, seq: int) -> None:
        """Put the item where tasks are made from, if it wants an answer and is not there."""
        if not self.queued[seq] and self.num_free(seq) > 0:
            self.queued[seq] = 1
            self.supplies[self.kind_names[self.kind[seq]]].add_begun(self.class_key[seq], seq)

    def overdue(self, now_us: int) -> list[LiveTask]:
        """Live tasks whose lease has run out by now; none runs for longer than a lease, wherever the clock has been."""
        if now_us < self._clock_us - CLOCK_SLACK_US:
            self._shorten_leases(now_us)
        self._clock_us = now_us
        over = []
        while self.expiries and self.expiries[0][0] <= now_us:
            _, task_id = heapq.heappop(self.expiries)
            task = self.tasks.get(task_id)
            if task is None:
                continue
            if task.expires_at_us > now_us:
                heapq.heappush(self.expiries, (task.expires_at_us, task_id))
            else:
                over.append(task)
        return over

    def _shorten_leases(self, now_us: int) -> None:
        # The clock was set back: leases that began before would otherwise run for as much longer.
        latest_us = now_us + self.rules.lease_us
        for task in self.tasks.values():
            task.expires_at_us = min(task.expires_at_us, latest_us)
        self.expiries = [(task.expires_at_us, task.task_id) for task in self.tasks.values()]
        heapq.heapify(self.expiries)

    # ---- answers ---------------------------------------------------------------------------------------------------

    def count(self, seq: int, answer: str) -> list[int]:
        """The items whose state changed when one more answer was counted for `seq` (its own, and those it gates)."""
        place = 0 if answer in ("yes", "done") else COUNTED.index(answer)
        self.counts[place][seq] += 1
        return self._settle(seq)

    def _settle(self, seq: int) -> list[int]:
        before = self.state[seq]
        if before in (CLOSED, WAITING):
            return []
        kind, counts = self.kind[seq], self.counts_of(seq)
        state = self._state_by[kind].get(counts)
        if state is None:
            state = self._state_by[kind][counts] = _state_by(self._protocols[kind], counts)
        if state == before:
            self.offer(seq)
            return []
        self._set_state(seq, state)
        return [seq, *self._open_gated(seq)]

    def _set_state(self, seq: int, state: int) -> None:
        kind = self.kind_names[self.kind[seq]]
        self._tell_pending(kind, self.state[seq], -1)
        self.state[seq] = state
        self._tell_pending(kind, state, 1)
        if state in (ACCEPTED, REJECTED, CLOSED):
            self.met.pop(seq, None)
        else:
            self.offer(seq)

    def _tell_pending(self, kind: str, state: int, by: int) -> None:
        if state in (WAITING, OPEN):
            self.num_pending[kind] += by
        if state == WAITING:
            self.num_waiting[kind] += by

    def _open_gated(self, gate: int) -> list[int]:
        state = {ACCEPTED: OPEN, REJECTED: CLOSED, CLOSED: CLOSED}.get(self.state[gate], WAITING)
        moved = [seq for seq in self.gated_by.get(gate, ()) if self.state[seq] in (WAITING, CLOSED, OPEN)]
        moved = [seq for seq in moved if self.state[seq] != state and seq not in self.gold_known]
        for seq in moved:
            self._set_state(seq, state)
        return [*moved, *(behind for seq in moved for behind in self._open_gated(seq))]

    # ---- from the database ---------------------------------------------------------------------------------------

    def load_from(self, db: sa.Connection) -> None:
        """Fill an empty book."""
        self.reload_classes(db)
        self.load_new_items(db)
        for row in db.execute(sa.select(workers)):
            self._set_worker(row)
        met: dict[int, set[int]] = {}
        for worker_seq, seq in db.execute(sa.select(gold_shown.c.worker_seq, gold_shown.c.seq)):
            met.setdefault(worker_seq, set()).add(seq)
        for worker in self.workers.values():
            worker.gold_met = met.get(worker.seq, set())
        for row in db.execute(sa.select(tasks).where(tasks.c.status == "live")):
            task = LiveTask(row.task_id, row.worker_seq, row.kind, json.loads(row.seqs), row.expires_at_us)
            self._read_answered(db, task)
            task.is_kept = True
            self.tasks[task.task_id] = task
            self.workers[task.worker_seq].task = task
            heapq.heappush(self.expiries, (task.expires_at_us, task.task_id))
            for slot, seq in enumerate(task.seqs):
                if slot not in task.answered and not self.is_gold(seq):
                    self.met.setdefault(seq, []).append(task.worker_seq)

    def _read_answered(self, db: sa.Connection, task: LiveTask) -> None:
        query = sa.select(votes.c.seq).where(
            votes.c.worker_seq == task.worker_seq, votes.c.seq.in_(task.seqs), votes.c.revision == 0
        )
        answered = set(db.execute(query).scalars())
        task.answered = {slot for slot, seq in enumerate(task.seqs) if seq in answered}

    def find_task(self, db: sa.Connection, task_id: str) -> LiveTask | None:
        """The task, live or ended, or None; an ended one is read from the database."""
        task = self.tasks.get(task_id)
        if task is None:
            row = db.execute(sa.select(tasks).where(tasks.c.task_id == task_id)).first()
            if row is None:
                return None
            task = LiveTask(row.task_id, row.worker_seq, row.kind, json.loads(row.seqs), row.expires_at_us)
            self._read_answered(db, task)
        return task

    def load_new_items(self, db: sa.Connection) -> None:
        """Take in the items that the database has beyond those of the book."""
        first = len(self.kind)
        top = db.execute(sa.select(sa.func.max(items.c.seq))).scalar() or 0
        if top < first:
            return
        num_new = top + 1 - first
        for cells in (self.kind, self.leased, self.queued, *self.counts):
            cells.extend(bytes(num_new))
        self.state.extend(bytes([CLOSED]) * num_new)
        self.class_key.extend([NO_CLASS] * num_new)
        self.clip_ids.extend([""] * num_new)
        met_query = (
            sa.select(votes.c.seq, votes.c.worker_seq)
            .join(tallies, tallies.c.seq == votes.c.seq)
            .where(votes.c.revision == 0, tallies.c.state == OPEN, votes.c.seq >= first)
        )
        for seq, worker_seq in db.execute(met_query):
            self.met.setdefault(seq, []).append(worker_seq)
        self._read_items(db, items.c.seq >= first)

    def recount(self, db: sa.Connection, seqs: Iterable[int]) -> None:
        """Bring the tallies of these items up to the log, in the database and here; the counts of classes follow."""
        listed = set(seqs)
        leased = {seq: self.leased[seq] for seq in listed}
        found = recount_items(db, listed, rules=self.rules, now_us=self.now_us(), num_leased=leased)
        listed.update(found.changed_seqs)
        for task_id in found.expired_task_ids:
            task = self.tasks.get(task_id)
            if task is not None:
                listed.update(self.end(task))
        self.reload_items(db, listed)
        touched = {self.class_key[seq] for seq in listed} - {NO_CLASS}
        recount_classes(db, sorted(touched))
        # A pause that rests on answers which are set aside ends with them.
        rule = gate_rule(db, otherwise=planned_rule(self.rules))
        apply_gates(db, rule=rule, now_us=self.now_us(), class_ids=sorted(touched))
        self.reload_classes(db)

    def reload_items(self, db: sa.Connection, seqs: Iterable[int]) -> None:
        """Bring these items up to what the database says of them."""
        listed = sorted(set(seqs))
        for start in range(0, len(listed), 500):
            some = listed[start : start + 500]
            for seq in some:
                self.met.pop(seq, None)
            query = sa.select(votes.c.seq, votes.c.worker_seq).where(votes.c.seq.in_(some), votes.c.revision == 0)
            for seq, worker_seq in db.execute(query):
                self.met.setdefault(seq, []).append(worker_seq)
            self._read_items(db, items.c.seq.in_(some))
        wanted = set(listed)
        for task in self.tasks.values():
            for slot, seq in enumerate(task.seqs):
                if seq in wanted and slot not in task.answered and not self.is_gold(seq):
                    self.met.setdefault(seq, []).append(task.worker_seq)

    def _read_items(self, db: sa.Connection, which: sa.ColumnElement[bool]) -> None:
        beyond = ("timestamp_us", "person_id", "x1", "y1", "x2", "y2", "detail", "gate_seq", "gold_answer")
        query = (
            sa.select(
                items.c.seq, items.c.kind, items.c.clip_id, items.c.class_id, items.c.is_active, items.c.gold_detail,
                *(items.c[name] for name in beyond),
                *(tallies.c[f"num_{name}"] for name in (*COUNTED, "leased")), tallies.c.state,
            )
            .join(tallies, tallies.c.seq == items.c.seq)
            .where(which)
            .order_by(items.c.seq)
        )  # fmt: skip
        codes = {name: code for code, name in enumerate(self.kind_names)}
        rows = db.execute(query, execution_options={"yield_per": 20_000})
        for row in rows:
            (seq, kind, clip_id, class_id, is_active, gold_detail, timestamp_us, person_id, x1, y1, x2, y2, detail,
             gate_seq, gold_answer, yes, no, unsure, broken, leased, state) = row  # fmt: skip
            self._tell_pending(kind, self.state[seq], -1)
            self.kind[seq] = codes[kind]
            self.clip_ids[seq] = clip_id
            self.class_key[seq] = NO_CLASS if class_id is None else class_id
            for cells, num in zip(self.counts, (yes, no, unsure, broken), strict=True):
                cells[seq] = min(num, 255)
            self.leased[seq] = leased
            self.state[seq] = state
            if timestamp_us is not None or detail is not None:
                box = None if x1 is None else (x1, y1, x2, y2)
                self.beyond[seq] = (timestamp_us, person_id, box, json.loads(detail) if detail else {})
            if gate_seq is not None and seq not in self.gated_by.setdefault(gate_seq, []):
                self.gated_by[gate_seq].append(seq)
            self._set_gold(seq, kind, gold_answer if is_active else None, gold_detail)
            self._tell_pending(kind, state, 1)
            if state != OPEN:
                self.met.pop(seq, None)
            elif seq in self.met or leased or yes or no or unsure or broken:
                self.offer(seq)
            elif not self.queued[seq]:
                self.queued[seq] = 1
                self.supplies[kind].add_fresh(self.class_key[seq], seq)

    def _set_gold(self, seq: int, kind: str, answer: str | None, detail: str | None) -> None:
        if answer is not None:
            if seq not in self.gold_known:
                self.gold.setdefault(kind, []).append(seq)
            self.gold_known[seq] = (answer, detail)
        elif self.gold_known.pop(seq, None) is not None:
            self.gold[kind].remove(seq)

    def reload_classes(self, db: sa.Connection) -> None:
        """Bring the classes up to the database: their names, counts, and which are handed out."""
        self.classes = {row.class_id: dict(row._mapping) for row in db.execute(sa.select(classes))}
        self.apply_class_states()

    def apply_class_states(self) -> None:
        """Hand out clips of active classes only."""
        held = {class_id for class_id, row in self.classes.items() if row["state"] != "active"}
        for kind in ("clip", "box", "suggestion"):
            self.supplies[kind].set_paused(held)

    def reload_worker(self, db: sa.Connection, worker_seq: int) -> None:
        """Bring one worker up to the database: state, token, counts."""
        row = db.execute(sa.select(workers).where(workers.c.seq == worker_seq)).first()
        if row is not None:
            self._set_worker(row)

    def _set_worker(self, row: sa.Row[Any]) -> None:
        known = self.workers.get(row.seq)
        if known is None:
            known = WorkerHere(
                seq=row.seq, worker_id=row.worker_id, role="", state="", is_held_by_owner=False, token_sha256=None,
                num_votes=0, num_gold=0, num_gold_right=0, told_gold=(row.num_gold, row.num_gold_right),
            )  # fmt: skip
            self.workers[row.seq] = known
        if known.worker_id != row.worker_id and self.by_name.get(known.worker_id) is known:
            del self.by_name[known.worker_id]
        known.worker_id = row.worker_id
        self.by_name[row.worker_id] = known
        if known.token_sha256 is not None and known.token_sha256 != row.token_sha256:
            self.by_token.pop(known.token_sha256, None)
        known.role, known.state, known.is_held_by_owner = row.role, row.state, row.is_held_by_owner
        known.token_sha256 = row.token_sha256
        known.num_votes, known.num_gold, known.num_gold_right = row.num_votes, row.num_gold, row.num_gold_right
        known.origin = row.origin
        known.exhausted_at.clear()
        if row.token_sha256 is not None:
            self.by_token[row.token_sha256] = known

    def gold_met_from(self, db: sa.Connection, worker: WorkerHere) -> set[int]:
        """The gold that the worker was shown, read once."""
        if worker.gold_met is None:
            query = sa.select(gold_shown.c.seq).where(gold_shown.c.worker_seq == worker.seq)
            worker.gold_met = set(db.execute(query).scalars())
        return worker.gold_met
