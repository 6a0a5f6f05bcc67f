"""What each worker is owed, from the log of answers and the owner's rule. Money is `Decimal`, never a float.

The rule says what is paid for: each task, each answer, or each hour of work. A task that was answered in part earns its
part. Withholding pay for failed gold is the owner's decision: without `min_gold_accuracy` in the rule nothing is ever
withheld, and what is withheld stands in a column of its own, with the reason.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, fields
from decimal import ROUND_HALF_UP, Decimal, DecimalException
from fractions import Fraction
from typing import Any

import sqlalchemy as sa

from gesta.label.sql_tables import assignments, classes, items, settings, tasks, votes, workers
from gesta.label.store import in_chunks
from gesta.schema import BadInput, UnknownName, is_right

PAID_FOR = ("task", "answer", "hour")
SETTING = "pay"

CAP_MS = 120_000
"""Longest time that one answer is paid for, where pay is by the hour. Source: ours; a clip lasts 10 s and may be played
again; a worker who leaves the page open for the night is not at work."""

MIN_GOLD = 8
"""Gold answers before a minimum accuracy is applied. Source: as in `TrustRule`."""

MS_PER_HOUR = 3_600_000
MAX_AMOUNT = Decimal(1_000_000)
MAX_DECIMALS = 8
_CENT = Decimal("0.01")
_CURRENCY = re.compile(r"[A-Z]{3}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class PayRule:
    """What is paid for (`per`: task, answer or hour), how much, and when it is withheld.

    Raises:
        UnknownName: `per` is none of the three.
        BadInput: a number or the currency is none.
    """

    per: str
    amount: Decimal
    currency: str = "USD"
    cap_ms: int = CAP_MS
    min_gold_accuracy: Decimal | None = None
    min_gold: int = MIN_GOLD

    def __post_init__(self) -> None:
        if self.per not in PAID_FOR:
            raise UnknownName(what="pay by the", name=self.per, choices=PAID_FOR)
        if not self.amount.is_finite() or not 0 <= self.amount <= MAX_AMOUNT:
            raise BadInput(f"pay of {self.amount} a {self.per}", mend=f"Want 0 to {MAX_AMOUNT}")
        if not _CURRENCY.match(self.currency):
            raise BadInput(f"{self.currency!r} is no currency", mend="Want three capital letters, such as USD or GBP")
        if not 1_000 <= self.cap_ms <= MS_PER_HOUR or not 1 <= self.min_gold <= 10_000:
            raise BadInput(
                f"cap_ms={self.cap_ms}, min_gold={self.min_gold}",
                mend=f"Want 1000 to {MS_PER_HOUR} milliseconds an answer, and 1 to 10000 gold answers",
            )
        least = self.min_gold_accuracy
        if least is not None and not (least.is_finite() and 0 <= least <= 1):
            raise BadInput(f"a minimum gold accuracy of {least}", mend="Want 0 to 1, or none")

    def withholds(self, *, num_gold: int, num_gold_right: int) -> bool:
        """Whether pay is withheld from a worker with so many gold answers, so many of them right.

        >>> rule = PayRule(per="task", amount=Decimal("0.2"), min_gold_accuracy=Decimal("0.5"))
        >>> rule.withholds(num_gold=8, num_gold_right=3), rule.withholds(num_gold=7, num_gold_right=0)
        (True, False)
        """
        if self.min_gold_accuracy is None or num_gold < self.min_gold:
            return False
        return num_gold_right < self.min_gold_accuracy * num_gold


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What was done: answers, tasks (parts of them count), milliseconds that count, gold."""

    num_answers: int = 0
    num_tasks: Fraction = Fraction(0)
    spent_ms: int = 0
    num_gold: int = 0
    num_gold_right: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPay:
    """One worker's line of the report; amounts in the rule's currency."""

    worker_id: str
    origin: str
    state: str
    external_id: str
    num_answers: int
    num_tasks: Decimal
    hours: Decimal
    num_gold: int
    num_gold_right: int
    gold_accuracy: Decimal | None
    earned: Decimal
    withheld: Decimal
    owed: Decimal
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentPay:
    """One line for each assignment of an outside crowd; `group_id` is the HIT or the study."""

    assignment_id: str
    source: str
    group_id: str
    worker_id: str
    external_id: str
    state: str
    opened_at_us: int
    finished_at_us: int | None
    num_answers: int
    num_tasks: Decimal
    hours: Decimal
    num_gold: int
    num_gold_right: int
    gold_accuracy: Decimal | None
    earned: Decimal
    withheld: Decimal
    owed: Decimal
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the work has cost so far, before anything is withheld; `per_accepted` is null until a clip is accepted."""

    currency: str
    total: Decimal
    num_accepted: int
    per_accepted: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayReport:
    """Every line, and the sums; the lines are rounded to cents, and the sums are those of the lines."""

    rule: PayRule
    workers: list[WorkerPay]
    assignments: list[AssignmentPay]
    earned: Decimal
    withheld: Decimal
    owed: Decimal
    cost: Cost


# ---- the rule --------------------------------------------------------------------------------------------------------


def pay_rule_of(given: Mapping[str, Any]) -> PayRule:
    """The rule that plain values say, numbers as text or integers.

    Raises:
        BadInput: a field is missing, unknown or no number.
        UnknownName: `per` is none of task, answer and hour.

    >>> pay_rule_of({"per": "answer", "amount": "0.015"}).amount
    Decimal('0.015')
    """
    known = {field.name for field in fields(PayRule)}
    if not {"per", "amount"} <= set(given) <= known:
        raise BadInput(f"a pay rule of {', '.join(sorted(given)) or 'nothing'}", mend=f"Want some of {sorted(known)}")
    values = dict(given)
    for name in ("amount", "min_gold_accuracy"):
        if values.get(name) is not None:
            values[name] = _decimal(name, values[name])
    for name in ("cap_ms", "min_gold"):
        if name in values and (not isinstance(values[name], int) or isinstance(values[name], bool)):
            raise BadInput(f"{name}={values[name]!r} is no whole number", mend="Leave it out for the usual one")
    if not isinstance(values.get("currency", ""), str) or not isinstance(values["per"], str):
        raise BadInput("per and currency are words", mend="Such as hour and USD")
    return PayRule(**values)


def _decimal(name: str, value: object) -> Decimal:
    # A float has lost the digits that were meant; JSON gives them as text.
    if isinstance(value, int | str | Decimal) and not isinstance(value, bool):
        with suppress(DecimalException):
            number = Decimal(value)
            exponent = number.as_tuple().exponent
            # An exponent in the millions would be as many digits when it is written out.
            if not isinstance(exponent, int) or -MAX_DECIMALS <= exponent <= MAX_DECIMALS:
                return number
    raise BadInput(f"{name}={value!r} is no exact number", mend='Give it as text, such as "0.15"')


def pay_rule(db: sa.Connection) -> PayRule | None:
    """The owner's rule, or None while there is none."""
    text = db.execute(sa.select(settings.c.value).where(settings.c.name == SETTING)).scalar()
    return None if text is None else pay_rule_of(json.loads(text))


