"""Planted copies found, kind by kind: the footage check, trunks without weights, and a trunk that was trained.

The copies are those of a rendered world (`gesta world --copies all`): one clip a video, its whole length, all accepted
and all compared with all. A copy is found when its cluster holds its source, or another copy of that source; a pair of
videos in one cluster that share no footage is a false pair.

The trained trunk is `frame_r18_images` on pictures of *another* world, told which video each picture comes from, copies
and mirror images of the video included; what its last layer is given, averaged over a video by `gesta features`, is
the vector. No kind of copy is held back from its training, only the people, places and videos are others.

Run: python -m benchmarks.copies [--folder FOLDER] [--only METHOD]

With a folder a broken run goes on where it was, what each part cost adds up there, and methods can be run one by one.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import polars as pl

from gesta.curate import run_curate
from gesta.curate.stage import MIN_COSINE
from gesta.curate.trunk_stage import min_cosine_of_trunk, run_curate_by_trunk
from gesta.import_.folder import run_import_folder
from gesta.predict.features import run_features
from gesta.schema import Clip, ClipLabel, LabelClass
from gesta.tables import frame_of, made_by, read_table, table_path, write_json, write_table
from gesta.train.clips import find_clip_recipe, open_clips, run_train_clips
from gesta.video import probe, read_frames
from gesta.world import COPY_DAMAGE, Copies, render_world, score_copies, score_duplicates

NUM_VIDEOS, NUM_TRAIN_VIDEOS, COPY_SHARE = 220, 60, 0.45
COPIES = Copies(kinds=COPY_DAMAGE, share=COPY_SHARE)
EPOCHS = 6
LAYER = "body"
STRIDE_S = 0.25
SWEEP = (0.5, 0.6, 0.65, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99)
"""Thresholds at which each trunk is tried, beside its own."""
RESULTS = Path(__file__).parent / "results"
MADE = made_by("benchmark", arguments={}, inputs={})


@contextmanager
def counted(folder: Path, name: str) -> Iterator[None]:
    """Adds what the block costs this process and its children, in processor seconds, to `costs.json` in the folder."""
    started = _cpu_s()
    try:
        yield
    finally:
        costs = costs_of(folder)
        costs[name] = round(costs.get(name, 0.0) + _cpu_s() - started, 1)
        write_json(folder / "costs.json", dict(costs))


def costs_of(folder: Path) -> dict[str, float]:
    """Processor seconds by part, so far."""
    path = folder / "costs.json"
    return dict(json.loads(path.read_bytes())) if path.is_file() else {}


def _cpu_s() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def whole_videos(world: Path, work: Path) -> None:
    """A work folder with one clip a video that can be read, its whole length, accepted."""
    work.mkdir(parents=True, exist_ok=True)
    run_import_folder(work, folder=world / "videos", workers=1)
    videos = read_table(work, "videos")
    ends = [
        (row["video_id"], row["start_us"], row["start_us"] + row["duration_us"]) for row in videos.iter_rows(named=True)
    ]
    clips = [Clip(clip_id=f"{name}.whole", video_id=name, start_us=start, end_us=end) for name, start, end in ends]
    labels = [
        ClipLabel(clip_id=clip.clip_id, class_id=1, verdict="accepted", num_yes=3, num_no=0, num_unsure=0, num_broken=0)
        for clip in clips
    ]
    for table, rows in (("clips", clips), ("clip_labels", labels), ("label_map", [LabelClass(class_id=1, name="any")])):
        write_table(table_path(work, table), table, frame_of(table, rows), made_by=MADE)


def write_pictures(world: Path, folder: Path) -> int:
    """How many pictures were written: a class a video with copies of it, frames as they are and mirrored."""
    truth = read_table(world, "truth_videos").filter(pl.col("is_readable"))
    copied = set(truth["source_video_id"].drop_nulls())
    num = 0
    for row in truth.iter_rows(named=True):
        source = row["source_video_id"] or row["video_id"]
        if source not in copied or " of " in (row["damage"] or ""):
            # A compilation shows other videos too.
            continue
        target = folder / f"video {source}"
        target.mkdir(parents=True, exist_ok=True)
        facts = probe(world / row["path"])
        times_us = [facts.start_us + round((k + 0.5) * facts.duration_us / 6) for k in range(6)]
        for number, frame in enumerate(read_frames(world / row["path"], times_us)):
            shown = frame[:, ::-1] if number % 2 else frame
            cv2.imwrite(str(target / f"{row['video_id']}_{number}.jpg"), shown[:, :, ::-1])
            num += 1
    return num


def train_trunk(folder: Path, *, num_videos: int, epochs: int) -> tuple[Path, int]:
    """The trained model's file, and how many pictures it learnt from."""
    with counted(folder, "render_train_world"):
        render_world(
            folder / "seen",
            seed=42,
            num_videos=num_videos,
            copies=Copies(kinds=COPY_DAMAGE, share=COPY_SHARE),
            workers=1,
        )
    model, pictures = folder / "model" / "model.pt", folder / "pictures"
    if model.is_file():
        return model, len(list(pictures.rglob("*.jpg")))
    num_pictures = write_pictures(folder / "seen", pictures)
    recipe = dataclasses.replace(find_clip_recipe("frame_r18_images"), epochs=epochs)
    with counted(folder, "train"):
        clips, _ = open_clips(pictures, frames=recipe.frames)
        run_train_clips(clips, out=folder / "model", recipe=recipe, device="cpu", threads=1, log_every_steps=1000)
    return model, num_pictures


