"""What the vote log says of items and workers: counts, verdicts, free leases, trust.

Everything here is read from the log and written into the views beside it; nothing is counted up or down, so a
view cannot drift from the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from gesta.label.store import in_chunks, items, leases, rows_in, tallies, votes, workers
from gesta.schema import ANSWERS, PROTOCOLS, Protocol, TrustRule, fewest_votes_left


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Under what rules questions are handed out and answers counted."""

    protocols: Mapping[str, Protocol] = field(default_factory=lambda: dict(PROTOCOLS))
    trust: TrustRule = field(default_factory=TrustRule)
    items_per_task: int = 20
    gold_per_task: int = 2
    lease_us: int = 30 * 60 * 1_000_000


def refresh_tallies(db: sa.Connection, item_ids: Iterable[str], *, rules: Rules) -> None:
    """Bring the tallies of these items up to the log and the leases, and those of the items that they gate."""
    asked = sorted(set(item_ids))
    opened = _refresh(db, asked, rules=rules)
    if opened:
        gated = rows_in(db, sa.select(items.c.item_id), items.c.gate_item_id, sorted(opened))
        _refresh(db, sorted(row.item_id for row in gated), rules=rules)


def _refresh(db: sa.Connection, item_ids: Sequence[str], *, rules: Rules) -> list[str]:
    """The ids among these whose verdict changed, once their tallies are up to date."""
    gate = tallies.alias("gate")
    described = (
        sa.select(
            items.c.item_id, items.c.kind, items.c.gold_answer, items.c.is_active, tallies.c.verdict,
            items.c.gate_item_id, gate.c.verdict.label("gate_verdict"),
        )
        .join(tallies, tallies.c.item_id == items.c.item_id)
        .outerjoin(gate, gate.c.item_id == items.c.gate_item_id)
    )  # fmt: skip
    rows = rows_in(db, described, items.c.item_id, item_ids)
    counts = _standing_votes(db, item_ids)
    leased = _live_leases(db, item_ids)
    changed, updates = [], []
    for row in rows:
        update = _tally(row, counts.get(row.item_id, {}), leased.get(row.item_id, 0), rules=rules)
        updates.append({"of_item": row.item_id, **update})
        if update["verdict"] != row.verdict:
            changed.append(row.item_id)
    if updates:
        db.execute(sa.update(tallies).where(tallies.c.item_id == sa.bindparam("of_item")), updates)
    return changed


def _tally(row: sa.Row[Any], counts: Mapping[str, int], num_leased: int, *, rules: Rules) -> dict[str, Any]:
    protocol = rules.protocols[row.kind]
    if row.gold_answer is None:
        verdict = protocol.verdict(counts)
    else:
        verdict = "accepted" if row.gold_answer == "yes" else "rejected"
    is_closed = not row.is_active or verdict != "open" or row.gate_verdict == "rejected"
    is_gate_open = row.gate_item_id is None or row.gate_verdict == "accepted"
    wanted = fewest_votes_left(protocol, counts) if not is_closed and is_gate_open else 0
    num_free = max(0, wanted - num_leased)
    return {
        **{f"num_{answer}": counts.get(answer, 0) for answer in ANSWERS},
        "num_standing": sum(counts.values()),
        "num_leased": num_leased,
        "num_free": num_free,
        "is_free": num_free > 0,
        "verdict": verdict,
        "is_closed": is_closed,
    }


def _standing_votes(db: sa.Connection, item_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    query = (
        sa.select(votes.c.item_id, votes.c.answer, sa.func.count().label("num"))
        .join(workers, workers.c.worker_id == votes.c.worker_id)
        .where(workers.c.is_barred.is_(False))
        .group_by(votes.c.item_id, votes.c.answer)
    )
    counts: dict[str, dict[str, int]] = {}
    for row in rows_in(db, query, votes.c.item_id, item_ids):
        counts.setdefault(row.item_id, {})[row.answer] = row.num
    return counts


def _live_leases(db: sa.Connection, item_ids: Sequence[str]) -> dict[str, int]:
    query = (
        sa.select(leases.c.item_id, sa.func.count().label("num"))
        .where(leases.c.is_live.is_(True))
        .group_by(leases.c.item_id)
    )
    return {row.item_id: row.num for row in rows_in(db, query, leases.c.item_id, item_ids)}


def refresh_workers(db: sa.Connection, worker_ids: Sequence[str], *, rules: Rules) -> list[str]:
    """The ids among these whose trust changed, once their counts are up to the log.

    A worker who becomes barred loses every live lease. Whoever calls refreshes the items of those returned.
    """
    is_right = sa.case((votes.c.answer == items.c.gold_answer, 1), else_=0)
    counted = (
        sa.select(
            votes.c.worker_id,
            sa.func.count().label("num_votes"),
            sa.func.count(items.c.gold_answer).label("num_gold"),
            sa.func.sum(is_right).label("num_gold_right"),
        )
        .join(items, items.c.item_id == votes.c.item_id)
        .group_by(votes.c.worker_id)
    )
    was_barred = {
        row.worker_id: row.is_barred
        for row in rows_in(db, sa.select(workers.c.worker_id, workers.c.is_barred), workers.c.worker_id, worker_ids)
    }
    updates = []
    for row in rows_in(db, counted, votes.c.worker_id, worker_ids):
        trusted = rules.trust.is_trusted(num_gold=row.num_gold, num_gold_right=row.num_gold_right)
        updates.append(
            {
                "of_worker": row.worker_id,
                "num_votes": row.num_votes,
                "num_gold": row.num_gold,
                "num_gold_right": row.num_gold_right,
                "is_barred": not trusted,
            }
        )
    if updates:
        db.execute(sa.update(workers).where(workers.c.worker_id == sa.bindparam("of_worker")), updates)
    changed = [update["of_worker"] for update in updates if update["is_barred"] != was_barred[update["of_worker"]]]
    for some in in_chunks([update["of_worker"] for update in updates if update["is_barred"]]):
        db.execute(sa.update(leases).where(leases.c.worker_id.in_(some), leases.c.is_live).values(is_live=False))
    return changed


def items_of_worker(db: sa.Connection, worker_id: str) -> list[str]:
    """Every item that the worker answered or was given."""
    answered = sa.select(votes.c.item_id).where(votes.c.worker_id == worker_id)
    given = sa.select(leases.c.item_id).where(leases.c.worker_id == worker_id)
    return list(db.execute(answered.union(given)).scalars())


def refresh_everything(db: sa.Connection, *, rules: Rules) -> None:
    """Rebuild every view from the log: for a service that starts, perhaps under other rules or other gold."""
    refresh_workers(db, list(db.execute(sa.select(workers.c.worker_id)).scalars()), rules=rules)
    refresh_tallies(db, db.execute(sa.select(items.c.item_id)).scalars(), rules=rules)
    # Gates may have changed after the items behind them were refreshed.
    gated = db.execute(sa.select(items.c.item_id).where(items.c.gate_item_id.is_not(None))).scalars()
    _refresh(db, sorted(gated), rules=rules)