def configure_pay(db: sa.Connection, rule: PayRule | None) -> None:
    """Set the rule, or take it away."""
    db.execute(sa.delete(settings).where(settings.c.name == SETTING))
    if rule is not None:
        db.execute(sa.insert(settings).values(name=SETTING, value=json.dumps(plain(rule))))


# ---- the report ------------------------------------------------------------------------------------------------------


def pay_report(db: sa.Connection, rule: PayRule) -> PayReport:
    """What everybody is owed under the rule, by worker and by assignment, workers in the order of their coming."""
    people = {row.seq: row for row in db.execute(sa.select(workers).order_by(workers.c.seq))}
    done = _work_of_workers(db, rule, people)
    lines = [
        WorkerPay(
            worker_id=people[seq].worker_id,
            origin=people[seq].origin,
            state=people[seq].state,
            external_id=external_id_of(people[seq].external),
            **_amounts(rule, work, judged=work),
        )
        for seq, work in done.items()
        if work.num_answers
    ]
    return PayReport(
        rule=rule,
        workers=lines,
        assignments=_assignment_lines(db, rule, people, done),
        earned=sum((line.earned for line in lines), Decimal(0)),
        withheld=sum((line.withheld for line in lines), Decimal(0)),
        owed=sum((line.owed for line in lines), Decimal(0)),
        cost=cost_so_far(db, rule),
    )


def cost_so_far(db: sa.Connection, pay: PayRule) -> Cost:
    """What the answers so far cost, and what that makes for each accepted clip; fast enough for a dashboard.

    Nothing is withheld here, and of tasks that were left in the middle, where pay is by the task, nothing is counted.
    """
    if pay.per == "answer":
        amount = pay.amount * int(db.execute(sa.select(sa.func.sum(workers.c.num_votes))).scalar() or 0)
    elif pay.per == "task":
        query = sa.select(sa.func.count()).select_from(tasks).where(tasks.c.status == "answered")
        amount = pay.amount * int(db.execute(query).scalar_one())
    else:
        amount = pay.amount * int(db.execute(sa.select(sa.func.sum(_counted_ms(pay)))).scalar() or 0) / MS_PER_HOUR
    num_accepted = int(db.execute(sa.select(sa.func.sum(classes.c.num_accepted))).scalar() or 0)
    total = _rounded(amount)
    each = (total / num_accepted).quantize(Decimal("0.0001")) if num_accepted else None
    return Cost(currency=pay.currency, total=total, num_accepted=num_accepted, per_accepted=each)


