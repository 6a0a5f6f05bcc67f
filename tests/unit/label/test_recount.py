"""The views rebuilt in SQL are what a plain count of the log in Python gives, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gesta.label.recount import ACCEPTED, CLOSED, OPEN, REJECTED, WAITING, recount_all, recount_classes, recount_items
from gesta.label.rules import Rules
from gesta.label.sql_tables import classes, items, tallies, tasks, votes, workers
from gesta.label.store import open_store
from gesta.schema import ANSWERS_OF, PROTOCOLS, is_right

RULES = Rules()
NOW_US = 1_000_000_000
COUNTS = ("num_yes", "num_no", "num_unsure", "num_broken")
Rows = list[dict[str, Any]]
World = dict[str, Rows]

law = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """An open, empty label database; tests roll back what they do."""
    store = open_store(database_url)
    yield store.engine
    store.close()


def item(seq: int, kind: str = "clip", **columns: Any) -> dict[str, Any]:
    """A row of `items`."""
    row = {"seq": seq, "item_id": f"i{seq}", "kind": kind, "clip_id": f"c{seq}", "class_id": 1 + seq % 2,
           "gate_seq": None, "gold_answer": None, "gold_detail": None, "is_active": True}  # fmt: skip
    return row | columns


def worker(seq: int, **columns: Any) -> dict[str, Any]:
    """A row of `workers`."""
    row = {"seq": seq, "worker_id": f"w{seq}", "role": "worker", "state": "active", "is_held_by_owner": True,
           "origin": "local", "joined_at_us": 0, "num_votes": 9, "num_gold": 9, "num_gold_right": 9}  # fmt: skip
    return row | columns


def vote(seq: int, by: int, answer: str = "yes", revision: int = 0, detail: str | None = None) -> dict[str, Any]:
    """A row of `votes`."""
    return {"seq": seq, "worker_seq": by, "revision": revision, "answer": answer, "detail": detail, "spent_ms": 5,
            "cast_at_us": 9}  # fmt: skip


def task(name: str, by: int, seqs: list[int], *, status: str = "live", given_at_us: int = 0) -> dict[str, Any]:
    """A row of `tasks`."""
    return {"task_id": name, "worker_seq": by, "kind": "clip", "seqs": json.dumps(seqs), "status": status,
            "given_at_us": given_at_us, "expires_at_us": given_at_us + 1}  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A small database: every kind, chains of gates, gold, withdrawn items, revised answers, stale tallies."""
    rows: World = {"items": [], "workers": [], "votes": [], "tasks": [], "tallies": []}
    num_items, num_workers = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    for seq in range(1, num_items + 1):
        kind = draw(st.sampled_from(list(PROTOCOLS)))
        gate = draw(st.none() | st.integers(1, seq - 1)) if seq > 1 else None
        gold = draw(st.sampled_from([None, None, None, *ANSWERS_OF[kind]]))
        rows["items"].append(item(seq, kind, gate_seq=gate, gold_answer=gold, is_active=draw(st.integers(0, 9)) > 0))
        if draw(st.booleans()):
            stale = {name: draw(st.integers(0, 3)) for name in COUNTS}
            state = draw(st.integers(0, 4))
            rows["tallies"].append({"seq": seq, **stale, "num_leased": 0, "max_votes": 5, "state": state})
    for by in range(1, num_workers + 1):
        state = draw(st.sampled_from(["active", "active", "active", "paused", "barred"]))
        rows["workers"].append(worker(by, state=state, is_held_by_owner=draw(st.booleans())))
        for row in rows["items"]:
            answers = draw(st.lists(st.sampled_from(ANSWERS_OF[row["kind"]]), max_size=2))
            rows["votes"] += [vote(row["seq"], by, answer, revision) for revision, answer in enumerate(answers)]
        for status in draw(st.lists(st.sampled_from(["live", "expired"]), max_size=2, unique=True)):
            seqs = draw(st.lists(st.integers(1, num_items), unique=True, max_size=num_items))
            rows["tasks"].append(task(f"{status}{by}", by, seqs, status=status, given_at_us=draw(st.integers(0, 3))))
    return rows


