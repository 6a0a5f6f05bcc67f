"""The simulated crowd, over real HTTP: the same votes from run to run, and never an answer too many."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from gesta.label import SimulatedWorker, default_crowd, export_votes, run_simulated, running_server, simulate_crowd
from gesta.label.crowd import habits_of
from gesta.schema import PROTOCOLS, BadInput, GestaError, Gold, TrustRule
from gesta.tables import frame_of, read_table, sha256_of_file, table_path, write_table

from .conftest import PROVENANCE, WorkFolder


def _truth(work: Path, *, gold_frac: float = 0.0) -> pl.DataFrame:
    """Half of the clips show the action, and of those the first person does; some of it known as gold."""
    rng = random.Random(4)
    shows = {clip_id: rng.random() < 0.5 for clip_id in read_table(work, "clips")["clip_id"]}
    rows = [
        Gold(item_id=i["item_id"], answer="yes" if shows[i["clip_id"]] and i["person_id"] in (None, 0) else "no")
        for i in read_table(work, "items").iter_rows(named=True)
    ]
    write_table(work / "answers.parquet", "gold", frame_of("gold", rows), made_by=PROVENANCE)
    known = [row for row in rows if rng.random() < gold_frac]
    write_table(work / "gold.csv", "gold", frame_of("gold", known), made_by=PROVENANCE)
    return frame_of("gold", rows)


def _worker(name: str, *, right: float = 0.95) -> SimulatedWorker:
    return SimulatedWorker(worker_id=name, habits=habits_of(right=right), mean_spent_ms=5000)


def _verdicts(votes: pl.DataFrame) -> dict[str, tuple[str, int]]:
    """Verdict and number of votes of each item that is not gold, from the log alone."""
    counts: dict[str, Counter[str]] = {}
    for item_id, answer in votes.filter(~pl.col("is_gold")).select("item_id", "answer").iter_rows():
        counts.setdefault(item_id, Counter())[answer] += 1
    return {i: (PROTOCOLS[i.split(":")[0]].verdict(c), c.total()) for i, c in counts.items()}


def test_two_runs_give_the_same_votes_table(work_folder: WorkFolder) -> None:
    hashes = set()
    for name in ("one", "two"):
        work = work_folder(num_clips=24, num_persons=2, name=name)
        _truth(work, gold_frac=0.2)
        summary = run_simulated(
            work, simulate=work / "answers.parquet", gold=work / "gold.csv", crowd_size=7, spammer_frac=0.3, seed=7
        )
        assert summary.numbers["num_open"] == 0
        assert summary.numbers["num_votes"] == summary.numbers["num_new_votes"] > 60
        hashes.add(sha256_of_file(table_path(work, "votes")))
    assert len(hashes) == 1
    votes = read_table(work, "votes")
    assert votes["vote_id"].to_list() == list(range(1, len(votes) + 1))
    assert votes.select("item_id", "worker_id").is_duplicated().sum() == 0
    assert votes.filter("is_gold").height > 0
    assert votes.filter(pl.col("lasts_whole_clip").is_not_null() & (pl.col("answer") != "yes")).is_empty()
    assert votes["cast_at_us"].is_sorted()


def test_another_seed_gives_other_votes(work_folder: WorkFolder) -> None:
    hashes = set()
    for seed in (1, 2):
        work = work_folder(num_clips=6, name=f"seed{seed}")
        _truth(work)
        run_simulated(work, simulate=work / "answers.parquet", seed=seed, crowd_size=5)
        hashes.add(sha256_of_file(table_path(work, "votes")))
    assert len(hashes) == 2


def test_a_second_run_finds_nothing_to_do(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=6)
    _truth(work)
    first = run_simulated(work, simulate=work / "answers.parquet", seed=1)
    before = sha256_of_file(table_path(work, "votes"))
    second = run_simulated(work, simulate=work / "answers.parquet", seed=1)
    assert (second.numbers["num_new_votes"], second.was_current) == (0, True)
    assert first.numbers["num_votes"] == second.numbers["num_votes"]
    assert sha256_of_file(table_path(work, "votes")) == before


def test_sixteen_at_once_never_get_an_item_too_many_answers(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=60, num_classes=6, num_persons=1)
    answers = _truth(work, gold_frac=0.1)
    workers = [_worker(f"w{n}", right=0.8) for n in range(20)]
    most: Counter[str] = Counter()
    stop = threading.Event()

    def audit() -> None:
        db = sqlite3.connect(f"file:{work}/labels.sqlite?mode=ro", uri=True)
        query = (
            "SELECT i.item_id, i.kind, (SELECT COUNT(*) FROM votes v JOIN workers w USING (worker_id) "
            "WHERE v.item_id = i.item_id AND NOT w.is_barred) + (SELECT COUNT(*) FROM leases l "
            "WHERE l.item_id = i.item_id AND l.is_live) FROM items i WHERE i.gold_answer IS NULL"
        )
        while not stop.is_set():
            for _, kind, number in db.execute(query).fetchall():
                most[kind] = max(most[kind], number)
            time.sleep(0.01)
        db.close()

    with running_server(work) as server:
        auditor = threading.Thread(target=audit)
        auditor.start()
        try:
            crowd = simulate_crowd(server.url, answers=answers, workers=workers, seed=1, concurrency=16)
        finally:
            stop.set()
            auditor.join()
    assert most
    assert all(most[kind] <= PROTOCOLS[kind].max_votes for kind in most), most
    export_votes(work)
    votes = read_table(work, "votes")
    assert len(votes) == crowd.num_votes, "every accepted answer is in the log, and once"
    for item_id, (verdict, number) in _verdicts(votes).items():
        assert number <= PROTOCOLS[item_id.split(":")[0]].max_votes, item_id
        assert verdict != "open", item_id


def test_no_vote_comes_after_its_items_verdict(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=40, num_classes=4)
    answers = _truth(work)
    with running_server(work) as server:
        workers = [_worker(f"w{n}", right=0.6) for n in range(12)]
        simulate_crowd(server.url, answers=answers, workers=workers, seed=3, concurrency=8)
    export_votes(work)
    counts: dict[str, Counter[str]] = {}
    for item_id, answer in read_table(work, "votes").select("item_id", "answer").iter_rows():
        known = counts.setdefault(item_id, Counter())
        assert PROTOCOLS["clip"].verdict(known) == "open", f"{item_id} was decided by {dict(known)}"
        known[answer] += 1
    assert len(counts) == 40


def test_spammers_are_barred_and_what_they_said_does_not_count(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=90, num_classes=3, classes_per_clip=3)
    truth = dict(_truth(work, gold_frac=0.35).iter_rows())
    summary = run_simulated(
        work, simulate=work / "answers.parquet", gold=work / "gold.csv", crowd_size=9, spammer_frac=0.34, seed=2,
        trust=TrustRule(min_gold=3),
    )  # fmt: skip
    assert summary.numbers["num_barred"] >= 2
    assert summary.numbers["num_open"] == 0
    with sqlite3.connect(work / "labels.sqlite") as db:
        rows = db.execute(
            "SELECT t.item_id, t.verdict FROM tallies t JOIN items i USING (item_id) WHERE i.gold_answer IS NULL"
        ).fetchall()
        barred = {row[0] for row in db.execute("SELECT worker_id FROM workers WHERE is_barred")}
    db.close()
    right = [(verdict == "accepted") == (truth[item_id] == "yes") for item_id, verdict in rows]
    assert sum(right) / len(right) > 0.95
    kinds = {w.worker_id: w.kind for w in default_crowd(9, spammer_frac=0.34, seed=2)}
    assert all(kinds[worker_id].startswith("spammer") for worker_id in barred)


def test_it_ends_when_too_few_workers_are_left(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=4)
    answers = _truth(work)
    with running_server(work) as server:
        crowd = simulate_crowd(server.url, answers=answers, workers=[_worker("a"), _worker("b")], seed=0)
    assert (crowd.num_votes, crowd.num_tasks) == (8, 2)


def test_missing_answers_are_an_error_before_anything_is_asked(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=2)
    rows = [Gold(item_id="clip:c00:1", answer="yes")]
    write_table(work / "answers.parquet", "gold", frame_of("gold", rows), made_by=PROVENANCE)
    with pytest.raises(BadInput, match="1 items have no true answer, 'clip:c01:2' is one"):
        run_simulated(work, simulate=work / "answers.parquet")
    assert not (work / "labels.sqlite").exists()


def test_a_service_that_is_not_there_is_said_to_be() -> None:
    with pytest.raises(GestaError, match="cannot be reached"):
        simulate_crowd("http://127.0.0.1:9", answers=frame_of("gold", []), workers=[_worker("a")], seed=0)


@pytest.mark.parametrize(("num_workers", "spammer_frac"), [(0, 0.0), (3, 1.5), (3, -0.1)])
def test_impossible_crowds_are_refused(num_workers: int, spammer_frac: float) -> None:
    with pytest.raises(BadInput, match="a crowd of"):
        default_crowd(num_workers, spammer_frac=spammer_frac, seed=0)


def test_the_default_crowd_has_the_spammers_it_should() -> None:
    crowd = default_crowd(14, spammer_frac=0.2, seed=7)
    assert sum(worker.kind.startswith("spammer") for worker in crowd) == 3
    assert len({worker.worker_id for worker in crowd}) == 14
    assert crowd == default_crowd(14, spammer_frac=0.2, seed=7)


def test_habits_must_be_chances() -> None:
    with pytest.raises(BadInput, match="habits of worker 'x' for 'yes'"):
        SimulatedWorker(worker_id="x", habits={"yes": {"yes": 0.5}}, mean_spent_ms=1)