def _counted_ms(rule: PayRule) -> sa.ColumnElement[int]:
    return sa.case((votes.c.spent_ms > rule.cap_ms, rule.cap_ms), else_=votes.c.spent_ms)


def _amounts(rule: PayRule, work: Work, *, judged: Work) -> dict[str, Any]:
    """The fields that both kinds of line share; `judged` is the work whose gold decides whether pay is withheld."""
    paid_for = {
        "task": work.num_tasks,
        "answer": Fraction(work.num_answers),
        "hour": Fraction(work.spent_ms, MS_PER_HOUR),
    }
    earned = _rounded(rule.amount * _exact(paid_for[rule.per]))
    is_withheld = rule.withholds(num_gold=judged.num_gold, num_gold_right=judged.num_gold_right)
    right = f"{judged.num_gold_right} of {judged.num_gold} gold answers right"
    accuracy = _exact(Fraction(work.num_gold_right, work.num_gold)) if work.num_gold else None
    return {
        "num_answers": work.num_answers,
        "num_tasks": _exact(work.num_tasks).quantize(_CENT, ROUND_HALF_UP),
        "hours": _exact(Fraction(work.spent_ms, MS_PER_HOUR)).quantize(Decimal("0.001"), ROUND_HALF_UP),
        "num_gold": work.num_gold,
        "num_gold_right": work.num_gold_right,
        "gold_accuracy": None if accuracy is None else accuracy.quantize(Decimal("0.001"), ROUND_HALF_UP),
        "earned": earned,
        "withheld": earned if is_withheld else Decimal("0.00"),
        "owed": Decimal("0.00") if is_withheld else earned,
        "reason": f"{right}, under the rule's {rule.min_gold_accuracy}" if is_withheld else "",
    }


def _exact(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_CENT, ROUND_HALF_UP)


# ---- what was done ---------------------------------------------------------------------------------------------------


def _work_of_workers(db: sa.Connection, rule: PayRule, people: Mapping[int, Any]) -> dict[int, Work]:
    is_first = sa.case((votes.c.revision == 0, 1), else_=0)
    query = sa.select(votes.c.worker_seq, sa.func.sum(is_first), sa.func.sum(_counted_ms(rule))).group_by(
        votes.c.worker_seq
    )
    counted = {seq: (int(num), int(spent_ms)) for seq, num, spent_ms in db.execute(query)}
    shares = _task_shares(db)
    found = {}
    for seq, row in people.items():
        num_answers, spent_ms = counted.get(seq, (0, 0))
        found[seq] = Work(
            num_answers=num_answers,
            num_tasks=shares.get(seq, Fraction(0)),
            spent_ms=spent_ms,
            num_gold=row.num_gold,
            num_gold_right=row.num_gold_right,
        )
    return found


def _task_shares(db: sa.Connection) -> dict[int, Fraction]:
    """How many tasks each worker answered; of one that was left in the middle, the part that was answered."""
    is_whole = tasks.c.status == "answered"
    query = sa.select(tasks.c.worker_seq, sa.func.count()).where(is_whole).group_by(tasks.c.worker_seq)
    shares = {seq: Fraction(num) for seq, num in db.execute(query)}
    left = sorted(db.execute(sa.select(tasks.c.worker_seq).where(~is_whole).distinct()).scalars())
    for some in in_chunks(left, 200):
        rows = db.execute(sa.select(tasks).where(tasks.c.worker_seq.in_(some))).all()
        parts = {row.task_id for row in rows if row.status != "answered"}
        for row, answered in zip(rows, _votes_of_tasks(db, rows, of=parts), strict=True):
            if row.task_id in parts:
                part = Fraction(len({vote.seq for vote in answered}), max(1, len(json.loads(row.seqs))))
                shares[row.worker_seq] = shares.get(row.worker_seq, Fraction(0)) + part
    return shares


def _votes_of_tasks(db: sa.Connection, rows: Sequence[Any], *, of: Collection[str]) -> list[list[Any]]:
    """The votes on the items of the tasks `of`, task by task; an item that was asked twice belongs to the later one."""
    place: dict[tuple[int, int], int] = {}
    for number in sorted(range(len(rows)), key=lambda k: (rows[k].given_at_us, rows[k].task_id)):
        for seq in json.loads(rows[number].seqs):
            place[seq, rows[number].worker_seq] = number
    wanted: dict[int, list[int]] = {}
    for (seq, worker_seq), number in place.items():
        if rows[number].task_id in of:
            wanted.setdefault(worker_seq, []).append(seq)
    found: list[list[Any]] = [[] for _ in rows]
    # One worker at a time: SQLite walks through the whole table for a list of pairs.
    for worker_seq, seqs in wanted.items():
        for some in in_chunks(seqs):
            which = sa.and_(votes.c.seq.in_(some), votes.c.worker_seq == worker_seq)
            for vote in db.execute(sa.select(votes).where(which).order_by(votes.c.vote_id)):
                found[place[vote.seq, worker_seq]].append(vote)
    return found


