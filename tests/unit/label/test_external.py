"""Outside crowds without HTTP: who becomes which worker, when an assignment is done, and every way it may go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from gesta.label import external as e
from gesta.label import external_crowds as c
from gesta.label.external import Finish, Opened, Visit
from gesta.label.pay import PayRule, pay_report
from gesta.label.sql_tables import assignments, events, metadata, tasks, workers
from gesta.label.worker_states import ban_worker, pause_worker
from gesta.label.workers import hash_of_secret
from gesta.schema import BadInput

from .desk_trial import Trial, trial

SECRET = b"s" * 32
SANDBOX = "https://workersandbox.mturk.com"


class Crowd:
    """Visits to one desk."""

    def __init__(self, at: Trial) -> None:
        self.at = at

    def open(self, worker: str, assignment: str, *, source: str = "mturk") -> Opened:
        visit = _visit(worker, assignment, source=source)
        self.at.now_us += 1_000
        return self.at.desk.run(
            lambda db, book: e.open_assignment(db, book, visit, secret=SECRET, now_us=self.at.now_us)
        ).result()

    def finish(self, opened: Opened, *, is_no_more: bool = False) -> Finish:
        self.at.now_us += 1_000
        return self.at.desk.run(
            lambda db, book: e.finish_assignment(
                db, book, opened.worker_seq, is_no_more=is_no_more, now_us=self.at.now_us
            )
        ).result()

    def answer(self, opened: Opened, num: int | None = None) -> int:
        """Answer so many questions of the worker's task, or all; how many there were."""
        ids = self.at.ask(opened.worker_id).ids
        self.at.send(opened.worker_id, dict.fromkeys(ids[:num], "yes"))
        return len(ids)

    def run(self, change: Callable[..., Any], worker_id: str) -> None:
        self.at.desk.run(
            lambda db, book: change(db, book, worker_id=worker_id, reason="", actor="boss", now_us=self.at.now_us)
        ).result()

    def row(self, assignment: str) -> Any:
        with self.at.store.reading() as db:
            return db.execute(sa.select(assignments).where(assignments.c.assignment_id == assignment)).one()

    def rows(self, table: sa.Table) -> list[Any]:
        with self.at.store.reading() as db:
            return list(db.execute(sa.select(table)).all())


def _visit(worker: str, assignment: str, *, source: str = "mturk") -> Visit:
    return Visit(
        source=source,
        assignment_id=assignment,
        external_id=worker,
        group_id="G1",
        submit_to=f"{SANDBOX}/" if source == "mturk" else "",
    )


@pytest.fixture
def crowd(work_folder: Callable[..., Path], database_url: str) -> Iterator[Crowd]:
    """A desk with 90 clips, so that four tasks of 20 can be made."""
    with trial(work_folder(num_clips=90), database_url) as at:
        yield Crowd(at)
        at.check()


# ---- opening -----------------------------------------------------------------------------------------------------


def test_a_visitor_becomes_a_worker_whose_name_tells_nothing(crowd: Crowd) -> None:
    opened = crowd.open("A1XYZ", "ASSIGN1")
    assert (opened.outcome, opened.num_answers) == ("work", 0)
    (worker,) = crowd.rows(workers)
    assert (worker.origin, worker.role, worker.state) == ("mturk", "worker", "active")
    assert json.loads(worker.external) == {"worker_id": "A1XYZ", "assignment_id": "ASSIGN1"}
    assert opened.token is not None
    assert worker.token_sha256 == hash_of_secret(opened.token)
    assert worker.worker_id.startswith("mturk-")
    assert "A1XYZ" not in worker.worker_id
    assert e.worker_id_of("mturk", "A1XYZ", secret=b"other" * 8) != worker.worker_id
    row = crowd.row("ASSIGN1")
    assert (row.source, row.worker_seq, row.num_answers, row.finished_at_us) == ("mturk", worker.seq, 0, None)
    assert json.loads(row.detail)["group_id"] == "G1"


