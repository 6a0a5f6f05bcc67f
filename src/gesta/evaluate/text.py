"""Results of evaluation as aligned text for a terminal.

Each function takes a result and gives lines without an end of line. Numbers that do not exist are shown as `-`.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from gesta.evaluate.breakdown import KINDS, Breakdown
from gesta.evaluate.classification import ClipScores
from gesta.evaluate.diagnosis import Diagnosis, Finding
from gesta.evaluate.intervals import Interval, MapDifference, MapIntervals
from gesta.evaluate.modality import AccuracyDifference

if TYPE_CHECKING:
    from gesta.evaluate.ava_files import Score

NAME_WIDTH = 44
_EIGHTHS = " ▏▎▍▌▋▊▉"


def number_text(value: float | None, *, decimals: int = 3, is_signed: bool = False) -> str:
    """The number, or `-` where there is none.

    >>> number_text(0.28057), number_text(None), number_text(0.01, is_signed=True)
    ('0.281', '-', '+0.010')
    """
    if value is None or math.isnan(value):
        return "-"
    return f"{value:{'+' if is_signed else ''}.{decimals}f}"


def interval_text(interval: Interval, *, decimals: int = 3, is_signed: bool = False) -> str:
    """The estimate and its bounds.

    >>> interval_text(Interval(estimate=0.281, low=0.262, high=0.3, num_draws=1000))
    '0.281 [0.262, 0.300]'
    """
    estimate, low, high = (
        number_text(value, decimals=decimals, is_signed=is_signed)
        for value in (interval.estimate, interval.low, interval.high)
    )
    return f"{estimate} [{low}, {high}]"


def bar_text(value: float, *, most: float, width: int = 20) -> str:
    """A bar of at most `width` characters, in eighths of one; `most` fills it; anything above 0 shows.

    >>> bar_text(3, most=4, width=4), bar_text(0.001, most=4, width=4), bar_text(-1, most=4)
    ('███', '▏', '')
    """
    if math.isnan(value) or value <= 0 or most <= 0:
        return ""
    eighths = max(round(8 * width * min(value / most, 1.0)), 1)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def table_text(header: Sequence[str], rows: Sequence[Sequence[str]], *, num_left: int = 1) -> str:
    """The rows under their header, columns two spaces apart, the first `num_left` columns and a last bar to the left.

    >>> print(table_text(["class", "AP"], [["stand", "0.5"], ["sit", "-"]]))
    class  AP
    stand  0.5
    sit    -
    >>> print(table_text(["class", "AP", ""], [["stand", "0.5", "██"]]))
    class   AP
    stand  0.5  ██
    """
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    last = len(header) - 1
    lines = []
    for row in [header, *rows]:
        cells = [
            cell.ljust(width) if i < num_left or i == last else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _names(label_map: pl.DataFrame | None) -> dict[int, str]:
    return {} if label_map is None else dict(label_map.select("class_id", "name").iter_rows())


def _name_of(class_id: int, names: dict[int, str]) -> str:
    name = names.get(class_id, f"class {class_id}")
    return name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 1]}…"


def scores_text(scores: Sequence[Score], label_map: pl.DataFrame | None = None, *, decimals: int = 4) -> str:
    """AP class by class, a column for each part and protocol, the mean last; classes without ground truth are left out.

    Args:
        scores: as `score_ava` gives them.
        label_map: names of the classes.
        decimals: digits after the point.
    """
    scored = [score for score in scores if score.maps]
    lines = []
    if scored:
        names, has_parts = _names(label_map), len({score.part for score in scores}) > 1
        columns = [score.average_precision for score in scored]
        class_ids = [i for i in columns[0] if any(not math.isnan(column.get(i, math.nan)) for column in columns)]
        heads = [f"{score.part} {score.protocol}" if has_parts else score.protocol for score in scored]
        rows = [
            [_name_of(i, names), *(number_text(column.get(i), decimals=decimals) for column in columns)]
            for i in class_ids
        ]
        rows.append(["mean", *(number_text(score.mean_ap, decimals=decimals) for score in scored)])
        # An empty last column keeps the numbers to the right.
        lines.append(table_text(["class", *heads, ""], [[*row, ""] for row in rows]))
    lines += [f"{score.part} {score.protocol}: {score.refusal}" for score in scores if score.refusal]
    return "\n".join(lines) or "nothing was scored"


def intervals_text(result: MapIntervals, label_map: pl.DataFrame | None = None) -> str:
    """The mAP and each class's AP with bounds; classes without ground truth are left out."""
    names = _names(label_map)
    rows = [
        [_name_of(class_id, names), interval_text(part)]
        for class_id, part in zip(result.class_ids, result.average_precision, strict=True)
        if not math.isnan(part.estimate)
    ]
    title = (
        f"mAP {interval_text(result.mean_ap)}: {result.level:.0%} interval ({result.method}), "
        f"{result.num_resamples:,} draws of {result.num_videos:,} videos"
    )
    return f"{title}\n{table_text(['class', 'AP [low, high]'], rows)}" if rows else title


