"""The simulated crowd, over real HTTP: the same votes from run to run, and never an answer too many."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from gesta.label import (
    Rules,
    RunningServer,
    SimulatedWorker,
    default_crowd,
    export_votes,
    run_simulated,
    running_server,
    simulate_crowd,
)
from gesta.label.crowd import MANNERS, habits_of
from gesta.label.guards import NO_LIMITS
from gesta.label.sql_tables import submissions, votes
from gesta.schema import PROTOCOLS, US_PER_S, BadInput, GestaError, Gold, TrustRule, UnknownName
from gesta.tables import frame_of, read_table, sha256_of_file, table_path, write_table

from .conftest import PROVENANCE, WorkFolder, write
from .crowd_audit import answers_after_the_verdict, audited, doubled, gold_shown_again

NO_GATE = Rules(class_threshold_frac=0.0)


@contextmanager
def _serving(work: Path, *, rules: Rules = NO_GATE, database: str | None = None) -> Iterator[RunningServer]:
    with running_server(work, rules=rules, database=database, limits=NO_LIMITS) as server:
        yield server


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


def test_sixteen_at_once_never_get_an_item_too_many_answers(work_folder: WorkFolder, database_url: str) -> None:
    work = work_folder(num_clips=60, num_classes=6, num_persons=1)
    answers = _truth(work, gold_frac=0.1)
    write(work, "gold", [Gold(**row) for row in read_table(work / "gold.csv", "gold").iter_rows(named=True)])
    workers = [_worker(f"w{n}", right=0.8) for n in range(20)]
    with _serving(work, database=database_url) as server, audited(server.store.engine) as audit:
        crowd = simulate_crowd(server, answers=answers, workers=workers, seed=1, concurrency=16)
        assert server.num_open == 0
        with server.store.reading() as db:
            assert doubled(db) == gold_shown_again(db) == answers_after_the_verdict(db) == []
    assert not audit.over_collected, audit.most
    assert set(audit.most) == {"clip", "box"}
    export_votes(work, database=database_url)
    log = read_table(work, "votes")
    assert len(log) == crowd.num_votes, "every accepted answer is in the log, and once"
    for item_id, (verdict, _) in _verdicts(log).items():
        assert verdict != "open" or item_id.startswith("box"), item_id


def test_spammers_are_barred_and_what_they_said_does_not_count(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=90, num_classes=3, classes_per_clip=3)
    truth = dict(_truth(work, gold_frac=0.35).select("item_id", "answer").iter_rows())
    rules = replace(NO_GATE, trust=TrustRule(min_gold=3))
    summary = run_simulated(
        work, simulate=work / "answers.parquet", gold=work / "gold.csv", crowd_size=9, spammer_frac=0.34, seed=2,
        rules=rules,
    )  # fmt: skip
    assert summary.numbers["num_open"] == 0
    kinds = {w.worker_id: w.kind for w in default_crowd(9, spammer_frac=0.34, seed=2)}
    with _serving(work, rules=rules) as server:
        states = {here.worker_id: here.state for here in server.service.book.workers.values()}
    barred = [worker_id for worker_id, state in states.items() if state == "barred"]
    assert len(barred) >= 2
    assert all(kinds[worker_id].startswith("spammer") for worker_id in barred)
    log = read_table(work, "votes")
    verdicts = _verdicts(log.filter(~pl.col("worker_id").is_in(barred)))
    right = [(verdict == "accepted") == (truth[item_id] == "yes") for item_id, (verdict, _) in verdicts.items()]
    assert sum(right) / len(right) > 0.95


@pytest.mark.parametrize("manner", MANNERS[:-1])
def test_in_whatever_manner_answers_are_sent_each_is_taken_once(work_folder: WorkFolder, manner: str) -> None:
    work = work_folder(num_clips=24)
    answers = _truth(work)
    with _serving(work) as server:
        workers = [replace(_worker(f"w{n}"), manner=manner) for n in range(6)]
        crowd = simulate_crowd(server, answers=answers, workers=workers, seed=1, concurrency=4)
        with server.store.reading() as db:
            num_sends, num_votes = (
                db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in (submissions, votes)
            )
            assert doubled(db) == answers_after_the_verdict(db) == []
    assert num_votes == crowd.num_votes >= 72
    is_repeated = manner in ("double-clicker", "disconnecter")
    assert crowd.num_repeats == (num_sends if is_repeated else 0)
    assert num_sends > crowd.num_tasks if manner == "partial" else num_sends == crowd.num_tasks


def test_manners_change_no_answer(work_folder: WorkFolder) -> None:
    tables = []
    for manner in ("plain", "partial", "double-clicker"):
        work = work_folder(num_clips=12, name=manner)
        answers = _truth(work)
        with _serving(work) as server:
            workers = [replace(_worker(f"w{n}", right=0.7), manner=manner) for n in range(5)]
            simulate_crowd(server, answers=answers, workers=workers, seed=1)
        export_votes(work)
        tables.append(read_table(work, "votes").select("item_id", "worker_id", "answer", "spent_ms"))
    # The same worker says the same of the same item, whoever was asked.
    said = [{row[:2]: row[2:] for row in table.iter_rows()} for table in tables]
    shared = set.intersection(*(set(votes) for votes in said))
    assert len(shared) > 20
    assert all(said[0][pair] == said[1][pair] == said[2][pair] for pair in shared)


def test_what_sleepers_hold_comes_back(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=12)
    answers = _truth(work)
    rules = replace(NO_GATE, lease_us=US_PER_S, prepared_lease_us=US_PER_S)
    workers = [replace(_worker(f"s{n}"), manner="sleeper") for n in range(2)] + [_worker(f"w{n}") for n in range(5)]
    with _serving(work, rules=rules) as server:
        crowd = simulate_crowd(server, answers=answers, workers=workers, seed=1, patience_s=10)
        assert server.num_open == 0
    assert crowd.asleep == ("s0", "s1")
    export_votes(work)
    assert {verdict for verdict, _ in _verdicts(read_table(work, "votes")).values()} <= {"accepted", "rejected"}


def test_without_patience_what_sleepers_hold_stays_open(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=6)
    answers = _truth(work)
    workers = [replace(_worker(f"s{n}"), manner="sleeper") for n in range(3)] + [_worker("w")]
    with _serving(work) as server:
        crowd = simulate_crowd(server, answers=answers, workers=workers, seed=1)
        assert server.num_open == 6
    assert (crowd.num_votes, len(crowd.asleep)) == (0, 3)


def test_it_ends_when_too_few_workers_are_left(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=4)
    answers = _truth(work)
    with _serving(work) as server:
        crowd = simulate_crowd(server, answers=answers, workers=[_worker("a"), _worker("b")], seed=0)
    assert (crowd.num_votes, crowd.num_tasks) == (8, 2)


def test_missing_answers_are_an_error_before_anything_is_asked(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=2)
    rows = [Gold(item_id="clip:c00:1", answer="yes")]
    write_table(work / "answers.parquet", "gold", frame_of("gold", rows), made_by=PROVENANCE)
    with pytest.raises(BadInput, match="1 items have no true answer, 'clip:c01:2' is one"):
        run_simulated(work, simulate=work / "answers.parquet")
    assert not (work / "labels.sqlite").exists()


def test_a_service_that_is_not_there_is_said_to_be(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=2)
    with _serving(work) as server:
        nobody = replace(server, url="http://127.0.0.1:9")
        with pytest.raises(GestaError, match="cannot be reached"):
            simulate_crowd(nobody, answers=frame_of("gold", []), workers=[_worker("a")], seed=0)


def test_an_item_without_a_true_answer_is_named(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=2)
    with _serving(work) as server, pytest.raises(BadInput, match="no true answer for item 'clip:c0"):
        simulate_crowd(server, answers=frame_of("gold", []), workers=[_worker("a")], seed=0)


def test_nobody_at_work_is_refused(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=2)
    with _serving(work) as server, pytest.raises(BadInput, match="concurrency=0"):
        simulate_crowd(server, answers=frame_of("gold", []), workers=[], seed=0, concurrency=0)


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


def test_manners_are_dealt_out_in_turn_and_must_be_known() -> None:
    crowd = default_crowd(7, spammer_frac=0.3, seed=1, manners=MANNERS)
    assert [worker.manner for worker in crowd] == [*MANNERS, *MANNERS[:2]]
    with pytest.raises(UnknownName, match="no manner of a worker 'rude'"):
        default_crowd(2, spammer_frac=0.0, seed=1, manners=["rude"])
    with pytest.raises(BadInput, match="mean_spent_ms=0 of 'x'"):
        SimulatedWorker(worker_id="x", habits=habits_of(right=0.9), mean_spent_ms=0)
