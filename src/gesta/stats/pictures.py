"""The figures of the papers' data sections, as PNG and SVG: of one dataset, or of several side by side.

Same numbers, same bytes (with one version of matplotlib): no dates, a fixed salt for ids, matplotlib's own defaults and
not the user's. Colours are those of Okabe and Ito, apart for the colour-blind too. Nothing here touches pyplot.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from gesta.schema import MissingExtra
from gesta.stats.counts import MAX_BOXES_SHOWN, Stats
from gesta.stats.overlay import Overlay
from gesta.tables import whole_file

try:
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter
except ModuleNotFoundError as error:
    raise MissingExtra(extra="stats", module="matplotlib") from error

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Source: Okabe and Ito, "Color universal design" (2008), without black and yellow; blue and orange come first."""

GREY = "#D5D8DC"
MAX_UPRIGHT = 120
"""With more classes names do not fit under upright bars, and the bars lie in columns. Source: ours."""

ROWS_A_COLUMN = 140
DPI = 110
TAIL_SHARE = 0.5
"""The rarer half of the classes is zoomed in the inset. Source: AVA-Kinetics, figure 2, by eye."""

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "gesta", "svg.fonttype": "none", "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"], "font.size": 8.0, "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True, "axes.titlesize": 10.0, "axes.titlelocation": "left", "legend.frameon": False,
    "figure.constrained_layout.use": True, "text.parse_math": False, "figure.dpi": DPI, "savefig.dpi": DPI,
}  # fmt: skip

Parts = Mapping[str, Sequence[float]]


def draw_all(stats: Stats | Overlay, folder: Path) -> tuple[Path, ...]:
    """The paths written: each figure that has something to show, as `<figure>.png` and `<figure>.svg`.

    Figures: samples_per_class (AVA-Kinetics, figure 2), videos_per_class (figure 3), boxes_per_key_frame (figure 4),
    box_areas (figure 5), clips_per_class (Kinetics-400, appendix A), groups (its appendix B), yields
    (Kinetics-700-2020, appendix A), retention (its table 2) and videos_by_<column> (its table 3).
    """
    return write_figures(lambda: figures(stats), folder)


def write_figures(draw: Callable[[], Iterable[tuple[str, Figure]]], folder: Path) -> tuple[Path, ...]:
    """The paths written: each figure that `draw` gives by name, in the house's style, as PNG and SVG."""
    written = []
    with mpl.rc_context(), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes in PNG, and stands as text in SVG.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        for name, figure in draw():
            for ending, canvas in ((".png", FigureCanvasAgg), (".svg", FigureCanvasSVG)):
                path = folder / f"{name}{ending}"
                about = {"Software": None} if ending == ".png" else {"Date": None, "Creator": None}
                with whole_file(path) as temporary:
                    canvas(figure).print_figure(temporary, dpi=DPI, metadata=about, format=ending[1:])
                written.append(path)
    return tuple(written)


def figures(stats: Stats | Overlay) -> Iterable[tuple[str, Figure]]:
    """Name and picture of each figure that has something to show, with whatever style is set."""
    each = {"": stats} if isinstance(stats, Stats) else {name: stats.stats[name] for name in stats.names}
    whole = stats if isinstance(stats, Stats) else stats.stats[stats.combined]
    for column, name, draw in (
        ("num_boxes", "samples_per_class", _samples),
        ("num_box_videos", "videos_per_class", _videos),
        ("num_clips", "clips_per_class", _clips),
    ):
        order = whole.tables["classes"].filter(pl.col(column) > 0).sort([column, "class_id"], descending=[True, False])
        if len(order):
            yield name, draw(order["name"].to_list(), _per_class(each, order, column), order[column].to_list())
    if len(whole.tables["boxes_per_key_frame"]):
        yield "boxes_per_key_frame", _boxes_per_key_frame(each)
        if len(whole.tables["box_area_shares"]):
            yield "box_areas", _areas(each)
    groups = whole.tables["groups"].sort("num_clips", "num_boxes", "group", descending=[True, True, False])
    if len(groups):
        column, what = ("num_clips", "clips") if groups["num_clips"].sum() else ("num_boxes", "samples")
        names = [f"{group} ({num:,} classes)" for group, num in groups.select("group", "num_classes").iter_rows()]
        yield "groups", _lying(names, {what: groups[column].to_list()}, title=f"Number of {what} per group of classes")
    yield from _of_tables(stats.tables)


