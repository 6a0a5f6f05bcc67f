"""Makes `curves.json`: losses of the first 20 steps of two small trainings on persons, by the program as it stands.

    python -m tests.golden.person_loss_curves.make

The pictures are those of `tests.golden.loss_curves`, computed from whole numbers and stored without loss, so that the
curves hang on models, batches and loop alone. Run it only when a curve is meant to change, and say why in the commit.
"""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from tests.golden.loss_curves.make import FPS, NUM_STEPS, SEED, draw_clips, largest_difference
from torch import Tensor, nn

from gesta.models.action_transformer import ActionTransformerSpec
from gesta.models.person_heads import PersonHead
from gesta.models.person_losses import PersonLoss
from gesta.models.trunks import TrunkSpec
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.loop import run_training
from gesta.train.clips.tasks import Task
from gesta.train.persons import PersonAugment, PersonExample, PersonSet, person_set
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.task import ask_both, person_task

FOLDER = Path(__file__).parent
CURVES = FOLDER / "curves.json"
CLASSES = {2: "to the right", 5: "to the left", 6: "down", 9: "up"}
CLIP_CLASSES = ("odd", "even")
FRAMES = ClipFrames(num_frames=8, rate=FPS, side_px=56, side="short", crop_px=48)
BOXES = ((0.0625, 0.125, 0.5, 0.75), (0.4375, 0.25, 0.9375, 1.0))
"""Of the first and second person of a picture, in sixteenths."""


def draw_persons(folder: Path) -> PersonSet:
    """Key-frames of the drawn clips with nobody, one or two persons each; nothing in them is random."""
    examples = []
    for number, clip in enumerate(draw_clips(folder).examples):
        num = (number + 1) % 3
        targets_NK = np.zeros((num, len(CLASSES)), dtype=np.float32)
        targets_NK[:, clip.label] = 1
        targets_NK[1:, (clip.label + 1) % len(CLASSES)] = 1
        examples.append(
            PersonExample(
                clip_id=clip.clip_id, video_id=clip.video_id, path=clip.path, timestamp_us=500_000,
                start_us=clip.start_us, end_us=clip.end_us, boxes_N4=np.array(BOXES[:num]).reshape(-1, 4),
                person_ids=tuple(range(num)), targets_NK=targets_NK, weights_NK=np.ones_like(targets_NK),
                clip_label=number % 2 if number % 4 else -1, part="drawn",
            )
        )  # fmt: skip
    return person_set(examples, classes=CLASSES, clip_class_names=CLIP_CLASSES)


def cases() -> dict[str, PersonRecipe]:
    """The recipes by the name of their curve: both small trunks, a head of each kind, both losses, two tasks."""
    plain = PersonRecipe(
        name="slowfast_context", trunk=TrunkSpec(name="slowfast_small"), head=PersonHead(grid=4, context=True),
        frames=FRAMES, augment=PersonAugment(scale_px=(52, 60), flip=False), epochs=NUM_STEPS, max_steps=NUM_STEPS,
        clips_per_batch=8, num_parts=2, base_lr=1e-2, nesterov=True, weight_decay=1e-4, schedule="cosine",
        warmup_epochs=1, warmup_from_frac=0.1, clip_norm=1.0, precision="float32", compile="off",
    )  # fmt: skip
    transformer = ActionTransformerSpec(num_hidden=16, num_layers=1, num_heads=2)
    asks = dataclasses.replace(
        plain,
        name="slow_only_action_transformer",
        trunk=TrunkSpec(name="slow_only_small"),
        head=PersonHead(kind="action-transformer", grid=4, transformer=transformer),
        loss=PersonLoss(kind="focal", alpha=3.0, gamma=1.0),
        clip_loss_weight=0.5,
        nesterov=False,
        optimiser="adamw",
        base_lr=1e-3,
        decayed="matrices",
    )
    return {recipe.name: recipe for recipe in (plain, asks)}


def in_double(persons: PersonSet, *, nudge: float = 0.0) -> Task:
    """Training on the persons by a model in float64; `nudge` moves every logit, as another processor's are."""
    task = person_task(persons)

    def build(recipe: PersonRecipe, data: PersonSet) -> nn.Module:
        return task.build(recipe, data).double()

    def ask(model: nn.Module, clip_BCTHW: Tensor, boxes_N5: Tensor) -> tuple[Tensor, Tensor | None]:
        logits_NK, clip_logits_BC = ask_both(model, clip_BCTHW.double(), boxes_N5.double())
        return logits_NK * (1 + nudge), clip_logits_BC

    return dataclasses.replace(task, build=build, plain=ask)


def losses_of(recipe: PersonRecipe, *, persons: PersonSet, out: Path, nudge: float = 0.0) -> list[float]:
    """The loss of each of the first 20 steps."""
    losses: list[float] = []
    run_training(
        in_double(persons, nudge=nudge), persons, out=out, recipe=recipe, val=None, seed=SEED, device="cpu",
        num_workers=0, threads=1, start=None, source=ClipSource(image_fps=FPS), saving=None, rejects=(),
        log_every_steps=10, on_step=lambda line: losses.append(float(str(line["loss"]))), on_epoch=None, on_note=None,
        clock=time.perf_counter,
    )  # fmt: skip
    return losses


def main() -> None:
    """Compute both curves and store them with what they were computed by."""
    curves, moved = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        persons = draw_persons(Path(folder) / "clips")
        for name, recipe in cases().items():
            curves[name] = losses_of(recipe, persons=persons, out=Path(folder) / name)
            again = losses_of(recipe, persons=persons, out=Path(folder) / f"{name}-nudged", nudge=1e-7)
            moved[name] = largest_difference(again, curves[name])
    value = {
        "command": "python -m tests.golden.person_loss_curves.make",
        "versions": {name: version(name) for name in ("torch", "torchvision", "numpy", "opencv-python-headless")},
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "persons_sha256": persons.sha256,
        "seed": SEED,
        "largest_relative_difference_when_nudged": moved,
        "curves": curves,
    }
    CURVES.write_text(json.dumps(value, indent=1) + "\n")
    for name, curve in curves.items():
        sys.stdout.write(f"{name}: {curve[0]:.4f} ... {curve[-1]:.4f}, nudged {moved[name]:.1e} off\n")


if __name__ == "__main__":
    main()
