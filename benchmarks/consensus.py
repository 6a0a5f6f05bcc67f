"""How fast a vote log of Kinetics' size becomes answers, beside crowd-kit, polars, NumPy and a plain Python loop.

One input, seeded: 2,694,996 votes of 2,000 workers on 700,000 clips, 3 to 5 a clip, four answers, in an order in which
all clips are mixed. Each job runs in a process of its own on arrays of numbers in memory; crowd-kit gets them as a
frame of pandas. The numbers of all programs are compared.

- early_stop: which votes Kinetics' protocol uses, and the verdict of each clip (polars: windows over the items);
- majority: the answer given most often, the lowest of equals (crowd-kit: the one of them that its frame meets first, so
  that ties are not compared with it);
- dawid_skene: 20 steps of EM from the shares of votes;
- tables: the same verdicts from frames whose ids are texts, with trust in workers and the fate of every vote.

The limits: every vote's item and answer read once, in order (`memory read once`); and one addition a vote at the place
of its item and answer (`numpy bincount`), which no count can do without.

Run: python -m benchmarks.consensus [--crowdkit PYTHON], PYTHON being an interpreter that has crowd-kit 1.4.2.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gesta.consensus import VoteArrays, dawid_skene, item_verdicts, majority, replay, vote_fates, worker_trust
from gesta.schema import ANSWERS, CLIP_PROTOCOL, VERDICTS, TrustRule
from gesta.tables import empty_frame, write_json

NUM_VOTES, NUM_CLIPS, NUM_WORKERS, NUM_ITERATIONS, REPEATS = 2_694_996, 700_000, 2_000, 20, 7
RESULTS = Path(__file__).parent / "results"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {
    "POLARS_MAX_THREADS": "2"
}
Times = dict[str, float]


def made(folder: Path) -> None:
    """The input as `votes.npz`: item_N, worker_N, answer_N, and truth_I, which no program reads."""
    rng = np.random.default_rng(27)
    # Three votes each, and the rest on clips drawn at random, none of which gets more than five.
    extra = rng.choice(2 * NUM_CLIPS, NUM_VOTES - 3 * NUM_CLIPS, replace=False) % NUM_CLIPS
    num_votes_I = 3 + np.bincount(extra, minlength=NUM_CLIPS)
    item_N = np.repeat(np.arange(NUM_CLIPS), num_votes_I)
    turn_N = np.arange(NUM_VOTES) - np.repeat(np.cumsum(num_votes_I) - num_votes_I, num_votes_I)
    # Steps of less than a fifth of all workers: nobody meets a clip twice.
    first_I, step_I = rng.integers(0, NUM_WORKERS, NUM_CLIPS), rng.integers(1, NUM_WORKERS // 5, NUM_CLIPS)
    worker_N = (first_I[item_N] + turn_N * step_I[item_N]) % NUM_WORKERS
    truth_I = rng.choice(4, NUM_CLIPS, p=[0.55, 0.3, 0.05, 0.1])
    right_W = rng.choice([0.95, 0.85, 0.6, 0.25], NUM_WORKERS, p=[0.5, 0.3, 0.15, 0.05])
    guess_N = rng.choice(4, NUM_VOTES, p=[0.4, 0.4, 0.15, 0.05])
    answer_N = np.where(rng.random(NUM_VOTES) < right_W[worker_N], truth_I[item_N], guess_N)
    order = rng.permutation(NUM_VOTES)
    np.savez(
        folder / "votes.npz",
        item_N=item_N[order].astype(np.int32),
        worker_N=worker_N[order].astype(np.int32),
        answer_N=answer_N[order].astype(np.int8),
        truth_I=truth_I.astype(np.int8),
        num_iterations=NUM_ITERATIONS,
    )


def timed(work: Callable[[], Any], *, repeats: int = REPEATS) -> Times:
    """Median wall and processor seconds, after one run that is not counted."""
    work()
    wall, cpu = [], []
    for _ in range(repeats):
        started = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - started[0])
        cpu.append(time.process_time() - started[1])
    return {"wall_s": statistics.median(wall), "cpu_s": statistics.median(cpu), "best_wall_s": min(wall)}


def plain_replay(items: list[int], answers: list[int]) -> tuple[list[bool], dict[int, int]]:
    """Kinetics' early stop as one would first write it: used votes, and the verdicts of decided clips."""
    counts: dict[int, list[int]] = {}
    verdicts: dict[int, int] = {}
    used = []
    for item, answer in zip(items, answers, strict=True):
        if item in verdicts:
            used.append(False)
            continue
        used.append(True)
        mine = counts.get(item)
        if mine is None:
            mine = counts[item] = [0, 0, 0, 0]
        mine[answer] += 1
        if mine[0] >= 3:
            verdicts[item] = 0
        elif mine[answer] >= 3 or sum(mine) >= 5:
            verdicts[item] = 1
    return used, verdicts


