"""Figures of the nine-cell benchmark: AP of each class over its training samples, and gain against added data.

They take tables of numbers, as the benchmark's files hold them; the style is that of `gesta.stats.pictures`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from gesta.schema import BadInput
from gesta.stats.pictures import GREY, PALETTE, write_figures

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter
except ModuleNotFoundError as error:
    from gesta.schema import MissingExtra

    raise MissingExtra(extra="stats", module="matplotlib") from error

NUM_NAMED = 8
"""Classes with the largest gain that are named in the figure; half as many of the smallest. Source: ours; the paper
names nine in all."""

_LONGEST = 34


def draw_class_bars(
    rows: pl.DataFrame, folder: Path, *, sets: Mapping[str, str], file_name: str, title: str
) -> tuple[Path, ...]:
    """The paths written: `<file_name>.png` and .svg: bars of AP above the axis, training samples (log) below it.

    Args:
        rows: class_id, name, category, and for each set `ap_<set>` (null = not scored) and `num_<set>`, in the order in
            which classes are to stand.
        folder: of the pictures.
        sets: what is trained on, and what it is called.
        file_name: of the figure.
        title: of the figure.
    Raises:
        BadInput: there is no class.
    Source: the AVA-Kinetics paper, figures 6 and 7.
    """
    if not len(rows):
        raise BadInput("there is no class to draw", mend="Score at least one model on labelled key-frames")

    def figures() -> Iterable[tuple[str, Figure]]:
        yield file_name, _class_bars(rows, sets, title=title)

    return write_figures(figures, folder)


def draw_gain(rows: pl.DataFrame, folder: Path, *, file_name: str = "gain", title: str = "") -> tuple[Path, ...]:
    """The paths written: `<file_name>.png` and .svg: what more data gains, a point a class.

    The classes that gain most and least are named; those that lose are orange. Classes without a sample before have no
    place on the axis and are left out.

    Args:
        rows: name, added (samples added over those before, as a share) and gain (difference of AP).
        folder: of the pictures.
        file_name: of the figure.
        title: of the figure.
    Raises:
        BadInput: there is no class with both numbers.
    Source: the AVA-Kinetics paper, figure 8.
    """
    shown = rows.drop_nulls(["added", "gain"])
    if not len(shown):
        raise BadInput("there is no gain to draw", mend="Score models trained on AVA and on both")

    def figures() -> Iterable[tuple[str, Figure]]:
        yield file_name, _gain(shown, title=title)

    return write_figures(figures, folder)


def _class_bars(rows: pl.DataFrame, sets: Mapping[str, str], *, title: str) -> Figure:
    categories = rows["category"].unique(maintain_order=True).to_list()
    widest = max(len(rows.filter(category=category)) for category in categories)
    width_in = max(6.4, 0.3 * widest + 1.6)
    figure = Figure(figsize=(width_in, 4.1 * len(categories) + 0.5))
    panels = figure.subplots(2 * len(categories), 1, squeeze=False, height_ratios=[2, 1] * len(categories))[:, 0]
    most = max([1, *(int(num) for name in sets for num in rows[f"num_{name}"])])
    for number, category in enumerate(categories):
        part = rows.filter(category=category)
        above, below = panels[2 * number], panels[2 * number + 1]
        _side(above, part, sets, prefix="ap", alpha=1.0)
        _side(below, part, sets, prefix="num", alpha=0.45)
        above.set_title(category or "all classes")
        above.set_ylim(0, 1)
        above.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
        above.set_ylabel("AP")
        above.set_xticks([])
        # The limits first: a logarithmic axis that looks for its own warns where nothing was trained on.
        below.set_ylim(2 * most, 0.7)
        below.set_yscale("log")
        below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        below.set_ylabel("samples")
        below.spines["bottom"].set_visible(False)
        below.set_xticks(range(len(part)), [_shortened(name) for name in part["name"]], rotation=90)
        below.tick_params(axis="x", length=0, pad=2)
        if not number:
            above.legend(loc="upper right", ncols=len(sets))
    figure.suptitle(textwrap.fill(title, round(13 * width_in)), x=0.01, ha="left", fontsize=10)
    return figure


def _side(axes: Axes, rows: pl.DataFrame, sets: Mapping[str, str], *, prefix: str, alpha: float) -> None:
    width = 0.8 / len(sets)
    for number, (name, said) in enumerate(sets.items()):
        places = [place - 0.4 + width * (number + 0.5) for place in range(len(rows))]
        values = rows[f"{prefix}_{name}"].fill_null(0).to_list()
        axes.bar(places, values, width=width, color=PALETTE[number], alpha=alpha, linewidth=0, label=said)
    axes.set_xlim(-0.6, len(rows) - 0.4)
    axes.grid(axis="y", color=GREY, linewidth=0.5)


def _gain(rows: pl.DataFrame, *, title: str) -> Figure:
    figure = Figure(figsize=(7.2, 5.0))
    axes = figure.subplots()
    added, gain, names = rows["added"].to_list(), rows["gain"].to_list(), rows["name"].to_list()
    colours = [PALETTE[0] if value >= 0 else PALETTE[5] for value in gain]
    axes.scatter(added, gain, s=16, c=colours, linewidths=0, zorder=2)
    axes.axhline(0, color="#000000", linewidth=0.6, zorder=1)
    for place in _named(gain):
        spot = (added[place], gain[place])
        axes.annotate(_shortened(names[place]), spot, xytext=(3, 3), textcoords="offset points", fontsize=6.5)
    axes.xaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1.0, decimals=0, symbol=""))
    axes.set_xlabel("samples added, of those before")
    axes.set_ylabel("gain of AP, in percent points")
    axes.grid(color=GREY, linewidth=0.5)
    axes.set_title(title)
    return figure


def _named(gain: Sequence[float]) -> list[int]:
    """Places of the values that are named: the largest, and the smallest, which are named whether or not they fall."""
    order = sorted(range(len(gain)), key=lambda place: -gain[place])
    return sorted({*order[:NUM_NAMED], *order[-(NUM_NAMED // 2) :]})


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
