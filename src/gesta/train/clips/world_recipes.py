"""Recipes for the rendered world of motions (`gesta world --kind motions`): small enough for a processor."""

from __future__ import annotations

from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.recipe import ClipRecipe, ClipTest

AUGMENT = ClipAugment(crop="random", jitter_time=True, flip=False)
"""No mirror: it turns one who moves left into one who moves right."""


def _frames(num_frames: int) -> ClipFrames:
    # 16 frames at 10 a second fit into the shortest clips of the world, 1.6 s.
    return ClipFrames(num_frames=num_frames, rate=10.0, side_px=48, side="short", crop_px=48)


def i3d_small_world() -> ClipRecipe:
    """`i3d_small` on clips of the rendered world of motions.

    Command: `gesta train MOTIONS/train.csv --videos MOTIONS/videos --recipe i3d_small_world --out WORK/model`.

    Hardware and cost: 2 processor cores; about 8 ms of one core a clip and epoch, 0.03 hours for 560 clips.

    Expect: more than 0.85 of eight motion classes right, where `frame_r18_world` is right for half of each pair
    (`docs/results.md`, baselines; `tests/e2e/test_learning_is_real.py`).

    Source: the settings are ours. At three times the rate the first pair takes three times as many steps.
    """
    return ClipRecipe(
        name="i3d_small_world",
        model="i3d_small",
        frames=_frames(16),
        augment=AUGMENT,
        epochs=20,
        clips_per_batch=8,
        optimiser="adamw",
        base_lr=7e-4,
        weight_decay=0.02,
        schedule="cosine",
        warmup_epochs=1,
        clip_norm=5.0,
        precision="float32",
        compile="off",
        test=ClipTest(num_segments=1),
    )


def frame_r18_world() -> ClipRecipe:
    """`frame_r18_small` on one frame of the same clips: the yardstick for what motion gives.

    Command: `gesta train MOTIONS/train.csv --videos MOTIONS/videos --recipe frame_r18_world --out WORK/frame-model`.

    Hardware and cost: 2 processor cores; about 20 ms of one core a clip and epoch, 0.03 hours for 560 clips.

    Expect: the right pair for most clips, and the right one of the two for half (`docs/results.md`, baselines).

    Source: the settings are ours; it learns the pairs in fewer epochs than `i3d_small_world`.
    """
    return ClipRecipe(
        name="frame_r18_world",
        model="frame_r18_small",
        frames=_frames(1),
        augment=AUGMENT,
        epochs=8,
        clips_per_batch=16,
        optimiser="adamw",
        base_lr=1e-3,
        weight_decay=0.02,
        schedule="cosine",
        warmup_epochs=1,
        clip_norm=5.0,
        precision="float32",
        compile="off",
        test=ClipTest(num_segments=1),
    )
