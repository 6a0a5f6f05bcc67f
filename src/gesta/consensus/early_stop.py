"""The early stop, replayed over a whole vote log: which votes were used, and what each item came to.

Legend: N votes, I items, A answers, P protocols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from gesta.consensus.vote_arrays import VoteArrays
from gesta.schema import VERDICTS, BadInput, Protocol

_ACCEPTED, _REJECTED, _OPEN = (VERDICTS.index(name) for name in ("accepted", "rejected", "open"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Whether each vote was used [N], used votes of each answer [I, A], and each item's verdict [I].

    A verdict is a place in `gesta.schema.VERDICTS`: 0 accepted, 1 rejected, 2 open.
    """

    is_used_N: npt.NDArray[np.bool_]
    num_IA: npt.NDArray[np.int32]
    verdict_I: npt.NDArray[np.int8]


def replay(
    votes: VoteArrays, *, protocols: Sequence[Protocol], protocol_I: npt.NDArray[np.int8] | None = None
) -> Replay:
    """What the votes amount to when they are counted in order of arrival until their item is decided.

    Equal to asking `Protocol.verdict` after each vote: every sequence of answers is tried in the tests.

    Args:
        votes: one vote a worker and item, in order of arrival.
        protocols: the rules that are used.
        protocol_I: which of them each item follows, a place in `protocols` int8 [I]; None if there is but one.
    Raises:
        BadInput: a protocol decides before any vote, or `protocol_I` is not a place in `protocols` for each item.

    >>> import polars as pl
    >>> from gesta.consensus.vote_arrays import vote_arrays
    >>> from gesta.schema import CLIP_PROTOCOL
    >>> answers = ["no", "yes", "no", "no", "yes"]
    >>> votes = vote_arrays(pl.DataFrame({"item_id": "a", "worker_id": list("pqrst"), "answer": answers}))
    >>> found = replay(votes, protocols=[CLIP_PROTOCOL])
    >>> found.is_used_N.tolist(), VERDICTS[found.verdict_I[0]]
    ([True, True, True, True, False], 'rejected')
    """
    for protocol in protocols:
        if min(protocol.max_votes, protocol.accept_yes, protocol.stop_at) < 1:
            raise BadInput(f"{protocol} decides before any vote", mend="Want 1 or more for each number")
    if protocol_I is None:
        protocol_I = np.zeros(votes.num_items, np.int8)
        is_known = len(protocols) == 1
    else:
        is_known = protocol_I.shape == (votes.num_items,) and (
            not len(protocol_I) or bool(protocol_I.min() >= 0 and protocol_I.max() < len(protocols))
        )
    if not is_known:
        raise BadInput(f"{len(protocols)} protocols, and not one of them for each item", mend="Give protocol_I")
    positives = [list(votes.answers).index(p.positive) if p.positive in votes.answers else -1 for p in protocols]
    # What each answer may still be given before it decides, and in the last column what any may.
    limit_PA = np.array(
        [
            [rule.accept_yes if place == positive else rule.stop_at for place in range(len(votes.answers))]
            + [rule.max_votes]
            for rule, positive in zip(protocols, positives, strict=True)
        ],
        np.int32,
    ).reshape(len(protocols), len(votes.answers) + 1)
    # Small numbers keep an item's row in the cache; most rules have them.
    is_small = not limit_PA.size or limit_PA.max() <= np.iinfo(np.int8).max
    is_used_N, num_IA, verdict_I = _replayed(
        votes.item_N,
        votes.answer_N,
        protocol_I,
        limit_PA.astype(np.int8) if is_small else limit_PA,
        np.array(positives, np.int32),
    )
    return Replay(is_used_N=is_used_N, num_IA=num_IA, verdict_I=verdict_I)


@numba.njit(cache=True, nogil=True)
def _replayed(
    item_N: npt.NDArray[np.int32],
    answer_N: npt.NDArray[np.int8],
    protocol_I: npt.NDArray[np.int8],
    limit_PA: npt.NDArray[np.int8] | npt.NDArray[np.int32],
    positive_P: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.int32], npt.NDArray[np.int8]]:
    """Used votes [N], their counts [I, A] and verdicts [I].

    `limit_PA` is how often each answer may be given, and in its last column how often any, [P, A + 1].
    """
    num_answers = limit_PA.shape[1] - 1
    is_used_N = np.empty(len(item_N), np.bool_)
    left_IA = np.empty((len(protocol_I), num_answers + 1), limit_PA.dtype)
    for i in range(len(protocol_I)):
        for a in range(num_answers + 1):
            left_IA[i, a] = limit_PA[protocol_I[i], a]
    for n in range(len(item_N)):
        i, a = item_N[n], answer_N[n]
        # No branch: whether an item is still open is what a processor cannot guess.
        is_open = left_IA[i, num_answers] > 0
        is_used_N[n] = is_open
        left_IA[i, a] -= is_open
        left_IA[i, num_answers] = (left_IA[i, num_answers] - is_open) * (left_IA[i, a] != 0)
    num_IA = np.empty((len(protocol_I), num_answers), np.int32)
    verdict_I = np.empty(len(protocol_I), np.int8)
    for i in range(len(protocol_I)):
        p = protocol_I[i]
        for a in range(num_answers):
            num_IA[i, a] = limit_PA[p, a] - left_IA[i, a]
        if left_IA[i, num_answers] > 0:
            verdict_I[i] = _OPEN
        else:
            is_accepted = positive_P[p] >= 0 and left_IA[i, positive_P[p]] == 0
            verdict_I[i] = _ACCEPTED if is_accepted else _REJECTED
    return is_used_N, num_IA, verdict_I