def windowed_replay(votes: pl.DataFrame) -> pl.DataFrame:
    """The same in windows of polars: `is_used` of every vote."""
    counts = [(pl.col("answer") == answer).cum_sum().over("item").alias(str(answer)) for answer in range(4)]
    is_decided = (pl.max_horizontal("0", "1", "2", "3") >= 3) | (pl.sum_horizontal("0", "1", "2", "3") >= 5)
    decided_before = is_decided.cast(pl.Int32).cum_sum().over("item") - is_decided.cast(pl.Int32)
    return votes.with_columns(counts).select(is_used=decided_before == 0)


def numpy_dawid_skene(votes: Any, *, num_iterations: int) -> np.ndarray:
    """Posteriors [I, K] by whole-array operations, logarithms and weighted bincounts."""
    item_N, cell_N = votes["item_N"], votes["worker_N"].astype(np.int64) * 4 + votes["answer_N"]
    num_IK = np.bincount(item_N * np.int64(4) + votes["answer_N"], minlength=4 * NUM_CLIPS).reshape(-1, 4)
    posterior_IK = num_IK / num_IK.sum(axis=1, keepdims=True)
    for step in range(num_iterations + 1):
        weight = np.stack(
            [np.bincount(cell_N, posterior_IK[:, k][item_N], minlength=4 * NUM_WORKERS) for k in range(4)], axis=1
        )
        chance_WAK = np.maximum(weight, 1e-10).reshape(-1, 4, 4)
        log_AK = np.log(chance_WAK / chance_WAK.sum(axis=1, keepdims=True)).reshape(-1, 4)
        prior_K = np.maximum(posterior_IK.mean(axis=0), 1e-10)
        if step == num_iterations:
            break
        log_IK = np.stack([np.bincount(item_N, log_AK[cell_N, k], minlength=NUM_CLIPS) for k in range(4)], axis=1)
        log_IK += np.log(prior_K)
        posterior_IK = np.exp(log_IK - log_IK.max(axis=1, keepdims=True))
        posterior_IK /= posterior_IK.sum(axis=1, keepdims=True)
    return posterior_IK


def arrays_of(votes: Any) -> VoteArrays:
    """The input as gesta reads it; ids stand for themselves."""
    return VoteArrays(
        item_N=votes["item_N"],
        worker_N=votes["worker_N"],
        answer_N=votes["answer_N"],
        item_ids=pl.Series(np.arange(NUM_CLIPS)),
        worker_ids=pl.Series(np.arange(NUM_WORKERS)),
    )


