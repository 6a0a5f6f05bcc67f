"""The verb's work: items and gold made, then people served or a crowd simulated, then the votes exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from gesta.label.crowd import check_answers, default_crowd, simulate_crowd
from gesta.label.export import export_votes, export_votes_of
from gesta.label.items import build_items, import_gold, load_items
from gesta.label.server import RunningServer, running_server
from gesta.label.store import database_url_of, leases, open_store, votes
from gesta.label.tally import Rules
from gesta.schema import US_PER_S, TrustRule
from gesta.tables import StageSummary, read_table

SIMULATED_EPOCH_US = 1_767_225_600 * US_PER_S
"""When a simulated crowd's clock starts: 2026-01-01 00:00 UTC. Source: ours."""


def run_label(
    work: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    gold: Path | None = None,
    export: bool = False,
    database: str | None = None,
    trust: TrustRule | None = None,
    seed: int = 0,
    until: Callable[[RunningServer], None],
) -> StageSummary:
    """Serve the questions of a work folder to people, and write the votes table at the end.

    Args:
        port: 0 = any that is free.
        gold: file of known answers (item_id, answer); None = those the work folder has.
        export: write the votes table of what is there, and serve nothing.
        database: SQLAlchemy URL; None = `work/labels.sqlite`.
        until: called with the running service; the service stops when it returns.
    Raises:
        MissingTable: an earlier stage was not run.
        BadInput: `gold` is wrong.
        GestaError: the address is taken.
    """
    items = prepare(work, gold=gold)
    if export:
        rules = Rules(trust=trust) if trust else Rules()
        store = open_store(database or database_url_of(work))
        try:
            load_items(store, work, rules=rules)
            summary = export_votes_of(store, work)
        finally:
            store.close()
    else:
        with running_server(work, host=host, port=port, database=database, trust=trust, seed=seed) as server:
            until(server)
        summary = export_votes(work, database=database)
    return _joined(items, summary)


def run_simulated(
    work: Path,
    *,
    simulate: Path,
    crowd_size: int = 14,
    spammer_frac: float = 0.2,
    gold: Path | None = None,
    database: str | None = None,
    trust: TrustRule | None = None,
    seed: int = 0,
    concurrency: int = 1,
    on_rows: Callable[[int], None] | None = None,
) -> StageSummary:
    """Put the questions of a work folder to a simulated crowd over HTTP, and write the votes table.

    Time is simulated too (1 ms a request, from 2026-01-01), so that with `concurrency` 1 the same inputs and `seed`
    give the same table, byte for byte.

    Args:
        simulate: file of true answers (item_id, answer), one for every item.
        spammer_frac: share of the crowd who answer without looking.
    Raises:
        MissingTable: an earlier stage was not run, or `simulate` is not there.
        BadInput: an item has no true answer, or the crowd is none.
    """
    items = prepare(work, gold=gold)
    answers = read_table(simulate, "gold")
    check_answers(answers, item_ids=read_table(work, "items")["item_id"])
    workers = default_crowd(crowd_size, spammer_frac=spammer_frac, seed=seed)
    clock = _simulated_clock(database or database_url_of(work))
    with running_server(work, database=database, trust=trust, seed=seed, now_us=clock) as server:
        crowd = simulate_crowd(
            server.url, answers=answers, workers=workers, seed=seed, concurrency=concurrency, on_rows=on_rows
        )
    summary = _joined(items, export_votes(work, database=database))
    rate = {"crowd_votes_per_s": round(crowd.num_votes / crowd.wall_s, 1), "crowd_wall_s": round(crowd.wall_s, 3)}
    return replace(summary, numbers={**summary.numbers, "num_new_votes": crowd.num_votes, **rate})


def prepare(work: Path, *, gold: Path | None = None) -> StageSummary:
    """Make the items table, and the gold table where a file of known answers is given."""
    items = build_items(work)
    if gold is None:
        return items
    known = import_gold(work, gold=gold)
    return replace(
        items, rejected={**items.rejected, **known.rejected}, numbers={**items.numbers, "num_gold": known.kept}
    )


def _joined(items: StageSummary, votes_summary: StageSummary) -> StageSummary:
    return replace(
        items,
        outputs=(*items.outputs, *votes_summary.outputs),
        was_current=items.was_current and votes_summary.was_current,
        numbers={**items.numbers, **votes_summary.numbers},
    )


def _simulated_clock(database: str) -> Callable[[], int]:
    """A clock that moves 1 ms at each call, from after all that the database knows.

    Leases that an interrupted crowd left have then run out.
    """
    store = open_store(database)
    try:
        with store.reading() as db:
            last_vote = db.execute(sa.select(sa.func.max(votes.c.cast_at_us))).scalar()
            last_lease = db.execute(sa.select(sa.func.max(leases.c.expires_at_us)).where(leases.c.is_live)).scalar()
    finally:
        store.close()
    time_us = max(SIMULATED_EPOCH_US, last_vote or 0, last_lease or 0)

    def now_us() -> int:
        nonlocal time_us
        time_us += 1000
        return time_us

    return now_us
