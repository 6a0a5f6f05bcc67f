"""A person detector of ours from a rendered world's truth: the recipe and the loop.

Shapes: B frames a batch; H, W of the canvas in pixels; K boxes of a frame; 4 = x1 y1 x2 y2.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from gesta.models.centernet import (
    STRIDE,
    CenterNet,
    Preprocessing,
    center_loss,
    center_targets,
    checkpoint_of,
    normalise,
)
from gesta.schema import BadInput
from gesta.tables import Json, StageSummary, hashes_of, made_by, read_sidecar, whole_file, write_json
from gesta.train.detector_shots import Changes, Shot, change_shot, read_shots
from gesta.train.muon import Muon

STAGE = "train-detector"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorRecipe:
    """How the detector is trained; every number is ours unless its comment says otherwise."""

    width: int = 64
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    changes: Changes = field(default_factory=Changes)
    num_frames: int = 1600  # read from the world's videos, as many from each
    batch_frames: int = 16
    parts: int = 2  # of a batch, each with its own means and deviations in the normalisations
    steps: int = 700
    muon_lr: float = 0.06  # of the kernels within the net
    momentum: float = 0.9
    weight_decay: float = 0.1
    adam_lr: float = 4e-3  # of the two last layers, the biases and the normalisations
    warm_share: float = 0.1  # of the steps, in which the rates rise; then they fall in a straight line to 0


def world_detector(*, steps: int | None = None) -> DetectorRecipe:
    """The detector of the demo: CenterNet of width 64 on frames 192 px long, 700 steps of 16 frames.

    Command: `gesta world W --seed 13 --videos 160 && gesta train-detector W detector.pt`.
    Hardware: 2 CPU cores, 2 GB. Minutes: 0.7 (78 s of processor time). Expect, on 525 frames of the world of seed 12
    with 40 videos: AP50 0.93, AP75 0.53, and at score 0.35 recall 0.91 and precision 0.95 (`docs/results.md`, detect,
    row training). Variety counts: with 60 videos to learn from instead of 160, AP50 was 0.83 after 600 steps, with 100
    videos 0.86.
    """
    recipe = DetectorRecipe()
    return recipe if steps is None else dataclasses.replace(recipe, steps=steps)


def train_detector(
    world: Path,
    out: Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    threads: int | None = None,
    on_steps: Callable[[int], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> StageSummary:
    """What it did; writes the checkpoint `out`, its origin `out`.json, and the log `out`.log.jsonl beside it.

    The same world, seed and steps give the same weights on the same machine, whatever the threads. A checkpoint that
    was made by just this is not made again.

    Args:
        world: a folder with tables truth_videos and truth_boxes.
        seed: of the first weights, the order of frames and their changes.
        steps: None = the recipe's.
        threads: None = one for each part of a batch, as far as there are cores.
        on_steps: called with the number of steps just done.
        clock: seconds, for the log alone.
    Raises:
        MissingTable: the world has no truth.
        BadInput: `steps` or `threads` is below 1, or none of the world's videos can be read.
    """
    if steps is not None and steps < 1:
        raise BadInput(f"--steps {steps}", mend="Want at least 1")
    if threads is not None and threads < 1:
        raise BadInput(f"--threads {threads}", mend="Want at least 1")
    recipe = world_detector(steps=steps)
    provenance = made_by(
        STAGE,
        arguments={"seed": seed, "recipe": _plain(recipe)},
        inputs=hashes_of(world, ["truth_videos", "truth_boxes"]),
        tools=("av", "numpy", "opencv-python-headless", "torch"),
    )
    sidecar = read_sidecar(out)
    if out.is_file() and sidecar is not None and sidecar.get("fingerprint") == provenance.fingerprint:
        return _summary(sidecar["result"], was_current=True)
    in_use = min(recipe.parts, os.cpu_count() or 1) if threads is None else threads
    shots, num_bad = read_shots(world, num_frames=recipe.num_frames, seed=seed, threads=in_use)
    net, log = _fit(shots, recipe, seed=seed, threads=in_use, on_steps=on_steps, clock=clock)
    result: dict[str, Json] = {
        "num_frames": len(shots),
        "num_bad_videos": num_bad,
        "num_steps": recipe.steps,
        "loss": log[-1]["loss"],
    }
    with whole_file(out.with_name(out.name + ".log.jsonl")) as temporary:
        temporary.write_text("".join(json.dumps(line, sort_keys=True) + "\n" for line in log))
    with whole_file(out) as temporary:
        origin = provenance.as_json() | {"fingerprint": provenance.fingerprint}
        torch.save(checkpoint_of(net, recipe.preprocessing, made_by=origin), temporary)
    write_json(
        out.with_name(out.name + ".json"),
        {"fingerprint": provenance.fingerprint, "made_by": provenance.as_json(), "result": result},
    )
    return _summary(result, was_current=False)


def _plain(recipe: DetectorRecipe) -> dict[str, Json]:
    # Tuples become lists, as JSON gives them back.
    value: dict[str, Json] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return value


def _summary(result: Mapping[str, Any], *, was_current: bool) -> StageSummary:
    rejected = {"decode": result["num_bad_videos"]} if result["num_bad_videos"] else {}
    return StageSummary(
        stage=STAGE,
        kept=result["num_frames"],
        rejected=rejected,
        was_current=was_current,
        numbers={"num_steps": result["num_steps"], "loss": result["loss"]},
    )


def _chosen(num_shots: int, recipe: DetectorRecipe, *, seed: int) -> Iterator[list[int]]:
    """The frames of each step, by number: every frame comes once before any comes again."""
    order: list[int] = []
    shuffler = np.random.default_rng([seed, 1])
    for _ in range(recipe.steps):
        while len(order) < recipe.batch_frames:
            order += shuffler.permutation(num_shots).tolist()
        yield order[: recipe.batch_frames]
        order = order[recipe.batch_frames :]


def _learn(
    net: CenterNet, shots: Sequence[Shot], recipe: DetectorRecipe, rng: np.random.Generator
) -> tuple[float, tuple[Tensor, ...]]:
    """The loss on some frames, changed anew, and its gradients in the order of the net's parameters."""
    changed = [change_shot(shot, recipe.changes, rng, long_side_px=recipe.preprocessing.long_side_px) for shot in shots]
    frames_BHWC = torch.from_numpy(np.stack([shot.frame_HWC for shot in changed]))
    targets = center_targets(
        [torch.from_numpy(shot.boxes_K4).float() for shot in changed],
        height=recipe.changes.canvas_height_px // STRIDE,
        width=recipe.changes.canvas_width_px // STRIDE,
    )
    loss = center_loss(net(normalise(frames_BHWC, recipe.preprocessing)), targets)
    return loss.item(), torch.autograd.grad(loss, list(net.parameters()))


