"""Votes as arrays of numbers, in order of arrival: what the kernels of this room read.

Legend: N votes, I items, W workers, A answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.schema import ANSWERS, BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteArrays:
    """Who answered what to which item: numbers from 0, int32 [N], int32 [N] and int8 [N], and what they stand for.

    item_ids [I] and worker_ids [W] are texts; answers are those that could be given, whether anybody gave them or not.

    Raises:
        BadInput: the arrays differ in length, or hold a number that stands for nothing.
    """

    item_N: npt.NDArray[np.int32]
    worker_N: npt.NDArray[np.int32]
    answer_N: npt.NDArray[np.int8]
    item_ids: pl.Series
    worker_ids: pl.Series
    answers: tuple[str, ...] = ANSWERS

    def __post_init__(self) -> None:
        parts = (
            ("item", self.item_N, len(self.item_ids)),
            ("worker", self.worker_N, len(self.worker_ids)),
            ("answer", self.answer_N, len(self.answers)),
        )
        for what, numbers, size in parts:
            if numbers.ndim != 1 or len(numbers) != len(self.item_N):
                raise BadInput(
                    f"{what} numbers have shape {numbers.shape}, items {self.item_N.shape}",
                    mend="Want three one-dimensional arrays of one length",
                )
            # The kernels do not check where they read and write.
            if len(numbers) and not (numbers.min() >= 0 and numbers.max() < size):
                raise BadInput(f"a {what} number is outside 0..{size - 1}", mend=f"Number the {what}s from 0")

    @property
    def num_items(self) -> int:
        """How many items there are; some may have no vote."""
        return len(self.item_ids)

    @property
    def num_workers(self) -> int:
        """How many workers there are."""
        return len(self.worker_ids)


def vote_arrays(votes: pl.DataFrame, *, answers: Sequence[str] = ANSWERS) -> VoteArrays:
    """The votes of a frame as arrays, in the order of its rows; items and workers numbered as they first appear.

    Args:
        votes: columns item_id, worker_id and answer, such as rows of table `votes` in order of `vote_id`.
        answers: every answer that may be given; the number of an answer is its place here.
    Raises:
        BadInput: a vote has an answer that is not among `answers`, or no item or worker.

    >>> found = vote_arrays(pl.DataFrame({"item_id": ["b", "a", "b"], "worker_id": "u", "answer": ["no", "yes", "no"]}))
    >>> found.item_N.tolist(), found.answer_N.tolist(), found.item_ids.to_list()
    ([0, 1, 0], [1, 0, 1], ['b', 'a'])
    """
    known = pl.Enum(list(answers))
    places = votes["answer"].cast(known, strict=False).to_physical()
    if places.null_count():
        strange = votes["answer"].filter(places.is_null())[0]
        raise BadInput(f"{strange!r} is no answer", mend=f"Want one of {', '.join(answers)}")
    item_N, item_ids = _numbered(votes["item_id"])
    worker_N, worker_ids = _numbered(votes["worker_id"])
    return VoteArrays(
        item_N=item_N,
        worker_N=worker_N,
        answer_N=places.cast(pl.Int8).to_numpy(),
        item_ids=item_ids,
        worker_ids=worker_ids,
        answers=tuple(answers),
    )


def _numbered(texts: pl.Series) -> tuple[npt.NDArray[np.int32], pl.Series]:
    """A number from 0 for each text, in order of appearance [N], and the distinct texts."""
    if texts.null_count():
        raise BadInput(f"{texts.null_count()} votes have no {texts.name}", mend="Want a text in every row")
    # A pool of its own, so that the numbers run on without gaps and the texts are forgotten afterwards.
    codes = texts.cast(pl.String).cast(pl.Categorical(pl.Categories.random())).to_physical().to_numpy()
    number_N, first_D = _by_appearance(codes, int(codes.max()) + 1 if len(codes) else 0)
    return number_N, texts.gather(first_D)


@numba.njit(cache=True, nogil=True)
def _by_appearance(
    code_N: npt.NDArray[np.uint32], num_codes: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Codes renumbered as they first appear [N], and where each first appears [D]."""
    number_of = np.full(num_codes, -1, np.int32)
    number_N, first_D = np.empty(len(code_N), np.int32), np.empty(num_codes, np.int64)
    num_seen = 0
    for n in range(len(code_N)):
        if number_of[code_N[n]] < 0:
            number_of[code_N[n]] = num_seen
            first_D[num_seen] = n
            num_seen += 1
        number_N[n] = number_of[code_N[n]]
    return number_N, first_D[:num_seen]
