"""Charts as inline SVG: coloured by the page's own style, so that they follow light, dark and print.

Each has `role="img"` and a sentence as its label. Widths are in the units of the view box, in which text is 12 high.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 44


def nice_ticks(low: float, high: float, *, num: int = 5) -> list[float]:
    """About `num` round numbers from at most `low` to at least `high`.

    >>> nice_ticks(0.0, 0.93), nice_ticks(3, 3)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [2.5, 3.0, 3.5])
    """
    if high <= low:
        low, high = low - 0.5, high + 0.5
        num = 3
    rough = (high - low) / max(num, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _number(value: float) -> str:
    """The value with at most three decimals and thousands apart."""
    return f"{value:,.3f}".rstrip("0").rstrip(".") if value % 1 else f"{int(value):,}"


def _frame(label: str, body: str, *, xs: Sequence[float], ys: Sequence[float], x_title: str, y_title: str) -> str:
    """Axes with ticks and titles around `body`."""
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">']
    for value in ys:
        y = _y(value, ys)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 7}" y="{y + 4}" text-anchor="end">{_number(value)}</text>')
    for value in xs:
        place = f'x="{_x(value, xs)}" y="{HEIGHT - BOTTOM + 17}"'
        parts.append(f'<text class="tick" {place} text-anchor="middle">{_number(value)}</text>')
    turned = f"translate(13 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>')
    parts.append(body)
    x_middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="title" x="{x_middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_title)}</text>')
    parts.append(f'<text class="title" transform="{turned}" text-anchor="middle">{escape(y_title)}</text>')
    return "".join([*parts, "</svg>"])


def _x(value: float, ticks: Sequence[float]) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - ticks[0]) / (ticks[-1] - ticks[0]), 2)


def _y(value: float, ticks: Sequence[float]) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - ticks[0]) / (ticks[-1] - ticks[0]), 2)


def worker_scatter(workers: Sequence[Mapping[str, Any]], *, min_accuracy: float | None) -> str:
    """Gold accuracy against agreement, a mark a worker: discs are trusted, crosses are not; empty without any.

    A worker without agreement (no counted vote) stands at the left edge; one without gold answers is left out.
    """
    known = [row for row in workers if row["gold_accuracy"] is not None]
    if not known:
        return ""
    agreements = [row["agreement"] for row in known if row["agreement"] is not None]
    ticks = nice_ticks(min([0.9, *agreements, *(row["gold_accuracy"] for row in known)]), 1.0)
    parts = []
    if min_accuracy is not None and min_accuracy >= ticks[0]:
        y = _y(min_accuracy, ticks)
        parts.append(f'<line class="limit" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text class="tick" x="{WIDTH - RIGHT - 4}" y="{y - 5}" text-anchor="end">trusted above</text>')
    for row in known:
        x, y = _x(ticks[0] if row["agreement"] is None else row["agreement"], ticks), _y(row["gold_accuracy"], ticks)
        said = "none" if row["agreement"] is None else f"{row['agreement']:.2f}"
        title = f"{row['worker_id']}: gold {row['gold_accuracy']:.2f}, agreement {said}, {row['num_votes']} votes"
        mark = (
            f'<circle class="good" cx="{x}" cy="{y}" r="5.5"/>'
            if row["is_trusted"]
            else f'<path class="bad" d="M{x - 5} {y - 5}L{x + 5} {y + 5}M{x - 5} {y + 5}L{x + 5} {y - 5}"/>'
        )
        parts.append(f"<g><title>{escape(title)}</title>{mark}</g>")
    barred = sum(not row["is_trusted"] for row in known)
    label = f"Scatter of {len(known)} workers: share of gold questions right against agreement; {barred} not trusted"
    return _frame(
        label, "".join(parts), xs=ticks, ys=ticks, x_title="agreement with the verdicts", y_title="gold questions right"
    )


def loss_curve(points: Sequence[tuple[float, float]], *, axis: str) -> str:
    """The loss over epochs or steps as a line."""
    xs = nice_ticks(min(x for x, _ in points), max(x for x, _ in points))
    ys = nice_ticks(0.0, max(y for _, y in points))
    path = " ".join(f"{_x(x, xs)},{_y(y, ys)}" for x, y in points)
    last_x, last_y = points[-1]
    body = (
        f'<polyline class="curve" points="{path}"/>'
        f'<circle class="good" cx="{_x(last_x, xs)}" cy="{_y(last_y, ys)}" r="4"/>'
    )
    label = f"Training loss over {len(points)} {axis}s, from {points[0][1]:.3f} to {points[-1][1]:.3f}"
    return _frame(label, body, xs=xs, ys=ys, x_title=axis, y_title="training loss")


def histogram(
    edges: Sequence[tuple[float, float]], counts: Sequence[int], *, x_title: str, y_title: str, label: str
) -> str:
    """Bars over `edges` (from, to); each bar tells its numbers when pointed at."""
    xs = nice_ticks(min(low for low, _ in edges), max(high for _, high in edges), num=6)
    ys = nice_ticks(0, max([1, *counts]), num=4)
    parts = []
    for (low, high), count in zip(edges, counts, strict=True):
        left, right, top = _x(low, xs), _x(high, xs), _y(count, ys)
        width, height = round(max(right - left - 1, 0.5), 2), round(HEIGHT - BOTTOM - top, 2)
        title = f"{_number(low)} to {_number(high)}: {count:,}"
        parts.append(
            f'<rect class="column" x="{left}" y="{top}" width="{width}" height="{height}"><title>{title}</title></rect>'
        )
    return _frame(label, "".join(parts), xs=xs, ys=ys, x_title=x_title, y_title=y_title)


def columns(names: Sequence[str], counts: Sequence[int], *, x_title: str, y_title: str, label: str) -> str:
    """One bar a name, with its count above."""
    ys = nice_ticks(0, max([1, *counts]) * 1.08, num=4)
    room = (WIDTH - LEFT - RIGHT) / len(names)
    parts = []
    for number, (name, count) in enumerate(zip(names, counts, strict=True)):
        left, top = round(LEFT + room * (number + 0.14), 2), _y(count, ys)
        middle = round(LEFT + room * (number + 0.5), 2)
        height = round(HEIGHT - BOTTOM - top, 2)
        parts.append(f'<rect class="column" x="{left}" y="{top}" width="{round(room * 0.72, 2)}" height="{height}"/>')
        parts.append(f'<text class="value" x="{middle}" y="{top - 5}" text-anchor="middle">{count:,}</text>')
        parts.append(
            f'<text class="tick" x="{middle}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{escape(name)}</text>'
        )
    return _frame(label, "".join(parts), xs=[], ys=ys, x_title=x_title, y_title=y_title)
