"""Which classes are asked about: the gate that stops a class whose clips are seldom accepted, and the owner's word.

A class is `active`, `paused` or `dropped`; `state_by` says who set that. While it is the gate, the state follows the
counts, so undoing answers undoes the pause. What the owner set stays, until the owner changes a threshold: then the
gate looks again at classes that the owner had let run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from gesta.label.rules import Rules
from gesta.label.sql_tables import classes, events, settings
from gesta.schema import BadInput, UnknownName

GATE = "gate"
OWNER = "owner"
ACTIONS: Mapping[str, str] = {"pause": "paused", "resume": "active", "drop": "dropped"}
"""What the owner does to a class, and the state that it has afterwards."""

SETTING = "class_gate"
"""Name of the row of `settings` that holds the run's own threshold, once the owner changed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """When the gate stops a class: fewer than `threshold_frac` accepted, once `after_num_clips` were decided.

    With `after_num_clips` 0 it never does.

    Source: Kinetics-400 paper, section 3.3: accuracy of a class after 20 clips; at first 50 %, adjusted between runs.
    """

    threshold_frac: float = 0.5
    after_num_clips: int = 20

    def __post_init__(self) -> None:
        check_threshold(self.threshold_frac)
        if self.after_num_clips < 0:
            raise BadInput(f"after_num_clips={self.after_num_clips}", mend="Want 0 (never) or more")


def planned_rule(rules: Rules) -> GateRule:
    """The gate's rule with which the service was started."""
    return GateRule(threshold_frac=rules.class_threshold_frac, after_num_clips=rules.class_after_num_clips)


def check_threshold(threshold_frac: float) -> None:
    """Nothing, if the threshold is one.

    Raises:
        BadInput: it is not within 0..1.
    """
    if not 0 <= threshold_frac <= 1:
        raise BadInput(f"a threshold of {threshold_frac}", mend="Want a share from 0 (never pauses) to 1")


def gate_state(
    num_decided: int, num_accepted: int, *, threshold_frac: float, after_num_clips: int, state: str, state_by: str
) -> str:
    """The class's state, active, paused or dropped, once so many of its clips were decided and accepted.

    With `after_num_clips` 0 the gate never pauses.

    Source: Kinetics-400 paper, section 3.3.

    >>> gate_state(20, 9, threshold_frac=0.5, after_num_clips=20, state="active", state_by="gate")
    'paused'
    >>> gate_state(20, 9, threshold_frac=0.5, after_num_clips=20, state="active", state_by="owner")
    'active'
    """
    if state_by == OWNER or state == "dropped":
        return state
    # A quotient, since 0.55 * 20 is more than 11 in floating point, and 11 / 20 is 0.55.
    is_low = 0 < after_num_clips <= num_decided and num_accepted / num_decided < threshold_frac
    return "paused" if is_low else "active"


def gate_rule(db: sa.Connection, *, otherwise: GateRule) -> GateRule:
    """The run's rule: what the owner set while it ran, else `otherwise`."""
    value = db.execute(sa.select(settings.c.value).where(settings.c.name == SETTING)).scalar()
    return otherwise if value is None else GateRule(**json.loads(value))


def set_run_threshold(
    db: sa.Connection, *, threshold_frac: float, otherwise: GateRule, actor: str, now_us: int
) -> list[str]:
    """Names of the classes whose state changed, once the run's threshold is another.

    Raises:
        BadInput: the threshold is not within 0..1.
    """
    before = gate_rule(db, otherwise=otherwise)
    rule = GateRule(threshold_frac=threshold_frac, after_num_clips=before.after_num_clips)
    value = json.dumps(asdict(rule))
    changed = db.execute(sa.update(settings).where(settings.c.name == SETTING).values(value=value))
    if changed.rowcount == 0:
        db.execute(sa.insert(settings).values(name=SETTING, value=value))
    detail = {"threshold_frac": threshold_frac, "was": before.threshold_frac}
    _write_event(db, at_us=now_us, actor=actor, what="threshold-set", subject="*", detail=detail)
    _hand_to_gate(db, classes.c.threshold_frac.is_(None))
    return apply_gates(db, rule=rule, now_us=now_us)


