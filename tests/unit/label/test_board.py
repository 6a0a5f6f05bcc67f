"""The board's numbers against a plain recount of small random campaigns, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import math
import random
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from gesta.label.agreement import entropy_bits, krippendorff_alpha, pair_agreement, wilson_interval
from gesta.label.board import (
    HOUR_US,
    by_hour,
    class_rows,
    disputed,
    event_rows,
    overview,
    paid_per_counted,
    rate_per_hour,
    recent_agreement,
    suggestion_rows,
    tally_counts,
    worker_rows,
)
from gesta.label.class_gates import GateRule
from gesta.label.forecast import AnswerModel, answer_model, verdict_of
from gesta.label.funnel import TallyCount, answers_needed, funnel_row
from gesta.label.rules import Rules
from gesta.label.sql_tables import classes, events, items, metadata, tallies, votes, workers
from gesta.label.vote_digest import BUCKET_MS, VoteDigest
from gesta.schema import PROTOCOLS, fewest_votes_left

NOW_US = 1_700_000_123_456_789
FOUR = ("yes", "no", "unsure", "broken")
RULES = Rules()


@dataclass
class Campaign:
    """A small campaign as plain lists; `counts[seq]` are the standing answers that the tallies show."""

    items: list[dict[str, Any]] = field(default_factory=list)
    votes: list[dict[str, Any]] = field(default_factory=list)
    workers: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[int, Counter[str]] = field(default_factory=dict)
    states: dict[int, int] = field(default_factory=dict)
    leases: dict[int, int] = field(default_factory=dict)


def campaign(seed: int, *, num_items: int = 60, num_workers: int = 7) -> Campaign:
    """Clip, box, person and suggestion items of four classes, answered by workers of whom one is barred."""
    rng = random.Random(seed)
    made = Campaign()
    for seq in range(1, num_workers + 1):
        made.workers.append({"seq": seq, "worker_id": f"w{seq}", "state": "barred" if seq == 3 else "active"})
    for seq in range(1, num_items + 1):
        kind = rng.choice(["clip", "clip", "clip", "box", "person", "suggestion"])
        gold = rng.choice([None, None, None, "yes", "no"]) if kind in ("clip", "box") else None
        class_id = None if kind == "person" else rng.randrange(4)
        made.items.append({"seq": seq, "kind": kind, "class_id": class_id, "gold": gold})
        made.counts[seq], made.leases[seq] = Counter(), 0
        protocol = RULES.protocols[kind]
        is_gated = gold is None and rng.random() < 0.15
        for worker in rng.sample(range(1, num_workers + 1), 0 if is_gated else rng.randrange(num_workers)):
            if gold is None and protocol.verdict(made.counts[seq]) != "open":
                break
            answer = rng.choice(FOUR) if protocol.positive == "yes" else rng.choice(["done", "unsure", "broken"])
            _answer(made, seq, worker, answer, kind, rng)
            if worker != 3:
                made.counts[seq][answer] += 1
        verdict = protocol.verdict(made.counts[seq])
        made.states[seq] = 4 if gold else 0 if is_gated else {"open": 1, "accepted": 2, "rejected": 3}[verdict]
        if made.states[seq] == 1:
            made.leases[seq] = rng.randrange(fewest_votes_left(protocol, made.counts[seq]) + 1)
    return made


def _answer(made: Campaign, seq: int, worker: int, answer: str, kind: str, rng: random.Random) -> None:
    detail = None
    if kind == "suggestion" and answer == "done":
        detail = json.dumps({"text": rng.choice(["Pruning a  hedge", "pruning a hedge", "<script>"])})
    if kind == "clip" and answer == "no" and rng.random() < 0.5:
        detail = json.dumps({"suggestion": rng.choice(["sweeping", "raking"])})
    vote_id = len(made.votes) + 1
    cast_at_us = NOW_US - 30 * HOUR_US + vote_id * HOUR_US // 4
    vote = {"vote_id": vote_id, "seq": seq, "worker_seq": worker, "revision": 0, "answer": answer, "detail": detail}
    made.votes.append({**vote, "spent_ms": rng.randrange(90_000), "cast_at_us": cast_at_us})
    if rng.random() < 0.1:
        # Taken back and given again: the answer stays, a suggestion goes.
        made.votes.append(
            {**vote, "vote_id": vote_id + 1, "revision": 1, "detail": None, "spent_ms": 5, "cast_at_us": cast_at_us + 9}
        )


def write(made: Campaign, db: sa.Connection) -> None:
    """Put the campaign into the tables as the service would have it."""
    for number in range(4):
        clips = [
            row["seq"] for row in made.items if (row["kind"], row["class_id"], row["gold"]) == ("clip", number, None)
        ]
        states = [made.states[seq] for seq in clips]
        db.execute(sa.insert(classes).values(
            class_id=number, name=f"class <b>{number}", state="paused" if number == 3 else "active", state_by="gate",
            threshold_frac=0.3 if number == 1 else None, num_decided=sum(state in (2, 3) for state in states),
            num_accepted=states.count(2),
        ))  # fmt: skip
    for worker in made.workers:
        mine = [vote for vote in made.votes if vote["worker_seq"] == worker["seq"] and vote["revision"] == 0]
        known = [(vote["answer"], gold_of(made, vote["seq"])) for vote in mine if gold_of(made, vote["seq"])]
        db.execute(sa.insert(workers).values(
            **worker, role="worker", is_held_by_owner=False, origin="invite", joined_at_us=1, num_votes=len(mine),
            num_gold=len(known), num_gold_right=sum(answer == gold for answer, gold in known),
        ))  # fmt: skip
    for row in made.items:
        seq, counts = row["seq"], made.counts[row["seq"]]
        db.execute(sa.insert(items).values(
            seq=seq, item_id=f"i{seq}", kind=row["kind"], clip_id=f"c{seq}", class_id=row["class_id"],
            gold_answer=row["gold"], is_active=True,
        ))  # fmt: skip
        db.execute(sa.insert(tallies).values(
            seq=seq, num_yes=counts["yes"] + counts["done"], num_no=counts["no"], num_unsure=counts["unsure"],
            num_broken=counts["broken"], num_leased=made.leases[seq], max_votes=5, state=made.states[seq],
        ))  # fmt: skip
    for vote in made.votes:
        db.execute(sa.insert(votes).values(**vote))


def gold_of(made: Campaign, seq: int) -> str | None:
    """The known answer of the item, or None."""
    found: str | None = made.items[seq - 1]["gold"]
    return found


@pytest.fixture
def db(database_url: str) -> Iterator[sa.Connection]:
    """A fresh database with our tables."""
    engine = sa.create_engine(database_url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.fixture(params=range(3))
def seed(request: pytest.FixtureRequest) -> int:
    """Which campaign."""
    return int(request.param)


def caught_up(db: sa.Connection, *, at_a_time: int | None = None) -> VoteDigest:
    """A digest of the whole log, so many votes a look."""
    digest = VoteDigest()
    digest.catch_up(db, max_votes=at_a_time)
    while not digest.is_whole:
        digest.catch_up(db, max_votes=at_a_time)
    return digest


def test_the_funnel_of_each_class_is_a_plain_count(db: sa.Connection, seed: int) -> None:
    made = campaign(seed)
    write(made, db)
    board = overview(
        db, caught_up(db), counted=tally_counts(db, kinds=tuple(PROTOCOLS)), rules=RULES, rule=GateRule(), now_us=NOW_US
    )
    for kind, class_id in {(row["kind"], row["class_id"]) for row in made.items if row["gold"] is None}:
        mine = [r["seq"] for r in made.items if (r["kind"], r["class_id"], r["gold"]) == (kind, class_id, None)]
        (row,) = [row for row in board["classes"] if (row["kind"], row["class_id"]) == (kind, class_id)]
        num_answers = {seq: made.counts[seq].total() for seq in mine}
        is_open = [seq for seq in mine if made.states[seq] == 1]
        expected = {
            "num_items": len(mine),
            "num_gated": sum(made.states[seq] == 0 for seq in mine),
            "num_waiting": sum(not num_answers[seq] and not made.leases[seq] for seq in is_open),
            "num_asked": sum(not num_answers[seq] and made.leases[seq] > 0 for seq in is_open),
            "num_answering": sum(num_answers[seq] > 0 for seq in is_open),
            "num_accepted": sum(made.states[seq] == 2 for seq in mine),
            "num_rejected": sum(made.states[seq] == 3 for seq in mine),
            "num_closed": 0,
            "num_leases": sum(made.leases[seq] for seq in mine),
            "num_answers": sum(num_answers.values()),
        }
        assert {name: row[name] for name in expected} == expected
        if kind in ("clip", "box"):
            assert row["agreement"] == pytest.approx(plain_agreement([made.counts[seq] for seq in mine]))
        else:
            assert row["agreement"] is None
            assert row["alpha"] is None
    assert board["totals"]["num_items"] == sum(row["gold"] is None for row in made.items)
    assert board["totals"]["num_cast"] == sum(vote["revision"] == 0 for vote in made.votes)
    assert board["totals"]["num_paused"] == 1


def plain_agreement(counted: list[Counter[str]]) -> float | None:
    """The share of equal pairs, pair by pair."""
    pairs = [a == b for counts in counted for a, b in combinations(list(counts.elements()), 2)]
    return sum(pairs) / len(pairs) if pairs else None


def test_the_hours_and_the_workers_are_a_plain_count_however_the_log_is_read(db: sa.Connection, seed: int) -> None:
    made = campaign(seed)
    write(made, db)
    first = [vote for vote in made.votes if vote["revision"] == 0]
    for at_a_time in (None, 23):
        digest = caught_up(db, at_a_time=at_a_time)
        hours = Counter(vote["cast_at_us"] // HOUR_US for vote in first)
        last = NOW_US // HOUR_US
        assert by_hour(digest.answers_by_slot(), now_us=NOW_US) == [
            {"start_us": hour * HOUR_US, "num": hours[hour]} for hour in range(last - 23, last + 1)
        ]
        known = [(vote, gold_of(made, vote["seq"])) for vote in first if gold_of(made, vote["seq"])]
        assert digest.gold_seen.total() == len(known)
        assert digest.gold_right.total() == sum(vote["answer"] == gold for vote, gold in known)
        rows = {row["worker_id"]: row for row in worker_rows(db, digest)}
        for worker in made.workers:
            check_worker(made, worker["seq"], rows[worker["worker_id"]])


def check_worker(made: Campaign, seq: int, row: dict[str, Any]) -> None:
    """A worker's row against the log."""
    mine = [vote for vote in made.votes if vote["worker_seq"] == seq and vote["revision"] == 0]
    assert row["num_votes"] == len(mine)
    judged = [
        (vote["answer"] == "yes") == (made.states[vote["seq"]] == 2)
        for vote in mine
        if made.states[vote["seq"]] in (2, 3) and made.items[vote["seq"] - 1]["kind"] in ("clip", "box")
    ]
    assert row["num_judged"] == len(judged)
    assert row["agreement"] == (pytest.approx(statistics.fmean(judged)) if judged else None)
    assert row["last_at_us"] == max((vote["cast_at_us"] for vote in mine), default=None)
    if mine:
        median = statistics.median_low(vote["spent_ms"] for vote in mine)
        assert abs(row["median_spent_ms"] - median) <= BUCKET_MS / 2
        assert row["gold_low"] <= (row["gold_accuracy"] or row["gold_low"]) <= row["gold_high"]