def run_early_stop(program: str, votes: Any, out: Path) -> Times:
    """One program's replay; stores which votes are used."""
    if program == "gesta":
        arrays = arrays_of(votes)
        found = replay(arrays, protocols=[CLIP_PROTOCOL])
        np.savez(out, is_used_N=found.is_used_N, verdict_I=found.verdict_I)
        return timed(lambda: replay(arrays, protocols=[CLIP_PROTOCOL]))
    if program == "plain python":
        items, answers = votes["item_N"].tolist(), votes["answer_N"].tolist()
        used, verdicts = plain_replay(items, answers)
        verdict_I = np.full(NUM_CLIPS, VERDICTS.index("open"), np.int8)
        verdict_I[list(verdicts)] = list(verdicts.values())
        np.savez(out, is_used_N=np.array(used), verdict_I=verdict_I)
        return timed(lambda: plain_replay(items, answers), repeats=3)
    frame = pl.DataFrame({"item": votes["item_N"], "answer": votes["answer_N"]})
    np.savez(out, is_used_N=windowed_replay(frame)["is_used"].to_numpy())
    return timed(lambda: windowed_replay(frame), repeats=3)


def run_majority(program: str, votes: Any, out: Path) -> Times:
    """One program's majority; stores the answers."""
    if program == "gesta":
        arrays = arrays_of(votes)
        found = majority(arrays, ties="lowest")
        np.savez(out, labels=found.answer_I, is_tied_I=found.num_best_I > 1)
        return timed(lambda: majority(arrays, ties="lowest"))
    if program == "numpy bincount":
        cell_N = votes["item_N"] * 4 + votes["answer_N"]

        def count() -> np.ndarray:
            return np.bincount(cell_N, minlength=4 * NUM_CLIPS).reshape(-1, 4).argmax(axis=1)

        np.savez(out, labels=count())
        return timed(count)
    frame = pl.DataFrame({"item": votes["item_N"], "answer": votes["answer_N"]})

    def group() -> pl.DataFrame:
        counts = frame.group_by("item", "answer").agg(num=pl.len())
        best = counts.group_by("item").agg(
            pl.col("answer").sort_by(["num", "answer"], descending=[True, False]).first()
        )
        return best.sort("item")

    np.savez(out, labels=group()["answer"].to_numpy())
    return timed(group, repeats=3)


def run_dawid_skene(program: str, votes: Any, out: Path) -> Times:
    """One program's posteriors, stored."""
    if program == "gesta":
        arrays = arrays_of(votes)

        def fit() -> np.ndarray:
            return dawid_skene(arrays, max_iterations=NUM_ITERATIONS, tolerance=-np.inf).posterior_IK

        np.savez(out, posteriors=fit())
        return timed(fit, repeats=5)
    np.savez(out, posteriors=numpy_dawid_skene(votes, num_iterations=NUM_ITERATIONS))
    return timed(lambda: numpy_dawid_skene(votes, num_iterations=NUM_ITERATIONS), repeats=1)


def run_tables(votes: Any, out: Path) -> Times:
    """From frames with ids as texts, in the length of real ones, to fates and verdicts."""
    frame = pl.DataFrame(
        {
            "vote_id": np.arange(1, NUM_VOTES + 1),
            "item_id": "clip:" + pl.Series(votes["item_N"]).cast(pl.String).str.zfill(11) + "_0002000000_0012000000:7",
            "worker_id": "worker-" + pl.Series(votes["worker_N"]).cast(pl.String),
            "answer": pl.Series(votes["answer_N"]).replace_strict(dict(enumerate(ANSWERS)), return_dtype=pl.String),
            "spent_ms": 4000,
        }
    )
    items = frame.select(pl.col("item_id").unique().sort()).with_columns(kind=pl.lit("clip"))
    gold = empty_frame("gold")

    def judge() -> pl.DataFrame:
        workers = worker_trust(frame, gold, trust=TrustRule())
        return item_verdicts(items, vote_fates(items, frame, gold, workers=workers), gold)

    verdicts = judge()["verdict"].cast(pl.Enum(VERDICTS)).to_physical().to_numpy()
    np.savez(out, verdict_I=verdicts)
    return timed(judge, repeats=3)


