"""How fast frames are read: ours against OpenCV's VideoCapture, and against the limit of decoding alone.

Run: python -m benchmarks.video [FOLDER_OF_VIDEOS]

Two jobs on each file, all in one thread. `clip`: 32 frames, every second one, from seeded starts (`read_frames`,
opening included, the packet index at hand). `all`: every frame in order (`iter_frames`, index included). The peer does
the same with VideoCapture, grabbing what it skips, RGB out. The limit is PyAV decoding the frames that must be
decoded, from the sync frame on, with no seek check and no conversion. Rounds of the three are interleaved; the fastest
CPU time counts, which a busy machine disturbs least.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import random
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np

from gesta.video import PacketIndex, index_packets, iter_frames, probe, random_start, read_frames, strided_frames

NUM_FRAMES, STRIDE = 32, 2
NUM_STARTS = 4
NUM_ROUNDS = 5
FILES = ("arm_wrestling.mp4", "test.mp4", "no_person_dog.mp4", "other/bikes.mp4", "flipping_a_pancake.mkv",
         "walking_crowd.mp4")  # fmt: skip
RESULTS = Path(__file__).parent / "results"


def ours_clip(path: Path, index: PacketIndex, numbers: np.ndarray) -> int:
    """Number of frames read."""
    return len(read_frames(path, index.times_us[numbers], index=index))


def ours_all(path: Path) -> int:
    """Number of frames read."""
    index = index_packets(path)
    return sum(1 for _ in iter_frames(path, start_us=index.start_us, end_us=index.end_us, index=index))


def _capture(path: Path) -> cv2.VideoCapture:
    return cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])


def opencv_clip(path: Path, numbers: np.ndarray) -> int:
    """Number of frames read."""
    capture = _capture(path)
    capture.set(cv2.CAP_PROP_POS_FRAMES, int(numbers[0]))
    wanted = set(numbers.tolist())
    frames = []
    for number in range(int(numbers[0]), int(numbers[-1]) + 1):
        capture.grab()
        if number in wanted:
            frames.append(cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB))
    capture.release()
    return len(np.stack(frames))


def opencv_all(path: Path) -> int:
    """Number of frames read."""
    capture = _capture(path)
    num = 0
    while True:
        is_there, picture = capture.read()
        if not is_there:
            break
        cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        num += 1
    capture.release()
    return num


def limit(path: Path, index: PacketIndex, first: int, last: int) -> int:
    """Number of frames that reach from `first` to `last`; all from the sync frame before are decoded."""
    sync = int(np.flatnonzero(index.is_sync[: first + 1])[-1])
    num = 0
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        if sync:
            container.seek(int(index.pts[sync]), stream=stream)
        for frame in container.decode(stream):
            num += frame.pts >= index.pts[first]
            if frame.pts >= index.pts[last]:
                break
    return num


def seconds(job: Callable[[], int], *, want: int) -> float:
    """CPU seconds of one call."""
    begin = time.process_time()
    got = job()
    spent = time.process_time() - begin
    if got != want:
        raise SystemExit(f"read {got} frames, wanted {want}")
    return spent


def fastest(jobs: dict[str, Callable[[], int]], *, want: dict[str, int]) -> dict[str, float]:
    """The least CPU seconds of each job over interleaved rounds."""
    best = dict.fromkeys(jobs, float("inf"))
    for _ in range(NUM_ROUNDS):
        for name, job in jobs.items():
            best[name] = min(best[name], seconds(job, want=want[name]))
    return best


def measure(path: Path, *, rng: random.Random) -> list[dict[str, object]]:
    """One row for each of the two jobs."""
    facts, index = probe(path), index_packets(path)
    total = len(index.pts)
    starts = [random_start(num_total=total, num_frames=NUM_FRAMES, stride=STRIDE, rng=rng) for _ in range(NUM_STARTS)]
    clips = [strided_frames(start, num_total=total, num_frames=NUM_FRAMES, stride=STRIDE) for start in starts]
    span = (NUM_FRAMES - 1) * STRIDE + 1
    jobs = {
        "clip": (
            {
                "gesta": lambda: sum(ours_clip(path, index, numbers) for numbers in clips),
                "opencv": lambda: sum(opencv_clip(path, numbers) for numbers in clips),
                "limit": lambda: sum(limit(path, index, int(numbers[0]), int(numbers[-1])) for numbers in clips),
            },
            {"gesta": NUM_FRAMES * NUM_STARTS, "opencv": NUM_FRAMES * NUM_STARTS, "limit": span * NUM_STARTS},
            NUM_FRAMES * NUM_STARTS,
        ),
        "all": (
            {
                "gesta": lambda: ours_all(path),
                "opencv": lambda: opencv_all(path),
                "limit": lambda: limit(path, index, 0, total - 1),
            },
            dict.fromkeys(("gesta", "opencv", "limit"), total),
            total,
        ),
    }
    rows = []
    for job, (calls, want, num) in jobs.items():
        rate = {name: num / spent for name, spent in fastest(calls, want=want).items()}
        rows.append(
            {
                "file": path.name,
                "job": job,
                "size_px": f"{facts.width_px}x{facts.height_px}",
                "gesta_frames_per_s": round(rate["gesta"], 1),
                "opencv_frames_per_s": round(rate["opencv"], 1),
                "limit_frames_per_s": round(rate["limit"], 1),
                "over_opencv": round(rate["gesta"] / rate["opencv"], 3),
                "of_limit": round(rate["gesta"] / rate["limit"], 3),
            }
        )
    return rows


def main() -> None:
    """Measure, print one table, write one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(os.environ.get("GESTA_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "videos"
    parser.add_argument("folder", type=Path, nargs="?", default=default)
    folder = parser.parse_args().folder
    cv2.setNumThreads(1)
    rng = random.Random(7)
    rows = [row for name in FILES for row in measure(folder / name, rng=rng)]
    columns = list(rows[0])
    print(" ".join(f"{column:>22}" for column in columns))
    for row in rows:
        print(" ".join(f"{row[column]!s:>22}" for column in columns))
    hardware = f"{len(os.sched_getaffinity(0))}core-cpu"
    means = {
        f"{job}_{ratio}_geometric_mean": round(
            float(np.exp(np.mean([np.log(float(str(row[ratio]))) for row in rows if row["job"] == job]))), 3
        )
        for job in ("clip", "all")
        for ratio in ("over_opencv", "of_limit")
    }
    print("  ".join(f"{name} {value}" for name, value in means.items()))
    result = {
        "what": "frames read per CPU second, one thread; peer: OpenCV VideoCapture; limit: PyAV decoding alone",
        "hardware": hardware,
        "processor": platform.machine(),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "versions": {name: importlib.metadata.version(name) for name in ("gesta", "av", "opencv-python-headless")},
        "clip": {"num_frames": NUM_FRAMES, "stride": STRIDE, "num_starts": NUM_STARTS, "rounds": NUM_ROUNDS},
        "means": means,
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"video_{hardware}_{result['date']}.json"
    target.write_text(json.dumps(result, indent=1) + "\n")
    print(target)


if __name__ == "__main__":
    main()
