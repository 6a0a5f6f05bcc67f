"""What the vote log says of its writers and its hours, gathered as the log grows.

The log is only ever appended to, so what was read of it once need not be read again: a digest covers the votes from
`low` to `high`, takes in what is new, then works its way back to the first vote, so many votes at a time. Reading
goes by `vote_id`, the log's own order, and counting is done by the database.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import sqlalchemy as sa

from gesta.label.sql_tables import items, votes

SLOT_US = 5 * 60 * 1_000_000
"""Width of the time slots that votes are counted in. Source: ours; an hour's rate is then at most 5 minutes old."""

BUCKET_MS = 250
MOST_BUCKET = 479
"""Widths of the buckets of time spent; the last one, from two minutes on, has no end. Source: ours."""

MOST_MISSED = 20
"""How many looks' worth of new votes are taken in at once; when nobody looked for longer, the digest begins anew at the
newest votes, so that no look takes minutes. Source: ours."""


@dataclass(slots=True)
class WorkerDigest:
    """One worker's first answers: when the last came, and how many took how long, by kind."""

    last_at_us: int = 0
    spent: dict[str, Counter[int]] = field(default_factory=dict)


@dataclass(slots=True)
class VoteDigest:
    """The votes with ids in low..high, counted: answers by kind and slot, gold by slot, workers, suggestions.

    A suggestion's key is the item and worker; its value the revision, the class that was asked for, and the text.
    """

    low: int = 1
    high: int = 0
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    gold_seen: Counter[int] = field(default_factory=Counter)
    gold_right: Counter[int] = field(default_factory=Counter)
    workers: dict[int, WorkerDigest] = field(default_factory=dict)
    suggestions: dict[tuple[int, int], tuple[int, int | None, str]] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether the digest goes back to the first vote."""
        return self.low <= 1

    def catch_up(self, db: sa.Connection, *, max_votes: int | None = None) -> None:
        """Take in the newest votes, then older ones, `max_votes` at most; null = all there are."""
        last = db.execute(sa.select(sa.func.max(votes.c.vote_id))).scalar() or 0
        if self.high == 0 and last:
            # The first look begins at the newest votes: the last hours are what people want to see.
            self.low, self.high = last + 1, last
        room = last if max_votes is None else max_votes
        if last - self.high > MOST_MISSED * room:
            self._begin_anew()
            self.low, self.high = last + 1, last
        # What came after the last look is taken in whole, or the newest hours would show gaps.
        if last > self.high:
            self._take(db, self.high + 1, last)
            room -= last - self.high
            self.high = last
        if room > 0 and not self.is_whole:
            first = max(1, self.low - room)
            self._take(db, first, self.low - 1)
            self.low = first

    def _begin_anew(self) -> None:
        for counts in (self.answers, self.gold_seen, self.gold_right, self.workers, self.suggestions):
            counts.clear()

    def _take(self, db: sa.Connection, first: int, last: int) -> None:
        within = sa.and_(votes.c.vote_id >= first, votes.c.vote_id <= last)
        self._take_answers(db, within)
        self._take_spent(db, within)
        self._take_suggestions(db, within)

    def _take_answers(self, db: sa.Connection, within: sa.ColumnElement[bool]) -> None:
        slot = (votes.c.cast_at_us // SLOT_US).label("slot")
        # Where the known answer is "done", what is right stands in the details, which the database cannot compare.
        is_gold = sa.and_(items.c.gold_answer.is_not(None), items.c.gold_answer != "done")
        fate = sa.case((~is_gold, 0), (votes.c.answer == items.c.gold_answer, 2), else_=1).label("fate")
        query = (
            sa.select(items.c.kind, slot, fate, sa.func.count().label("num"))
            .join_from(votes, items, items.c.seq == votes.c.seq)
            .where(within, votes.c.revision == 0)
            .group_by(items.c.kind, slot, fate)
        )
        for row in db.execute(query):
            self.answers[row.kind, row.slot] += row.num
            if row.fate:
                self.gold_seen[row.slot] += row.num
            if row.fate == 2:
                self.gold_right[row.slot] += row.num

    def _take_spent(self, db: sa.Connection, within: sa.ColumnElement[bool]) -> None:
        whole = votes.c.spent_ms // BUCKET_MS
        bucket = sa.case((whole > MOST_BUCKET, MOST_BUCKET), else_=whole).label("bucket")
        query = (
            sa.select(
                votes.c.worker_seq, items.c.kind, bucket,
                sa.func.count().label("num"), sa.func.max(votes.c.cast_at_us).label("last_at_us"),
            )
            .join_from(votes, items, items.c.seq == votes.c.seq)
            .where(within, votes.c.revision == 0)
            .group_by(votes.c.worker_seq, items.c.kind, bucket)
        )  # fmt: skip
        for row in db.execute(query):
            worker = self.workers.setdefault(row.worker_seq, WorkerDigest())
            worker.last_at_us = max(worker.last_at_us, row.last_at_us)
            worker.spent.setdefault(row.kind, Counter())[row.bucket] += row.num

    def _take_suggestions(self, db: sa.Connection, within: sa.ColumnElement[bool]) -> None:
        query = (
            sa.select(votes.c.seq, votes.c.worker_seq, votes.c.revision, items.c.class_id, votes.c.detail)
            .join_from(votes, items, items.c.seq == votes.c.seq)
            .where(within, items.c.kind.in_(("clip", "suggestion")))
            .where(sa.or_(votes.c.detail.is_not(None), votes.c.revision > 0))
        )
        for row in db.execute(query):
            key = (row.seq, row.worker_seq)
            held = self.suggestions.get(key)
            if held is None or held[0] < row.revision:
                self.suggestions[key] = (row.revision, row.class_id, suggested_text(row.detail))

    def answers_by_slot(self, *, kind: str | None = None) -> Counter[int]:
        """Answers in each slot, of one kind or of all."""
        found: Counter[int] = Counter()
        for (of_kind, slot), num in self.answers.items():
            if kind is None or of_kind == kind:
                found[slot] += num
        return found

    def median_spent_ms(self, *, worker_seq: int | None = None, kind: str | None = None) -> int | None:
        """The median time an answer took, of one worker or kind or of all; null without answers."""
        some = self.workers.values() if worker_seq is None else filter(None, [self.workers.get(worker_seq)])
        return median_ms(
            spent for worker in some for of_kind, spent in worker.spent.items() if kind in (None, of_kind)
        )  # fmt: skip


def median_ms(histograms: Iterable[Counter[int]]) -> int | None:
    """The middle of the bucket that holds the (lower) median; at most half a bucket from it, below two minutes.

    >>> median_ms([Counter({4: 3, 8: 1})]), median_ms([])
    (1125, None)
    """
    merged: Counter[int] = Counter()
    for histogram in histograms:
        merged.update(histogram)
    num_before, middle = 0, (sum(merged.values()) + 1) // 2
    for bucket in sorted(merged):
        num_before += merged[bucket]
        if num_before >= middle:
            return bucket * BUCKET_MS + BUCKET_MS // 2
    return None


def suggested_text(detail: str | None) -> str:
    """The action that a vote suggests, in small letters with single spaces; empty when it suggests none.

    >>> suggested_text('{"suggestion": " Pruning  a Hedge"}'), suggested_text('{"text": "x"}'), suggested_text(None)
    ('pruning a hedge', 'x', '')
    """
    try:
        found = json.loads(detail) if detail else {}
    except ValueError:
        return ""
    text = (found.get("text") or found.get("suggestion")) if isinstance(found, dict) else None
    return " ".join(text.split()).casefold() if isinstance(text, str) else ""
