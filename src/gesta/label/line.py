"""The verb's work: items and gold made, then people served or a crowd simulated, then the votes exported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from gesta.label.crowd import check_answers, default_crowd, simulate_crowd
from gesta.label.export import export_votes
from gesta.label.guards import NO_LIMITS
from gesta.label.items import build_items, import_gold, import_scores
from gesta.label.rules import Rules
from gesta.label.server import RunningServer, running_server
from gesta.label.service import Skill
from gesta.label.sql_tables import tasks, votes
from gesta.label.store import database_url_of, open_store
from gesta.schema import US_PER_S
from gesta.tables import StageSummary, read_table

SIMULATED_EPOCH_US = 1_767_225_600 * US_PER_S
"""When a simulated crowd's clock starts: 2026-01-01 00:00 UTC. Source: ours."""


def run_label(
    work: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    gold: Path | None = None,
    scores: Path | None = None,
    lowest_frac: float = 1.0,
    export: bool = False,
    database: str | None = None,
    kinds: Sequence[str] | None = None,
    rules: Rules | None = None,
    seed: int = 0,
    skill_of: Skill | None = None,
    configure: Callable[[sa.Connection], None] | None = None,
    until: Callable[[RunningServer], None],
) -> StageSummary:
    """Serve the questions of a work folder to people, and write the votes table at the end.

    Args:
        port: 0 = any that is free.
        gold: file of known answers (item_id, answer); None = those the work folder has.
        scores: file of a classifier's scores (clip_id, class_id, score) that rank the pages of the final filter.
        lowest_frac: share of each class's clips, the least sure ones, that the final filter shows.
        export: write the votes table of what is there, and serve nothing.
        database: SQLAlchemy URL; None = `work/labels.sqlite`.
        kinds: of items that are made and asked; None = clips and boxed persons.
        rules: None = the papers' rules.
        skill_of: what tells the skill of workers from votes, for the owner's page.
        configure: called with a transaction before the service starts: pay, outside crowds.
        until: called with the running service; the service stops when it returns.
    Raises:
        MissingTable: an earlier stage was not run.
        BadInput: `gold` is wrong.
        GestaError: the address is taken.
    """
    if scores is not None:
        import_scores(work, scores=scores)
    made = prepare(work, gold=gold, kinds=kinds, lowest_frac=lowest_frac)
    if not export:
        with running_server(
            work, host=host, port=port, database=database, rules=rules, seed=seed, skill_of=skill_of,
            configure=configure,
        ) as server:  # fmt: skip
            until(server)
    return _joined(made, export_votes(work, database=database))


def run_simulated(
    work: Path,
    *,
    simulate: Path,
    crowd_size: int = 14,
    spammer_frac: float = 0.2,
    gold: Path | None = None,
    database: str | None = None,
    rules: Rules | None = None,
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
    made = prepare(work, gold=gold)
    answers = read_table(simulate, "gold")
    check_answers(answers, item_ids=read_table(work, "items")["item_id"])
    workers = default_crowd(crowd_size, spammer_frac=spammer_frac, seed=seed)
    clock = _simulated_clock(database or database_url_of(work))
    with running_server(work, database=database, rules=rules, seed=seed, now_us=clock, limits=NO_LIMITS) as server:
        crowd = simulate_crowd(
            server, answers=answers, workers=workers, seed=seed, concurrency=concurrency, on_rows=on_rows
        )
    summary = _joined(made, export_votes(work, database=database))
    rate = {"crowd_votes_per_s": round(crowd.num_votes / crowd.wall_s, 1), "crowd_wall_s": round(crowd.wall_s, 3)}
    return replace(summary, numbers={**summary.numbers, "num_new_votes": crowd.num_votes, **rate})


def prepare(
    work: Path, *, gold: Path | None = None, kinds: Sequence[str] | None = None, lowest_frac: float = 1.0
) -> StageSummary:
    """Make the items table, and the gold table where a file of known answers is given."""
    made = build_items(work) if kinds is None else build_items(work, kinds=kinds, lowest_frac=lowest_frac)
    if gold is None:
        return made
    known = import_gold(work, gold=gold)
    return replace(made, rejected={**made.rejected, **known.rejected}, numbers={**made.numbers, "num_gold": known.kept})


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
            is_live = tasks.c.status == "live"
            last_lease = db.execute(sa.select(sa.func.max(tasks.c.expires_at_us)).where(is_live)).scalar()
    finally:
        store.close()
    time_us = max(SIMULATED_EPOCH_US, last_vote or 0, last_lease or 0)

    def now_us() -> int:
        nonlocal time_us
        time_us += 1000
        return time_us

    return now_us
