"""Persons few enough to train on in a second, and a script that does, for processes that a test kills or starts."""

from __future__ import annotations

import dataclasses
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from gesta.models.person_heads import PersonHead
from gesta.models.person_losses import PersonLoss
from gesta.models.trunks import TrunkSpec
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.loop import Saving
from gesta.train.clips.stops import Interrupted
from gesta.train.persons import PersonAugment, PersonExample, PersonSet, person_set
from gesta.train.persons.checkpoints import load_person_checkpoint
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.train import run_train_persons
from gesta.video import write_video

CLASSES = {3: "stand", 7: "walk", 9: "wave"}
CLIP_CLASSES = ("tennis", "chess")
NUM_PERSONS = (1, 0, 2, 3, 0, 1, 2, 1, 0, 0, 1, 3)
"""Of each key-frame: with four parts of two, one part of a batch has nobody."""


def _pictures(number: int) -> list[np.ndarray]:
    rng = np.random.default_rng(number)
    texture = np.repeat(np.repeat(rng.integers(40, 200, size=(6, 8)), 8, axis=0), 8, axis=1)
    return [np.repeat(np.roll(texture, time, axis=1)[..., None], 3, axis=2).astype(np.uint8) for time in range(30)]


def _example(number: int, path: Path) -> PersonExample:
    rng = np.random.default_rng((7, number))
    num = NUM_PERSONS[number]
    corners = rng.uniform(0, 0.5, size=(num, 2))
    targets_NK = (rng.random((num, len(CLASSES))) < 0.5).astype(np.float32)
    targets_NK[:, 0] = 1
    return PersonExample(
        clip_id=f"clip{number}",
        video_id=f"v{number % 6}",
        path=path,
        timestamp_us=400_000 + 50_000 * (number // 6),
        start_us=0,
        end_us=1_000_000,
        boxes_N4=np.concatenate((corners, corners + 0.4), axis=1),
        person_ids=tuple(range(num)),
        targets_NK=targets_NK,
        weights_NK=np.ones_like(targets_NK),
        clip_label=-1 if number % 3 == 2 else number % 2,
        part="kinetics" if number % 3 != 2 else "ava",
    )


def small_persons(folder: Path, *, count: int = 12) -> PersonSet:
    """Twelve key-frames of six films; some show nobody, and two in three have a clip class."""
    paths = [folder / f"v{number}.mp4" for number in range(6)]
    for number, path in enumerate(paths):
        if not path.is_file():
            write_video(path, _pictures(number), fps=Fraction(30))
    return person_set(
        [_example(number, paths[number % 6]) for number in range(count)],
        classes=CLASSES,
        clip_class_names=CLIP_CLASSES,
    )


def small_recipe(**changes) -> PersonRecipe:
    recipe = PersonRecipe(
        name="small",
        trunk=TrunkSpec(name="slow_only_small"),
        head=PersonHead(grid=2, dropout=0.3),
        frames=ClipFrames(num_frames=2, rate=30, stride=4, side="short", side_px=32, crop_px=32),
        augment=PersonAugment(scale_px=(36, 40), flip=True, jitter_frames=True),
        epochs=2,
        clips_per_batch=8,
        num_parts=4,
        base_lr=0.05,
        weight_decay=1e-4,
        clip_norm=1.0,
        precision="float32",
        compile="off",
    )
    changed = {name: PersonLoss(**value) if name == "loss" else value for name, value in changes.items()}
    return dataclasses.replace(recipe, **changed)


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_person_checkpoint(path).weights)


def main() -> None:
    """Run: folder of the films, output folder, changes of the recipe as JSON, changes of the call as JSON."""
    torch.set_num_threads(1)
    persons = small_persons(Path(sys.argv[1]))
    changes, call = json.loads(sys.argv[3]), json.loads(sys.argv[4])
    try:
        run_train_persons(
            persons,
            out=Path(sys.argv[2]),
            recipe=small_recipe(**changes),
            val=persons if call.get("val") else None,
            seed=5,
            device="cpu",
            num_workers=call.get("workers", 0),
            saving=Saving(every_steps=call.get("every_steps", 1)),
            on_step=lambda line: print(line["step"], flush=True),
        )
    except Interrupted as stop:
        print(stop, flush=True)
        raise SystemExit(stop.exit_code) from None


if __name__ == "__main__":
    main()
