"""A clock that jumps, back an hour or on a day: nothing is leased twice, and every lease ends in its own time."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gesta.label.sql_tables import tasks, votes

from .conftest import WorkFolder
from .desk_trial import MINUTE_US, PLAIN, Trial, trial

HOUR_US, DAY_US = 60 * MINUTE_US, 24 * 60 * MINUTE_US
START_US = 10 * DAY_US
WORKERS = ("ann", "bob", "cat", "dan")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> itertools.count[int]:
    """Numbers for databases, so that each example has its own."""
    return itertools.count()


def check(desk: Trial) -> None:
    """Books and log agree, nobody holds what they hold already, and no time is negative."""
    desk.check()
    with desk.store.reading() as db:
        held = set()
        for row in db.execute(sa.select(tasks)):
            assert row.given_at_us > 0
            assert row.expires_at_us > 0
            if row.status == "live":
                slots = {(row.worker_seq, seq) for seq in json.loads(row.seqs)}
                assert not slots & held
                held |= slots
        for row in db.execute(sa.select(votes)):
            assert row.cast_at_us > 0
            assert row.spent_ms >= 0


def heal(desk: Trial) -> None:
    """Once a lease's time has gone by, nothing is leased any more, wherever the clock has been."""
    desk.desk.tick().result()
    desk.now_us += PLAIN.lease_us + 1
    desk.desk.tick().result()
    assert not desk.desk.book.tasks
    assert not any(desk.desk.book.leased)
    check(desk)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from(WORKERS)),
        st.tuples(st.just("send"), st.sampled_from(WORKERS)),
        st.tuples(st.just("jump"), st.sampled_from([-HOUR_US, DAY_US, -DAY_US, 31 * MINUTE_US, -MINUTE_US])),
    ),
    max_size=25,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_jumps_leave_the_books_right_and_every_lease_ends(
    steps: list[tuple[str, str | int]], work_folder: WorkFolder, folders: itertools.count[int]
) -> None:
    number = next(folders)
    work = work_folder(num_clips=12, name=f"work{number}")
    with trial(work, f"sqlite:///{work}/labels.sqlite") as desk:
        desk.now_us = START_US
        for what, of in steps:
            if isinstance(of, int):
                desk.now_us += of
            elif what == "ask":
                desk.ask(of)
            elif of in desk.last and desk.last[of].ids:
                desk.send(of, dict.fromkeys(desk.last[of].ids[:3], "yes"))
            check(desk)
        heal(desk)


@pytest.mark.parametrize("jump_us", [-HOUR_US, DAY_US], ids=["back", "on"])
def test_a_lease_given_before_a_jump_ends_and_the_work_is_finished(
    jump_us: int, work_folder: WorkFolder, database_url: str
) -> None:
    with trial(work_folder(num_clips=6), database_url) as desk:
        desk.now_us = START_US
        for worker in WORKERS[:3]:
            assert desk.ask(worker).status == "task"
        desk.now_us += jump_us
        assert desk.ask("dan").status == ("wait" if jump_us < 0 else "task")
        heal(desk)
        for worker in WORKERS[:3]:
            assert len(desk.work_off(worker, "yes")) == 6
        assert desk.ask("dan").status == "done"
        check(desk)


def test_a_lease_renewed_while_the_clock_was_a_day_ahead_ends_within_its_time(
    work_folder: WorkFolder, database_url: str
) -> None:
    with trial(work_folder(num_clips=6), database_url) as desk:
        desk.now_us = START_US
        desk.ask("ann")
        desk.now_us += DAY_US
        desk.ask("ann")  # answered from memory: nothing is written, and no other request saw that day
        desk.now_us -= DAY_US
        heal(desk)
        check(desk)


def test_a_lease_given_while_the_clock_was_a_day_ahead_ends_within_its_time(
    work_folder: WorkFolder, database_url: str, tmp_path: Path
) -> None:
    with trial(work_folder(num_clips=6), database_url) as desk:
        desk.now_us = START_US + DAY_US
        desk.ask("ann")
        desk.now_us = START_US
        heal(desk)