def fill(db: sa.Connection, world: World) -> None:
    """Put the rows into the database."""
    for table in (items, workers, votes, tasks, tallies):
        if world.get(table.name):
            db.execute(table.insert(), world[table.name])


def plain_tallies(world: World) -> tuple[dict[int, dict[str, int]], dict[int, str], set[str]]:
    """The tallies, workers' states and expired tasks that the definitions give, counted one by one."""
    by_seq = {row["seq"]: row for row in world["items"]}
    states = {row["seq"]: plain_worker_state(world, row) for row in world["workers"]}
    first = {(row["seq"], row["worker_seq"]) for row in world["votes"] if row["revision"] == 0}
    standing = {}
    for row in sorted(world["votes"], key=lambda row: row["revision"]):
        standing[row["seq"], row["worker_seq"]] = row["answer"]
    live = [row for row in world["tasks"] if row["status"] == "live"]
    expired = {row["task_id"] for row in live if states[row["worker_seq"]] == "barred"}
    live = [row for row in live if row["task_id"] not in expired]
    open_slots = {
        row["task_id"]: [
            seq for seq in json.loads(row["seqs"])
            if (seq, row["worker_seq"]) not in first and by_seq[seq]["gold_answer"] is None
        ]
        for row in live
    }  # fmt: skip
    counts = {}
    for seq, row in by_seq.items():
        given = Counter(answer for (s, by), answer in standing.items() if s == seq and states[by] != "barred")
        if row["gold_answer"] is not None:
            given = Counter()
        counts[seq] = dict(
            zip(COUNTS, (given["yes"] + given["done"], *(given[a] for a in ("no", "unsure", "broken"))), strict=True)
        )

    def num_over(seq: int) -> int:
        leased = sum(slots.count(seq) for name, slots in open_slots.items() if name not in expired)
        return min(leased, sum(counts[seq].values()) + leased - PROTOCOLS[by_seq[seq]["kind"]].max_votes)

    for row in sorted(live, key=lambda row: (-row["given_at_us"], row["task_id"])):
        if any(num_over(seq) > 0 for seq in open_slots[row["task_id"]]):
            expired.add(row["task_id"])
    result = {}
    for seq in by_seq:
        leased = sum(slots.count(seq) for name, slots in open_slots.items() if name not in expired)
        max_votes = PROTOCOLS[by_seq[seq]["kind"]].max_votes
        state = plain_state(seq, by_seq, counts)
        result[seq] = {**counts[seq], "num_leased": leased, "max_votes": max_votes, "state": state}
    return result, states, expired


def plain_state(seq: int, by_seq: dict[int, dict[str, Any]], counts: dict[int, dict[str, int]]) -> int:
    """The state of one item by its definition, gates looked at one after the other."""
    row = by_seq[seq]
    if not row["is_active"] or row["gold_answer"] is not None:
        return CLOSED
    if row["gate_seq"] is not None:
        gate = by_seq[row["gate_seq"]]
        state = plain_state(gate["seq"], by_seq, counts)
        if gate["is_active"] and gate["gold_answer"] == PROTOCOLS[gate["kind"]].positive:
            state = ACCEPTED
        if state in (REJECTED, CLOSED):
            return CLOSED
        if state != ACCEPTED:
            return WAITING
    protocol = PROTOCOLS[row["kind"]]
    named = dict(zip((protocol.positive, "no", "unsure", "broken"), counts[seq].values(), strict=True))
    return {"open": OPEN, "accepted": ACCEPTED, "rejected": REJECTED}[protocol.verdict(named)]


