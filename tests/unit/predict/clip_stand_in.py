"""A small clip model with a checkpoint of its own, and plain videos to show it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gesta.models import build_model
from gesta.predict.clip_models import ClipModel
from gesta.train.clips import ClipAugment, ClipFrames
from gesta.train.clips.checkpoints import ClipCheckpoint, save_clip_checkpoint
from gesta.train.clips.recipe import ClipRecipe, ClipTest
from gesta.video import write_video

NAMES = ("dark", "bright", "red")
FRAMES = ClipFrames(num_frames=4, rate=10.0, stride=2, side_px=24, side="short", crop_px=16)


class Bright(nn.Module):
    """Logits of how dark, bright and red a clip is, so that they can be told without the model."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.pool = nn.AdaptiveAvgPool3d((1, 1, 1))

    def forward(self, clip_BCTHW: torch.Tensor) -> torch.Tensor:
        mean_BC = self.pool(clip_BCTHW).flatten(1)
        return self.scale * torch.stack((-mean_BC.mean(1), mean_BC.mean(1), mean_BC[:, 0] - mean_BC[:, 1]), dim=1)


def bright_model(*, frames: ClipFrames = FRAMES, test: ClipTest | None = None) -> ClipModel:
    return ClipModel(
        name="bright", net=Bright().eval(), device="cpu", class_ids=(4, 6, 9), class_names=NAMES, frames=frames,
        test=test or ClipTest(num_segments=3), sha256="0" * 64, origin={"recipe": "bright"},
    )  # fmt: skip


def save_small(path: Path, *, test: ClipTest | None = None) -> Path:
    """A checkpoint of an untrained I3D of a quarter of the width."""
    torch.manual_seed(4)
    recipe = ClipRecipe(
        name="small", model="i3d_small", augment=ClipAugment(), epochs=1, clips_per_batch=1, base_lr=0.1,
        frames=ClipFrames(num_frames=4, rate=10.0, side="short", side_px=40, crop_px=32), test=test or ClipTest(),
    )  # fmt: skip
    checkpoint = ClipCheckpoint(
        weights=build_model("i3d_small", num_classes=len(NAMES)).state_dict(), class_ids=(4, 6, 9), class_names=NAMES,
        recipe=recipe, data_sha256="d" * 64, fingerprint="f" * 64, versions={"gesta": "0"},
    )  # fmt: skip
    return save_clip_checkpoint(path, checkpoint)


def write_levels(
    path: Path, levels: list[int], *, fps: int = 10, each: int = 10, size: tuple[int, int] = (32, 24)
) -> Path:
    """A grey video of `each` frames a level."""
    width, height = size
    frames = (np.full((height, width, 3), level, dtype=np.uint8) for level in levels for _ in range(each))
    return write_video(path, frames, fps=Fraction(fps), crf=10)