def test_new_votes_are_taken_in_without_reading_the_old_ones_again(db: sa.Connection) -> None:
    made = campaign(5)
    write(made, db)
    digest = caught_up(db)
    before = digest.answers_by_slot().total()
    new = {"seq": 1, "revision": 0, "answer": "yes", "spent_ms": 1000, "cast_at_us": NOW_US}
    db.execute(sa.insert(workers).values(
        seq=99, worker_id="late", role="worker", state="active", is_held_by_owner=False, origin="invite",
        joined_at_us=1, num_votes=1, num_gold=0, num_gold_right=0,
    ))  # fmt: skip
    db.execute(sa.insert(votes).values(**new, vote_id=len(made.votes) + 5, worker_seq=99))
    digest.catch_up(db, max_votes=1)
    digest.catch_up(db, max_votes=1)
    assert digest.answers_by_slot().total() == before + 1
    assert digest.workers[99].last_at_us == NOW_US


def test_a_digest_that_missed_too_much_begins_anew_and_comes_to_the_same(db: sa.Connection) -> None:
    made = campaign(6, num_items=80)
    late = [vote for vote in made.votes if vote["vote_id"] > 30]
    made.votes = made.votes[:30]
    write(made, db)
    digest = VoteDigest()
    digest.catch_up(db, max_votes=1)
    for vote in late:
        db.execute(sa.insert(votes).values(**vote))
    digest.catch_up(db, max_votes=1)
    assert digest.low == digest.high == len(made.votes) + len(late), "one vote, the newest"
    digest.catch_up(db)
    assert digest.answers == caught_up(db).answers
    assert digest.workers == caught_up(db).workers