def _optimisers(net: CenterNet, recipe: DetectorRecipe) -> list[torch.optim.Optimizer]:
    last = {id(weight) for layer in (net.heat, net.sides) for weight in layer.parameters()}
    is_inner = {name: weight.ndim == 4 and id(weight) not in last for name, weight in net.named_parameters()}
    inner = [weight for name, weight in net.named_parameters() if is_inner[name]]
    others = [weight for name, weight in net.named_parameters() if not is_inner[name]]
    return [
        Muon(inner, lr=recipe.muon_lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay),
        torch.optim.AdamW(others, lr=recipe.adam_lr, weight_decay=0.0),
    ]


def _rate(step: int, recipe: DetectorRecipe) -> float:
    """The part of the full learning rates that step number `step`, from 0, has."""
    warm = recipe.warm_share * recipe.steps
    return min((step + 1) / max(warm, 1), (recipe.steps - step) / (recipe.steps - warm), 1.0)


def _fit(
    shots: Sequence[Shot],
    recipe: DetectorRecipe,
    *,
    seed: int,
    threads: int,
    on_steps: Callable[[int], None] | None,
    clock: Callable[[], float],
) -> tuple[CenterNet, list[dict[str, Json]]]:
    """The trained net, ready to detect, and the log, one line every 20 steps and one at the end.

    Each part of a batch goes through a twin of the net, in a thread of its own where there are enough: two threads of
    one core each end a step sooner than one operation at a time on two cores, and the sums do not depend on them.
    """
    log: list[dict[str, Json]] = []
    losses: list[float] = []
    started_s = clock()
    with _own_chance(seed), ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        net = CenterNet(width=recipe.width)
        twins = [copy.deepcopy(net) for _ in range(recipe.parts)]
        optimisers = _optimisers(net, recipe)
        for step, numbers in enumerate(_chosen(len(shots), recipe, seed=seed)):
            parts = [
                pool.submit(
                    _learn,
                    twin,
                    [shots[number] for number in numbers[part :: recipe.parts]],
                    recipe,
                    np.random.default_rng([seed, 2, step, part]),
                )
                for part, twin in enumerate(twins)
            ]
            learned = [part.result() for part in parts]
            for optimiser, full_lr in zip(optimisers, (recipe.muon_lr, recipe.adam_lr), strict=True):
                optimiser.param_groups[0]["lr"] = full_lr * _rate(step, recipe)
            for weight, *gradients in zip(net.parameters(), *(each for _, each in learned), strict=True):
                weight.grad = torch.stack(gradients).mean(dim=0)
            for optimiser in optimisers:
                optimiser.step()
            for twin in twins:
                _copy_weights(net, twin)
            losses += [loss for loss, _ in learned]
            if (step + 1) % 20 == 0 or step + 1 == recipe.steps:
                mean, spent_s = sum(losses) / len(losses), clock() - started_s
                log.append({"step": step + 1, "loss": round(mean, 4), "spent_s": round(spent_s, 2)})
                losses.clear()
            if on_steps is not None:
                on_steps(1)
    for buffer, *seen in zip(net.buffers(), *(twin.buffers() for twin in twins), strict=True):
        # What the twins' normalisations saw; the counts of batches are whole numbers.
        buffer.copy_(torch.stack(seen).double().mean(dim=0))
    return net.eval(), log


@torch.no_grad()
def _copy_weights(source: CenterNet, target: CenterNet) -> None:
    for theirs, ours in zip(source.parameters(), target.parameters(), strict=True):
        ours.copy_(theirs)


@contextmanager
def _own_chance(seed: int) -> Iterator[None]:
    """One thread and a seed of our own for torch, one thread for OpenCV, while the block runs; then as before."""
    num_torch, num_cv2 = torch.get_num_threads(), cv2.getNumThreads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        try:
            yield
        finally:
            torch.set_num_threads(num_torch)
            cv2.setNumThreads(num_cv2)
