"""What the owner sees of a running campaign: each function reads one thing from the label database.

Only views are read whole (`tallies`, `classes`, `workers`), with counting done by the database; of the vote log only
what came since the last look (`VoteDigest`) and the newest votes. So a board of a million items takes about a second,
and since readers wait for no writer and hold none up, the crowd does not notice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from gesta.label.agreement import entropy_bits, wilson_interval
from gesta.label.class_gates import GateRule
from gesta.label.forecast import Counts
from gesta.label.funnel import (
    ACCEPTED,
    OPEN,
    REJECTED,
    TallyCount,
    answers_needed,
    by_kind_and_class,
    funnel_row,
)
from gesta.label.rules import Rules
from gesta.label.sql_tables import classes, events, items, tallies, votes, workers
from gesta.label.vote_digest import SLOT_US, VoteDigest
from gesta.schema import US_PER_S

HOUR_US = 3600 * US_PER_S
HOURS_SHOWN = 24
SLOTS_PER_HOUR = HOUR_US // SLOT_US

RECENT_VOTES = 100_000
"""How many of the newest votes agreement with verdicts is measured on. Source: ours; a fifth of a second to read."""

MIN_COUNTED = 200
"""Counted answers from which the share that is paid beyond them is measured instead of assumed. Source: ours."""

SEEN_WITHIN_US = 15 * 60 * US_PER_S
"""Who answered this lately is at work. Source: ours; a task of 20 clips takes a few minutes."""

_BITS = 7
"""Bits of a count in the packed key; a count of 127 is far above any protocol's most votes."""

_NUM_COLUMNS = (tallies.c.num_yes, tallies.c.num_no, tallies.c.num_unsure, tallies.c.num_broken)


def tally_counts(db: sa.Connection, *, kinds: Sequence[str]) -> list[TallyCount]:
    """Every item that is not gold, by kind, class, state and answers; items of kinds not named are left out."""
    # One packed number is sorted several times faster than seven columns.
    code = sa.case({kind: number for number, kind in enumerate(kinds)}, value=items.c.kind)
    key = (sa.func.coalesce(items.c.class_id, -1) * 8 + code) * 8 + tallies.c.state
    for column in _NUM_COLUMNS:
        key = key * (1 << _BITS) + column
    key = key.label("key")
    query = (
        sa.select(
            key, sa.func.count().label("num_items"), sa.func.sum(tallies.c.num_leased).label("num_leases"),
            sa.func.sum(sa.case((tallies.c.num_leased > 0, 1), else_=0)).label("num_on_lease"),
        )
        .join_from(tallies, items, items.c.seq == tallies.c.seq)
        .where(items.c.gold_answer.is_(None), items.c.kind.in_(kinds))
        .group_by(key)
    )  # fmt: skip
    found = []
    for row in db.execute(query):
        rest, counts = int(row.key), []
        for _ in _NUM_COLUMNS:
            rest, count = divmod(rest, 1 << _BITS)
            counts.append(count)
        broken, unsure, no, yes = counts
        rest, state = divmod(rest, 8)
        class_id, number = divmod(rest, 8)
        found.append(
            TallyCount(
                kind=kinds[number],
                class_id=None if class_id == -1 else class_id,
                state=state,
                counts=(yes, no, unsure, broken),
                num_items=row.num_items,
                num_on_lease=int(row.num_on_lease),
                num_leases=int(row.num_leases),
            )
        )
    return found


def class_rows(db: sa.Connection, *, rule: GateRule) -> list[dict[str, Any]]:
    """Every class by its id: state, who set it, accuracy of its clips, and its threshold."""
    rows = []
    for row in db.execute(sa.select(classes).order_by(classes.c.class_id)):
        own = row.threshold_frac
        low, high = wilson_interval(row.num_accepted, row.num_decided)
        rows.append(
            {
                "class_id": row.class_id,
                "name": row.name,
                "state": row.state,
                "state_by": row.state_by,
                "num_decided": row.num_decided,
                "num_accepted": row.num_accepted,
                "accuracy": row.num_accepted / row.num_decided if row.num_decided else None,
                "accuracy_low": low,
                "accuracy_high": high,
                "threshold_frac": rule.threshold_frac if own is None else own,
                "has_own_threshold": own is not None,
                "is_judged": 0 < rule.after_num_clips <= row.num_decided,
            }
        )
    return rows


