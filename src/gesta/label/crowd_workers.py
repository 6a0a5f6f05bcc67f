"""Simulated workers: what they answer, how long it takes them, and in what manner they send it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from gesta.schema import ANSWERS, BadInput, UnknownName
from gesta.tables import Json

Habits = Mapping[str, Mapping[str, float]]
"""Probability of each answer, by the true answer."""

MANNERS = ("plain", "partial", "double-clicker", "disconnecter", "sleeper")
"""How a task is worked: sent whole; sent in parts; sent twice at once; sent, the line cut, and sent again; or fetched
and never come back to. Source: ours, after what people and networks do."""

ASKED_KINDS = ("clip", "box")
"""Kinds whose answers are yes or no, which habits are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedWorker:
    """A worker with known habits: how each true answer is answered, how long that takes, and how it is sent.

    `kind` is what the habits are like: careful, sloppy, spammer-random or spammer-yes; `manner` is one of `MANNERS`.

    Raises:
        BadInput: a habit is not made of chances, or `mean_spent_ms` is not above 0.
        UnknownName: no such manner.
    """

    worker_id: str
    habits: Habits
    mean_spent_ms: int
    kind: str = "careful"
    manner: str = "plain"

    def __post_init__(self) -> None:
        for truth in ANSWERS:
            chances = self.habits.get(truth, {})
            is_known = set(chances) <= set(ANSWERS) and all(chance >= 0 for chance in chances.values())
            if not is_known or abs(sum(chances.values()) - 1) > 1e-9:
                raise BadInput(
                    f"habits of worker {self.worker_id!r} for {truth!r} are {dict(chances)}",
                    mend=f"Want chances of {', '.join(ANSWERS)} that sum to 1",
                )
        if self.manner not in MANNERS:
            raise UnknownName(what="manner of a worker", name=self.manner, choices=MANNERS)
        if self.mean_spent_ms <= 0:
            raise BadInput(f"mean_spent_ms={self.mean_spent_ms} of {self.worker_id!r}", mend="Want more than 0")


def habits_of(*, right: float) -> Habits:
    """The habits of an honest worker who is right with the chance `right` where the truth is yes, no or broken.

    Source: ours; who errs on an action that is there mostly misses it, who errs on one that is not mostly sees it.
    """
    wrong = 1 - right
    return {
        "yes": {"yes": right, "no": 0.6 * wrong, "unsure": 0.35 * wrong, "broken": 0.05 * wrong},
        "no": {"no": right, "yes": 0.5 * wrong, "unsure": 0.45 * wrong, "broken": 0.05 * wrong},
        "unsure": {"unsure": 0.5, "no": 0.3, "yes": 0.2},
        "broken": {"broken": right, "no": 0.8 * wrong, "unsure": 0.2 * wrong},
    }


def default_crowd(
    num_workers: int, *, spammer_frac: float, seed: int, manners: Sequence[str] = ("plain",)
) -> list[SimulatedWorker]:
    """A crowd of honest workers, careful (two thirds) and sloppy, with spammers among them.

    Careful workers are right with a chance of 0.94 to 0.99 and take about 6 s an answer, sloppy ones 0.87 to 0.93
    and 4 s; spammers answer at random or always yes, in about 1 s. The numbers are ours: workers of the published
    crowd data in the test folder range as widely.

    Raises:
        BadInput: there are no workers, or `spammer_frac` is not in 0..1.

    >>> [worker.kind for worker in default_crowd(5, spammer_frac=0.4, seed=0)]
    ['careful', 'sloppy', 'careful', 'spammer-random', 'spammer-yes']
    """
    if num_workers < 1 or not 0 <= spammer_frac <= 1:
        raise BadInput(
            f"a crowd of {num_workers} with {spammer_frac} spammers", mend="Want 1 worker or more, and 0 to 1"
        )
    rng = random.Random(f"crowd {seed}")
    num_spammers = round(num_workers * spammer_frac)
    kinds = [("careful", "sloppy", "careful")[i % 3] for i in range(num_workers - num_spammers)]
    kinds += [("spammer-random", "spammer-yes")[i % 2] for i in range(num_spammers)]
    dealt = itertools.cycle(manners)
    return [_worker(f"w{number:03d}", kind, next(dealt), rng) for number, kind in enumerate(kinds, start=1)]


def _worker(worker_id: str, kind: str, manner: str, rng: random.Random) -> SimulatedWorker:
    if kind == "spammer-random":
        habits: Habits = {truth: {"yes": 0.45, "no": 0.45, "unsure": 0.1} for truth in ANSWERS}
        mean_spent_ms = 900
    elif kind == "spammer-yes":
        habits = {truth: {"yes": 1.0} for truth in ANSWERS}
        mean_spent_ms = 700
    else:
        low, high, mean_spent_ms = (0.94, 0.99, 6000) if kind == "careful" else (0.87, 0.93, 4000)
        habits = habits_of(right=rng.uniform(low, high))
    spent_ms = round(mean_spent_ms * rng.uniform(0.8, 1.25))
    return SimulatedWorker(worker_id=worker_id, habits=habits, mean_spent_ms=spent_ms, kind=kind, manner=manner)


def answer_of(
    worker: SimulatedWorker, *, slot: int, kind: str, item_id: str, truth: Mapping[str, str], seed: int
) -> dict[str, Json]:
    """What the worker sends for the question in a slot; it depends on `seed`, worker and item alone.

    Raises:
        BadInput: the item's true answer is not known, or its kind is not one of `ASKED_KINDS`.
    """
    if item_id not in truth:
        raise BadInput(f"no true answer for item {item_id!r}", mend="The answers must hold every item")
    if kind not in ASKED_KINDS:
        raise BadInput(f"simulated workers do not answer {kind} items", mend="Ask them about clips and boxes")
    rng = random.Random(f"{seed} {worker.worker_id} {item_id}")
    chances = worker.habits[truth[item_id]]
    answer = rng.choices(list(chances), weights=list(chances.values()))[0]
    lasts = rng.random() < 0.7 if answer == "yes" and kind == "clip" else None
    # Times of people are skewed: most are short, few are long. Source: ours, log-normal with sigma 0.4.
    spent_ms = round(worker.mean_spent_ms * rng.lognormvariate(-0.08, 0.4))
    return {"slot": slot, "answer": answer, "lasts_whole_clip": lasts, "spent_ms": spent_ms}


def check_answers(answers: pl.DataFrame, *, item_ids: Iterable[str]) -> None:
    """Raise where a true answer is missing.

    Raises:
        BadInput: an item has none; the message names one.
    """
    missing = sorted(set(item_ids) - set(answers["item_id"]))
    if missing:
        raise BadInput(
            f"{len(missing)} items have no true answer, {missing[0]!r} is one",
            mend="Give an answer for every item of the items table",
        )
