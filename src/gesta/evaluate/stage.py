"""The verb `evaluate` on a release: detections against the accepted labels of one split."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from gesta.evaluate.frame_map import CORNERS, KEY, OFFICIAL_CAP, FrameMap, chance_map, frame_map
from gesta.evaluate.top_k import top_k
from gesta.formats import read_ava_csv
from gesta.schema import ClassScore, MissingTable, Reject, UnknownName
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    frame_of,
    is_current,
    made_by,
    read_table,
    sha256_of_file,
    sha256_of_json,
    table_path,
    write_json,
    write_rejects,
    write_table,
)

SEMANTICS = (
    "activitynet/ActivityNet Evaluation/get_ava_performance.py at 82304fa9; of equal scores the later-read comes first"
)
METRICS = "metrics.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What is scored against what."""

    groundtruth: pl.DataFrame
    detections: pl.DataFrame
    label_map: pl.DataFrame
    clips: pl.DataFrame | None
    iou: float
    cap: int
    seed: int
    num_draws: int


def run_evaluate(
    *,
    release: Path,
    detections: Path,
    out: Path,
    split: str = "test",
    groundtruth: pl.DataFrame | None = None,
    iou: float = 0.5,
    cap: int = OFFICIAL_CAP,
    seed: int = 0,
    num_draws: int = 5,
) -> StageSummary:
    """What evaluation did: `out/metrics.json` and table `class_scores`, for one split of a release.

    The key-frames of the split's clips are scored, those without labels too. Clips are scored by the highest score
    that any person at their key-frame has in a class: top-1, top-5 and the confusion of the first guess.

    Args:
        release: folder of a released version, or a work folder, whose newest release is taken.
        detections: a table of kind `detections`, or a folder that holds one.
        out: folder of what is written.
        split: train, val or test.
        groundtruth: rows as `frame_map` takes them; None = the release's accepted box labels.
        iou: overlap of a right detection, as for `frame_map`.
        cap: detections of a key-frame that count, as for `frame_map`.
        seed: chance for the chance level.
        num_draws: draws of the chance level.
    Raises:
        MissingTable: a table of the release, or the detections, are not there.
        UnknownName: the release has no such split.
        BadInput: a score or box cannot be scored (see `frame_map`).
    """
    home = release_at(release)
    label_map = read_table(home, "label_map")
    clips = _clips_of(home, split)
    truth = _truth_of(home, clips) if groundtruth is None else groundtruth
    path = table_path(detections, "detections") if detections.is_dir() else detections
    if not path.is_file():
        raise MissingTable(table="detections", where=path.parent, verb="evaluate --model")
    provenance = _provenance(
        {"split": split, "iou": iou, "cap": cap, "seed": seed, "num_draws": num_draws},
        inputs={
            "detections": sha256_of_file(path),
            "release": sha256_of_file(home / "manifest.json") if (home / "manifest.json").is_file() else "",
            "groundtruth": sha256_of_json(truth.rows()),
        },
    )
    if _is_done(out, provenance):
        return _summary(out, was_current=True)
    found = read_detections(path)
    task = _Task(
        groundtruth=truth, detections=found, label_map=label_map, clips=clips, iou=iou, cap=cap, seed=seed,
        num_draws=num_draws,
    )  # fmt: skip
    return _run(task, out=out, provenance=provenance, extra={"split": split})


def release_at(folder: Path) -> Path:
    """The folder itself where it is a release, else the newest release of a work folder.

    Raises:
        MissingTable: it is neither.
    """
    if (folder / "splits.parquet").is_file():
        return folder
    versions = [path.parent for path in (folder / "releases").glob("*/splits.parquet")]
    if not versions:
        raise MissingTable(table="splits", where=folder, verb="release")
    return max(versions, key=_version)


def _version(folder: Path) -> tuple[tuple[int, ...], str]:
    numbers = tuple(int(part) for part in folder.name.split(".") if part.isdigit())
    return numbers, folder.name


