"""The numbers as text: a table with bars for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from gesta.stats.counts import MAX_BOXES_SHOWN, Stats

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
    parts += _histograms(stats, width=width)
    return "\n".join(parts)


def _totals(stats: Stats) -> list[str]:
    words = {
        "num_videos": "videos", "num_clips": "clips", "num_clip_labels": "clip labels", "num_classes": "classes",
        "num_key_frames": "key-frames", "num_empty_key_frames": "of them without a labelled box",
        "num_boxes": "boxed persons", "num_box_labels": "box labels",
        "mean_boxes_per_key_frame": "boxes per key-frame, mean", "median_box_side": "square root of box area, median",
        "hours": "hours of clips",
    }  # fmt: skip
    lines = []
    for key, label in words.items():
        value = stats.totals[key]
        if value:
            lines.append(f"  {value:>12,} {label}" if isinstance(value, int) else f"  {value:>12,.2f} {label}")
    low, high = stats.totals["min_clips_per_class"], stats.totals["max_clips_per_class"]
    return [*lines, f"  {f'{low:,}-{high:,}':>12} clips per class"] if low is not None else lines


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
