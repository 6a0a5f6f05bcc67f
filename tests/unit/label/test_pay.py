"""What workers are owed: the rule, the report against a plain count, what is withheld, and the text of it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.label import pay
from gesta.label.sql_tables import assignments, classes, items, metadata, tasks, votes, workers
from gesta.schema import BadInput, GestaError, UnknownName

NOW_US = 1_700_000_000_000_000
PER_TASK = pay.PayRule(per="task", amount=Decimal("0.20"))


@pytest.fixture
def db(database_url: str) -> Iterator[sa.Connection]:
    engine = sa.create_engine(database_url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def _add_items(db: sa.Connection, num: int, *, gold: Sequence[int] = ()) -> None:
    rows = [
        {
            "seq": seq, "item_id": f"clip:c{seq}:1", "kind": "clip", "clip_id": f"c{seq}", "class_id": 1,
            "class_name": "a", "is_active": True, "gold_answer": "yes" if seq in gold else None,
        }
        for seq in range(1, num + 1)
    ]  # fmt: skip
    db.execute(sa.insert(items), rows)


def _add_worker(db: sa.Connection, seq: int, *, name: str | None = None, **more: Any) -> None:
    row = {
        "seq": seq, "worker_id": name or f"w{seq}", "role": "worker", "state": "active", "is_held_by_owner": False,
        "origin": "local", "joined_at_us": NOW_US, "num_votes": 0, "num_gold": 0, "num_gold_right": 0,
    }  # fmt: skip
    db.execute(sa.insert(workers), [{**row, **more}])


def _add_task(
    db: sa.Connection,
    task_id: str,
    worker_seq: int,
    seqs: Sequence[int],
    *,
    answered: Sequence[int],
    status: str = "answered",
    spent_ms: int = 6_000,
    answer: str = "yes",
    given_at_us: int = NOW_US,
) -> None:
    db.execute(
        sa.insert(tasks),
        [
            {
                "task_id": task_id, "worker_seq": worker_seq, "kind": "clip", "seqs": json.dumps(list(seqs)),
                "status": status, "given_at_us": given_at_us, "expires_at_us": given_at_us + 1,
            }
        ],
    )  # fmt: skip
    for seq in answered:
        _add_vote(db, seq, worker_seq, spent_ms=spent_ms, answer=answer)
    shown = sa.update(workers).where(workers.c.seq == worker_seq)
    db.execute(shown.values(num_votes=workers.c.num_votes + len(answered)))


def _add_vote(
    db: sa.Connection, seq: int, worker_seq: int, *, spent_ms: int, answer: str = "yes", revision: int = 0
) -> None:
    row = {
        "seq": seq, "worker_seq": worker_seq, "revision": revision, "answer": answer, "spent_ms": spent_ms,
        "cast_at_us": NOW_US,
    }  # fmt: skip
    db.execute(sa.insert(votes), [row])


def test_a_rule_is_kept_as_it_was_given(db: sa.Connection) -> None:
    assert pay.pay_rule(db) is None
    rule = pay.pay_rule_of({"per": "hour", "amount": "12.50", "currency": "GBP", "min_gold_accuracy": "0.5"})
    pay.configure_pay(db, rule)
    assert pay.pay_rule(db) == rule
    pay.configure_pay(db, PER_TASK)
    assert pay.pay_rule(db) == PER_TASK, "the second rule replaces the first"
    pay.configure_pay(db, None)
    assert pay.pay_rule(db) is None


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"per": "hour"}, "a pay rule of per. Want some of"),
        ({"per": "hour", "amount": "1", "bonus": 2}, "a pay rule of amount, bonus, per"),
        ({"per": "hour", "amount": 0.1}, "amount=0.1 is no exact number"),
        ({"per": "hour", "amount": "ten"}, "amount='ten' is no exact number"),
        ({"per": "hour", "amount": "1E-999999999"}, "amount='1E-999999999' is no exact number"),
        ({"per": "hour", "amount": "NaN"}, "pay of NaN a hour"),
        ({"per": "hour", "amount": "-1"}, "pay of -1 a hour"),
        ({"per": "hour", "amount": True}, "amount=True is no exact number"),
        ({"per": "hour", "amount": "1", "cap_ms": "9"}, "cap_ms='9' is no whole number"),
        ({"per": "hour", "amount": "1", "cap_ms": 9}, "cap_ms=9"),
        ({"per": "hour", "amount": "1", "currency": "$"}, "'$' is no currency"),
        ({"per": "hour", "amount": "1", "currency": None}, "per and currency are words"),
        ({"per": "hour", "amount": "1", "min_gold_accuracy": "1.5"}, "a minimum gold accuracy of 1.5"),
        ({"per": "year", "amount": "1"}, "no pay by the 'year'"),
    ],
)
def test_a_wrong_rule_is_explained(given: dict[str, Any], text: str) -> None:
    with pytest.raises(GestaError) as caught:
        pay.pay_rule_of(given)
    assert text in str(caught.value)
    assert isinstance(caught.value, BadInput | UnknownName)


def test_a_task_left_in_the_middle_earns_its_part(db: sa.Connection) -> None:
    _add_items(db, 8)
    _add_worker(db, 1)
    _add_task(db, "t1", 1, [1, 2, 3, 4], answered=[1, 2, 3, 4])
    _add_task(db, "t2", 1, [5, 6, 7, 8], answered=[5], status="expired")
    (line,) = pay.pay_report(db, PER_TASK).workers
    assert (line.num_answers, line.num_tasks, line.earned) == (5, Decimal("1.25"), Decimal("0.25"))


def test_an_item_that_was_asked_twice_is_paid_once(db: sa.Connection) -> None:
    _add_items(db, 4)
    _add_worker(db, 1)
    _add_task(db, "t1", 1, [1, 2, 3, 4], answered=[1], status="expired")
    _add_task(db, "t2", 1, [2, 3, 4], answered=[2, 3, 4], given_at_us=NOW_US + 5)
    (line,) = pay.pay_report(db, PER_TASK).workers
    assert line.num_tasks == Decimal("1.25"), "a quarter of the first and the whole second"


def test_an_hour_counts_no_answer_for_longer_than_the_cap(db: sa.Connection) -> None:
    _add_items(db, 2)
    _add_worker(db, 1)
    _add_task(db, "t1", 1, [1, 2], answered=[1, 2], spent_ms=60_000)
    _add_vote(db, 1, 1, spent_ms=9_000_000, answer="no", revision=1)
    rule = pay.PayRule(per="hour", amount=Decimal(12), cap_ms=90_000)
    (line,) = pay.pay_report(db, rule).workers
    assert line.num_answers == 2, "a correction is work, but no new answer"
    assert line.earned == Decimal("0.70"), "60 + 60 + 90 seconds at 12 an hour"


def test_nothing_is_withheld_unless_the_owner_says_so(db: sa.Connection) -> None:
    _add_items(db, 2)
    _add_worker(db, 1, num_gold=10, num_gold_right=2, state="barred")
    _add_task(db, "t1", 1, [1, 2], answered=[1, 2])
    (line,) = pay.pay_report(db, PER_TASK).workers
    assert (line.earned, line.withheld, line.owed, line.reason) == (Decimal("0.20"), 0, Decimal("0.20"), "")
    strict = pay.PayRule(per="task", amount=Decimal("0.20"), min_gold_accuracy=Decimal("0.5"))
    report = pay.pay_report(db, strict)
    (line,) = report.workers
    assert (line.earned, line.withheld, line.owed) == (Decimal("0.20"), Decimal("0.20"), 0)
    assert line.reason == "2 of 10 gold answers right, under the rule's 0.5"
    assert (report.earned, report.withheld, report.owed) == (Decimal("0.20"), Decimal("0.20"), 0)


def test_assignments_have_lines_of_their_own(db: sa.Connection) -> None:
    _add_items(db, 6, gold=[2])
    _add_worker(db, 1, name="mturk-ab", origin="mturk", external=json.dumps({"worker_id": "A1XY"}), num_gold=1)
    _add_worker(db, 2, name="mturk-cd", origin="mturk", external=json.dumps({"worker_id": "A2ZZ"}))
    _add_task(db, "t1", 1, [1, 2, 3], answered=[1, 2, 3], answer="no")
    _add_task(db, "t2", 2, [4, 5], answered=[4], status="returned")
    detail = {"group_id": "HIT9", "task_ids": ["t1"], "before": [{"worker_seq": 2, "task_ids": ["t2"]}]}
    row = {
        "assignment_id": "X1", "source": "mturk", "worker_seq": 1, "detail": json.dumps(detail),
        "opened_at_us": NOW_US, "num_answers": 3, "finished_at_us": NOW_US + 9,
    }  # fmt: skip
    db.execute(sa.insert(assignments), [row])
    before, last = pay.pay_report(db, PER_TASK).assignments
    assert (before.external_id, before.state, before.num_answers, before.earned) == (
        "A2ZZ", "returned", 1, Decimal("0.10"),
    )  # fmt: skip
    assert (last.external_id, last.state, last.group_id, last.earned) == ("A1XY", "finished", "HIT9", Decimal("0.20"))
    assert (last.num_gold, last.num_gold_right, last.gold_accuracy) == (1, 0, 0)


@pytest.mark.parametrize(
    ("rule", "total"),
    [
        (PER_TASK, "0.40"),
        (pay.PayRule(per="answer", amount=Decimal("0.01")), "0.05"),
        (pay.PayRule(per="hour", amount=Decimal(36)), "0.30"),
    ],
)
def test_the_cost_of_an_accepted_clip(db: sa.Connection, rule: pay.PayRule, total: str) -> None:
    _add_items(db, 6)
    _add_worker(db, 1)
    assert pay.cost_so_far(db, rule) == pay.Cost(
        currency="USD", total=Decimal("0.00"), num_accepted=0, per_accepted=None
    )
    _add_task(db, "t1", 1, [1, 2], answered=[1, 2])
    _add_task(db, "t2", 1, [3, 4, 5], answered=[3, 4, 5])
    row = {"class_id": 1, "name": "a", "state": "active", "state_by": "gate", "num_decided": 4, "num_accepted": 4}
    db.execute(sa.insert(classes), [row])
    cost = pay.cost_so_far(db, rule)
    assert (cost.total, cost.num_accepted) == (Decimal(total), 4)
    assert cost.per_accepted == (Decimal(total) / 4).quantize(Decimal("0.0001"))
    assert pay.pay_report(db, rule).earned == cost.total


_TASK = st.tuples(
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(0, 6),
    st.sampled_from(["answered", "expired", "returned", "live"]),
    st.integers(0, 400_000),
)


@settings(max_examples=60)
@given(
    given=st.lists(_TASK, max_size=12),
    per=st.sampled_from(pay.PAID_FOR),
    amount=st.decimals(0, 100, places=4),
    cap_ms=st.integers(1_000, 300_000),
)
def test_the_report_is_a_plain_count(
    given: list[tuple[int, int, int, str, int]], per: str, amount: Decimal, cap_ms: int
) -> None:
    engine = sa.create_engine("sqlite://")
    metadata.create_all(engine)
    rule = pay.PayRule(per=per, amount=amount, cap_ms=cap_ms)
    earned: dict[str, Fraction] = {}
    with engine.begin() as db:
        for seq in range(1, 5):
            _add_worker(db, seq)
        db.execute(sa.text("DROP INDEX one_live_task_a_worker"))
        _add_items(db, 100)
        first = 1
        for number, (worker_seq, size, num_done, status, spent_ms) in enumerate(given):
            seqs = list(range(first, first + size))
            first += size
            done = seqs if status == "answered" else seqs[: min(num_done, size - 1)]
            _add_task(db, f"t{number}", worker_seq, seqs, answered=done, status=status, spent_ms=spent_ms)
            units = {
                "task": Fraction(len(done), size),
                "answer": Fraction(len(done)),
                "hour": Fraction(len(done) * min(spent_ms, cap_ms), 3_600_000),
            }
            name = f"w{worker_seq}"
            if done:
                earned[name] = earned.get(name, Fraction(0)) + units[per] * Fraction(amount)
        report = pay.pay_report(db, rule)
    engine.dispose()
    assert {line.worker_id for line in report.workers} == set(earned)
    for line in report.workers:
        assert abs(Fraction(line.earned) - earned[line.worker_id]) <= Fraction(1, 200), "rounded to the nearest cent"
        assert line.earned == line.withheld + line.owed
    assert report.owed == sum(line.owed for line in report.workers), "the sums are those of the lines"


def test_the_csv_runs_nothing_in_a_spreadsheet(db: sa.Connection) -> None:
    _add_items(db, 3)
    for seq, name in enumerate(["=cmd|' /C calc'!A0", "+1", "-2", "@sum", 'a,"b'], start=1):
        _add_worker(db, seq, name=name)
        _add_task(db, f"t{seq}", seq, [1], answered=[1])
    report = pay.pay_report(db, PER_TASK)
    text = pay.pay_csv(report.workers, kind=pay.WorkerPay)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["worker_id"] for row in rows] == ["'=cmd|' /C calc'!A0", "'+1", "'-2", "'@sum", 'a,"b']
    assert {row["owed"] for row in rows} == {"0.20"}
    assert rows[0]["gold_accuracy"] == ""
    assert pay.pay_csv([], kind=pay.AssignmentPay).startswith("assignment_id,source,group_id,")


def test_json_holds_no_float(db: sa.Connection) -> None:
    _add_items(db, 3)
    _add_worker(db, 1)
    _add_task(db, "t", 1, [1, 2, 3], answered=[1, 2], status="returned")
    told = json.dumps(pay.plain(pay.pay_report(db, PER_TASK)), allow_nan=False)
    floats: list[str] = []
    json.loads(told, parse_float=floats.append)
    assert floats == []
    assert '"owed": "0.13"' in told
