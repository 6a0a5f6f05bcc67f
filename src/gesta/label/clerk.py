"""The clerk: works one request through, in the book and in what is to be written; see `desk`."""

from __future__ import annotations

import hashlib
import json
import random
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
import sqlalchemy as sa

from gesta.label.answers import Answer, Given, KeyReused, NotYours, Stale, WorkerBarred
from gesta.label.book import ACCEPTED, REJECTED, Book, LiveTask, WorkerHere
from gesta.label.class_gates import GateRule, gate_rule, gate_state
from gesta.label.kinds import check_answer
from gesta.label.rules import Rules
from gesta.label.sql_tables import votes
from gesta.label.writes import Writes
from gesta.schema import BadInput, is_right

_T = TypeVar("_T")

GATED_KINDS = ("clip",)
"""Kinds whose verdicts make a class's accuracy. Source: Kinetics-400 paper, section 3.3."""


_NUM_IDS = 256

_KNOWN_KEY = (
    "SELECT worker_seq, idempotency_key, body_sha256, outcome FROM submissions "
    "WHERE worker_seq = ? AND idempotency_key = ?"
)
_KNOWN_KEYS = (
    "SELECT s.worker_seq, s.idempotency_key, s.body_sha256, s.outcome FROM submissions s "
    "JOIN unnest(%s::bigint[], %s::text[]) AS u(worker_seq, idempotency_key) USING (worker_seq, idempotency_key)"
)
"""One text for any number of keys, so that the server plans it once."""


