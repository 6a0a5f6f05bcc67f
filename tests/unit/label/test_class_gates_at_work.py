"""Class gates inside the running desk: they follow the answers, also those that are set aside, and obey the owner."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa

from gesta.label.class_gates import planned_rule, set_class_state, set_run_threshold
from gesta.label.sql_tables import classes, events
from gesta.label.worker_states import ban_worker, resume_worker
from gesta.schema import TrustRule

from .conftest import WorkFolder
from .desk_trial import PLAIN, Trial, trial

RULES = replace(PLAIN, class_after_num_clips=4, trust=TrustRule(min_gold=99))


def states(desk: Trial) -> dict[int, tuple[str, str, int]]:
    """State, who set it, and decided clips of each class; the book says the same."""
    with desk.store.reading() as db:
        rows = db.execute(sa.select(classes)).all()
    for row in rows:
        assert desk.desk.book.classes[row.class_id]["state"] == row.state
    return {row.class_id: (row.state, row.state_by, row.num_decided) for row in rows}


def told(desk: Trial) -> list[tuple[str, str]]:
    """Who did what to classes."""
    with desk.store.reading() as db:
        query = (
            sa.select(events.c.actor, events.c.what).where(events.c.what.like("class-%")).order_by(events.c.event_id)
        )
        return [(row.actor, row.what) for row in db.execute(query)]


@pytest.fixture
def work_of_one_class(work_folder: WorkFolder) -> WorkFolder:
    """Makes a work folder of one class."""
    return partial(work_folder, num_classes=1)


def test_the_gate_pauses_a_class_and_nobody_is_asked_until_the_owner_resumes_it(
    work_of_one_class: WorkFolder, database_url: str
) -> None:
    rules = replace(RULES, items_per_task={**RULES.items_per_task, "clip": 4})
    with trial(work_of_one_class(num_clips=12), database_url, rules=rules) as desk:
        for worker in ("ann", "bob", "cat"):
            desk.work_off(worker, "no")
        assert states(desk) == {1: ("paused", "gate", 4)}
        assert desk.ask("dan").status in ("wait", "done")

        def resume(db: sa.Connection, book: object) -> None:
            set_class_state(db, class_id=1, action="resume", actor="owner", now_us=desk.now_us)
            desk.desk.book.reload_classes(db)

        desk.desk.run(resume).result()
        assert desk.ask("dan").status == "task"
        for worker in ("dan", "eve", "fay"):
            desk.work_off(worker, "no")
        assert states(desk)[1][:2] == ("active", "owner")
        desk.check()


def test_a_pause_ends_with_the_answers_that_it_rested_on_and_comes_back_with_them(
    work_of_one_class: WorkFolder, database_url: str
) -> None:
    with trial(work_of_one_class(num_clips=4), database_url, rules=RULES) as desk:
        for worker in ("ann", "bob", "mal"):
            desk.work_off(worker, "no")
        assert states(desk) == {1: ("paused", "gate", 4)}
        for action, found in ((ban_worker, ("active", "gate", 0)), (resume_worker, ("paused", "gate", 4))):
            desk.desk.run(
                lambda db, book, action=action: action(
                    db, book, worker_id="mal", reason="", actor="owner", now_us=desk.now_us
                )
            ).result()
            assert states(desk) == {1: found}
        assert told(desk) == [("gate", "class-paused"), ("gate", "class-resumed"), ("gate", "class-paused")]
        desk.check()


def test_a_threshold_that_is_set_while_people_work_holds_from_the_next_answer_on(
    work_of_one_class: WorkFolder, database_url: str
) -> None:
    with trial(work_of_one_class(num_clips=4), database_url, rules=RULES) as desk:

        def lower(db: sa.Connection, book: object) -> None:
            set_run_threshold(db, threshold_frac=0.0, otherwise=planned_rule(RULES), actor="owner", now_us=desk.now_us)
            desk.desk.book.reload_classes(db)

        desk.desk.run(lower).result()
        for worker in ("ann", "bob", "cat"):
            desk.work_off(worker, "no")
        assert states(desk) == {1: ("active", "gate", 4)}


def test_a_service_that_starts_under_another_rule_looks_at_every_class_again(
    work_of_one_class: WorkFolder, database_url: str
) -> None:
    work = work_of_one_class(num_clips=4)
    with trial(work, database_url, rules=RULES) as desk:
        for worker in ("ann", "bob", "cat"):
            desk.work_off(worker, "no")
        assert states(desk)[1][0] == "paused"
    with trial(work, database_url, rules=replace(RULES, class_after_num_clips=5)) as desk:
        assert states(desk)[1][0] == "active"
