"""Recipes of persons on AVA-Kinetics, and PySlowFast's on AVA: MMAction2's ladder, the Action Transformer, VideoMAE.

AVAK.toml names both parts, AVA22.toml and KINETICS.toml one each (docs/train-persons.md). Weights to
begin from are the named projects', by name or as files, read as they are.
"""

from __future__ import annotations

import dataclasses

from gesta.models.action_transformer import ActionTransformerSpec
from gesta.models.person_heads import PersonHead
from gesta.models.person_losses import PersonLoss
from gesta.models.trunks import TrunkSpec
from gesta.train.clips.frames import ClipFrames
from gesta.train.persons.augment import PYSLOWFAST
from gesta.train.persons.boxes import PersonBoxes
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.recipes_ava import BOXES, shown


def theirs(num_frames: int, stride: int) -> ClipFrames:
    """Frames as PySlowFast shows them: squares of 224 px in training, colours by the mean and deviation .45 and .225.

    Source: PySlowFast, config/defaults.py, DATA.MEAN and DATA.STD; configs/AVA, TRAIN_CROP_SIZE.
    """
    return dataclasses.replace(
        shown(num_frames, stride), crop_px=224, mean_rgb=(0.45, 0.45, 0.45), std_rgb=(0.225, 0.225, 0.225)
    )


def slowonly_k400_r50_4x16_ava_kinetics() -> PersonRecipe:
    """The foot of MMAction2's ladder: SlowOnly R50 4x16 on AVA-Kinetics.

    Command: `gesta train AVAK.toml --recipe slowonly_k400_r50_4x16_ava_kinetics --val val --start
    slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 1.6 hours of one H200 by arithmetic.

    Expect: frame mAP 24.53 on AVA 2.2's validation films with detected boxes, trained on AVA-Kinetics (published; not
    reproduced with gesta yet).

    Source: MMAction2 1.2.0, configs/detection/slowonly (README, AVA-Kinetics).
    """
    return PersonRecipe(
        name="slowonly_k400_r50_4x16_ava_kinetics",
        trunk=TrunkSpec(name="slow_only_r50_4x16"),
        frames=shown(4, 16),
        boxes=BOXES,
        pretrained="slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb",
        epochs=10,
        clips_per_batch=8 * 8,
        num_parts=8,
        base_lr=0.1,
        weight_decay=1e-5,
        schedule="cosine",
        warmup_epochs=2,
        warmup_from_frac=0.1,
        clip_norm=40.0,
    )


def slowonly_k700_r50_4x16_ava_kinetics() -> PersonRecipe:
    """The same from weights of Kinetics-700.

    Command: `gesta train AVAK.toml --recipe slowonly_k700_r50_4x16_ava_kinetics --val val --start
    slowonly_imagenet-pretrained-r50_16xb16-4x16x1-steplr-150e_kinetics700-rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 1.6 hours of one H200 by arithmetic.

    Expect: frame mAP 25.87 on AVA 2.2's validation films with detected boxes, trained on AVA-Kinetics (published; not
    reproduced with gesta yet).

    Source: MMAction2 1.2.0, configs/detection/slowonly (README, AVA-Kinetics).
    """
    return dataclasses.replace(
        slowonly_k400_r50_4x16_ava_kinetics(),
        name="slowonly_k700_r50_4x16_ava_kinetics",
        pretrained="slowonly_imagenet-pretrained-r50_16xb16-4x16x1-steplr-150e_kinetics700-rgb",
    )


def slowonly_k400_r50_8x8_ava_kinetics() -> PersonRecipe:
    """The same with 8 frames 8 apart, from Kinetics-400.

    Command: `gesta train AVAK.toml --recipe slowonly_k400_r50_8x8_ava_kinetics --val val --start
    slowonly_imagenet-pretrained-r50_8xb16-8x8x1-steplr-150e_kinetics400-rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 3.3 hours of one H200 by arithmetic.

    Expect: frame mAP 26.1 on AVA 2.2's validation films with detected boxes, trained on AVA-Kinetics (published; not
    reproduced with gesta yet).

    Source: MMAction2 1.2.0, configs/detection/slowonly (README, AVA-Kinetics).
    """
    return dataclasses.replace(
        slowonly_k400_r50_4x16_ava_kinetics(),
        name="slowonly_k400_r50_8x8_ava_kinetics",
        trunk=TrunkSpec(name="slow_only_r50_8x8"),
        frames=shown(8, 8),
        pretrained="slowonly_imagenet-pretrained-r50_8xb16-8x8x1-steplr-150e_kinetics400-rgb",
    )


