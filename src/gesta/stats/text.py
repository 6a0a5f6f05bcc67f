"""The numbers as text: a table with bars for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from gesta.stats.counts import MAX_BOXES_SHOWN, Stats
from gesta.stats.overlay import Overlay

_EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(value: float, *, most: float, width: int) -> str:
    """A bar of at most `width` characters, in eighths of one; `most` fills it; anything above 0 shows.

    >>> bar(3, most=4, width=4), bar(1, most=1000, width=4), bar(0, most=4, width=4)
    ('███', '▏', '')
    """
    eighths = round(8 * width * value / most) if most > 0 else 0
    eighths = max(eighths, 1) if value > 0 else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def stats_text(stats: Stats, *, width: int = 100, max_classes: int = 40) -> str:
    """Totals, classes and histograms, each line at most `width` characters (at least 60).

    Args:
        stats: what `count` gave.
        width: of the terminal.
        max_classes: with more classes only the largest and smallest are shown, half each.
    """
    width = max(width, 60)
    parts = [stats.what, "", *_totals(stats)]
    classes = stats.tables["classes"]
    for column, title in (("num_clips", "clips per class"), ("num_boxes", "labelled boxes per class")):
        ordered = classes.filter(pl.col(column) > 0).sort([column, "class_id"], descending=[True, False])
        if len(ordered):
            parts += ["", title, *_class_bars(ordered, column, width=width, max_classes=max_classes)]
    splits = stats.tables["splits"]
    if len(splits):
        parts += ["", "splits"]
        for row in splits.iter_rows(named=True):
            counts = (f"{row[f'num_{what}']:>10,} {what}" for what in ("videos", "clips", "boxes"))
            parts.append(f"  {row['split']:<10}{''.join(counts)}")
    spread = stats.tables["clips_per_class"]
    if len(spread):
        parts += ["", "clips a class", *_grid(spread.select("split", "num_classes", "min", "mean", "median", "max"))]
    parts += _histograms(stats, width=width)
    parts += _more(stats.tables, width=width, max_rows=max_classes)
    return "\n".join(parts)


def overlay_text(overlay: Overlay, *, width: int = 100, max_classes: int = 40) -> str:
    """Several datasets side by side: key-frames and videos, totals, samples a class, boxes a key-frame.

    Args:
        overlay: what `overlaid` gave.
        width: of the terminal.
        max_classes: classes shown, largest first; all of them are in classes.csv.
    """
    every = list(overlay.stats)
    parts = [" beside ".join(overlay.names), "", "key-frames, videos and clips"]
    counts = overlay.tables["frames_and_videos"]
    parts += _grid(counts.rename({"num_key_frames": "key-frames", "num_videos": "videos", "num_clips": "clips"}))
    totals = {name: overlay.stats[name].totals for name in every}
    rows = {label: [totals[name][key] for name in every] for key, label in _TOTALS.items()}
    shown = {label: values for label, values in rows.items() if any(values)}
    parts += ["", "totals", *_grid(_wide(every, shown))]
    classes = overlay.tables["classes"]
    for column, title in (
        ("num_boxes", "labelled boxes per class"),
        ("num_box_videos", "videos of boxes per class"),
        ("num_clips", "clips per class"),
    ):
        whole = classes.filter(pl.col("dataset") == overlay.combined, pl.col(column) > 0)
        top = whole.sort([column, "class_id"], descending=[True, False]).head(max_classes)
        if len(top):
            of = {(row["dataset"], row["class_id"]): row[column] for row in classes.iter_rows(named=True)}
            values = {
                str(name)[:40]: [of[dataset, i] for dataset in every]
                for i, name in top.select("class_id", "name").iter_rows()
            }
            left = len(whole) - len(top)
            parts += ["", title, *_grid(_wide(every, values))]
            parts += [f"  … {left:,} classes more (all of them in classes.csv)"] if left else []
    shares = overlay.tables["boxes_per_key_frame"]
    if len(shares):
        of = {(dataset, number): share for dataset, number, _, share in shares.iter_rows()}
        numbers = range(int(str(shares["num_boxes"].max())) + 1)
        values = {
            f"{n}+" if n == MAX_BOXES_SHOWN else str(n): [of.get((name, n), 0.0) for name in every] for n in numbers
        }
        parts += ["", "share of key-frames by number of boxes", *_grid(_wide(every, values))]
    return "\n".join(
        line[:width].rstrip() for line in [*parts, *_more(overlay.tables, width=width, max_rows=max_classes)]
    )


def _wide(names: Sequence[str], rows: Mapping[str, Sequence[object]]) -> pl.DataFrame:
    """One row a label, one column a dataset, as text."""
    columns = {"": list(rows), **{name: [_said(values[i]) for values in rows.values()] for i, name in enumerate(names)}}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _said(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}" if isinstance(value, float) else str(value)


def _grid(frame: pl.DataFrame) -> list[str]:
    """The frame as lines of even columns: the first to the left, numbers to the right."""
    cells = [frame.columns, *([_said(value) for value in row] for row in frame.iter_rows())]
    widths = [max(len(row[i]) for row in cells) for i in range(len(frame.columns))]
    # Names and words read from the left, and so does the first column; counts and shares from the right.
    is_left = [i == 0 or name in _WORDS for i, name in enumerate(frame.columns)]
    lines = []
    for row in cells:
        padded = (cell.ljust(w) if left else cell.rjust(w) for cell, w, left in zip(row, widths, is_left, strict=True))
        lines.append(("  " + "  ".join(padded)).rstrip())
    return lines


_WORDS = ("name", "dataset", "split", "group", "value", "clip_class", "box_class")

_MORE = {
    "groups": "groups of classes", "retention": "clips still there", "yields": "yields",
    "npmi_of_clip_classes": "clip classes and the box classes that go with them (NPMI)",
    "npmi_of_box_classes": "box classes, seen least first, and the clip classes that go with them (NPMI)",
}  # fmt: skip


def _more(tables: Mapping[str, pl.DataFrame], *, width: int, max_rows: int) -> list[str]:
    """Tables that not every dataset has, their first rows."""
    parts: list[str] = []
    for name, frame in tables.items():
        title = _MORE.get(name, name.replace("_", " ") if name.startswith("videos_by_") else "")
        if not title or not len(frame):
            continue
        shown = frame.head(max_rows)
        parts += ["", title, *(line[:width] for line in _grid(shown.drop("class_id", strict=False)))]
        if len(frame) > len(shown):
            parts.append(f"  … {len(frame) - len(shown):,} rows more (all of them in {name}.csv)")
    return parts


_TOTALS = {
    "num_videos": "videos", "num_clips": "clips", "num_clip_labels": "clip labels", "num_classes": "classes",
    "num_key_frames": "key-frames", "num_empty_key_frames": "of them without a labelled box",
    "num_boxes": "boxed persons", "num_box_labels": "box labels",
    "mean_boxes_per_key_frame": "boxes per key-frame, mean", "median_box_side": "square root of box area, median",
    "peak_box_area": "box area at the peak, frame = 1",
    "median_videos_per_box_class": "videos per class of boxes, median",
    "max_videos_per_box_class": "videos per class of boxes, most", "hours": "hours of clips",
}  # fmt: skip


def _totals(stats: Stats) -> list[str]:
    lines = []
    for key, label in _TOTALS.items():
        value = stats.totals[key]
        if value:
            lines.append(f"  {value:>12,} {label}" if isinstance(value, int) else f"  {_short(value):>12} {label}")
    low, high = stats.totals["min_clips_per_class"], stats.totals["max_clips_per_class"]
    return [*lines, f"  {f'{low:,}-{high:,}':>12} clips per class"] if low is not None else lines


def _short(value: float) -> str:
    """Two decimals, or four where two would show too little.

    >>> _short(1.2), _short(0.0225)
    ('1.20', '0.0225')
    """
    return f"{value:,.2f}" if abs(value) >= 0.1 else f"{value:.4f}"


def _class_bars(ordered: pl.DataFrame, column: str, *, width: int, max_classes: int) -> list[str]:
    most = int(str(ordered[column].max()))
    names = [str(name) for name in ordered["name"]]
    room = min(max(map(len, names)), 36)
    lines = [
        _line(name if len(name) <= room else name[: room - 1] + "…", value, most=most, room=room, width=width)
        for name, value in zip(names, ordered[column], strict=True)
    ]
    if len(lines) <= max_classes:
        return lines
    half = max_classes // 2
    return [
        *lines[:half],
        f"  … {len(lines) - 2 * half:,} classes between (all of them in classes.csv)",
        *lines[-half:],
    ]


def _line(label: str, value: int, *, most: int, room: int, width: int) -> str:
    return f"  {label:<{room}} {value:>9,} {bar(value, most=most, width=width - room - 13)}".rstrip()


def _histograms(stats: Stats, *, width: int) -> list[str]:
    parts: list[str] = []
    for table, title in (
        ("boxes_per_key_frame", "labelled boxes per key-frame"),
        ("persons_per_key_frame", "detected persons per key-frame"),
    ):
        frame = stats.tables[table]
        labels = [f"{number}+" if number == MAX_BOXES_SHOWN else str(number) for number in frame["num_boxes"]]
        parts += _histogram(title, labels, frame["num_key_frames"].to_list(), width=width)
    areas = stats.tables["box_areas"]
    labels = [f"{low:.2f}-{high:.2f}" for low, high in areas.select("from_side", "to_side").iter_rows()]
    parts += _histogram(
        "square root of box area, share of the frame", labels, areas["num_boxes"].to_list(), width=width
    )
    for table, title in (("clip_durations", "clip durations, s"), ("video_durations", "video durations, s")):
        frame = stats.tables[table]
        edges = frame.select("from_s", "to_s").iter_rows()
        labels = [f"{low:.2f}" if low == high else f"{low:.2f}-{high:.2f}" for low, high in edges]
        parts += _histogram(title, labels, frame["num"].to_list(), width=width)
    return parts


def _histogram(title: str, labels: Sequence[str], values: Sequence[int], *, width: int) -> list[str]:
    if not values:
        return []
    room = max(map(len, labels))
    lines = [
        _line(f"{label:>{room}}", value, most=max(values), room=room, width=width)
        for label, value in zip(labels, values, strict=True)
    ]
    return ["", title, *lines]
