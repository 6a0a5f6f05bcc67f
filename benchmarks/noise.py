"""How many planted wrong labels are found, which merged classes are told, which split ones: ours beside cleanlab.

Two worlds of motions are rendered (`gesta world --kind motions`), of other people at other places. On the first one a
small I3D learns the classes: the trunk. Of the second every clip gets the trunk's features; then labels are made wrong,
5, 10, 20 and 40 of 100: to any other class (random), or to the one whose clips hold the same frames in reverse
(partner). What is compared, on the same labels:

- gesta: `gesta noise folds` (logistic regression over the features, folds by group), each rule of `gesta noise labels`
- cleanlab on gesta's scores: `find_label_issues` (it must say the same)
- cleanlab alone: `CleanLearning` around scikit-learn's logistic regression, with its own folds
- with `--recipe` the trunk's recipe itself, trained on the noisy labels anew for each fold, at 20 of 100

Then classes are merged in twos under one name (does `gesta noise groups` tell them, and none of the others?), and
classes are split in two at random under two names (does `gesta noise confusions` put the other half first?).

Run: python -m benchmarks.noise [--work FOLDER] [--recipe]
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.cli.noise_clips import RecipeRun, recipe_scorer
from gesta.curate.clip_features import ClipVectors
from gesta.curate.noise.confident import RULES, wrong_labels
from gesta.curate.noise.confusions import run_confusions
from gesta.curate.noise.folds import read_scored_labels, run_folds
from gesta.curate.noise.group_stage import run_groups
from gesta.curate.noise.linear import linear_scorer
from gesta.curate.noise.vectors import vectors_of_clips
from gesta.predict.features import run_features
from gesta.schema import Clip, Duplicate, Kept, LabelClass, Video
from gesta.tables import frame_of, made_by, read_table, table_path, write_json, write_table
from gesta.train.clips import ClipSet, clip_set, find_clip_recipe, read_listed_clips, run_train_clips
from gesta.world import partner_of, render_motions

RESULTS = Path(__file__).parent / "results"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
CLASSES = (
    "opening a door", "closing a door", "sitting down", "standing up", "moving left", "moving right", "coming closer",
    "going away", "holding an umbrella", "riding a scooter",
)  # fmt: skip
TRUNK_GROUPS, STUDY_GROUPS = 24, 48
RATES, KINDS, SEEDS = (0.05, 0.1, 0.2, 0.4), ("random", "partner"), (0, 1)
RECIPE, TRUNK_EPOCHS, RECIPE_FOLDS = "i3d_small_world", 12, 3
MERGES = (
    ("opening a door", "moving left"), ("sitting down", "riding a scooter"), ("coming closer", "holding an umbrella"),
    ("standing up", "going away"), ("opening a door", "closing a door"),
)  # fmt: skip
TOOLS = ("gesta", "cleanlab", "scikit-learn", "torch")
MADE = made_by("noise-study", arguments={}, inputs={})

Bools = npt.NDArray[np.bool_]


def all_clips(world: Path) -> ClipSet:
    """The clips of all three splits."""
    parts = [
        read_listed_clips(world / f"{s}.csv", videos=world / "videos", split=s)[0] for s in ("train", "val", "test")
    ]
    return clip_set(
        [one for part in parts for one in part.examples],
        classes=dict(zip(parts[0].class_ids, parts[0].class_names, strict=True)),
    )


def trained_trunk(work: Path) -> Path:
    """The checkpoint of a small I3D that learned the first world's clips."""
    world = work / "trunk-world"
    render_motions(world, seed=101, num_videos=TRUNK_GROUPS * len(CLASSES), classes=CLASSES, workers=1)
    recipe = dataclasses.replace(find_clip_recipe(RECIPE), epochs=TRUNK_EPOCHS)
    if not (work / "trunk" / "model.pt").is_file():
        run_train_clips(all_clips(world), out=work / "trunk", recipe=recipe, seed=0, device="cpu", threads=1)
    return work / "trunk" / "model.pt"


