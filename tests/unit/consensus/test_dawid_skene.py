"""Answers and workers' confusions on published crowds, beside what other programs and the paper say of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from gesta.consensus import VoteArrays, dawid_skene, majority, vote_arrays, worker_skill
from gesta.consensus.dawid_skene import item_posteriors
from gesta.schema import ANSWERS, BadInput

VOTE = ["item_id", "worker_id", "answer"]


def crowd(shared: Path, name: str) -> tuple[VoteArrays, np.ndarray]:
    """The votes of a published crowd, and the number of each item's true answer [I]."""
    if name == "product":
        votes = pl.read_csv(shared / "crowd/product_answer.csv", new_columns=VOTE)
        truth = pl.read_csv(shared / "crowd/product_truth.csv", new_columns=["item_id", "truth"])
    else:
        votes, truth = (
            pl.read_csv(shared / f"crowd/{name}_{part}.txt", separator="\t", has_header=False, new_columns=columns)
            for part, columns in (("crowd", VOTE), ("truth", ["item_id", "truth"]))
        )
    votes, truth = votes.cast(pl.String), truth.cast(pl.String).unique()
    arrays = vote_arrays(votes, answers=sorted(votes["answer"].unique()))
    of_items = pl.DataFrame({"item_id": arrays.item_ids}).join(
        truth, on="item_id", how="left", maintain_order="left", validate="1:1"
    )
    return arrays, of_items["truth"].cast(pl.Enum(arrays.answers)).to_physical().to_numpy()


@pytest.mark.parametrize(
    ("name", "num_votes", "majority_error", "dawid_skene_error"),
    [("bluebird", 4212, 0.2407, 0.1019), ("dog", 8070, 0.1778, 0.1574), ("product", 24945, 1 - 0.8966, 1 - 0.9397)],
)
def test_errors_on_published_crowds(
    shared: Path, name: str, num_votes: int, majority_error: float, dawid_skene_error: float
) -> None:
    votes, truth_I = crowd(shared, name)
    assert len(votes.item_N) == num_votes
    split = majority(votes).split_shares[np.arange(len(truth_I)), truth_I]
    assert 1 - split.mean() == pytest.approx(majority_error, abs=6e-5)
    # As many steps as the program takes at most that the numbers are from; one item of `product` wavers on the way.
    found = dawid_skene(votes, max_iterations=100, tolerance=-np.inf)
    assert (found.best_answers != truth_I).mean() == pytest.approx(dawid_skene_error, abs=6e-5)


CASES = json.loads((Path(__file__).parents[2] / "golden/crowd/crowdkit.json").read_text())["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['crowd']}-{case['num_known']}")
def test_posteriors_are_crowd_kits(shared: Path, case: dict[str, Any]) -> None:
    votes, truth_I = crowd(shared, case["crowd"])
    assert list(votes.answers) == case["answers"]
    assert sorted(case["posteriors"]) == sorted(votes.item_ids)
    numbers = votes.item_ids.cast(pl.Int64).to_numpy()
    # The items of these crowds are numbered from 1, and their truth is listed in that order.
    known_I = np.where(numbers <= case["num_known"], truth_I, -1).astype(np.int8)
    found = dawid_skene(votes, known_I=known_I, max_iterations=case["num_iterations"], tolerance=-np.inf)
    stored_IK = np.array([case["posteriors"][item] for item in votes.item_ids])
    assert np.abs(found.posterior_IK - stored_IK).max() < 1e-9
    assert found.prior_K == pytest.approx(case["priors"], abs=1e-9)


def test_the_patients_of_dawid_and_skene(shared: Path) -> None:
    stored = json.loads((shared / "crowd/dawid_skene_1979.json").read_text())
    rows = [
        (patient, observer, str(answer))
        for patient, observers in stored["responses"].items()
        for observer, answers in observers.items()
        for answer in answers
    ]
    votes = vote_arrays(pl.DataFrame(rows, schema=VOTE, orient="row"), answers="1234")
    found = dawid_skene(votes, max_iterations=1000, tolerance=1e-12)
    expected = stored["expected"]
    assert found.prior_K.round(4).tolist() == expected["class_marginals"] == [0.3996, 0.4220, 0.1118, 0.0667]
    assert found.log_likelihood == pytest.approx(-192.890881, abs=1e-6)
    # By patient, in order of the numbers.
    order = np.argsort(votes.item_ids.cast(pl.Int64).to_numpy())
    assert (found.best_answers[order] + 1).tolist() == expected["hard_labels"]
    uncertain = votes.item_ids.filter(found.posterior_IK.max(axis=1) < 0.99).cast(pl.Int64)
    assert sorted(uncertain) == [7, 35, 38]
    assert found.confusion_WKA.sum(axis=2) == pytest.approx(np.ones((5, 4)))


