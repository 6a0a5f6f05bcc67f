"""What the dataset is: headline numbers, classes with their splits, and the histograms of boxes and durations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from gesta.report.charts import columns, histogram
from gesta.report.line import Tables, rows_or_none, stacked
from gesta.stats import Stats, stats_of
from gesta.tables import table_path

MAX_CLASSES_SHOWN = 60


def stats_or_none(work: Path, *, release: Path | None) -> Stats | None:
    """The numbers of the release, or of the work folder where there is none; None before any import."""
    if release is not None:
        return stats_of(release)
    return stats_of(work) if table_path(work, "videos").is_file() else None


def lead(tables: Tables, stats: Stats | None) -> str:
    """One sentence that says what the dataset holds."""
    if stats is None:
        return "Nothing has been imported yet."
    totals = stats.totals
    if not totals["num_clip_labels"]:
        return f"{len(rows_or_none(tables, 'videos')):,} videos have been imported; no clip has a label yet."
    text = (
        f"{totals['num_clips']:,} clips of {totals['num_videos']:,} videos show people performing "
        f"{totals['num_classes']:,} actions"
    )
    if totals["num_box_labels"]:
        text += (
            f", with {totals['num_box_labels']:,} labels of boxed persons at {totals['num_key_frames']:,} key-frames"
        )
    return text + f", made from {len(rows_or_none(tables, 'videos')):,} videos."


def tiles(
    tables: Tables,
    *,
    stats: Stats | None,
    scores: Mapping[str, Any] | None,
    summary: Mapping[str, Any] | None,
) -> list[dict[str, str]]:
    """The three numbers that matter first, as far as they are known, then sizes; at most four."""
    said = summary or {}
    found: list[dict[str, str]] = []
    if said.get("precision") is not None:
        recall = f"recall {_percent(said['recall'])}" if said.get("recall") is not None else ""
        found.append({"label": "label precision against truth", "value": _percent(said["precision"]), "note": recall})
    if said.get("duplicates_found") is not None:
        planted = said.get("duplicates_planted")
        value = f"{said['duplicates_found']:,}" + (f" of {planted:,}" if planted is not None else "")
        merges = said.get("false_merges")
        note = f"{merges:,} different videos merged by mistake" if merges is not None else ""
        found.append({"label": "planted duplicates found", "value": value, "note": note})
    elif tables["duplicates"] is not None:
        pairs = rows_or_none(tables, "duplicates")
        note = f"in {pairs['cluster'].n_unique():,} clusters"
        found.append({"label": "pairs of duplicates found", "value": f"{len(pairs):,}", "note": note})
    mean_ap = scores["mean_ap"] if scores is not None else said.get("map")
    chance = scores["chance_map"] if scores is not None else said.get("map_chance")
    if mean_ap is not None:
        note = f"chance {chance:.3f}, {mean_ap / chance:.1f} times that" if chance else ""
        found.append({"label": "frame mAP at IoU 0.5", "value": f"{mean_ap:.3f}", "note": note})
    if stats is not None:
        totals = stats.totals
        if totals["num_clips"]:
            note = f"of {totals['num_videos']:,} videos, {totals['num_classes']:,} actions"
            found.append({"label": "labelled clips", "value": f"{totals['num_clips']:,}", "note": note})
        if totals["num_box_labels"]:
            note = f"at {totals['num_key_frames']:,} key-frames"
            found.append({"label": "accepted box labels", "value": f"{totals['num_box_labels']:,}", "note": note})
    return found[:4]


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def classes(stats: Stats | None) -> dict[str, Any]:
    """A row a class with clips (or else boxes), largest first, split into train, val and test where it is."""
    if stats is None:
        return {"rows": []}
    frame = stats.tables["classes"].filter((pl.col("num_clips") > 0) | (pl.col("num_boxes") > 0))
    ordered = frame.sort(["num_clips", "num_boxes", "class_id"], descending=[True, True, False])
    splits = [str(split) for split in stats.tables["splits"]["split"]] or ["all"]
    per_split = {
        (row["class_id"], row["split"]): row["num_clips"] for row in stats.tables["class_splits"].iter_rows(named=True)
    }
    most = max(ordered["num_clips"].to_list(), default=0)
    rows = []
    for row in ordered.head(MAX_CLASSES_SHOWN).iter_rows(named=True):
        counts = [(split, per_split.get((row["class_id"], split), 0)) for split in splits]
        if splits == ["all"]:
            counts = [("all", row["num_clips"])]
        rows.append({"name": row["name"], "num_boxes": row["num_boxes"], "parts": stacked(counts, whole=most)})
    totals = stats.totals
    says = f"Clips of each of {len(ordered):,} classes"
    if totals["min_clips_per_class"] is not None:
        low, high = totals["min_clips_per_class"], totals["max_clips_per_class"]
        says += f", {low:,} a class" if low == high else f", {low:,} to {high:,} a class"
    if splits != ["all"]:
        sizes = (f"{row['split']} {row['num_clips']:,}" for row in stats.tables["splits"].iter_rows(named=True))
        says += f"; {', '.join(sizes)} clips. A video is in one split only"
    return {
        "rows": rows,
        "splits": splits,
        "says": says + ".",
        "num_left_out": max(len(ordered) - MAX_CLASSES_SHOWN, 0),
    }


def figures(stats: Stats | None) -> list[dict[str, str]]:
    """Boxes per key-frame, box areas and clip durations as charts, as far as there is something to count."""
    if stats is None:
        return []
    found = []
    counts = stats.tables["boxes_per_key_frame"]
    if len(counts):
        mean = stats.totals["mean_boxes_per_key_frame"]
        words = f"Labelled boxes per key-frame, {mean:.2f} on average."
        svg = columns(
            [str(number) for number in counts["num_boxes"]], counts["num_key_frames"].to_list(),
            x_title="labelled boxes", y_title="key-frames", label=words,
        )  # fmt: skip
        found.append({"svg": svg, "words": words})
    areas = stats.tables["box_areas"]
    if len(areas):
        words = f"Square root of box area as a share of the frame, median {stats.totals['median_box_side']:.2f}."
        edges = list(areas.select("from_side", "to_side").iter_rows())
        svg = histogram(edges, areas["num_boxes"].to_list(), x_title="√ area", y_title="boxes", label=words)
        found.append({"svg": svg, "words": words})
    durations = stats.tables["clip_durations"]
    if len(durations) > 1:
        words = f"Clip durations, {stats.totals['hours']:.2f} hours in all."
        edges = list(durations.select("from_s", "to_s").iter_rows())
        svg = histogram(edges, durations["num"].to_list(), x_title="seconds", y_title="clips", label=words)
        found.append({"svg": svg, "words": words})
    return found
