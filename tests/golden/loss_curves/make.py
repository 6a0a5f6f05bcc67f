"""Makes `curves.json`: the losses of the first 20 steps of small trainings, by the program as it stands.

    python -m tests.golden.loss_curves.make

The clips are not rendered and not encoded: pictures are computed from whole numbers and stored as PNG, so that the
curves hang on models, batches and loop alone. Run it only when a curve is meant to change, and say why in the commit.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

import gesta.models
from gesta.models import C3dBn, ConvLstm, I3d, Stream, i3d_small
from gesta.models.resnet import ResNetBody
from gesta.train.clips import steps
from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.loop import run_train_clips
from gesta.train.clips.recipe import ClipRecipe
from gesta.train.clips.sets import ClipExample, ClipSet, clip_set

FOLDER = Path(__file__).parent
CURVES = FOLDER / "curves.json"
NUM_STEPS = 20
SEED = 7
FPS = 10.0
SIZE = (56, 64)
FRAMES = ClipFrames(num_frames=8, rate=FPS, side_px=56, side="short", crop_px=48)
CLASSES = {1: "to the right", 2: "to the left", 3: "down", 4: "up"}
_STEPS = {1: (0, 4), 2: (0, -4), 3: (4, 0), 4: (-4, 0)}


def _texture(rows: np.ndarray, columns: np.ndarray, *, seed: int) -> np.ndarray:
    """Shades 0 to 255 that look random and are the same everywhere, int64 [H, W, 3]: a hash of place and colour."""
    shades = []
    for color in range(3):
        mixed = (rows + 1) * 73_856_093 ^ (columns + 1) * 19_349_663 ^ (color + 3 * seed + 1) * 83_492_791
        mixed = (mixed ^ mixed >> 13) * 1_274_126_177 % 2**32
        shades.append((mixed ^ mixed >> 16) % 256)
    return np.stack(shades, axis=-1)


def draw_clips(folder: Path, *, per_class: int = 8, num_pictures: int = 11) -> ClipSet:
    """Coloured squares that drift over coloured tiles, as folders of images; nothing in them is random.

    The tiles differ from clip to clip: on plain grounds the maps of a fresh net hardly vary within a batch, which batch
    norm turns into gradients that blow up the last digits.
    """
    examples = []
    height, width = SIZE
    rows, columns = np.mgrid[0:height, 0:width]
    for label, (class_id, (down, right)) in enumerate(_STEPS.items()):
        for number in range(per_class):
            clip = folder / f"class{class_id}-{number}"
            clip.mkdir(parents=True)
            seed = 16 * class_id + number
            ground = (
                _texture(rows // 8, columns // 8, seed=seed) * 3 + _texture(rows // 2, columns // 2, seed=seed)
            ) // 4
            square = _texture(rows // 5, columns // 5, seed=seed + 999)
            for k in range(num_pictures):
                top, left = (8 + 5 * number + down * k) % height, (11 + 7 * number + right * k) % width
                inside = ((rows - top) % height < 20) & ((columns - left) % width < 20)
                picture = np.where(inside[..., None], np.roll(square, (top, left), (0, 1)), ground).astype(np.uint8)
                cv2.imwrite(str(clip / f"{k:03d}.png"), picture)
            examples.append(
                ClipExample(
                    clip_id=clip.name, video_id=clip.name, path=clip, start_us=0,
                    end_us=num_pictures * 100_000, label=label,
                )
            )  # fmt: skip
    return clip_set(examples, classes=CLASSES)


def _recipe(name: str, *, frames: ClipFrames) -> ClipRecipe:
    return ClipRecipe(
        name=name, model={"i3d_small": "i3d_small_in_double"}.get(name, name), frames=frames,
        augment=ClipAugment(crop="random", jitter_time=True, flip=False), epochs=NUM_STEPS, max_steps=NUM_STEPS,
        clips_per_batch=8, num_parts=1, optimiser="sgd", base_lr=1e-3, schedule="cosine", warmup_epochs=1,
        clip_norm=1.0, precision="float32", compile="off",
    )  # fmt: skip


def cases() -> dict[str, ClipRecipe]:
    """The recipes by the name of their curve: I3D-small, and the tiny forms of the papers' baselines."""
    short, one, ten = (dataclasses.replace(FRAMES, num_frames=num) for num in (4, 1, 10))
    shown = {
        "i3d_small": FRAMES, "i3d_flow_tiny": FRAMES, "c3d_bn_tiny": FRAMES, "conv_lstm_tiny": short,
        "two_stream_rgb_tiny": one, "two_stream_flow_tiny": ten,
    }  # fmt: skip
    return {name: _recipe(name, frames=frames) for name, frames in shown.items()}


