"""The views of the vote log, rebuilt from it: tallies of items, counts of workers and classes.

The desk keeps the views up as answers come in; here they are made anew, set by set, in the database itself: when the
service starts (perhaps under other rules or other gold), and for some items when an operator sets answers aside.

What counts. A worker's standing answer to an item is the last revision. Answers of barred workers are set aside.
Gold is judged on the first revision, and its own tally stays at nought. A lease is a slot of a live task that its
worker has not answered; gold is never leased.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from gesta.label.rules import Rules
from gesta.label.sql_tables import classes, items, tallies, tasks, votes, workers
from gesta.schema import is_right

WAITING, OPEN, ACCEPTED, REJECTED, CLOSED = range(5)

_COUNTS = ("num_yes", "num_no", "num_unsure", "num_broken")
_VIEWED = (*_COUNTS, "num_leased", "max_votes")
_NUM_IN_LIST = 500
_MAX_GATES = 16
"""The longest chain of items that open one another. Source: ours; clip, frame, person and box make 4."""

_counted = sa.Table(
    "recounted_items",
    sa.MetaData(),
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    *(sa.Column(name, sa.SmallInteger, nullable=False) for name in _VIEWED),
    prefixes=["TEMPORARY"],
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recounted:
    """What a recount changed."""

    changed_seqs: tuple[int, ...]
    expired_task_ids: tuple[str, ...]


def recount_all(db: sa.Connection, *, rules: Rules, now_us: int) -> Recounted:
    """What changed when every view was rebuilt from the log; makes the tallies that are missing.

    Workers whom gold barred, or let be, are judged anew; those whom the owner holds keep their state. Barred workers'
    live tasks expire, and so does the newest of those that hold an item which has as many answers as it may.
    `changed_seqs` stays empty here: whoever recounts everything reads everything.
    """
    _tell_planner(db, items, votes, workers, tasks, tallies)
    _recount_workers(db, rules=rules)
    expired = _expire_tasks_of_barred(db, now_us=now_us)
    _counted.create(db, checkfirst=False)
    found = _tally_query(rules, _leases_query(db.dialect.name), None)
    db.execute(_counted.insert().from_select(["seq", *_VIEWED], found))
    _tell_planner(db, _counted)
    expired += _expire_counted_surplus(db, now_us=now_us)
    _take_over_counts(db)
    _counted.drop(db, checkfirst=False)
    _tell_planner(db, tallies)
    _settle_states(db, rules=rules)
    recount_classes(db)
    return Recounted(changed_seqs=(), expired_task_ids=tuple(expired))


def recount_items(
    db: sa.Connection, seqs: Iterable[int], *, rules: Rules, now_us: int, num_leased: Mapping[int, int] | None = None
) -> Recounted:
    """What changed when the tallies of these items were rebuilt from the log, and the states of those they gate.

    `num_leased` is what the caller knows of the items' live leases; else they are counted from the live tasks, which
    takes about 0.1 s for 10,000 of them. Where answers and leases are now more than an item may have, the newest
    tasks that hold it expire, and their other items are recounted too. Class counts are the caller's next step.
    """
    asked = sorted(set(seqs))
    found = _tallies_of(db, asked, rules=rules, num_leased=num_leased)
    expired, freed = _expire_surplus(db, {seq: _surplus(row) for seq, row in found.items()}, now_us=now_us)
    if expired:
        asked = sorted({*asked, *freed})
        found = _tallies_of(db, asked, rules=rules, num_leased=None)
    changed = _write_tallies(db, found)
    frontier = asked
    for _ in range(_MAX_GATES):
        changed.update(seq for some in _in_chunks(frontier) for seq in _settle_some(db, some, rules=rules))
        # Those behind an item may be wrong even where its own state was right.
        behind = [sa.select(items.c.seq).where(items.c.gate_seq.in_(some)) for some in _in_chunks(frontier)]
        frontier = sorted({seq for query in behind for seq in db.execute(query).scalars()})
        if not frontier:
            break
    return Recounted(changed_seqs=tuple(sorted(changed)), expired_task_ids=tuple(expired))


def recount_classes(db: sa.Connection, class_ids: Sequence[int] | None = None) -> None:
    """Bring the counts of decided and accepted clips, of these classes or of all, up to the tallies."""
    counted = (
        sa.select(
            items.c.class_id,
            sa.func.count().label("num_decided"),
            sa.func.sum(sa.case((tallies.c.state == ACCEPTED, 1), else_=0)).label("num_accepted"),
        )
        .join(tallies, tallies.c.seq == items.c.seq)
        .where(items.c.kind == "clip", tallies.c.state.in_((ACCEPTED, REJECTED)), items.c.class_id.is_not(None))
        .group_by(items.c.class_id)
    )
    if class_ids is not None:
        counted = counted.where(items.c.class_id.in_(class_ids))
    found = {row.class_id: (row.num_decided, row.num_accepted) for row in db.execute(counted)}
    stands = sa.select(classes.c.class_id, classes.c.num_decided, classes.c.num_accepted)
    if class_ids is not None:
        stands = stands.where(classes.c.class_id.in_(class_ids))
    updates = []
    for row in db.execute(stands):
        decided, accepted = found.get(row.class_id, (0, 0))
        if (decided, accepted) != (row.num_decided, row.num_accepted):
            updates.append({"of": row.class_id, "num_decided": decided, "num_accepted": accepted})
    if updates:
        db.execute(sa.update(classes).where(classes.c.class_id == sa.bindparam("of")), updates)


# ---- items -----------------------------------------------------------------------------------------------------------


def _standing_counts(seqs: Sequence[int] | None) -> sa.Subquery:
    """Standing answers an item, of workers who are not barred."""
    revised = sa.select(votes.c.seq, votes.c.worker_seq, sa.func.max(votes.c.revision).label("last")).where(
        votes.c.revision > 0
    )
    # Few answers are revised: finding those first saves looking for a later revision of each.
    if seqs is not None:
        revised = revised.where(votes.c.seq.in_(seqs))
    last = revised.group_by(votes.c.seq, votes.c.worker_seq).subquery()

    def number(*answers: str) -> sa.ColumnElement[int]:
        return sa.func.sum(sa.case((votes.c.answer.in_(answers), 1), else_=0))

    standing = (
        sa.select(
            votes.c.seq,
            number("yes", "done").label("num_yes"),
            *(number(name.removeprefix("num_")).label(name) for name in _COUNTS[1:]),
        )
        .join(workers, workers.c.seq == votes.c.worker_seq)
        .outerjoin(last, sa.and_(last.c.seq == votes.c.seq, last.c.worker_seq == votes.c.worker_seq))
        .where(workers.c.state != "barred", votes.c.revision == sa.func.coalesce(last.c.last, 0))
        .group_by(votes.c.seq)
    )
    if seqs is not None:
        standing = standing.where(votes.c.seq.in_(seqs))
    return standing.subquery()


def _slots(dialect: str) -> sa.Select[Any]:
    """One row for each slot of a live task that its worker has not answered: task_id, worker_seq, given_at_us, seq."""
    # Both databases let a function in FROM look at the tables before it.
    if dialect == "postgresql":
        values = sa.func.json_array_elements_text(sa.cast(tasks.c.seqs, sa.JSON))
    else:
        values = sa.func.json_each(tasks.c.seqs)
    slot = values.table_valued("value", joins_implicitly=True)
    seq = sa.cast(slot.c.value, sa.BigInteger)
    return (
        sa.select(tasks.c.task_id, tasks.c.worker_seq, tasks.c.given_at_us, seq.label("seq"))
        .select_from(tasks, slot)
        .where(tasks.c.status == "live")
        .where(~sa.exists().where(votes.c.seq == seq, votes.c.worker_seq == tasks.c.worker_seq, votes.c.revision == 0))
    )


def _leases_query(dialect: str) -> sa.Subquery:
    """Live leases an item."""
    slots = _slots(dialect).subquery()
    return sa.select(slots.c.seq, sa.func.count().label("num_leased")).group_by(slots.c.seq).subquery()


def _by_kind(rules: Rules, name: str, *, of: sa.FromClause = items) -> sa.ColumnElement[Any]:
    return sa.case({kind: getattr(protocol, name) for kind, protocol in rules.protocols.items()}, value=of.c.kind)


def _tally_query(rules: Rules, leases: sa.Subquery | None, seqs: Sequence[int] | None) -> sa.Select[Any]:
    """Counts, leases and the most of both, an item; a gold item's are nought."""
    counts = _standing_counts(seqs)
    is_counted = items.c.gold_answer.is_(None)

    def counted(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.case((is_counted, sa.func.coalesce(column, 0)), else_=0)

    source = items.outerjoin(counts, counts.c.seq == items.c.seq)
    num_leased = sa.literal(0).label("num_leased")
    if leases is not None:
        source = source.outerjoin(leases, leases.c.seq == items.c.seq)
        num_leased = counted(leases.c.num_leased).label("num_leased")
    query = sa.select(
        items.c.seq,
        *(counted(counts.c[name]).label(name) for name in _COUNTS),
        num_leased,
        _by_kind(rules, "max_votes").label("max_votes"),
    ).select_from(source)
    return query if seqs is None else query.where(items.c.seq.in_(seqs))


def _tell_planner(db: sa.Connection, *tables: sa.Table) -> None:
    # Of a table that was just filled PostgreSQL knows no sizes, and joins it row by row: minutes instead of seconds.
    if db.dialect.name == "postgresql":
        for table in tables:
            db.execute(sa.DDL("ANALYZE %(table)s", {"table": table.name}))


def _take_over_counts(db: sa.Connection) -> None:
    differs = sa.or_(*(tallies.c[name] != _counted.c[name] for name in _VIEWED))
    db.execute(
        sa.update(tallies)
        .where(tallies.c.seq == _counted.c.seq, differs)
        .values({name: _counted.c[name] for name in _VIEWED})
    )
    num_items, num_tallies = (
        db.execute(sa.select(sa.func.count()).select_from(t)).scalar() for t in (_counted, tallies)
    )
    if num_items != num_tallies:
        # As a set: PostgreSQL would look for each row in a table that grows as it is filled, a minute for 100,000.
        missing = sa.select(_counted.c.seq).except_(sa.select(tallies.c.seq))
        rows = sa.select(_counted, sa.literal(CLOSED)).where(_counted.c.seq.in_(missing))
        db.execute(tallies.insert().from_select(["seq", *_VIEWED, "state"], rows))


def _tallies_of(
    db: sa.Connection, seqs: Sequence[int], *, rules: Rules, num_leased: Mapping[int, int] | None
) -> dict[int, dict[str, int]]:
    """What the tallies of these items should hold, beside their states."""
    leases = _leases_query(db.dialect.name) if num_leased is None else None
    found: dict[int, dict[str, int]] = {}
    for some in _in_chunks(seqs):
        for row in db.execute(_tally_query(rules, leases, some)).mappings():
            found[row["seq"]] = {name: int(row[name]) for name in _VIEWED}
            if num_leased is not None:
                found[row["seq"]]["num_leased"] = num_leased.get(row["seq"], 0)
    return found


def _surplus(tally: Mapping[Any, Any]) -> int:
    """How many leases must go so that answers and leases are no more than they may; never more than there are."""
    return min(int(tally["num_leased"]), sum(tally[name] for name in (*_COUNTS, "num_leased")) - tally["max_votes"])


def _write_tallies(db: sa.Connection, found: Mapping[int, Mapping[str, int]]) -> set[int]:
    """The items whose tallies were not so; they are now."""
    stands = {
        row.seq: row
        for some in _in_chunks(sorted(found))
        for row in db.execute(sa.select(tallies).where(tallies.c.seq.in_(some)))
    }
    updates, inserts = [], []
    for seq, tally in found.items():
        if seq not in stands:
            inserts.append({"seq": seq, **tally, "state": CLOSED})
        elif any(getattr(stands[seq], name) != num for name, num in tally.items()):
            updates.append({"of": seq, **tally})
    if updates:
        db.execute(sa.update(tallies).where(tallies.c.seq == sa.bindparam("of")), updates)
    if inserts:
        db.execute(tallies.insert(), inserts)
    return {row["of"] for row in updates} | {row["seq"] for row in inserts}


# ---- states ----------------------------------------------------------------------------------------------------------


def _state_query(rules: Rules, which: sa.ColumnElement[bool] | None) -> sa.Select[Any]:
    """Items whose state is not what their counts, their gold and their gate make it: `seq`, and the right `state`."""
    gate, gate_tally = items.alias("gate"), tallies.alias("gate_tally")
    counts = [tallies.c[name] for name in _COUNTS]
    total = counts[0] + counts[1] + counts[2] + counts[3]
    gate_is_passed = sa.or_(
        gate_tally.c.state == ACCEPTED,
        sa.and_(gate.c.is_active, gate.c.gold_answer == _by_kind(rules, "positive", of=gate)),
    )
    is_stopped = sa.or_(*(count >= _by_kind(rules, "stop_at") for count in counts[1:]))
    state = sa.case(
        (sa.or_(~items.c.is_active, items.c.gold_answer.is_not(None)), CLOSED),
        (sa.and_(items.c.gate_seq.is_not(None), gate_is_passed.is_not(sa.true()),
                 gate_tally.c.state.in_((REJECTED, CLOSED))), CLOSED),
        (sa.and_(items.c.gate_seq.is_not(None), gate_is_passed.is_not(sa.true())), WAITING),
        (counts[0] >= _by_kind(rules, "accept_yes"), ACCEPTED),
        (sa.or_(is_stopped, total >= _by_kind(rules, "max_votes")), REJECTED),
        else_=OPEN,
    )  # fmt: skip
    right = (
        sa.select(items.c.seq, tallies.c.state.label("was"), state.label("state"))
        .join(tallies, tallies.c.seq == items.c.seq)
        .outerjoin(gate, gate.c.seq == items.c.gate_seq)
        .outerjoin(gate_tally, gate_tally.c.seq == items.c.gate_seq)
    )
    judged = (right if which is None else right.where(which)).subquery()
    return sa.select(judged.c.seq, judged.c.state).where(judged.c.was != judged.c.state)


def _settle_states(db: sa.Connection, *, rules: Rules) -> None:
    which = None
    for _ in range(_MAX_GATES):
        wrong = _state_query(rules, which).subquery()
        num_moved = db.execute(
            sa.update(tallies).where(tallies.c.seq == wrong.c.seq).values(state=wrong.c.state)
        ).rowcount
        if which is not None and not num_moved:
            return
        which = items.c.gate_seq.is_not(None)


def _settle_some(db: sa.Connection, seqs: Sequence[int], *, rules: Rules) -> list[int]:
    wrong = db.execute(_state_query(rules, items.c.seq.in_(seqs))).all()
    if wrong:
        db.execute(
            sa.update(tallies).where(tallies.c.seq == sa.bindparam("of")),
            [{"of": row.seq, "state": row.state} for row in wrong],
        )
    return [row.seq for row in wrong]


# ---- workers ---------------------------------------------------------------------------------------------------------


def _recount_workers(db: sa.Connection, *, rules: Rules) -> None:
    plain = sa.and_(items.c.gold_answer.is_not(None), items.c.gold_detail.is_(None))
    query = (
        sa.select(
            votes.c.worker_seq,
            sa.func.count().label("num_votes"),
            sa.func.count(items.c.gold_answer).label("num_gold"),
            sa.func.sum(sa.case((sa.and_(plain, votes.c.answer == items.c.gold_answer), 1), else_=0)).label(
                "num_right"
            ),
        )
        .join(items, items.c.seq == votes.c.seq)
        .where(votes.c.revision == 0)
        .group_by(votes.c.worker_seq)
    )
    found = {row.worker_seq: (row.num_votes, row.num_gold, int(row.num_right)) for row in db.execute(query)}
    further = _num_right_by_detail(db)
    updates = []
    for row in db.execute(sa.select(workers)):
        num_votes, num_gold, num_right = found.get(row.seq, (0, 0, 0))
        num_right += further.get(row.seq, 0)
        state, reason = row.state, row.state_reason
        is_trusted = rules.trust.is_trusted(num_gold=num_gold, num_gold_right=num_right)
        if not row.is_held_by_owner and state in ("active", "barred") and is_trusted != (state == "active"):
            state, reason = ("active", "") if is_trusted else ("barred", "gold")
        values = {
            "num_votes": num_votes, "num_gold": num_gold, "num_gold_right": num_right, "state": state,
            "state_reason": reason,
        }  # fmt: skip
        if any(getattr(row, name) != value for name, value in values.items()):
            updates.append({"of": row.seq, **values})
    if updates:
        db.execute(sa.update(workers).where(workers.c.seq == sa.bindparam("of")), updates)


def _num_right_by_detail(db: sa.Connection) -> dict[int, int]:
    """Right answers a worker among gold whose known answer has a detail, which no SQL compares."""
    query = (
        sa.select(
            votes.c.worker_seq, votes.c.answer, votes.c.detail, items.c.kind, items.c.gold_answer, items.c.gold_detail
        )
        .join(items, items.c.seq == votes.c.seq)
        .where(votes.c.revision == 0, items.c.gold_answer.is_not(None), items.c.gold_detail.is_not(None))
    )  # fmt: skip
    right: dict[int, int] = defaultdict(int)
    for row in db.execute(query):
        right[row.worker_seq] += is_right(
            row.kind, gold_answer=row.gold_answer, gold_detail=row.gold_detail, answer=row.answer, detail=row.detail
        )
    return right


# ---- leases that must go ---------------------------------------------------------------------------------------------


def _expire_tasks_of_barred(db: sa.Connection, *, now_us: int) -> list[str]:
    barred = sa.select(workers.c.seq).where(workers.c.state == "barred")
    query = sa.select(tasks.c.task_id).where(tasks.c.status == "live", tasks.c.worker_seq.in_(barred))
    return _expire(db, list(db.execute(query).scalars()), now_us=now_us)


def _expire_surplus(db: sa.Connection, surplus: Mapping[int, int], *, now_us: int) -> tuple[list[str], dict[int, int]]:
    """Tasks expired so that each item loses `surplus` leases or more, the newest first; and the leases that ended."""
    left = {seq: num for seq, num in surplus.items() if num > 0}
    if not left:
        return [], {}
    held: dict[str, list[int]] = {}
    for row in db.execute(_slots(db.dialect.name).order_by(tasks.c.given_at_us.desc(), tasks.c.task_id)):
        held.setdefault(row.task_id, []).append(row.seq)
    expired = []
    freed: dict[int, int] = defaultdict(int)
    for task_id, seqs in held.items():
        if any(left.get(seq, 0) > freed[seq] for seq in seqs):
            expired.append(task_id)
            for seq in seqs:
                freed[seq] += 1
    return _expire(db, expired, now_us=now_us), {seq: num for seq, num in freed.items() if num}


def _expire_counted_surplus(db: sa.Connection, *, now_us: int) -> list[str]:
    num = sum((_counted.c[name] for name in _COUNTS), _counted.c.num_leased) - _counted.c.max_votes
    over = db.execute(sa.select(_counted).where(_counted.c.num_leased > 0, num > 0)).mappings()
    expired, freed = _expire_surplus(db, {row["seq"]: _surplus(row) for row in over}, now_us=now_us)
    if freed:
        db.execute(
            sa.update(_counted)
            .where(_counted.c.seq == sa.bindparam("of"), _counted.c.num_leased > 0)
            .values(num_leased=_counted.c.num_leased - sa.bindparam("by")),
            [{"of": seq, "by": num} for seq, num in freed.items()],
        )
    return expired


def _expire(db: sa.Connection, task_ids: list[str], *, now_us: int) -> list[str]:
    if task_ids:
        db.execute(
            sa.update(tasks).where(tasks.c.task_id == sa.bindparam("of")).values(status="expired", ended_at_us=now_us),
            [{"of": task_id} for task_id in task_ids],
        )
    return task_ids


def _in_chunks(seqs: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(seqs), _NUM_IN_LIST):
        yield seqs[start : start + _NUM_IN_LIST]
