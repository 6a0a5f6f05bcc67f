"""Whose votes count, which count, and what they amount to."""

import numpy as np
import polars as pl
import pytest

from gesta.consensus import (
    box_verdicts,
    clip_verdicts,
    item_verdicts,
    run_consensus,
    vote_fates,
    worker_quality,
    worker_trust,
)
from gesta.schema import ANSWERS, Clip, Gold, Item, MissingTable, Protocol, TrustRule, Vote
from gesta.tables import empty_frame, frame_of, made_by, read_rejects, read_table, table_path, write_table

TRUST = TrustRule(min_gold=2, min_accuracy=0.7)
CLIP = Item(item_id="clip:c:1", kind="clip", clip_id="c", class_id=1)
BOX = Item(
    item_id="box:c:1", kind="box", clip_id="c", class_id=1, timestamp_us=5, person_id=0, x1=0.1, y1=0.1, x2=0.2, y2=0.2
)
GOLD_ITEM = Item(item_id="clip:g:1", kind="clip", clip_id="g", class_id=1)


def ballots(*cast, first_id=1):
    """(item, worker, answer) triples in order of arrival."""
    return frame_of(
        "votes",
        [
            Vote(vote_id=number, item_id=item.item_id, worker_id=worker, answer=answer, spent_ms=1000 * number)
            for number, (item, worker, answer) in enumerate(cast, start=first_id)
        ],
    )


def judged(items, votes, gold=()):
    item_frame, gold_frame = frame_of("items", items), frame_of("gold", gold)
    workers = worker_trust(votes, gold_frame, trust=TRUST)
    fates = vote_fates(item_frame, votes, gold_frame, workers=workers)
    return item_verdicts(item_frame, fates, gold_frame), fates, workers


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [
        (["yes", "yes", "yes"], "accepted"),
        (["yes", "no", "yes", "no", "yes"], "accepted"),
        (["yes", "no", "yes", "no"], "open"),
        (["yes", "no", "yes", "no", "broken"], "rejected"),
        (["broken", "broken", "broken"], "rejected"),
        ([], "open"),
    ],
)
def test_three_of_at_most_five(answers, verdict):
    verdicts, _, _ = judged([CLIP], ballots(*[(CLIP, f"w{n}", answer) for n, answer in enumerate(answers)]))
    assert verdicts["verdict"].to_list() == [verdict]


@pytest.mark.parametrize(
    ("answers", "verdict"),
    [(["yes", "yes"], "accepted"), (["no", "yes", "yes"], "accepted"), (["no", "no"], "rejected"), (["yes"], "open")],
)
def test_two_of_three_per_box(answers, verdict):
    verdicts, _, _ = judged([BOX], ballots(*[(BOX, f"w{n}", answer) for n, answer in enumerate(answers)]))
    labels = box_verdicts(verdicts, frame_of("clips", [Clip(clip_id="c", video_id="v", start_us=0, end_us=9)]))
    assert labels.select("video_id", "verdict", "num_votes").rows() == [("v", verdict, len(answers))]


def test_votes_past_the_stop_are_not_counted():
    votes = ballots(*[(CLIP, f"w{n}", answer) for n, answer in enumerate(["no", "no", "no", "yes", "yes", "yes"])])
    verdicts, fates, _ = judged([CLIP], votes)
    assert fates["fate"].to_list() == ["counted"] * 3 + ["past-the-stop"] * 3
    row = clip_verdicts(verdicts).row(0, named=True)
    assert (row["verdict"], row["num_yes"], row["num_no"]) == ("rejected", 0, 3)


def test_only_the_first_vote_of_a_worker_on_an_item_counts():
    votes = ballots((CLIP, "a", "yes"), (CLIP, "a", "yes"), (CLIP, "a", "yes"), (CLIP, "b", "yes"))
    verdicts, fates, _ = judged([CLIP], votes)
    assert fates["fate"].to_list() == ["counted", "repeated", "repeated", "counted"]
    assert verdicts["verdict"].to_list() == ["open"]


def test_votes_of_untrusted_workers_are_set_aside_earlier_ones_too():
    other = Item(item_id="clip:h:1", kind="clip", clip_id="h", class_id=1)
    gold = [Gold(item_id=GOLD_ITEM.item_id, answer="yes"), Gold(item_id=other.item_id, answer="no")]
    votes = ballots(
        (CLIP, "bad", "no"), (CLIP, "a", "yes"), (CLIP, "b", "yes"), (CLIP, "c", "yes"),
        (GOLD_ITEM, "bad", "no"), (other, "bad", "no"), (GOLD_ITEM, "a", "yes"), (other, "a", "no"),
    )  # fmt: skip
    verdicts, fates, workers = judged([CLIP, GOLD_ITEM, other], votes, gold)
    assert fates["fate"].to_list()[:4] == ["untrusted-worker", "counted", "counted", "counted"]
    assert verdicts["verdict"].to_list() == ["accepted", "accepted", "rejected"]
    assert verdicts["num_votes"].to_list() == [3, 0, 0]
    quality = worker_quality(workers, votes, verdicts, frame_of("gold", gold))
    assert quality.select("worker_id", "gold_accuracy", "agreement", "is_trusted").rows() == [
        ("a", 1.0, 1.0, True), ("b", None, 1.0, True), ("bad", 0.5, 0.0, False), ("c", None, 1.0, True),
    ]  # fmt: skip
    assert quality["median_spent_ms"].to_list() == [7000, 3000, 5000, 4000]


def test_a_vote_on_no_item_is_named():
    _, fates, _ = judged([CLIP], ballots((GOLD_ITEM, "a", "yes")))
    assert fates["fate"].to_list() == ["unknown-item"]


