"""A task that one key-frame cannot solve: what a person does late in a film is what colour stood there early in it.

Every film shows a person in red or in green for its first second and the same grey figure from then on. The late
key-frames are learnt and tried; only a bank that has seen the early ones can tell the two kinds of films apart.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from gesta.models.feature_bank import FeatureBankSpec, bank_of, write_bank
from gesta.models.person_heads import PersonHead
from gesta.models.trunks import TrunkSpec
from gesta.train.clips.frames import ClipFrames
from gesta.train.persons import PersonAugment, PersonExample, PersonSet, person_set
from gesta.train.persons.checkpoints import PersonCheckpoint, build_recipe_model, save_person_checkpoint
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.train import run_train_persons
from gesta.video import write_video

CLASSES = {1: "was red", 2: "was green"}
COLOURS = ((220, 40, 40), (40, 220, 40))
EARLY_US, LATE_US = 500_000, 2_500_000
BOX = np.array([[0.25, 0.1, 0.75, 0.9]])
SPEC = FeatureBankSpec(window_s=5, max_per_second=1, num_hidden=8, num_layers=1, dropout=0.0)


def film_of(folder: Path, number: int) -> Path:
    path = folder / f"film{number}.mp4"
    if not path.is_file():
        early, late = np.full((2, 32, 32, 3), 70, dtype=np.uint8)
        early[4:28, 8:24], late[4:28, 8:24] = COLOURS[number % 2], (150, 150, 150)
        write_video(path, [early] * 10 + [late] * 20, fps=Fraction(10), qp=5)
    return path


def key_frames(folder: Path, numbers: range, times_us: tuple[int, ...] = (LATE_US,)) -> PersonSet:
    examples = []
    for number in numbers:
        targets = np.zeros((1, 2), dtype=np.float32)
        targets[0, number % 2] = 1
        path = film_of(folder, number)
        examples += [
            PersonExample(
                clip_id=f"film{number}", video_id=f"film{number}", path=path, timestamp_us=time_us, start_us=0,
                end_us=3_000_000, boxes_N4=BOX, person_ids=(0,), targets_NK=targets,
                weights_NK=np.ones_like(targets), proposals_M5=np.array([[0.3, 0.1, 0.7, 0.9, 0.4], [*BOX[0], 0.8]]),
            )
            for time_us in times_us
        ]  # fmt: skip
    return person_set(examples, classes=CLASSES)


def memory_recipe(*, bank: FeatureBankSpec | None = SPEC, **changes) -> PersonRecipe:
    values = {
        "name": "memory", "trunk": TrunkSpec(name="slow_only_small"),
        "head": PersonHead(grid=2, dropout=0.0, bank=bank),
        "frames": ClipFrames(num_frames=2, rate=10, stride=1, side="short", side_px=32, crop_px=32),
        "augment": PersonAugment(scale_px=(32, 32), crop="center", flip=False, jitter_frames=False),
        "epochs": 20, "clips_per_batch": 8, "optimiser": "adamw", "base_lr": 3e-2, "precision": "float32",
        "compile": "off", "frozen_norms": True,
    }  # fmt: skip
    return PersonRecipe(**(values | changes))


def checkpoint_of(path: Path, *, seed: int = 0) -> Path:
    """A model that has learnt nothing: fresh weights tell colours apart."""
    recipe = memory_recipe(bank=None)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        weights = build_recipe_model(recipe, num_classes=2).state_dict()
    return save_person_checkpoint(
        path,
        PersonCheckpoint(
            weights=weights, class_ids=tuple(CLASSES), class_names=tuple(CLASSES.values()), recipe=recipe,
            data_sha256="", fingerprint="", versions={},
        ),
    )  # fmt: skip


def crowded_bank(path: Path, *, num_films: int, width: int) -> Path:
    """A bank with more persons a second than a window takes: training draws among them."""
    draw = np.random.default_rng(4)
    held = {(f"film{number}", EARLY_US): draw.random((5, width)) for number in range(num_films)}
    return write_bank(path, bank_of(held))


def main() -> None:
    """Learn with a bank: folder of the films, the bank, output folder."""
    torch.set_num_threads(1)
    folder, bank, out = map(Path, sys.argv[1:4])
    recipe = memory_recipe(epochs=3, num_parts=4, frozen_norms=False, clip_norm=1.0)
    run_train_persons(
        key_frames(folder, range(10)), out=out, recipe=recipe, val=key_frames(folder, range(10, 14)), seed=5,
        device="cpu", banks=[bank],
    )  # fmt: skip


if __name__ == "__main__":
    main()
