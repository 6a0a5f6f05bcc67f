"""Checks on rows of boxes, whatever file they came from.

A frame of rows has `line` (null where lines mean nothing), `video_id`, `timestamp_us`, `x1`, `y1`, `x2`, `y2`,
`class_id`, `person_id`, `score`; corners null: a key-frame without boxes.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gesta.lint.findings import MAX_EXAMPLES, Finding, finding, rows_found, shown, shown_time

CORNERS = ["x1", "y1", "x2", "y2"]
KEY = ["video_id", "timestamp_us"]

PIXELS_FROM = 2.0
"""A corner above this is in pixels. Source: ours; a box may stick out of the frame, but not by the frame's size."""

MIN_BOXES_TO_JUDGE = 20
"""Fewer boxes say nothing of their axes. Source: ours."""

MIN_WIDE_SHARE = 0.75
"""Share of boxes wider than high, as fractions, from which x and y are thought to be exchanged. Source: ours; 9 % of
the boxes of half of AVA-Kinetics val are, and 4 % of those of four films of AVA v2.1."""

MIN_INVERTED_SHARE = 0.2
"""Share of boxes inverted as corners from which they are thought to be x, y, width, height. Source: ours."""

DETECTIONS_CAP = 50
"""Rows of a key-frame that count. Source: `ActivityNet/Evaluation/get_ava_performance.py`, `read_csv(..., 50)`."""


