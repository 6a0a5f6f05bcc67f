"""Weights of SlowOnly and SlowFast that MMAction2 has published, by its own names: for persons, and of Kinetics.

Of each file the first eight digits of its SHA-256 are known, which its name ends with. Nothing of a file is run.

Source: MMAction2 v0.24.1, configs/detection/ava (README.md and `load_from`), and main at 4d6c934, configs/detection
(`init_cfg`).
"""

from __future__ import annotations

from collections.abc import Mapping

from gesta.models.published import ClassList, PublishedFile, PublishedWeights

_ZOO = "https://download.openmmlab.com/mmaction/"
_SOURCE = "MMAction2 (v0.24.1 and 4d6c934), configs/detection"
_SLOW = ("slow_only_r50_4x16", "slow_only_r50_8x8", "slow_only_r101_8x8")
_FAST = ("slowfast_r50_4x16", "slowfast_r50_8x8")


def _entry(folder: str, name: str, suffix: str, *, trunk: str, classes: ClassList) -> PublishedWeights:
    """A publication of one file, `<folder>/<name><suffix>.pth`."""
    file = PublishedFile(path=f"{folder}/{name}{suffix}.pth", sha256_begins=suffix[-8:])
    return PublishedWeights(
        base_url=_ZOO, files=(file,), models=(trunk,), classes=classes, licence="Apache-2.0", source=_SOURCE
    )


def _ava(name: str, suffix: str, *, trunk: str, classes: ClassList = "ava-80") -> tuple[str, PublishedWeights]:
    return name, _entry(f"detection/ava/{name}", name, suffix, trunk=trunk, classes=classes)


def _kinetics(
    folder: str, name: str, suffix: str, *, trunk: str, classes: ClassList = "kinetics-400"
) -> tuple[str, PublishedWeights]:
    return name, _entry(folder, name, suffix, trunk=trunk, classes=classes)


_R50_4X16, _R50_8X8, _R101 = _SLOW
_FAST_4X16, _FAST_8X8 = _FAST
_AVA22 = "kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb"
_V1 = "v1.0/recognition/slowonly"
_V1_R50 = "slowonly_imagenet-pretrained-r50"

PERSON_WEIGHTS: Mapping[str, PublishedWeights] = dict(
    (
        _ava("slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb", "_20201217-40061d5f", trunk=_R50_4X16),
        _ava("slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb", "_20201217-0c6d2e98", trunk=_R50_4X16),
        _ava("slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb", "_20210316-959829ec", trunk=_R50_4X16),
        _ava("slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb", "_20210316-5742e4dd", trunk=_R50_8X8),
        _ava("slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb", "_20201217-1c9b4117", trunk=_R101),
        _ava("slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb", "_20201217-16378594", trunk=_R101),
        _ava("slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb", "_20201217-6e7c704d", trunk=_FAST_4X16),
        _ava("slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb", "_20201222-f4d209c9", trunk=_FAST_4X16),
        _ava("slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb", "_20201217-ae225e97", trunk=_FAST_8X8),
        _ava(f"slowfast_{_AVA22}", "-b987b516", trunk=_FAST_8X8),
        _ava(f"slowfast_temporal_max_{_AVA22}", "-874e0845", trunk=_FAST_8X8),
        _ava(f"slowfast_temporal_max_focal_alpha3_gamma1_{_AVA22}", "-345618cd", trunk=_FAST_8X8),
        _ava(
            "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes", "-4ab80419", trunk=_R50_4X16,
            classes="ava-16",
        ),
        _ava(
            "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes", "_20210305-c6225546",
            trunk=_FAST_4X16, classes="ava-16",
        ),
        _kinetics(
            "recognition/slowonly/slowonly_r50_4x16x1_256e_kinetics400_rgb",
            "slowonly_r50_4x16x1_256e_kinetics400_rgb", "_20200704-a69556c6", trunk=_R50_4X16,
        ),
        _kinetics(
            "recognition/slowonly/slowonly_nl_embedded_gaussian_r50_4x16x1_150e_kinetics400_rgb",
            "slowonly_nl_embedded_gaussian_r50_4x16x1_150e_kinetics400_rgb", "_20210308-0d6e5a69", trunk=_R50_4X16,
        ),
        _kinetics(
            "recognition/slowonly/slowonly_nl_embedded_gaussian_r50_8x8x1_150e_kinetics400_rgb",
            "slowonly_nl_embedded_gaussian_r50_8x8x1_150e_kinetics400_rgb", "_20210308-e8dd9e82", trunk=_R50_8X8,
        ),
        _kinetics(
            "recognition/slowonly/omni", "slowonly_r101_without_omni_8x8x1_kinetics400_rgb", "_20200926-0c730aef",
            trunk=_R101,
        ),
        _kinetics(
            "recognition/slowonly/omni", "slowonly_r50_omni_4x16x1_kinetics400_rgb", "_20200926-51b1f7ea",
            trunk=_R50_4X16,
        ),
        _kinetics(
            "recognition/slowonly/omni", "slowonly_r101_omni_8x8x1_kinetics400_rgb", "_20200926-b5dbb701", trunk=_R101
        ),
        _kinetics(
            "recognition/slowfast/slowfast_r50_4x16x1_256e_kinetics400_rgb",
            "slowfast_r50_4x16x1_256e_kinetics400_rgb", "_20200704-bcde7ed7", trunk=_FAST_4X16,
        ),
        _kinetics(
            "recognition/slowfast/slowfast_r50_8x8x1_256e_kinetics400_rgb",
            "slowfast_r50_8x8x1_256e_kinetics400_rgb", "_20200716-73547d2b", trunk=_FAST_8X8,
        ),
        _kinetics(
            f"{_V1}/{_V1_R50}_8xb16-4x16x1-steplr-150e_kinetics400-rgb",
            f"{_V1_R50}_8xb16-4x16x1-steplr-150e_kinetics400-rgb", "_20220901-e7b65fad", trunk=_R50_4X16,
        ),
        _kinetics(
            f"{_V1}/{_V1_R50}_8xb16-8x8x1-steplr-150e_kinetics400-rgb",
            f"{_V1_R50}_8xb16-8x8x1-steplr-150e_kinetics400-rgb", "_20220901-df42dc84", trunk=_R50_8X8,
        ),
        _kinetics(
            # The folder's name differs from the file's there.
            f"{_V1}/{_V1_R50}_8xb16-4x16x1-steplr-150e_kinetics700-rgb",
            f"{_V1_R50}_16xb16-4x16x1-steplr-150e_kinetics700-rgb", "_20220901-f73b3e89", trunk=_R50_4X16,
            classes="kinetics-700",
        ),
        _kinetics(
            f"{_V1}/{_V1_R50}_16xb16-8x8x1-steplr-150e_kinetics700-rgb",
            f"{_V1_R50}_16xb16-8x8x1-steplr-150e_kinetics700-rgb", "_20221013-15b93b10", trunk=_R50_8X8,
            classes="kinetics-700",
        ),
    )
)  # fmt: skip
"""Publications by MMAction2's name of the model; `models` has the trunk that takes it."""
