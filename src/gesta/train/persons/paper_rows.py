"""The rows of published tables of persons' actions, each with its recipe and its number, and the part of the page.

Source: MMAction2 0.24.1, table of AVA models; MMAction2 1.2.0, configs/detection (slowonly, videomae, lfb); Li et al.,
The AVA-Kinetics Localized Human Actions Video Dataset (2020), tables 4 and 5; PySlowFast and PyTorchVideo, model zoos.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.recipes import PERSON_RECIPES


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    """One row of a table: the recipe that trains it, and the frame mAP x 100 that is published, by what is scored."""

    table: str
    row: str
    recipe: str
    expected: Mapping[str, float]


def _ava(table: str, recipe: str, mean_ap: float) -> PersonRow:
    return PersonRow(table=f"MMAction2, {table}", row=recipe, recipe=recipe, expected={"mAP": mean_ap})


def _ladder(row: str, recipe: str, mean_ap: float) -> PersonRow:
    return PersonRow(table="MMAction2, AVA-Kinetics", row=row, recipe=recipe, expected={"mAP": mean_ap})


def _joint(row: str, recipe: str, truth: tuple[float, ...], found: tuple[float, ...]) -> PersonRow:
    names = [f"{what} boxes, {where}" for what in ("annotated", "detected") for where in ("AVA", "Kinetics", "both")]
    expected = dict(zip(names, (*truth, *found), strict=True))
    return PersonRow(table="AVA-Kinetics, tables 4 and 5", row=row, recipe=recipe, expected=expected)


def _zoo(row: str, recipe: str, mean_ap: float) -> PersonRow:
    return PersonRow(table="PySlowFast, AVA 2.2", row=row, recipe=recipe, expected={"mAP": mean_ap})


PERSON_ROWS: tuple[PersonRow, ...] = (
    _ava("AVA 2.1", "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb", 20.1),
    _ava("AVA 2.1", "slowonly_omnisource_pretrained_r50_4x16x1_20e_ava_rgb", 21.8),
    _ava("AVA 2.1", "slowonly_nl_kinetics_pretrained_r50_4x16x1_10e_ava_rgb", 21.75),
    _ava("AVA 2.1", "slowonly_nl_kinetics_pretrained_r50_8x8x1_10e_ava_rgb", 23.79),
    _ava("AVA 2.1", "slowonly_kinetics_pretrained_r101_8x8x1_20e_ava_rgb", 24.6),
    _ava("AVA 2.1", "slowonly_omnisource_pretrained_r101_8x8x1_20e_ava_rgb", 25.9),
    _ava("AVA 2.1", "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb", 24.4),
    _ava("AVA 2.1", "slowfast_context_kinetics_pretrained_r50_4x16x1_20e_ava_rgb", 25.4),
    _ava("AVA 2.1", "slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb", 25.5),
    _ava("AVA 2.2", "slowfast_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb", 26.1),
    _ava("AVA 2.2", "slowfast_temporal_max_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb", 26.4),
    _ava(
        "AVA 2.2",
        "slowfast_temporal_max_focal_alpha3_gamma1_kinetics_pretrained_r50_8x8x1_cosine_10e_ava22_rgb",
        26.8,
    ),
    _ava("16 classes", "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes", 33.11),
    _ava("16 classes", "slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb_custom_classes", 37.85),
    _ava("AVA 2.1, feature bank", "lfb_nl_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb", 24.11),
    _ava("AVA 2.1, feature bank", "lfb_max_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb", 22.15),
    _ladder("4x16, Kinetics-400", "slowonly_k400_r50_4x16_ava_kinetics", 24.53),
    _ladder("4x16, Kinetics-700", "slowonly_k700_r50_4x16_ava_kinetics", 25.87),
    _ladder("8x8, Kinetics-400", "slowonly_k400_r50_8x8_ava_kinetics", 26.1),
    _ladder("8x8, Kinetics-700: baseline", "slowonly_k700_r50_8x8_ava_kinetics", 27.82),
    _ladder("+ context", "slowonly_k700_r50_context_8x8_ava_kinetics", 28.31),
    _ladder("+ temporal max", "slowonly_k700_r50_context_temporal_max_8x8_ava_kinetics", 28.48),
    _ladder("+ non-linear head", "slowonly_k700_r50_context_temporal_max_nl_head_8x8_ava_kinetics", 29.83),
    _ladder("+ focal loss", "slowonly_k700_r50_context_temporal_max_nl_head_focal_8x8_ava_kinetics", 30.33),
    _ladder("+ 16 frames", "slowonly_k700_r50_tricks_16x4_ava_kinetics", 31.29),
    _ladder("VideoMAE ViT-B 16x4", "videomae_base_ava_kinetics", 33.6),
    _joint("trained on AVA", "action_transformer_ava", (27.47, 16.08, 24.26), (19.05, 8.4, 15.61)),
    _joint("trained on Kinetics", "action_transformer_kinetics", (22.09, 33.68, 26.96), (15.59, 19.05, 16.79)),
    _joint("trained on both", "action_transformer_ava_kinetics", (32.74, 35.54, 35.98), (23.01, 20.03, 22.99)),
    _zoo("Slow R50 4x16", "pyslowfast_slow_r50_4x16_ava22", 19.5),
    _zoo("SlowFast R50 8x8", "pyslowfast_slowfast_r50_8x8_ava22", 24.67),
    _zoo("SlowFast R101 8x8", "pyslowfast_slowfast_r101_8x8_ava22", 29.1),
)


def hours_said(function: Callable[[], PersonRecipe]) -> float | None:
    """The hours that the recipe's docstring says one card takes, None where it says none."""
    found = re.search(r"([\d.]+)\s+hours\s+of\s+one\s+H200", inspect.getdoc(function) or "")
    return None if found is None else float(found.group(1))


def command_said(function: Callable[[], PersonRecipe]) -> str:
    """The command that the recipe's docstring gives, on one line."""
    _, found, rest = (inspect.getdoc(function) or "").partition("Command: `")
    return " ".join(rest.split("`")[0].split()) if found else ""


def person_recipe_section() -> str:
    """The part of `docs/recipes.md` on persons: the published rows, their recipes, numbers, costs and commands."""
    parts = [
        "\n## Persons at key-frames\n",
        "Each recipe is a function in `gesta.train.persons` and a key of `gesta.train.RECIPES`; a variant is",
        "`dataclasses.replace(recipe, ...)`. Hours are arithmetic as above, for the published number of key-frames.",
        "Expected numbers are published, frame mAP x 100 at IoU 0.5; **none was reproduced with gesta yet**.\n",
        "| table | row | recipe | expected | hours |",
        "|---|---|---|---|---|",
    ]
    for row in PERSON_ROWS:
        expected = ", ".join(f"{name} {value}" for name, value in row.expected.items())
        label = f"`{row.row}`" if row.row == row.recipe else row.row
        recipe = "the same" if row.row == row.recipe else f"`{row.recipe}`"
        parts.append(f"| {row.table} | {label} | {recipe} | {expected} | {hours_said(PERSON_RECIPES[row.recipe])} |")
    parts.append("\n| recipe | what it is | command |\n|---|---|---|")
    for name, function in PERSON_RECIPES.items():
        first = (inspect.getdoc(function) or "").splitlines()[0].rstrip(".")
        parts.append(f"| `{name}` | {first} | `{command_said(function)}` |")
    return "\n".join(parts) + "\n"
