"""Tasks: what is in them, who gets what, and what becomes of leases."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from gesta.label import Rules, load_items, next_task, open_store
from gesta.label.answers import Answer, WorkerBarred, cast_votes
from gesta.label.store import Store
from gesta.label.supply import Task
from gesta.schema import BadInput, Gold, TrustRule

from .conftest import WorkFolder, write

RULES = Rules()
MINUTE_US = 60_000_000


class Desk:
    """One service without HTTP, at a clock that the test moves."""

    def __init__(self, work: Path, *, rules: Rules = RULES) -> None:
        self.store: Store = open_store(f"sqlite:///{work}/labels.sqlite")
        self.rules = rules
        self.now_us = 1_000_000
        self.rng = random.Random(5)
        self.num_sends = 0
        load_items(self.store, work, rules=rules)

    def ask(self, worker_id: str) -> Task:
        self.now_us += 1
        return next_task(self.store, worker_id=worker_id, now_us=self.now_us, rng=self.rng, rules=self.rules)

    def send(self, worker_id: str, answers: dict[str, str]) -> list[str]:
        self.now_us += 1
        self.num_sends += 1
        outcome = cast_votes(
            self.store,
            worker_id=worker_id,
            idempotency_key=f"key-{self.num_sends:08d}",
            answers=[Answer(item_id=item_id, answer=answer) for item_id, answer in answers.items()],
            now_us=self.now_us,
            rules=self.rules,
        )
        return [result["status"] for result in outcome["results"]]

    def work_off(self, worker_id: str, answer: str) -> list[str]:
        """Give one answer to every question of the worker's next task; the items asked."""
        ids = [question.item_id for question in self.ask(worker_id).questions]
        if ids:
            self.send(worker_id, dict.fromkeys(ids, answer))
        return ids


@pytest.fixture
def desk_of() -> Iterator[type[Desk]]:
    opened: list[Desk] = []

    class Closing(Desk):
        def __init__(self, work: Path, *, rules: Rules = RULES) -> None:
            super().__init__(work, rules=rules)
            opened.append(self)

    yield Closing
    for desk in opened:
        desk.store.close()


def test_a_task_is_twenty_questions_with_two_gold_and_mixed_classes(
    work_folder: WorkFolder, desk_of: type[Desk]
) -> None:
    work = work_folder(num_clips=80, num_classes=20)
    gold = {f"clip:c{n:02d}:{1 + n % 20}" for n in range(60, 80)}
    write(work, "gold", [Gold(item_id=item_id, answer="yes") for item_id in sorted(gold)])
    desk = desk_of(work)
    places = set()
    for worker in ("ann", "bob", "cat", "dan", "eve", "fay"):
        task = desk.ask(worker)
        ids = [q.item_id for q in task.questions]
        assert (task.status, task.kind, len(ids), len(set(ids))) == ("task", "clip", 20, 20)
        assert len(gold & set(ids)) == 2
        assert len({q.action for q in task.questions if q.item_id not in gold}) >= 15
        places.add(tuple(i for i, item_id in enumerate(ids) if item_id in gold))
    assert len(places) >= 4, "gold stands at the same places in every task"


def test_a_short_task_has_a_smaller_share_of_gold(work_folder: WorkFolder, desk_of: type[Desk]) -> None:
    work = work_folder(num_clips=12)
    gold = [f"clip:c{n:02d}:{1 + n % 3}" for n in range(8)]
    write(work, "gold", [Gold(item_id=item_id, answer="no") for item_id in gold])
    assert len(set(gold) & {q.item_id for q in desk_of(work).ask("ann").questions}) == 1


def test_gold_alone_is_never_a_task(work_folder: WorkFolder, desk_of: type[Desk]) -> None:
    work = work_folder(num_clips=3)
    write(work, "gold", [Gold(item_id=f"clip:c{n:02d}:{1 + n}", answer="no") for n in range(3)])
    assert desk_of(work).ask("ann").status == "done"


def test_nobody_is_asked_twice(work_folder: WorkFolder, desk_of: type[Desk]) -> None:
    work = work_folder(num_clips=30, num_persons=1)
    write(work, "gold", [Gold(item_id=f"clip:c{n:02d}:{1 + n % 3}", answer="no") for n in range(5)])
    desk = desk_of(work)
    asked = [item_id for _ in range(10) for item_id in desk.work_off("ann", "yes")]
    assert len(asked) == len(set(asked)) == 28  # 18 and 7 real ones, with 2 and 1 gold