def test_a_reload_and_a_second_tab_go_on_with_the_same_task(crowd: Crowd) -> None:
    first = crowd.open("A1", "X1")
    assert crowd.answer(first, 5) == 20
    again = crowd.open("A1", "X1")
    assert again.token == first.token, "the other tab would be thrown out"
    assert again.num_answers == 5
    assert crowd.answer(again) == 15
    assert crowd.finish(again).outcome == "finished"
    assert len(crowd.rows(workers)) == 1


def test_a_finished_assignment_gives_its_proof_again_and_no_task(crowd: Crowd) -> None:
    opened = crowd.open("A1", "X1")
    crowd.answer(opened)
    done = crowd.finish(opened)
    assert (done.outcome, done.num_answers, done.num_wanted, done.submit_to) == ("finished", 20, 20, f"{SANDBOX}/")
    assert crowd.rows(workers)[0].token_sha256 is None, "the token outlives the assignment"
    again = crowd.open("A1", "X1")
    assert (again.outcome, again.token, again.num_answers) == ("finished", None, 20)
    assert crowd.finish(opened).num_answers == 20, "finishing twice changes nothing"
    assert [row.what for row in crowd.rows(events)] == ["assignment-finished"]


def test_an_assignment_is_not_done_before_its_answers_are(crowd: Crowd) -> None:
    opened = crowd.open("A1", "X1")
    assert crowd.finish(opened) == Finish(
        outcome="unfinished", source="mturk", assignment_id="X1", num_answers=0, num_wanted=0, submit_to=f"{SANDBOX}/"
    )
    crowd.answer(opened, 19)
    half = crowd.finish(opened)
    assert (half.outcome, half.num_answers, half.num_wanted) == ("unfinished", 19, 20)
    assert crowd.row("X1").finished_at_us is None


def test_where_there_is_nothing_to_ask_any_answer_is_enough(crowd: Crowd) -> None:
    opened = crowd.open("A1", "X1")
    assert crowd.finish(opened, is_no_more=True).outcome == "nothing"
    crowd.answer(opened, 3)
    assert crowd.finish(opened, is_no_more=True).outcome == "finished"
    assert crowd.row("X1").num_answers == 3


def test_a_task_that_expired_counts_for_what_was_answered_of_it(crowd: Crowd) -> None:
    opened = crowd.open("A1", "X1")
    crowd.answer(opened, 12)
    crowd.at.now_us += crowd.at.rules.lease_us + 1
    crowd.at.desk.tick().result()
    crowd.answer(opened, 7)
    assert crowd.finish(opened).outcome == "unfinished"
    crowd.answer(opened, 1)
    done = crowd.finish(opened)
    assert (done.outcome, done.num_answers) == ("finished", 20)
    assert {task.status for task in crowd.rows(tasks)} == {"expired", "returned"}


# ---- several assignments -------------------------------------------------------------------------------------------


def test_each_assignment_has_its_own_answers(crowd: Crowd) -> None:
    for number in range(3):
        opened = crowd.open("A1", f"X{number}")
        assert opened.num_answers == 0
        crowd.answer(opened)
        assert crowd.finish(opened).num_answers == 20
    with crowd.at.store.reading() as db:
        report = pay_report(db, PayRule(per="task", amount=Decimal("0.5")))
    assert [line.num_answers for line in report.assignments] == [20, 20, 20]
    assert [str(line.owed) for line in report.assignments] == ["0.50"] * 3
    assert str(report.owed) == "1.50"
    assert {line.external_id for line in report.assignments} == {"A1"}


def test_a_second_assignment_lets_the_first_rest_and_both_can_be_finished(crowd: Crowd) -> None:
    first = crowd.open("A1", "X1")
    crowd.answer(first, 12)
    second = crowd.open("A1", "X2")
    assert second.num_answers == 0, "what was done in the first counts there"
    assert not crowd.at.desk.book.tasks, "the first one's task goes back to the others"
    assert crowd.answer(second) == 20
    assert crowd.finish(second).outcome == "finished"
    first = crowd.open("A1", "X1")
    assert first.num_answers == 12
    crowd.answer(first, 8)
    assert crowd.finish(first).num_answers == 20


