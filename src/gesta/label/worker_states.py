"""What the owner does to a worker: pause, resume, ban, and have everything they answered asked again.

| action | may work on | their votes | what they hold on lease |
|---|---|---|---|
| pause | no | count | goes back to the others at once |
| resume | yes | count, also those set aside by a ban | |
| ban | no | set aside: items that lack them open again | goes back |
| reopen | as before: yes, or no while paused | those so far set aside for good | goes back |

The log is only ever appended to, and a vote counts unless its worker is barred. So `reopen` moves the worker's past to
a barred worker of its own, named `<worker id>~<number>`, and lets the person go on as a new row with the same name,
token, role, state and settings. Gold that they met stays met. Their trust begins anew; pay reports list the past under
its own name, since the work was done.

Every action is one call of `desk.run`, so no task is given out and no answer counted in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gesta.label.book import Book
from gesta.label.sql_tables import assignments, gold_shown, tasks, votes, workers
from gesta.label.workers import KnownWorker, find_worker, write_event
from gesta.schema import BadInput, Refused

MAX_REASON_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A worker after an action, and how many answers it touched."""

    worker: KnownWorker
    num_answers: int = 0
    archived_as: str | None = None


def pause_worker(db: sa.Connection, book: Book, *, worker_id: str, reason: str, actor: str, now_us: int) -> Changed:
    """The worker, paused: gets no tasks until resumed; what they answered counts.

    Raises:
        UnknownName: there is no such worker.
        Refused: the worker is barred, or is whoever asks.
        BadInput: the reason is over 200 characters.
    """
    here = _subject(db, worker_id, actor=actor, reason=reason)
    if here.state == "barred":
        raise Refused(f"{worker_id!r} is barred", mend="Resume the worker first, if the votes are to count again")
    _set_state(db, here, state="paused", reason=reason, actor=actor, now_us=now_us)
    return Changed(worker=_follow(db, book, here, _end_live_task(db, book, here.seq, now_us=now_us)))


def resume_worker(db: sa.Connection, book: Book, *, worker_id: str, reason: str, actor: str, now_us: int) -> Changed:
    """The worker, active again; after a ban their votes count again, and gold does not bar them any more.

    Raises:
        UnknownName: there is no such worker.
        Refused: the worker is the past of a re-opened one, or is whoever asks.
        BadInput: the reason is over 200 characters.
    """
    here = _subject(db, worker_id, actor=actor, reason=reason)
    if "~" in worker_id:
        raise Refused(f"{worker_id!r} holds answers that were re-opened", mend="They are asked again, and stay aside")
    _set_state(db, here, state="active", reason=reason, actor=actor, now_us=now_us)
    seqs = _answered(db, here.seq) if here.state == "barred" else []
    return Changed(worker=_follow(db, book, here, seqs), num_answers=len(seqs))


def ban_worker(db: sa.Connection, book: Book, *, worker_id: str, reason: str, actor: str, now_us: int) -> Changed:
    """The worker, barred: their votes are set aside, and items that lack them now are asked again.

    Raises:
        UnknownName: there is no such worker.
        Refused: the worker is whoever asks.
        BadInput: the reason is over 200 characters.
    """
    here = _subject(db, worker_id, actor=actor, reason=reason)
    _set_state(db, here, state="barred", reason=reason, actor=actor, now_us=now_us)
    answered = _answered(db, here.seq)
    touched = sorted({*answered, *_end_live_task(db, book, here.seq, now_us=now_us)})
    return Changed(worker=_follow(db, book, here, touched), num_answers=len(answered))


