"""Workers of an outside crowd: Mechanical Turk (ExternalQuestion) and Prolific.

The crowd sends a person here with three ids: the person's, the assignment's (Prolific: the session's) and that of the
HIT or study. The person becomes a worker of a derived name, does one task, and goes back with what the crowd wants as
proof: a form for Mechanical Turk, a completion code for Prolific. The ids stay in `workers.external` and `assignments`,
which only the owner's pay report shows.

| an assignment is opened | what happens |
|---|---|
| by its worker again (reload, second tab) | the same token: both go on with the same task |
| by its worker, already finished | the proof once more, and no task |
| by its worker while another one is open | that one rests; its unfinished task goes back to the others |
| by another worker, unfinished | Mechanical Turk gives returned assignments to others under the same id: the new worker has it now; Prolific never does: refused |
| by another worker, finished | refused |
| by a barred worker | told so, no task; with answers in it, it can be finished as it is |

Source: the Amazon Mechanical Turk API reference, "ExternalQuestion", and the Prolific API documentation, "Study"; that
assignment ids come again after a return: the handling of it in Dallinger's `create_participant`.
"""  # noqa: E501

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gesta.label.book import Book
from gesta.label.external_crowds import PREVIEW, submit_origin_of
from gesta.label.sql_tables import assignments, tasks, votes, workers
from gesta.label.store import in_chunks
from gesta.label.workers import hash_of_secret, mint_worker, write_event
from gesta.schema import BadInput, Refused

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


class AssignmentTaken(Refused):
    """The assignment is another worker's, or another crowd's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Who comes, and for what, as the crowd says it.

    Raises:
        BadInput: an id is none, or `submit_to` is no address of Mechanical Turk.
    """

    source: str
    assignment_id: str
    external_id: str
    group_id: str = ""
    submit_to: str = ""

    def __post_init__(self) -> None:
        for name in ("assignment_id", "external_id", "group_id"):
            value = getattr(self, name)
            if (value or name != "group_id") and not _ID.match(value):
                raise BadInput(f"{name}={value[:40]!r} is no id", mend="Open the page from the crowd's own site")
        if self.assignment_id == PREVIEW:
            raise BadInput("this is a preview", mend="Accept the HIT first")
        if self.source == "mturk":
            submit_origin_of(self.submit_to)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What comes of opening an assignment: `outcome` is work (with a token), finished, barred or paused."""

    outcome: str
    worker_seq: int
    worker_id: str
    assignment_id: str
    num_answers: int
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """What comes of finishing: `outcome` is finished, unfinished, or nothing (there was no work to do)."""

    outcome: str
    source: str
    assignment_id: str
    num_answers: int
    num_wanted: int
    submit_to: str = ""


# ---- opening ---------------------------------------------------------------------------------------------------------


def worker_id_of(source: str, external_id: str, *, secret: bytes) -> str:
    """The name of a crowd's worker here: always the same, and nobody without the secret can tell whose it is."""
    digest = hmac.digest(secret, f"worker:{source}:{external_id}".encode(), "sha256")
    return f"{source}-{digest.hex()[:16]}"


def _token_of(worker_seq: int, visit: Visit, *, secret: bytes) -> str:
    """The assignment's token: the same each time it is opened, so that a reload ends no other tab's work."""
    told = f"token:{visit.source}:{visit.assignment_id}:{worker_seq}"
    return base64.urlsafe_b64encode(hmac.digest(secret, told.encode(), hashlib.sha256)).decode().rstrip("=")


def open_assignment(db: sa.Connection, book: Book, visit: Visit, *, secret: bytes, now_us: int) -> Opened:
    """What comes of a visit; see the module's table. Call it in `desk.run`.

    Raises:
        AssignmentTaken: the assignment is somebody else's.
    """
    worker_id = worker_id_of(visit.source, visit.external_id, secret=secret)
    row = _row_of(db, visit.assignment_id)
    seq = db.execute(sa.select(workers.c.seq).where(workers.c.worker_id == worker_id)).scalar()
    if row is not None and (row.source != visit.source or row.worker_seq != seq):
        is_passed_on = visit.source == row.source == "mturk" and row.finished_at_us is None
        if not is_passed_on:
            raise AssignmentTaken("this assignment is somebody else's", mend="Return it, and accept another one")
        _take_from(db, book, row, now_us=now_us)
    if seq is None:
        seq = _mint(db, visit, worker_id, now_us=now_us)
    worker = db.execute(sa.select(workers).where(workers.c.seq == seq)).one()

    def opened(outcome: str, *, num_answers: int = 0, token: str | None = None) -> Opened:
        return Opened(
            outcome=outcome,
            worker_seq=seq,
            worker_id=worker_id,
            assignment_id=visit.assignment_id,
            num_answers=num_answers,
            token=token,
        )

    if row is not None and row.worker_seq == seq and row.finished_at_us is not None:
        return opened("finished", num_answers=row.num_answers)
    if worker.state != "active" and row is None:
        return opened(worker.state)
    _rest_other(db, book, worker, visit, now_us=now_us)
    _write_row(db, row, visit, seq, now_us=now_us)
    token = _token_of(seq, visit, secret=secret)
    external = {
        **json.loads(worker.external or "{}"),
        "worker_id": visit.external_id,
        "assignment_id": visit.assignment_id,
    }
    changed = {"token_sha256": hash_of_secret(token), "external": json.dumps(external)}
    db.execute(sa.update(workers).where(workers.c.seq == seq).values(changed))
    book.reload_worker(db, seq)
    num_answers = _progress(db, _row_of(db, visit.assignment_id), seq)[0]
    if worker.state != "active" and num_answers == 0:
        return opened(worker.state)
    return opened("work", num_answers=num_answers, token=token)


