"""The vote log as a table."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import sqlalchemy as sa

from gesta.label.items import STAGE
from gesta.label.recount import ACCEPTED, CLOSED, OPEN, REJECTED, WAITING
from gesta.label.sql_tables import items, tallies, votes, workers
from gesta.label.store import Store, database_url_of, open_store
from gesta.schema import WorkerRuling
from gesta.tables import (
    StageSummary,
    empty_frame,
    frame_of,
    hashes_of,
    is_current,
    made_by,
    sha256_of_json,
    table_path,
    write_table,
)


def export_votes(work: Path, *, database: str | None = None) -> StageSummary:
    """Write the votes table: every answer in the order of arrival, those of barred workers too.

    What the owner decided of workers is written beside it (`worker_rulings`), so that consensus counts as the service
    does. `vote_id` counts from 1; `is_gold` is true where the database knows the item's answer.

    Args:
        database: SQLAlchemy URL; None = `work/labels.sqlite`.
    Raises:
        MissingTable: `items` is not there.
    """
    store = open_store(database or database_url_of(work))
    try:
        return export_votes_of(store, work)
    finally:
        store.close()


def export_votes_of(store: Store, work: Path) -> StageSummary:
    """As `export_votes`, from an open database."""
    frame = _votes_of(store)
    inputs = {**hashes_of(work, ["items"]), "vote_log": sha256_of_json([list(row) for row in frame.iter_rows()])}
    provenance = made_by(STAGE, arguments={}, inputs=inputs)
    path = table_path(work, "votes")
    was_current = is_current(path, provenance)
    if not was_current:
        write_table(path, "votes", frame, made_by=provenance)
    _write_rulings(store, work)
    with store.reading() as db:
        counted = (
            sa.select(tallies.c.state, sa.func.count())
            .join(items, items.c.seq == tallies.c.seq)
            .where(items.c.gold_answer.is_(None), items.c.is_active, tallies.c.state != CLOSED)
            .group_by(tallies.c.state)
        )
        states = {int(row[0]): int(row[1]) for row in db.execute(counted)}
        barred = sa.select(sa.func.count()).where(workers.c.state == "barred")
        num_barred = db.execute(barred).scalar_one()
    return StageSummary(
        stage=STAGE,
        kept=len(frame),
        outputs=("votes.parquet",),
        was_current=was_current,
        numbers={
            "num_votes": len(frame),
            "num_workers": frame["worker_id"].n_unique(),
            "num_barred": num_barred,
            "num_accepted": states.get(ACCEPTED, 0),
            "num_rejected": states.get(REJECTED, 0),
            "num_open": states.get(OPEN, 0) + states.get(WAITING, 0),
        },
    )


def _write_rulings(store: Store, work: Path) -> None:
    held = sa.select(workers.c.worker_id, workers.c.state, workers.c.state_reason).where(workers.c.is_held_by_owner)
    with store.reading() as db:
        rulings = [
            WorkerRuling(worker_id=row.worker_id, is_trusted=row.state != "barred", reason=row.state_reason)
            for row in db.execute(held.order_by(workers.c.worker_id))
        ]
    path = table_path(work, "worker_rulings")
    if rulings or path.is_file():
        facts = sha256_of_json([[ruling.worker_id, ruling.is_trusted, ruling.reason] for ruling in rulings])
        provenance = made_by(STAGE, arguments={}, inputs={"workers": facts})
        if not is_current(path, provenance):
            write_table(path, "worker_rulings", frame_of("worker_rulings", rulings), made_by=provenance)


def _votes_of(store: Store) -> pl.DataFrame:
    query = (
        sa.select(
            items.c.item_id,
            workers.c.worker_id,
            votes.c.answer,
            votes.c.lasts_whole_clip,
            items.c.gold_answer.is_not(None).label("is_gold"),
            votes.c.spent_ms,
            votes.c.cast_at_us,
            votes.c.detail,
            votes.c.revision,
        )
        .join(items, items.c.seq == votes.c.seq)
        .join(workers, workers.c.seq == votes.c.worker_seq)
        .order_by(votes.c.vote_id)
    )
    with store.reading() as db:
        rows = [(number, *row) for number, row in enumerate(db.execute(query), start=1)]
    schema = empty_frame("votes").schema
    order = ["vote_id", *(str(column.key) for column in query.selected_columns)]
    frame = pl.DataFrame(rows, schema={name: schema[name] for name in order}, orient="row")
    return frame.select(list(schema))