def _of_tables(tables: Mapping[str, pl.DataFrame]) -> Iterable[tuple[str, Figure]]:
    """Figures of tables that not every dataset has."""
    for name, frame in tables.items():
        if not len(frame):
            continue
        named = frame["dataset"].to_list() if "dataset" in frame.columns else [""] * len(frame)
        if name == "yields":
            shown = frame.drop_nulls("accepted_share")
            labels = [f"{a} {b}".strip() for a, b in zip(named, frame["name"].fill_null("?"), strict=True)]
            labels = [a for a, known in zip(labels, frame["accepted_share"].is_not_null(), strict=True) if known]
            parts = {"accepted": shown["accepted_share"].to_list(), "released": shown["released_share"].to_list()}
            if labels:
                yield name, _lying(labels, parts, title="Share of candidates, per class", stacked=False, percent=True)
        elif name == "retention":
            words = frame.select(pl.concat_str("name", "split", separator=" ", ignore_nulls=True)).to_series().to_list()
            yield (
                name,
                _lying(
                    words,
                    {"still there": frame["share"].fill_null(0.0).to_list()},
                    title="Share of clips retained",
                    percent=True,
                ),
            )
        elif name.startswith("videos_by_"):
            values = frame["value"].unique().sort().to_list()
            parts = {}
            for dataset in dict.fromkeys(named):
                of = frame.filter(dataset=dataset) if dataset else frame
                share = dict(of.select("value", "share").iter_rows())
                parts[dataset or "videos"] = [share.get(value, 0.0) for value in values]
            title = f"Share of videos by {name.removeprefix('videos_by_')}"
            yield name, _lying(values, parts, title=title, stacked=False, percent=True)


def _per_class(each: Mapping[str, Stats], order: pl.DataFrame, column: str) -> dict[str, list[float]]:
    ids = order.select("class_id")
    return {
        name: ids.join(of.tables["classes"], on="class_id", how="left", maintain_order="left")[column]
        .fill_null(0)
        .to_list()
        for name, of in each.items()
    }


def _in_legend(name: str) -> str | None:
    """The name as a legend shows it: matplotlib passes over labels that begin with an underscore."""
    return f" {name}" if name.startswith("_") else name or None


def _colours(parts: Parts) -> list[str]:
    return [PALETTE[number % len(PALETTE)] for number in range(len(parts))]


