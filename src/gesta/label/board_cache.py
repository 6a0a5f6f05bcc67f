"""The board, kept for some seconds: however many owners look, the database is asked once.

What costs most, the count of every item, is asked the more seldom the longer it takes, so that looking never takes
more than a tenth of one core. What the owner just did is seen at once: classes are small.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa

from gesta.label.board import (
    clips_of_class,
    clips_suggested,
    disputed,
    overview,
    suggestion_rows,
    tally_counts,
    worker_rows,
)
from gesta.label.class_gates import GateRule, gate_rule, planned_rule
from gesta.label.funnel import TallyCount
from gesta.label.pay import cost_so_far, pay_rule
from gesta.label.rules import Rules
from gesta.label.sql_tables import events
from gesta.label.store import Store
from gesta.label.vote_digest import VoteDigest

FRESH_S = 2.0
"""How long an answer is good at least. Source: ours; pages ask every few seconds."""

COST_FACTOR = 10.0
"""How many times longer than it took an answer is good. Source: ours; at most a tenth of one core goes into it."""

VOTES_A_LOOK = 200_000
"""Old votes that are read at one look. Source: ours; half a second. A younger log is read whole at the first look."""

DECIMALS = 4
"""Of shares and rates. Source: ours; a hundredth of a percent."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer as JSON, and its ETag: the same answer has the same one."""

    body: bytes
    etag: str


@dataclass(slots=True)
class _Kept:
    """One thing that was asked of the database: when, and how long that took."""

    value: Any = None
    at_s: float = -1e18
    cost_s: float = 0.0

    def is_fresh(self, now_s: float) -> bool:
        """Whether it need not be asked again."""
        return now_s - self.at_s < max(FRESH_S, COST_FACTOR * self.cost_s)


@dataclass(slots=True)
class BoardCache:
    """What the owner looks at; every method may be called from any thread."""

    store: Store
    rules: Rules
    now_us: Callable[[], int]
    votes_a_look: int | None = VOTES_A_LOOK
    clock_s: Callable[[], float] = time.monotonic
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _digest: VoteDigest = field(default_factory=VoteDigest)
    _digested: _Kept = field(default_factory=_Kept)
    _counted: _Kept = field(default_factory=_Kept)
    _board: _Kept = field(default_factory=_Kept)
    _workers: _Kept = field(default_factory=_Kept)
    _last_event: int = 0

    @property
    def otherwise_gate(self) -> GateRule:
        """The gate's rule as long as the owner set none while the service ran."""
        return planned_rule(self.rules)

    def board(self) -> Seen:
        """The board: totals, kinds, classes and their gates, gold, pace, forecast, money."""
        with self._lock:
            with self.store.reading() as db:
                self._notice(db)
                if not self._board.is_fresh(self.clock_s()):
                    counted = self._counts(db)
                    self._keep(self._board, lambda: seen(self._overview(db, counted)))
            found: Seen = self._board.value
        return found

    def workers(self) -> Seen:
        """The table of workers."""
        with self._lock:
            with self.store.reading() as db:
                self._notice(db)
                if not self._workers.is_fresh(self.clock_s()):
                    self._keep(self._workers, lambda: seen(worker_rows(db, self._caught_up(db))))
            found: Seen = self._workers.value
        return found

    def disputed(self, *, class_id: int | None, limit: int) -> list[dict[str, Any]]:
        """The items that people disagree on most, as `board.disputed` has them."""
        with self._lock, self.store.reading() as db:
            counted = self._counts(db)
        with self.store.reading() as db:
            return disputed(db, counted=counted, class_id=class_id, limit=limit)

    def suggestions(self) -> list[dict[str, Any]]:
        """What people say that clips show instead, as `board.suggestion_rows` has it."""
        with self._lock, self.store.reading() as db:
            return suggestion_rows(db, self._caught_up(db))

    def clips_of(self, class_id: int, *, which: str, texts: Sequence[str]) -> list[str]:
        """Clips of a class: accepted, rejected, all, or those that workers suggested one of the texts for."""
        with self._lock, self.store.reading() as db:
            if which == "suggested":
                return clips_suggested(db, self._caught_up(db), class_id, texts=texts)
            return clips_of_class(db, class_id, which=which)

    def _notice(self, db: sa.Connection) -> None:
        """Forget what was seen before somebody did something: whatever is done stands in the diary."""
        last = db.execute(sa.select(sa.func.max(events.c.event_id))).scalar() or 0
        if last != self._last_event:
            self._last_event = last
            self._board.at_s = self._workers.at_s = -1e18

    def _overview(self, db: sa.Connection, counted: list[TallyCount]) -> dict[str, Any]:
        found = overview(
            db,
            self._caught_up(db),
            counted=counted,
            rules=self.rules,
            rule=gate_rule(db, otherwise=self.otherwise_gate),
            now_us=self.now_us(),
        )
        forecast, num_cast = found["forecast"], found["totals"]["num_cast"]
        money = money_of(db, num_cast=num_cast, num_left=forecast["num_answers"], rules=self.rules)
        return {**rounded(found), "money": money}

    def _counts(self, db: sa.Connection) -> list[TallyCount]:
        if not self._counted.is_fresh(self.clock_s()):
            self._keep(self._counted, lambda: tally_counts(db, kinds=tuple(self.rules.protocols)))
        found: list[TallyCount] = self._counted.value
        return found

    def _caught_up(self, db: sa.Connection) -> VoteDigest:
        if not self._digested.is_fresh(self.clock_s()):
            digest = self._digest
            # One that broke off half way would count some votes twice: then the next look begins anew.
            self._digest = VoteDigest()
            self._keep(self._digested, lambda: digest.catch_up(db, max_votes=self.votes_a_look))
            self._digest = digest
        return self._digest

    def _keep(self, kept: _Kept, ask: Callable[[], Any]) -> None:
        started_s = self.clock_s()
        kept.value = ask()
        kept.at_s = self.clock_s()
        kept.cost_s = kept.at_s - started_s


def money_of(db: sa.Connection, *, num_cast: int, num_left: int, rules: Rules) -> dict[str, Any] | None:
    """What was spent and what is still to be spent on `num_left` answers, in the currency; None where no pay is set.

    Source: ours; what an answer cost so far, or before the first one what the rule makes of it, is what it will cost.
    """
    rule = pay_rule(db)
    if rule is None:
        return None
    cost = cost_so_far(db, rule)
    planned = {"answer": rule.amount, "task": rule.amount / rules.items_per_task["clip"]}.get(rule.per)
    each = cost.total / num_cast if num_cast and cost.total else planned
    return {
        "currency": cost.currency,
        "per": rule.per,
        "amount": float(rule.amount),
        "so_far": float(cost.total),
        "per_accepted": None if cost.per_accepted is None else float(cost.per_accepted),
        "per_answer": None if each is None else round(float(each), 6),
        "still": None if each is None else round(float(each) * num_left, 2),
    }


def seen(value: Any) -> Seen:
    """The value as JSON with its ETag."""
    body = orjson.dumps(value)
    return Seen(body, f'"{hashlib.sha256(body).hexdigest()[:20]}"')


def rounded(value: Any) -> Any:
    """The value with every float in it rounded to `DECIMALS`.

    >>> rounded({"a": [0.123456, 1, "b"]})
    {'a': [0.1235, 1, 'b']}
    """
    if isinstance(value, float):
        return round(value, DECIMALS)
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value