def reopen_answers(db: sa.Connection, book: Book, *, worker_id: str, reason: str, actor: str, now_us: int) -> Changed:
    """The worker, with nothing answered: all they answered so far is set aside and asked again.

    Raises:
        UnknownName: there is no such worker.
        Refused: the worker is barred (then it is re-opened already), has answered nothing, or is whoever asks.
        BadInput: the reason is over 200 characters.
    """
    here = _subject(db, worker_id, actor=actor, reason=reason)
    if here.state == "barred":
        raise Refused(f"{worker_id!r} is barred, so the answers are set aside already")
    answered = _answered(db, here.seq)
    if not answered:
        raise Refused(f"{worker_id!r} has answered nothing yet")
    touched = sorted({*answered, *_end_live_task(db, book, here.seq, now_us=now_us)})
    row = db.execute(sa.select(workers).where(workers.c.seq == here.seq)).one()._mapping
    # The suffix makes the name unique, and no name that a person can choose holds a tilde.
    suffix = f"~{here.seq}"
    archived_as = worker_id[: 64 - len(suffix)] + suffix
    db.execute(
        sa.update(workers)
        .where(workers.c.seq == here.seq)
        .values(
            worker_id=archived_as,
            token_sha256=None,
            state="barred",
            state_reason=f"answers re-opened: {reason}"[:MAX_REASON_CHARACTERS],
            is_held_by_owner=True,
        )
    )
    new_seq = _insert_again(db, row)
    write_event(
        db,
        at_us=now_us,
        actor=actor,
        what="answers-reopened",
        subject=worker_id,
        detail={"reason": reason, "num_answers": len(answered), "archived_as": archived_as},
    )
    book.reload_worker(db, here.seq)
    book.reload_worker(db, new_seq)
    book.recount(db, touched)
    return Changed(worker=find_worker(db, worker_id), num_answers=len(answered), archived_as=archived_as)


def _insert_again(db: sa.Connection, row: Any) -> int:
    """The number of a new row for the same person; gold they met and work they have open at a crowd go with them."""
    kept = ("worker_id", "role", "state", "state_reason", "is_held_by_owner", "token_sha256", "origin", "external",
            "prefs", "joined_at_us")  # fmt: skip
    counts = {"num_votes": 0, "num_gold": 0, "num_gold_right": 0}
    added = db.execute(sa.insert(workers).values({name: row[name] for name in kept} | counts)).inserted_primary_key
    assert added is not None
    new_seq = int(added[0])
    met = sa.select(sa.literal(new_seq), gold_shown.c.seq).where(gold_shown.c.worker_seq == row["seq"])
    db.execute(sa.insert(gold_shown).from_select(["worker_seq", "seq"], met))
    open_ones = sa.and_(assignments.c.worker_seq == row["seq"], assignments.c.finished_at_us.is_(None))
    db.execute(sa.update(assignments).where(open_ones).values(worker_seq=new_seq))
    return new_seq


def _subject(db: sa.Connection, worker_id: str, *, actor: str, reason: str) -> KnownWorker:
    if len(reason) > MAX_REASON_CHARACTERS or "\0" in reason:
        raise BadInput(f"a reason of {len(reason)} characters", mend=f"Want {MAX_REASON_CHARACTERS} at most, of text")
    if worker_id == actor:
        raise Refused("that is you", mend="Let another owner do it")
    return find_worker(db, worker_id)


def _set_state(db: sa.Connection, here: KnownWorker, *, state: str, reason: str, actor: str, now_us: int) -> None:
    db.execute(
        sa.update(workers)
        .where(workers.c.seq == here.seq)
        .values(state=state, state_reason=reason, is_held_by_owner=True)
    )
    what = {"paused": "worker-paused", "active": "worker-resumed", "barred": "worker-barred"}[state]
    detail = {"reason": reason, "was": here.state}
    write_event(db, at_us=now_us, actor=actor, what=what, subject=here.worker_id, detail=detail)


def _answered(db: sa.Connection, worker_seq: int) -> list[int]:
    query = sa.select(votes.c.seq).where(votes.c.worker_seq == worker_seq).distinct().order_by(votes.c.seq)
    return list(db.execute(query).scalars())


def _end_live_task(db: sa.Connection, book: Book, worker_seq: int, *, now_us: int) -> list[int]:
    """The items of the worker's live task, which goes back to the others."""
    task = book.workers[worker_seq].task
    if task is None:
        return []
    book.end(task)
    ended = {"status": "returned", "ended_at_us": now_us}
    db.execute(sa.update(tasks).where(tasks.c.task_id == task.task_id).values(ended))
    return list(task.seqs)


def _follow(db: sa.Connection, book: Book, here: KnownWorker, seqs: list[int]) -> KnownWorker:
    book.reload_worker(db, here.seq)
    if seqs:
        book.recount(db, seqs)
    return find_worker(db, here.worker_id)
