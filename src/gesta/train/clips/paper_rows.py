"""The rows of the two papers' tables of results, each with its recipe and its number, and the page that lists them.

Source: Kay et al., The Kinetics Human Action Video Dataset (2017), table 4; Smaira et al., A Short Note on the
Kinetics-700-2020 Human Action Dataset (2020), table 4.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gesta.train.clips.cost import CARD, EXPECTED_MFU_FRAC, cost_of
from gesta.train.clips.recipe import ClipRecipe
from gesta.train.clips.recipes import CLIP_RECIPES
from gesta.train.persons.paper_rows import person_recipe_section


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSize:
    """How many clips a data set trains on, of how many classes."""

    name: str
    num_clips: int
    num_classes: int


UCF101 = DataSize(name="UCF-101, split 1", num_clips=9_537, num_classes=101)
HMDB51 = DataSize(name="HMDB-51, split 1", num_clips=3_570, num_classes=51)
KINETICS400 = DataSize(name="Kinetics-400", num_clips=246_245, num_classes=400)
KINETICS700_2020 = DataSize(name="Kinetics-700-2020", num_clips=545_793, num_classes=700)
KINETICS700 = DataSize(name="Kinetics-700", num_clips=545_317, num_classes=700)
"""Source: the split files of UCF-101 and HMDB-51; Smaira et al. (2020), table 2, for Kinetics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRow:
    """One cell or row of a paper's table: the recipes that train it, and the percentages that it prints.

    With two recipes the scores of both are averaged (`gesta score`). `expected` holds numbers by where and what.
    """

    table: str
    row: str
    data: DataSize
    recipes: tuple[str, ...]
    expected: Mapping[str, float]


def _k400(row: str, data: DataSize, recipes: tuple[str, ...], *numbers: float) -> PaperRow:
    names = ("test top-1", "test top-5")
    expected = dict(zip(names, numbers, strict=False))
    return PaperRow(table="Kinetics-400, table 4", row=row, data=data, recipes=recipes, expected=expected)


def _k700(row: str, data: DataSize, recipe: str, *numbers: float) -> PaperRow:
    names = ("valid top-1", "valid top-5", "test top-1", "test top-5")
    expected = dict(zip(names, numbers, strict=True))
    return PaperRow(table="Kinetics-700-2020, table 4", row=row, data=data, recipes=(recipe,), expected=expected)


PAPER_ROWS: tuple[PaperRow, ...] = (
    _k400("ConvNet+LSTM, RGB", UCF101, ("conv_lstm_ucf101",), 84.3),
    _k400("ConvNet+LSTM, RGB", HMDB51, ("conv_lstm_hmdb51",), 43.9),
    _k400("ConvNet+LSTM, RGB", KINETICS400, ("conv_lstm_kinetics400",), 57.0, 79.0),
    _k400("Two-Stream, RGB", UCF101, ("two_stream_rgb_ucf101",), 84.2),
    _k400("Two-Stream, flow", UCF101, ("two_stream_flow_ucf101",), 85.9),
    _k400("Two-Stream, both", UCF101, ("two_stream_rgb_ucf101", "two_stream_flow_ucf101"), 92.5),
    _k400("Two-Stream, RGB", HMDB51, ("two_stream_rgb_hmdb51",), 51.0),
    _k400("Two-Stream, flow", HMDB51, ("two_stream_flow_hmdb51",), 56.9),
    _k400("Two-Stream, both", HMDB51, ("two_stream_rgb_hmdb51", "two_stream_flow_hmdb51"), 63.7),
    _k400("Two-Stream, RGB", KINETICS400, ("two_stream_rgb_kinetics400",), 56.0, 77.3),
    _k400("Two-Stream, flow", KINETICS400, ("two_stream_flow_kinetics400",), 49.5, 71.9),
    _k400(
        "Two-Stream, both", KINETICS400, ("two_stream_rgb_kinetics400", "two_stream_flow_kinetics400"), 61.0, 81.3
    ),
    _k400("3D-ConvNet, RGB", UCF101, ("c3d_ucf101",), 51.6),
    _k400("3D-ConvNet, RGB", HMDB51, ("c3d_hmdb51",), 24.3),
    _k400("3D-ConvNet, RGB", KINETICS400, ("c3d_kinetics400",), 56.1, 79.5),
    _k700("100", KINETICS700_2020, "i3d_k700_2020_100", 38.8, 63.0, 36.9, 61.1),
    _k700("200", KINETICS700_2020, "i3d_k700_2020_200", 48.6, 72.4, 46.8, 70.9),
    _k700("300", KINETICS700_2020, "i3d_k700_2020_300", 52.4, 76.0, 50.8, 74.6),
    _k700("400", KINETICS700_2020, "i3d_k700_2020_400", 54.1, 77.6, 52.6, 76.0),
    _k700("500", KINETICS700_2020, "i3d_k700_2020_500", 55.7, 79.0, 54.0, 77.7),
    _k700("600", KINETICS700_2020, "i3d_k700_2020_600", 58.1, 81.1, 56.8, 79.9),
    _k700("all of Kinetics-700-2020", KINETICS700_2020, "i3d_k700_2020", 59.3, 82.0, 58.2, 80.9),
    _k700("all of Kinetics-700", KINETICS700, "i3d_k700", 58.0, 81.7, 57.6, 80.7),
)  # fmt: skip


def hours_of_row(row: PaperRow) -> float:
    """Hours of the row's recipes, one after the other, on one card (`gesta.train.clips.cost`)."""
    return sum(
        cost_of(CLIP_RECIPES[name](), num_clips=row.data.num_clips, num_classes=row.data.num_classes).hours
        for name in row.recipes
    )


def command_of(function: Callable[[], ClipRecipe]) -> str:
    """The command that the recipe's docstring gives, on one line."""
    text = inspect.getdoc(function) or ""
    _, found, rest = text.partition("Command: `")
    return " ".join(rest.split("`")[0].split()) if found else ""


def recipe_page() -> str:
    """`docs/recipes.md`: every row of published tables with its recipe, number and cost, and the recipes' commands."""
    parts = [
        "# Recipes\n",
        "Made from the program by `make docs`; a test keeps it so. Each recipe is a function in",
        "`gesta.train.clips` whose docstring says where every setting is from.\n",
        f"Hours are arithmetic: the operations of all steps on one {CARD} at {EXPECTED_MFU_FRAC:.0%} of its peak in",
        "bfloat16, with clips prepared beforehand (`gesta prepare`); `gesta train --dry-run` computes them for your",
        "own data. Expected numbers are the papers', in percent; **none was reproduced with gesta yet**.\n",
        "| table | row | trained on | recipe | expected | hours |",
        "|---|---|---|---|---|---|",
    ]
    for row in PAPER_ROWS:
        expected = ", ".join(f"{name} {value}" for name, value in row.expected.items())
        recipes = " + ".join(f"`{name}`" for name in row.recipes)
        hours = hours_of_row(row)
        shown = f"{hours:.1f}" if hours >= 1 else f"{hours:.2f}"
        parts.append(f"| {row.table} | {row.row} | {row.data.name} | {recipes} | {expected} | {shown} |")
    parts.append("\nRows of two recipes average both models' scores.\n")
    parts.append("## Commands\n\n| recipe | what it is | command |\n|---|---|---|")
    for name, function in CLIP_RECIPES.items():
        first = (inspect.getdoc(function) or "").splitlines()[0].rstrip(".")
        parts.append(f"| `{name}` | {first} | `{command_of(function)}` |")
    return "\n".join(parts) + "\n" + person_recipe_section()
