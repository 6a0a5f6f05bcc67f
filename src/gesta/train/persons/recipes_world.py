"""Recipes of persons for the rendered world of several people: small enough for a processor.

The variants of a family differ in one thing each, so that what it gives can be seen.
"""

from __future__ import annotations

import dataclasses

from gesta.models.action_transformer import ActionTransformerSpec
from gesta.models.person_heads import PersonHead
from gesta.models.person_losses import PersonLoss
from gesta.models.trunks import TrunkSpec
from gesta.train.clips.frames import ClipFrames
from gesta.train.persons.augment import PersonAugment
from gesta.train.persons.boxes import PersonBoxes
from gesta.train.persons.recipe import PersonRecipe

AUGMENT = PersonAugment(scale_px=(64, 72), crop="random", flip=True, jitter_frames=False, color_frac=0.4)
"""Nobody of the world goes by sides: a mirror leaves every label true. Colours are changed because clothes are few."""

HEAD = PersonHead(dropout=0.2, prior=0.1)
"""The plain head. Source: ours; about one label in ten is true, so runs of minutes need not learn that first."""


def slowfast_small_world() -> PersonRecipe:
    """`slowfast_small` with the plain head on key-frames of the world of several people.

    Command: `gesta train WORLD --recipe slowfast_small_world --val val --out OUT`.

    Hardware and cost: 2 processor cores, minutes for some hundred key-frames.

    Expect: frame mAP 0.60 to 0.64 on annotated boxes of the world of deeds (docs/results.md, persons; 20 epochs).

    Source: the settings are ours.
    """
    return PersonRecipe(
        name="slowfast_small_world",
        trunk=TrunkSpec(name="slowfast_small"),
        head=HEAD,
        frames=ClipFrames(num_frames=8, rate=15.0, stride=2, side="short", side_px=64, crop_px=64),
        augment=AUGMENT,
        boxes=PersonBoxes(train="truth"),
        epochs=14,
        clips_per_batch=8,
        optimiser="adamw",
        base_lr=2e-3,
        weight_decay=0.05,
        decayed="matrices",
        schedule="cosine",
        warmup_epochs=1,
        clip_norm=5.0,
        precision="float32",
        compile="off",
    )


def slowfast_small_context_world() -> PersonRecipe:
    """The same, its head seeing the whole clip beside the person: what two do together needs it.

    Command: `gesta train WORLD --recipe slowfast_small_context_world --val val --out OUT`.

    Hardware and cost: as `slowfast_small_world`.

    Expect: frame mAP 0.74 where `slowfast_small_world` has 0.60 to 0.64, and 0.09 to 0.15 more AP on what two people do
    together (docs/results.md, persons; 20 epochs).

    Source: the settings are ours.
    """
    return dataclasses.replace(
        slowfast_small_world(), name="slowfast_small_context_world", head=dataclasses.replace(HEAD, context=True)
    )


def slowfast_small_max_world() -> PersonRecipe:
    """The same as the plain one with the largest feature over time.

    Command: `gesta train WORLD --recipe slowfast_small_max_world --val val --out OUT`.

    Hardware and cost: as `slowfast_small_world`.

    Expect: less than `slowfast_small_world`: frame mAP 0.46 to 0.50 (docs/results.md, persons; 20 epochs).

    Source: the settings are ours.
    """
    return dataclasses.replace(
        slowfast_small_world(), name="slowfast_small_max_world", head=dataclasses.replace(HEAD, temporal="max")
    )


def slowfast_small_focal_world() -> PersonRecipe:
    """The same as the plain one with a focal loss.

    Command: `gesta train WORLD --recipe slowfast_small_focal_world --val val --out OUT`.

    Hardware and cost: as `slowfast_small_world`.

    Expect: a little less than `slowfast_small_world`: frame mAP 0.57 (docs/results.md, persons; 20 epochs).

    Source: the settings are ours; gamma 1 as MMAction2's.
    """
    return dataclasses.replace(
        slowfast_small_world(), name="slowfast_small_focal_world", loss=PersonLoss(kind="focal", alpha=3.0, gamma=1.0)
    )


def slow_only_small_world() -> PersonRecipe:
    """`slow_only_small` with the plain head: the yardstick of one path.

    Command: `gesta train WORLD --recipe slow_only_small_world --val val --out OUT`.

    Hardware and cost: as `slowfast_small_world`.

    Expect: a frame mAP below that of `slowfast_small_world` (docs/results.md, persons).

    Source: the settings are ours.
    """
    plain = slowfast_small_world()
    return dataclasses.replace(
        plain,
        name="slow_only_small_world",
        trunk=TrunkSpec(name="slow_only_small"),
    )


def action_transformer_small_world() -> PersonRecipe:
    """A small Action Transformer on `slowfast_small`: each person asks the whole clip.

    Command: `gesta train WORLD --recipe action_transformer_small_world --val val --out OUT`.

    Hardware and cost: as `slowfast_small_world`.

    Expect: less than `slowfast_small_world`: from nothing, and on a thousand clips, it learns more slowly and ends at
    frame mAP 0.45 to 0.48 (docs/results.md, persons; 20 epochs).

    Source: the settings are ours.
    """
    return dataclasses.replace(
        slowfast_small_world(),
        name="action_transformer_small_world",
        head=PersonHead(
            kind="action-transformer", grid=7, dropout=0.2, prior=0.1, spatial="max",
            transformer=ActionTransformerSpec(num_hidden=64, num_layers=1, num_heads=2, query="max", position="box"),
        ),
    )  # fmt: skip


def slowfast_small_multi_task_world() -> PersonRecipe:
    """The plain head and a head for the clip's own class, learnt together.

    Command: `gesta train PARTS.toml --recipe slowfast_small_multi_task_world --val val --out OUT`.

    Hardware and cost: as `slowfast_small_world`.

    Expect: at least the frame mAP of `slowfast_small_world` where clips have classes (docs/results.md, persons).

    Source: the settings are ours.
    """
    return dataclasses.replace(slowfast_small_world(), name="slowfast_small_multi_task_world", clip_loss_weight=0.5)
