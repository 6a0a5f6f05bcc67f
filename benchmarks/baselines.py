"""Who tells motions apart: models that see frames in order and models that see one, and how many clips they need.

A world of motions is rendered (`gesta world --kind motions`): both clips of a pair hold the same frames, so who sees
single frames is right within pairs for half of them. Splits share no person and no place. With a GPU the four baselines
of the Kinetics papers learn all eighteen classes at 112 px, two streams fused among them; without one, I3D-small and a
ResNet-18 on single frames learn ten classes at 48 px. The first recipe of the plan then learns from fewer clips of each
class, in as many epochs, as the Kinetics-700-2020 paper draws it.

Run: python -m benchmarks.baselines [--small] [--seed 0]
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gesta.predict.clip_test import score_clips
from gesta.stats.score_pictures import draw_accuracy_curves
from gesta.tables import write_json
from gesta.train.clips import (
    ClipAugment,
    ClipFrames,
    ClipRecipe,
    ClipSet,
    clip_model_of,
    find_clip_recipe,
    load_clip_checkpoint,
    open_prepared,
    read_listed_clips,
    run_prepare,
    run_train_clips,
    take_per_class,
)
from gesta.world import MotionScore, render_motions, score_motions
from gesta.world.motions import CLASSES

RESULTS = Path(__file__).parent / "results"
FIGURE = Path(__file__).parents[1] / "docs" / "figures" / "baselines.svg"
FEW_CLASSES = (
    "opening a door", "closing a door", "sitting down", "standing up", "moving left", "moving right", "coming closer",
    "going away", "holding an umbrella", "riding a scooter",
)  # fmt: skip

BESIDE_OTHER_WORK = "beside other work: shares hold, wall-clock times are too long and say nothing"

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is rendered, which recipes learn it, and from how many clips a class the first of them learns again."""

    num_videos: int
    size_px: tuple[int, int]
    classes: tuple[str, ...]
    recipes: tuple[ClipRecipe, ...]
    counts: tuple[int, ...]
    fused: tuple[str, str] | None


def small_plan() -> Plan:
    """Minutes on a processor."""
    recipes = (find_clip_recipe("i3d_small_world"), find_clip_recipe("frame_r18_world"))
    return Plan(
        num_videos=400, size_px=(96, 72), classes=FEW_CLASSES, recipes=recipes, counts=(7, 14), fused=None
    )  # fmt: skip


def gpu_plan() -> Plan:
    """The four baselines, and I3D's small form beside them."""
    augment = ClipAugment(crop="random", jitter_time=True, flip=False)
    frames = ClipFrames(num_frames=16, rate=10.0, side_px=128, side="short", crop_px=112)

    def recipe(model: str, shown: ClipFrames) -> ClipRecipe:
        return ClipRecipe(
            name=f"{model}_motions", model=model, frames=shown, augment=augment, epochs=20, clips_per_batch=64,
            optimiser="adamw", base_lr=1e-3, weight_decay=0.02, schedule="cosine", warmup_epochs=1, clip_norm=5.0,
        )  # fmt: skip

    one = dataclasses.replace(frames, num_frames=1)
    flow = dataclasses.replace(frames, num_frames=10, modality="flow")
    recipes = (
        recipe("i3d", frames),
        recipe("c3d_bn", frames),
        recipe("conv_lstm", frames),
        recipe("two_stream_rgb", one),
        recipe("two_stream_flow", flow),
        recipe("frame_r18_small", one),
    )
    return Plan(
        num_videos=400 * len(CLASSES), size_px=(170, 128), classes=CLASSES, recipes=recipes,
        counts=(20, 40, 80, 160), fused=("two_stream_rgb", "two_stream_flow"),
    )  # fmt: skip


def prepared(folder: Path, *, split: str, frames: ClipFrames) -> ClipSet:
    """The split's clips as raw frames of that rate and size; made where they are not there yet."""
    clips, rejects = read_listed_clips(folder / f"{split}.csv", videos=folder / "videos", split=split)
    if rejects:
        raise RuntimeError(f"{len(rejects)} clips of the world cannot be used: {rejects[0]}")
    place = folder / f"prepared-{frames.modality}" / split
    run_prepare(clips, out=place, form="uint8", frames=frames, num_workers=os.cpu_count() or 1)
    return open_prepared(place, frames=frames)


def learn(
    clips: ClipSet, test: ClipSet, *, recipe: ClipRecipe, out: Path, seed: int, device: str
) -> tuple[dict[str, Any], Scores]:
    """A row of the table and the scores [N, K] of the test clips."""
    started, cpu = time.perf_counter(), time.process_time()
    num_workers = min(8, (os.cpu_count() or 1) - 1) if device == "cuda" else 0
    run_train_clips(clips, out=out, recipe=recipe, seed=seed, device=device, num_workers=num_workers)
    train_s, train_cpu_s = time.perf_counter() - started, time.process_time() - cpu
    model = clip_model_of(load_clip_checkpoint(out / "model.pt"), device=device).eval()
    with torch.inference_mode():
        scores_NK = score_clips(
            model, test, frames=recipe.frames, test=recipe.test, device=device, num_workers=num_workers
        )  # fmt: skip
    row = {
        "model": recipe.model,
        "frames": recipe.frames.num_frames,
        "modality": recipe.frames.modality,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "clips": len(clips),
        "epochs": recipe.epochs,
        **shares(score_of(scores_NK, test)),
        "train_s": train_s,
        "train_cpu_s": train_cpu_s,
    }
    return row, scores_NK


