"""What runs in a process of its own for `benchmarks.evaluate`: gesta's evaluation, its limits and its peers.

Each function measures one of them and returns what goes into the result. Processes are their own so that peak memory
and start-up are each one's own.
"""

from __future__ import annotations

import importlib
import re
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.evaluate_input import CLASS_IDS
from gesta.formats import read_ava_csv

Clock = dict[str, dict[str, float]]


def cpu_s() -> float:
    """Seconds of processor time of this process and its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> float:
    """The most memory that this process held, MB of 1e6 bytes."""
    status = Path("/proc/self/status")
    if status.is_file() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        # `ru_maxrss` starts with what the parent held when it forked.
        return int(found.group(1)) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


@contextmanager
def stage(clock: Clock, name: str) -> Iterator[None]:
    """Notes wall and processor seconds of the block under `name`."""
    began = time.perf_counter(), cpu_s()
    yield
    clock[name] = {"wall_s": time.perf_counter() - began[0], "cpu_s": cpu_s() - began[1]}


def median_of(work: Callable[[], Any], runs: int) -> dict[str, Any]:
    """Median wall and processor seconds of `runs` calls, and every wall."""
    walls, cpus = [], []
    for _ in range(runs):
        began = time.perf_counter(), cpu_s()
        work()
        walls.append(time.perf_counter() - began[0])
        cpus.append(cpu_s() - began[1])
    return {"wall_s": statistics.median(walls), "cpu_s": statistics.median(cpus), "walls_s": walls}


def ours_from_csv(groundtruth: Path, detections: Path, *, runs: int, warm: tuple[Path, Path] | None) -> dict[str, Any]:
    """Both files read and scored; a first call, on `warm` where given, is reported apart."""
    from gesta.evaluate import evaluate_csv

    began = time.perf_counter()
    first = evaluate_csv(*(warm or (groundtruth, detections)), class_ids=CLASS_IDS)[0]
    first_s = time.perf_counter() - began
    last = [first]

    def work() -> None:
        last[0] = evaluate_csv(groundtruth, detections, class_ids=CLASS_IDS)[0]

    taken = median_of(work, runs) if runs else {}
    result = last[0]
    return {
        **taken, "first_call_s": first_s, "peak_mb": peak_mb(), "mean_ap": result.mean_ap,
        "average_precision": result.average_precision.tolist(),
    }  # fmt: skip


def ours_in_memory(groundtruth: Path, detections: Path, *, runs: int) -> dict[str, Any]:
    """Scoring alone: from arrays with numbered key-frames and classes, and from frames as the reader gives them."""
    from gesta.evaluate import frame_map
    from gesta.evaluate.frame_map import boxes_of, frame_map_arrays, key_frames_of
    from gesta.evaluate.protocols import PROTOCOLS

    truth, found = (read_ava_csv(path, column_8="score") for path in (groundtruth, detections))
    classes = np.array(CLASS_IDS)
    key_frames = key_frames_of(truth, found, classes, rules=PROTOCOLS["official"], excluded=None)
    labelled = boxes_of(truth, key_frames, classes, what="ground truth")
    boxes = boxes_of(found, key_frames, classes, what="detections")

    def work() -> Any:
        return frame_map_arrays(labelled, boxes, class_ids=CLASS_IDS, num_key_frames=len(key_frames))[0]

    result = work()
    taken = median_of(work, runs)

    def from_frames() -> Any:
        return frame_map(truth, found, class_ids=CLASS_IDS)

    from_frames()
    return {
        **taken, "frames": median_of(from_frames, runs), "peak_mb": peak_mb(), "mean_ap": result.mean_ap,
        "average_precision": result.average_precision.tolist(),
        "num_scored": int(result.num_detections.sum()), "num_key_frames": result.num_key_frames,
    }  # fmt: skip


def limits(groundtruth: Path, detections: Path, *, runs: int) -> dict[str, Any]:
    """What nobody can spare: the bytes read once and looked at, and the scores of each class sorted."""
    num_bytes = groundtruth.stat().st_size + detections.stat().st_size

    def look() -> int:
        num_lines = 0
        for path in (groundtruth, detections):
            with path.open("rb", buffering=0) as file:
                while block := file.read(8 << 20):
                    num_lines += block.count(b"\n")
        return num_lines

    look()
    reading = median_of(look, runs)
    found = read_ava_csv(detections, column_8="score")
    scores = [part["score"].to_numpy() for part in found.partition_by("class_id")]
    sorting = median_of(lambda: [np.argsort(score, kind="stable") for score in scores], runs)
    return {
        "num_bytes": num_bytes,
        "read_and_count_lines": {**reading, "bytes_per_s": num_bytes / reading["wall_s"]},
        "sort_all_scores_by_class": {**sorting, "rows_per_s": len(found) / sorting["wall_s"]},
    }


def _runnable(checkout: Path, folder: Path) -> Path:
    """A copy of the official program with the names that NumPy dropped replaced, and its sort of scores stable."""
    copy = folder / "official"
    copy.mkdir()
    shutil.copytree(checkout / "Evaluation" / "ava", copy / "ava")
    shutil.copy(checkout / "Evaluation" / "get_ava_performance.py", copy)
    for path in [*copy.glob("*.py"), *(copy / "ava").glob("*.py")]:
        text = re.sub(r"\bnp\.(bool|float|int)\b", r"\1", path.read_text())
        text = text.replace("np.NAN", "np.nan").replace("np.argsort(scores)", 'np.argsort(scores, kind="stable")')
        path.write_text(text)
    return copy


def official(groundtruth: Path, detections: Path, *, checkout: Path) -> dict[str, Any]:
    """ActivityNet's program, its `run_evaluation` stage by stage. Run it with `python -O`, as its page says."""
    with tempfile.TemporaryDirectory() as name:
        copy = _runnable(checkout, Path(name))
        sys.path[:0] = [str(copy), str(copy / "ava")]
        program = importlib.import_module("get_ava_performance")
        fields = program.standard_fields
        labels = Path(name) / "labels"
        labels.write_text("".join(f'item {{\n  name: "{i}"\n  id: {i}\n}}\n' for i in CLASS_IDS))
        clock: Clock = {}
        with labels.open() as file:
            categories, whitelist = program.read_labelmap(file)
    evaluator = program.object_detection_evaluation.PascalDetectionEvaluator(categories)
    names = fields.InputDataFields
    with stage(clock, "read_gt"), groundtruth.open() as file:
        boxes, classes, _, keys = program.read_csv(file, whitelist, 0)
    with stage(clock, "add_gt"):
        for key in boxes:
            content = {
                names.groundtruth_boxes: np.array(boxes[key], dtype=float),
                names.groundtruth_classes: np.array(classes[key], dtype=int),
                names.groundtruth_difficult: np.zeros(len(boxes[key]), dtype=bool),
            }
            evaluator.add_single_ground_truth_image_info(key, content)
    names = fields.DetectionResultFields
    with stage(clock, "read_det"), detections.open() as file:
        boxes, classes, scores, _ = program.read_csv(file, whitelist, 50)
    with stage(clock, "add_det"):
        for key in boxes:
            if key in keys:
                content = {
                    names.detection_boxes: np.array(boxes[key], dtype=float),
                    names.detection_classes: np.array(classes[key], dtype=int),
                    names.detection_scores: np.array(scores[key], dtype=float),
                }
                evaluator.add_single_detected_image_info(key, content)
    with stage(clock, "evaluate"):
        metrics = evaluator.evaluate()
    by_class = [metrics[f"PascalBoxes_PerformanceByCategory/AP@0.5IOU/{i}"] for i in CLASS_IDS]
    return {
        "stages": clock, "peak_mb": peak_mb(), "mean_ap": float(metrics["PascalBoxes_Precision/mAP@0.5IOU"]),
        "average_precision": [float(value) for value in by_class],
    }  # fmt: skip