def slowonly_k700_r50_8x8_ava_kinetics() -> PersonRecipe:
    """The ladder's baseline: 8 frames 8 apart, from Kinetics-700.

    Command: `gesta train AVAK.toml --recipe slowonly_k700_r50_8x8_ava_kinetics --val val --start
    slowonly_imagenet-pretrained-r50_16xb16-8x8x1-steplr-150e_kinetics700-rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 3.3 hours of one H200 by arithmetic.

    Expect: frame mAP 27.82 on AVA 2.2's validation films with detected boxes, trained on AVA-Kinetics (published; not
    reproduced with gesta yet).

    Source: MMAction2 1.2.0, configs/detection/slowonly (README, AVA-Kinetics).
    """
    return dataclasses.replace(
        slowonly_k400_r50_8x8_ava_kinetics(),
        name="slowonly_k700_r50_8x8_ava_kinetics",
        pretrained="slowonly_imagenet-pretrained-r50_16xb16-8x8x1-steplr-150e_kinetics700-rgb",
    )


def slowonly_k700_r50_context_8x8_ava_kinetics() -> PersonRecipe:
    """A step up the ladder: the whole clip beside the person.

    Command: `gesta train AVAK.toml --recipe slowonly_k700_r50_context_8x8_ava_kinetics --val val --start
    slowonly_imagenet-pretrained-r50_16xb16-8x8x1-steplr-150e_kinetics700-rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 3.3 hours of one H200 by arithmetic.

    Expect: frame mAP 28.31 on AVA 2.2's validation films with detected boxes, trained on AVA-Kinetics (published; not
    reproduced with gesta yet).

    Source: MMAction2 1.2.0, configs/detection/slowonly (README, AVA-Kinetics).
    """
    return dataclasses.replace(
        slowonly_k700_r50_8x8_ava_kinetics(),
        name="slowonly_k700_r50_context_8x8_ava_kinetics",
        head=PersonHead(context=True),
    )


def slowonly_k700_r50_context_temporal_max_8x8_ava_kinetics() -> PersonRecipe:
    """A step up: the largest feature over time.

    Command: `gesta train AVAK.toml --recipe slowonly_k700_r50_context_temporal_max_8x8_ava_kinetics --val val --start
    slowonly_imagenet-pretrained-r50_16xb16-8x8x1-steplr-150e_kinetics700-rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 3.3 hours of one H200 by arithmetic.

    Expect: frame mAP 28.48 on AVA 2.2's validation films with detected boxes, trained on AVA-Kinetics (published; not
    reproduced with gesta yet).

    Source: MMAction2 1.2.0, configs/detection/slowonly (README, AVA-Kinetics).
    """
    return dataclasses.replace(
        slowonly_k700_r50_context_8x8_ava_kinetics(),
        name="slowonly_k700_r50_context_temporal_max_8x8_ava_kinetics",
        head=PersonHead(context=True, temporal="max"),
    )


def slowonly_k700_r50_context_temporal_max_nl_head_8x8_ava_kinetics() -> PersonRecipe:
    """A step up: a head of two layers.

    Command: `gesta train AVAK.toml --recipe slowonly_k700_r50_context_temporal_max_nl_head_8x8_ava_kinetics --val val
    --start slowonly_imagenet-pretrained-r50_16xb16-8x8x1-steplr-150e_kinetics700-rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 3.3 hours of one H200 by arithmetic.

    Expect: frame mAP 29.83 on AVA 2.2's validation films with detected boxes, trained on AVA-Kinetics (published; not
    reproduced with gesta yet).

    Source: MMAction2 1.2.0, configs/detection/slowonly (README, AVA-Kinetics).
    """
    return dataclasses.replace(
        slowonly_k700_r50_context_temporal_max_8x8_ava_kinetics(),
        name="slowonly_k700_r50_context_temporal_max_nl_head_8x8_ava_kinetics",
        head=PersonHead(kind="two-layer", context=True, temporal="max"),
    )


