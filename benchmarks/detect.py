"""How fast people are found, and how well by the detector of our own.

Speed: frames a second of one core, decoding included, of each detector that needs no download, on real video (and of
the trained one on a rendered world). The limits are decoding alone and the detector alone on frames in memory. HOG and
FastestDet have no truth on these videos; what they find was looked at, not counted.

Accuracy: `gesta train-detector` on one rendered world, AP at IoU 0.5 and 0.75 on the frames of a world of another
seed, by the official AVA program's rules (`gesta.evaluate.frame_map`), and recall and precision at the score from which
`gesta detect` keeps a box.

Run: python -m benchmarks.detect
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from gesta.detect import HABITS, Detector, build_detector, find_people, search_clip
from gesta.evaluate import frame_map
from gesta.schema import box_iou
from gesta.tables import read_table, write_json
from gesta.train.detector import train_detector
from gesta.train.detector_shots import Shot, read_shots
from gesta.video import iter_frames, probe
from gesta.world import render_world

RESULTS = Path(__file__).parent / "results"
SHARED = Path(os.environ.get("GESTA_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
VIDEOS = ("walking_crowd.mp4", "arm_wrestling.mp4")
STRETCH_S = {"hog": 2.0, "onnx": 8.0}
"""Seconds of each real video that are searched: HOG is slow."""

TRAIN_WORLD, TEST_WORLD = (13, 160), (12, 40)
"""Seed and number of videos of the world that is learned from and of the one that is asked about."""

NUM_TEST_FRAMES = 500
REPEATS = 3


def timed(work: Callable[[], int]) -> dict[str, float]:
    """Frames a second of processor time and of the wall clock; the fastest of some runs, after one uncounted."""
    work()
    runs = []
    for _ in range(REPEATS):
        started = time.process_time(), time.perf_counter()
        num_frames = work()
        runs.append((time.process_time() - started[0], time.perf_counter() - started[1]))
    cpu_s, wall_s = min(runs)
    return {"frames": num_frames, "frames_per_cpu_s": num_frames / cpu_s, "frames_per_wall_s": num_frames / wall_s}


def measure_speed(name: str, weights: Path | None, video: Path, *, stretch_s: float) -> dict[str, Any]:
    """Frames a second of decoding alone, of the detector alone, and of both, on the beginning of one video."""
    facts = probe(video)
    detector, least = build_detector(name, weights), HABITS[name].min_score
    span = {"start_us": facts.start_us, "end_us": min(round(stretch_s * 1e6), facts.duration_us)}
    frames = np.stack([frame for _, frame in iter_frames(video, **span)])

    def both() -> int:
        return len(search_clip(video, detector, **span, rate=0, min_score=least))

    return {
        "detector": name,
        "video": video.name,
        "size_px": [facts.width_px, facts.height_px],
        "decode and detect": timed(both),
        "limit: decode alone": timed(lambda: sum(1 for _ in iter_frames(video, **span))),
        "limit: detector alone": timed(lambda: len(find_people(detector, frames, min_score=least))),
    }


def found_in(shots: list[Shot], detector: Detector, *, min_score: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Boxes and scores in each frame."""
    for shot in shots:
        yield find_people(detector, shot.frame_HWC[None], min_score=min_score)[0]


def average_precision(shots: list[Shot], found: list[tuple[np.ndarray, np.ndarray]], *, iou: float) -> float:
    """AP of one class, person, over the frames, by the official AVA program's rules."""
    truth, said = [], []
    for number, (shot, (boxes, scores)) in enumerate(zip(shots, found, strict=True)):
        key = ("v", number)
        truth += [(*key, *box, 1) for box in shot.boxes_K4.tolist()] or [(*key, None, None, None, None, None)]
        said += [(*key, *box, 1, score) for box, score in zip(boxes.tolist(), scores.tolist(), strict=True)]
    corners = dict.fromkeys(("x1", "y1", "x2", "y2"), pl.Float64)
    columns = {"video_id": pl.String, "timestamp_us": pl.Int64, **corners, "class_id": pl.Int64}
    groundtruth = pl.DataFrame(truth, schema=columns, orient="row")
    detections = pl.DataFrame(said, schema=columns | {"score": pl.Float64}, orient="row")
    return float(frame_map(groundtruth, detections, class_ids=[1], iou=iou).mean_ap)


