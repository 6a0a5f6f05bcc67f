"""MMAction2's models of AVA by their names there: nine for AVA 2.1, three for AVA 2.2, two for chosen classes.

AVA21.toml and AVA22.toml name the films, the csv files, the excluded key-frames and the proposals
(docs/train-persons.md). A batch is cut into as many parts as GPUs had a share of it there, each with its own batch-norm
statistics, whatever the number of devices here. Weights to begin from are that project's, by its own names.

Their numbers are frame mAP x 100 at IoU 0.5 as that project computes it, which leaves out detections on key-frames
where nobody is annotated; `gesta evaluate --protocol` computes both that and the official one.
"""

from __future__ import annotations

import dataclasses

from gesta.models.person_heads import PersonHead
from gesta.models.person_losses import PersonLoss
from gesta.models.trunks import TrunkSpec
from gesta.train.clips.frames import ClipFrames
from gesta.train.persons.boxes import PersonBoxes
from gesta.train.persons.recipe import PersonRecipe

MEAN_RGB = (123.675 / 255, 116.28 / 255, 103.53 / 255)
STD_RGB = (58.395 / 255, 57.12 / 255, 57.375 / 255)
"""Source: MMAction2 0.24.1, `img_norm_cfg` of configs/detection/ava: ImageNet's."""

BOXES = PersonBoxes(train="both", least_score=0.9, iou=0.9, most=32)
"""Annotated persons and detected ones who overlap them. Source: the same configs, `assigner` and `sampler`."""

CUSTOM_CLASSES = (3, 6, 10, 27, 29, 38, 41, 48, 51, 53, 54, 59, 61, 64, 70, 72)
"""AVA's ids of the classes of the two models of chosen classes. Source: the same, `custom_classes`."""


def shown(num_frames: int, stride: int) -> ClipFrames:
    """Frames of a clip at 30 a second, the shorter side 256 px: random squares of 256 in training, all in a test."""
    return ClipFrames(
        num_frames=num_frames, rate=30.0, stride=stride, side="short", side_px=256, crop_px=256,
        mean_rgb=MEAN_RGB, std_rgb=STD_RGB,
    )  # fmt: skip


def slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb() -> PersonRecipe:
    """SlowOnly R50, 4 frames 16 apart, on AVA 2.1.

    Command: `gesta train AVA21.toml --recipe slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb --val val --start
    slowonly_r50_4x16x1_256e_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 2.0 hours of one H200 by arithmetic.

    Expect: frame mAP 20.1 on AVA 2.1's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava.
    """
    return PersonRecipe(
        name="slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb",
        trunk=TrunkSpec(name="slow_only_r50_4x16"),
        frames=shown(4, 16),
        boxes=BOXES,
        pretrained="slowonly_r50_4x16x1_256e_kinetics400_rgb",
        epochs=20,
        clips_per_batch=8 * 16,
        num_parts=8,
        base_lr=0.2,
        weight_decay=1e-5,
        milestones=(10, 15),
        warmup_epochs=5,
        warmup_from_frac=0.1,
        clip_norm=40.0,
    )


def slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb() -> PersonRecipe:
    """The same model and training as `slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb` from OmniSource's weights.

    Command: `gesta train AVA21.toml --recipe slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb --val val --start
    slowonly_r50_omni_4x16x1_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 2.0 hours of one H200 by arithmetic.

    Expect: frame mAP 21.8 on AVA 2.1's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava. OmniSource is training on Kinetics with web images and videos
    (Duan et al., 2020): another start, no other code.
    """
    return dataclasses.replace(
        slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb(),
        name="slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb",
        pretrained="slowonly_r50_omni_4x16x1_kinetics400_rgb",
    )


def slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb() -> PersonRecipe:
    """SlowOnly R50 4x16 with five non-local blocks (embedded Gaussian) on AVA 2.1.

    Command: `gesta train AVA21.toml --recipe slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb --val val --start
    slowonly_nl_embedded_gaussian_r50_4x16x1_150e_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 1.4 hours of one H200 by arithmetic.

    Expect: frame mAP 21.75 on AVA 2.1's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava.
    """
    return dataclasses.replace(
        slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb(),
        name="slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb",
        trunk=TrunkSpec(name="slow_only_r50_4x16", non_local="mmaction2"),
        pretrained="slowonly_nl_embedded_gaussian_r50_4x16x1_150e_kinetics400_rgb",
        epochs=10,
        clips_per_batch=8 * 12,
        base_lr=0.3,
        nesterov=True,
        weight_decay=1e-6,
        milestones=(4, 6, 8),
        warmup_epochs=0,
        warmup_steps=800,
        warmup_from_frac=0.01,
    )


def slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb() -> PersonRecipe:
    """SlowOnly R50, 8 frames 8 apart, with five non-local blocks on AVA 2.1.

    Command: `gesta train AVA21.toml --recipe slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb --val val --start
    slowonly_nl_embedded_gaussian_r50_8x8x1_150e_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 16 GPUs; 2.9 hours of one H200 by arithmetic.

    Expect: frame mAP 23.79 on AVA 2.1's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava.
    """
    return dataclasses.replace(
        slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb(),
        name="slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb",
        trunk=TrunkSpec(name="slow_only_r50_8x8", non_local="mmaction2"),
        frames=shown(8, 8),
        pretrained="slowonly_nl_embedded_gaussian_r50_8x8x1_150e_kinetics400_rgb",
        clips_per_batch=16 * 6,
        num_parts=16,
        base_lr=0.15,
        warmup_steps=1600,
    )


def slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb() -> PersonRecipe:
    """SlowOnly R101, 8 frames 8 apart, on AVA 2.1.

    Command: `gesta train AVA21.toml --recipe slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb --val val --start
    slowonly_r101_without_omni_8x8x1_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 16 GPUs; 6.6 hours of one H200 by arithmetic.

    Expect: frame mAP 24.6 on AVA 2.1's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava.
    """
    return dataclasses.replace(
        slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb(),
        name="slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb",
        trunk=TrunkSpec(name="slow_only_r101_8x8"),
        frames=shown(8, 8),
        pretrained="slowonly_r101_without_omni_8x8x1_kinetics400_rgb",
        clips_per_batch=16 * 6,
        num_parts=16,
        base_lr=0.075,
    )


def slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb() -> PersonRecipe:
    """The same model and training as `slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb` from OmniSource's weights.

    Command: `gesta train AVA21.toml --recipe slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb --val val --start
    slowonly_r101_omni_8x8x1_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 16 GPUs; 6.6 hours of one H200 by arithmetic.

    Expect: frame mAP 25.9 on AVA 2.1's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava. OmniSource (Duan et al., 2020) is another start, no other code.
    """
    return dataclasses.replace(
        slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb(),
        name="slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb",
        pretrained="slowonly_r101_omni_8x8x1_kinetics400_rgb",
    )


def slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb() -> PersonRecipe:
    """SlowFast R50 4x16 (32 frames 2 apart, alpha 8) on AVA 2.1.

    Command: `gesta train AVA21.toml --recipe slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb --val val --start
    slowfast_r50_4x16x1_256e_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 16 GPUs; 2.4 hours of one H200 by arithmetic.

    Expect: frame mAP 24.4 on AVA 2.1's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava.
    """
    return dataclasses.replace(
        slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb(),
        name="slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb",
        trunk=TrunkSpec(name="slowfast_r50_4x16"),
        frames=shown(32, 2),
        pretrained="slowfast_r50_4x16x1_256e_kinetics400_rgb",
        clips_per_batch=16 * 9,
        num_parts=16,
        base_lr=0.1125,
    )


def slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb() -> PersonRecipe:
    """SlowFast R50 4x16 on AVA 2.1, its head seeing the whole clip beside the person.

    Command: `gesta train AVA21.toml --recipe slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb --val val
    --start slowfast_r50_4x16x1_256e_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 16 GPUs; 2.4 hours of one H200 by arithmetic.

    Expect: frame mAP 25.4 on AVA 2.1's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava.
    """
    return dataclasses.replace(
        slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb(),
        name="slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb",
        head=PersonHead(context=True),
    )


def slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb() -> PersonRecipe:
    """SlowFast R50 8x8 (32 frames 2 apart, alpha 4) on AVA 2.1.

    Command: `gesta train AVA21.toml --recipe slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb --val val --start
    slowfast_r50_8x8x1_256e_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 16 GPUs; 4.5 hours of one H200 by arithmetic.

    Expect: frame mAP 25.5 on AVA 2.1's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava.
    """
    return dataclasses.replace(
        slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb(),
        name="slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb",
        trunk=TrunkSpec(name="slowfast_r50_8x8"),
        pretrained="slowfast_r50_8x8x1_256e_kinetics400_rgb",
        clips_per_batch=16 * 5,
        base_lr=0.075,
    )


def slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb() -> PersonRecipe:
    """SlowFast R50 8x8 on AVA 2.2, the rate along a cosine.

    Command: `gesta train AVA22.toml --recipe slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb --val val
    --start slowfast_r50_8x8x1_256e_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 2.3 hours of one H200 by arithmetic.

    Expect: frame mAP 26.1 on AVA 2.2's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava. The cosine begins behind the rise, as in MMAction2 1.x; 0.x lets
    it begin with the run.
    """
    return dataclasses.replace(
        slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb(),
        name="slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb",
        epochs=10,
        clips_per_batch=8 * 6,
        num_parts=8,
        schedule="cosine",
        milestones=(),
        warmup_epochs=2,
    )


def slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb() -> PersonRecipe:
    """The same with the largest feature over time in place of the mean.

    Command: `gesta train AVA22.toml --recipe slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb
    --val val --start slowfast_r50_8x8x1_256e_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 2.3 hours of one H200 by arithmetic.

    Expect: frame mAP 26.4 on AVA 2.2's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava.
    """
    return dataclasses.replace(
        slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb(),
        name="slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb",
        head=PersonHead(temporal="max"),
    )


def slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb() -> PersonRecipe:
    """The same with the largest feature over time and a focal loss of alpha 3 and gamma 1.

    Command: `gesta train AVA22.toml --recipe
    slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb --val val --start
    slowfast_r50_8x8x1_256e_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 2.3 hours of one H200 by arithmetic.

    Expect: frame mAP 26.8 on AVA 2.2's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 0.24.1, configs/detection/ava.
    """
    return dataclasses.replace(
        slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb(),
        name="slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb",
        loss=PersonLoss(kind="focal", alpha=3.0, gamma=1.0),
    )


def slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes() -> PersonRecipe:
    """SlowOnly R50 4x16 trained on 16 of AVA's classes alone.

    Command: `gesta train AVA21.toml --recipe slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes --val
    val --start slowonly_r50_4x16x1_256e_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 2.0 hours of one H200 by arithmetic.

    Expect: frame mAP 33.11 on these classes (published; a model of all 80 classes has 19.48 on them; not reproduced
    with gesta yet).

    Source: MMAction2 0.24.1, configs/detection/ava.
    """
    return dataclasses.replace(
        slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb(),
        name="slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes",
        classes=CUSTOM_CLASSES,
        outside="drop",
    )


def slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes() -> PersonRecipe:
    """SlowFast R50 4x16 trained on 16 of AVA's classes alone.

    Command: `gesta train AVA21.toml --recipe slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes --val
    val --start slowfast_r50_4x16x1_256e_kinetics400_rgb --out OUT`.

    Hardware and cost: Published with 16 GPUs; 2.4 hours of one H200 by arithmetic.

    Expect: frame mAP 37.85 on these classes (published; a model of all 80 classes has 18.64 on them; not reproduced
    with gesta yet).

    Source: MMAction2 0.24.1, configs/detection/ava. Its rise begins at a twentieth of the rate.
    """
    return dataclasses.replace(
        slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb(),
        name="slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes",
        classes=CUSTOM_CLASSES,
        outside="drop",
        warmup_from_frac=0.05,
    )