def slowonly_k700_r50_context_temporal_max_nl_head_focal_8x8_ava_kinetics() -> PersonRecipe:
    """A step up: a focal loss of alpha 1 and gamma 1.

    Command: `gesta train AVAK.toml --recipe slowonly_k700_r50_context_temporal_max_nl_head_focal_8x8_ava_kinetics
    --val val --start slowonly_imagenet-pretrained-r50_16xb16-8x8x1-steplr-150e_kinetics700-rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 3.3 hours of one H200 by arithmetic.

    Expect: frame mAP 30.33 on AVA 2.2's validation films with detected boxes, trained on AVA-Kinetics (published; not
    reproduced with gesta yet).

    Source: MMAction2 1.2.0, configs/detection/slowonly (README, AVA-Kinetics).
    """
    return dataclasses.replace(
        slowonly_k700_r50_context_temporal_max_nl_head_8x8_ava_kinetics(),
        name="slowonly_k700_r50_context_temporal_max_nl_head_focal_8x8_ava_kinetics",
        loss=PersonLoss(kind="focal", alpha=1.0, gamma=1.0),
    )


def slowonly_k700_r50_tricks_16x4_ava_kinetics() -> PersonRecipe:
    """The ladder's top: the same with 16 frames 4 apart.

    Command: `gesta train AVAK.toml --recipe slowonly_k700_r50_tricks_16x4_ava_kinetics --val val --start
    slowonly_imagenet-pretrained-r50_16xb16-8x8x1-steplr-150e_kinetics700-rgb --out OUT`.

    Hardware and cost: Published with 8 GPUs; 6.5 hours of one H200 by arithmetic.

    Expect: frame mAP 31.29 on AVA 2.2's validation films with detected boxes, trained on AVA-Kinetics (published; not
    reproduced with gesta yet).

    Source: MMAction2 1.2.0, configs/detection/slowonly (README, AVA-Kinetics).
    """
    return dataclasses.replace(
        slowonly_k700_r50_context_temporal_max_nl_head_focal_8x8_ava_kinetics(),
        name="slowonly_k700_r50_tricks_16x4_ava_kinetics",
        trunk=TrunkSpec(name="slow_only_r50_16x4"),
        frames=shown(16, 4),
        pretrained="slowonly_imagenet-pretrained-r50_16xb16-8x8x1-steplr-150e_kinetics700-rgb",
    )


def action_transformer_ava_kinetics() -> PersonRecipe:
    """The Action Transformer on I3D, trained on annotated boxes of AVA and Kinetics.

    Command: `gesta train AVAK.toml --recipe action_transformer_ava_kinetics --val val --start i3d-rgb-imagenet-k400
    --out OUT`.

    Hardware and cost: The paper names none; 3.1 hours of one H200 by arithmetic.

    Expect: frame mAP 32.74 on AVA, 35.54 on Kinetics and 35.98 on both with annotated boxes; 23.01, 20.03 and 22.99
    with detected ones (published; not reproduced with gesta yet).

    Source: Li et al., The AVA-Kinetics Localized Human Actions Video Dataset (2020), section 3 and tables 4 and 5,
    for trunk, head, boxes and data. It gives no schedule: rates, batch, epochs and frames are ours, after Girdhar et
    al. (2019), section 4 (64 frames, Adam-like, cosine).
    """
    return PersonRecipe(
        name="action_transformer_ava_kinetics",
        trunk=TrunkSpec(name="i3d"),
        head=PersonHead(kind="action-transformer", grid=7, transformer=ActionTransformerSpec()),
        frames=dataclasses.replace(shown(32, 2), mean_rgb=(0.5, 0.5, 0.5), std_rgb=(0.5, 0.5, 0.5)),
        augment=PYSLOWFAST,
        boxes=PersonBoxes(train="truth"),
        pretrained="i3d-rgb-imagenet-k400",
        epochs=12,
        clips_per_batch=64,
        num_parts=8,
        optimiser="adamw",
        base_lr=2e-4,
        weight_decay=0.01,
        decayed="matrices",
        schedule="cosine",
        warmup_epochs=1,
        clip_norm=5.0,
    )


