"""Checks on rows of clips and on classes, whatever file they came from.

A frame of rows has `line` (null where lines mean nothing), `video_id`, `start_us`, `end_us`, `label`, `split`.
"""

from __future__ import annotations

import difflib
from pathlib import Path

import polars as pl

from gesta.lint.findings import MAX_EXAMPLES, Finding, finding, rows_found, shown, shown_time

KINETICS_LENGTH_US = 10_000_000
"""Source: Kinetics-400 paper, section 2: "Each clip lasts around 10s". All rows of -400 and -600 say just 10, and all
but 30 of Kinetics-700 val and test."""

SPLIT_OF = {
    "train": "train", "training": "train", "trainval": "trainval", "val": "val", "validate": "val", "validation": "val",
    "valid": "val", "dev": "val", "test": "test", "testing": "test",
}  # fmt: skip
"""What the names of splits, in rows and in file names, mean. Source: Kinetics (`val`, K700 `validate`), ActivityNet
(`training`, `validation`, `testing`), AVA's file names (`trainval`: both)."""

PLAIN_SPLITS = ("train", "val", "test", "validate")

_AVA_60 = frozenset(range(1, 81)) - {
    2, 16, 18, 19, 21, 23, 25, 31, 32, 33, 35, 39, 40, 42, 44, 50, 53, 55, 71, 75,
}  # fmt: skip
"""Source: `ava_action_list_v2.2_for_activitynet_2019.pbtxt`."""


MIN_KINETICS_SHARE = 0.9
"""Share of clips of ten seconds from which annotations of any format are held to be Kinetics'. Source: ours."""


def is_like_kinetics(rows: pl.DataFrame) -> bool:
    """Whether nearly all clips last ten seconds, and so one clip a video and class is to be expected."""
    num = rows.filter(pl.col("end_us") - pl.col("start_us") == KINETICS_LENGTH_US).height
    return bool(rows.height) and num >= MIN_KINETICS_SHARE * rows.height


def clip_row_findings(rows: pl.DataFrame, *, where: str | Path, is_kinetics: bool = True) -> list[Finding]:
    """Rows that stand twice; in Kinetics also ids that do, and clips with two labels."""
    full = ["video_id", "start_us", "end_us", "label", "split"]
    text = pl.format("the clip of {} from {} is listed already", shown("video_id"), shown_time("start_us"))
    found = rows_found("row-twice", rows, ~pl.struct(full).is_first_distinct(), text, where=where)
    once = rows.unique(full, keep="first", maintain_order=True)
    again = once.filter(pl.struct("video_id").is_duplicated()) if once.height else once
    if not again.height or not is_kinetics:
        return found
    again = again.with_columns(
        pl.struct("video_id", "label").is_duplicated().alias("in_class"),
        pl.struct("video_id", "start_us").is_duplicated().alias("at_start"),
        pl.col("video_id").is_first_distinct().alias("is_first"),
        pl.col("line").first().over("video_id").alias("first_line"),
        pl.col("label").first().over("video_id").alias("first_label"),
    )
    labelled = pl.col("label").is_not_null()
    later = ~pl.struct("video_id", "label").is_first_distinct()
    before = pl.format(" (line {})", "first_line").fill_null("")
    text = pl.format("{} has another clip of class {}{}", shown("video_id"), shown("label"), before)
    # A clip that is in two splits is a leak, and that is told elsewhere.
    same_split = pl.struct("video_id", "label", "split").is_duplicated()
    found += rows_found("id-twice-in-class", again, labelled & later & same_split, text, where=where)
    second = (
        ~pl.struct("video_id", "start_us").is_first_distinct()
        & ~pl.struct("video_id", "start_us", "label").is_duplicated()
    )
    text = pl.format(
        "{} from {} is {} here and {} elsewhere{}",
        shown("video_id"), shown_time("start_us"), shown("label"), shown("first_label"), before,
    )  # fmt: skip
    found += rows_found("clip-two-labels", again, labelled & second, text, where=where)
    plain = ~pl.col("is_first") & ~(labelled & pl.col("in_class")) & ~(labelled & pl.col("at_start"))
    text = pl.format("{} is in another row too{}", shown("video_id"), before)
    return found + rows_found("id-twice", again, plain, text, where=where)