def read_detections(path: Path) -> pl.DataFrame:
    """Rows of detections in file order: a table of kind `detections`, or a csv in AVA's layout.

    Raises:
        BadInput: it cannot be read as either.
    """
    if path.suffix in (".parquet", ".jsonl"):
        return read_table(path, "detections")
    return read_ava_csv(path, column_8="score")


def _clips_of(release: Path, split: str) -> pl.DataFrame:
    """Key-frames of the split's clips with the class each clip was kept for: clip_id, video_id, timestamp_us, class_id.

    A clip that was kept for two classes has two rows.
    """
    splits = read_table(release, "splits")
    if split not in set(splits["split"]):
        raise UnknownName(what="split", name=split, choices=set(splits["split"]), where=release)
    key_frames = read_table(release, "key_frames").join(splits.filter(split=split), on="clip_id", how="semi")
    kept = read_table(release, "kept").select("clip_id", "class_id")
    rows = key_frames.select("clip_id", *KEY).join(kept, on="clip_id", how="left")
    return rows.sort("clip_id", "timestamp_us", "class_id")


def _truth_of(release: Path, clips: pl.DataFrame) -> pl.DataFrame:
    """Accepted box labels of the clips' key-frames, and a row without box for each key-frame."""
    labels = read_table(release, "box_labels").filter(verdict="accepted").join(clips, on=KEY, how="semi")
    empty = clips.select(KEY).unique(maintain_order=True)
    return pl.concat([empty, labels.select(*KEY, *CORNERS, "class_id")], how="diagonal")


def _provenance(arguments: Mapping[str, Json], *, inputs: Mapping[str, str]) -> Provenance:
    return made_by("evaluate", arguments=arguments, inputs=inputs, tools=["numpy"])


def _is_done(out: Path, provenance: Provenance) -> bool:
    return (out / METRICS).is_file() and is_current(table_path(out, "class_scores"), provenance)


def _run(task: _Task, *, out: Path, provenance: Provenance, extra: Mapping[str, Json]) -> StageSummary:
    class_ids = task.label_map["class_id"].to_list()
    scores = frame_map(task.groundtruth, task.detections, class_ids=class_ids, iou=task.iou, cap=task.cap)
    chance = chance_map(
        task.groundtruth, task.detections, class_ids=class_ids, iou=task.iou, cap=task.cap, seed=task.seed,
        num_draws=task.num_draws,
    )  # fmt: skip
    classes = _class_scores(scores, task.label_map)
    ignored = _ignored(task, scores)
    metrics: dict[str, Json] = {
        "semantics": SEMANTICS,
        "iou": task.iou,
        "cap": task.cap,
        "mean_ap": _number(scores.mean_ap),
        "chance_map": _number(chance),
        "num_key_frames": scores.num_key_frames,
        "num_groundtruth": int(scores.num_groundtruth.sum()),
        "num_detections": int(scores.num_detections.sum()),
        "num_classes_scored": int((scores.num_groundtruth > 0).sum()),
        "ignored": ignored,
        "classes": [
            {
                "class_id": row.class_id, "name": row.name, "average_precision": row.average_precision,
                "num_groundtruth": row.num_groundtruth, "num_detections": row.num_detections,
            }
            for row in classes
        ],
        **extra,
        **(_clip_metrics(task.clips, task.detections, task.label_map) if task.clips is not None else {}),
    }  # fmt: skip
    rejects = [
        Reject(stage="evaluate", reason=reason, detail=f"{count} detections were not scored")
        for reason, count in ignored.items()
    ]
    write_rejects(out, "evaluate", rejects, made_by=provenance)
    write_json(out / METRICS, metrics)
    write_table(table_path(out, "class_scores"), "class_scores", frame_of("class_scores", classes), made_by=provenance)
    return _summary(out, was_current=False)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _class_scores(scores: FrameMap, label_map: pl.DataFrame) -> list[ClassScore]:
    names = dict(label_map.select("class_id", "name").iter_rows())
    return [
        ClassScore(
            class_id=class_id, name=names[class_id], average_precision=_number(float(ap)),
            num_groundtruth=int(num_groundtruth), num_detections=int(num_detections),
        )
        for class_id, ap, num_groundtruth, num_detections in zip(
            scores.class_ids, scores.average_precision, scores.num_groundtruth, scores.num_detections, strict=True
        )
    ]  # fmt: skip