def set_class_threshold(
    db: sa.Connection, *, class_id: int, threshold_frac: float | None, rule: GateRule, actor: str, now_us: int
) -> dict[str, Any]:
    """The class, as `class_row` has it, under its own threshold; null = the run's again.

    Raises:
        BadInput: the threshold is not within 0..1.
        UnknownName: there is no such class.
    """
    if threshold_frac is not None:
        check_threshold(threshold_frac)
    before = class_row(db, class_id)
    db.execute(sa.update(classes).where(classes.c.class_id == class_id).values(threshold_frac=threshold_frac))
    detail = {"class_id": class_id, "threshold_frac": threshold_frac, "was": before["threshold_frac"]}
    _write_event(db, at_us=now_us, actor=actor, what="threshold-set", subject=before["name"], detail=detail)
    _hand_to_gate(db, classes.c.class_id == class_id)
    apply_gates(db, rule=rule, now_us=now_us, class_ids=[class_id])
    return class_row(db, class_id)


def set_class_state(
    db: sa.Connection, *, class_id: int, action: str, actor: str, now_us: int, reason: str = ""
) -> dict[str, Any]:
    """The class, as `class_row` has it, after the owner paused, resumed or dropped it.

    Raises:
        UnknownName: there is no such class, or no such action.
    """
    if action not in ACTIONS:
        raise UnknownName(what="action on a class", name=action, choices=ACTIONS)
    before, state = class_row(db, class_id), ACTIONS[action]
    db.execute(sa.update(classes).where(classes.c.class_id == class_id).values(state=state, state_by=OWNER))
    what = {"pause": "class-paused", "resume": "class-resumed", "drop": "class-dropped"}[action]
    detail = {"class_id": class_id, "was": before["state"], "was_by": before["state_by"], "reason": reason}
    _write_event(db, at_us=now_us, actor=actor, what=what, subject=before["name"], detail=detail)
    return class_row(db, class_id)


def apply_gates(db: sa.Connection, *, rule: GateRule, now_us: int, class_ids: Sequence[int] | None = None) -> list[str]:
    """Names of the classes, of these or of all, whose state the gate changed; an event says so of each."""
    query = sa.select(classes).where(classes.c.state_by == GATE).order_by(classes.c.class_id)
    if class_ids is not None:
        query = query.where(classes.c.class_id.in_(class_ids))
    changed = []
    for row in db.execute(query).all():
        threshold_frac = rule.threshold_frac if row.threshold_frac is None else row.threshold_frac
        state = gate_state(
            row.num_decided,
            row.num_accepted,
            threshold_frac=threshold_frac,
            after_num_clips=rule.after_num_clips,
            state=row.state,
            state_by=row.state_by,
        )
        if state != row.state:
            db.execute(sa.update(classes).where(classes.c.class_id == row.class_id).values(state=state))
            write_gate_event(db, dict(row._mapping), state=state, threshold_frac=threshold_frac, now_us=now_us)
            changed.append(row.name)
    return changed


def write_gate_event(
    db: sa.Connection, row: Mapping[str, Any], *, state: str, threshold_frac: float, now_us: int
) -> None:
    """Write down that the gate paused the class of this row of `classes`, or let it run again."""
    what = "class-paused" if state == "paused" else "class-resumed"
    detail = {name: row[name] for name in ("class_id", "num_decided", "num_accepted")}
    detail["threshold_frac"] = threshold_frac
    _write_event(db, at_us=now_us, actor=GATE, what=what, subject=row["name"], detail=detail)


def class_row(db: sa.Connection, class_id: int) -> dict[str, Any]:
    """The row of `classes`, by the names of its columns.

    Raises:
        UnknownName: there is no such class.
    """
    row = db.execute(sa.select(classes).where(classes.c.class_id == class_id)).first()
    if row is None:
        known = db.execute(sa.select(classes.c.class_id).order_by(classes.c.class_id).limit(_NUM_NAMED)).scalars()
        raise UnknownName(what="class", name=str(class_id), choices=[str(number) for number in known])
    # The names of a row are of a class of SQLAlchemy's own.
    return {str(name): value for name, value in row._mapping.items()}


_NUM_NAMED = 20


def _hand_to_gate(db: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    # A class that the owner paused or dropped stays so: a threshold is about classes that run.
    db.execute(sa.update(classes).where(which, classes.c.state == "active").values(state_by=GATE))


def _write_event(
    db: sa.Connection, *, at_us: int, actor: str, what: str, subject: str, detail: Mapping[str, Any]
) -> None:
    db.execute(
        sa.insert(events).values(at_us=at_us, actor=actor, what=what, subject=subject, detail=json.dumps(dict(detail)))
    )
