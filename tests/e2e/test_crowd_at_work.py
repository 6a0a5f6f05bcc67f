"""Thirty-two people at once with every bad habit there is, against the real service: nothing lost, nothing doubled."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.unit.label.conftest import PROVENANCE, make_work
from tests.unit.label.crowd_audit import answers_after_the_verdict, audited, doubled, gold_shown_again

from gesta.consensus import run_consensus
from gesta.label import Rules, build_items, default_crowd, export_votes, running_server, simulate_crowd
from gesta.label.crowd import MANNERS
from gesta.label.guards import NO_LIMITS
from gesta.label.sql_tables import items, tasks, votes, workers
from gesta.schema import PROTOCOLS, US_PER_S, Gold, TrustRule
from gesta.tables import frame_of, read_table, table_path, write_table

NUM_CLIPS, NUM_WORKERS, NUM_AT_ONCE = 600, 40, 32
TRUST = TrustRule(min_gold=10, min_accuracy=0.6)


def lay_out(work: Path) -> dict[str, str]:
    """The folder with its items and gold; the true answer of every item."""
    make_work(work, num_clips=NUM_CLIPS, num_classes=8)
    build_items(work)
    rng = random.Random(9)
    truth = {item_id: rng.choice(["yes", "no"]) for item_id in read_table(work, "items")["item_id"]}
    known = [Gold(item_id=item_id, answer=answer) for item_id, answer in truth.items() if rng.random() < 0.3]
    write_table(table_path(work, "gold"), "gold", frame_of("gold", known), made_by=PROVENANCE)
    return truth


@pytest.mark.slow
def test_a_crowd_with_every_bad_habit_loses_and_doubles_nothing(tmp_path: Path, database_url: str) -> None:
    work = tmp_path / "work"
    truth = lay_out(work)
    rules = Rules(
        class_threshold_frac=0.0, trust=TRUST, gold_per_task=5, lease_us=3 * US_PER_S, prepared_lease_us=2 * US_PER_S
    )
    crowd = default_crowd(NUM_WORKERS, spammer_frac=0.2, seed=5, manners=MANNERS)
    answers = frame_of("gold", [Gold(item_id=item_id, answer=answer) for item_id, answer in truth.items()])
    with running_server(work, database=database_url, rules=rules, limits=NO_LIMITS) as server:
        with audited(server.store.engine) as audit:
            done = simulate_crowd(
                server, answers=answers, workers=crowd, seed=5, concurrency=NUM_AT_ONCE, patience_s=15
            )
        with server.store.reading() as db:
            # Lost: told to a worker as accepted and not in the log; doubled: in the log twice.
            assert db.execute(sa.select(sa.func.count()).select_from(votes)).scalar_one() == done.num_votes
            assert doubled(db) == gold_shown_again(db) == answers_after_the_verdict(db) == []
            states = {row.worker_id: row.state for row in db.execute(sa.select(workers.c.worker_id, workers.c.state))}
            ended = Counter(row.status for row in db.execute(sa.select(tasks.c.status)))
            gold_answers = (
                sa.select(votes.c.worker_seq, votes.c.seq)
                .join(items, items.c.seq == votes.c.seq)
                .where(items.c.gold_answer.is_not(None))
            )
            assert db.execute(gold_answers).first() is not None
        num_open = server.num_open
    assert audit.num_looks > 10
    assert not audit.over_collected
    assert audit.most["clip"] <= PROTOCOLS["clip"].max_votes
    assert num_open == 0
    sleepers = {worker.worker_id for worker in crowd if worker.manner == "sleeper"}
    assert set(done.asleep) == sleepers - {worker_id for worker_id, state in states.items() if state == "barred"}
    assert ended["expired"] >= len(done.asleep), "what sleepers held ran out"
    assert done.num_repeats > 20

    # What the service bars the stage sets aside, and both come to the same labels, which are nearly all right.
    barred = {worker_id for worker_id, state in states.items() if state == "barred"}
    kinds = {worker.worker_id: worker.kind for worker in crowd}
    honest = {worker_id for worker_id in barred if not kinds[worker_id].startswith("spammer")}
    assert len(barred - honest) >= 2
    assert len(honest) <= 2, "who is right nine times in ten is seldom wrong half of the time"
    export_votes(work, database=database_url)
    run_consensus(work, trust=TRUST)
    of_stage = read_table(work, "workers")
    assert barred == set(of_stage.filter(~of_stage["is_trusted"])["worker_id"])
    labels = read_table(work, "clip_labels")
    right = [
        (row["verdict"] == "accepted") == (truth[f"clip:{row['clip_id']}:{row['class_id']}"] == "yes")
        for row in labels.iter_rows(named=True)
    ]
    assert set(labels["verdict"]) == {"accepted", "rejected"}
    assert sum(right) / len(right) > 0.95
