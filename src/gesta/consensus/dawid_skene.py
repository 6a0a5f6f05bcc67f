"""Answers and workers' confusions from votes alone: the model of Dawid and Skene (1979), fitted by EM.

Each worker w gives answer a to an item of true answer k with a chance of his own, and items have true answers with
prior chances. The start is each item's shares of votes; then, in turns,

- M step: priors are the mean posteriors; a worker's confusion is his votes, each weighted with the posterior of its
  item, normalised for each true answer;
- E step: an item's posterior is the prior times the chances of its votes, normalised.

Two numbers keep zeros out, as in crowd-kit 1.4.2, whose posteriors these are to 1e-9 (a benchmark compares them): a
confusion's weights are at least 1e-10 before they are normalised, over the answers that the worker ever gave, and a
prior is at least 1e-10. An answer that nobody gave, and that no known answer is, stays impossible. What differs from
crowd-kit is when to stop: here when the log-likelihood of the votes grows by less than `tolerance` a vote.

Posteriors are computed as products, rescaled every few votes so that they do not vanish, and not from logarithms.

Legend: N votes, I items, W workers, A answers given, K true answers (the same answers, another axis).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.consensus.vote_arrays import VoteArrays, vote_arrays
from gesta.schema import ANSWERS, BadInput

FLOOR = 1e-10
"""The least weight of a confusion before it is normalised, and the least prior. Source: crowd-kit 1.4.2, `_EPS`."""

MIN_MET = 0.5
"""Items of a true answer that a worker must have met, in expectation, for it to count in his skill. Source: ours."""

_VOTES_A_SCALING = 8
"""Votes multiplied before a product is rescaled: each is above 1e-17, so that eight stay far above 1e-308."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DawidSkene:
    """What the votes say: of each item, of the priors, and of each worker.

    posterior_IK: chance of each true answer, each row sums to 1; prior_K: as estimated from them; confusion_WKA: chance
    that worker w gives answer a where k is true, each row sums to 1; weight_WKA: votes behind it, in expectation;
    log_likelihood: of the votes (and known answers), natural, under the parameters that gave the posteriors.
    """

    posterior_IK: npt.NDArray[np.float64]
    prior_K: npt.NDArray[np.float64]
    confusion_WKA: npt.NDArray[np.float64]
    weight_WKA: npt.NDArray[np.float64]
    log_likelihood: float
    num_iterations: int
    has_converged: bool

    @property
    def best_answers(self) -> npt.NDArray[np.int8]:
        """The likeliest answer of each item, the first of equals [I]."""
        return self.posterior_IK.argmax(axis=1).astype(np.int8)