def difference_text(result: MapDifference, label_map: pl.DataFrame | None = None, *, a: str = "A", b: str = "B") -> str:
    """How far model `a` is above `b`, in all and class by class from the largest difference either way."""
    names = _names(label_map)
    parts = zip(result.class_ids, result.class_difference, result.class_share_a_above, strict=True)
    known = [part for part in parts if not math.isnan(part[1].estimate)]
    known.sort(key=lambda part: -abs(part[1].estimate))
    rows = [
        [_name_of(class_id, names), interval_text(part, is_signed=True), f"{share:.1%}"]
        for class_id, part, share in known
    ]
    lines = [
        f"{a}: mAP {interval_text(result.a)}",
        f"{b}: mAP {interval_text(result.b)}",
        f"{a} - {b}: {interval_text(result.difference, is_signed=True)}, {result.level:.0%} interval of the paired "
        f"difference ({result.method}), {result.num_resamples:,} draws of {result.num_videos:,} videos",
        f"{a} is above {b} in {result.share_a_above:.1%} of the draws",
    ]
    if rows:
        lines.append(table_text(["class", "difference [low, high]", f"{a} above"], rows))
    return "\n".join(lines)


def groups_text(groups: pl.DataFrame) -> str:
    """The mAP of each group with a bar, kind by kind; groups that hold nothing are left out."""
    held = groups.filter((pl.col("num_groundtruth") > 0) | (pl.col("num_detections") > 0))
    most = max((value for value in held["mean_ap"].to_list() if value is not None), default=0.0)
    rows, kind = [], ""
    for row in held.iter_rows(named=True):
        mean_ap = row["mean_ap"]
        shown = row["by"] if row["by"] != kind else ""
        kind = row["by"]
        rows.append([
            shown, row["group"], number_text(mean_ap), f"{row['num_classes']:,}", f"{row['num_groundtruth']:,}",
            f"{row['num_detections']:,}", bar_text(mean_ap or 0.0, most=most),
        ])  # fmt: skip
    return table_text(["by", "group", "mAP", "classes", "labels", "detections", ""], rows, num_left=2)


def breakdown_text(result: Breakdown) -> str:
    """Each kind of error with its count and a bar of the mAP that undoing it gains."""
    most = max((cost.gain for cost in result.costs if not math.isnan(cost.gain)), default=0.0)
    rows = [
        [cost.kind, f"{cost.count:,}", number_text(cost.gain, is_signed=True), bar_text(cost.gain, most=most)]
        for cost in result.costs
    ]
    sums = rows[len(KINDS) :]
    lines = [
        f"mAP {number_text(result.mean_ap)}: {result.num_right:,} of {result.num_detections:,} detections are right, "
        f"{result.num_right:,} of {result.num_groundtruth:,} labels are found",
        table_text(["error", "count", "mAP if undone", ""], [*rows[: len(KINDS)], *sums]),
    ]
    return "\n".join(lines)


def diagnosis_text(result: Diagnosis, *, width: int = 100) -> str:
    """What is wrong, one paragraph a finding: the problem, what mending it gives, what was seen, how to mend it."""
    sample = f" on a sample of {result.num_key_frames:,} key-frames" if result.is_sample else ""
    head = f"mAP {number_text(result.mean_ap)}{sample}"
    if result.mean_ap_mended > result.mean_ap:
        head += f"; with everything mended that can be, {number_text(result.mean_ap_mended)}"
    lines = textwrap.wrap(head, max(width, 40))
    if not result.findings:
        nothing = "Nothing tried would raise it: ids, times, boxes, classes and scores fit together."
        return "\n".join([*lines, *textwrap.wrap(nothing, max(width, 40))])
    for place, finding in enumerate(result.findings, start=1):
        lines += textwrap.wrap(f"{place}. {finding.problem} ({finding.kind})", max(width, 40), subsequent_indent="   ")
        details = [*_gain_text(finding, now=result.mean_ap), *finding.evidence]
        details += [f"To mend it: {finding.mend}."] if finding.mend else []
        for detail in details:
            lines += textwrap.wrap(detail, max(width, 40), initial_indent="   ", subsequent_indent="   ")
    return "\n".join(lines)


def _gain_text(finding: Finding, *, now: float) -> list[str]:
    if finding.mean_ap_with_rest is None or finding.gain is None:
        return []
    alone, rest = finding.mean_ap_alone, finding.mean_ap_with_rest
    if alone is not None and abs(alone - rest) < 5e-4:
        return [f"With {finding.trial} the mAP would be {number_text(alone)} instead of {number_text(now)}."]
    if alone is None:
        return [f"With {finding.trial} the mAP would be {number_text(rest)} (+{finding.gain:.3f})."]
    by_itself = (
        f"With {finding.trial} alone the mAP stays at {number_text(now)}"
        if abs(alone - now) < 5e-4
        else f"With {finding.trial} the mAP would be {number_text(alone)} instead of {number_text(now)}"
    )
    return [
        f"{by_itself}; with the other findings mended too it would be {number_text(rest)}, "
        f"and without this one {number_text(rest - finding.gain)}."
    ]


