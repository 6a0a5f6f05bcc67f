"""The majority: which answer of each item was given most often, and what to do with ties.

Legend: N votes, I items, A answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
import numpy.typing as npt

from gesta.consensus.vote_arrays import VoteArrays

Ties = Literal["none", "lowest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Majority:
    """Votes of each answer [I, A], how many answers share the first place [I], and the answer that won [I].

    An answer is a place in `VoteArrays.answers`; -1 where nobody won.
    """

    num_IA: npt.NDArray[np.int32]
    num_best_I: npt.NDArray[np.int8]
    answer_I: npt.NDArray[np.int8]

    @property
    def split_shares(self) -> npt.NDArray[np.float64]:
        """A whole for the winner, split equally where answers tie [I, A]; zeros for an item without votes.

        The mean share of the true answers is what a coin would get right that is thrown at every tie.
        """
        is_best_IA = (self.num_IA == self.num_IA.max(axis=1, keepdims=True)) & (self.num_best_I > 0)[:, None]
        return is_best_IA / np.maximum(self.num_best_I, 1)[:, None]


def majority(votes: VoteArrays, *, ties: Ties = "none") -> Majority:
    """The most frequent answer of each item.

    Args:
        votes: one vote a worker and item, in any order.
        ties: `none` lets nobody win where answers tie; `lowest` lets the first of them in `votes.answers` win.
            `Majority.split_shares` splits ties.

    >>> import polars as pl
    >>> from gesta.consensus.vote_arrays import vote_arrays
    >>> cast = pl.DataFrame({"item_id": ["a", "a", "b"], "worker_id": ["u", "v", "u"], "answer": ["no", "yes", "no"]})
    >>> majority(vote_arrays(cast)).answer_I.tolist(), majority(vote_arrays(cast), ties="lowest").answer_I.tolist()
    ([-1, 1], [0, 1])
    >>> majority(vote_arrays(cast)).split_shares.tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    """
    shape = (votes.num_items, len(votes.answers))
    # A byte a count keeps them in the cache, and is enough for nearly every log.
    small_IA = np.zeros(shape, np.uint8)
    num_IA: npt.NDArray[np.uint8] | npt.NDArray[np.int32] = small_IA
    if not _are_counted(votes.item_N, votes.answer_N, small_IA):
        num_IA = np.zeros(shape, np.int32)
        _are_counted(votes.item_N, votes.answer_N, num_IA)
    num_best_I, answer_I = _best(num_IA, len(votes.answers) if ties == "lowest" else 1)
    return Majority(num_IA=num_IA.astype(np.int32), num_best_I=num_best_I, answer_I=answer_I)


@numba.njit(cache=True, nogil=True)
def _are_counted(
    item_N: npt.NDArray[np.int32],
    answer_N: npt.NDArray[np.int8],
    num_IA: npt.NDArray[np.uint8] | npt.NDArray[np.int32],
) -> bool:
    """Whether all votes fit into the counts, to which they are added [I, A]."""
    fits = True
    for n in range(len(item_N)):
        num_IA[item_N[n], answer_N[n]] += 1
        fits &= num_IA[item_N[n], answer_N[n]] != 0
    return fits


@numba.njit(cache=True, nogil=True)
def _best(
    num_IA: npt.NDArray[np.uint8] | npt.NDArray[np.int32], most_tied: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """How many answers share the first place [I], and the first of them, where so many may [I]."""
    num_items, num_answers = num_IA.shape
    num_best_I = np.zeros(num_items, np.int8)
    answer_I = np.full(num_items, -1, np.int8)
    for i in range(num_items):
        most, best, num_best = 0, -1, 0
        for a in range(num_answers):
            if num_IA[i, a] > most:
                most, best, num_best = num_IA[i, a], a, 1
            elif most > 0 and num_IA[i, a] == most:
                num_best += 1
        num_best_I[i] = num_best
        if num_best <= most_tied:
            answer_I[i] = best
    return num_best_I, answer_I