def _ignored(task: _Task, scores: FrameMap) -> dict[str, int]:
    """Detections that the rules leave out, by reason; inverted boxes count as past the cap."""
    boxes = task.detections.filter(pl.col("class_id").is_not_null())
    of_classes = boxes.filter(pl.col("class_id").is_in(task.label_map["class_id"].implode()))
    on_frames = of_classes.join(task.groundtruth.select(KEY).unique(), on=KEY, how="semi")
    counts = {
        "other-class": len(boxes) - len(of_classes),
        "other-key-frame": len(of_classes) - len(on_frames),
        "past-the-cap": len(on_frames) - int(scores.num_detections.sum()),
    }
    return {reason: count for reason, count in counts.items() if count}


def _clip_metrics(clips: pl.DataFrame, detections: pl.DataFrame, label_map: pl.DataFrame) -> dict[str, Json]:
    """Top-1, top-5 and the confusion of the first guess, over clips and the classes they were kept for."""
    asked = clips.drop_nulls("class_id")
    class_ids = label_map["class_id"].sort().to_list()
    column_of = {class_id: column for column, class_id in enumerate(class_ids)}
    row_of = {clip_id: row for row, clip_id in enumerate(asked["clip_id"].unique(maintain_order=True))}
    scores_NC = np.full((len(row_of), len(class_ids)), -np.inf)
    highest = detections.join(asked.select("clip_id", *KEY).unique(), on=KEY, how="inner")
    for clip_id, class_id, score in highest.group_by("clip_id", "class_id").agg(pl.col("score").max()).iter_rows():
        if class_id in column_of:
            scores_NC[row_of[clip_id], column_of[class_id]] = score
    pairs = asked.select("clip_id", "class_id").unique(maintain_order=True)
    rows = np.array([row_of[clip_id] for clip_id in pairs["clip_id"]], dtype=np.int64)
    labels = np.array([column_of[class_id] for class_id in pairs["class_id"]], dtype=np.int64)
    # A clip in which no person was found has no guess, and is missed.
    is_guessed = np.isfinite(scores_NC[rows]).any(axis=1) if len(rows) else np.empty(0, bool)
    guessed_NC, known_N = scores_NC[rows][is_guessed], labels[is_guessed]
    share = float(is_guessed.mean()) if len(rows) else float("nan")

    def hits(k: int) -> float | None:
        if not len(rows):
            return None
        return share * top_k(guessed_NC, known_N, k) if len(known_N) else 0.0

    matrix = np.zeros((len(class_ids), len(class_ids)), dtype=np.int64)
    np.add.at(matrix, (known_N, guessed_NC.argmax(axis=1) if len(known_N) else known_N), 1)
    names = dict(label_map.select("class_id", "name").iter_rows())
    return {
        "top1": hits(1),
        "top5": hits(5),
        "num_clips": len(rows),
        "num_clips_without_persons": int((~is_guessed).sum()),
        "confusion": {"labels": [names[class_id] for class_id in class_ids], "matrix": matrix.tolist()},
    }


def _summary(out: Path, *, was_current: bool) -> StageSummary:
    metrics = json.loads((out / METRICS).read_bytes())
    numbers = {
        name: metrics[name]
        for name in ("mean_ap", "chance_map", "top1", "top5", "num_key_frames", "num_groundtruth", "num_classes_scored")
        if name in metrics
    }
    return StageSummary(
        stage="evaluate",
        kept=metrics["num_detections"],
        rejected=metrics["ignored"],
        outputs=(str(out / METRICS), str(table_path(out, "class_scores"))),
        was_current=was_current,
        numbers=numbers,
    )