class InDouble(nn.Module):
    """A model computed in float64; one of two channels takes red and green for dx and dy."""

    def __init__(self, model: nn.Module, *, num_channels: int = 3) -> None:
        super().__init__()
        self.model = model.double()
        self.num_channels = num_channels

    def forward(self, clip_BCTHW: Tensor) -> Tensor:
        """Logits [B, K] in float64."""
        logits_BK: Tensor = self.model(clip_BCTHW[:, : self.num_channels].double())
        return logits_BK


def _few_blocks(*, num_channels: int = 3) -> ResNetBody:
    """ResNet-50 with a block a stage in place of 3, 4, 6 and 3."""
    return ResNetBody(ResNet(Bottleneck, [1, 1, 1, 1], num_classes=1), num_channels=num_channels)


def _conv_lstm_tiny(*, num_classes: int) -> nn.Module:
    model = ConvLstm(num_classes=num_classes, num_units=32)
    model.body = _few_blocks()
    return InDouble(model)


def _stream_tiny(*, num_classes: int, num_channels: int, num_frames: int) -> nn.Module:
    model = Stream(num_classes=num_classes, num_channels=num_channels, num_frames=num_frames)
    model.body = _few_blocks(num_channels=num_channels * num_frames)
    return InDouble(model, num_channels=num_channels)


TINY: dict[str, Callable[..., nn.Module]] = {
    "i3d_small_in_double": lambda *, num_classes: InDouble(i3d_small(num_classes=num_classes)),
    "i3d_flow_tiny": lambda *, num_classes: InDouble(
        I3d(num_classes=num_classes, num_channels=2, width=0.125, norm_momentum=0.1), num_channels=2
    ),
    "c3d_bn_tiny": lambda *, num_classes: InDouble(
        C3dBn(num_classes=num_classes, num_frames=8, crop_px=48, width=0.125)
    ),
    "conv_lstm_tiny": _conv_lstm_tiny,
    "two_stream_rgb_tiny": functools.partial(_stream_tiny, num_channels=3, num_frames=1),
    "two_stream_flow_tiny": functools.partial(_stream_tiny, num_channels=2, num_frames=10),
}


@contextmanager
def tiny_models() -> Iterator[None]:
    """A block in which the tiny forms can be named in a recipe."""
    gesta.models.MODELS.update(TINY)
    try:
        yield
    finally:
        for name in TINY:
            del gesta.models.MODELS[name]


def losses_of(recipe: ClipRecipe, *, clips: ClipSet, out: Path) -> list[float]:
    """The loss of each of the first 20 steps."""
    losses: list[float] = []
    run_train_clips(
        clips, out=out, recipe=recipe, seed=SEED, device="cpu", num_workers=0, threads=1,
        source=ClipSource(image_fps=FPS), on_step=lambda line: losses.append(float(str(line["loss"]))),
    )  # fmt: skip
    return losses


def largest_difference(curve: list[float], other: list[float]) -> float:
    """The largest difference of two curves, relative to the second."""
    return max(abs(a - b) / b for a, b in zip(curve, other, strict=True))


@contextmanager
def nudged_start() -> Iterator[None]:
    """A block in which losses are computed from logits that are off by a ten-millionth, as another processor's are."""
    exact = steps.loss_of

    def nudged(logits_BK: Tensor, labels_B: Tensor, *, label_smoothing: float) -> Tensor:
        return exact(logits_BK * (1 + 1e-7), labels_B, label_smoothing=label_smoothing)

    steps.loss_of = nudged
    try:
        yield
    finally:
        steps.loss_of = exact


def main() -> None:
    """Compute all curves and store them with what they were computed by."""
    curves, moved = {}, {}
    with tempfile.TemporaryDirectory() as folder, tiny_models():
        clips = draw_clips(Path(folder) / "clips")
        for name, recipe in cases().items():
            curves[name] = losses_of(recipe, clips=clips, out=Path(folder) / name)
            with nudged_start():
                again = losses_of(recipe, clips=clips, out=Path(folder) / f"{name}-nudged")
            moved[name] = largest_difference(again, curves[name])
    value = {
        "command": "python -m tests.golden.loss_curves.make",
        "versions": {name: version(name) for name in ("torch", "torchvision", "numpy", "opencv-python-headless")},
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "clips_sha256": clips.sha256,
        "seed": SEED,
        "largest_relative_difference_when_nudged": moved,
        "curves": curves,
    }
    CURVES.write_text(json.dumps(value, indent=1) + "\n")
    for name, curve in curves.items():
        sys.stdout.write(f"{name}: {curve[0]:.4f} ... {curve[-1]:.4f}, nudged {moved[name]:.1e} off\n")


if __name__ == "__main__":
    main()
