"""A recipe small enough to run in a second, and a script that runs it, for processes that a test kills or starts."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import torch
from torch import nn

from gesta.models import MODELS, SeededDropout
from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.checkpoints import load_clip_checkpoint
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.loop import Saving, run_train_clips
from gesta.train.clips.recipe import ClipRecipe
from gesta.train.clips.sets import ClipExample, ClipSet
from gesta.train.clips.stops import Interrupted


def tiny(*, num_classes: int) -> nn.Module:
    """Two convolutions with batch norms and a dropout: all that a run must keep in step."""
    return nn.Sequential(
        nn.Conv3d(3, 6, 3, stride=(1, 2, 2), padding=1, bias=False),
        nn.BatchNorm3d(6),
        nn.ReLU(),
        nn.Conv3d(6, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm3d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        SeededDropout(0.3),
        nn.Linear(8, num_classes),
    )


MODELS["tiny"] = tiny


def small(**changes) -> ClipRecipe:
    recipe = ClipRecipe(
        name="small",
        model="tiny",
        frames=ClipFrames(num_frames=4, stride=4, side_px=36, side="short", crop_px=32),
        augment=ClipAugment(flip=False),
        epochs=2,
        clips_per_batch=4,  # of 12 clips: three steps an epoch
        num_parts=2,
        base_lr=0.05,
        weight_decay=1e-4,
        precision="float32",
    )
    return dataclasses.replace(recipe, **changes)


def as_text(clips: ClipSet) -> str:
    rows = [dataclasses.asdict(example) | {"path": str(example.path)} for example in clips.examples]
    return json.dumps([rows, clips.class_ids, clips.class_names, clips.sha256])


def of_text(text: str) -> ClipSet:
    rows, class_ids, class_names, sha256 = json.loads(text)
    examples = tuple(ClipExample(**(row | {"path": Path(row["path"])})) for row in rows)
    return ClipSet(examples=examples, class_ids=tuple(class_ids), class_names=tuple(class_names), sha256=sha256)


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_clip_checkpoint(path).weights)


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def are_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def main() -> None:
    """Run: clips file, output folder, changes of the recipe as JSON, changes of the call as JSON."""
    torch.set_num_threads(1)
    clips = of_text(Path(sys.argv[1]).read_text())
    changes, call = json.loads(sys.argv[3]), json.loads(sys.argv[4])
    try:
        run_train_clips(
            clips,
            out=Path(sys.argv[2]),
            recipe=small(**changes),
            val=clips if call.get("val") else None,
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