def plain_gold(world: World, by: int) -> tuple[int, int, int]:
    """Answers, gold answers and right ones of a worker."""
    by_seq = {row["seq"]: row for row in world["items"]}
    first = [row for row in world["votes"] if row["worker_seq"] == by and row["revision"] == 0]
    gold = [(by_seq[row["seq"]], row) for row in first if by_seq[row["seq"]]["gold_answer"] is not None]
    right = [
        is_right(known["kind"], gold_answer=known["gold_answer"], gold_detail=known["gold_detail"],
                 answer=row["answer"], detail=row["detail"])
        for known, row in gold
    ]  # fmt: skip
    return len(first), len(gold), sum(right)


def plain_worker_state(world: World, row: dict[str, Any]) -> str:
    """The worker's state once gold was counted."""
    if row["is_held_by_owner"] or row["state"] == "paused":
        return row["state"]
    _, num_gold, num_right = plain_gold(world, row["seq"])
    return "active" if RULES.trust.is_trusted(num_gold=num_gold, num_gold_right=num_right) else "barred"


def tallies_in(db: sa.Connection) -> dict[int, dict[str, int]]:
    """The table `tallies`, by item."""
    return {row.pop("seq"): row for row in (dict(row) for row in db.execute(sa.select(tallies)).mappings())}


@law
@given(world=worlds())
def test_recounting_everything_is_a_plain_count_of_the_log(engine: sa.Engine, world: World) -> None:
    with engine.connect() as db:
        fill(db, world)
        recounted = recount_all(db, rules=RULES, now_us=NOW_US)
        expected, states, expired = plain_tallies(world)
        assert tallies_in(db) == expected
        assert {row.seq: row.state for row in db.execute(sa.select(workers))} == states
        assert set(recounted.expired_task_ids) == expired
        ended = db.execute(sa.select(tasks.c.task_id).where(tasks.c.ended_at_us == NOW_US)).scalars()
        assert set(ended) == expired
        for row in db.execute(sa.select(workers)):
            assert (row.num_votes, row.num_gold, row.num_gold_right) == plain_gold(world, row.seq)
        before = tallies_in(db)
        assert recount_all(db, rules=RULES, now_us=NOW_US).expired_task_ids == ()
        assert tallies_in(db) == before


@law
@given(world=worlds(), data=st.data())
def test_recounting_the_items_that_a_change_touched_equals_recounting_everything(
    engine: sa.Engine, world: World, data: st.DataObject
) -> None:
    with engine.connect() as db:
        fill(db, world)
        recount_all(db, rules=RULES, now_us=NOW_US)
        before = tallies_in(db)
        touched = {row["seq"] for row in world["votes"]}
        changed = data.draw(st.sampled_from(world["workers"]))["seq"]
        state = data.draw(st.sampled_from(["active", "barred"]))
        values = {"state": state, "is_held_by_owner": True}
        db.execute(sa.update(workers).where(workers.c.seq == changed).values(values))
        if state == "barred":
            db.execute(sa.update(tasks).where(tasks.c.worker_seq == changed).values(status="expired"))
        touched = {row["seq"] for row in world["votes"] if row["worker_seq"] == changed}
        held = [json.loads(row["seqs"]) for row in world["tasks"] if row["worker_seq"] == changed]
        recounted = recount_items(db, touched.union(*held), rules=RULES, now_us=NOW_US)
        after = tallies_in(db)
        assert set(recounted.changed_seqs) == {seq for seq in after if before[seq] != after[seq]}
        recount_all(db, rules=RULES, now_us=NOW_US)
        assert tallies_in(db) == after


def test_leases_that_the_caller_knows_are_taken_as_they_are(engine: sa.Engine) -> None:
    with engine.connect() as db:
        fill(db, {"items": [item(1)], "workers": [worker(1)], "tasks": [task("t", 1, [1])]})
        recount_items(db, [1], rules=RULES, now_us=NOW_US, num_leased={1: 2})
        assert tallies_in(db)[1]["num_leased"] == 2
        recount_items(db, [1], rules=RULES, now_us=NOW_US)
        assert tallies_in(db)[1]["num_leased"] == 1