def run_limit(votes: Any) -> Times:
    """Items and answers of all votes read once, in order."""
    item_N, answer_N = votes["item_N"], votes["answer_N"].view(np.uint8)
    memory = np.concatenate([item_N.view(np.uint8), answer_N])
    memory = memory[: len(memory) // 8 * 8].view(np.uint64)
    return timed(memory.sum)


PROGRAMS = {
    "early_stop": ("gesta", "plain python", "polars windows", "limit: memory read once"),
    "majority": ("gesta", "polars", "numpy bincount", "limit: memory read once"),
    "dawid_skene": ("gesta", "numpy"),
    "tables": ("gesta",),
}
"""The programs of each job; crowd-kit joins them where its interpreter is given."""


def child(job: str, program: str, folder: Path, out: Path) -> Times:
    """What one program measures of itself."""
    with np.load(folder / "votes.npz") as stored:
        votes = {name: stored[name] for name in ("item_N", "worker_N", "answer_N")}
    loaded_mb = peak_mb()
    if program.startswith("limit"):
        times = run_limit(votes)
    elif job == "tables":
        times = run_tables(votes, out)
    else:
        run = {"early_stop": run_early_stop, "majority": run_majority, "dawid_skene": run_dawid_skene}[job]
        times = run(program, votes, out)
    return times | {"peak_mb": peak_mb(), "peak_mb_over_input": peak_mb() - loaded_mb}


def peak_mb() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(folder: Path, *, crowdkit: str | None) -> dict[str, dict[str, Times]]:
    """Every job's programs, each in a process of its own; what they found lies in `folder`."""
    made(folder)
    found: dict[str, dict[str, Times]] = {}
    for job, programs in PROGRAMS.items():
        for program in programs:
            out = stored(folder, job, program)
            command = [sys.executable, "-m", "benchmarks.consensus", "--child", job, program, str(folder), str(out)]
            found.setdefault(job, {})[program] = _times_of(command)
        if crowdkit and job in ("majority", "dawid_skene"):
            script = Path(__file__).with_name("consensus_crowdkit.py")
            out = stored(folder, job, "crowd-kit")
            found[job]["crowd-kit"] = _times_of([crowdkit, str(script), job, str(folder / "votes.npz"), str(out)])
    return found


def _times_of(command: list[str]) -> Times:
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | THREADS).stdout
    return dict(json.loads(output.splitlines()[-1]))


def stored(folder: Path, job: str, program: str) -> Path:
    """Where a program's answers lie."""
    return folder / f"{job}-{program.replace(' ', '-')}.npz"


def result_of(found: dict[str, dict[str, Times]], folder: Path) -> dict[str, Any]:
    """What is stored: runs of each job, flat ratios (the peer's time over gesta's), and how far the answers agree."""
    result: dict[str, Any] = {job: {"runs": runs} for job, runs in found.items()}
    for job, runs in found.items():
        for peer in runs:
            name = f"{job}_{peer.replace(' ', '_').replace('-', '_')}"
            if peer == "gesta":
                result |= {f"{job}_wall_s": runs[peer]["wall_s"], f"{job}_cpu_s": runs[peer]["cpu_s"]}
            elif peer.startswith("limit"):
                result[f"{job}_cpu_over_limit"] = runs["gesta"]["cpu_s"] / runs[peer]["cpu_s"]
            else:
                result[f"speedup_{name}"] = runs[peer]["wall_s"] / runs["gesta"]["wall_s"]
                result[f"speedup_cpu_{name}"] = runs[peer]["cpu_s"] / runs["gesta"]["cpu_s"]
    bincount = found["majority"]["numpy bincount"]["cpu_s"]
    result["early_stop_cpu_over_bincount"] = found["early_stop"]["gesta"]["cpu_s"] / bincount
    result["majority_cpu_over_bincount"] = found["majority"]["gesta"]["cpu_s"] / bincount
    result["dawid_skene_cpu_a_step_over_bincount"] = found["dawid_skene"]["gesta"]["cpu_s"] / NUM_ITERATIONS / bincount
    return result | agreement(found, folder)