def worker_rows(db: sa.Connection, digest: VoteDigest) -> list[dict[str, Any]]:
    """Every worker in the order of joining: answers, gold, agreement with verdicts, pace and state."""
    agreed = recent_agreement(db)
    rows = []
    for row in db.execute(sa.select(workers).order_by(workers.c.seq)):
        seen = digest.workers.get(row.seq)
        num_same, num_judged = agreed.get(row.seq, (0, 0))
        low, high = wilson_interval(row.num_gold_right, row.num_gold)
        rows.append(
            {
                "worker_id": row.worker_id,
                "role": row.role,
                "state": row.state,
                "state_reason": row.state_reason,
                "is_held_by_owner": row.is_held_by_owner,
                "origin": row.origin,
                "joined_at_us": row.joined_at_us,
                "num_votes": row.num_votes,
                "num_gold": row.num_gold,
                "num_gold_right": row.num_gold_right,
                "gold_accuracy": row.num_gold_right / row.num_gold if row.num_gold else None,
                "gold_low": low,
                "gold_high": high,
                "agreement": num_same / num_judged if num_judged else None,
                "num_judged": num_judged,
                "median_spent_ms": digest.median_spent_ms(worker_seq=row.seq),
                "last_at_us": seen.last_at_us if seen else None,
            }
        )
    return rows


def recent_agreement(db: sa.Connection, *, num_votes: int = RECENT_VOTES) -> dict[int, tuple[int, int]]:
    """For each worker of the newest votes: how many agree with their item's verdict, of how many on decided items.

    Of yes-or-no questions without a known answer; a yes agrees with accepted, any other answer with rejected.
    """
    last = db.execute(sa.select(sa.func.max(votes.c.vote_id))).scalar() or 0
    is_same = (votes.c.answer == "yes") == (tallies.c.state == ACCEPTED)
    query = (
        sa.select(
            votes.c.worker_seq,
            sa.func.sum(sa.case((is_same, 1), else_=0)).label("num_same"),
            sa.func.count().label("num"),
        )
        .join_from(votes, tallies, tallies.c.seq == votes.c.seq)
        .join(items, items.c.seq == votes.c.seq)
        .where(
            votes.c.vote_id > last - num_votes,
            votes.c.revision == 0,
            tallies.c.state.in_((ACCEPTED, REJECTED)),
            items.c.gold_answer.is_(None),
            items.c.kind.in_(("clip", "box")),
        )
        .group_by(votes.c.worker_seq)
    )
    return {row.worker_seq: (int(row.num_same), row.num) for row in db.execute(query)}


