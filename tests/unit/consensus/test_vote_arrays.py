"""Votes as arrays, and the majority of them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gesta.consensus import VoteArrays, majority, vote_arrays
from gesta.schema import BadInput


def frame(*rows: tuple[str | None, str | None, str | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=["item_id", "worker_id", "answer"], orient="row")


def test_numbers_stand_for_texts_in_order_of_appearance() -> None:
    found = vote_arrays(frame(("z", "u", "no"), ("a", "v", "yes"), ("z", "u", "broken")))
    assert found.item_ids.to_list() == ["z", "a"]
    assert found.worker_ids.to_list() == ["u", "v"]
    assert (found.item_N.tolist(), found.worker_N.tolist(), found.answer_N.tolist()) == (
        [0, 1, 0],
        [0, 1, 0],
        [1, 0, 3],
    )
    assert (found.item_N.dtype, found.worker_N.dtype, found.answer_N.dtype) == (np.int32, np.int32, np.int8)


def test_an_enumeration_or_a_category_is_a_text_too() -> None:
    votes = frame(("z", "u", "no"), ("a", "u", "no")).with_columns(pl.col("item_id").cast(pl.Enum(["a", "z"])))
    assert vote_arrays(votes).item_ids.to_list() == ["z", "a"]


def test_strange_votes_are_refused() -> None:
    with pytest.raises(BadInput, match=r"'maybe' is no answer\. Want one of yes, no, unsure, broken"):
        vote_arrays(frame(("a", "u", "yes"), ("a", "v", "maybe")))
    with pytest.raises(BadInput, match="1 votes have no worker_id"):
        vote_arrays(frame(("a", None, "yes")))
    with pytest.raises(BadInput, match="None is no answer"):
        vote_arrays(frame(("a", "u", None)))


def test_numbers_that_stand_for_nothing_are_refused() -> None:
    zero, one = np.zeros(1, np.int32), np.ones(1, np.int32)
    ids = pl.Series(["x"])
    with pytest.raises(BadInput, match=r"a worker number is outside 0\.\.0"):
        VoteArrays(item_N=zero, worker_N=one, answer_N=zero.astype(np.int8), item_ids=ids, worker_ids=ids)
    with pytest.raises(BadInput, match=r"a item number is outside 0\.\.0"):
        VoteArrays(item_N=-one, worker_N=zero, answer_N=zero.astype(np.int8), item_ids=ids, worker_ids=ids)
    with pytest.raises(BadInput, match="answer numbers have shape"):
        VoteArrays(item_N=zero, worker_N=zero, answer_N=np.zeros(2, np.int8), item_ids=ids, worker_ids=ids)


def test_ties_are_nobodys_the_lowests_or_split() -> None:
    votes = vote_arrays(
        frame(
            *[("tie", f"w{n}", answer) for n, answer in enumerate(["no", "yes", "broken", "yes", "no"])],
            ("one", "w0", "no"),
        )
    )
    assert majority(votes).answer_I.tolist() == [-1, 1]
    assert majority(votes, ties="lowest").answer_I.tolist() == [0, 1]
    assert majority(votes).split_shares.tolist() == [[0.5, 0.5, 0, 0], [0, 1, 0, 0]]
    assert majority(votes).num_best_I.tolist() == [2, 1]


def test_an_item_without_votes_has_no_majority() -> None:
    nobody = np.zeros(0, np.int32)
    votes = VoteArrays(
        item_N=nobody, worker_N=nobody, answer_N=nobody.astype(np.int8), item_ids=pl.Series(["a"]),
        worker_ids=pl.Series([]),
    )  # fmt: skip
    found = majority(votes, ties="lowest")
    assert (found.answer_I.tolist(), found.num_best_I.tolist()) == ([-1], [0])
    assert found.split_shares.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("num_votes", [255, 256, 257, 512, 700])
def test_counts_beyond_a_byte_are_kept(num_votes: int) -> None:
    votes = vote_arrays(
        pl.DataFrame({"item_id": "a", "worker_id": [f"w{n}" for n in range(num_votes)], "answer": "unsure"}).vstack(
            frame(("a", "u", "yes"))
        )
    )
    assert majority(votes).num_IA.tolist() == [[1, 0, num_votes, 0]]
    assert majority(votes).answer_I.tolist() == [2]
