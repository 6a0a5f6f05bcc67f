"""Pause, resume, ban and reopen, at a real desk on both databases: what is asked again, and what counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest
import sqlalchemy as sa

from gesta.label.answers import WorkerBarred
from gesta.label.sql_tables import assignments, events, gold_shown, tasks, votes, workers
from gesta.label.worker_states import Changed, ban_worker, pause_worker, reopen_answers, resume_worker
from gesta.label.workers import hash_of_secret, replace_token
from gesta.schema import BadInput, GestaError, Gold, Refused, UnknownName

from .conftest import WorkFolder, write
from .desk_trial import Trial, trial

Act = Callable[..., Changed]


@pytest.fixture
def desk(work_folder: WorkFolder, database_url: str) -> Iterator[Trial]:
    work = work_folder(num_clips=24, num_classes=2)
    write(work, "gold", [Gold(item_id=f"clip:c{n:02d}:{1 + n % 2}", answer="yes") for n in range(4)])
    with trial(work, database_url) as opened:
        yield opened


def act(desk: Trial, change: Act, worker_id: str, *, actor: str = "boss", reason: str = "") -> Changed:
    """The action, at the desk."""

    def run(db: sa.Connection, book: Any) -> Changed:
        return change(db, book, worker_id=worker_id, reason=reason, actor=actor, now_us=desk.now_us)

    return desk.desk.run(run).result()


def diary(desk: Trial) -> list[tuple[str, str, str]]:
    """Who did what to whom."""
    with desk.store.reading() as db:
        query = sa.select(events.c.actor, events.c.what, events.c.subject).order_by(events.c.event_id)
        return [tuple(row) for row in db.execute(query)]


def num_counted(desk: Trial, ids: list[str]) -> int:
    """Standing answers to these items."""
    names = ("num_yes", "num_no", "num_unsure", "num_broken")
    return sum(desk.tally(item_id)[name] for item_id in ids for name in names)


def asked_of(desk: Trial, worker_id: str) -> set[str]:
    """Everything that the worker is given, answered yes."""
    found: set[str] = set()
    while ids := desk.work_off(worker_id, "yes"):
        found |= set(ids)
    return found


def real(ids: set[str] | list[str]) -> list[str]:
    """Without the gold."""
    return sorted(item_id for item_id in ids if item_id not in {f"clip:c{n:02d}:{1 + n % 2}" for n in range(4)})


def test_a_paused_worker_gets_nothing_and_what_they_held_goes_to_others(desk: Trial) -> None:
    done = desk.work_off("ann", "yes")
    held = desk.ask("ann")
    assert held.status == "task"
    changed = act(desk, pause_worker, "ann", reason="lunch")
    assert (changed.worker.state, changed.num_answers) == ("paused", 0)
    desk.check()
    assert desk.ask("ann").status == "paused"
    assert num_counted(desk, real(done)) == len(real(done)), "the votes count"
    assert all(desk.tally(item_id)["num_leased"] == 0 for item_id in real(list(held.ids)))
    with desk.store.reading() as db:
        assert db.execute(sa.select(tasks.c.status).where(tasks.c.task_id == held.task_id)).scalar() == "returned"
    act(desk, resume_worker, "ann")
    assert desk.ask("ann").status == "task"
    assert diary(desk) == [("boss", "worker-paused", "ann"), ("boss", "worker-resumed", "ann")]
    desk.check()


def test_answers_on_their_way_from_a_paused_worker_are_not_lost(desk: Trial) -> None:
    held = desk.ask("ann")
    act(desk, pause_worker, "ann")
    statuses = desk.send("ann", dict.fromkeys(held.ids, "yes"))
    assert set(statuses) == {"accepted"}
    desk.check()


def test_a_ban_sets_votes_aside_and_asks_again(desk: Trial) -> None:
    for worker in ("ann", "bob", "spam"):
        met = asked_of(desk, worker)
    answered = real([f"clip:c{n:02d}:{1 + n % 2}" for n in range(24)])
    assert {desk.tally(item_id)["state"] for item_id in answered} == {2}, "three of three accept"
    assert desk.ask("eve").status == "done"
    changed = act(desk, ban_worker, "spam", reason="always yes")
    assert (changed.worker.state, changed.num_answers) == ("barred", len(met))
    desk.check()
    assert {desk.tally(item_id)["state"] for item_id in answered} == {1}
    assert set(answered) <= asked_of(desk, "eve")
    assert desk.ask("spam").status == "barred"
    desk.check()


def test_the_answers_of_a_banned_worker_are_refused(desk: Trial) -> None:
    held = desk.ask("spam")
    act(desk, ban_worker, "spam")
    with pytest.raises(WorkerBarred):
        desk.send("spam", dict.fromkeys(held.ids, "yes"))
    desk.check()


def test_a_lifted_ban_counts_the_votes_again_and_no_item_has_too_many(desk: Trial) -> None:
    for worker in ("ann", "bob", "spam"):
        met = asked_of(desk, worker)
    act(desk, ban_worker, "spam")
    held = desk.ask("eve")
    assert held.status == "task", "eve holds what spam's votes had decided"
    changed = act(desk, resume_worker, "spam", reason="a mistake")
    assert (changed.worker.state, changed.num_answers) == ("active", len(met))
    desk.check()
    assert desk.ask("zoe").status in ("done", "wait")
    with desk.store.reading() as db:
        row = db.execute(sa.select(workers).where(workers.c.worker_id == "spam")).one()
    assert (row.state_reason, row.is_held_by_owner) == ("a mistake", True)


def test_reopened_answers_are_asked_again_and_the_worker_goes_on(desk: Trial) -> None:
    desk.seq_of("ann")
    token = desk.desk.run(
        lambda db, book: (
            replace_token(db, worker_id="ann", actor="boss", now_us=1).token,
            book.reload_worker(db, book.by_name["ann"].seq),
        )
    ).result()[0]
    for worker in ("bob", "ann"):
        asked = asked_of(desk, worker)
    old_seq = desk.seq_of("ann")
    changed = act(desk, reopen_answers, "ann", reason="wrong instructions")
    assert (changed.worker.worker_id, changed.worker.state, changed.num_answers) == ("ann", "active", len(asked))
    assert changed.archived_as == f"ann~{old_seq}"
    desk.check()
    answered = real([f"clip:c{n:02d}:{1 + n % 2}" for n in range(24)])
    assert num_counted(desk, answered) == len(answered), "bob's count alone"
    here = desk.desk.book.worker_of_token(hash_of_secret(token))
    assert here is not None
    assert (here.worker_id, here.seq, here.num_votes) == ("ann", changed.worker.seq, 0)
    with desk.store.reading() as db:
        met = db.execute(sa.select(sa.func.count()).where(gold_shown.c.worker_seq == here.seq)).scalar()
        kept = db.execute(sa.select(sa.func.count()).where(votes.c.worker_seq == old_seq)).scalar()
    assert (met, kept) == (len(asked) - 20, len(asked)), "gold stays met, and the log is whole"
    again = asked_of(desk, "ann")
    assert set(answered) <= again
    assert not again & (asked - set(answered)), "without the gold that ann has met"
    desk.check()


def test_a_paused_worker_stays_paused_when_reopened(desk: Trial) -> None:
    desk.work_off("ann", "yes")
    held = desk.ask("ann")
    act(desk, pause_worker, "ann")
    changed = act(desk, reopen_answers, "ann")
    assert changed.worker.state == "paused"
    assert desk.ask("ann").status == "paused"
    desk.check()
    assert held.ids
    with pytest.raises(Refused, match="'ann' has answered nothing yet"):
        act(desk, reopen_answers, "ann")
    with pytest.raises(Refused, match=r"holds answers that were re-opened"):
        act(desk, resume_worker, changed.archived_as or "")


def test_open_work_at_a_crowd_goes_with_the_person(desk: Trial) -> None:
    desk.work_off("ann", "yes")
    seq = desk.seq_of("ann")

    def open_two(db: sa.Connection, _book: Any) -> None:
        for name, finished in (("a1", 5), ("a2", None)):
            row = {"assignment_id": name, "source": "mturk", "worker_seq": seq, "detail": "{}", "opened_at_us": 1,
                   "num_answers": 0, "finished_at_us": finished}  # fmt: skip
            db.execute(sa.insert(assignments).values(row))

    desk.desk.run(open_two).result()
    changed = act(desk, reopen_answers, "ann")
    with desk.store.reading() as db:
        found = dict(db.execute(sa.select(assignments.c.assignment_id, assignments.c.worker_seq)).all())
    assert found == {"a1": seq, "a2": changed.worker.seq}


@pytest.mark.parametrize(
    ("change", "worker_id", "reason", "error", "text"),
    [
        (ban_worker, "boss", "", Refused, "that is you. Let another owner do it"),
        (ban_worker, "nobody", "", UnknownName, "no worker 'nobody'"),
        (ban_worker, "a\0b", "", UnknownName, "no worker"),
        (pause_worker, "ann", "x" * 201, BadInput, "a reason of 201 characters"),
        (pause_worker, "bad", "", Refused, "'bad' is barred. Resume the worker first"),
        (reopen_answers, "bad", "", Refused, "'bad' is barred, so the answers are set aside already"),
        (reopen_answers, "ann", "", Refused, "'ann' has answered nothing yet"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    desk: Trial, change: Act, worker_id: str, reason: str, error: type[GestaError], text: str
) -> None:
    desk.seq_of("ann")
    desk.seq_of("bad")
    act(desk, ban_worker, "bad")
    before = diary(desk)
    with pytest.raises(error, match=text):
        act(desk, change, worker_id, reason=reason)
    assert diary(desk) == before
    assert desk.ask("ann").status == "task"


def test_a_restart_keeps_all_of_it(work_folder: WorkFolder, database_url: str) -> None:
    work = work_folder(num_clips=24, num_classes=2)
    with ExitStack() as stack:
        opened: AbstractContextManager[Trial] = trial(work, database_url)
        first = stack.enter_context(opened)
        for worker in ("ann", "bob", "eve"):
            first.work_off(worker, "yes")
        act(first, pause_worker, "bob")
        act(first, ban_worker, "eve")
        act(first, reopen_answers, "ann")
    with trial(work, database_url) as second:
        second.check()
        states = {name: second.desk.book.by_name[name].state for name in ("ann", "bob", "eve")}
        assert states == {"ann": "active", "bob": "paused", "eve": "barred"}
        assert [second.ask(name).status for name in ("ann", "bob", "eve")] == ["task", "paused", "barred"]