def dawid_skene(
    votes: VoteArrays,
    *,
    known_I: npt.NDArray[np.int8] | None = None,
    presumed_KA: npt.NDArray[np.float64] | None = None,
    max_iterations: int = 100,
    tolerance: float = 1e-7,
) -> DawidSkene:
    """Posteriors of the true answers and the workers' confusions, by EM from the shares of votes.

    Args:
        votes: in any order; a worker may answer an item several times.
        known_I: the true answer where it is known, else -1, int8 [I].
        presumed_KA: votes that each worker is taken to have given beforehand, by true answer and answer; they steady
            the confusions of workers with few votes (a Dirichlet prior, less one). None: none, the model of 1979.
        max_iterations: E steps at most.
        tolerance: stop when the log-likelihood (with presumed votes, theirs too) grows by less a vote; -inf never stops
            early. Source: ours, well below what moves an answer.
    Raises:
        BadInput: `known_I` has not one answer or -1 for each item, `presumed_KA` is no such table, or
            `max_iterations` is below 1.

    Source: Dawid and Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm", 1979.

    >>> cast = [("a", "u", "yes"), ("a", "v", "yes"), ("a", "w", "no"), ("b", "u", "no"), ("b", "v", "no")]
    >>> frame = pl.DataFrame(cast, schema=["item_id", "worker_id", "answer"], orient="row")
    >>> found = dawid_skene(vote_arrays(frame, answers=("yes", "no")))
    >>> found.posterior_IK.round(3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    num_answers = len(votes.answers)
    if known_I is None:
        known_I = np.full(votes.num_items, -1, np.int8)
    if known_I.shape != (votes.num_items,) or (len(known_I) and not -1 <= known_I.min() <= known_I.max() < num_answers):
        raise BadInput(f"known answers of shape {known_I.shape}", mend="Want an answer's number or -1 for each item")
    if presumed_KA is None:
        presumed_KA = np.zeros((num_answers, num_answers))
    if presumed_KA.shape != (num_answers, num_answers) or presumed_KA.min(initial=0) < 0:
        raise BadInput(f"presumed votes of shape {presumed_KA.shape}", mend="Want 0 or more for each pair of answers")
    if max_iterations < 1:
        raise BadInput(f"max_iterations={max_iterations}", mend="Want 1 or more")
    start_I, cell_N = _by_item(votes.item_N, votes.worker_N, votes.answer_N, votes.num_items, num_answers)
    is_given_WA = np.bincount(cell_N, minlength=votes.num_workers * num_answers).reshape(-1, num_answers) > 0
    is_given_WA |= presumed_KA.sum(axis=0) > 0
    num_known_K = np.bincount(known_I + 1, minlength=num_answers + 1)[1:]
    # Without a vote everything is possible.
    is_possible_K = is_given_WA.any(axis=0) | (num_known_K > 0) | (not len(cell_N))

    num_votes_I = np.diff(start_I)
    known, met, asked = (np.flatnonzero(rows) for rows in _groups(num_votes_I, known_I))
    posterior_IK = _vote_shares(votes, num_votes_I)
    posterior_IK[known_I >= 0] = np.eye(num_answers)[known_I[known_I >= 0]]
    known_weight = _weights(known, start_I, cell_N, posterior_IK, votes.num_workers)
    known_total_K = posterior_IK[known].sum(axis=0)
    weight = _weights(met, start_I, cell_N, posterior_IK, votes.num_workers)
    total_K = posterior_IK[met].sum(axis=0)

    log_likelihood, objective, num_done, has_converged = -math.inf, -math.inf, 0, False
    prior_K, chance_WAK = _estimated(total_K, weight, len(met), is_given_WA, is_possible_K, presumed_KA)
    while num_done < max_iterations and not has_converged:
        before, chance = objective, chance_WAK.ravel()
        weight[:], total_K[:] = known_weight, known_total_K
        log_likelihood = _log_of_known(known, start_I, cell_N, known_I, chance, prior_K)
        log_likelihood += _e_and_m(asked, start_I, cell_N, chance, prior_K, posterior_IK, weight, total_K)
        # What EM raises when votes are presumed is the likelihood of those as well.
        objective = log_likelihood + float((presumed_KA.T * np.log(np.maximum(chance_WAK, FLOOR))).sum())
        posterior_IK[(num_votes_I == 0) & (known_I < 0)] = prior_K / prior_K.sum()
        prior_K, chance_WAK = _estimated(total_K, weight, len(met), is_given_WA, is_possible_K, presumed_KA)
        num_done += 1
        has_converged = objective - before < tolerance * max(1, len(cell_N))
    return DawidSkene(
        posterior_IK=posterior_IK,
        prior_K=prior_K,
        confusion_WKA=chance_WAK.swapaxes(1, 2),
        weight_WKA=weight.reshape(chance_WAK.shape).swapaxes(1, 2),
        log_likelihood=log_likelihood,
        num_iterations=num_done,
        has_converged=has_converged,
    )


def item_posteriors(
    votes: VoteArrays, *, prior_K: npt.NDArray[np.float64], confusion_WKA: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The chance of each true answer of each item under given priors and confusions [I, K]: one E step.

    Args:
        prior_K: as `DawidSkene.prior_K`, not all 0.
        confusion_WKA: as `DawidSkene.confusion_WKA`; chances below 1e-10 count as that.
    Raises:
        BadInput: the shapes do not fit the votes, or no prior is above 0.

    >>> votes = vote_arrays(pl.DataFrame({"item_id": "a", "worker_id": ["u"], "answer": ["no"]}), answers=["yes", "no"])
    >>> confusion_WKA = np.array([[[0.9, 0.1], [0.2, 0.8]]])
    >>> item_posteriors(votes, prior_K=np.array([0.5, 0.5]), confusion_WKA=confusion_WKA).round(3).tolist()
    [[0.111, 0.889]]
    """
    num_answers = len(votes.answers)
    is_fitting = confusion_WKA.shape == (votes.num_workers, num_answers, num_answers)
    if prior_K.shape != (num_answers,) or not prior_K.max() > 0 or not is_fitting:
        raise BadInput(
            f"priors of shape {prior_K.shape} and confusions of shape {confusion_WKA.shape}",
            mend=f"Want one for each of {num_answers} answers, not all 0, and of {votes.num_workers} workers",
        )
    start_I, cell_N = _by_item(votes.item_N, votes.worker_N, votes.answer_N, votes.num_items, num_answers)
    chance = np.maximum(confusion_WKA.swapaxes(1, 2), FLOOR).ravel()
    posterior_IK = np.tile(prior_K / prior_K.sum(), (votes.num_items, 1))
    asked = np.flatnonzero(np.diff(start_I))
    _e_and_m(asked, start_I, cell_N, chance, prior_K, posterior_IK, np.empty_like(chance), np.empty(num_answers))
    return posterior_IK


