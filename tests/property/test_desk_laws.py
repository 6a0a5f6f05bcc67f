"""Whatever workers, the clock and the owner do: the log, the tallies and the book agree, and no item gets too much."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.label.conftest import make_work, write
from tests.unit.label.desk_trial import MINUTE_US, trial

from gesta.label.answers import Answer, NotYours, Stale, WorkerBarred
from gesta.label.rules import Rules
from gesta.label.sql_tables import gold_shown, items, votes
from gesta.label.worker_states import ban_worker, reopen_answers, resume_worker
from gesta.schema import CLIP_PROTOCOL, Gold, Refused, TrustRule

WORKERS = st.sampled_from(["ann", "bob", "cat", "dan", "eve"])
ANSWERS = st.sampled_from(["yes", "no", "unsure", "broken"])


class Service(RuleBasedStateMachine):
    """A desk over nine clips of three classes, one of them gold, with one person in each."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.acknowledged: set[tuple[str, str]] = set()
        self.is_set_aside = False

    @initialize(prepared=st.booleans(), gate=st.booleans())
    def begin(self, *, prepared: bool, gate: bool) -> None:
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        work = make_work(folder / "work", num_clips=9, num_persons=1)
        write(work, "gold", [Gold(item_id="clip:c00:1", answer="no")])
        rules = Rules(
            prepared_lease_us=MINUTE_US if prepared else 0,
            trust=TrustRule(min_gold=1),
            class_after_num_clips=2 if gate else 0,
        )
        rules = replace(rules, items_per_task={**rules.items_per_task, "clip": 4, "box": 3}, gold_per_task=1)
        self.trial = self.stack.enter_context(trial(work, f"sqlite:///{folder}/labels.sqlite", rules=rules))

    @rule(worker=WORKERS)
    def fetch(self, worker: str) -> None:
        told = self.trial.ask(worker)
        assert len(set(told.ids)) == len(told.ids)

    @precondition(lambda self: self.trial.last)
    @rule(
        data=st.data(),
        answers=st.lists(st.tuples(st.integers(0, 4), ANSWERS), min_size=1, max_size=5),
        twice=st.booleans(),
    )
    def send(self, data: st.DataObject, answers: list[tuple[int, str]], *, twice: bool) -> None:
        worker = data.draw(st.sampled_from(sorted(self.trial.last)))
        task_id = self.trial.last[worker].task_id
        self.trial.num_sends += 1
        told = [Answer(slot=slot, answer=answer) for slot, answer in answers]
        sends = [
            self.trial.desk.submit(
                self.trial.seq_of(worker), key=f"key-{self.trial.num_sends:08d}", task_id=task_id, answers=told
            )
            for _ in range(1 + twice)
        ]
        try:
            outcomes = [send.result() for send in sends]
        except WorkerBarred:
            return
        assert all(outcome == outcomes[0] for outcome in outcomes)
        for result in outcomes[0]["results"]:
            if result["status"] == "accepted":
                assert (task_id, result["slot"]) not in self.acknowledged
                self.acknowledged.add((task_id, result["slot"]))

    @precondition(lambda self: self.acknowledged and self.trial.last)
    @rule(data=st.data(), answer=ANSWERS, if_match=st.integers(0, 2))
    def edit(self, data: st.DataObject, answer: str, if_match: int) -> None:
        worker = data.draw(st.sampled_from(sorted(self.trial.last)))
        task_id, slot = data.draw(st.sampled_from(sorted(self.acknowledged)))
        with suppress(NotYours, Stale, WorkerBarred):
            self.trial.desk.revise(
                self.trial.seq_of(worker), task_id=task_id, slot=slot, answer=Answer(slot=slot, answer=answer),
                if_match=if_match,
            ).result()  # fmt: skip
            self.is_set_aside = True

    @rule(minutes=st.integers(-40, 90))
    def time_passes(self, minutes: int) -> None:
        self.trial.now_us = max(1, self.trial.now_us + minutes * MINUTE_US)
        self.trial.desk.tick().result()

    @precondition(lambda self: self.trial.last)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.trial.last)))
        self.trial.desk.give_back(self.trial.seq_of(worker), task_id=self.trial.last[worker].task_id).result()

    @rule(worker=WORKERS, action=st.sampled_from([ban_worker, resume_worker, reopen_answers]))
    def act(self, worker: str, action: Callable[..., object]) -> None:
        if worker not in self.trial.desk.book.by_name:
            return
        self.is_set_aside = True
        with suppress(Refused):
            self.trial.desk.run(
                lambda db, book: action(db, book, worker_id=worker, reason="", actor="owner", now_us=self.trial.now_us)
            ).result()
            self.trial.last.pop(worker, None)

    @invariant()
    def everything_agrees(self) -> None:
        if not hasattr(self, "trial"):
            return
        self.trial.check()
        with self.trial.store.reading() as db:
            shown = db.execute(sa.select(gold_shown.c.worker_seq, gold_shown.c.seq)).all()
            assert len(shown) == len(set(shown))
            found = db.execute(
                sa.select(votes.c.seq, votes.c.answer)
                .join(items, items.c.seq == votes.c.seq)
                .where(votes.c.revision == 0, items.c.gold_answer.is_(None), items.c.kind == "clip")
                .order_by(votes.c.vote_id)
            ).all()
            num_acknowledged = db.execute(
                sa.select(sa.func.count()).select_from(votes).where(votes.c.revision == 0)
            ).scalar_one()
        assert num_acknowledged == len(self.acknowledged)
        if self.is_set_aside:
            return
        counts: dict[int, dict[str, int]] = {}
        for seq, answer in found:
            mine = counts.setdefault(seq, {})
            assert CLIP_PROTOCOL.verdict(mine) == "open", "an answer came after the verdict"
            mine[answer] = mine.get(answer, 0) + 1

    def teardown(self) -> None:
        self.stack.close()


TestService = Service.TestCase
TestService.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