def disputed(
    db: sa.Connection, *, counted: Iterable[TallyCount], class_id: int | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """The yes-or-no items whose answers are most divided, by entropy, then by how many answers there are.

    Args:
        counted: what `tally_counts` gave; it says which answers to look for, so that one pass finds the items.
    """
    wanted: dict[Counts, int] = {}
    for each in counted:
        if each.kind in ("clip", "box") and class_id in (None, each.class_id) and entropy_bits(each.counts) > 0:
            wanted[each.counts] = wanted.get(each.counts, 0) + each.num_items
    chosen: list[Counts] = []
    for counts in sorted(wanted, key=_dispute, reverse=True):
        chosen.append(counts)
        if sum(wanted[each] for each in chosen) >= limit:
            break
    rows: list[dict[str, Any]] = []
    for counts in chosen:
        rows += _items_answered(db, counts, class_id=class_id, limit=limit - len(rows))
    return rows


def _dispute(counts: Counts) -> tuple[float, int, Counts]:
    # Rounded: sums of logarithms in another order differ in the last digit.
    return (round(entropy_bits(counts), 9), sum(counts), counts)


def _items_answered(db: sa.Connection, counts: Counts, *, class_id: int | None, limit: int) -> list[dict[str, Any]]:
    query = (
        sa.select(items, tallies.c.state, classes.c.name)
        .join_from(tallies, items, items.c.seq == tallies.c.seq)
        .outerjoin(classes, classes.c.class_id == items.c.class_id)
        .where(*(column == count for column, count in zip(_NUM_COLUMNS, counts, strict=True)))
        .where(items.c.gold_answer.is_(None), items.c.kind.in_(("clip", "box")))
        .order_by(tallies.c.seq)
        .limit(limit)
    )
    if class_id is not None:
        query = query.where(items.c.class_id == class_id)
    return [
        {
            "seq": row.seq,
            "item_id": row.item_id,
            "kind": row.kind,
            "clip_id": row.clip_id,
            "class_id": row.class_id,
            "class_name": row.name or row.class_name,
            "timestamp_us": row.timestamp_us,
            "box": None if row.x1 is None else [row.x1, row.y1, row.x2, row.y2],
            "answers": dict(zip(("yes", "no", "unsure", "broken"), counts, strict=True)),
            "entropy_bits": entropy_bits(counts),
            "verdict": {OPEN: "open", ACCEPTED: "accepted", REJECTED: "rejected"}.get(row.state, "closed"),
        }
        for row in db.execute(query)
    ]


def suggestion_rows(db: sa.Connection, digest: VoteDigest) -> list[dict[str, Any]]:
    """What people say that clips show instead, by class, the commonest first; barred workers are left out."""
    barred = set(db.execute(sa.select(workers.c.seq).where(workers.c.state == "barred")).scalars())
    names = {row.class_id: row.name for row in db.execute(sa.select(classes.c.class_id, classes.c.name))}
    num_votes: dict[tuple[int | None, str], int] = {}
    clips: dict[tuple[int | None, str], set[int]] = {}
    for (seq, worker_seq), (_, class_id, text) in digest.suggestions.items():
        if text and worker_seq not in barred:
            key = (class_id, text)
            num_votes[key] = num_votes.get(key, 0) + 1
            clips.setdefault(key, set()).add(seq)
    rows = [
        {
            "class_id": class_id,
            "class_name": None if class_id is None else names.get(class_id),
            "text": text,
            "num_votes": num,
            "num_items": len(clips[class_id, text]),
        }
        for (class_id, text), num in num_votes.items()
    ]
    return sorted(
        rows, key=lambda row: (-row["num_votes"], -1 if row["class_id"] is None else row["class_id"], row["text"])
    )


def clips_of_class(db: sa.Connection, class_id: int, *, which: str) -> list[str]:
    """The clips that were asked about under the class; `which` is accepted, rejected or all."""
    states = {"accepted": (ACCEPTED,), "rejected": (REJECTED,)}.get(which, tuple(range(5)))
    query = (
        sa.select(items.c.clip_id)
        .join(tallies, tallies.c.seq == items.c.seq)
        .where(items.c.kind == "clip", items.c.class_id == class_id, tallies.c.state.in_(states))
        .distinct()
        .order_by(items.c.clip_id)
    )
    return list(db.execute(query).scalars())


def clips_suggested(db: sa.Connection, digest: VoteDigest, class_id: int, *, texts: Iterable[str]) -> list[str]:
    """The clips of the class for which workers who are not barred suggested one of these names."""
    barred = set(db.execute(sa.select(workers.c.seq).where(workers.c.state == "barred")).scalars())
    wanted = {" ".join(text.split()).casefold() for text in texts} - {""}
    seqs = {
        seq
        for (seq, worker_seq), (_, of_class, text) in digest.suggestions.items()
        if of_class == class_id and text in wanted and worker_seq not in barred
    }
    query = sa.select(items.c.seq, items.c.clip_id).where(items.c.class_id == class_id)
    return sorted({row.clip_id for row in db.execute(query) if row.seq in seqs})


def event_rows(db: sa.Connection, *, limit: int = 100, before: int | None = None) -> list[dict[str, Any]]:
    """The newest lines of the diary, the last first; `before` an event's id = older ones than that."""
    query = sa.select(events).order_by(events.c.event_id.desc()).limit(limit)
    if before is not None:
        query = query.where(events.c.event_id < before)
    names = ("event_id", "at_us", "actor", "what", "subject")
    return [
        {**{name: getattr(row, name) for name in names}, "detail": json.loads(row.detail)} for row in db.execute(query)
    ]


def by_hour(slots: Mapping[int, int], *, now_us: int, num_hours: int = HOURS_SHOWN) -> list[dict[str, int]]:
    """The sums of slots by hour, the last `num_hours`, the running one last."""
    last = now_us // HOUR_US
    rows = dict.fromkeys(range(last - num_hours + 1, last + 1), 0)
    for slot, num in slots.items():
        hour = slot // SLOTS_PER_HOUR
        if hour in rows:
            rows[hour] += num
    return [{"start_us": hour * HOUR_US, "num": num} for hour, num in rows.items()]


def rate_per_hour(slots: Mapping[int, int], *, now_us: int) -> float | None:
    """Answers an hour over the last twelve whole slots, or since the first answer; null when there were none.

    >>> rate_per_hour({10: 5, 11: 7}, now_us=12 * SLOT_US)
    72.0
    """
    now = now_us // SLOT_US
    recent = {slot: num for slot, num in slots.items() if now - SLOTS_PER_HOUR <= slot < now}
    if not recent:
        return None
    first = max(now - SLOTS_PER_HOUR, min(slots))
    return sum(recent.values()) * SLOTS_PER_HOUR / (now - first)


def paid_per_counted(*, num_cast: int, num_counted: int, rules: Rules) -> float:
    """Answers that are given, and paid, for each that counts towards a verdict: gold and set-aside ones come on top.

    Source: ours; measured from `MIN_COUNTED` on, before that the share of gold in a task of clips.
    """
    if num_counted >= MIN_COUNTED:
        return max(1.0, num_cast / num_counted)
    per_task = rules.items_per_task["clip"]
    return per_task / max(1, per_task - rules.gold_per_task)


def overview(
    db: sa.Connection, digest: VoteDigest, *, counted: Sequence[TallyCount], rules: Rules, rule: GateRule, now_us: int
) -> dict[str, Any]:
    """The board: totals, kinds, classes, gold, pace, and what is left. Money is added by who knows the pay.

    Args:
        counted: what `tally_counts` gave.
        digest: of the vote log, caught up.
    """
    listed = class_rows(db, rule=rule)
    held = frozenset(row["class_id"] for row in listed if row["state"] != "active")
    groups = by_kind_and_class(counted)
    of_kind = {kind: [each for each in counted if each.kind == kind] for kind in rules.protocols}
    slots = digest.answers_by_slot()
    num_cast = db.execute(sa.select(sa.func.coalesce(sa.func.sum(workers.c.num_votes), 0))).scalar_one()
    whole = funnel_row(counted, is_yes_no=False)
    needed = answers_needed(counted, protocols=rules.protocols, held=held)
    per_counted = paid_per_counted(num_cast=int(num_cast), num_counted=whole["num_answers"], rules=rules)
    rate = rate_per_hour(slots, now_us=now_us)
    num_needed = needed["num_needed"] * per_counted
    seen = [worker.last_at_us for worker in digest.workers.values()]
    names = {row["class_id"]: row for row in listed}
    return {
        "totals": {
            **whole,
            "num_cast": int(num_cast),
            "num_at_work": sum(now_us - last <= SEEN_WITHIN_US for last in seen),
            "median_spent_ms": digest.median_spent_ms(),
            "num_paused": sum(row["state"] == "paused" for row in listed),
        },
        "kinds": [
            {
                "kind": kind,
                **funnel_row(some, is_yes_no=kind in ("clip", "box")),
                "median_spent_ms": digest.median_spent_ms(kind=kind),
            }
            for kind, some in of_kind.items()
            if some
        ],
        "classes": [
            {
                "kind": kind,
                "class_id": class_id,
                "name": names[class_id]["name"] if class_id in names else None,
                **funnel_row(groups[kind, class_id], is_yes_no=kind in ("clip", "box")),
            }
            for kind, class_id in sorted(groups, key=lambda key: (key[0], -1 if key[1] is None else key[1]))
        ],
        "gates": listed,
        "gate_rule": {"threshold_frac": rule.threshold_frac, "after_num_clips": rule.after_num_clips},
        "answers_by_hour": by_hour(slots, now_us=now_us),
        "gold_by_hour": [
            {"start_us": seen_row["start_us"], "num_seen": seen_row["num"], "num_right": right_row["num"]}
            for seen_row, right_row in zip(
                by_hour(digest.gold_seen, now_us=now_us), by_hour(digest.gold_right, now_us=now_us), strict=True
            )
        ],
        "gold": {"num_seen": digest.gold_seen.total(), "num_right": digest.gold_right.total()},
        "forecast": {
            "num_answers": round(num_needed),
            "num_answers_held": round(needed["num_held"] * per_counted),
            "paid_per_counted": per_counted,
            "rate_per_hour": rate,
            "hours": num_needed / rate if rate else None,
        },
        "covers": {"num_votes": max(0, digest.high - digest.low + 1), "is_whole": digest.is_whole},
    }