def agreement(found: dict[str, dict[str, Times]], folder: Path) -> dict[str, Any]:
    """Whether all programs say the same, and how often what they say is true."""
    numbers = {
        (job, program): dict(np.load(stored(folder, job, program)))
        for job, runs in found.items()
        for program in runs
        if not program.startswith("limit")
    }
    truth_I, is_tied_I = np.load(folder / "votes.npz")["truth_I"], numbers["majority", "gesta"]["is_tied_I"]
    used, verdicts = (numbers["early_stop", "gesta"][name] for name in ("is_used_N", "verdict_I"))
    labels, posteriors = numbers["majority", "gesta"]["labels"], numbers["dawid_skene", "gesta"]["posteriors"]
    peers = [numbers[key] for key in numbers if key[0] == "dawid_skene" and key[1] != "gesta"]
    return {
        "equal_early_stop": all(
            np.array_equal(used, other["is_used_N"]) and np.array_equal(verdicts, other.get("verdict_I", verdicts))
            for (job, _), other in numbers.items()
            if job == "early_stop"
        ),
        "equal_tables": bool(np.array_equal(verdicts, numbers["tables", "gesta"]["verdict_I"])),
        "equal_majority": all(
            bool(((labels == other["labels"]) | (is_tied_I & (program == "crowd-kit"))).all())
            for (job, program), other in numbers.items()
            if job == "majority"
        ),
        "num_tied": int(is_tied_I.sum()),
        "dawid_skene_largest_difference": max(float(np.abs(posteriors - other["posteriors"]).max()) for other in peers),
        "equal_dawid_skene_answers": all(
            np.array_equal(posteriors.argmax(axis=1), other["posteriors"].argmax(axis=1)) for other in peers
        ),
        "compared_with_crowdkit": ("dawid_skene", "crowd-kit") in numbers,
        "num_votes_used": int(used.sum()),
        "num_accepted": int((verdicts == VERDICTS.index("accepted")).sum()),
        "accuracy_majority": float((labels == truth_I).mean()),
        "accuracy_dawid_skene": float((posteriors.argmax(axis=1) == truth_I).mean()),
    }


def _version_of_crowdkit(python: str) -> str:
    code = "import importlib.metadata; print(importlib.metadata.version('crowd-kit'))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Measure, print a table and store the result; with `--child`, measure one program and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crowdkit", metavar="PYTHON", help="an interpreter that has crowd-kit 1.4.2")
    parser.add_argument("--child", nargs=4, metavar=("JOB", "PROGRAM", "FOLDER", "OUT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        job, program, folder, out = arguments.child
        print(json.dumps(child(job, program, Path(folder), Path(out))))
        return
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), crowdkit=arguments.crowdkit)
        result = result_of(found, Path(folder))
    names = ("gesta", "numpy", "polars", "numba")
    result |= {
        "program": "python -m benchmarks.consensus",
        "what": "2.7 M votes in memory into verdicts, majorities and posteriors, medians; limit: the votes read once",
        "hardware": f"{os.cpu_count()}core-cpu",
        "processor": platform.processor() or platform.machine(),
        "date": date,
        "load": load,
        "num_votes": NUM_VOTES,
        "num_clips": NUM_CLIPS,
        "num_workers": NUM_WORKERS,
        "num_iterations": NUM_ITERATIONS,
        "versions": {name: importlib.metadata.version(name) for name in names}
        | ({"crowd-kit": _version_of_crowdkit(arguments.crowdkit)} if arguments.crowdkit else {}),
    }
    for job, runs in found.items():
        print(f"{job:<30} {'wall ms':>9} {'CPU ms':>9} {'peak MB':>9}")
        for program, row in runs.items():
            print(f"  {program:<28} {1000 * row['wall_s']:>9.1f} {1000 * row['cpu_s']:>9.1f} {row['peak_mb']:>9.0f}")
    print(f"posteriors differ by {result['dawid_skene_largest_difference']:.1e} at most")
    write_json(RESULTS / f"consensus_{os.cpu_count()}core-cpu_{date}.json", result)


if __name__ == "__main__":
    main()
