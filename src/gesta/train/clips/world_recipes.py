"""Recipes for the rendered motion world: small enough for a processor."""

from __future__ import annotations

from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.recipe import ClipRecipe, ClipTest


def _frames() -> ClipFrames:
    return ClipFrames(num_frames=16, rate=8.0, side_px=64, side="short", crop_px=56)


def i3d_small_world() -> ClipRecipe:
    """`i3d_small` on clips of the rendered motion world.

    Command: `gesta train WORK/releases/1.0.0 --recipe i3d_small_world --val val --out WORK/model`.

    Hardware and cost: 2 processor cores, about 0.1 hours.

    Expect: well above `frame_r18_world` on the classes that differ in motion alone (`docs/results.md`).

    Source: the settings are ours.
    """
    return ClipRecipe(
        name="i3d_small_world",
        model="i3d_small",
        frames=_frames(),
        augment=ClipAugment(crop="random", jitter_time=True, flip=False),
        epochs=20,
        clips_per_batch=16,
        num_parts=2,
        optimiser="adamw",
        base_lr=2e-3,
        weight_decay=0.02,
        schedule="cosine",
        warmup_epochs=2,
        clip_norm=5.0,
        test=ClipTest(num_segments=2),
    )


def frame_r18_world() -> ClipRecipe:
    """`frame_r18_small` on the same clips, of which it sees the middle frame: the yardstick for what motion gives.

    Command: `gesta train WORK/releases/1.0.0 --recipe frame_r18_world --val val --out WORK/frame-model`.

    Hardware and cost: 2 processor cores, about 0.1 hours.

    Expect: chance on classes that differ in motion alone (`docs/results.md`).

    Source: the settings are ours, those of `i3d_small_world`.
    """
    return ClipRecipe(
        name="frame_r18_world",
        model="frame_r18_small",
        frames=_frames(),
        augment=ClipAugment(crop="random", jitter_time=True, flip=False),
        epochs=20,
        clips_per_batch=16,
        num_parts=2,
        optimiser="adamw",
        base_lr=2e-3,
        weight_decay=0.02,
        schedule="cosine",
        warmup_epochs=2,
        clip_norm=5.0,
        test=ClipTest(num_segments=2),
    )