def _count_axis(axis: Any, *, percent: bool = False) -> None:
    axis.set_major_formatter(PercentFormatter(xmax=1.0) if percent else FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _stack(axes: Axes, places: Sequence[float], parts: Parts, *, width: float = 0.8) -> None:
    base = [0.0] * len(places)
    for colour, (name, values) in zip(_colours(parts), parts.items(), strict=True):
        axes.bar(places, values, width=width, bottom=base, color=colour, label=_in_legend(name), linewidth=0)
        base = [low + value for low, value in zip(base, values, strict=True)]


def _named_upright(axes: Axes, names: Sequence[str]) -> None:
    size = 8.0 if len(names) <= 60 else 6.5
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    axes.tick_params(axis="x", length=0, pad=2)
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.grid(axis="y", color=GREY, linewidth=0.5)


def _upright(names: Sequence[str]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(max(5.0, 0.165 * len(names) + 1.4), 5.6))
    axes = figure.subplots()
    _named_upright(axes, names)
    return figure, axes


def _samples(names: Sequence[str], parts: Parts, whole: Sequence[float]) -> Figure:
    """Stacked bars, the rarer half again in an inset (AVA-Kinetics, figure 2)."""
    title = "Number of samples per class (a box with an action is a sample)"
    if len(names) > MAX_UPRIGHT:
        return _lying(names, parts, title=title)
    figure, axes = _upright(names)
    _stack(axes, range(len(names)), parts)
    _count_axis(axes.yaxis)
    axes.set_title(title)
    first = int(len(names) * (1 - TAIL_SHARE))
    if len(names) >= 20 and whole[first] > 0:
        inset = axes.inset_axes((0.42, 0.4, 0.57, 0.54))
        _stack(inset, range(len(names) - first), {name: values[first:] for name, values in parts.items()})
        _named_upright(inset, [_shortened(name, longest=26) for name in names[first:]])
        inset.tick_params(axis="x", labelsize=6.0)
        inset.set_title(f"the {len(names) - first} rarest classes", fontsize=8)
        _count_axis(inset.yaxis)
    _legend(axes, parts, right=0.37)
    return figure


def _videos(names: Sequence[str], parts: Parts, whole: Sequence[float]) -> Figure:
    """Videos a class on a log axis (AVA-Kinetics, figure 3): a bar for all, a mark for each dataset.

    Bars that are stacked on a log axis lie about their upper part, so the datasets are marks here.
    """
    title = "Number of unique videos per class (log)"
    if len(names) > MAX_UPRIGHT:
        return _lying(names, {"videos": whole}, title=title, log=True)
    figure, axes = _upright(names)
    many = len(parts) > 1
    label = "all together" if many else None
    axes.bar(range(len(names)), whole, color=GREY if many else PALETTE[0], width=0.8, linewidth=0, label=label)
    if many:
        for marker, colour, (name, values) in zip("osD^v*", _colours(parts), parts.items(), strict=False):
            places = [place for place, value in enumerate(values) if value]
            shown = [value for value in values if value]
            axes.plot(places, shown, marker, color=colour, markersize=4, label=_in_legend(name))
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    _count_axis(axes.yaxis)
    axes.set_title(title)
    _legend(axes, parts, right=1.0)
    return figure


def _clips(names: Sequence[str], parts: Parts, whole: Sequence[float]) -> Figure:
    """Clips a class (Kinetics-400, appendix A; Kinetics-700-2020, table 1)."""
    title = f"Number of clips per class: {min(whole):,} to {max(whole):,}, mean {sum(whole) / len(whole):,.1f}"
    return _lying(names, parts, title=title)


def _legend(axes: Axes, parts: Parts, *, right: float) -> None:
    """The names of several parts, with their right end at that share of the width."""
    if len(parts) > 1:
        axes.legend(loc="upper right", bbox_to_anchor=(right, 1.0))


def _shortened(name: str, *, longest: int) -> str:
    return name if len(name) <= longest else name[: longest - 1].rstrip() + "…"


def _lying(
    names: Sequence[str],
    parts: Parts,
    *,
    title: str,
    stacked: bool = True,
    percent: bool = False,
    log: bool = False,
) -> Figure:
    """Lying bars with their names, in columns of at most `ROWS_A_COLUMN`, all on one scale."""
    num_columns = -(-len(names) // ROWS_A_COLUMN)
    rows = -(-len(names) // num_columns)
    bars = 1 if stacked else len(parts)
    row_in = max(0.105 if num_columns > 1 else 0.16, 0.075 * bars)
    longest = max(map(len, names), default=0)
    figure = Figure(figsize=(num_columns * _column_in(longest, num_columns=num_columns) + 0.4, rows * row_in + 1.1))
    grid = figure.subplots(1, num_columns, squeeze=False, sharex=True)[0]
    size = 8.0 if num_columns == 1 else 5.5
    for number, axes in enumerate(grid):
        part = slice(number * rows, (number + 1) * rows)
        shown = {name: list(values[part]) for name, values in parts.items()}
        _lie(axes, shown, stacked=stacked)
        here = names[part]
        axes.set_yticks(range(len(here)), here, fontsize=size)
        axes.tick_params(axis="y", length=0, pad=2)
        axes.tick_params(axis="x", labelsize=size)
        axes.set_ylim(rows - 0.4, -0.6)
        axes.grid(axis="x", color=GREY, linewidth=0.5)
        if log:
            axes.set_xscale("log")
            axes.set_xlim(left=0.7)
        _count_axis(axes.xaxis, percent=percent)
        axes.locator_params(axis="x", nbins=4) if not log else None
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    if len(parts) > 1:
        handles, labels = grid[0].get_legend_handles_labels()
        room = max(int(figure.get_figwidth() / (0.5 + 0.075 * max(map(len, labels)))), 1)
        figure.legend(handles, labels, loc="outside lower center", ncols=min(len(parts), room), fontsize=7)
    return figure


def _column_in(longest: int, *, num_columns: int) -> float:
    """Width of a column of bars with names of up to `longest` characters, inches."""
    return 1.2 + 0.041 * min(longest, 50) if num_columns > 1 else 3.0 + 0.06 * min(longest, 60)


def _lie(axes: Axes, parts: Parts, *, stacked: bool) -> None:
    num = len(next(iter(parts.values())))
    base = [0.0] * num
    height = 0.8 if stacked else 0.8 / len(parts)
    for number, (colour, (name, values)) in enumerate(zip(_colours(parts), parts.items(), strict=True)):
        shift = 0.0 if stacked else (number - (len(parts) - 1) / 2) * height
        places = [place + shift for place in range(num)]
        axes.barh(
            places,
            values,
            height=height,
            left=base if stacked else 0.0,
            color=colour,
            label=_in_legend(name),
            linewidth=0,
        )
        if stacked:
            base = [low + value for low, value in zip(base, values, strict=True)]


def _boxes_per_key_frame(each: Mapping[str, Stats]) -> Figure:
    """Share of each dataset's key-frames by their boxes, datasets side by side (AVA-Kinetics, figure 4)."""
    figure = Figure(figsize=(7.0, 3.8))
    axes = figure.subplots()
    width = 0.8 / len(each)
    top = max(len(of.tables["boxes_per_key_frame"]) for of in each.values())
    for number, (colour, (name, of)) in enumerate(zip(_colours(dict.fromkeys(each, ())), each.items(), strict=True)):
        counts = of.tables["boxes_per_key_frame"]["num_key_frames"].to_list()
        whole = max(sum(counts), 1)
        mean = of.totals["mean_boxes_per_key_frame"]
        words = f"{name} mean {mean:.2f}".strip() if mean is not None else name
        shift = (number - (len(each) - 1) / 2) * width
        places = [place + shift for place in range(len(counts))]
        axes.bar(
            places, [count / whole for count in counts], width=width, color=colour, label=_in_legend(words), linewidth=0
        )
    labels = [f"{number} or more" if number == MAX_BOXES_SHOWN else str(number) for number in range(top)]
    axes.set_xticks(range(top), labels)
    _count_axis(axes.yaxis, percent=True)
    axes.grid(axis="y", color=GREY, linewidth=0.5)
    axes.set_xlabel("boxes")
    axes.set_title("Share of key-frames by number of boxes")
    axes.legend(loc="upper right")
    return figure


def _areas(each: Mapping[str, Stats]) -> Figure:
    """Distribution of box areas in a 1x1 square, the small ones again in an inset (AVA-Kinetics, figure 5)."""
    figure = Figure(figsize=(7.0, 3.8))
    axes = figure.subplots()
    inset = axes.inset_axes((0.42, 0.3, 0.56, 0.62))
    for colour, (name, of) in zip(_colours(dict.fromkeys(each, ())), each.items(), strict=True):
        frame = of.tables["box_area_shares"]
        if not len(frame):
            continue
        low, high, num = (frame[column].to_list() for column in ("from_area", "to_area", "num_boxes"))
        shares = [count / max(sum(num), 1) for count in num]
        words = f"{name} peak at {of.totals['peak_box_area']:.4f}".strip()
        for panel in (axes, inset):
            panel.stairs(shares, [*low, high[-1]], color=colour, linewidth=1.3, label=_in_legend(words))
    axes.set_xlim(0, 1)
    inset.set_xlim(0, 0.1)
    for panel in (axes, inset):
        panel.set_ylim(bottom=0)
        _count_axis(panel.yaxis, percent=True)
        panel.grid(color=GREY, linewidth=0.5)
    inset.tick_params(labelsize=6.5)
    inset.legend(loc="lower center", fontsize=7)
    axes.set_xlabel("area of the box, frame = 1")
    axes.set_title("Share of boxes by area (bins of 0.005)")
    return figure