@pytest.mark.parametrize(
    ("name", "protocol", "expected"),
    [
        ("bluebird", Protocol(max_votes=39, accept_yes=20, stop_at=20), 1 - 0.2407),
        ("product", Protocol(max_votes=3, accept_yes=2, stop_at=2), 0.8966),
    ],
)
def test_majority_of_real_crowds(shared, name, protocol, expected):
    """With the threshold at half of an odd number of votes the stopping rule is the majority."""
    names = ["item_id", "worker_id", "answer"]
    if name == "bluebird":
        votes = pl.read_csv(shared / "crowd/bluebird_crowd.txt", separator="\t", has_header=False, new_columns=names)
        truth = pl.read_csv(
            shared / "crowd/bluebird_truth.txt", separator="\t", has_header=False, new_columns=["item_id", "truth"]
        )
        positive = 2
    else:
        votes = pl.read_csv(shared / "crowd/product_answer.csv").rename({"question": "item_id", "worker": "worker_id"})
        truth = pl.read_csv(shared / "crowd/product_truth.csv").rename({"question": "item_id"})
        positive = 1
    votes = votes.with_columns(
        pl.col("item_id", "worker_id").cast(pl.String),
        answer=pl.when(pl.col("answer") == positive).then(pl.lit("yes")).otherwise(pl.lit("no")),
        vote_id=pl.int_range(1, pl.len() + 1),
        spent_ms=pl.lit(0),
    )
    items = votes.select("item_id", kind=pl.lit("clip")).unique(maintain_order=True)
    gold = empty_frame("gold")
    workers = worker_trust(votes, gold, trust=TrustRule())
    protocols = {"clip": protocol}
    fates = vote_fates(items, votes, gold, workers=workers, protocols=protocols)
    verdicts = item_verdicts(items, fates, gold, protocols=protocols)
    right = verdicts.join(truth.with_columns(pl.col("item_id").cast(pl.String)), on="item_id").select(
        ((pl.col("verdict") == "accepted") == (pl.col("truth") == positive)).mean()
    )
    assert len(verdicts) == len(truth)
    assert right.item() == pytest.approx(expected, abs=5e-5)


def test_a_hundred_thousand_votes_leave_no_item_with_more_than_its_maximum():
    rng = np.random.default_rng(0)
    num_votes = 100_000
    items = pl.DataFrame({"item_id": [f"i{n}" for n in range(20_000)]}).with_columns(kind=pl.lit("clip"))
    votes = pl.DataFrame(
        {
            "vote_id": np.arange(num_votes),
            "item_id": np.char.add("i", rng.integers(0, 20_000, num_votes).astype(str)),
            "worker_id": np.char.add("w", rng.integers(0, 400, num_votes).astype(str)),
            "answer": rng.choice(["yes", "no", "unsure", "broken"], num_votes),
            "spent_ms": rng.integers(1, 9, num_votes),
        }
    )  # fmt: skip
    gold = pl.DataFrame({"item_id": [f"i{n}" for n in range(2_000)]}).with_columns(answer=pl.lit("yes"))
    workers = worker_trust(votes, gold, trust=TrustRule(min_accuracy=0.2))
    verdicts = item_verdicts(items, vote_fates(items, votes, gold, workers=workers), gold)
    assert verdicts["verdict"].n_unique() == 3
    assert verdicts.select(pl.sum_horizontal(f"num_{answer}" for answer in ANSWERS)).max().item() == 5


def fill(work, items, votes, gold):
    made = made_by("label", arguments={}, inputs={})
    clips = [Clip(clip_id=name, video_id=f"v{name}", start_us=0, end_us=9) for name in "cg"]
    for name, frame in (
        ("items", frame_of("items", items)), ("votes", votes), ("clips", frame_of("clips", clips)),
        *([("gold", frame_of("gold", gold))] if gold else []),
    ):  # fmt: skip
        write_table(table_path(work, name), name, frame, made_by=made)


def test_the_stage_writes_tables_and_rejects_and_does_it_once(tmp_path):
    votes = ballots(
        *[(CLIP, name, "yes") for name in "abcd"], (BOX, "a", "no"), (BOX, "b", "no"), (GOLD_ITEM, "a", "yes"),
    )  # fmt: skip
    fill(tmp_path, [CLIP, BOX, GOLD_ITEM], votes, [Gold(item_id=GOLD_ITEM.item_id, answer="no")])
    summary = run_consensus(tmp_path)
    assert summary.line == "consensus: kept 1, rejected 3 (box-voted-down 1, past-the-stop 1, voted-down 1)"
    assert read_table(tmp_path, "clip_labels").select("clip_id", "verdict", "num_yes").rows() == [
        ("c", "accepted", 3), ("g", "rejected", 0),
    ]  # fmt: skip
    assert read_table(tmp_path, "box_labels")["verdict"].to_list() == ["rejected"]
    assert read_table(tmp_path, "workers")["num_votes"].to_list() == [3, 2, 1, 1]
    assert read_rejects(tmp_path)["video_id"].to_list() == ["vc", None, "vg"]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    again = run_consensus(tmp_path)
    assert again.was_current
    assert again.rejected == summary.rejected
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    assert not run_consensus(tmp_path, trust=TrustRule(min_gold=1, min_accuracy=1.0)).was_current
    assert read_table(tmp_path, "workers")["is_trusted"].to_list() == [False, True, True, True]


def test_without_gold_everybody_is_trusted(tmp_path):
    fill(tmp_path, [CLIP], ballots((CLIP, "a", "yes")), [])
    assert run_consensus(tmp_path).numbers["num_untrusted_workers"] == 0


def test_without_votes_the_verb_that_makes_them_is_named(tmp_path):
    with pytest.raises(MissingTable, match="Run `gesta label` first"):
        run_consensus(tmp_path)
