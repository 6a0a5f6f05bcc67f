"""Persons over time: how many moments a second, and how much memory, against the plain way.

The plain way seeks to each moment, decodes its clip by itself, and shows the model one clip at a time, its norms not
folded. Ours reads once, keeps what open moments want, scores batches, with norms folded. Same film, boxes, model,
precision and process, in one run; the detector is a table of boxes, so that it costs neither side anything. Memory: the
largest resident set of a process that watches a film of one minute, and of one that watches ten.

Run: python -m benchmarks.predict
"""

from __future__ import annotations

import datetime
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gesta.models.fold_norms import fold_norms
from gesta.predict.streams.drive import Eyes, looked_at, scored
from gesta.predict.streams.schedule import spans
from gesta.predict.streams.scorers import PersonScorer, whole_frame_scorer
from gesta.predict.streams.shots import FileSource
from gesta.predict.streams.watch import Watch
from gesta.tables import write_json
from gesta.train.persons.checkpoints import build_recipe_model
from gesta.train.persons.recipes import find_person_recipe
from gesta.video import index_packets, read_frames, write_video

RESULTS = Path(__file__).parent / "results"
RECIPE = "slowfast_small_world"
BOXES = np.array([[0.1, 0.1, 0.4, 0.9], [0.5, 0.1, 0.9, 0.9]])
FPS, SIZE = Fraction(10), (192, 128)
SPEED_S, MEMORY_S = 40, (60, 600)
STRIDE_US = 1_000_000
REPEATS = 3


def film(path: Path, *, seconds: int) -> Path:
    """Moving stripes."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]

    def frames() -> Iterator[np.ndarray]:
        for number in range(round(seconds * FPS)):
            wave = 127 + 100 * np.sin((columns + 3 * number) / 15 + rows / 40)
            yield np.repeat(wave[..., None], 3, axis=2).astype(np.uint8)

    return write_video(path, frames(), fps=FPS, preset="ultrafast")


def detector(frames_NHWC: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same two people everywhere."""
    return [(BOXES, np.array([0.9, 0.8]))] * len(frames_NHWC)


def scorer_of(*, folds: bool) -> PersonScorer:
    """The recipe's model with weights drawn from seed 0."""
    recipe = find_person_recipe(RECIPE)
    torch.manual_seed(0)
    model = build_recipe_model(recipe, num_classes=80).eval()
    return whole_frame_scorer(
        fold_norms(model) if folds else model, frames=recipe.frames, class_ids=range(80), device="cpu",
        class_names=[str(number) for number in range(80)], precision="float32", origin={}, sha256="",
    )  # fmt: skip


def plain(path: Path, scorer: PersonScorer) -> list[np.ndarray]:
    """Each moment by itself."""
    index = index_packets(path)
    size_px = scorer.size_of((index.width_px, index.height_px))
    found = []
    for _, _, time_us in spans(stride_us=STRIDE_US, end_us=index.end_us):
        times_T = scorer.times_us(time_us, index.start_us, index.end_us)
        frames_THWC = read_frames(path, times_T, index=index, short_side_px=min(size_px or SIZE))
        ((_, view),) = scorer.show(frames_THWC, BOXES)
        found += scorer.score([view])
    return found


def streamed(path: Path, scorer: PersonScorer) -> list[np.ndarray]:
    """All moments, as they come."""
    source = FileSource(path)
    eyes = Eyes(detector=detector, min_score=0.5, stride_us=STRIDE_US)
    looked = ((source.name, each) for each in looked_at(source, scorer=scorer, eyes=eyes))
    return [np.array([person.scores for person in moment.persons]) for _, moment in scored(looked, scorer=scorer)]


def speed(path: Path) -> dict[str, Any]:
    """Seconds of each way, taken in turn, the fastest of some runs; and how far the scores are apart."""
    plainly, folded = scorer_of(folds=False), scorer_of(folds=True)
    runs: dict[str, list[float]] = {"plain": [], "streamed": []}
    for _ in range(REPEATS):
        started = time.perf_counter()
        one = plain(path, plainly)
        runs["plain"].append(time.perf_counter() - started)
        started = time.perf_counter()
        other = streamed(path, folded)
        runs["streamed"].append(time.perf_counter() - started)
    apart = max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
    assert apart < 1e-3, apart
    best = {name: min(times) for name, times in runs.items()}
    return {
        "film_s": SPEED_S,
        "moments": len(one),
        "moments_per_s": {name: round(len(one) / value, 2) for name, value in best.items()},
        "ratio": round(best["plain"] / best["streamed"], 2),
        "scores_apart": apart,
    }


def memory_mib(path: Path) -> dict[str, float]:
    """What a process of its own that watches the film holds at most, and how many frames were kept at once."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.predict", str(path)], check=True, capture_output=True, text=True
    )
    held, frames = done.stdout.split()
    return {"largest_resident_mib": float(held), "frames_kept_at_once": int(frames)}


def watch(path: Path) -> None:
    """Watch a film and print what it took."""
    torch.set_num_threads(1)
    scorer, source = scorer_of(folds=True), FileSource(path)
    eyes = Eyes(detector=detector, min_score=0.5, stride_us=STRIDE_US)
    seen = Watch(scorer=scorer, stride_us=STRIDE_US, span_us=source.span_us)
    looked = ((source.name, each) for each in looked_at(source, scorer=scorer, eyes=eyes, watch=seen))
    for _ in scored(looked, scorer=scorer):
        pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, seen.ring.most_held)


def main() -> None:
    """Measure and write the result."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = {
            "measured_on": datetime.date.today().isoformat(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "load_per_core": round(os.getloadavg()[0] / (os.cpu_count() or 1), 1),
            "torch": str(torch.__version__),
            "threads": 1,
            "recipe": RECIPE,
            "film": f"{SIZE[0]}x{SIZE[1]} px, {FPS} frames a second",
            "speed": speed(film(folder / "speed.mp4", seconds=SPEED_S)),
            "memory": {
                f"{seconds} s": memory_mib(film(folder / f"{seconds}.mp4", seconds=seconds)) for seconds in MEMORY_S
            },
        }
    write_json(RESULTS / f"predict_{os.cpu_count()}core-cpu_{result['measured_on']}.json", result)
    print(result)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        watch(Path(sys.argv[1]))
    else:
        main()