def box_findings(rows: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """What is wrong with corners: inverted, empty, outside, in pixels, axes exchanged, sizes for corners."""
    boxes = rows.drop_nulls(CORNERS)
    box = pl.format("the box is ({}, {}, {}, {})", *CORNERS)
    is_inverted = (pl.col("x2") < pl.col("x1")) | (pl.col("y2") < pl.col("y1"))
    is_empty = ~is_inverted & ((pl.col("x2") == pl.col("x1")) | (pl.col("y2") == pl.col("y1")))
    highest, lowest = pl.max_horizontal(CORNERS), pl.min_horizontal(CORNERS)
    is_pixels = highest > PIXELS_FROM
    is_outside = ~is_pixels & ((highest > 1) | (lowest < 0))
    return [
        *rows_found("box-inverted", boxes, is_inverted, box, where=where),
        *rows_found("box-empty", boxes, is_empty, box, where=where),
        *rows_found("box-pixels", boxes, is_pixels, box, where=where),
        *rows_found("box-outside", boxes, is_outside, box, where=where),
        *_shape_findings(boxes, is_inverted, where=where),
    ]


def _shape_findings(boxes: pl.DataFrame, is_inverted: pl.Expr, *, where: str | Path) -> list[Finding]:
    """Suspicions about the whole file, from boxes within the frame, each counted once."""
    inside = boxes.unique(["video_id", "timestamp_us", *CORNERS]).filter(
        (pl.max_horizontal(CORNERS) <= 1) & (pl.min_horizontal(CORNERS) >= 0)
    )
    upright = inside.filter(~is_inverted)
    found: list[Finding] = []
    num_wide = upright.filter((pl.col("x2") - pl.col("x1")) > (pl.col("y2") - pl.col("y1"))).height
    if upright.height >= MIN_BOXES_TO_JUDGE and num_wide >= MIN_WIDE_SHARE * upright.height:
        text = f"{num_wide:,} of {upright.height:,} boxes are wider than high, as fractions of the frame"
        found += finding("box-axes", [(None, text)], where=where)
    num_inverted = inside.height - upright.height
    fits = inside.filter((pl.col("x1") + pl.col("x2") <= 1.01) & (pl.col("y1") + pl.col("y2") <= 1.01)).height
    is_many = num_inverted >= MIN_INVERTED_SHARE * inside.height
    if inside.height >= MIN_BOXES_TO_JUDGE and is_many and fits == inside.height:
        text = f"{num_inverted:,} of {inside.height:,} boxes are inverted as corners, and all fit the frame as sizes"
        found += finding("box-width-height", [(None, text)], where=where)
    return found


def repeated_findings(rows: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """The same box and action twice, and key-frames that are listed twice or both empty and not."""
    boxes = rows.drop_nulls(CORNERS)
    same = [*KEY, *CORNERS, "class_id"]
    is_first = pl.struct(same).is_first_distinct()
    twice = boxes.filter(pl.struct(same).is_duplicated()) if boxes.height else boxes
    twice = twice.with_columns(pl.col("line").first().over(same).alias("first_line"), is_first.alias("is_first"))
    message = pl.format(
        "class {} of this box of {} at {} was given {}",
        pl.col("class_id").cast(pl.String).fill_null("none"),
        shown("video_id"),
        shown_time(),
        pl.format("in line {}", "first_line").fill_null("already"),
    )
    bare = rows.filter(pl.col("x1").is_null())
    contradicting = bare.join(boxes.select(KEY).unique(), on=KEY, how="semi", maintain_order="left")
    at = pl.format("{} at {}", shown("video_id"), shown_time())
    return [
        *rows_found("box-action-twice", twice, ~pl.col("is_first"), message, where=where),
        *rows_found("key-frame-contradicts", contradicting, None, pl.format("{} has boxes too", at), where=where),
        *key_frame_twice(bare, where=where),
    ]


def key_frame_twice(bare: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Key-frames that rows without boxes name twice."""
    at = pl.format("{} at {} is listed already", shown("video_id"), shown_time())
    return rows_found("key-frame-twice", bare, ~pl.struct(KEY).is_first_distinct(), at, where=where)


def score_findings(rows: pl.DataFrame, *, where: str | Path, num_decimals: int | None = None) -> list[Finding]:
    """What is wrong with the scores of detections.

    Args:
        num_decimals: the most decimals that a score of the file has; None = not known.
    """
    boxes = rows.drop_nulls(CORNERS)
    scored = boxes.filter(pl.col("score").is_not_null() & pl.col("score").is_finite())
    text = pl.format("the score is {}", "score")
    found = rows_found("score-outside", scored, ~pl.col("score").is_between(0, 1), text, where=where)
    # Two columns of the csv are no detection, and a NaN is found by itself.
    found += rows_found(
        "score-missing", boxes, pl.col("score").is_null(), pl.lit("the detection has no score"), where=where
    )
    found += rows_found("score-not-finite", boxes, ~pl.col("score").is_finite(), text, where=where)
    if scored.height > 1 and scored["score"].n_unique() == 1:
        found += finding("score-constant", [(None, f"all scores are {scored['score'][0]}")], where=where)
    elif num_decimals is not None and num_decimals <= 4:
        found += _tie_findings(scored, num_decimals=num_decimals, where=where)
    return found


MIN_TIED_SHARE = 0.1
"""Share of scores that equal another of their class, from which ties are told. Source: ours."""


def _tie_findings(scored: pl.DataFrame, *, num_decimals: int, where: str | Path) -> list[Finding]:
    num_tied = scored.filter(pl.struct("class_id", "score").is_duplicated()).height if scored.height else 0
    if num_tied <= MIN_TIED_SHARE * scored.height:
        return []
    text = f"{num_tied:,} of {scored.height:,} scores equal another of their class, at {num_decimals} decimals"
    return finding("score-ties", [(None, text)], where=where)


def cap_findings(rows: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Key-frames with more detections than the official evaluator keeps."""
    per_key = (
        rows.drop_nulls(CORNERS)
        .group_by(KEY, maintain_order=True)
        .agg(pl.col("line").first(), pl.len().alias("num").cast(pl.Int64))
    )
    text = pl.format("{} at {} has {} detections", shown("video_id"), shown_time(), "num")
    return rows_found("detections-over-cap", per_key, pl.col("num") > DETECTIONS_CAP, text, where=where)


def groundtruth_findings(rows: pl.DataFrame, groundtruth: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Detections that the ground truth has no key-frame for, and its key-frames with boxes that have no detection.

    Args:
        groundtruth: `video_id`, `timestamp_us` and `has_box`, a row a key-frame.
    """
    detected = rows.drop_nulls(CORNERS).group_by(KEY, maintain_order=True).agg(pl.col("line").first())
    unknown = detected.join(groundtruth, on=KEY, how="anti", maintain_order="left")
    if unknown.height == detected.height and detected.height and groundtruth.height:
        first, other = (
            frame.head(1).select(pl.format("{} at {}", shown("video_id"), shown_time())).item()
            for frame in (detected, groundtruth)
        )
        text = f"no key-frame is in both: {first} here, {other} in the ground truth"
        return finding("groundtruth-disjoint", [(None, text)], where=where)
    at = pl.format("{} at {}", shown("video_id"), shown_time())
    found = rows_found(
        "detection-unknown-key-frame",
        unknown,
        None,
        pl.format("{} is not in the ground truth", at),
        where=where,
    )
    missed = groundtruth.filter("has_box").join(detected, on=KEY, how="anti", maintain_order="left")
    texts = missed.head(MAX_EXAMPLES).select(pl.format("{} has boxes and no detection", at)).to_series()
    return found + finding("groundtruth-undetected", [(None, t) for t in texts], where=where, count=missed.height)