def test_a_returned_assignment_goes_to_another_worker_under_the_same_id(crowd: Crowd) -> None:
    first = crowd.open("A1", "X1")
    crowd.answer(first, 4)
    second = crowd.open("A2", "X1")
    assert (second.outcome, second.num_answers) == ("work", 0)
    assert second.worker_id != first.worker_id
    before = next(row for row in crowd.rows(workers) if row.worker_id == first.worker_id)
    assert before.token_sha256 is None, "who gave it back still comes in with its token"
    with pytest.raises(BadInput, match="no assignment of yours is open"):
        crowd.finish(first)
    crowd.answer(second)
    assert crowd.finish(second).num_answers == 20
    with crowd.at.store.reading() as db:
        report = pay_report(db, PayRule(per="answer", amount=Decimal("0.01")))
    assert [(line.state, str(line.owed)) for line in report.assignments] == [("returned", "0.04"), ("finished", "0.20")]
    # The one who gave it back takes another: nothing of the first is counted there.
    third = crowd.open("A1", "X2")
    assert third.num_answers == 0
    crowd.answer(third)
    assert crowd.finish(third).num_answers == 20


def test_an_assignment_is_returned_and_accepted_again_by_the_same_worker(crowd: Crowd) -> None:
    crowd.answer(crowd.open("A1", "X1"), 4)
    crowd.open("A2", "X1")
    back = crowd.open("A1", "X1")
    assert (back.outcome, back.num_answers) == ("work", 0)
    crowd.answer(back)
    assert crowd.finish(back).num_answers == 20
    assert len(json.loads(crowd.row("X1").detail)["before"]) == 2


@pytest.mark.parametrize(("source", "other"), [("mturk", "prolific"), ("prolific", "mturk"), ("prolific", "prolific")])
def test_nobody_takes_anothers_assignment(crowd: Crowd, source: str, other: str) -> None:
    crowd.open("A1", "X1", source=source)
    with pytest.raises(e.AssignmentTaken, match="is somebody else's"):
        crowd.open("A2", "X1", source=other)
    assert len(crowd.rows(workers)) == 1, "a worker was made for nothing"


def test_nobody_takes_a_finished_assignment(crowd: Crowd) -> None:
    opened = crowd.open("A1", "X1")
    crowd.answer(opened)
    crowd.finish(opened)
    with pytest.raises(e.AssignmentTaken):
        crowd.open("A2", "X1")


def test_the_same_id_at_two_crowds_is_two_workers(crowd: Crowd) -> None:
    assert crowd.open("P1", "X1").worker_id != crowd.open("P1", "X2", source="prolific").worker_id


# ---- barred and paused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("change", "outcome"), [(ban_worker, "barred"), (pause_worker, "paused")])
def test_who_may_not_work_is_told_so_and_gets_no_token(crowd: Crowd, change: Any, outcome: str) -> None:
    opened = crowd.open("A1", "X1")
    crowd.answer(opened)
    crowd.finish(opened)
    crowd.run(change, opened.worker_id)
    refused = crowd.open("A1", "X2")
    assert (refused.outcome, refused.token) == (outcome, None)
    assert [row.assignment_id for row in crowd.rows(assignments)] == ["X1"], "it was not even opened"


def test_who_is_barred_in_the_middle_can_hand_in_what_was_done(crowd: Crowd) -> None:
    opened = crowd.open("A1", "X1")
    crowd.answer(opened, 7)
    crowd.run(ban_worker, opened.worker_id)
    again = crowd.open("A1", "X1")
    assert (again.outcome, again.num_answers) == ("work", 7)
    assert crowd.finish(again, is_no_more=True).num_answers == 7


# ---- what comes in ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "submit_to",
    [
        "", "https://evil.example/", "http://www.mturk.com", "https://www.mturk.com.evil.example", "//www.mturk.com",
        "https://www.mturk.com@evil.example", "https://www.mturk.com/x", "https://www.mturk.com//",
        "javascript:alert(1)", "https://www.mturk.com:444", "https://www.mturk.com?x=", "HTTPS://WWW.MTURK.COM#", " https://www.mturk.com",
    ],
)  # fmt: skip
def test_nothing_is_posted_to_anybody_but_amazon(submit_to: str) -> None:
    with pytest.raises(BadInput, match="is not Mechanical Turk"):
        Visit(source="mturk", assignment_id="X1", external_id="A1", submit_to=submit_to)