def score_of(scores_NK: Scores, clips: ClipSet) -> MotionScore:
    """What the scores [N, K] of the clips come to."""
    labels_N = np.array([example.label for example in clips.examples])
    return score_motions(scores_NK, labels_N, class_names=clips.class_names)


def shares(score: MotionScore) -> dict[str, Any]:
    """The columns of the table that a score fills."""
    return {
        "motion_top1": score.motion_top1_frac, "right_pair": score.pair_frac,
        "right_within_pair": score.within_pair_frac, "control_top1": score.control_top1_frac,
    }  # fmt: skip


def measure(plan: Plan, *, folder: Path, seed: int, device: str) -> dict[str, Any]:
    """All rows, and the within-pair shares of each recipe by pair."""
    width_px, height_px = plan.size_px
    started = time.perf_counter()
    summary = render_motions(
        folder, seed=seed, num_videos=plan.num_videos, width_px=width_px, height_px=height_px, classes=plan.classes
    )  # fmt: skip
    render_s = time.perf_counter() - started
    rows: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    scored: dict[str, Scores] = {}
    for recipe in plan.recipes:
        train, test = (prepared(folder, split=split, frames=recipe.frames) for split in ("train", "test"))
        row, scored[recipe.model] = learn(
            train, test, recipe=recipe, out=folder / recipe.name, seed=seed, device=device
        )  # fmt: skip
        rows.append(row)
        pairs.append({"model": recipe.model, **score_of(scored[recipe.model], test).within_by_pair})
        print(row, flush=True)
    if plan.fused is not None:
        test = prepared(folder, split="test", frames=plan.recipes[0].frames)
        both: Scores = ((scored[plan.fused[0]] + scored[plan.fused[1]]) / 2).astype(np.float32)
        rows.append({"model": " + ".join(plan.fused), **shares(score_of(both, test))})
    curve = samples_curve(plan, rows[0], folder=folder, seed=seed, device=device)
    return {
        "world": {
            **{name: value for name, value in summary.numbers.items() if name.startswith("num_")},
            "size_px": f"{width_px}x{height_px}", "render_s": render_s,
        },
        "models": rows, "right_within_pair": pairs, "samples_per_class": curve,
    }  # fmt: skip


def samples_curve(
    plan: Plan, whole: Mapping[str, Any], *, folder: Path, seed: int, device: str
) -> list[dict[str, Any]]:
    """A row for each number of clips a class, in as many epochs each; the last is the run on all."""
    recipe = plan.recipes[0]
    train, test = (prepared(folder, split=split, frames=recipe.frames) for split in ("train", "test"))
    rows = []
    for count in plan.counts:
        some = take_per_class(train, num=count, seed=seed)
        row, _ = learn(some, test, recipe=recipe, out=folder / f"{recipe.name}-{count}", seed=seed, device=device)
        rows.append({"clips_per_class": count, **row})
        print(rows[-1], flush=True)
    return [*rows, {"clips_per_class": len(train) // len(train.class_ids), **whole}]


def draw(result: Mapping[str, Any], path: Path) -> Path:
    """The path of the figure: shares right within pairs and of all motion classes, by clips a class."""
    curves = {
        said: [(float(row["clips_per_class"]), row[name], row[name], row[name]) for row in result["samples_per_class"]]
        for said, name in (("right within pairs", "right_within_pair"), ("motion classes, top-1", "motion_top1"))
    }
    with tempfile.TemporaryDirectory() as folder:
        made = draw_accuracy_curves(curves, Path(folder))
        shutil.copy(next(one for one in made if one.suffix == ".svg"), path)
    return path


def main() -> None:
    """Render, train and score; write the result and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="the processor's form, also where a GPU is")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    has_gpu = torch.cuda.is_available() and not asked.small
    device = "cuda" if has_gpu else "cpu"
    hardware = torch.cuda.get_device_name().replace(" ", "-") if has_gpu else f"{os.cpu_count()}core-cpu"
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        found = measure(gpu_plan() if has_gpu else small_plan(), folder=Path(folder), seed=asked.seed, device=device)
    result = {
        "what": "motions told apart by frames in order and by one frame; test clips of people and places never seen",
        "program": f"python -m benchmarks.baselines{' --small' if asked.small else ''} --seed {asked.seed}",
        "hardware": hardware,
        "processor": platform.processor() or platform.machine(),
        "date": date,
        "load": load,
        "times": BESIDE_OTHER_WORK if load > 1 else "alone on the machine",
        "threads": torch.get_num_threads(),
        "versions": {name: importlib.metadata.version(name) for name in ("gesta", "torch", "torchvision", "av")},
        "figure": FIGURE.name,
        **found,
    }
    write_json(RESULTS / f"baselines_{hardware}_{date}.json", result)
    draw(result, FIGURE)


if __name__ == "__main__":
    main()