def answered(*rows: tuple[str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=VOTE, orient="row")


def test_hundreds_of_votes_on_one_item_do_not_vanish() -> None:
    """The product of the chances is below the least double; the posterior is not."""
    rng = np.random.default_rng(3)
    rows = [(f"i{i}", f"w{w}", ANSWERS[rng.integers(4)]) for i in range(40) for w in range(900)]
    found = dawid_skene(vote_arrays(answered(*rows)), max_iterations=2)
    assert found.log_likelihood / 40 < np.log(5e-324)
    assert np.isfinite(found.log_likelihood)
    assert found.posterior_IK.sum(axis=1) == pytest.approx(np.ones(40))


def test_an_answer_that_nobody_gave_is_impossible() -> None:
    votes = answered(("a", "u", "yes"), ("a", "v", "no"), ("b", "u", "yes"), ("b", "v", "yes"))
    found = dawid_skene(vote_arrays(votes))
    assert found.posterior_IK[:, 2:].tolist() == [[0, 0], [0, 0]]
    assert found.prior_K[2:].tolist() == [0, 0]


def test_known_answers_are_held_and_tell_of_the_workers() -> None:
    # Two lie about everything; on the known items this shows, and turns the answer of the last.
    known = [
        (f"g{n}", worker, answer) for n in range(6) for worker, answer in zip("uvw", ("no", "no", "yes"), strict=True)
    ]
    votes = vote_arrays(answered(*known, ("x", "u", "no"), ("x", "v", "no"), ("x", "w", "yes")))
    known_I = np.array([0] * 6 + [-1], np.int8)
    assert dawid_skene(votes).best_answers[-1] == ANSWERS.index("no")
    found = dawid_skene(votes, known_I=known_I)
    assert found.posterior_IK[:6, 0].tolist() == [1.0] * 6
    assert found.best_answers[-1] == ANSWERS.index("yes")
    gold = pl.DataFrame({"item_id": [f"g{n}" for n in range(6)], "answer": "yes"})
    skill = worker_skill(answered(*known), gold=gold)
    assert skill.select("worker_id", "num_votes").rows() == [("u", 6), ("v", 6), ("w", 6)]
    assert skill["skill"].to_list() == pytest.approx([0, 0, 1], abs=1e-9)
    assert skill["confusion"].to_list()[0][0] == pytest.approx([0, 1, 0, 0], abs=1e-9)


def test_a_known_answer_that_nobody_gave_is_possible() -> None:
    votes = vote_arrays(answered(("a", "u", "yes"), ("b", "u", "no")))
    found = dawid_skene(votes, known_I=np.array([2, -1], np.int8))
    assert found.posterior_IK[0].tolist() == [0, 0, 1, 0]
    assert np.isfinite(found.log_likelihood)


def test_presumed_votes_steady_a_worker_of_whom_little_is_known() -> None:
    # Two against one; the one has answered much, and always as everybody else.
    many = [(f"i{n}", worker, "yes" if n % 2 else "no") for n in range(40) for worker in ("old", "o2", "o3")]
    votes = vote_arrays(
        answered(*many, ("x", "old", "yes"), ("x", "o2", "yes"), ("x", "new", "no")), answers=["yes", "no"]
    )
    bare, steady = (dawid_skene(votes, presumed_KA=presumed_KA) for presumed_KA in (None, np.array([[8.0, 2], [2, 8]])))
    new = votes.worker_ids.to_list().index("new")
    assert bare.confusion_WKA[new, 0].round(3).tolist() == [0, 1]
    assert steady.confusion_WKA[new, 0] == pytest.approx([8 / 11, 3 / 11], abs=0.01)


def test_an_item_without_votes_has_the_priors() -> None:
    votes = VoteArrays(
        item_N=np.array([0, 0, 2], np.int32), worker_N=np.array([0, 1, 0], np.int32),
        answer_N=np.array([0, 0, 1], np.int8), item_ids=pl.Series(["a", "b", "c"]), worker_ids=pl.Series(["u", "v"]),
    )  # fmt: skip
    found = dawid_skene(votes)
    assert found.posterior_IK[1] == pytest.approx(found.prior_K)
    assert found.prior_K == pytest.approx([0.5, 0.5, 0, 0])


def test_nothing_at_all_says_nothing() -> None:
    found = dawid_skene(vote_arrays(answered()))
    assert found.posterior_IK.shape == (0, 4)
    assert found.confusion_WKA.shape == (0, 4, 4)
    assert worker_skill(answered().cast(pl.String)).rows() == []


def test_skill_tells_careful_workers_from_those_who_guess() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, 300)
    rows = [
        (f"i{i}", worker, ANSWERS[truth[i] if rng.random() < right else 1 - truth[i]])
        for i in range(300)
        for worker, right in (("a", 0.95), ("b", 0.9), ("c", 0.8), ("guess", 0.5))
    ]
    skill = worker_skill(answered(*rows))
    assert skill["worker_id"].to_list() == ["a", "b", "c", "guess"]
    assert skill["skill"].to_list() == pytest.approx([0.95, 0.9, 0.8, 0.5], abs=0.05)


def test_what_makes_no_sense_is_refused() -> None:
    votes = vote_arrays(answered(("a", "u", "yes")))
    with pytest.raises(BadInput, match="known answers of shape"):
        dawid_skene(votes, known_I=np.array([4], np.int8))
    with pytest.raises(BadInput, match="known answers of shape"):
        dawid_skene(votes, known_I=np.zeros(2, np.int8))
    with pytest.raises(BadInput, match="max_iterations=0"):
        dawid_skene(votes, max_iterations=0)
    with pytest.raises(BadInput, match=r"presumed votes of shape \(4, 4\)"):
        dawid_skene(votes, presumed_KA=np.full((4, 4), -1.0))
    with pytest.raises(BadInput, match="priors of shape"):
        item_posteriors(votes, prior_K=np.zeros(4), confusion_WKA=np.full((1, 4, 4), 0.25))
    with pytest.raises(BadInput, match="confusions of shape"):
        item_posteriors(votes, prior_K=np.ones(4), confusion_WKA=np.full((2, 4, 4), 0.25))
