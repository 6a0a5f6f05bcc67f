"""What crowd-kit makes of the votes of `benchmarks.consensus`, in an interpreter that has crowd-kit and no gesta.

python benchmarks/consensus_crowdkit.py JOB VOTES.npz OUT.npz, JOB being `majority` or `dawid_skene`. The arrays come
as crowd-kit likes them best, numbers in a frame of pandas.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

import numpy as np
import pandas as pd
from crowdkit.aggregation import DawidSkene, MajorityVote

NUM_ANSWERS = 4


def timed(work: Any, *, repeats: int) -> tuple[Any, dict[str, float]]:
    """What the last run gave, and median wall and processor seconds."""
    wall, cpu = [], []
    for _ in range(repeats):
        started = time.perf_counter(), time.process_time()
        found = work()
        wall.append(time.perf_counter() - started[0])
        cpu.append(time.process_time() - started[1])
    return found, {"wall_s": float(np.median(wall)), "cpu_s": float(np.median(cpu)), "best_wall_s": min(wall)}


def main() -> None:
    """Print times as JSON, and store the answers."""
    job, source, target = sys.argv[1:]
    with np.load(source) as votes:
        frame = pd.DataFrame({"task": votes["item_N"], "worker": votes["worker_N"], "label": votes["answer_N"]})
        num_iterations = int(votes["num_iterations"])
    loaded_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if job == "majority":
        found, times = timed(lambda: MajorityVote().fit(frame), repeats=3)
        np.savez(target, labels=found.labels_.sort_index().to_numpy())
    else:
        found, times = timed(lambda: DawidSkene(n_iter=num_iterations, tol=-np.inf).fit(frame), repeats=1)
        np.savez(target, posteriors=found.probas_.sort_index()[range(NUM_ANSWERS)].to_numpy())
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(times | {"peak_mb": peak_mb, "peak_mb_over_input": peak_mb - loaded_mb}))


if __name__ == "__main__":
    main()