def action_transformer_ava() -> PersonRecipe:
    """The same trained on AVA alone.

    Command: `gesta train AVA22.toml --recipe action_transformer_ava --val val --start i3d-rgb-imagenet-k400 --out
    OUT`.

    Hardware and cost: The paper names none; 1.9 hours of one H200 by arithmetic.

    Expect: frame mAP 27.47 on AVA, 16.08 on Kinetics and 24.26 on both with annotated boxes; 19.05, 8.4 and 15.61
    with detected ones (published; not reproduced with gesta yet).

    Source: As `action_transformer_ava_kinetics`; the part of the data decides.
    """
    return dataclasses.replace(
        action_transformer_ava_kinetics(),
        name="action_transformer_ava",
    )


def action_transformer_kinetics() -> PersonRecipe:
    """The same trained on Kinetics alone.

    Command: `gesta train KINETICS.toml --recipe action_transformer_kinetics --val val --start i3d-rgb-imagenet-k400
    --out OUT`.

    Hardware and cost: The paper names none; 1.3 hours of one H200 by arithmetic.

    Expect: frame mAP 22.09 on AVA, 33.68 on Kinetics and 26.96 on both with annotated boxes; 15.59, 19.05 and 16.79
    with detected ones (published; not reproduced with gesta yet).

    Source: As `action_transformer_ava_kinetics`; the part of the data decides.
    """
    return dataclasses.replace(
        action_transformer_ava_kinetics(),
        name="action_transformer_kinetics",
    )


def action_transformer_multi_task_ava_kinetics() -> PersonRecipe:
    """The same on both, learning each Kinetics clip's own class beside its persons.

    Command: `gesta train AVAK.toml --recipe action_transformer_multi_task_ava_kinetics --val val --start
    i3d-rgb-imagenet-k400 --out OUT`.

    Hardware and cost: Ours; 3.1 hours of one H200 by arithmetic.

    Expect: unknown: the paper names it as future work (section 4); the yardstick is
    `action_transformer_ava_kinetics`.

    Source: Li et al. (2020), section 4, for the idea; the weight 0.5 is ours, not tuned.
    """
    return dataclasses.replace(
        action_transformer_ava_kinetics(),
        name="action_transformer_multi_task_ava_kinetics",
        clip_loss_weight=0.5,
    )


def pyslowfast_slow_r50_4x16_ava22() -> PersonRecipe:
    """PySlowFast's Slow R50 4x16 on AVA 2.2.

    Command: `gesta train AVA22.toml --recipe pyslowfast_slow_r50_4x16_ava22 --val val --start C2D_8x8_R50.pkl --out
    OUT`.

    Hardware and cost: Published with 8 GPUs; 1.5 hours of one H200 by arithmetic.

    Expect: frame mAP 19.5 on AVA 2.2's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: PySlowFast, configs/AVA/SLOW_8x8_R50_SHORT.yaml (4x16 in spite of its name) and MODEL_ZOO.md. The number
    is that of the Caffe2 model, converted.
    """
    return PersonRecipe(
        name="pyslowfast_slow_r50_4x16_ava22",
        trunk=TrunkSpec(name="slow_only_r50_4x16", lineage="pyslowfast"),
        head=PersonHead(order="pyslowfast", grid=7),
        frames=theirs(4, 16),
        augment=PYSLOWFAST,
        boxes=PersonBoxes(train="both", least_score=0.9, iou=0.9, negatives=True),
        pretrained="C2D_8x8_R50.pkl",
        epochs=20,
        clips_per_batch=64,
        num_parts=8,
        base_lr=0.1,
        weight_decay=1e-7,
        decayed="all-but-norms",
        milestones=(10, 15),
        warmup_epochs=5,
        warmup_from_frac=1.25e-4 / 0.1,
    )