def _groups(
    num_votes_I: npt.NDArray[np.int64], known_I: npt.NDArray[np.int8]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Of the items with votes [I]: those whose answer is known, all, and those whose answer is asked for."""
    has_votes = num_votes_I > 0
    return has_votes & (known_I >= 0), has_votes, has_votes & (known_I < 0)


def _vote_shares(votes: VoteArrays, num_votes_I: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The share of each answer in the votes of each item [I, A]; zeros for an item without votes."""
    num_answers = len(votes.answers)
    cell_N = votes.item_N.astype(np.int64) * num_answers + votes.answer_N
    num_IA = np.bincount(cell_N, minlength=votes.num_items * num_answers).reshape(-1, num_answers)
    return num_IA / np.maximum(num_votes_I, 1)[:, None]


def _estimated(
    total_K: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    num_met: int,
    is_given_WA: npt.NDArray[np.bool_],
    is_possible_K: npt.NDArray[np.bool_],
    presumed_KA: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Priors [K] and the chance of each answer [W, A, K] from summed posteriors and weights."""
    prior_K = np.where(is_possible_K, np.maximum(total_K / max(1, num_met), FLOOR), 0.0)
    weight_WAK = weight.reshape(*is_given_WA.shape, len(total_K)) + presumed_KA.T
    chance_WAK = np.where(is_given_WA[:, :, None], np.maximum(weight_WAK, FLOOR), 0.0)
    sum_W1K = chance_WAK.sum(axis=1, keepdims=True)
    return prior_K, np.divide(chance_WAK, sum_W1K, out=chance_WAK, where=sum_W1K > 0)


@numba.njit(cache=True, nogil=True)
def _by_item(
    item_N: npt.NDArray[np.int32],
    worker_N: npt.NDArray[np.int32],
    answer_N: npt.NDArray[np.int8],
    num_items: int,
    num_answers: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Where each item's votes begin [I + 1], and worker * A + answer of the votes in that order [N]."""
    start_I = np.zeros(num_items + 1, np.int64)
    for n in range(len(item_N)):
        start_I[item_N[n] + 1] += 1
    for i in range(num_items):
        start_I[i + 1] += start_I[i]
    place_I = start_I[:-1].copy()
    cell_N = np.empty(len(item_N), np.int32)
    for n in range(len(item_N)):
        i = item_N[n]
        cell_N[place_I[i]] = worker_N[n] * num_answers + answer_N[n]
        place_I[i] += 1
    return start_I, cell_N


@numba.njit(cache=True, nogil=True)
def _weights(
    items: npt.NDArray[np.int64],
    start_I: npt.NDArray[np.int64],
    cell_N: npt.NDArray[np.int32],
    posterior_IK: npt.NDArray[np.float64],
    num_workers: int,
) -> npt.NDArray[np.float64]:
    """Votes of some items, weighted with their posteriors, by worker, answer and true answer [W * A * K]."""
    num_answers = posterior_IK.shape[1]
    weight = np.zeros(num_workers * num_answers * num_answers)
    for i in items:
        for v in range(start_I[i], start_I[i + 1]):
            for k in range(num_answers):
                weight[cell_N[v] * num_answers + k] += posterior_IK[i, k]
    return weight


@numba.njit(cache=True, nogil=True)
def _e_and_m(
    items: npt.NDArray[np.int64],
    start_I: npt.NDArray[np.int64],
    cell_N: npt.NDArray[np.int32],
    chance: npt.NDArray[np.float64],
    prior_K: npt.NDArray[np.float64],
    posterior_IK: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    total_K: npt.NDArray[np.float64],
) -> float:
    """The log-likelihood of some items; their posteriors are written, and added to `total_K` and `weight`."""
    num_answers = len(prior_K)
    product_K = np.empty(num_answers)
    log_sum, product = 0.0, 1.0
    for i in items:
        first, last = start_I[i], start_I[i + 1]
        for k in range(num_answers):
            product_K[k] = prior_K[k]
        for v in range(first, last):
            row = cell_N[v] * num_answers
            for k in range(num_answers):
                product_K[k] *= chance[row + k]
            if (v - first) % _VOTES_A_SCALING == _VOTES_A_SCALING - 1:
                whole = 0.0
                for k in range(num_answers):
                    whole += product_K[k]
                log_sum += math.log(whole)
                for k in range(num_answers):
                    product_K[k] /= whole
        whole = 0.0
        for k in range(num_answers):
            whole += product_K[k]
        # One logarithm for many items.
        product *= whole
        if product < 1e-150:
            log_sum += math.log(product)
            product = 1.0
        for k in range(num_answers):
            product_K[k] /= whole
            posterior_IK[i, k] = product_K[k]
            total_K[k] += product_K[k]
        for v in range(first, last):
            row = cell_N[v] * num_answers
            for k in range(num_answers):
                weight[row + k] += product_K[k]
    return log_sum + math.log(product)


@numba.njit(cache=True, nogil=True)
def _log_of_known(
    items: npt.NDArray[np.int64],
    start_I: npt.NDArray[np.int64],
    cell_N: npt.NDArray[np.int32],
    known_I: npt.NDArray[np.int8],
    chance: npt.NDArray[np.float64],
    prior_K: npt.NDArray[np.float64],
) -> float:
    """The log-likelihood of items whose answer is known."""
    log_sum = 0.0
    for i in items:
        log_sum += math.log(prior_K[known_I[i]])
        for v in range(start_I[i], start_I[i + 1]):
            log_sum += math.log(chance[cell_N[v] * len(prior_K) + known_I[i]])
    return log_sum


def worker_skill(votes: pl.DataFrame, *, gold: pl.DataFrame | None = None) -> pl.DataFrame:
    """Every worker of `votes` with num_votes, skill and confusion, sorted by worker_id: Dawid-Skene on demand.

    `confusion` is a list of lists: chance of each answer (columns) where each answer is true (rows), both in the order
    of `gesta.schema.ANSWERS`. `skill` is the chance that the worker is right about an item drawn from the priors, over
    the true answers that he met; 0.5 of an item, in expectation, is the least that counts as met.

    Args:
        votes: columns item_id, worker_id, answer of questions of one kind, with answers of `ANSWERS`, in any order;
            one standing vote a worker and item.
        gold: columns item_id and answer of items whose answer is known; their answers are held.
    Raises:
        BadInput: an answer is not among `ANSWERS`.

    >>> cast = [("a", "u", "yes"), ("a", "v", "yes"), ("a", "w", "no"), ("b", "u", "no"), ("b", "v", "no")]
    >>> frame = pl.DataFrame(cast, schema=["item_id", "worker_id", "answer"], orient="row")
    >>> worker_skill(frame).select("worker_id", "num_votes", pl.col("skill").round(3)).rows()
    [('u', 2, 1.0), ('v', 2, 1.0), ('w', 1, 0.0)]
    """
    arrays = vote_arrays(votes)
    known_I = None
    if gold is not None:
        places = pl.DataFrame({"item_id": arrays.item_ids.cast(pl.String)}).join(
            gold.select("item_id", known=pl.col("answer").cast(pl.Enum(list(ANSWERS)), strict=False)),
            on="item_id", how="left", maintain_order="left",
        )  # fmt: skip
        known_I = places["known"].to_physical().cast(pl.Int8).fill_null(-1).to_numpy()
    found = dawid_skene(arrays, known_I=known_I)
    share_WK = np.where(found.weight_WKA.sum(axis=2) >= MIN_MET, found.prior_K, 0.0)
    right_WK = np.diagonal(found.confusion_WKA, axis1=1, axis2=2)
    skill_W = (share_WK * right_WK).sum(axis=1) / np.maximum(share_WK.sum(axis=1), FLOOR)
    return pl.DataFrame(
        {
            "worker_id": arrays.worker_ids.cast(pl.String),
            "num_votes": np.bincount(arrays.worker_N, minlength=arrays.num_workers),
            "skill": skill_W,
            "confusion": found.confusion_WKA.tolist(),
        },
        schema_overrides={"num_votes": pl.Int64, "confusion": pl.List(pl.List(pl.Float64))},
    ).sort("worker_id")