def coco(groundtruth: Path, detections: Path, *, program: str) -> dict[str, Any]:
    """COCO's evaluation (IoU 0.5, all areas) of the 50 best rows of each key-frame, by one of its implementations.

    The csv is read by polars, which is generous to it: it has no reader of its own.
    """
    if program == "faster-coco-eval":
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as COCOeval
    else:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    clock: Clock = {}
    columns = ["video_id", "second", "x1", "y1", "x2", "y2", "class_id", "eighth"]
    with stage(clock, "read"):
        truth, found = (pl.read_csv(path, has_header=False, new_columns=columns) for path in (groundtruth, detections))
    with stage(clock, "select"):
        key = ["video_id", "second"]
        images = truth.select(key).unique(maintain_order=True).with_row_index("image", offset=1)
        truth = truth.join(images, on=key, maintain_order="left")
        found = found.join(images, on=key, maintain_order="left").sort("eighth", descending=True, maintain_order=True)
        found = found.group_by("image", maintain_order=True).head(50)
    with stage(clock, "build"):
        size = [pl.col("x2") - pl.col("x1"), pl.col("y2") - pl.col("y1")]
        scored = truth.filter(pl.col("class_id").is_in(CLASS_IDS))
        boxes = scored.select("image", "class_id", "x1", "y1", *size).rows()
        labels = [
            {"id": i + 1, "image_id": row[0], "category_id": row[1], "bbox": list(row[2:]), "area": row[4] * row[5],
             "iscrowd": 0, "ignore": 0}
            for i, row in enumerate(boxes)
        ]  # fmt: skip
        rows = found.select("image", "x1", "y1", *size, "eighth", "class_id").to_numpy().astype(np.float64)
        dataset = {
            "images": [{"id": i} for i in images["image"].to_list()], "annotations": labels,
            "categories": [{"id": i, "name": str(i)} for i in CLASS_IDS],
        }  # fmt: skip
    with stage(clock, "index"):
        known = COCO()
        known.dataset = dataset
        known.createIndex()
        results = known.loadRes(rows)
    with stage(clock, "evaluate"):
        run = COCOeval(known, results, "bbox")
        run.params.iouThrs, run.params.maxDets = np.array([0.5]), [1000]
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.evaluate()
        run.accumulate()
    precision_RC = np.asarray(run.eval["precision"])[0, :, :, 0, 0]
    average = np.where((precision_RC < 0).all(axis=0), np.nan, precision_RC.mean(axis=0))
    top = {"stages": clock, "peak_mb": peak_mb(), "mean_ap": float(np.nanmean(average)), "num_rows": len(rows)}
    return {**top, "max_abs_difference_to_ours": _coco_difference(truth, found, average)}


def _coco_difference(truth: pl.DataFrame, found: pl.DataFrame, average: np.ndarray) -> float:
    """Our COCO-style average precision of the same rows against `average` [C]."""
    from gesta.evaluate.coco import coco_map

    named = [
        frame.with_columns(timestamp_us=pl.col("second") * 1_000_000).rename({"eighth": "score"})
        for frame in (truth, found.sort("image", maintain_order=True))
    ]
    ours = coco_map(*named, class_ids=CLASS_IDS, ious=(0.5,), cap=1000)
    return float(np.nanmax(np.abs(ours.average_precision - average)))
