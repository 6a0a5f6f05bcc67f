"""Figures of clip scores: classes by difficulty, where one stream is better than another, accuracy by examples.

They take tables of numbers, whoever computed them; the style is that of `gesta.stats.pictures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from gesta.schema import BadInput
from gesta.stats.pictures import GREY, PALETTE, ROWS_A_COLUMN, write_figures

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter
except ModuleNotFoundError as error:
    from gesta.schema import MissingExtra

    raise MissingExtra(extra="stats", module="matplotlib") from error

Ends = tuple[Sequence[float], Sequence[float]]
"""Lower and upper bounds of bars, each parallel to them."""

NUM_ENDS = 20
"""Classes at either end that are shown once more in a figure of their own. Source: ours."""

Curve = Sequence[tuple[float, float, float, float]]
"""Points of a curve: clips of each class, the share, and the bounds between which it lies."""


def draw_difficulty(ranked: pl.DataFrame, folder: Path, *, num_ends: int = NUM_ENDS) -> tuple[Path, ...]:
    """The paths written: `difficulty.png` and .svg, all classes, the easiest first; `hardest_and_easiest`, both ends.

    Args:
        ranked: as `gesta.evaluate.difficulty.class_difficulty` gives it: the hardest class first.
        folder: of the pictures.
        num_ends: classes at either end.
    Raises:
        BadInput: no class is ranked.
    Source: the Kinetics-400 paper, figure 4: "list of classes sorted by classification accuracy".
    """
    if not len(ranked):
        raise BadInput("no class is ranked", mend="Score clips that have labels")
    top_down = ranked.reverse()
    words = f"{len(ranked)} classes by share of clips guessed right, mean {_mean(ranked['accuracy']):.1%}"

    def figures() -> Iterable[tuple[str, Figure]]:
        yield "difficulty", _ranking(_names(top_down), top_down["accuracy"].to_list(), _ends(top_down), title=words)
        if len(ranked) > 2 * num_ends:
            yield "hardest_and_easiest", _both_ends(
                (f"the {num_ends} easiest", top_down.head(num_ends)),
                (f"the {num_ends} hardest", ranked.head(num_ends)), column="accuracy",
            )  # fmt: skip

    return write_figures(figures, folder)


def draw_difference(
    by_class: pl.DataFrame, folder: Path, *, a: str, b: str, num_ends: int = NUM_ENDS
) -> tuple[Path, ...]:
    """The paths written: `difference.png` and .svg, all classes by how far stream A is above B; `difference_ends`.

    Args:
        by_class: as `gesta.evaluate.modality.accuracy_difference` gives it: the class that A gains most in first.
        folder: of the pictures.
        a: what stream A is called.
        b: what stream B is called.
        num_ends: classes at either end.
    Raises:
        BadInput: there is no class.
    Source: the Kinetics-400 paper, section 4.5, "Classes where motion matters most" (there the largest and smallest
        ratios; a difference is ours, for ratios of small accuracies swing).
    """
    if not len(by_class):
        raise BadInput("there is no class to compare", mend="Score clips that have labels")
    title = f"Accuracy of {a} minus that of {b}, {len(by_class)} classes"

    def figures() -> Iterable[tuple[str, Figure]]:
        yield (
            "difference",
            _ranking(_names(by_class), by_class["difference"].to_list(), _ends(by_class), title=title, is_signed=True),
        )
        if len(by_class) > 2 * num_ends:
            yield "difference_ends", _both_ends(
                (f"{a} gains most", by_class.head(num_ends)), (f"{b} gains most", by_class.tail(num_ends).reverse()),
                column="difference", is_signed=True,
            )  # fmt: skip

    return write_figures(figures, folder)


def draw_accuracy_curves(
    curves: Mapping[str, Curve], folder: Path, *, printed: Mapping[str, Sequence[tuple[float, float]]] | None = None
) -> tuple[Path, ...]:
    """The paths written: `samples_per_class.png` and .svg, accuracy by examples of each class.

    Args:
        curves: what is shown (such as "val top-1") to its points, each with its bounds.
        folder: of the pictures.
        printed: published points beside ours, by the same names; they are dashed.
    Raises:
        BadInput: there is no point.
    Source: the Kinetics-700-2020 paper, figure 1.
    """
    if not any(curves.values()):
        raise BadInput("there is no point to draw", mend="Finish at least one training run of the study")

    def figures() -> Iterable[tuple[str, Figure]]:
        yield "samples_per_class", _accuracy_curves(curves, printed or {})

    return write_figures(figures, folder)


def _mean(values: pl.Series) -> float:
    return float(sum(values) / len(values))


def _names(frame: pl.DataFrame) -> list[str]:
    return [name or f"class {class_id}" for name, class_id in frame.select("name", "class_id").iter_rows()]


def _ends(frame: pl.DataFrame) -> Ends:
    return frame["low"].to_list(), frame["high"].to_list()


def _ranking(
    names: Sequence[str], values: Sequence[float], ends: Ends, *, title: str, is_signed: bool = False
) -> Figure:
    """Lying bars in columns of at most `ROWS_A_COLUMN`, all on one scale."""
    num_columns = -(-len(names) // ROWS_A_COLUMN)
    rows = -(-len(names) // num_columns)
    is_dense = num_columns > 1
    width_in = (2.4 if is_dense else 5.0) + 0.05 * min(max(map(len, names)), 40)
    figure = Figure(figsize=(num_columns * width_in, rows * (0.105 if is_dense else 0.19) + 1.0))
    grid = figure.subplots(1, num_columns, squeeze=False, sharex=True)[0]
    for number, axes in enumerate(grid):
        part = slice(number * rows, (number + 1) * rows)
        _bars(
            axes, names[part], values[part], (ends[0][part], ends[1][part]), size=5.5 if is_dense else 8.0,
            is_signed=is_signed,
        )  # fmt: skip
        axes.set_ylim(rows - 0.4, -0.6)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure


def _both_ends(*parts: tuple[str, pl.DataFrame], column: str, is_signed: bool = False) -> Figure:
    longest = max(len(name) for _, frame in parts for name in _names(frame))
    rows = max(len(frame) for _, frame in parts)
    figure = Figure(figsize=(2 * (2.6 + 0.055 * min(longest, 40)), rows * 0.2 + 0.9))
    grid = figure.subplots(1, 2, squeeze=False, sharex=True)[0]
    for axes, (title, frame) in zip(grid, parts, strict=True):
        _bars(axes, _names(frame), frame[column].to_list(), _ends(frame), size=8.0, is_signed=is_signed)
        axes.set_ylim(rows - 0.4, -0.6)
        axes.set_title(title)
    return figure


def _bars(
    axes: Axes, names: Sequence[str], values: Sequence[float], ends: Ends, *, size: float, is_signed: bool
) -> None:
    colours = [PALETTE[0] if value >= 0 else PALETTE[1] for value in values]
    axes.barh(range(len(names)), values, height=0.8, color=colours, linewidth=0)
    lows, highs = ([value if end is None else end for value, end in zip(values, part, strict=True)] for part in ends)
    axes.hlines(range(len(names)), lows, highs, color="#000000", linewidth=0.5)
    axes.set_yticks(range(len(names)), [name if len(name) <= 40 else f"{name[:39]}…" for name in names], fontsize=size)
    axes.tick_params(axis="y", length=0, pad=2)
    axes.tick_params(axis="x", labelsize=size)
    axes.grid(axis="x", color=GREY, linewidth=0.5)
    if is_signed:
        axes.axvline(0, color="#000000", linewidth=0.6)
    else:
        axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    axes.locator_params(axis="x", nbins=5)


def _accuracy_curves(curves: Mapping[str, Curve], printed: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    figure = Figure(figsize=(6.4, 4.2))
    axes = figure.subplots()
    names = [*curves, *(name for name in printed if name not in curves)]
    places: set[float] = set()
    for number, name in enumerate(names):
        colour = PALETTE[number % len(PALETTE)]
        if points := sorted(curves.get(name, ())):
            num, share, low, high = zip(*points, strict=True)
            axes.fill_between(num, low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(num, share, "o-", color=colour, markersize=4, linewidth=1.4, label=name)
            places |= set(num)
        if known := sorted(printed.get(name, ())):
            num, share = zip(*known, strict=True)
            axes.plot(
                num, share, "s--", color=colour, markersize=3.5, linewidth=1.0, fillstyle="none",
                label=f"{name}, the paper's",
            )  # fmt: skip
            places |= set(num)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(_apart(sorted(places))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    axes.set_xlabel("training clips of each class, on average")
    axes.set_title("Accuracy by number of training clips")
    axes.grid(color=GREY, linewidth=0.5)
    axes.legend(loc="lower right", fontsize=7)
    return figure


def _apart(places: Sequence[float]) -> list[float]:
    """Those places on a log axis whose numbers would not touch: a tenth apart at least, the last one always.

    >>> _apart([100.0, 101.0, 300.0, 301.0])
    [101.0, 301.0]
    """
    kept: list[float] = []
    for place in reversed(places):
        if not kept or kept[-1] / place > 1.1:
            kept.append(place)
    return kept[::-1]