def test_an_empty_campaign_has_a_board(db: sa.Connection) -> None:
    board = overview(db, caught_up(db), counted=[], rules=RULES, rule=GateRule(), now_us=NOW_US)
    assert board["totals"]["num_items"] == 0
    assert board["kinds"] == []
    assert board["classes"] == []
    assert board["forecast"]["num_answers"] == 0
    assert board["forecast"]["hours"] is None
    assert len(board["answers_by_hour"]) == 24


def test_disputed_items_come_by_entropy_and_gold_never(db: sa.Connection, seed: int) -> None:
    made = campaign(seed)
    write(made, db)
    counted = tally_counts(db, kinds=tuple(PROTOCOLS))
    found = disputed(db, counted=counted, limit=1000)
    wanted = {
        row["seq"]: entropy_bits([made.counts[row["seq"]][answer] for answer in FOUR])
        for row in made.items
        if row["gold"] is None and row["kind"] in ("clip", "box") and len(+made.counts[row["seq"]]) > 1
    }
    assert {row["seq"]: pytest.approx(row["entropy_bits"]) for row in found} == wanted
    entropies = [round(row["entropy_bits"], 9) for row in found]
    assert entropies == sorted(entropies, reverse=True)
    assert [row["seq"] for row in disputed(db, counted=counted, limit=3)] == [row["seq"] for row in found[:3]]
    of_one = disputed(db, counted=counted, class_id=2, limit=1000)
    assert [row["seq"] for row in of_one] == [row["seq"] for row in found if row["class_id"] == 2]
    assert all(row["answers"] == {a: made.counts[row["seq"]][a] for a in FOUR} for row in found)