def _row_of(db: sa.Connection, assignment_id: str) -> Any:
    return db.execute(sa.select(assignments).where(assignments.c.assignment_id == assignment_id)).first()


def _mint(db: sa.Connection, visit: Visit, worker_id: str, *, now_us: int) -> int:
    mint_worker(db, worker_id=worker_id, origin=visit.source, now_us=now_us, external={"worker_id": visit.external_id})
    return int(db.execute(sa.select(workers.c.seq).where(workers.c.worker_id == worker_id)).scalar_one())


def _write_row(db: sa.Connection, row: Any, visit: Visit, seq: int, *, now_us: int) -> None:
    told = {"group_id": visit.group_id, "submit_to": visit.submit_to}
    if row is None:
        detail = {**told, "task_ids": [], "before": []}
        values = {
            "assignment_id": visit.assignment_id, "source": visit.source, "worker_seq": seq,
            "detail": json.dumps(detail), "opened_at_us": now_us, "num_answers": 0,
        }  # fmt: skip
        db.execute(sa.insert(assignments).values(values))
        return
    detail = json.loads(_row_of(db, visit.assignment_id).detail)
    values = {"worker_seq": seq, "detail": json.dumps({**detail, **told})}
    db.execute(sa.update(assignments).where(assignments.c.assignment_id == visit.assignment_id).values(values))


def _rest_other(db: sa.Connection, book: Book, worker: Any, visit: Visit, *, now_us: int) -> None:
    """Let the assignment rest that the worker has open beside this one: its unfinished task goes back."""
    other_id = json.loads(worker.external or "{}").get("assignment_id")
    if other_id in (None, visit.assignment_id):
        return
    _end_live_task(db, book, worker.seq, now_us=now_us)
    other = _row_of(db, other_id)
    if other is not None and other.worker_seq == worker.seq:
        _claim(db, other, worker.seq)


def _take_from(db: sa.Connection, book: Book, row: Any, *, now_us: int) -> None:
    """Note what the worker did who gave the assignment back, and end what they held of it."""
    holder = db.execute(sa.select(workers).where(workers.c.seq == row.worker_seq)).one()
    external = json.loads(holder.external or "{}")
    if external.get("assignment_id") == row.assignment_id:
        _end_live_task(db, book, holder.seq, now_us=now_us)
        row = _claim(db, row, holder.seq)
        external.pop("assignment_id")
    detail = json.loads(row.detail)
    external["returned_task_ids"] = [*external.get("returned_task_ids", []), *detail["task_ids"]]
    changed = {"external": json.dumps(external), "token_sha256": None}
    db.execute(sa.update(workers).where(workers.c.seq == holder.seq).values(changed))
    book.reload_worker(db, holder.seq)
    detail["before"] = [*detail["before"], {"worker_seq": holder.seq, "task_ids": detail["task_ids"]}]
    detail["task_ids"] = []
    values = {"detail": json.dumps(detail), "num_answers": 0}
    db.execute(sa.update(assignments).where(assignments.c.assignment_id == row.assignment_id).values(values))
    told = {"assignment_id": row.assignment_id}
    write_event(db, at_us=now_us, actor=row.source, what="assignment-passed-on", subject=holder.worker_id, detail=told)


def _end_live_task(db: sa.Connection, book: Book, worker_seq: int, *, now_us: int) -> None:
    known = book.workers.get(worker_seq)
    task = known.task if known else None
    if task is None:
        return
    book.end(task)
    ended = {"status": "returned", "ended_at_us": now_us}
    db.execute(sa.update(tasks).where(tasks.c.task_id == task.task_id).values(ended))
    book.recount(db, task.seqs)


# ---- finishing -------------------------------------------------------------------------------------------------------