def test_asking_again_gives_the_same_task_until_it_is_sent(work_folder: WorkFolder, desk_of: type[Desk]) -> None:
    desk = desk_of(work_folder())
    first = desk.ask("ann")
    assert desk.ask("ann") == first
    ids = [q.item_id for q in first.questions]
    desk.send("ann", {ids[0]: "no"})
    assert [q.item_id for q in desk.ask("ann").questions] == ids[1:]


def test_a_box_opens_once_its_clip_is_accepted(work_folder: WorkFolder, desk_of: type[Desk]) -> None:
    desk = desk_of(work_folder(num_clips=1, num_persons=2))
    assert desk.work_off("ann", "yes") == ["clip:c00:1"]
    assert desk.ask("ann").status == "wait"
    desk.work_off("bob", "yes")
    assert desk.ask("bob").status == "wait"
    desk.work_off("cat", "yes")
    task = desk.ask("ann")
    assert (task.kind, len(task.questions)) == ("box", 2)
    assert task.questions[0].box == (0.2, 0.1, 0.5, 0.9)


def test_a_box_of_a_rejected_clip_is_never_asked(work_folder: WorkFolder, desk_of: type[Desk]) -> None:
    desk = desk_of(work_folder(num_clips=1, num_persons=2))
    for worker in ("ann", "bob", "cat"):
        desk.work_off(worker, "no")
    assert [desk.ask(worker).status for worker in ("ann", "dan")] == ["done", "done"]


def test_no_answer_is_asked_for_after_the_verdict(work_folder: WorkFolder, desk_of: type[Desk]) -> None:
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


def test_a_lease_that_ran_out_goes_to_others_and_the_late_answer_is_not_counted(
    work_folder: WorkFolder, desk_of: type[Desk]
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


def test_a_late_answer_counts_while_nobody_took_the_place(work_folder: WorkFolder, desk_of: type[Desk]) -> None:
    desk = desk_of(work_folder(num_clips=1))
    desk.ask("a")
    desk.now_us += 90 * MINUTE_US
    assert desk.send("a", {"clip:c00:1": "yes"}) == ["accepted"]


def test_the_same_worker_may_be_given_a_question_again_that_ran_out(
    work_folder: WorkFolder, desk_of: type[Desk]
) -> None:
    desk = desk_of(work_folder(num_clips=1))
    first = desk.ask("a")
    desk.now_us += 90 * MINUTE_US
    second = desk.ask("a")
    assert first.questions == second.questions
    assert first.task_id != second.task_id


def test_a_barred_worker_gets_nothing_and_their_votes_open_items_again(
    work_folder: WorkFolder, desk_of: type[Desk]
) -> None:
    work = work_folder(num_clips=44, num_classes=1)
    gold = {f"clip:c{n:02d}:1" for n in range(8)}
    write(work, "gold", [Gold(item_id=item_id, answer="no") for item_id in sorted(gold)])
    desk = desk_of(work, rules=Rules(trust=TrustRule(min_gold=4)))
    for worker in ("ann", "bob"):
        while ids := [q.item_id for q in desk.ask(worker).questions]:
            desk.send(worker, {item_id: "no" if item_id in gold else "yes" for item_id in ids})
    seen: set[str] = set()
    while (task := desk.ask("spam")).status == "task":
        seen |= {q.item_id for q in task.questions}
        desk.send("spam", {q.item_id: "yes" for q in task.questions})
    assert (task.status, len(seen - gold)) == ("barred", 36)
    # The third "yes" had accepted them; set aside, it is wanted from somebody else, of all of them.
    asked = {item_id for _ in range(3) for item_id in desk.work_off("eve", "no")}
    assert seen - gold <= asked
    with pytest.raises(WorkerBarred):
        desk.send("spam", {"clip:c20:1": "yes"})


def test_the_same_seed_asks_in_the_same_order(work_folder: WorkFolder, desk_of: type[Desk]) -> None:
    tasks = []
    for name in ("one", "two"):
        desk = desk_of(work_folder(num_clips=40, num_classes=8, name=name))
        tasks.append([desk.ask(worker) for worker in ("ann", "bob")])
    assert tasks[0] == tasks[1]


@pytest.mark.parametrize("worker_id", ["", "a b", "x" * 65, "<b>", "a/b"])
def test_worker_ids_are_checked(work_folder: WorkFolder, desk_of: type[Desk], worker_id: str) -> None:
    with pytest.raises(BadInput, match="is no worker id"):
        desk_of(work_folder()).ask(worker_id)