def test_taking_a_worker_back_ends_the_newest_leases_that_no_longer_fit(engine: sa.Engine) -> None:
    with engine.connect() as db:
        people = [worker(by, state="barred" if by == 1 else "active") for by in range(1, 6)]
        cast = [vote(1, 1, "no"), vote(1, 2, "no"), vote(1, 3, "yes"), vote(1, 3, "unsure", revision=1)]
        out = [task("old", 4, [1], given_at_us=1), task("mid", 5, [1, 2], given_at_us=2)]
        fill(db, {"items": [item(1), item(2)], "workers": [*people, worker(6)], "votes": cast, "tasks": out})
        db.execute(tasks.insert(), task("new", 6, [2, 1], given_at_us=3))
        recount_items(db, [1, 2], rules=RULES, now_us=NOW_US)
        assert tallies_in(db)[1] | {"num_leased": 3} == tallies_in(db)[1]
        db.execute(sa.update(workers).where(workers.c.seq == 1).values(state="active"))
        recounted = recount_items(db, [1], rules=RULES, now_us=NOW_US)
        assert recounted.expired_task_ids == ("new",)
        assert recounted.changed_seqs == (1, 2)
        assert tallies_in(db)[1] == {
            "num_yes": 0, "num_no": 2, "num_unsure": 1, "num_broken": 0, "num_leased": 2, "max_votes": 5, "state": OPEN,
        }  # fmt: skip
        assert tallies_in(db)[2]["num_leased"] == 1


def test_gold_with_a_detail_is_judged_by_it_and_on_the_first_answer(engine: sa.Engine) -> None:
    known, other = '{"class_ids":[12,17]}', '{"class_ids":[80]}'
    with engine.connect() as db:
        gold = [item(seq, "person", gold_answer="done", gold_detail=known, class_id=None) for seq in range(1, 10)]
        cast = [vote(seq, 1, "done", 0, other) for seq in range(1, 10)]
        cast += [vote(seq, 1, "done", 1, known) for seq in range(1, 10)]
        cast += [vote(seq, 2, "done", 0, known) for seq in range(1, 10)]
        people = [worker(by, is_held_by_owner=False) for by in (1, 2)]
        fill(db, {"items": gold, "workers": people, "votes": cast})
        recount_all(db, rules=RULES, now_us=NOW_US)
        found = [tuple(row) for row in db.execute(
            sa.select(workers.c.num_votes, workers.c.num_gold, workers.c.num_gold_right, workers.c.state)
            .order_by(workers.c.seq)
        )]  # fmt: skip
        assert found == [(9, 9, 0, "barred"), (9, 9, 9, "active")]


def test_classes_count_the_clips_that_votes_decided(engine: sa.Engine) -> None:
    with engine.connect() as db:
        row = {"state": "active", "state_by": "gate", "num_decided": 7, "num_accepted": 7}
        db.execute(classes.insert(), [{"class_id": n, "name": f"class {n}", **row} for n in (1, 2, 3)])
        cast = [vote(seq, by, "yes" if seq < 4 else "no") for seq in (2, 4, 6, 7) for by in (1, 2, 3)]
        cast += [vote(seq, by) for seq in (5, 8) for by in (1, 2, 3)]
        asked = [item(seq) for seq in (2, 3, 4, 7)]
        asked += [item(5, gold_answer="yes"), item(6, is_active=False), item(8, "box", class_id=1)]
        fill(db, {"items": asked, "workers": [worker(by) for by in (1, 2, 3)], "votes": cast})
        recount_all(db, rules=RULES, now_us=NOW_US)
        query = sa.select(classes.c.class_id, classes.c.num_decided, classes.c.num_accepted).order_by("class_id")
        assert [tuple(row) for row in db.execute(query)] == [(1, 2, 1), (2, 1, 0), (3, 0, 0)]
        db.execute(sa.update(classes).values(num_decided=5))
        recount_classes(db, [2])
        assert [tuple(row) for row in db.execute(query)] == [(1, 5, 1), (2, 1, 0), (3, 5, 0)]
