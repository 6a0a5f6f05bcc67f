"""Laws of consensus."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from gesta.consensus import item_verdicts, vote_fates, worker_quality, worker_trust
from gesta.schema import ANSWERS, PROTOCOLS, Gold, Item, TrustRule, Vote
from gesta.tables import frame_of

ITEMS = [
    Item(item_id=f"{kind}{number}", kind=kind, clip_id="c", class_id=number)
    for kind in ("clip", "box")
    for number in range(3)
]
GOLD = frame_of("gold", [Gold(item_id="clip0", answer="yes"), Gold(item_id="box0", answer="no")])
TRUST = TrustRule(min_gold=2, min_accuracy=0.6)
cast = st.tuples(
    st.sampled_from([item.item_id for item in ITEMS]), st.sampled_from("abcdefgh"), st.sampled_from(ANSWERS)
)


def votes_of(ballots):
    return frame_of(
        "votes",
        [
            Vote(vote_id=number, item_id=item, worker_id=worker, answer=answer)
            for number, (item, worker, answer) in enumerate(ballots, start=1)
        ],
    )


def judge(votes, gold=GOLD):
    items = frame_of("items", ITEMS)
    workers = worker_trust(votes, gold, trust=TRUST)
    fates = vote_fates(items, votes, gold, workers=workers)
    return item_verdicts(items, fates, gold), fates, workers


@given(st.lists(cast, max_size=60), st.randoms(use_true_random=False))
def test_the_interleaving_of_items_moves_nothing(ballots, rng):
    turns = [ballot[0] for ballot in ballots]
    rng.shuffle(turns)
    queues = {item.item_id: iter([ballot for ballot in ballots if ballot[0] == item.item_id]) for item in ITEMS}
    shuffled = [next(queues[turn]) for turn in turns]
    assert judge(votes_of(ballots))[0].equals(judge(votes_of(shuffled))[0])


@given(st.lists(cast, max_size=60), st.permutations("abcdefgh"))
def test_the_names_of_workers_move_nothing(ballots, names):
    renamed = dict(zip("abcdefgh", names, strict=True))
    other = [(item, renamed[worker], answer) for item, worker, answer in ballots]
    first, second = judge(votes_of(ballots)), judge(votes_of(other))
    assert first[0].equals(second[0])
    items = [
        worker_quality(workers, votes_of(b), verdicts, GOLD)
        for b, (verdicts, _, workers) in ((ballots, first), (other, second))
    ]
    back = items[0].with_columns(pl.col("worker_id").replace_strict(renamed, return_dtype=pl.String)).sort("worker_id")
    assert back.equals(items[1])


@given(st.lists(cast, max_size=60), st.sampled_from(ANSWERS))
def test_votes_after_the_stop_change_nothing(ballots, answer):
    before, fates, _ = judge(votes_of(ballots))
    decided = before.filter(pl.col("verdict") != "open")["item_id"].to_list()
    # New workers, who have met no gold, so that nobody's trust changes.
    extra = [
        (item, f"late{number}", answer) for item in decided for number in range(2) if item not in ("clip0", "box0")
    ]
    after, late, _ = judge(votes_of([*ballots, *extra]))
    assert before.equals(after)
    assert late["fate"].to_list() == fates["fate"].to_list() + ["past-the-stop"] * len(extra)


@given(st.lists(cast, max_size=60))
def test_no_item_counts_more_votes_than_its_protocol_allows(ballots):
    verdicts, _, _ = judge(votes_of(ballots), GOLD.clear())
    for row in verdicts.iter_rows(named=True):
        protocol = PROTOCOLS[row["kind"]]
        assert row["num_votes"] <= protocol.max_votes
        assert row["verdict"] == protocol.verdict({answer: row[f"num_{answer}"] for answer in ANSWERS})


@given(st.lists(st.one_of(cast, st.tuples(st.just("stranger"), st.sampled_from("abc"), st.just("yes"))), max_size=60))
def test_fates_are_those_of_votes_taken_one_by_one(ballots):
    kinds, known = {item.item_id: item.kind for item in ITEMS}, dict(GOLD.select("item_id", "answer").rows())
    first = {}
    for item, worker, answer in ballots:
        first.setdefault((item, worker), answer)
    right = {
        worker: [answer == known[item] for (item, other), answer in first.items() if other == worker and item in known]
        for _, worker, _ in ballots
    }
    fates, counts, seen = [], {item: dict.fromkeys(ANSWERS, 0) for item in kinds}, set()
    for item, worker, answer in ballots:
        if item not in kinds:
            fates.append("unknown-item")
        elif item in known:
            fates.append("gold")
        elif not TRUST.is_trusted(num_gold=len(right[worker]), num_gold_right=sum(right[worker])):
            fates.append("untrusted-worker")
        elif (item, worker) in seen:
            fates.append("repeated")
        elif PROTOCOLS[kinds[item]].verdict(counts[item]) != "open":
            fates.append("past-the-stop")
        else:
            fates.append("counted")
            counts[item][answer] += 1
        seen.add((item, worker))
    verdicts, found, _ = judge(votes_of(ballots))
    assert found["fate"].to_list() == fates
    for row in verdicts.filter(~pl.col("item_id").is_in(list(known))).iter_rows(named=True):
        assert {answer: row[f"num_{answer}"] for answer in ANSWERS} == counts[row["item_id"]]