def scored(world: Path, work: Path) -> dict[str, Any]:
    """What the table `duplicates` of the work folder says of the world's copies."""
    tables = {"duplicates": read_table(work, "duplicates"), "clips": read_table(work, "clips")}
    overall = score_duplicates(world, **tables)
    kinds = score_copies(world, **tables)
    right, wrong = (sum(getattr(kind, name) for kind in kinds) for name in ("num_right_pairs", "num_wrong_pairs"))
    components = read_table(work, "components")
    return {
        "num_planted": overall.num_planted, "num_found": overall.num_found,
        "recall": round(overall.num_found / overall.num_planted, 4), "num_false_pairs": overall.num_false_merges,
        "precision": round(right / (right + wrong), 4) if right + wrong else None,
        "num_components": len(components),
        "num_chains": int((components["least_cosine"] < components["min_cosine"]).sum()),
        "kinds": [kind.as_json() for kind in kinds],
    }  # fmt: skip


def by_trunk(
    folder: Path, *, name: str, trunk: str = "", features: Path | None = None, crops: bool | None = None
) -> dict[str, Any]:
    """The trunk at its own threshold, and at those of the sweep."""
    world, work = folder / "world", folder / f"work-{name}"
    own = min_cosine_of_trunk(trunk)
    options: dict[str, Any] = {"trunk": trunk, "features": features, "crops": crops, "workers": 1}
    whole_videos(world, work)
    with counted(folder, name):
        run_curate_by_trunk(work, min_cosine=own, **options)
    told = {"min_cosine": own, **scored(world, work)}
    sweep = []
    for min_cosine in SWEEP:
        run_curate_by_trunk(work, min_cosine=min_cosine, **options)
        found = scored(world, work)
        kept = ("recall", "precision", "num_false_pairs", "num_chains")
        recalls = {str(kind["kind"]): kind["recall"] for kind in found["kinds"] if kind["recall"] is not None}
        sweep.append({"min_cosine": min_cosine, **{key: found[key] for key in kept}, "recall_of_kind": recalls})
    return {**told, "sweep": sweep}


def by_footage(folder: Path) -> dict[str, Any]:
    """The check that runs without a trunk."""
    world, work = folder / "world", folder / "work-footage"
    whole_videos(world, work)
    with counted(folder, "footage"):
        run_curate(work, workers=1)
    return {"min_cosine": MIN_COSINE, **scored(world, work)}


def by_trained(folder: Path) -> dict[str, Any]:
    """A network that was trained on another world."""
    model, num_pictures = train_trunk(folder, num_videos=NUM_TRAIN_VIDEOS, epochs=EPOCHS)
    features = folder / "features.parquet"
    with counted(folder, "features"):
        run_features(model, videos=folder / "world" / "videos", out=features, layer=LAYER, stride_s=STRIDE_S, threads=1)
    told = by_trunk(folder, name="trained", features=features)
    return {**told, "num_pictures": num_pictures, "epochs": EPOCHS, "layer": LAYER}


METHODS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "perceptual-hash": lambda folder: by_trunk(folder, name="perceptual-hash", trunk="perceptual-hash"),
    "hash-no-crops": lambda folder: by_trunk(folder, name="hash-no-crops", trunk="perceptual-hash", crops=False),
    "footage": by_footage,
    "trained": by_trained,
    "sketch": lambda folder: by_trunk(folder, name="sketch", trunk="sketch"),
}
"""What is measured; each has a work folder of its own."""


def measure(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Precision and recall by kind of copy: of the methods named, and of those that the folder has already."""
    with counted(folder, "render_world"):
        render_world(folder / "world", seed=41, num_videos=NUM_VIDEOS, copies=COPIES, workers=1)
    for name in names:
        if not (folder / f"{name}.json").is_file():
            write_json(folder / f"{name}.json", METHODS[name](folder))
    files = {name: folder / f"{name}.json" for name in METHODS}
    found = {name: json.loads(path.read_bytes()) for name, path in files.items() if path.is_file()}
    return {
        "num_videos": NUM_VIDEOS, "copy_share": COPY_SHARE, "by_way": by_way(found), "by_kind": by_kind(found),
        "methods": found, "cpu_s": costs_of(folder),
    }  # fmt: skip


def by_way(methods: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a method: what it found of all that was planted, and what it took for a copy that is none."""
    shown = ("min_cosine", "num_found", "num_planted", "num_false_pairs", "precision", "recall", "num_chains")
    return [{"way": name, **{key: found[key] for key in shown}} for name, found in methods.items()]


def by_kind(methods: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a kind of copy: how many were planted, and how many each method found."""
    kinds = {name: {one["kind"]: one for one in found["kinds"]} for name, found in methods.items()}
    first = next(iter(kinds.values()))
    return [
        {"kind": kind, "planted": one["num_planted"], **{name: kinds[name][kind]["num_found"] for name in kinds}}
        for kind, one in first.items()
    ]


def table_of(rows: Sequence[dict[str, Any]]) -> Sequence[str]:
    """Lines of how many copies were found by kind, one column a method."""
    lines = ["".join(f"{name:>18}" for name in rows[0])]
    return [*lines, *("".join(f"{value:>18}" for value in row.values()) for row in rows)]


def main() -> None:
    """Measure, print one table, write the JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--only", choices=METHODS, default=None)
    given = parser.parse_args()
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        measured = measure(folder, [given.only] if given.only else list(METHODS))
    result = {
        "what": "copies planted in a rendered world that each way of curation finds, by kind, and false pairs",
        "hardware": f"{os.cpu_count()}core-cpu",
        "processor": platform.processor() or platform.machine(),
        "date": date,
        "load": os.getloadavg()[0],
        "versions": {name: importlib.metadata.version(name) for name in ("gesta", "torch", "av", "numpy")},
        **measured,
    }
    print("\n".join(table_of(result["by_kind"])))
    write_json(RESULTS / f"copies_{os.cpu_count()}core-cpu_{date}.json", result)


if __name__ == "__main__":
    main()
