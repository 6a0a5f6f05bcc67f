"""The vote log as a table: every kind's detail, revisions, and everybody's votes."""

from __future__ import annotations

import sqlalchemy as sa

from gesta.consensus import run_consensus
from gesta.label.export import export_votes
from gesta.label.items import build_items
from gesta.label.load_items import load_items
from gesta.label.rules import Rules
from gesta.label.sql_tables import items, votes, workers
from gesta.label.store import open_store
from gesta.schema import Gold
from gesta.tables import read_table

from .conftest import WorkFolder, write

PROPOSED = '{"class_ids":[12]}'


def test_the_log_becomes_a_table_with_details_and_revisions(work_folder: WorkFolder, database_url: str) -> None:
    work = work_folder(num_clips=2, num_persons=1)
    build_items(work, kinds=["person"])
    write(work, "gold", [Gold(item_id="clip:c01:2", answer="no")])
    store = open_store(database_url)
    load_items(store, work, rules=Rules(), now_us=1)
    cast = [
        (1, "person:c00:0001500000:0", 0, "unsure", None), (1, "person:c00:0001500000:0", 1, "done", PROPOSED),
        (2, "clip:c00:1", 0, "no", '{"suggestion":"caf\u00e9"}'), (2, "clip:c01:2", 0, "yes", None),
    ]  # fmt: skip
    with store.writing() as db:
        for seq, state in ((1, "active"), (2, "barred")):
            db.execute(
                sa.insert(workers).values(
                    seq=seq, worker_id=f"w{seq}", role="worker", state=state, is_held_by_owner=state == "barred",
                    origin="local", joined_at_us=0, num_votes=0, num_gold=0, num_gold_right=0,
                )
            )  # fmt: skip
        seqs = {row.item_id: row.seq for row in db.execute(sa.select(items.c.item_id, items.c.seq))}
        for time_us, (worker_seq, item_id, revision, answer, detail) in enumerate(cast, start=10):
            lasts = True if answer == "yes" else None
            db.execute(
                sa.insert(votes).values(
                    seq=seqs[item_id], worker_seq=worker_seq, revision=revision, answer=answer, detail=detail,
                    lasts_whole_clip=lasts, spent_ms=5, cast_at_us=time_us,
                )
            )  # fmt: skip
    store.close()
    summary = export_votes(work, database=database_url)
    assert (summary.numbers["num_votes"], summary.numbers["num_barred"]) == (4, 1)
    found = read_table(work, "votes")
    columns = ["vote_id", "worker_id", "item_id", "revision", "answer", "detail", "is_gold", "lasts_whole_clip"]
    assert found.select(columns).rows() == [
        (number, f"w{worker}", item_id, revision, answer, detail, item_id == "clip:c01:2", True if detail is None
         and answer == "yes" else None)
        for number, (worker, item_id, revision, answer, detail) in enumerate(cast, start=1)
    ]  # fmt: skip
    assert export_votes(work, database=database_url).was_current
    assert read_table(work, "worker_rulings").rows() == [("w2", False, "")]
    run_consensus(work)
    assert read_table(work, "suggestions")["text"].to_list() == [], "what a barred worker said is set aside"
    assert read_table(work, "workers").select("num_votes", "is_trusted").rows() == [(1, True), (2, False)]