@dataclass(slots=True)
class Clerk:
    """One book, and the requests that are worked through against it."""

    book: Book
    rules: Rules
    rng: random.Random
    otherwise_gate: GateRule
    gate: GateRule = field(init=False)
    begun: list[LiveTask] = field(default_factory=list)
    """Tasks that are in the book and not yet in the database."""
    _outcomes: dict[tuple[int, str], tuple[str, str]] = field(default_factory=dict)
    _task_ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate = self.otherwise_gate

    def load(self, db: sa.Connection) -> None:
        """Fill the book."""
        self.book.load_from(db)
        self.read_gate(db)

    def read_gate(self, db: sa.Connection) -> None:
        """Learn at which accuracy classes pause now."""
        self.gate = gate_rule(db, otherwise=self.otherwise_gate)

    def operate(self, db: sa.Connection, change: Callable[[sa.Connection, Book], _T]) -> _T:
        """The result of `change`, which may have set another threshold for classes."""
        result = change(db, self.book)
        self.gate = gate_rule(db, otherwise=self.otherwise_gate)
        return result

    # ---- tasks -----------------------------------------------------------------------------------------------------

    def fetch(self, db: sa.Connection, writes: Writes, worker_seq: int, *, now_us: int) -> Given:
        """The worker's task, or why there is none."""
        worker = self.book.workers[worker_seq]
        if worker.state != "active":
            return Given(worker.state)
        if worker.task is not None:
            worker.task.expires_at_us = now_us + self.rules.lease_us
            writes.renew_task(worker.task.task_id, worker.task.expires_at_us)
            return Given("task", worker.task)
        task = self._assign(db, writes, worker, now_us=now_us, lease_us=self.rules.lease_us)
        if task is not None:
            return Given("task", task)
        return Given("wait" if self.book.has_pending(worker) else "done")

    def _assign(
        self, db: sa.Connection, writes: Writes, worker: WorkerHere, *, now_us: int, lease_us: int
    ) -> LiveTask | None:
        gold_met = self.book.gold_met_from(db, worker)
        chosen = self.book.choose(worker, rng=self.rng)
        if chosen is None:
            return None
        kind, seqs = chosen
        task = LiveTask(self._new_task_id(), worker.seq, kind, seqs, now_us + lease_us)
        self.begun.append(task)
        self.book.lease(task)
        writes.new_tasks[task.task_id] = (
            task.task_id, worker.seq, kind, orjson.dumps(seqs).decode(), "live", now_us, task.expires_at_us, None,
        )  # fmt: skip
        for seq in seqs:
            if self.book.is_gold(seq):
                gold_met.add(seq)
                writes.gold_shown.append((worker.seq, seq))
            else:
                writes.touched.add(seq)
        return task

    def _new_task_id(self) -> str:
        # Not from `rng`: the id is part of media addresses, which nobody may guess. Drawn many at a time, since each
        # draw lets other threads go first.
        if not self._task_ids:
            drawn = secrets.token_hex(16 * _NUM_IDS)
            self._task_ids = [drawn[place : place + 32] for place in range(0, len(drawn), 32)]
        return self._task_ids.pop()

    def renew(self, writes: Writes, tasks: Iterable[LiveTask], *, now_us: int) -> None:
        """Write down the leases that were made longer when their task was fetched."""
        for task in tasks:
            if task.task_id in self.book.tasks:
                # The clock may have been ahead when it was fetched, and nothing else asked while it was.
                task.expires_at_us = min(task.expires_at_us, now_us + self.rules.lease_us)
                writes.renew_task(task.task_id, task.expires_at_us)

    def take_back(self, writes: Writes, *, now_us: int) -> None:
        """End the tasks whose lease has run out."""
        for task in self.book.overdue(now_us):
            self._end(writes, task, "expired", now_us=now_us)

    def give_back(self, writes: Writes, worker_seq: int, *, task_id: str, now_us: int) -> bool:
        """Whether the worker held the task, which has ended now."""
        task = self.book.tasks.get(task_id)
        if task is None or task.worker_seq != worker_seq:
            return False
        self._end(writes, task, "returned", now_us=now_us)
        return True

    def _end(self, writes: Writes, task: LiveTask, status: str, *, now_us: int) -> None:
        writes.touched.update(self.book.end(task))
        writes.end_task(task.task_id, status, now_us=now_us)

    # ---- answers ---------------------------------------------------------------------------------------------------

    def know_outcomes(self, db: sa.Connection, keys: Sequence[tuple[int, str]]) -> None:
        """Look up which of these (worker, idempotency key) came before."""
        self._outcomes = {}
        if not keys:
            return
        if db.dialect.name == "postgresql":
            rows = db.exec_driver_sql(_KNOWN_KEYS, ([key[0] for key in keys], [key[1] for key in keys])).all()
        else:
            rows = [row for key in keys for row in db.exec_driver_sql(_KNOWN_KEY, key)]
        self._outcomes = {(row[0], row[1]): (row[2], row[3]) for row in rows}

    def submit(
        self,
        db: sa.Connection,
        writes: Writes,
        worker_seq: int,
        *,
        key: str,
        task_id: str,
        answers: Sequence[Answer],
        now_us: int,
    ) -> dict[str, Any]:
        """What became of each answer.

        Raises:
            BadInput: the key is none, or an answer does not fit its question; nothing is taken then.
            KeyReused: the key came before with other answers.
            WorkerBarred: the worker is barred.
        """
        if not 8 <= len(key) <= 64:
            raise BadInput(f"{key!r} is no idempotency key", mend="Want 8 to 64 characters, new for each send")
        told = [[a.slot, a.answer, a.lasts_whole_clip, a.detail, a.spent_ms] for a in answers]
        digest = hashlib.sha256(orjson.dumps([task_id, told])).hexdigest()
        first = self._outcomes.get((worker_seq, key))
        if first is not None:
            if first[0] != digest:
                raise KeyReused(
                    f"the key {key!r} was used before with other answers", mend="Use a new one for each send"
                )
            return dict(orjson.loads(first[1]))
        worker = self.book.workers[worker_seq]
        if worker.state == "barred":
            raise WorkerBarred("There are no more tasks for you", mend="Thank you for the work you have done")
        task = self.book.find_task(db, task_id)
        details = self._check(task, worker_seq, answers)
        statuses = self._append(writes, task, worker, answers, details, now_us=now_us)
        self._after_answers(db, writes, task, worker, now_us=now_us)
        outcome = {
            "results": [{"slot": a.slot, "status": s} for a, s in zip(answers, statuses, strict=True)],
            "num_accepted": statuses.count("accepted"),
            "gold": gold_of(worker, rules=self.rules),
        }
        text = orjson.dumps(outcome).decode()
        writes.submissions.append((worker_seq, key, digest, text))
        self._outcomes[worker_seq, key] = (digest, text)
        return outcome

    def _check(self, task: LiveTask | None, worker_seq: int, answers: Sequence[Answer]) -> list[str | None]:
        """The canonical detail of each answer, once all are found to fit their questions."""
        if task is None or task.worker_seq != worker_seq:
            return [None] * len(answers)
        return [self._canonical(task.seqs[a.slot], a) if 0 <= a.slot < len(task.seqs) else None for a in answers]

    def _canonical(self, seq: int, a: Answer) -> str | None:
        _, _, _, detail = self.book.beyond.get(seq, (None, None, None, {}))
        return check_answer(
            self.book.kind_names[self.book.kind[seq]],
            a.answer,
            a.lasts_whole_clip,
            a.detail,
            num_clips=len(detail.get("clips", ())),
            num_proposals=len(detail.get("boxes", ())),
        )

    def _append(
        self,
        writes: Writes,
        task: LiveTask | None,
        worker: WorkerHere,
        answers: Sequence[Answer],
        details: Sequence[str | None],
        *,
        now_us: int,
    ) -> list[str]:
        if task is None or task.worker_seq != worker.seq:
            return ["not-asked"] * len(answers)
        is_live = task.task_id in self.book.tasks
        statuses = []
        for answer, detail in zip(answers, details, strict=True):
            status = self._status(writes, task, worker, answer.slot, is_live=is_live)
            statuses.append(status)
            if status != "accepted":
                continue
            seq = task.seqs[answer.slot]
            task.answered.add(answer.slot)
            writes.voted.add((seq, worker.seq))
            writes.votes.append(
                (seq, worker.seq, 0, answer.answer, answer.lasts_whole_clip, detail, answer.spent_ms, now_us)
            )
            worker.num_votes += 1
            if self.book.is_gold(seq):
                known, known_detail = self.book.gold_known[seq]
                worker.num_gold += 1
                worker.num_gold_right += is_right(
                    task.kind, gold_answer=known, gold_detail=known_detail, answer=answer.answer, detail=detail
                )
            else:
                self._count(writes, seq, answer.answer, worker, is_live=is_live, now_us=now_us)
        return statuses

    def _status(self, writes: Writes, task: LiveTask, worker: WorkerHere, slot: int, *, is_live: bool) -> str:
        if not 0 <= slot < len(task.seqs):
            return "not-asked"
        seq = task.seqs[slot]
        if slot in task.answered or (seq, worker.seq) in writes.voted:
            return "already"
        # A live lease was counted when it was given; one that ran out must find a place that is still free.
        is_wanted = is_live or self.book.is_gold(seq) or self.book.num_free(seq) > 0
        return "accepted" if is_wanted else "late"

    def _count(self, writes: Writes, seq: int, answer: str, worker: WorkerHere, *, is_live: bool, now_us: int) -> None:
        if is_live:
            self.book.leased[seq] -= 1
        else:
            self.book.met.setdefault(seq, []).append(worker.seq)
        writes.touched.add(seq)
        moved = self.book.count(seq, answer)
        writes.touched.update(moved)
        for changed in moved:
            class_id = self.book.class_key[changed]
            is_clip = self.book.kind_names[self.book.kind[changed]] in GATED_KINDS
            if is_clip and class_id in self.book.classes and self.book.state[changed] in (ACCEPTED, REJECTED):
                is_accepted = self.book.state[changed] == ACCEPTED
                self._count_class(writes, class_id, is_accepted=is_accepted, now_us=now_us)

    def _count_class(self, writes: Writes, class_id: int, *, is_accepted: bool, now_us: int) -> None:
        row = self.book.classes[class_id]
        row["num_decided"] += 1
        row["num_accepted"] += is_accepted
        threshold = row["threshold_frac"] if row["threshold_frac"] is not None else self.gate.threshold_frac
        state = gate_state(
            row["num_decided"], row["num_accepted"], threshold_frac=threshold,
            after_num_clips=self.gate.after_num_clips, state=row["state"], state_by=row["state_by"],
        )  # fmt: skip
        writes.classes.add(class_id)
        if state != row["state"]:
            row["state"] = state
            detail = {name: row[name] for name in ("class_id", "num_decided", "num_accepted")}
            what = "class-paused" if state == "paused" else "class-resumed"
            told = json.dumps({**detail, "threshold_frac": threshold})
            writes.events.append((now_us, "gate", what, row["name"], told))
            self.book.apply_class_states()

    def _after_answers(
        self, db: sa.Connection, writes: Writes, task: LiveTask | None, worker: WorkerHere, *, now_us: int
    ) -> None:
        """Judge the worker, end a task that is finished, and make the next one ready."""
        if task is None or task.worker_seq != worker.seq:
            return
        writes.workers.add(worker.seq)
        is_trusted = self.rules.trust.is_trusted(num_gold=worker.num_gold, num_gold_right=worker.num_gold_right)
        is_finished = task.task_id in self.book.tasks and len(task.answered) == len(task.seqs)
        if is_finished:
            worker.told_gold = (worker.num_gold, worker.num_gold_right)
            self._end(writes, task, "answered", now_us=now_us)
        if not is_trusted and not worker.is_held_by_owner:
            self._bar(db, writes, worker, now_us=now_us)
        elif is_finished and self._comes_back(worker):
            self._assign(db, writes, worker, now_us=now_us, lease_us=self.rules.prepared_lease_us)

    def _comes_back(self, worker: WorkerHere) -> bool:
        # Outside crowds pay by the task: a next one would be leased, and its gold used up, for nobody.
        is_visitor = worker.origin in ("mturk", "prolific")
        return worker.state == "active" and self.rules.prepared_lease_us > 0 and not is_visitor

    def _bar(self, db: sa.Connection, writes: Writes, worker: WorkerHere, *, now_us: int) -> None:
        """Set aside all that a worker answered who failed too much gold; the items may be asked again."""
        if worker.task is not None:
            self._end(writes, worker.task, "returned", now_us=now_us)
        worker.state = "barred"
        detail = {"num_gold": worker.num_gold, "num_gold_right": worker.num_gold_right}
        writes.events.append((now_us, "gold", "worker-barred", worker.worker_id, json.dumps(detail)))
        self.flush(db, writes)
        query = sa.select(votes.c.seq).where(votes.c.worker_seq == worker.seq).distinct()
        self.book.recount(db, list(db.execute(query).scalars()))

    def revise(
        self,
        db: sa.Connection,
        worker_seq: int,
        *,
        task_id: str,
        slot: int,
        answer: Answer,
        if_match: int,
        now_us: int,
    ) -> dict[str, Any]:
        """The answer's new revision, once it stands in the log.

        Raises:
            BadInput: the answer does not fit its question.
            NotYours: the worker was not given the task, or has not answered the slot.
            Stale: the answer is at another revision than `if_match`.
            WorkerBarred: the worker is barred.
        """
        task = self.book.find_task(db, task_id)
        if task is None or task.worker_seq != worker_seq or slot not in task.answered:
            raise NotYours("There is no such answer of yours", mend="Reload the page")
        if self.book.workers[worker_seq].state == "barred":
            raise WorkerBarred("Your answers can no longer be changed", mend="Ask who invited you")
        seq = task.seqs[slot]
        detail = self._canonical(seq, answer)
        which = sa.and_(votes.c.seq == seq, votes.c.worker_seq == worker_seq)
        revision = db.execute(sa.select(sa.func.max(votes.c.revision)).where(which)).scalar_one()
        if revision != if_match:
            raise Stale("The answer was changed meanwhile", mend="Look at it again before you change it")
        row = {
            "seq": seq, "worker_seq": worker_seq, "revision": revision + 1, "answer": answer.answer,
            "lasts_whole_clip": answer.lasts_whole_clip, "detail": detail, "spent_ms": answer.spent_ms,
            "cast_at_us": now_us,
        }  # fmt: skip
        db.execute(sa.insert(votes), [row])
        if not self.book.is_gold(seq):
            self.book.recount(db, [seq])
        return {"etag": str(revision + 1)}

    # ---- writing ---------------------------------------------------------------------------------------------------

    def flush(self, db: sa.Connection, writes: Writes) -> None:
        """Send what was gathered."""
        book = self.book
        writes.flush(
            db,
            tally_rows=[
                (seq, *book.counts_of(seq), book.leased[seq], book.state[seq]) for seq in sorted(writes.touched)
            ],
            worker_rows=[_worker_row(book.workers[seq]) for seq in sorted(writes.workers)],
            class_rows=[_class_row(book.classes[class_id]) for class_id in sorted(writes.classes)],
        )


def _worker_row(worker: WorkerHere) -> tuple[Any, ...]:
    return (worker.seq, worker.num_votes, worker.num_gold, worker.num_gold_right, worker.state)


def _class_row(row: dict[str, Any]) -> tuple[Any, ...]:
    return (row["class_id"], row["state"], row["num_decided"], row["num_accepted"])


def gold_of(worker: WorkerHere, *, rules: Rules) -> dict[str, Any]:
    """What a worker is told of their gold, as of the last finished task: the share right, and whether it is low.

    Source: Kinetics-400 paper, section 3.3: a warning below 50 %.
    """
    num_gold, num_right = worker.told_gold
    if not num_gold:
        return {"accuracy": None, "is_low": False}
    accuracy = num_right / num_gold
    return {"accuracy": round(accuracy, 3), "is_low": accuracy < rules.warn_below_frac}