def pyslowfast_slowfast_r50_8x8_ava22() -> PersonRecipe:
    """PySlowFast's SlowFast R50 8x8 on AVA 2.2.

    Command: `gesta train AVA22.toml --recipe pyslowfast_slowfast_r50_8x8_ava22 --val val --start SLOWFAST_8x8_R50.pkl
    --out OUT`.

    Hardware and cost: Published with 8 GPUs; 3.5 hours of one H200 by arithmetic.

    Expect: frame mAP 24.67 on AVA 2.2's validation films (published by PyTorchVideo's zoo for this make; not
    reproduced with gesta yet).

    Source: PySlowFast, configs/AVA/SLOWFAST_32x2_R50_SHORT.yaml and MODEL_ZOO.md. PyTorchVideo, model zoo, detection.
    """
    return dataclasses.replace(
        pyslowfast_slow_r50_4x16_ava22(),
        name="pyslowfast_slowfast_r50_8x8_ava22",
        trunk=TrunkSpec(name="slowfast_r50_8x8", lineage="pyslowfast"),
        frames=theirs(32, 2),
        boxes=PersonBoxes(train="both", least_score=0.8, iou=0.9, negatives=True),
        pretrained="SLOWFAST_8x8_R50.pkl",
    )


def pyslowfast_slowfast_r101_8x8_ava22() -> PersonRecipe:
    """PySlowFast's SlowFast R101 8x8 with three non-local blocks on AVA 2.2.

    Command: `gesta train AVA22.toml --recipe pyslowfast_slowfast_r101_8x8_ava22 --val val --start
    SLOWFAST_32x2_R101_50_50_k600.pkl --out OUT`.

    Hardware and cost: Published with 8 GPUs; 5.3 hours of one H200 by arithmetic.

    Expect: frame mAP 29.1 on AVA 2.2's validation films with detected boxes (published; not reproduced with gesta
    yet). The same on AVA 2.1: 28.2.

    Source: PySlowFast, configs/AVA/c2/SLOWFAST_32x2_R101_50_50.yaml and MODEL_ZOO.md. That file tests only: the
    training is the R50's.
    """
    return dataclasses.replace(
        pyslowfast_slowfast_r50_8x8_ava22(),
        name="pyslowfast_slowfast_r101_8x8_ava22",
        trunk=TrunkSpec(name="slowfast_r101_8x8", lineage="pyslowfast", non_local="pyslowfast-ava-r101"),
        head=PersonHead(order="pyslowfast", grid=7, aligned=False),
        pretrained="SLOWFAST_32x2_R101_50_50_k600.pkl",
    )


def videomae_base_ava_kinetics() -> PersonRecipe:
    """VideoMAE ViT-B, 16 frames 4 apart, on AVA-Kinetics.

    Command: `gesta train AVAK.toml --recipe videomae_base_ava_kinetics --val val --start
    pytorch_model.bin --out OUT`.

    Hardware and cost: Published with 8 GPUs; 20.0 hours of one H200 by arithmetic.

    Expect: frame mAP 33.6 on AVA 2.2's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 1.2.0, configs/detection/videomae. Its drop path of 0.2 is not offered by the library that has
    the transformer.
    """
    return PersonRecipe(
        name="videomae_base_ava_kinetics",
        trunk=TrunkSpec(name="videomae_base"),
        frames=shown(16, 4),
        boxes=BOXES,
        pretrained="MCG-NJU/videomae-base-finetuned-kinetics",
        epochs=20,
        clips_per_batch=64,
        num_parts=8,
        optimiser="adamw",
        base_lr=1.25e-4,
        weight_decay=0.05,
        decayed="matrices",
        layer_decay=0.75,
        schedule="cosine",
        warmup_epochs=5,
        warmup_from_frac=0.1,
        clip_norm=40.0,
    )
