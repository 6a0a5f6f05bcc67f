"""Recipes for classifiers of single frames, trained on folders of pictures: what `gesta mine` positions clips by."""

from __future__ import annotations

from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.kinetics400_recipes import IMAGENET_MEAN, IMAGENET_STD
from gesta.train.clips.recipe import ClipRecipe, ClipTest


def frame_r18_images() -> ClipRecipe:
    """`frame_r18_small`, a ResNet-18 from scratch, on pictures of 64 px: for few classes and a processor.

    Command: `gesta train IMAGES --recipe frame_r18_images --out WORK/frames`.

    Hardware and cost: 2 processor cores; about 30 ms of one core a picture and epoch.

    Expect: on frames of the rendered world's ten actions the share that `benchmarks/positions.py` measures
    (`docs/results.md`).

    Source: the settings are ours. Pictures are not mirrored, since classes may say left and right.
    """
    return ClipRecipe(
        name="frame_r18_images",
        model="frame_r18_small",
        frames=ClipFrames(num_frames=1, rate=1.0, side_px=72, side="short", crop_px=64),
        augment=ClipAugment(crop="random", jitter_time=False, flip=False, scale_px=(66, 88), color_frac=0.3),
        epochs=15,
        clips_per_batch=16,
        optimiser="adamw",
        base_lr=1e-3,
        weight_decay=0.02,
        schedule="cosine",
        warmup_epochs=1,
        clip_norm=5.0,
        label_smoothing=0.1,
        precision="float32",
        compile="off",
        test=ClipTest(num_segments=1, crops=3),
    )


def frame_r50_images() -> ClipRecipe:
    """`two_stream_rgb`, a ResNet-50, on pictures of 224 px: start it from ImageNet's weights.

    Command: `gesta train IMAGES --recipe frame_r50_images --out WORK/frames --start resnet50-imagenet-v2`.

    Hardware and cost: one GPU; about 0.4 s of one processor core a picture and epoch without one.

    Expect: nothing that was measured here; classifiers of this kind positioned the clips of Kinetics-400.

    Source: Kinetics-400 paper, section 3.2, step 2 (image classifiers of actions), which says nothing of the network;
    size and colours are those of torchvision's ResNet-50, all else is ours.
    """
    return ClipRecipe(
        name="frame_r50_images",
        model="two_stream_rgb",
        frames=ClipFrames(
            num_frames=1, rate=1.0, side_px=256, side="short", crop_px=224, mean_rgb=IMAGENET_MEAN, std_rgb=IMAGENET_STD
        ),
        augment=ClipAugment(crop="random", jitter_time=False, flip=False, scale_px=(256, 320), color_frac=0.3),
        epochs=12,
        clips_per_batch=64,
        base_lr=0.01,
        weight_decay=1e-4,
        schedule="cosine",
        warmup_epochs=1,
        label_smoothing=0.1,
        test=ClipTest(num_segments=1, crops=3),
    )
