"""MMAction2's models of AVA 2.1 that ask a long-term feature bank, by their names in its version 0.24.1.

Both need the features of a model without a bank first (docs/train-persons.md): `gesta bank` writes them, of the films
learnt from and of those tried, with detected boxes as `--boxes proposals` takes them.

Here the first persons of a second are looked at in tests, best first; MMAction2 draws them there too, and says that its
numbers differ from run to run.
"""

from __future__ import annotations

import dataclasses

from gesta.models.feature_bank import FeatureBankSpec
from gesta.models.person_heads import PersonHead
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.recipes_ava import slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb


def lfb_nl_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb() -> PersonRecipe:
    """SlowOnly R50 4x16 on AVA 2.1, its head asking the minute around by two non-local layers.

    Command: `gesta train AVA21.toml --recipe lfb_nl_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb --val val
    --bank BANK_TRAIN --bank BANK_VAL --start slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb
    --out OUT`.

    Hardware and cost: Published with 8 GPUs; 2.0 hours of one H200 by arithmetic, the model that writes the bank not
    counted. A bank of AVA's training and validation films is 1.65 GB (published); each process maps it.

    Expect: frame mAP 24.11 on AVA 2.1's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 1.2.0, configs/detection/lfb: 60 seconds, 5 persons a second, 512 features. The bank is written
    by `slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb`.
    """
    return dataclasses.replace(
        slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb(),
        name="lfb_nl_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb",
        head=PersonHead(bank=FeatureBankSpec()),
        pretrained="slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb",
        clips_per_batch=8 * 12,
        base_lr=0.15,
        clip_norm=20.0,
    )


def lfb_max_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb() -> PersonRecipe:
    """The same with the largest feature of the minute around in place of layers that ask.

    Command: `gesta train AVA21.toml --recipe lfb_max_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb --val val
    --bank BANK_TRAIN --bank BANK_VAL --start slowonly_imagenet-pretrained-r50_8xb16-4x16x1-steplr-150e_kinetics400-rgb
    --out OUT`.

    Hardware and cost: Published with 8 GPUs; 2.0 hours of one H200 by arithmetic, the model that writes the bank not
    counted.

    Expect: frame mAP 22.15 on AVA 2.1's validation films with detected boxes (published; not reproduced with gesta
    yet).

    Source: MMAction2 1.2.0, configs/detection/lfb.
    """
    return dataclasses.replace(
        lfb_nl_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb(),
        name="lfb_max_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb",
        head=PersonHead(bank=FeatureBankSpec(operator="max")),
    )
