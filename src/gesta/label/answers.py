"""Take answers: append them to the log once, whatever the network repeats."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gesta.label.store import Store, items, leases, rows_in, submissions, tallies, votes
from gesta.label.supply import check_worker_id, is_barred
from gesta.label.tally import Rules, items_of_worker, refresh_tallies, refresh_workers
from gesta.schema import ANSWERS, BadInput, GestaError
from gesta.tables import sha256_of_json


class KeyReused(GestaError):
    """An idempotency key came a second time with other answers."""


class WorkerBarred(GestaError):
    """A barred worker sent answers; they are not wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer as it comes from a worker."""

    item_id: str
    answer: str
    lasts_whole_clip: bool | None = None
    spent_ms: int = 0

    def __post_init__(self) -> None:
        if self.answer not in ANSWERS:
            raise BadInput(f"{self.answer!r} is no answer", where=self.item_id, mend=f"Want {', '.join(ANSWERS)}")
        if self.lasts_whole_clip is not None and self.answer != "yes":
            raise BadInput("lasts_whole_clip is asked only after yes", where=self.item_id, mend="Leave it out")
        if not 0 <= self.spent_ms < 10**12:
            raise BadInput(f"spent_ms={self.spent_ms} is no time spent", where=self.item_id, mend="Want 0 or more")


def cast_votes(
    store: Store, *, worker_id: str, idempotency_key: str, answers: Sequence[Answer], now_us: int, rules: Rules
) -> dict[str, Any]:
    """What became of each answer, in order; a repeated key gives the first call's outcome and changes nothing.

    Each is `accepted`, `already` (this worker answered it before; the first answer stands), `late` (the lease ran
    out and others have answered meanwhile) or `not-asked` (it was never given to this worker).

    Raises:
        BadInput: the worker id or the key is none.
        KeyReused: the key came before with other answers.
        WorkerBarred: the worker is barred.
    """
    check_worker_id(worker_id)
    if not 8 <= len(idempotency_key) <= 64:
        raise BadInput(f"{idempotency_key!r} is no idempotency key", mend="Want 8 to 64 characters, new for each send")
    digest = sha256_of_json([[a.item_id, a.answer, a.lasts_whole_clip, a.spent_ms] for a in answers])
    with store.writing() as db:
        first = _first_outcome(db, worker_id, idempotency_key, digest)
        if first is not None:
            return first
        if is_barred(db, worker_id):
            raise WorkerBarred("There are no more tasks for you", mend="Thank you for the work you have done")
        statuses = _append(db, answers, worker_id=worker_id, now_us=now_us, rules=rules)
        outcome = {
            "results": [{"item_id": a.item_id, "status": s} for a, s in zip(answers, statuses, strict=True)],
            "num_accepted": statuses.count("accepted"),
        }
        db.execute(
            sa.insert(submissions).values(
                worker_id=worker_id,
                idempotency_key=idempotency_key,
                body_sha256=digest,
                outcome=json.dumps(outcome),
            )
        )
        return outcome


def _first_outcome(db: sa.Connection, worker_id: str, key: str, digest: str) -> dict[str, Any] | None:
    query = sa.select(submissions.c.body_sha256, submissions.c.outcome).where(
        submissions.c.worker_id == worker_id, submissions.c.idempotency_key == key
    )
    row = db.execute(query).first()
    if row is None:
        return None
    if row.body_sha256 != digest:
        raise KeyReused(f"the key {key!r} was used before with other answers", mend="Use a new key for each send")
    return dict(json.loads(row.outcome))


def _append(db: sa.Connection, answers: Sequence[Answer], *, worker_id: str, now_us: int, rules: Rules) -> list[str]:
    ids = sorted({answer.item_id for answer in answers})
    known = _what_is_known(db, ids, worker_id)
    statuses: list[str] = []
    rows = []
    taken: set[str] = set()
    for answer in answers:
        status = "already" if answer.item_id in taken else _status(known.get(answer.item_id))
        statuses.append(status)
        if status == "accepted":
            taken.add(answer.item_id)
            rows.append(
                {
                    "item_id": answer.item_id,
                    "worker_id": worker_id,
                    "answer": answer.answer,
                    "lasts_whole_clip": answer.lasts_whole_clip,
                    "spent_ms": answer.spent_ms,
                    "cast_at_us": now_us,
                }
            )
    if rows:
        db.execute(sa.insert(votes), rows)
        db.execute(
            sa.update(leases)
            .where(leases.c.worker_id == worker_id, leases.c.item_id.in_(sorted(taken)))
            .values(is_live=False)
        )
        trust_changed = refresh_workers(db, [worker_id], rules=rules)
        # A barred worker's earlier votes are set aside: every item that they touched may open again.
        touched = items_of_worker(db, worker_id) if trust_changed else sorted(taken)
        refresh_tallies(db, touched, rules=rules)
    return statuses


def _what_is_known(db: sa.Connection, item_ids: Sequence[str], worker_id: str) -> Mapping[str, sa.Row[Any]]:
    query = (
        sa.select(
            items.c.item_id, items.c.gold_answer, tallies.c.num_free, leases.c.is_live.label("is_lease_live"),
            votes.c.vote_id,
        )
        .join(tallies, tallies.c.item_id == items.c.item_id)
        .outerjoin(leases, sa.and_(leases.c.item_id == items.c.item_id, leases.c.worker_id == worker_id))
        .outerjoin(votes, sa.and_(votes.c.item_id == items.c.item_id, votes.c.worker_id == worker_id))
    )  # fmt: skip
    return {row.item_id: row for row in rows_in(db, query, items.c.item_id, item_ids)}


def _status(known: sa.Row[Any] | None) -> str:
    if known is None or (known.is_lease_live is None and known.vote_id is None):
        return "not-asked"
    if known.vote_id is not None:
        return "already"
    # A live lease was counted when it was given; one that ran out must find a place that is still free.
    is_wanted = known.is_lease_live or known.gold_answer is not None or known.num_free > 0
    return "accepted" if is_wanted else "late"
