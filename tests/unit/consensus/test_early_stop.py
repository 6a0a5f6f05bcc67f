"""The early stop equals its definition: every sequence of answers is tried, for every protocol."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import polars as pl
import pytest

from gesta.consensus import item_verdicts, replay, vote_arrays, vote_fates
from gesta.schema import (
    ANSWERS,
    ANSWERS_OF,
    BOX_PROTOCOL,
    CLIP_PROTOCOL,
    PROTOCOLS,
    VERDICTS,
    BadInput,
    Protocol,
    fewest_votes_left,
)
from gesta.tables import empty_frame


def alphabet(protocol: Protocol) -> tuple[str, ...]:
    """Four answers: the one that counts for the item, and three that do not."""
    return (protocol.positive, *ANSWERS[1:])


@cache
def sequences(protocol: Protocol) -> list[tuple[str, ...]]:
    lengths = range(protocol.max_votes + 3)
    return [answers for length in lengths for answers in itertools.product(alphabet(protocol), repeat=length)]


@cache
def cast(protocol: Protocol) -> pl.DataFrame:
    """One item a sequence, named by its number; the votes of all items are mixed, in order within each."""
    rows = [
        (place, f"i{number}", f"w{place}", answer)
        for number, answers in enumerate(sequences(protocol))
        for place, answer in enumerate(answers)
    ]
    frame = pl.DataFrame(rows, schema=["place", "item_id", "worker_id", "answer"], orient="row")
    return frame.sort("place", maintain_order=True).with_columns(
        vote_id=pl.int_range(1, pl.len() + 1), spent_ms=pl.lit(0)
    )


def asked_until_decided(protocol: Protocol, answers: tuple[str, ...]) -> tuple[int, str]:
    """Votes used and verdict when the protocol is asked before each vote."""
    for num_used in range(len(answers) + 1):
        used = {answer: answers[:num_used].count(answer) for answer in alphabet(protocol)}
        verdict = protocol.verdict(used)
        if verdict != "open":
            break
    return num_used, verdict


def kinetics_400_section_3_3(answers: tuple[str, ...]) -> tuple[int, str]:
    """The paper's sentences, one by one, on a pool of one clip.

    "In order for a clip to be added to the dataset, it needed to receive at least 3 positive responses from workers.
    We allowed each clip to be annotated 5 times except if it had been annotated by more than 2 of a specific response."
    """
    annotations: list[str] = []
    in_pool = True
    for answer in answers:
        if in_pool:
            annotations.append(answer)
            more_than_2_of_a_specific_response = any(annotations.count(response) > 2 for response in annotations)
            in_pool = len(annotations) < 5 and not more_than_2_of_a_specific_response
    if sum(response == "yes" for response in annotations) >= 3:
        return len(annotations), "accepted"
    return len(annotations), "open" if in_pool else "rejected"


def test_the_clip_protocol_is_the_papers_sentence() -> None:
    assert len(sequences(CLIP_PROTOCOL)) == (4**8 - 1) // 3
    for answers in sequences(CLIP_PROTOCOL):
        assert asked_until_decided(CLIP_PROTOCOL, answers) == kinetics_400_section_3_3(answers), answers


def test_the_box_protocol_is_the_majority_of_three() -> None:
    """AVA-Kinetics, 1.2, step 5: verified by at least 2 of 3 raters; the early stop changes no verdict."""
    for answers in itertools.product(ANSWERS, repeat=3):
        is_verified = answers.count("yes") >= 2
        assert asked_until_decided(BOX_PROTOCOL, answers)[1] == ("accepted" if is_verified else "rejected"), answers


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS.values()), key=str), ids=str)
def test_the_replay_is_the_protocol_on_every_sequence(protocol: Protocol) -> None:
    votes = cast(protocol)
    arrays = vote_arrays(votes, answers=alphabet(protocol))
    found = replay(arrays, protocols=[protocol])
    num_used_I = np.bincount(arrays.item_N[found.is_used_N], minlength=arrays.num_items)
    by_item = dict(zip(arrays.item_ids, zip(num_used_I, found.verdict_I, found.num_IA, strict=True), strict=True))
    places_used = votes.filter(pl.Series(found.is_used_N)).group_by("item_id").agg(pl.col("place").max() + 1)
    assert len(by_item) == len(sequences(protocol)) - 1, "all but the empty sequence have votes"
    for number, answers in enumerate(sequences(protocol)):
        if answers:
            num_used, verdict_number, num_A = by_item[f"i{number}"]
            expected = asked_until_decided(protocol, answers)
            assert (num_used, VERDICTS[verdict_number]) == expected, answers
            assert num_A.tolist() == [answers[: expected[0]].count(answer) for answer in alphabet(protocol)]
    # As many as were used, and the first ones.
    assert dict(places_used.iter_rows()) == {item_id: row[0] for item_id, row in by_item.items()}


@pytest.mark.parametrize("kind", sorted(PROTOCOLS))
def test_the_verdicts_of_tables_are_the_protocol_on_every_sequence(kind: str) -> None:
    protocol, gold = PROTOCOLS[kind], empty_frame("gold")
    # Only what may be said of the kind; other answers are set aside before anything is counted.
    may_be_said = [n for n, answers in enumerate(sequences(protocol)) if set(answers) <= set(ANSWERS_OF[kind])]
    assert len(may_be_said) >= 2 ** (protocol.max_votes + 3) - 1
    items = pl.DataFrame({"item_id": [f"i{n}" for n in may_be_said]}).with_columns(kind=pl.lit(kind))
    votes = cast(protocol).drop("place").join(items, on="item_id", how="semi", maintain_order="left")
    workers = votes.select("worker_id").unique().with_columns(is_trusted=pl.lit(value=True))
    fates = vote_fates(items, votes, gold, workers=workers)
    assert set(fates["fate"]) == {"counted", "past-the-stop"}
    verdicts = item_verdicts(items, fates, gold)
    for number, num_votes, verdict in zip(may_be_said, verdicts["num_votes"], verdicts["verdict"], strict=True):
        answers = sequences(protocol)[number]
        assert (num_votes, verdict) == asked_until_decided(protocol, answers), answers


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS.values()), key=str), ids=str)
def test_leases_as_many_as_the_fewest_votes_left_are_never_paid_for_in_vain(protocol: Protocol) -> None:
    """In every reachable state: whatever the leased answers are, and in whatever order, none follows the verdict."""
    states = {
        tuple(answers.count(answer) for answer in alphabet(protocol))
        for answers in sequences(protocol)
        if asked_until_decided(protocol, answers) == (len(answers), "open")
    }
    assert len(states) > 3
    for state in states:
        counts = dict(zip(alphabet(protocol), state, strict=True))
        num_leases = fewest_votes_left(protocol, counts)
        assert num_leases >= 1, "an open item may always be asked about"
        reaches = set()
        for leased in itertools.product(alphabet(protocol), repeat=num_leases):
            for num_in in range(num_leases):
                now = {answer: counts[answer] + leased[:num_in].count(answer) for answer in counts}
                assert protocol.verdict(now) == "open", f"{leased} after {counts}: lease {num_in + 1} is in vain"
            reaches.add(
                protocol.verdict({answer: counts[answer] + leased.count(answer) for answer in counts}) != "open"
            )  # fmt: skip
        assert True in reaches, f"one more lease could be in vain after {counts}, this many cannot"


def test_each_item_follows_its_own_protocol() -> None:
    rows = [("a", "u", "yes"), ("b", "u", "yes"), ("a", "v", "yes"), ("b", "v", "yes"), ("a", "w", "yes")]
    votes = vote_arrays(pl.DataFrame(rows, schema=["item_id", "worker_id", "answer"], orient="row"))
    found = replay(votes, protocols=[CLIP_PROTOCOL, BOX_PROTOCOL], protocol_I=np.array([0, 1], np.int8))
    assert [VERDICTS[number] for number in found.verdict_I] == ["accepted", "accepted"]
    assert found.num_IA[:, 0].tolist() == [3, 2]
    other = replay(votes, protocols=[CLIP_PROTOCOL, BOX_PROTOCOL], protocol_I=np.array([1, 0], np.int8))
    assert [VERDICTS[number] for number in other.verdict_I] == ["accepted", "open"]
    assert other.is_used_N.tolist() == [True] * 4 + [False]


def test_a_limit_beyond_a_byte_is_kept() -> None:
    protocol = Protocol(max_votes=400, accept_yes=200, stop_at=300)
    answers = ["no"] * 299 + ["yes"] * 200
    frame = pl.DataFrame({"item_id": "a", "worker_id": [f"w{n}" for n in range(499)], "answer": answers})
    found = replay(vote_arrays(frame), protocols=[protocol])
    assert VERDICTS[found.verdict_I[0]] == "rejected"
    assert found.num_IA[0].tolist() == [101, 299, 0, 0]


def test_no_votes_leave_nothing_decided() -> None:
    votes = vote_arrays(pl.DataFrame(schema={"item_id": pl.String, "worker_id": pl.String, "answer": pl.String}))
    found = replay(votes, protocols=[CLIP_PROTOCOL])
    assert (len(found.is_used_N), found.num_IA.shape) == (0, (0, 4))


def test_rules_that_cannot_be_replayed_are_refused() -> None:
    votes = vote_arrays(pl.DataFrame({"item_id": ["a"], "worker_id": ["u"], "answer": ["yes"]}))
    with pytest.raises(BadInput, match="decides before any vote"):
        replay(votes, protocols=[Protocol(max_votes=5, accept_yes=0, stop_at=3)])
    with pytest.raises(BadInput, match="2 protocols, and not one of them for each item"):
        replay(votes, protocols=[CLIP_PROTOCOL, BOX_PROTOCOL])
    with pytest.raises(BadInput, match="not one of them for each item"):
        replay(votes, protocols=[CLIP_PROTOCOL], protocol_I=np.array([1], np.int8))
