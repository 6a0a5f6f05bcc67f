"""A simulated crowd: workers with known habits who answer over the same HTTP interface as people do."""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import httpx
import polars as pl

from gesta.schema import ANSWERS, BadInput, GestaError
from gesta.tables import Json, sha256_of_json

Habits = Mapping[str, Mapping[str, float]]
"""Probability of each answer, by the true answer."""

CONNECT_RETRIES = 3
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedWorker:
    """A worker with known habits: how each true answer is answered, and how long that takes.

    `kind` is what the habits are like: careful, sloppy, spammer-random or spammer-yes.
    """

    worker_id: str
    habits: Habits
    mean_spent_ms: int
    kind: str = "careful"

    def __post_init__(self) -> None:
        for truth in ANSWERS:
            chances = self.habits.get(truth, {})
            is_known = set(chances) <= set(ANSWERS) and all(chance >= 0 for chance in chances.values())
            if not is_known or abs(sum(chances.values()) - 1) > 1e-9:
                raise BadInput(
                    f"habits of worker {self.worker_id!r} for {truth!r} are {dict(chances)}",
                    mend=f"Want chances of {', '.join(ANSWERS)} that sum to 1",
                )
        if self.mean_spent_ms <= 0:
            raise BadInput(f"mean_spent_ms={self.mean_spent_ms} of {self.worker_id!r}", mend="Want more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdSummary:
    """What a crowd did: votes that were taken, tasks, workers who were barred, seconds of wall time."""

    num_votes: int
    num_tasks: int
    barred: tuple[str, ...]
    wall_s: float


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


def default_crowd(num_workers: int, *, spammer_frac: float, seed: int) -> list[SimulatedWorker]:
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
    return [_worker(f"w{number:03d}", kind, rng) for number, kind in enumerate(kinds, start=1)]


def _worker(worker_id: str, kind: str, rng: random.Random) -> SimulatedWorker:
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
    return SimulatedWorker(worker_id=worker_id, habits=habits, mean_spent_ms=spent_ms, kind=kind)


def simulate_crowd(
    url: str,
    *,
    answers: pl.DataFrame,
    workers: Sequence[SimulatedWorker],
    seed: int,
    concurrency: int = 1,
    on_rows: Callable[[int], None] | None = None,
) -> CrowdSummary:
    """What the crowd did, once no question is left that any of its workers may answer.

    What a worker answers to an item depends on `seed`, worker and item alone; with `concurrency` 1 the workers take
    turns, a task each, so that the whole vote log is the same from run to run.

    Args:
        url: of a running service.
        answers: the truth, columns item_id and answer, for every item that will be asked.
        concurrency: workers at work at once, each in a thread.
        on_rows: called with the number of votes taken by each send.
    Raises:
        BadInput: the service asks an item that `answers` lacks, or `concurrency` is below 1.
        GestaError: the service refuses a request or cannot be reached.
    """
    if concurrency < 1:
        raise BadInput(f"concurrency={concurrency}", mend="Want 1 or more")
    truth: dict[str, str] = dict(answers.select("item_id", "answer").iter_rows())
    started = time.monotonic()
    num_votes = num_tasks = 0
    barred: list[str] = []
    ready, waiting = deque(workers), deque[SimulatedWorker]()
    transport = httpx.HTTPTransport(retries=CONNECT_RETRIES)
    with (
        httpx.Client(base_url=url, timeout=TIMEOUT_S, transport=transport, trust_env=False) as client,
        ThreadPoolExecutor(concurrency, thread_name_prefix="gesta-crowd") as pool,
    ):
        running: dict[Future[_Turn], SimulatedWorker] = {}
        while ready or running:
            while ready and len(running) < concurrency:
                worker = ready.popleft()
                running[pool.submit(_take_turn, client, worker, truth=truth, seed=seed)] = worker
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                worker, turn = running.pop(future), future.result()
                if turn.status == "task":
                    num_tasks += 1
                    num_votes += turn.num_votes
                    ready.append(worker)
                    # New votes may have opened something for those who found nothing.
                    ready.extend(waiting)
                    waiting.clear()
                    if on_rows is not None:
                        on_rows(turn.num_votes)
                elif turn.status == "wait":
                    waiting.append(worker)
                elif turn.status == "barred":
                    barred.append(worker.worker_id)
                    ready.extend(waiting)
                    waiting.clear()
    return CrowdSummary(
        num_votes=num_votes,
        num_tasks=num_tasks,
        barred=tuple(sorted(barred)),
        wall_s=time.monotonic() - started,
    )


@dataclass(frozen=True, slots=True)
class _Turn:
    status: str
    num_votes: int = 0


def _take_turn(client: httpx.Client, worker: SimulatedWorker, *, truth: Mapping[str, str], seed: int) -> _Turn:
    found = _post(client, "/api/task", {"worker_id": worker.worker_id})
    if found["status"] != "task":
        return _Turn(found["status"])
    task = found["task"]
    answers = [_answer(worker, item, truth=truth, seed=seed) for item in task["items"]]
    key = sha256_of_json([task["task_id"], answers])[:32]
    body: Json = {"worker_id": worker.worker_id, "idempotency_key": key, "answers": answers}
    return _Turn("task", _post(client, "/api/votes", body)["num_accepted"])


def _post(client: httpx.Client, path: str, body: Json) -> dict[str, Any]:
    try:
        response = client.post(path, json=body)
    except httpx.HTTPError as error:
        raise GestaError(
            f"the label service cannot be reached ({type(error).__name__}: {error})",
            where=f"{client.base_url}{path}",
            mend="See that it runs",
        ) from error
    if response.status_code != 200:
        raise GestaError(f"the label service refused: {response.text}", where=f"{client.base_url}{path}")
    return dict(json.loads(response.content))


def _answer(
    worker: SimulatedWorker, item: Mapping[str, Any], *, truth: Mapping[str, str], seed: int
) -> dict[str, Json]:
    item_id = item["item_id"]
    if item_id not in truth:
        raise BadInput(f"no true answer for item {item_id!r}", mend="The answers must hold every item")
    rng = random.Random(f"{seed} {worker.worker_id} {item_id}")
    chances = worker.habits[truth[item_id]]
    answer = rng.choices(list(chances), weights=list(chances.values()))[0]
    lasts = rng.random() < 0.7 if answer == "yes" and item["kind"] == "clip" else None
    # Times of people are skewed: most are short, few are long. Source: ours, log-normal with sigma 0.4.
    spent_ms = round(worker.mean_spent_ms * rng.lognormvariate(-0.08, 0.4))
    return {"item_id": item_id, "answer": answer, "lasts_whole_clip": lasts, "spent_ms": spent_ms}


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