@given(st.text(max_size=40))
def test_only_amazons_own_origins_are_taken(text: str) -> None:
    try:
        origin = c.submit_origin_of(text)
    except BadInput:
        assert text.rstrip("/") not in c.SUBMIT_ORIGINS or text.count("/") > 3
    else:
        assert origin in c.SUBMIT_ORIGINS


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"assignment_id": ""}, "assignment_id='' is no id"),
        ({"assignment_id": "a" * 129}, "is no id"),
        ({"external_id": "<b>"}, "external_id='<b>' is no id"),
        ({"external_id": "A1\n"}, "is no id"),
        ({"group_id": "a b"}, "group_id='a b' is no id"),
        ({"assignment_id": c.PREVIEW}, "this is a preview. Accept the HIT first"),
    ],
)
def test_ids_are_checked(given: dict[str, str], text: str) -> None:
    with pytest.raises(BadInput) as caught:
        Visit(**{"source": "prolific", "assignment_id": "X1", "external_id": "A1", **given})
    assert text in str(caught.value)


# ---- settings and addresses --------------------------------------------------------------------------------------


@pytest.fixture
def db(database_url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(database_url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_crowds_are_off_until_they_are_switched_on(db: sa.Connection) -> None:
    assert c.crowds_of(db) == c.Crowds()
    first = c.configure_external(db, mturk=c.Mturk())
    assert first.mturk is not None
    assert len(first.mturk.key) == 24
    assert first.prolific is None
    both = c.configure_external(db, prolific=c.Prolific(completion_code="C1X2"))
    assert both.mturk == first.mturk, "switching one on changed the other"
    assert c.crowds_of(db) == both
    more = c.configure_external(db, prolific=c.Prolific(completion_code="C1X2", over_quota_code="FULL"))
    assert more.prolific is not None
    assert both.prolific is not None
    assert more.prolific.key == both.prolific.key, "a study that is out would have a wrong address"
    again = c.configure_external(db, mturk=c.Mturk(), prolific=c.Prolific(completion_code="C9", key="mine"))
    assert again.mturk == first.mturk, "a HIT that is out would have a wrong address"
    assert again.prolific == c.Prolific(completion_code="C9", over_quota_code="FULL", key="mine")
    c.forget_external(db)
    assert c.crowds_of(db) == c.Crowds()


def test_a_key_keeps_strangers_out() -> None:
    c.check_key("", wanted="")
    c.check_key("ab", wanted="ab")
    for key in ("", "a", "abc", "ä", "\ud800"):
        with pytest.raises(c.BadKey, match="this address is not complete"):
            c.check_key(key, wanted="ab")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: c.Prolific(completion_code=""), "there is no completion code"),
        (lambda: c.Prolific(completion_code="C 1"), "completion_code='C 1' is no code"),
        (lambda: c.Prolific(completion_code="C1", over_quota_code="<"), "over_quota_code='<' is no code"),
        (lambda: c.Mturk(key="a&b"), "key='a&b' is no code"),
        (lambda: c.external_question_xml("http://x.org/mturk"), "'http://x.org/mturk' is no https address"),
        (lambda: c.external_question_xml("https://x.org", frame_height_px=-1), "a frame -1 pixels high"),
        (lambda: c.mturk_url("x.org", c.Mturk()), "'x.org' is no https address"),
    ],
)
def test_wrong_settings_are_explained(make: Callable[[], object], text: str) -> None:
    with pytest.raises(BadInput) as caught:
        make()
    assert text in str(caught.value)


def test_the_question_is_what_amazons_schema_asks_for() -> None:
    url = c.mturk_url("https://label.example.org", c.Mturk(key="k1"))
    root = ElementTree.fromstring(c.external_question_xml(f"{url}&batch=<a>", frame_height_px=0).encode())
    name = "{http://mechanicalturk.amazonaws.com/AWSMechanicalTurkDataSchemas/2006-07-14/ExternalQuestion.xsd}"
    assert root.tag == f"{name}ExternalQuestion"
    assert [(child.tag, child.text) for child in root] == [
        (f"{name}ExternalURL", "https://label.example.org/mturk?key=k1&batch=<a>"), (f"{name}FrameHeight", "0"),
    ]  # fmt: skip