def test_suggestions_are_counted_as_they_stand_without_barred_workers(db: sa.Connection, seed: int) -> None:
    made = campaign(seed)
    write(made, db)
    standing: dict[tuple[int, int], dict[str, Any]] = {}
    for vote in made.votes:
        standing[vote["seq"], vote["worker_seq"]] = vote
    wanted: Counter[tuple[int, str]] = Counter()
    for vote in standing.values():
        said = json.loads(vote["detail"]) if vote["detail"] else {}
        text = " ".join((said.get("text") or said.get("suggestion") or "").split()).lower()
        if text and vote["worker_seq"] != 3:
            wanted[made.items[vote["seq"] - 1]["class_id"], text] += 1
    for at_a_time in (None, 31):
        rows = suggestion_rows(db, caught_up(db, at_a_time=at_a_time))
        assert {(row["class_id"], row["text"]): row["num_votes"] for row in rows} == wanted
        assert [row["num_votes"] for row in rows] == sorted((row["num_votes"] for row in rows), reverse=True)
        assert all(row["class_name"] == f"class <b>{row['class_id']}" for row in rows)


def test_agreement_with_verdicts_looks_at_the_newest_votes_alone(db: sa.Connection) -> None:
    made = campaign(1)
    write(made, db)
    newest = [vote for vote in made.votes if vote["revision"] == 0 and vote["vote_id"] > len(made.votes) - 10]
    decided = [
        v for v in newest if made.states[v["seq"]] in (2, 3) and made.items[v["seq"] - 1]["kind"] in ("clip", "box")
    ]
    found = recent_agreement(db, num_votes=10)
    assert sum(num for _, num in found.values()) == len(decided)


def test_class_rows_tell_the_threshold_that_holds(db: sa.Connection) -> None:
    write(campaign(2), db)
    rows = class_rows(db, rule=GateRule(threshold_frac=0.5, after_num_clips=3))
    assert [row["threshold_frac"] for row in rows] == [0.5, 0.3, 0.5, 0.5]
    assert [row["has_own_threshold"] for row in rows] == [False, True, False, False]
    for row in rows:
        assert row["is_judged"] == (row["num_decided"] >= 3)
        if row["num_decided"]:
            assert row["accuracy"] == row["num_accepted"] / row["num_decided"]


def test_the_diary_is_read_backwards_page_by_page(db: sa.Connection) -> None:
    for number in range(1, 8):
        db.execute(sa.insert(events).values(
            event_id=number, at_us=number, actor="ann", what="class-paused", subject="<script>", detail='{"n": 1}',
        ))  # fmt: skip
    first = event_rows(db, limit=3)
    assert [row["event_id"] for row in first] == [7, 6, 5]
    assert first[0]["detail"] == {"n": 1}
    assert [row["event_id"] for row in event_rows(db, limit=3, before=5)] == [4, 3, 2]