def finish_assignment(db: sa.Connection, book: Book, worker_seq: int, *, is_no_more: bool, now_us: int) -> Finish:
    """What comes of the worker saying that the assignment is done. Call it in `desk.run`.

    It is done once one of its tasks was answered whole, or as many questions as its first task had; or, where there
    is nothing more to ask (`is_no_more`), with any answer. The worker's token ends with it.

    Raises:
        BadInput: the worker has no assignment open.
    """
    worker = db.execute(sa.select(workers).where(workers.c.seq == worker_seq)).one()
    row = _row_of(db, json.loads(worker.external or "{}").get("assignment_id", ""))
    if row is None or row.worker_seq != worker_seq:
        raise BadInput("no assignment of yours is open", mend="Open the page from the crowd's own site")
    num_answers, num_wanted, is_whole = _progress(db, row, worker_seq)

    def finish(outcome: str) -> Finish:
        return Finish(
            outcome=outcome,
            source=row.source,
            assignment_id=row.assignment_id,
            num_answers=num_answers,
            num_wanted=num_wanted,
            submit_to=json.loads(row.detail).get("submit_to", ""),
        )

    if row.finished_at_us is not None:
        return finish("finished")
    if not is_whole and not (is_no_more and num_answers):
        return finish("nothing" if is_no_more else "unfinished")
    _end_live_task(db, book, worker_seq, now_us=now_us)
    _claim(db, row, worker_seq)
    values = {"num_answers": num_answers, "finished_at_us": now_us}
    db.execute(sa.update(assignments).where(assignments.c.assignment_id == row.assignment_id).values(values))
    db.execute(sa.update(workers).where(workers.c.seq == worker_seq).values(token_sha256=None))
    book.reload_worker(db, worker_seq)
    told = {"assignment_id": row.assignment_id, "num_answers": num_answers}
    write_event(
        db, at_us=now_us, actor=worker.worker_id, what="assignment-finished", subject=worker.worker_id, detail=told
    )
    return finish("finished")


def _progress(db: sa.Connection, row: Any, worker_seq: int) -> tuple[int, int, bool]:
    """Answers given in the assignment, answers wanted (0 while no task was fetched), and whether that is enough."""
    ids = set(_task_ids(db, row, worker_seq))
    holders = {worker_seq, *db.execute(sa.select(tasks.c.worker_seq).where(tasks.c.task_id.in_(ids))).scalars()}
    given = db.execute(sa.select(tasks).where(tasks.c.worker_seq.in_(holders))).all()
    # An item that came back unanswered may have been asked again: its answer belongs to the last task it was in.
    place: dict[tuple[int, int], str] = {}
    own: list[Any] = []
    for task in sorted(given, key=lambda task: (task.given_at_us, task.task_id)):
        place.update(dict.fromkeys(((seq, task.worker_seq) for seq in json.loads(task.seqs)), task.task_id))
        own += [task] if task.task_id in ids else []
    if not own:
        return 0, 0, False
    asked: dict[int, list[int]] = {}
    for (seq, holder), task_id in place.items():
        if task_id in ids:
            asked.setdefault(holder, []).append(seq)
    num_answers = 0
    # One worker at a time: SQLite walks through the whole table for a list of pairs.
    for holder, seqs in asked.items():
        for some in in_chunks(seqs):
            is_one = sa.and_(votes.c.seq.in_(some), votes.c.worker_seq == holder, votes.c.revision == 0)
            num_answers += db.execute(sa.select(sa.func.count()).select_from(votes).where(is_one)).scalar_one()
    num_wanted = len(json.loads(own[0].seqs))
    return num_answers, num_wanted, num_answers >= num_wanted or any(task.status == "answered" for task in own)


def _task_ids(db: sa.Connection, row: Any, worker_seq: int) -> list[str]:
    """The assignment's tasks: those noted, and those that its worker was given and that belong to no other one."""
    mine: list[str] = json.loads(row.detail)["task_ids"]
    external = db.execute(sa.select(workers.c.external).where(workers.c.seq == worker_seq)).scalar()
    others = set(json.loads(external or "{}").get("returned_task_ids", []))
    which = sa.and_(assignments.c.worker_seq == worker_seq, assignments.c.assignment_id != row.assignment_id)
    for detail in db.execute(sa.select(assignments.c.detail).where(which)).scalars():
        others.update(json.loads(detail)["task_ids"])
    query = sa.select(tasks.c.task_id).where(tasks.c.worker_seq == worker_seq)
    new = [task_id for task_id in db.execute(query).scalars() if task_id not in others and task_id not in mine]
    return [*mine, *sorted(new)]


def _claim(db: sa.Connection, row: Any, worker_seq: int) -> Any:
    """The assignment with its tasks and the number of answers noted down."""
    detail = {**json.loads(row.detail), "task_ids": _task_ids(db, row, worker_seq)}
    values = {"detail": json.dumps(detail), "num_answers": _progress(db, row, worker_seq)[0]}
    db.execute(sa.update(assignments).where(assignments.c.assignment_id == row.assignment_id).values(values))
    return _row_of(db, row.assignment_id)