def length_findings(rows: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Clips that do not last Kinetics' ten seconds; inverted ones are found elsewhere."""
    length_us = pl.col("end_us") - pl.col("start_us")
    timed = rows.with_columns(length_us.alias("length_us"))
    is_other = (pl.col("length_us") > 0) & (pl.col("length_us") != KINETICS_LENGTH_US)
    text = pl.format("the clip of {} lasts {}", shown("video_id"), shown_time("length_us"))
    return rows_found("clip-not-10s", timed, is_other, text, where=where)


def split_findings(rows: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Splits with unusual names; each name once, at its first line. UCF-101 and HMDB-51 number theirs: `train01`."""
    first = rows.drop_nulls("split").unique("split", keep="first", maintain_order=True)
    first = first.filter(pl.col("split").str.strip_chars() != "")
    text = pl.format("the split is called {}", shown("split"))
    is_odd = ~pl.col("split").is_in(PLAIN_SPLITS) & ~pl.col("split").str.contains(r"^(train|val|test)[0-9]+$")
    is_700 = pl.col("split") == "validate"
    return [
        *rows_found("split-odd", first, is_odd, text, where=where),
        *rows_found("split-validate", first, is_700, text, where=where),
    ]


def spelling_key(column: str) -> pl.Expr:
    """The label in small letters, with each run of spaces, - and _ as one space."""
    return pl.col(column).str.to_lowercase().str.replace_all(r"[\s_-]+", " ").str.strip_chars()


def spelling_findings(rows: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Labels (`line`, `label`) that differ from another only in case, spacing, - or _; each once."""
    labels = rows.drop_nulls("label").group_by("label", maintain_order=True).agg(pl.col("line").first())
    keyed = labels.with_columns(spelling_key("label").alias("key"))
    alike = keyed.filter(pl.struct("key").is_duplicated()) if keyed.height else keyed
    other = alike.with_columns(pl.col("label").first().over("key").alias("other"))
    text = pl.format("{} is {} elsewhere", shown("label"), shown("other"))
    return rows_found("label-spelling", other, pl.col("label") != pl.col("other"), text, where=where)


def label_findings(rows: pl.DataFrame, label_map: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Labels (`line`, `label`) that are not in the label map, each row; and classes that no row uses."""
    labelled = rows.drop_nulls("label").filter(pl.col("label") != "")
    known = label_map["name"].to_list()
    unknown = labelled.filter(~pl.col("label").is_in(known))
    hints = {}
    for label in unknown["label"].unique(maintain_order=True).head(MAX_EXAMPLES):
        near = difflib.get_close_matches(label, known, n=1)
        hints[label] = f"; did you mean {near[0]!r}?" if near else ""
    hint = pl.col("label").replace_strict(hints, default="", return_dtype=pl.String)
    text = pl.format("{} is not in the label map{}", shown("label"), hint)
    found = rows_found("class-unknown", unknown, None, text, where=where)
    used = labelled["label"].unique().to_list()
    return found + _unused(label_map.filter(~pl.col("name").is_in(used)), labelled.height, where=where)


def class_id_findings(
    rows: pl.DataFrame, label_map: pl.DataFrame | None, *, where: str | Path, is_truth: bool = True
) -> list[Finding]:
    """Class ids (`line`, `class_id`) that are not in the label map, and classes that no row uses.

    Args:
        label_map: None, or one without a class = nothing is known of the classes.
        is_truth: whether classes without a row are worth a note; of detections they are not.
    """
    named = rows.drop_nulls("class_id")
    text = pl.format("the class id is {}", "class_id")
    if label_map is None or not label_map.height:
        return []
    known = label_map["class_id"].to_list()
    is_left_out = pl.lit(frozenset(known) == _AVA_60) & pl.col("class_id").is_between(1, 80)
    unknown = named.filter(~pl.col("class_id").is_in(known))
    found = rows_found("class-unknown", unknown, ~is_left_out, pl.format("{}, not in the label map", text), where=where)
    text = pl.format("{}, one of the 20 that are left out", text)
    found += rows_found("class-not-scored", unknown, is_left_out, text, where=where)
    if not is_truth:
        return found
    used = named["class_id"].unique().to_list()
    return found + _unused(label_map.filter(~pl.col("class_id").is_in(used)), named.height, where=where)


def _unused(classes: pl.DataFrame, num_rows: int, *, where: str | Path) -> list[Finding]:
    if not num_rows or not classes.height:
        return []
    texts = classes.head(MAX_EXAMPLES).select(pl.format("no row has class {} {}", "class_id", shown("name")))
    return finding("class-unused", [(None, t) for t in texts.to_series()], where=where, count=classes.height)


def least_per_class(split: str | None, *, num_rows: int, num_classes: int) -> int:
    """Rows a class that a labelled Kinetics file of that split promises; 0 where the file promises nothing.

    50 in val and 100 in test; in train 250 with up to 400 classes and 450 with more. A file with less than half as
    many rows a class on average is no such file.

    Source: Kinetics-400 paper, table 2 (250-1000 / 50 / 100 clips a class in train / val / test); AVA-Kinetics paper,
    section 1.1: at least 600 clips a class in Kinetics-700, from which 450 = 600 - 50 - 100.

    >>> least_per_class("train", num_rows=240_000, num_classes=400), least_per_class("val", num_rows=30, num_classes=3)
    (250, 0)
    """
    train = 250 if num_classes <= 400 else 450
    least = {"train": train, "val": 50, "test": 100}.get(SPLIT_OF.get(split or "", ""), 0)
    return least if num_classes and num_rows >= least * num_classes / 2 else 0


def rare_findings(rows: pl.DataFrame, *, least: int | None, where: str | Path) -> list[Finding]:
    """Classes with fewer rows than the least, in each split; `rows` has `line`, `label` and `split`.

    Args:
        least: rows a class; 0 = off; None = what `least_per_class` says of each split.
    """
    labelled = rows.drop_nulls("label").filter(pl.col("label") != "")
    found: list[tuple[int | None, str]] = []
    for (split,), part in labelled.group_by(["split"], maintain_order=True):
        counts = part.group_by("label", maintain_order=True).agg(
            pl.col("line").first(), pl.len().cast(pl.Int64).alias("num")
        )
        wanted = least
        if wanted is None:
            name = str(split) if split is not None else None
            wanted = least_per_class(name, num_rows=part.height, num_classes=counts.height)
        rare = counts.filter(pl.col("num") < wanted).sort("num", maintain_order=True)
        inside = pl.lit(f"{f' in {split}' if split else ''}, fewer than {wanted}")
        text = pl.format("class {} has {} rows{}", shown("label"), "num", inside)
        found += rare.select("line", text.alias("text")).rows()
    return finding("class-rare", found, where=where)