# ---- laws of the sums -----------------------------------------------------------------------------------------------

four_counts = st.tuples(*[st.integers(0, 5)] * 4)
histograms = st.lists(st.tuples(four_counts, st.integers(1, 4)), max_size=6)


@given(histograms)
def test_alpha_is_the_textbook_s_coincidence_matrix(answered: list[tuple[tuple[int, ...], int]]) -> None:
    matrix = [[0.0] * 4 for _ in range(4)]
    for counts, num in answered:
        total = sum(counts)
        if total < 2:
            continue
        for a in range(4):
            for b in range(4):
                pairs = counts[a] * (counts[b] - (a == b))
                matrix[a][b] += num * pairs / (total - 1)
    totals = [sum(row) for row in matrix]
    n = sum(totals)
    off = sum(matrix[a][b] for a in range(4) for b in range(4) if a != b)
    chance = sum(totals[a] * totals[b] for a in range(4) for b in range(4) if a != b)
    found = krippendorff_alpha(answered)
    if chance == 0:
        assert found is None
    else:
        assert found == pytest.approx(1 - (n - 1) * off / chance)


@given(histograms)
def test_pair_agreement_counts_pairs(answered: list[tuple[tuple[int, ...], int]]) -> None:
    listed = [Counter(dict(zip("abcd", counts, strict=True))) for counts, num in answered for _ in range(num)]
    found = pair_agreement(answered)
    assert found == (None if plain_agreement(listed) is None else pytest.approx(plain_agreement(listed)))


@given(four_counts.filter(any))
def test_entropy_is_between_none_and_two_bits_and_blind_to_order(counts: tuple[int, ...]) -> None:
    assert 0 <= entropy_bits(counts) <= 2 + 1e-12
    assert entropy_bits(counts) == pytest.approx(entropy_bits(sorted(counts)))
    assert (entropy_bits(counts) == 0) == (sum(count > 0 for count in counts) == 1)


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_s_interval_solves_its_equation(num_right: int, num_more: int) -> None:
    num_seen = num_right + num_more
    low, high = wilson_interval(num_right, num_seen)
    if num_seen == 0:
        assert (low, high) == (0.0, 1.0)
        return
    share = num_right / num_seen
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1
    for end in (low, high):
        assert math.isclose((share - end) ** 2, 1.96**2 * end * (1 - end) / num_seen, abs_tol=1e-9)


kinds = st.sampled_from(sorted(PROTOCOLS))
shares = st.lists(st.integers(0, 50), min_size=4, max_size=4).filter(any)


def model_of(own: list[int], alike: float) -> AnswerModel:
    """Shares in proportion to the numbers."""
    a, b, c, d = (num / sum(own) for num in own)
    return AnswerModel(shares=(a, b, c, d), alike=alike)


@given(kinds, shares, st.floats(0.02, 0.98), four_counts)
def test_expected_answers_lie_between_the_fewest_and_the_most(
    kind: str, own: list[int], alike: float, counts: tuple[int, int, int, int]
) -> None:
    protocol = PROTOCOLS[kind]
    left = model_of(own, alike).expected_left(protocol, counts)
    if verdict_of(protocol, counts) != "open":
        assert left == 0
        return
    named = dict(zip((protocol.positive, "no", "unsure", "broken"), counts, strict=True))
    assert fewest_votes_left(protocol, named) - 1e-9 <= left <= protocol.max_votes - sum(counts) + 1e-9


@given(kinds, st.sampled_from(range(4)), st.floats(0.02, 0.98))
def test_people_who_all_say_the_same_take_the_fewest(kind: str, slot: int, alike: float) -> None:
    protocol = PROTOCOLS[kind]
    own = [0, 0, 0, 0]
    own[slot] = 1
    most = protocol.accept_yes if slot == 0 else min(protocol.stop_at, protocol.max_votes)
    assert model_of(own, alike).expected_left(protocol, (0, 0, 0, 0)) == pytest.approx(most)