def studied_world(work: Path, trunk: Path) -> tuple[Path, ClipVectors]:
    """A work folder with the second world's clips under their true labels, and the trunk's features of them."""
    folder = work / "study"
    render_motions(folder, seed=202, num_videos=STUDY_GROUPS * len(CLASSES), classes=CLASSES, workers=1)
    clips = all_clips(folder)
    stem = {one.clip_id: one.path.relative_to(folder / "videos").with_suffix("").as_posix() for one in clips.examples}
    put(
        folder,
        "label_map",
        [LabelClass(class_id=k, name=n) for k, n in zip(clips.class_ids, clips.class_names, strict=True)],
    )
    put(folder, "videos", [_video(stem[one.clip_id], one.path.relative_to(folder)) for one in clips.examples])
    rows = [
        Clip(clip_id=stem[one.clip_id], video_id=stem[one.clip_id], start_us=0, end_us=3_600_000_000)
        for one in clips.examples
    ]
    put(folder, "clips", rows)
    twin = dict(read_table(folder, "truth_videos").select("video_id", "source_video_id").drop_nulls().iter_rows())
    by_name = {Path(name).name: name for name in stem.values()}
    pairs = [sorted((by_name[one], by_name[other])) for one, other in twin.items()]
    put(
        folder, "duplicates",
        [
            Duplicate(clip_id_a=a, clip_id_b=b, cosine=1.0, num_inliers=0, cluster=n, kept_clip_id=a)
            for n, (a, b) in enumerate(pairs)
        ],
    )  # fmt: skip
    put(folder, "kept", truth_of(clips, stem))
    run_features(trunk, videos=folder / "videos", out=work / "features.parquet", layer="trunk", device="cpu", threads=1)
    return folder, vectors_of_clips(folder, features=work / "features.parquet")


def truth_of(clips: ClipSet, stem: dict[str, str]) -> list[Kept]:
    """Every clip under its true class."""
    return [
        Kept(clip_id=stem[one.clip_id], video_id=stem[one.clip_id], class_id=clips.class_ids[one.label])
        for one in clips.examples
    ]


def _video(name: str, path: Path) -> Video:
    return Video(
        video_id=name, path=path.as_posix(), sha256="0" * 64, size_bytes=1, container="mp4", codec="h264", width_px=96,
        height_px=72, rotation_deg=0, fps_num=15, fps_den=1, is_vfr=False, num_frames=30, start_us=0,
        duration_us=2_000_000, has_audio=False,
    )  # fmt: skip


def put(folder: Path, table: str, rows: Sequence[Any]) -> None:
    """Write a table of the study."""
    write_table(table_path(folder, table), table, frame_of(table, rows), made_by=MADE)


def with_labels(folder: Path, truth: pl.DataFrame, class_ids: Sequence[int]) -> None:
    """The work folder's labels are these, in the order of the truth's rows."""
    rows = truth.with_columns(pl.Series("class_id", class_ids, dtype=pl.Int64))
    text = f"{hash(tuple(class_ids)):x}"
    write_table(
        table_path(folder, "kept"), "kept", rows, made_by=made_by("noise-study", arguments={"of": text}, inputs={})
    )


def planted(truth: pl.DataFrame, names: dict[int, str], *, kind: str, rate: float, seed: int) -> list[int]:
    """The class of each clip, so many of them wrong."""
    rng = random.Random(f"{kind}:{rate}:{seed}")
    ids = {name: class_id for class_id, name in names.items()}
    labels = truth["class_id"].to_list()
    for number in rng.sample(range(len(labels)), round(rate * len(labels))):
        partner = partner_of(names[labels[number]])
        others = [class_id for class_id in names if class_id != labels[number]]
        labels[number] = ids[partner] if kind == "partner" and partner else rng.choice(others)
    return labels


def counted(found_N: Bools, wrong_N: Bools) -> dict[str, Any]:
    """What of the wrong labels was found and missed, and what was found wrongly."""
    num_found, num_false = int((found_N & wrong_N).sum()), int((found_N & ~wrong_N).sum())
    num_wrong = int(wrong_N.sum())
    return {
        "found": num_found, "missed": num_wrong - num_found, "false": num_false,
        "precision": num_found / max(1, num_found + num_false), "recall": num_found / max(1, num_wrong),
    }  # fmt: skip


