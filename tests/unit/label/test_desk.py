"""Tasks: what is in them, who gets what, what becomes of leases, answers and edits; on both databases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from gesta.label.answers import Answer, KeyReused, NotYours, Stale, WorkerBarred
from gesta.label.book import Book
from gesta.label.clerk import Clerk
from gesta.label.rules import Rules
from gesta.label.sql_tables import classes, events, gold_shown, submissions, tasks, votes
from gesta.label.workers import find_worker, mint_worker
from gesta.label.writes import Writes
from gesta.schema import BadInput, Gold, TrustRule

from .conftest import WorkFolder, write
from .desk_trial import MINUTE_US, PLAIN, Trial, trial

Open = Callable[..., Trial]


@pytest.fixture
def desk_of(database_url: str) -> Iterator[Open]:
    """Opens desks over work folders; the first on the database under test, others on SQLite beside their folder."""
    with ExitStack() as stack:
        urls = [database_url]

        def open_desk(work: Path, *, rules: Rules = PLAIN) -> Trial:
            url = urls.pop() if urls else f"sqlite:///{work}/other.sqlite"
            return stack.enter_context(trial(work, url, rules=rules))

        yield open_desk


def test_a_task_is_twenty_questions_with_two_gold_and_mixed_classes(work_folder: WorkFolder, desk_of: Open) -> None:
    work = work_folder(num_clips=80, num_classes=20)
    gold = {f"clip:c{n:02d}:{1 + n % 20}" for n in range(60, 80)}
    write(work, "gold", [Gold(item_id=item_id, answer="yes") for item_id in sorted(gold)])
    desk = desk_of(work)
    places = set()
    for worker in ("ann", "bob", "cat", "dan", "eve", "fay"):
        task = desk.ask(worker)
        assert (task.status, task.kind, len(task.ids), len(set(task.ids))) == ("task", "clip", 20, 20)
        assert len(gold & set(task.ids)) == 2
        real = [action for item_id, action in zip(task.ids, task.actions, strict=True) if item_id not in gold]
        assert len(set(real)) >= 15
        places.add(tuple(i for i, item_id in enumerate(task.ids) if item_id in gold))
    assert len(places) >= 4, "gold stands at the same places in every task"
    desk.check()


def test_a_short_task_has_a_smaller_share_of_gold(work_folder: WorkFolder, desk_of: Open) -> None:
    work = work_folder(num_clips=12)
    gold = [f"clip:c{n:02d}:{1 + n % 3}" for n in range(8)]
    write(work, "gold", [Gold(item_id=item_id, answer="no") for item_id in gold])
    assert len(set(gold) & set(desk_of(work).ask("ann").ids)) == 1


def test_gold_alone_is_never_a_task(work_folder: WorkFolder, desk_of: Open) -> None:
    work = work_folder(num_clips=3)
    write(work, "gold", [Gold(item_id=f"clip:c{n:02d}:{1 + n}", answer="no") for n in range(3)])
    assert desk_of(work).ask("ann").status == "done"


def test_nobody_is_asked_twice_and_gold_is_shown_once(work_folder: WorkFolder, desk_of: Open) -> None:
    work = work_folder(num_clips=30, num_persons=1)
    write(work, "gold", [Gold(item_id=f"clip:c{n:02d}:{1 + n % 3}", answer="no") for n in range(5)])
    desk = desk_of(work, rules=replace(PLAIN, trust=TrustRule(min_gold=99)))
    asked = [item_id for _ in range(10) for item_id in desk.work_off("ann", "yes")]
    assert len(asked) == len(set(asked)) == 28  # 18 and 7 real ones, with 2 and 1 gold
    with desk.store.reading() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(gold_shown)).scalar() == 3


def test_gold_that_was_shown_and_not_answered_is_not_shown_again(work_folder: WorkFolder, desk_of: Open) -> None:
    work = work_folder(num_clips=9)
    gold = {f"clip:c{n:02d}:{1 + n % 3}" for n in range(2)}
    write(work, "gold", [Gold(item_id=item_id, answer="no") for item_id in sorted(gold)])
    desk = desk_of(work)
    met = []
    for _ in range(3):
        met.append(set(desk.ask("ann").ids) & gold)
        desk.now_us += 31 * MINUTE_US
        desk.desk.tick().result()
    assert [len(some) for some in met] == [1, 1, 0]
    assert met[0] != met[1]


def test_asking_again_gives_the_same_task_until_it_is_sent(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder())
    first = desk.ask("ann")
    assert desk.ask("ann") == first
    desk.send("ann", {first.ids[0]: "no"})
    assert desk.ask("ann").ids == first.ids[1:]
    desk.check()


def test_a_box_opens_once_its_clip_is_accepted(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=1, num_persons=2))
    assert desk.work_off("ann", "yes") == ["clip:c00:1"]
    assert desk.ask("ann").status == "wait"
    desk.work_off("bob", "yes")
    assert desk.ask("bob").status == "wait"
    desk.work_off("cat", "yes")
    task = desk.ask("ann")
    assert (task.kind, len(task.ids)) == ("box", 2)
    assert desk.desk.book.question(desk.desk.book.tasks[task.task_id].seqs[0]).box == (0.2, 0.1, 0.5, 0.9)
    desk.check()


def test_a_box_of_a_rejected_clip_is_never_asked(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=1, num_persons=2))
    for worker in ("ann", "bob", "cat"):
        desk.work_off(worker, "no")
    assert [desk.ask(worker).status for worker in ("ann", "dan")] == ["done", "done"]


def test_no_answer_is_asked_for_after_the_verdict(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=1))
    assert [desk.ask(worker).status for worker in ("a", "b", "c", "d")] == ["task", "task", "task", "wait"]
    item = "clip:c00:1"
    desk.send("a", {item: "yes"})
    desk.send("b", {item: "no"})
    assert [desk.ask(worker).status for worker in ("d", "e")] == ["task", "wait"], "two more are wanted, c has one"
    desk.send("c", {item: "no"})
    assert desk.ask("e").status == "wait", "d's answer may decide"
    desk.send("d", {item: "no"})
    assert desk.ask("e").status == "done"
    desk.check()


def test_a_lease_that_ran_out_goes_to_others_and_the_late_answer_is_not_counted(
    work_folder: WorkFolder, desk_of: Open
) -> None:
    desk, item = desk_of(work_folder(num_clips=1)), "clip:c00:1"
    for worker in ("a", "b", "c"):
        desk.ask(worker)
    desk.now_us += 31 * MINUTE_US
    for worker in ("d", "e", "f"):
        assert desk.ask(worker).status == "task"
    assert desk.send("a", {item: "yes"}) == ["late"]
    for worker in ("d", "e"):
        desk.send(worker, {item: "no"})
    desk.now_us += 31 * MINUTE_US
    assert desk.ask("g").status == "task", "f's lease has run out, so one answer is wanted again"
    desk.now_us += 31 * MINUTE_US
    desk.ask("h")
    assert desk.send("h", {item: "yes"}) == ["accepted"]
    assert desk.send("b", {item: "no"}) == ["accepted"], "late, but an answer is wanted"
    assert desk.send("c", {item: "no"}) == ["late"]
    desk.check()


def test_a_late_answer_counts_while_nobody_took_the_place(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=1))
    desk.ask("a")
    desk.now_us += 90 * MINUTE_US
    desk.desk.tick().result()
    assert desk.tally("clip:c00:1")["num_leased"] == 0
    assert desk.send("a", {"clip:c00:1": "yes"}) == ["accepted"]
    assert desk.send("a", {"clip:c00:1": "yes"}) == ["already"]
    desk.check()


def test_the_same_worker_may_be_given_a_question_again_that_ran_out(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=1))
    first = desk.ask("a")
    desk.now_us += 90 * MINUTE_US
    desk.desk.tick().result()
    second = desk.ask("a")
    assert first.ids == second.ids
    assert first.task_id != second.task_id


def test_a_task_that_is_given_back_is_free_at_once(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=1))
    for worker in ("a", "b", "c"):
        desk.ask(worker)
    assert desk.ask("d").status == "wait"
    assert desk.desk.give_back(desk.seq_of("d"), task_id=desk.last["a"].task_id).result() is False, "not theirs"
    assert desk.desk.give_back(desk.seq_of("a"), task_id=desk.last["a"].task_id).result() is True
    assert desk.ask("d").status == "task"
    desk.check()


def test_the_next_task_is_ready_when_one_is_sent_and_waits_a_minute(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=50), rules=Rules())
    desk.work_off("ann", "yes")
    ready = desk.desk.book.by_name["ann"].task
    assert ready is not None
    assert desk.ask("ann").task_id == ready.task_id
    desk.now_us += 29 * MINUTE_US
    desk.desk.tick().result()
    assert desk.ask("ann").task_id == ready.task_id, "once fetched it has the whole lease"
    desk.work_off("ann", "yes")
    desk.now_us += 2 * MINUTE_US
    desk.desk.tick().result()
    assert desk.desk.book.by_name["ann"].task is None
    desk.check()


def test_no_task_is_made_ready_for_a_visitor_of_an_outside_crowd(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=50), rules=Rules())

    def work(db: sa.Connection, book: Book) -> None:
        mint_worker(db, worker_id="mturk-1", origin="mturk", now_us=1)
        book.reload_worker(db, find_worker(db, "mturk-1").seq)

    desk.desk.run(work).result()
    assert len(desk.work_off("mturk-1", "yes")) == 20
    assert desk.desk.book.by_name["mturk-1"].task is None
    assert len(desk.work_off("mturk-1", "yes")) == 20


def test_a_barred_worker_gets_nothing_and_their_votes_open_items_again(work_folder: WorkFolder, desk_of: Open) -> None:
    work = work_folder(num_clips=44, num_classes=1)
    gold = {f"clip:c{n:02d}:1" for n in range(8)}
    write(work, "gold", [Gold(item_id=item_id, answer="no") for item_id in sorted(gold)])
    desk = desk_of(work, rules=replace(PLAIN, trust=TrustRule(min_gold=4)))
    for worker in ("ann", "bob"):
        while ids := desk.ask(worker).ids:
            desk.send(worker, {item_id: "no" if item_id in gold else "yes" for item_id in ids})
    seen: set[str] = set()
    while (task := desk.ask("spam")).status == "task":
        seen |= set(task.ids)
        desk.send("spam", dict.fromkeys(task.ids, "yes"))
    assert (task.status, len(seen - gold)) == ("barred", 36)
    desk.check()
    # The third "yes" had accepted them; set aside, it is wanted from somebody else, of all of them.
    asked = {item_id for _ in range(3) for item_id in desk.work_off("eve", "no")}
    assert seen - gold <= asked
    with pytest.raises(WorkerBarred, match="no more tasks for you"):
        desk.send("spam", {"clip:c20:1": "yes"})
    with desk.store.reading() as db:
        assert db.execute(sa.select(events.c.actor, events.c.what, events.c.subject)).all() == [
            ("gold", "worker-barred", "spam")
        ]


def test_the_same_seed_asks_in_the_same_order(work_folder: WorkFolder, desk_of: Open) -> None:
    told = []
    for name in ("one", "two"):
        desk = desk_of(work_folder(num_clips=40, num_classes=8, name=name))
        told.append([desk.ask(worker).ids for worker in ("ann", "bob")])
    assert told[0] == told[1]


def test_a_repeated_key_gives_the_first_outcome_and_changes_nothing(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=2, num_classes=2))
    ids = desk.ask("ann").ids
    answers = dict.fromkeys(ids, "yes")
    assert desk.send("ann", answers, key="once-and-again") == ["accepted", "accepted"]
    assert desk.send("ann", answers, key="once-and-again") == ["accepted", "accepted"]
    with pytest.raises(KeyReused, match="used before with other answers"):
        desk.send("ann", dict.fromkeys(ids, "no"), key="once-and-again")
    assert desk.send("ann", answers, key="another-key") == ["already", "already"]
    with desk.store.reading() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(votes)).scalar() == 2
        assert db.execute(sa.select(sa.func.count()).select_from(submissions)).scalar() == 2
    with pytest.raises(BadInput, match="no idempotency key"):
        desk.send("ann", answers, key="short")


def test_a_double_click_in_one_batch_counts_once(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=1))
    task = desk.ask("ann")
    answers = [Answer(slot=0, answer="no")]
    sends = [
        desk.desk.submit(desk.seq_of("ann"), key=key, task_id=task.task_id, answers=answers)
        for key in ("key-number-1", "key-number-1", "key-number-2")
    ]
    told = [send.result()["results"][0]["status"] for send in sends]
    assert told == ["accepted", "accepted", "already"]
    desk.check()


def test_answers_to_what_was_never_asked_are_not_taken(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=2))
    desk.ask("ann")
    task = desk.ask("bob")
    answers = [Answer(slot=0, answer="yes")]
    stolen = desk.desk.submit(desk.seq_of("ann"), key="key-number-1", task_id=task.task_id, answers=answers).result()
    assert stolen["results"] == [{"slot": 0, "status": "not-asked"}]
    unknown = desk.desk.submit(desk.seq_of("ann"), key="key-number-2", task_id="x" * 32, answers=answers).result()
    assert unknown["num_accepted"] == 0
    assert desk.send("bob", {"no such item": "yes"}) == ["not-asked"]


def test_an_answer_that_does_not_fit_its_question_stops_the_whole_send(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=2, num_classes=2))
    ids = desk.ask("ann").ids
    with pytest.raises(BadInput):
        desk.send("ann", {ids[0]: "yes", ids[1]: "maybe"})
    with desk.store.reading() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(votes)).scalar() == 0
    assert desk.send("ann", dict.fromkeys(ids, "yes")) == ["accepted", "accepted"]
    desk.check()


def test_an_edit_replaces_the_answer_and_a_stale_one_is_refused(work_folder: WorkFolder, desk_of: Open) -> None:
    desk, item = desk_of(work_folder(num_clips=1)), "clip:c00:1"
    for worker in ("a", "b", "c"):
        desk.ask(worker)
        desk.send(worker, {item: "yes"})
    assert desk.tally(item)["state"] == 2
    task_id, seq = desk.last["a"].task_id, desk.seq_of("a")

    def edit(answer: str, if_match: int) -> dict[str, str]:
        changed = Answer(slot=0, answer=answer)
        return desk.desk.revise(seq, task_id=task_id, slot=0, answer=changed, if_match=if_match).result()

    assert edit("no", 0) == {"etag": "1"}
    assert (desk.tally(item)["num_yes"], desk.tally(item)["num_no"], desk.tally(item)["state"]) == (2, 1, 1)
    with pytest.raises(Stale, match="changed meanwhile"):
        edit("yes", 0)
    assert desk.ask("d").status == "task", "the item wants an answer again"
    desk.check()
    assert edit("yes", 1) == {"etag": "2"}
    with pytest.raises(NotYours, match="no such answer"):
        desk.desk.revise(desk.seq_of("b"), task_id=task_id, slot=0, answer=Answer(slot=0, answer="no"),
                         if_match=0).result()  # fmt: skip


def test_an_edit_that_is_refused_takes_no_lease_back_in_the_book_alone(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=1))
    desk.ask("a")
    desk.send("a", {"clip:c00:1": "yes"})
    desk.ask("b")
    desk.now_us += 90 * MINUTE_US
    with pytest.raises(Stale):
        desk.desk.revise(
            desk.seq_of("a"), task_id=desk.last["a"].task_id, slot=0, answer=Answer(slot=0, answer="no"), if_match=7
        ).result()
    desk.check()
    desk.desk.tick().result()
    assert desk.tally("clip:c00:1")["num_leased"] == 0
    desk.check()


def test_a_class_below_its_threshold_pauses_and_the_owner_lets_it_run(work_folder: WorkFolder, desk_of: Open) -> None:
    desk = desk_of(work_folder(num_clips=44, num_classes=2), rules=replace(PLAIN, class_after_num_clips=20))
    for worker in ("a", "b", "c"):
        while ids := desk.ask(worker).ids:
            desk.send(worker, {i: "no" if i.endswith(":1") else "yes" for i in ids})
    with desk.store.reading() as db:
        found = db.execute(sa.select(classes).order_by(classes.c.class_id)).all()
        told = db.execute(sa.select(events.c.actor, events.c.what, events.c.subject)).all()
    assert [(row.state, row.state_by) for row in found] == [("paused", "gate"), ("active", "gate")]
    assert (found[0].num_decided, found[0].num_accepted) == (20, 0) or found[0].num_decided >= 20
    assert told == [("gate", "class-paused", "action 1")]
    assert desk.ask("d").status == "done", "what is left is of the paused class"


def test_a_restart_knows_all(work_folder: WorkFolder, database_url: str) -> None:
    work = work_folder(num_clips=30, num_persons=1)
    write(work, "gold", [Gold(item_id=f"clip:c{n:02d}:{1 + n % 3}", answer="no") for n in range(5)])
    with trial(work, database_url) as before:
        held = before.ask("ann")
        before.send("ann", {held.ids[0]: "yes"})
        before.work_off("bob", "yes")
        met = before.desk.book.by_name["bob"].gold_met
    with trial(work, database_url) as after:
        after.now_us = before.now_us
        assert after.ask("ann").ids == held.ids[1:]
        after.check()
        assert set(after.desk.book.gold_met_from(after.desk._connection, after.desk.book.by_name["bob"])) == met
        with after.store.reading() as db:
            assert db.execute(sa.select(sa.func.count()).select_from(tasks)).scalar() == 2


def test_a_defect_in_one_request_fails_that_request_alone(
    work_folder: WorkFolder, desk_of: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = desk_of(work_folder(num_clips=3, num_classes=3))
    told = {worker: desk.ask(worker) for worker in ("ann", "bob", "cat")}
    plain = Clerk.submit

    def submit(self: Clerk, db: sa.Connection, writes: Writes, worker_seq: int, **rest: Any) -> dict[str, Any]:
        outcome = plain(self, db, writes, worker_seq, **rest)
        if worker_seq == desk.seq_of("bob"):
            writes.submissions.append(writes.submissions[-1])  # the database refuses the second of the same
        return outcome

    monkeypatch.setattr(Clerk, "submit", submit)
    halt = desk.desk.run(lambda _db, _book: time.sleep(0.3))
    sends = {
        worker: desk.desk.submit(
            desk.seq_of(worker), key=f"key-of-{worker}", task_id=task.task_id,
            answers=[Answer(slot=slot, answer="no") for slot in range(3)],
        )
        for worker, task in told.items()
    }  # fmt: skip
    halt.result()
    assert sends["ann"].result()["num_accepted"] == sends["cat"].result()["num_accepted"] == 3
    with pytest.raises(sa.exc.IntegrityError):
        sends["bob"].result()
    assert desk.desk.health.num_failures >= 1
    monkeypatch.undo()
    desk.check()
    assert desk.send("bob", dict.fromkeys(told["bob"].ids, "no")) == ["accepted"] * 3
    desk.check()
    assert any(record.levelname == "ERROR" for record in caplog.records)
    caplog.clear()