def test_expected_answers_are_what_drawing_from_the_urn_takes() -> None:
    rng, protocol = random.Random(4), PROTOCOLS["clip"]
    model = AnswerModel(shares=(0.5, 0.3, 0.15, 0.05), alike=0.3)
    concentration, taken = (1 - 0.3) / 0.3, []
    for _ in range(20_000):
        counts = [0, 0, 0, 0]
        while verdict_of(protocol, (counts[0], counts[1], counts[2], counts[3])) == "open":
            weights = [concentration * share + count for share, count in zip(model.shares, counts, strict=True)]
            counts[rng.choices(range(4), weights)[0]] += 1
        taken.append(sum(counts))
    # Three standard errors of the mean: a right formula fails here once in some hundreds of seeds.
    slack = 3 * statistics.stdev(taken) / math.sqrt(len(taken))
    assert model.expected_left(protocol, (0, 0, 0, 0)) == pytest.approx(statistics.fmean(taken), abs=slack)


def test_a_new_class_is_expected_to_be_like_the_others_and_an_old_one_like_itself() -> None:
    fresh = answer_model([0, 0, 0, 0], kind=[800, 200, 0, 0], alpha=0.5)
    assert fresh.shares == pytest.approx((0.8, 0.2, 0, 0), abs=1e-3)
    old = answer_model([0, 20_000, 0, 0], kind=[800, 200, 0, 0], alpha=None)
    assert old.shares[1] > 0.99
    assert old.alike == 0.5


def of(kind: str, class_id: int, state: int, counts: tuple[int, int, int, int], num_items: int) -> TallyCount:
    """So many items, shortly."""
    return TallyCount(kind=kind, class_id=class_id, state=state, counts=counts, num_items=num_items)


def test_the_forecast_counts_open_items_and_those_behind_a_gate_by_their_class_s_yield() -> None:
    decided = [of("clip", 1, 2, (3, 0, 0, 0), 30), of("clip", 1, 3, (0, 3, 0, 0), 10)]
    assert answers_needed(decided, protocols=PROTOCOLS) == {"num_needed": 0, "num_held": 0}
    one = answers_needed([*decided, of("clip", 1, 1, (0, 0, 0, 0), 1)], protocols=PROTOCOLS)["num_needed"]
    ten = answers_needed([*decided, of("clip", 1, 1, (0, 0, 0, 0), 10)], protocols=PROTOCOLS)["num_needed"]
    assert 3 <= one <= 5
    assert ten == pytest.approx(10 * one)
    boxes = of("box", 1, 1, (0, 0, 0, 0), 8)
    behind = of("box", 1, 0, (0, 0, 0, 0), 8)
    free = answers_needed([*decided, boxes], protocols=PROTOCOLS)["num_needed"]
    gated = answers_needed([*decided, behind], protocols=PROTOCOLS)["num_needed"]
    assert gated == pytest.approx(free * 31 / 42)
    held = answers_needed([*decided, boxes], protocols=PROTOCOLS, held=frozenset({1}))
    assert held == {"num_needed": 0, "num_held": pytest.approx(free)}


def test_half_answered_items_need_fewer_answers() -> None:
    needed = [
        answers_needed([of("clip", 1, 1, counts, 1)], protocols=PROTOCOLS)["num_needed"]
        for counts in ((0, 0, 0, 0), (1, 0, 0, 0), (2, 0, 0, 0))
    ]
    assert needed == sorted(needed, reverse=True)
    assert needed[2] < needed[0]


def test_the_rate_is_of_the_last_hour_and_not_thinned_by_the_time_before_the_first_answer() -> None:
    slot_us = HOUR_US // 12
    assert rate_per_hour({}, now_us=NOW_US) is None
    assert rate_per_hour({100: 50}, now_us=200 * slot_us) is None
    assert rate_per_hour({90: 1, 100: 60, 111: 12}, now_us=112 * slot_us) == 72
    assert rate_per_hour({111: 12}, now_us=112 * slot_us) == 144
    assert rate_per_hour({112: 12}, now_us=112 * slot_us) is None, "the running slot is not whole"


def test_what_is_paid_for_a_counted_answer_is_measured_once_there_are_enough() -> None:
    assert paid_per_counted(num_cast=10, num_counted=10, rules=RULES) == pytest.approx(20 / 18)
    assert paid_per_counted(num_cast=330, num_counted=300, rules=RULES) == 1.1
    assert paid_per_counted(num_cast=100, num_counted=300, rules=RULES) == 1.0


def test_the_parts_of_a_funnel_add_up() -> None:
    counted = [of("clip", 1, state, (state, 0, 1, 0), 3) for state in range(5)]
    row = funnel_row(counted, is_yes_no=True)
    parts = ("gated", "waiting", "asked", "answering", "accepted", "rejected", "closed")
    assert sum(row[f"num_{part}"] for part in parts) == row["num_items"] == 15