def study_labels(folder: Path, vectors: ClipVectors, truth: pl.DataFrame) -> list[dict[str, Any]]:
    """A row for each kind, rate and judge: sums over the seeds."""
    names = dict(read_table(folder, "label_map").select("class_id", "name").iter_rows())
    rows = []
    for kind in KINDS:
        for rate in RATES:
            judged: dict[str, list[dict[str, Any]]] = {}
            accuracy = []
            for seed in SEEDS:
                labels = planted(truth, names, kind=kind, rate=rate, seed=seed)
                for judge, found_N, wrong_N, top1 in verdicts(folder, vectors, truth, labels):
                    judged.setdefault(judge, []).append(counted(found_N, wrong_N))
                    accuracy.append(top1)
            for judge, each in judged.items():
                sums = {name: sum(row[name] for row in each) for name in ("found", "missed", "false")}
                rows.append(
                    {
                        "noise": kind, "rate": rate, "judge": judge, **sums,
                        "precision": sums["found"] / max(1, sums["found"] + sums["false"]),
                        "recall": sums["found"] / max(1, sums["found"] + sums["missed"]),
                        "top1_on_truth": float(np.mean(accuracy)),
                    }
                )  # fmt: skip
            print(f"{kind} {rate}: {rows[-1]}", flush=True)
    return rows