def _assignment_lines(
    db: sa.Connection, rule: PayRule, people: Mapping[int, Any], done: Mapping[int, Work]
) -> list[AssignmentPay]:
    holders = [
        (row, seq, task_ids, state)
        for row in db.execute(sa.select(assignments).order_by(assignments.c.opened_at_us, assignments.c.assignment_id))
        for seq, task_ids, state in _holders(row)
        if seq in people
    ]
    works = _work_of_tasks(db, rule, [task_ids for _, _, task_ids, _ in holders])
    return [
        AssignmentPay(
            assignment_id=row.assignment_id,
            source=row.source,
            group_id=json.loads(row.detail).get("group_id", ""),
            worker_id=people[seq].worker_id,
            external_id=external_id_of(people[seq].external),
            state=state,
            opened_at_us=row.opened_at_us,
            finished_at_us=row.finished_at_us if state == "finished" else None,
            **_amounts(rule, work, judged=done[seq]),
        )
        for (row, seq, _, state), work in zip(holders, works, strict=True)
    ]


def _holders(row: Any) -> Iterable[tuple[int, list[str], str]]:
    """Who had the assignment, the last one last: those before gave it back."""
    detail = json.loads(row.detail)
    for before in detail.get("before", ()):
        yield before["worker_seq"], before["task_ids"], "returned"
    state = "finished" if row.finished_at_us is not None else "open"
    yield row.worker_seq, detail.get("task_ids", []), state


def _work_of_tasks(db: sa.Connection, rule: PayRule, wanted: Sequence[Sequence[str]]) -> list[Work]:
    """What was done in each of these groups of tasks."""
    ids = {task_id for task_ids in wanted for task_id in task_ids}
    rows = [
        row
        for some in in_chunks(sorted(ids))
        for row in db.execute(sa.select(tasks).where(tasks.c.task_id.in_(some))).all()
    ]
    cast = {row.task_id: (row, found) for row, found in zip(rows, _votes_of_tasks(db, rows, of=ids), strict=True)}
    gold = _gold_of(db, {vote.seq for _, found in cast.values() for vote in found})
    return [_work_in(rule, [cast[task_id] for task_id in task_ids if task_id in cast], gold) for task_ids in wanted]


def _work_in(rule: PayRule, cast: Sequence[tuple[Any, Sequence[Any]]], gold: Mapping[int, Any]) -> Work:
    first = [vote for _, found in cast for vote in found if vote.revision == 0]
    judged = [(vote, gold[vote.seq]) for vote in first if vote.seq in gold]
    shares = (
        Fraction(sum(vote.revision == 0 for vote in found), max(1, len(json.loads(row.seqs)))) for row, found in cast
    )
    return Work(
        num_answers=len(first),
        num_tasks=sum(shares, Fraction(0)),
        spent_ms=sum(min(vote.spent_ms, rule.cap_ms) for _, found in cast for vote in found),
        num_gold=len(judged),
        num_gold_right=sum(
            is_right(
                item.kind, gold_answer=item.gold_answer, gold_detail=item.gold_detail, answer=vote.answer,
                detail=vote.detail,
            )
            for vote, item in judged
        ),
    )  # fmt: skip


def _gold_of(db: sa.Connection, seqs: Iterable[int]) -> dict[int, Any]:
    columns = (items.c.seq, items.c.kind, items.c.gold_answer, items.c.gold_detail)
    known = sa.and_(items.c.gold_answer.is_not(None), items.c.is_active)
    return {
        row.seq: row
        for some in in_chunks(sorted(seqs))
        for row in db.execute(sa.select(*columns).where(items.c.seq.in_(some), known))
    }


def external_id_of(external: str | None) -> str:
    """The id that an outside crowd knows a worker by, from `workers.external`; empty for one's own people."""
    return str(json.loads(external).get("worker_id", "")) if external else ""


# ---- as text ---------------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """A rule or report as JSON has it: amounts are text, so that no reader makes floats of them."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return plain(asdict(value)) if hasattr(value, "__dataclass_fields__") else value


def pay_csv(
    lines: Sequence[WorkerPay] | Sequence[AssignmentPay], *, kind: type[WorkerPay] | type[AssignmentPay]
) -> str:
    """The lines as CSV with a header.

    A cell that a spreadsheet would run as a formula begins with an apostrophe, since ids come from outside.
    Source: OWASP, CSV injection.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([field.name for field in fields(kind)])
    for line in lines:
        writer.writerow([_cell(plain(value)) for value in astuple(line)])
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n"):
        return f"'{value}"
    return value