def clips_text(result: ClipScores, label_map: pl.DataFrame | None = None, *, max_classes: int = 20) -> str:
    """Accuracies, the classes that are hardest, and the pairs that are taken for each other."""
    names = _names(label_map)
    shares = [f"top-{k} {number_text(value)}" for k, value in sorted(result.top_k.items())]
    shares += [
        f"mean class accuracy {number_text(result.mean_class_accuracy)}",
        f"error (mean of top-1 and top-5) {number_text(result.kinetics_error)}",
        f"mAP {number_text(result.mean_average_precision)}",
    ]
    lines = [f"{result.num_clips:,} clips, {result.num_labels:,} labels", ", ".join(shares)]
    if result.num_without_scores:
        lines.append(f"{result.num_without_scores:,} clips have no score and count as wrong")
    known = result.by_class.filter(pl.col("num_clips") > 0).sort("accuracy", "class_id")
    rows = [
        [
            _name_of(row["class_id"], names), f"{row['num_clips']:,}", number_text(row["accuracy"]),
            number_text(row["average_precision"]),
            "" if row["most_guessed"] is None
            else f"{_name_of(row['most_guessed'], names)} ({row['num_most_guessed']:,})",
        ]
        for row in known.head(max_classes).iter_rows(named=True)
    ]  # fmt: skip
    if rows:
        more = f", the {max_classes} hardest of {len(known)}" if len(known) > max_classes else ""
        lines += ["", f"classes{more}", table_text(["class", "clips", "accuracy", "AP", "mostly taken for"], rows)]
    if result.pairs:
        pairs = [
            [_name_of(pair.class_a, names), _name_of(pair.class_b, names), f"{pair.share_a_as_b:.1%}",
             f"{pair.share_b_as_a:.1%}", ""]
            for pair in result.pairs
        ]  # fmt: skip
        lines += ["", "taken for each other", table_text(["a", "b", "a as b", "b as a", ""], pairs, num_left=2)]
    return "\n".join(lines)


def difficulty_text(ranked: pl.DataFrame, *, num_ends: int = 20) -> str:
    """Every class from the hardest to the easiest; of many only both ends."""
    rows = [
        [
            f"{row['place']:,}", _shown(row), f"{row['num_clips']:,}",
            f"{row['accuracy']:.3f} [{row['low']:.3f}, {row['high']:.3f}]", number_text(row["top_k_accuracy"]),
        ]
        for row in ranked.iter_rows(named=True)
    ]  # fmt: skip
    header = ["place", "class", "clips", "accuracy [low, high]", "top-k"]
    if len(rows) <= 2 * num_ends:
        return f"{len(rows)} classes, the hardest first\n{table_text(header, rows, num_left=2)}"
    parts = (("hardest", rows[:num_ends]), ("easiest", rows[-num_ends:][::-1]))
    return "\n\n".join(
        f"the {num_ends} {end} of {len(rows)} classes\n{table_text(header, part, num_left=2)}" for end, part in parts
    )


def accuracy_difference_text(result: AccuracyDifference, *, a: str = "A", b: str = "B", num_ends: int = 20) -> str:
    """How far stream `a` is above `b`, in all and class by class; of many classes only both ends."""
    rows = [
        [
            _shown(row), f"{row['num_clips']:,}", number_text(row["accuracy_a"]), number_text(row["accuracy_b"]),
            f"{number_text(row['difference'], is_signed=True)} [{number_text(row['low'], is_signed=True)}, "
            f"{number_text(row['high'], is_signed=True)}]", number_text(row["ratio"], decimals=2),
        ]
        for row in result.by_class.iter_rows(named=True)
    ]  # fmt: skip
    header = ["class", "clips", a, b, "difference [low, high]", "ratio"]
    what = "clips" if result.num_groups == result.num_clips else "groups of clips"
    lines = [
        f"top-{result.k}: {a} {number_text(result.accuracy_a)}, {b} {number_text(result.accuracy_b)}",
        f"{a} - {b}: {interval_text(result.difference, is_signed=True)}, {result.level:.0%} interval of the paired "
        f"difference, {result.num_resamples:,} draws of {result.num_groups:,} {what}",
        f"{a} is above {b} in {result.share_a_above:.1%} of the draws",
    ]
    if len(rows) <= 2 * num_ends:
        return "\n".join([*lines, "", table_text(header, rows)])
    for title, part in ((f"{a} gains most", rows[:num_ends]), (f"{b} gains most", rows[-num_ends:][::-1])):
        lines += ["", f"{title} (of {len(rows)} classes)", table_text(header, part)]
    return "\n".join(lines)


def _shown(row: dict[str, Any]) -> str:
    return _name_of(row["class_id"], {} if row["name"] is None else {row["class_id"]: row["name"]})