def recall_and_precision(shots: list[Shot], found: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """Shares of people found and of boxes right at IoU 0.5, each person claimed once, the surest box first."""
    num_right = 0
    for shot, (boxes, _) in zip(shots, found, strict=True):
        overlaps = box_iou(boxes, shot.boxes_K4)
        for row in overlaps:
            if row.max(initial=0) >= 0.5:
                num_right += 1
                overlaps[:, row.argmax()] = 0
    num_people = sum(len(shot.boxes_K4) for shot in shots)
    return num_right / num_people, num_right / sum(len(boxes) for boxes, _ in found)


def measure_training(folder: Path) -> dict[str, Any]:
    """A detector trained on one world and asked about another; leaves detector.pt and both worlds in `folder`."""
    for name, (seed, num_videos) in (("train", TRAIN_WORLD), ("test", TEST_WORLD)):
        render_world(folder / name, seed=seed, num_videos=num_videos)
    started = time.process_time(), time.perf_counter()
    train_detector(folder / "train", folder / "detector.pt", seed=0)
    spent = time.process_time() - started[0], time.perf_counter() - started[1]
    shots, _ = read_shots(folder / "test", num_frames=NUM_TEST_FRAMES, seed=5)
    detector, least = build_detector("centernet", folder / "detector.pt"), HABITS["centernet"].min_score
    found = list(found_in(shots, detector, min_score=0.05))
    recall, precision = recall_and_precision(shots, list(found_in(shots, detector, min_score=least)))
    return {
        "train_cpu_s": spent[0],
        "train_wall_s": spent[1],
        "num_test_frames": len(shots),
        "num_test_people": sum(len(shot.boxes_K4) for shot in shots),
        "ap50": average_precision(shots, found, iou=0.5),
        "ap75": average_precision(shots, found, iou=0.75),
        "min_score": least,
        "recall": recall,
        "precision": precision,
    }


def main() -> None:
    """Measure, print the tables, write the JSON."""
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    tools = ("gesta", "av", "numpy", "opencv-python-headless", "onnxruntime", "torch")
    weights = {"hog": None, "onnx": SHARED / "detectors" / "FastestDet.onnx"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        training = measure_training(folder)
        speeds = [
            measure_speed(detector, weights[detector], SHARED / "videos" / video, stretch_s=STRETCH_S[detector])
            for video in VIDEOS
            for detector in weights
            if (SHARED / "videos" / video).is_file()
        ]
        videos = read_table(folder / "test", "truth_videos").filter(
            pl.col("kind") == "original", pl.col("damage").is_null()
        )
        rendered = folder / "test" / videos["path"][0]
        speeds.append(measure_speed("centernet", folder / "detector.pt", rendered, stretch_s=60.0))
    result = {
        "what": "people found in video, one core; limits: decoding alone, the detector alone",
        "hardware": f"{os.cpu_count()}core-cpu",
        "processor": platform.processor() or platform.machine(),
        "date": date,
        "load": os.getloadavg()[0],
        "versions": {tool: importlib.metadata.version(tool) for tool in tools},
        "speed": speeds,
        "training": training,
    }
    print(f"{'frames / CPU s':<44} {'both':>8} {'decode':>8} {'detect':>8}")
    for row in speeds:
        numbers = [row[part]["frames_per_cpu_s"] for part in row if isinstance(row[part], dict)]
        print(f"{row['detector'] + ' on ' + row['video']:<44} " + " ".join(f"{number:>8.1f}" for number in numbers))
    print(
        "trained in {train_cpu_s:.0f} CPU s ({train_wall_s:.0f} s): AP50 {ap50:.3f}, AP75 {ap75:.3f}, at score "
        "{min_score} recall {recall:.3f}, precision {precision:.3f}".format(**training)
    )
    write_json(RESULTS / f"detect_{os.cpu_count()}core-cpu_{date}.json", result)


if __name__ == "__main__":
    main()
