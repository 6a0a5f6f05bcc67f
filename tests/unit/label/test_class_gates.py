"""The gate of a class by enumeration, and what the owner's word does to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction

import pytest
import sqlalchemy as sa

from gesta.label.class_gates import (
    GateRule,
    apply_gates,
    class_row,
    gate_rule,
    gate_state,
    set_class_state,
    set_class_threshold,
    set_run_threshold,
)
from gesta.label.sql_tables import classes, events, metadata
from gesta.schema import BadInput, UnknownName

RULE = GateRule(threshold_frac=0.5, after_num_clips=20)


@pytest.fixture
def db() -> Iterator[sa.Connection]:
    """A database with four classes: 7 is low, 8 is good, 9 has too few clips to tell, 10 was dropped."""
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    rows = [(7, "gardening", 20, 9, "active"), (8, "waving", 20, 10, "active"), (9, "bowing", 19, 0, "active")]
    rows.append((10, "yawning", 40, 0, "dropped"))
    with engine.begin() as connection:
        for class_id, name, num_decided, num_accepted, state in rows:
            values = {"num_decided": num_decided, "num_accepted": num_accepted, "threshold_frac": None}
            connection.execute(
                sa.insert(classes).values(class_id=class_id, name=name, state=state, state_by="gate", **values)
            )
        yield connection
    engine.dispose()


def states(db: sa.Connection) -> dict[int, tuple[str, str]]:
    """State of each class and who set it."""
    query = sa.select(classes.c.class_id, classes.c.state, classes.c.state_by)
    return {row.class_id: (row.state, row.state_by) for row in db.execute(query)}


def diary(db: sa.Connection) -> list[tuple[str, str, str]]:
    """Who did what to which class, in order."""
    query = sa.select(events.c.actor, events.c.what, events.c.subject).order_by(events.c.event_id)
    return [(row.actor, row.what, row.subject) for row in db.execute(query)]


@pytest.mark.parametrize("threshold", ["0", "0.3", "0.5", "0.55", "0.7", "1"])
@pytest.mark.parametrize("after", [0, 1, 5, 20])
def test_the_gate_is_its_definition(threshold: str, after: int) -> None:
    for num_decided in range(45):
        for num_accepted in range(num_decided + 1):
            is_low = num_decided >= after > 0 and Fraction(num_accepted) < Fraction(threshold) * num_decided
            for state in ("active", "paused"):
                found = gate_state(
                    num_decided, num_accepted, threshold_frac=float(threshold), after_num_clips=after,
                    state=state, state_by="gate",
                )  # fmt: skip
                assert found == ("paused" if is_low else "active"), (num_decided, num_accepted)


@pytest.mark.parametrize("state", ["active", "paused", "dropped"])
def test_the_gate_leaves_what_the_owner_set(state: str) -> None:
    for num_accepted in range(31):
        asked = {"threshold_frac": 0.5, "after_num_clips": 20, "state": state}
        assert gate_state(30, num_accepted, state_by="owner", **asked) == state


def test_a_dropped_class_stays_dropped() -> None:
    assert gate_state(
        30, 30, threshold_frac=0.5, after_num_clips=20, state="dropped", state_by="gate"
    ) == "dropped"  # fmt: skip


def test_the_gate_pauses_the_low_class_alone_and_says_so_once(db: sa.Connection) -> None:
    assert apply_gates(db, rule=RULE, now_us=5) == ["gardening"]
    assert apply_gates(db, rule=RULE, now_us=6) == []
    assert states(db) == {
        7: ("paused", "gate"), 8: ("active", "gate"), 9: ("active", "gate"), 10: ("dropped", "gate"),
    }  # fmt: skip
    assert diary(db) == [("gate", "class-paused", "gardening")]
    detail = json.loads(db.execute(sa.select(events.c.detail)).scalar_one())
    assert detail == {"class_id": 7, "num_decided": 20, "num_accepted": 9, "threshold_frac": 0.5}


def test_a_pause_by_the_gate_ends_with_its_reason(db: sa.Connection) -> None:
    apply_gates(db, rule=RULE, now_us=5)
    db.execute(sa.update(classes).where(classes.c.class_id == 7).values(num_decided=19))
    assert apply_gates(db, rule=RULE, now_us=6) == ["gardening"]
    assert states(db)[7] == ("active", "gate")
    assert diary(db)[-1] == ("gate", "class-resumed", "gardening")


def test_the_owner_resumes_and_the_gate_obeys_until_the_threshold_is_changed(db: sa.Connection) -> None:
    apply_gates(db, rule=RULE, now_us=5)
    assert set_class_state(db, class_id=7, action="resume", actor="ann", now_us=6)["state"] == "active"
    assert apply_gates(db, rule=RULE, now_us=7) == []
    found = set_class_threshold(db, class_id=7, threshold_frac=0.4, rule=RULE, actor="ann", now_us=8)
    assert (found["state"], found["state_by"], found["threshold_frac"]) == ("active", "gate", 0.4)
    found = set_class_threshold(db, class_id=7, threshold_frac=0.46, rule=RULE, actor="ann", now_us=9)
    assert found["state"] == "paused"
    assert [what for _, what, _ in diary(db)] == [
        "class-paused", "class-resumed", "threshold-set", "threshold-set", "class-paused",
    ]  # fmt: skip


def test_a_class_that_the_owner_paused_or_dropped_stays_so_under_a_new_threshold(db: sa.Connection) -> None:
    set_class_state(db, class_id=8, action="pause", actor="ann", now_us=6, reason="too easy")
    set_class_state(db, class_id=9, action="drop", actor="ann", now_us=6)
    set_run_threshold(db, threshold_frac=0.0, otherwise=RULE, actor="ann", now_us=7)
    set_class_threshold(db, class_id=8, threshold_frac=0.1, rule=RULE, actor="ann", now_us=8)
    assert (states(db)[8], states(db)[9]) == (("paused", "owner"), ("dropped", "owner"))
    detail = json.loads(db.execute(sa.select(events.c.detail).order_by(events.c.event_id)).scalars().first() or "")
    assert (detail["was"], detail["was_by"], detail["reason"]) == ("active", "gate", "too easy")


def test_a_dropped_class_can_be_taken_back(db: sa.Connection) -> None:
    set_class_state(db, class_id=8, action="drop", actor="ann", now_us=6)
    set_class_state(db, class_id=8, action="resume", actor="ann", now_us=7)
    assert states(db)[8] == ("active", "owner")


def test_the_run_s_threshold_is_kept_and_rules_the_classes_without_their_own(db: sa.Connection) -> None:
    assert gate_rule(db, otherwise=RULE) == RULE
    set_class_threshold(db, class_id=7, threshold_frac=0.2, rule=RULE, actor="ann", now_us=6)
    changed = set_run_threshold(db, threshold_frac=0.6, otherwise=RULE, actor="ann", now_us=7)
    assert changed == ["waving"]
    assert gate_rule(db, otherwise=RULE) == GateRule(threshold_frac=0.6, after_num_clips=20)
    assert set_run_threshold(db, threshold_frac=0.1, otherwise=RULE, actor="ann", now_us=8) == ["waving"]


def test_what_is_not_there_or_cannot_be_is_named(db: sa.Connection) -> None:
    with pytest.raises(UnknownName, match=r"no class '11'.*There are: 10, 7, 8, 9"):
        class_row(db, 11)
    with pytest.raises(UnknownName, match=r"no action on a class 'stop'.*drop, pause, resume"):
        set_class_state(db, class_id=7, action="stop", actor="ann", now_us=1)
    for wrong in (-0.1, 1.01, float("nan")):
        with pytest.raises(BadInput, match=r"a threshold of .* Want a share from 0"):
            set_class_threshold(db, class_id=7, threshold_frac=wrong, rule=RULE, actor="ann", now_us=1)
        with pytest.raises(BadInput, match="a threshold of"):
            set_run_threshold(db, threshold_frac=wrong, otherwise=RULE, actor="ann", now_us=1)
    with pytest.raises(BadInput, match="after_num_clips=-1"):
        GateRule(after_num_clips=-1)