def verdicts(
    folder: Path, vectors: ClipVectors, truth: pl.DataFrame, labels: list[int]
) -> list[tuple[str, Bools, Bools, float]]:
    """Judge, labels held to be wrong, labels that are, and how often the scores name the true class."""
    from cleanlab.classification import CleanLearning
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression

    with_labels(folder, truth, labels)
    run_folds(folder, scorer=linear_scorer(vectors), classifier={"kind": "logistic"})
    scored = read_scored_labels(folder)
    true = np.searchsorted(scored.class_ids, truth["class_id"].to_numpy())
    wrong_N = scored.places_N != true
    top1 = float((scored.scores_NK.argmax(axis=1) == true).mean())
    found = [
        (f"gesta, {rule}", wrong_labels(scored.places_N, scored.scores_NK, rule=rule), wrong_N, top1) for rule in RULES
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = find_label_issues(scored.places_N, scored.scores_NK, filter_by="prune_by_noise_rate", n_jobs=1)
        found.append(("cleanlab on gesta's scores, by-noise-rate", theirs, wrong_N, top1))
        row_of = {clip_id: row for row, clip_id in enumerate(vectors.clip_ids)}
        features = vectors.vectors_ND[[row_of[clip_id] for clip_id in truth["clip_id"]]]
        features = features / np.linalg.norm(features, axis=1, keepdims=True)
        scaled = (features - features.mean(axis=0)) / features.std()
        alone = CleanLearning(LogisticRegression(max_iter=1000), seed=0, find_label_issues_kwargs={"n_jobs": 1})
        issues = alone.find_label_issues(scaled / np.sqrt(scaled.shape[1]), scored.places_N)
        found.append(("cleanlab alone (CleanLearning)", issues["is_label_issue"].to_numpy(), wrong_N, top1))
    return found


def study_recipe(folder: Path, truth: pl.DataFrame) -> list[dict[str, Any]]:
    """The trunk's recipe trained on the noisy labels, for each fold anew, at 20 of 100 wrong."""
    names = dict(read_table(folder, "label_map").select("class_id", "name").iter_rows())
    labels = planted(truth, names, kind="random", rate=0.2, seed=0)
    with_labels(folder, truth, labels)
    run = RecipeRun(recipe=RECIPE, seed=0, device="cpu", num_workers=0, threads=1, start=None, caches=True)
    cpu = time.process_time()
    run_folds(folder, scorer=recipe_scorer(folder, run=run), classifier={"recipe": RECIPE}, num_folds=RECIPE_FOLDS)
    cpu_s = time.process_time() - cpu
    scored = read_scored_labels(folder)
    true = np.searchsorted(scored.class_ids, truth["class_id"].to_numpy())
    wrong_N = scored.places_N != true
    return [
        {
            "noise": "random", "rate": 0.2, "judge": f"recipe {RECIPE}, {rule}", "folds": RECIPE_FOLDS, "cpu_s": cpu_s,
            "top1_on_truth": float((scored.scores_NK.argmax(axis=1) == true).mean()),
            **counted(wrong_labels(scored.places_N, scored.scores_NK, rule=rule), wrong_N),
        }
        for rule in ("by-noise-rate", "both")
    ]  # fmt: skip


def study_merges(folder: Path, vectors: ClipVectors, truth: pl.DataFrame) -> list[dict[str, Any]]:
    """For each two classes under one name: whether they are told, how well, and which others are split."""
    ids = {name: class_id for class_id, name in read_table(folder, "label_map").select("class_id", "name").iter_rows()}
    rows = []
    for one, other in MERGES:
        labels = [ids[one] if class_id == ids[other] else class_id for class_id in truth["class_id"]]
        with_labels(folder, truth, labels)
        run_groups(folder, vectors=vectors)
        tests = {row["class_id"]: row for row in read_table(folder, "group_tests").iter_rows(named=True)}
        groups = read_table(folder, "class_groups").filter(class_id=ids[one]).join(
            truth.select("clip_id", true="class_id"), on="clip_id"
        )  # fmt: skip
        largest = groups.group_by("group", "true").len().group_by("group").agg(pl.col("len").max())["len"].sum()
        test = tests.pop(ids[one])
        rows.append(
            {
                "merged": f"{one} + {other}", "is_told": test["num_groups"] > 1, "groups": test["num_groups"],
                "p_value": test["adjusted_p"], "separation": test["separation"],
                "purity": float(largest / len(groups)), "others": len(tests),
                "others_split": sum(each["num_groups"] > 1 for each in tests.values()),
            }
        )  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def study_splits(folder: Path, vectors: ClipVectors, truth: pl.DataFrame) -> list[dict[str, Any]]:
    """For each class put under two names at random: whether each half is the other's first confusion."""
    names = dict(read_table(folder, "label_map").select("class_id", "name").iter_rows())
    new_id = max(names) + 1
    put(
        folder,
        "label_map",
        [*(LabelClass(class_id=k, name=n) for k, n in names.items()), LabelClass(class_id=new_id, name="other name")],
    )
    rows = []
    for class_id, name in names.items():
        rng = random.Random(f"split:{class_id}")
        labels = [new_id if each == class_id and rng.random() < 0.5 else each for each in truth["class_id"]]
        with_labels(folder, truth, labels)
        run_folds(folder, scorer=linear_scorer(vectors), classifier={"kind": "logistic"})
        run_confusions(folder)
        first = read_table(folder, "class_confusions").filter(rank=1)
        of = {row["class_id"]: row for row in first.iter_rows(named=True)}
        is_told = [of.get(a, {}).get("other_class_id") == b for a, b in ((class_id, new_id), (new_id, class_id))]
        widest = read_table(folder, "class_confusions").sort("overlap_frac", descending=True).row(0, named=True)
        rows.append(
            {
                "split": name, "first_of_each_other": all(is_told),
                "widest_overlap": {widest["class_id"], widest["other_class_id"]} == {class_id, new_id},
                "taken_frac": float(np.mean([of[a]["taken_frac"] for a in (class_id, new_id) if a in of])),
            }
        )  # fmt: skip
        print(rows[-1], flush=True)
    put(folder, "label_map", [LabelClass(class_id=k, name=n) for k, n in names.items()])
    return rows


def main() -> None:
    """Measure, print rows as they come, write the JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, default=None, help="folder that is kept and gone on with")
    parser.add_argument("--recipe", action="store_true", help="also train the recipe for each fold")
    options = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in THREADS.items()):
        # BLAS reads these when it is loaded, so they must stand before this process begins.
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.noise", *sys.argv[1:]], os.environ | THREADS)
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        started = time.process_time()
        trunk = trained_trunk(work)
        folder, vectors = studied_world(work, trunk)
        truth = read_table(folder, "kept")
        result: dict[str, Any] = {
            "what": "planted wrong labels, merged and split classes of a rendered world: found and missed",
            "hardware": f"{os.cpu_count()}core-cpu",
            "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            "load": os.getloadavg()[0],
            "versions": {name: importlib.metadata.version(name) for name in TOOLS},
            "num_clips": len(truth), "num_classes": len(CLASSES), "num_seeds": len(SEEDS),
            "trunk": f"{RECIPE}, {TRUNK_EPOCHS} epochs on {TRUNK_GROUPS * len(CLASSES)} clips of another world",
            "labels": study_labels(folder, vectors, truth),
            "merged": study_merges(folder, vectors, truth),
            "split": study_splits(folder, vectors, truth),
        }  # fmt: skip
        if options.recipe:
            result["recipe"] = study_recipe(folder, truth)
        with_labels(folder, truth, truth["class_id"].to_list())
        result["cpu_s"] = time.process_time() - started
    write_json(RESULTS / f"noise_{result['hardware']}_{result['date']}.json", result)


if __name__ == "__main__":
    main()
