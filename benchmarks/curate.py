"""How fast duplicates are looked for: features of clips, and the comparison of all frames with all.

The limit of the comparison is one plain matrix product of the same vectors (BLAS alone, nothing kept); the peer is the
usual way with numpy and scipy: the whole matrix of cosines, a threshold, `connected_components` over frames (left out
where scipy is not installed; it is a small part). All with one thread. Frames of features are made from a small
rendered world; the vectors of the comparison are random with planted near-copies, since its speed depends on their
number and length alone.

Run: python -m benchmarks.curate
"""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gesta.curate import alike_pairs, clip_vectors
from gesta.curate.features import NUM_DIMS
from gesta.tables import read_table, write_json
from gesta.video import probe
from gesta.world import render_world

NUM_FRAMES, FRAMES_A_CLIP, NUM_VIDEOS, REPEATS = 16_384, 4, 24, 5
RESULTS = Path(__file__).parent / "results"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
HAS_SCIPY = importlib.util.find_spec("scipy") is not None


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Median seconds of processor time and of the wall clock over `REPEATS` runs, after one that is not counted."""
    work()
    cpu, wall = [], []
    for _ in range(REPEATS):
        started = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - started[0])
        wall.append(time.perf_counter() - started[1])
    return statistics.median(cpu), statistics.median(wall)


def vectors(rng: np.random.Generator) -> np.ndarray:
    """Random unit vectors, one clip in twenty a near-copy of another, float32 [NUM_FRAMES, NUM_DIMS]."""
    found = rng.standard_normal((NUM_FRAMES, NUM_DIMS), dtype=np.float32)
    for clip in rng.choice(NUM_FRAMES // FRAMES_A_CLIP - 1, NUM_FRAMES // FRAMES_A_CLIP // 20, replace=False):
        at = clip * FRAMES_A_CLIP
        copy = found[at : at + FRAMES_A_CLIP] + 0.5 * rng.standard_normal((FRAMES_A_CLIP, NUM_DIMS), dtype=np.float32)
        found[at + FRAMES_A_CLIP : at + 2 * FRAMES_A_CLIP] = copy
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def by_brute_force(frames: np.ndarray, min_cosine: float) -> int:
    """The frames that are alike in the whole matrix of cosines, or their components where scipy is there."""
    rows, columns = np.nonzero(frames @ frames.T >= min_cosine)
    if not HAS_SCIPY:
        return len(rows)
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(len(frames), len(frames)))
    return int(connected_components(graph, directed=False)[0])


def measure_comparison() -> dict[str, Any]:
    """Frame pairs a second of ours, of the plain product and of the peer."""
    frames = vectors(np.random.default_rng(0))
    clips = np.arange(NUM_FRAMES) // FRAMES_A_CLIP
    group = np.arange(NUM_FRAMES // FRAMES_A_CLIP)
    num_pairs = NUM_FRAMES * (NUM_FRAMES - 1) / 2
    found = len(alike_pairs(frames, clips, group_of_clip=group, min_cosine=0.42).a_P)
    target = np.empty((2048, 2048), dtype=np.float32)

    def plain_product() -> None:
        # The upper triangle in blocks, into memory that is there: the multiplications that nobody can spare.
        for top in range(0, NUM_FRAMES, 2048):
            for left in range(top, NUM_FRAMES, 2048):
                np.matmul(frames[top : top + 2048], frames[left : left + 2048].T, out=target)

    runs = {
        "gesta": lambda: alike_pairs(frames, clips, group_of_clip=group, min_cosine=0.42),
        "limit: matrix product alone": plain_product,
        f"peer: numpy{' + scipy' if HAS_SCIPY else ''}, whole matrix": lambda: by_brute_force(frames, 0.42),
    }
    rows = {}
    for name, run in runs.items():
        cpu_s, wall_s = timed(run)
        rows[name] = {"cpu_s": cpu_s, "wall_s": wall_s, "frame_pairs_per_cpu_s": num_pairs / cpu_s}
    return {"num_frames": NUM_FRAMES, "num_dims": NUM_DIMS, "clip_pairs_found": found, "runs": rows}


def measure_features() -> dict[str, Any]:
    """Clips a second whose vectors are made, decoding included, in one process."""
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder)
        render_world(world, seed=77, num_videos=NUM_VIDEOS)
        readable = read_table(world, "truth_videos").filter(pl.col("is_readable"))
        spans = []
        for path in readable["path"]:
            facts = probe(world / path)
            spans.append((world / path, facts.start_us, facts.start_us + facts.duration_us))

        def run() -> None:
            for path, start_us, end_us in spans:
                clip_vectors(path, start_us=start_us, end_us=end_us)

        cpu_s, wall_s = timed(run)
    return {"num_clips": len(spans), "cpu_s": cpu_s, "wall_s": wall_s, "clips_per_cpu_s": len(spans) / cpu_s}


def main() -> None:
    """Measure, print one table, write the JSON."""
    if any(os.environ.get(name) != value for name, value in THREADS.items()):
        # BLAS reads these when it is loaded, so they must stand before this process begins.
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.curate"], os.environ | THREADS)
    tools = ["gesta", "numpy", "opencv-python-headless", "av", *(["scipy"] if HAS_SCIPY else [])]
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    result = {
        "what": "duplicates looked for, one thread; peer: whole matrix of cosines; limit: the matrix product alone",
        "hardware": f"{os.cpu_count()}core-cpu",
        "processor": platform.processor() or platform.machine(),
        "date": date,
        "load": os.getloadavg()[0],
        "versions": {name: importlib.metadata.version(name) for name in tools},
        "comparison": measure_comparison(),
        "features": measure_features(),
    }
    print(f"{'comparison':<36} {'CPU s':>8} {'wall s':>8} {'M frame pairs / CPU s':>22}")
    for name, row in result["comparison"]["runs"].items():
        speed = row["frame_pairs_per_cpu_s"] / 1e6
        print(f"{name:<36} {row['cpu_s']:>8.2f} {row['wall_s']:>8.2f} {speed:>22.1f}")
    features = result["features"]
    print(f"{'features, clips / CPU s':<36} {features['clips_per_cpu_s']:>8.1f}")
    write_json(RESULTS / f"curate_{os.cpu_count()}core-cpu_{date}.json", result)


if __name__ == "__main__":
    main()
