"""Laws of the array kernels: the plain definitions, and what may not matter."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.consensus import VoteArrays, dawid_skene, majority, replay, vote_arrays
from gesta.consensus.dawid_skene import item_posteriors
from gesta.schema import ANSWERS, VERDICTS, Protocol

FLOOR = 1e-10
cast = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz"), st.sampled_from(ANSWERS)), min_size=1, max_size=60
)
protocols = st.builds(
    Protocol,
    max_votes=st.integers(1, 9),
    accept_yes=st.integers(1, 6),
    stop_at=st.integers(1, 6),
    positive=st.sampled_from([*ANSWERS, "done"]),
)


def arrays_of(rows: list[tuple[str, str, str]]) -> VoteArrays:
    return vote_arrays(pl.DataFrame(rows, schema=["item_id", "worker_id", "answer"], orient="row"))


@given(cast, protocols)
def test_the_replay_is_the_protocol_asked_before_each_vote(rows, protocol):
    counts, used = {}, []
    for item, _, answer in rows:
        mine = counts.setdefault(item, Counter(dict.fromkeys(ANSWERS, 0)))
        used.append(protocol.verdict(mine) == "open")
        mine[answer] += used[-1]
    votes = arrays_of(rows)
    found = replay(votes, protocols=[protocol])
    assert found.is_used_N.tolist() == used
    for item, verdict, num_A in zip(votes.item_ids, found.verdict_I, found.num_IA, strict=True):
        assert VERDICTS[verdict] == protocol.verdict(counts[item])
        assert num_A.tolist() == [counts[item][answer] for answer in ANSWERS]


@given(cast)
def test_the_majority_is_the_most_common_answer(rows):
    votes = arrays_of(rows)
    plain, lowest = majority(votes), majority(votes, ties="lowest")
    for place, item in enumerate(votes.item_ids):
        counts = Counter(answer for other, _, answer in rows if other == item)
        best = [answer for answer in ANSWERS if counts[answer] == max(counts.values())]
        assert lowest.answer_I[place] == ANSWERS.index(best[0])
        assert plain.answer_I[place] == (ANSWERS.index(best[0]) if len(best) == 1 else -1)
        shares = [answer in best for answer in ANSWERS]
        assert plain.split_shares[place] == pytest.approx(np.array(shares) / len(best))


def plain_dawid_skene(rows, *, num_iterations, known, presumed):
    """The model in dictionaries and logarithms: posteriors by item and answer, and the log-likelihood."""
    items, answers = (
        sorted({row[0] for row in rows}),
        sorted({*ANSWERS[: 4 if presumed else 0], *(row[2] for row in rows), *known.values()}),
    )
    posterior = {}
    for item in items:
        counts = Counter(answer for other, _, answer in rows if other == item)
        posterior[item] = {k: counts[k] / sum(counts.values()) for k in answers}
    log_likelihood = -math.inf
    for step in range(num_iterations + 1):
        for item, answer in known.items():
            posterior[item] = {k: float(k == answer) for k in answers}
        if step == num_iterations:
            break
        prior = {k: max(FLOOR, sum(posterior[item][k] for item in items) / len(items)) for k in answers}
        weight = {(w, k, a): num for w in {row[1] for row in rows} for (k, a), num in presumed.items()}
        for item, worker, answer in rows:
            for k in answers:
                weight[worker, k, answer] = weight.get((worker, k, answer), 0.0) + posterior[item][k]
        weight = {key: max(FLOOR, value) for key, value in weight.items()}
        whole = Counter()
        for (worker, k, _answer), value in weight.items():
            whole[worker, k] += value
        log_likelihood = 0.0
        for item in items:
            logs = {
                k: math.log(prior[k])
                + math.fsum(math.log(weight[w, k, a] / whole[w, k]) for other, w, a in rows if other == item)
                for k in answers
            }
            top = max(logs.values())
            total = math.fsum(math.exp(value - top) for value in logs.values())
            log_likelihood += logs[known[item]] if item in known else top + math.log(total)
            posterior[item] = {k: math.exp(value - top) / total for k, value in logs.items()}
    return posterior, log_likelihood


@settings(max_examples=80)
@given(
    cast,
    st.integers(1, 8),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(ANSWERS), max_size=2),
    st.one_of(st.none(), st.lists(st.floats(0.01, 5), min_size=16, max_size=16)),
)
def test_posteriors_are_those_of_the_plain_model(rows, num_iterations, known, presumed):
    known = {item: answer for item, answer in known.items() if any(row[0] == item for row in rows)}
    votes = arrays_of(rows)
    known_I = np.array([ANSWERS.index(known[item]) if item in known else -1 for item in votes.item_ids], np.int8)
    presumed_KA = None if presumed is None else np.array(presumed).reshape(4, 4)
    found = dawid_skene(
        votes, known_I=known_I, presumed_KA=presumed_KA, max_iterations=num_iterations, tolerance=-math.inf
    )
    pairs = dict(zip(itertools.product(ANSWERS, ANSWERS), presumed or [], strict=False))
    posterior, log_likelihood = plain_dawid_skene(rows, num_iterations=num_iterations, known=known, presumed=pairs)
    for place, item in enumerate(votes.item_ids):
        # Nobody gave some answers: without presumed votes they are impossible, with them the plain model knows them.
        assert found.posterior_IK[place] == pytest.approx([posterior[item].get(k, 0.0) for k in ANSWERS], abs=1e-9)
    assert found.log_likelihood == pytest.approx(log_likelihood, rel=1e-9, abs=1e-9)
    assert (found.num_iterations, found.has_converged) == (num_iterations, False)


@settings(max_examples=50)
@given(cast)
def test_one_step_from_what_was_fitted_is_the_next_step(rows):
    votes = arrays_of(rows)
    first, second = (dawid_skene(votes, max_iterations=steps, tolerance=-math.inf) for steps in (3, 4))
    next_IK = item_posteriors(votes, prior_K=first.prior_K, confusion_WKA=first.confusion_WKA)
    assert next_IK == pytest.approx(second.posterior_IK, abs=1e-9)


@settings(max_examples=50)
@given(cast, st.randoms(use_true_random=False))
def test_the_order_of_votes_and_the_names_move_no_posterior(rows, rng):
    shuffled = rng.sample(rows, len(rows))
    names = dict(zip("uvwxyz", rng.sample("uvwxyz", 6), strict=True))
    first = dawid_skene(arrays_of(rows), max_iterations=5, tolerance=-math.inf)
    other_votes = arrays_of([(item, names[worker], answer) for item, worker, answer in shuffled])
    other = dawid_skene(other_votes, max_iterations=5, tolerance=-math.inf)
    place = {item: number for number, item in enumerate(other_votes.item_ids)}
    order = [place[item] for item in arrays_of(rows).item_ids]
    assert first.posterior_IK == pytest.approx(other.posterior_IK[order], abs=1e-9)


@settings(max_examples=50)
@given(cast)
def test_the_likelihood_never_falls_and_chances_sum_to_one(rows):
    votes = arrays_of(rows)
    found = [dawid_skene(votes, max_iterations=steps, tolerance=-math.inf) for steps in (1, 2, 4, 8)]
    likelihoods = [step.log_likelihood for step in found]
    # The floor of 1e-10 may take a little away.
    assert all(b >= a - 1e-6 for a, b in itertools.pairwise(likelihoods))
    assert found[-1].posterior_IK.sum(axis=1) == pytest.approx(np.ones(votes.num_items))
    assert found[-1].confusion_WKA.sum(axis=2) == pytest.approx(np.ones((votes.num_workers, 4)))
    assert found[-1].weight_WKA.sum() == pytest.approx(len(rows))
