"""Checks on who stands in which box: rows as `gesta.lint.boxes` says, of ground truth."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from gesta.lint.boxes import CORNERS, KEY
from gesta.lint.findings import Finding, finding, rows_found, shown, shown_time

POSE = "PERSON_MOVEMENT"
"""The category whose classes exclude one another. Source: `ava_action_list_v2.2.pbtxt`, classes 1 to 14; of the 5,367
boxes of four films of AVA v2.1 none has two of them."""


def person_findings(rows: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Missing person ids, one id with two boxes at a key-frame, one box with two ids."""
    boxes = rows.drop_nulls(CORNERS).filter(pl.col("class_id").is_not_null() | pl.col("person_id").is_not_null())
    if not boxes.height:
        return []
    is_missing = pl.col("person_id").is_null() | (pl.col("person_id") < 0)
    num_missing = boxes.filter(is_missing).height
    if num_missing == boxes.height:
        return finding("person-none", [(None, f"none of {num_missing:,} rows has a person id")], where=where)
    text = pl.format("the row of {} at {} has no person id", shown("video_id"), shown_time())
    found = rows_found("person-missing", boxes, is_missing, text, where=where)
    known = boxes.filter(~is_missing).unique([*KEY, "person_id", *CORNERS], keep="first", maintain_order=True)
    person = [*KEY, "person_id"]
    text = pl.format("person {} of {} at {} has another box already", "person_id", shown("video_id"), shown_time())
    found += rows_found("person-two-boxes", known, ~pl.struct(person).is_first_distinct(), text, where=where)
    box = [*KEY, *CORNERS]
    text = pl.format("person {} has the box of another in {} at {}", "person_id", shown("video_id"), shown_time())
    return found + rows_found("person-two-ids", known, ~pl.struct(box).is_first_distinct(), text, where=where)


def near_findings(rows: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    """Boxes that all but equal an earlier one of their key-frame."""
    boxes = rows.drop_nulls(CORNERS).unique([*KEY, *CORNERS], keep="first", maintain_order=True)
    # numba takes a while to load, and most checks do without it.
    from gesta.lint.near_boxes import near_partners

    order = boxes.select("line", *KEY, *CORNERS).with_row_index("row").sort(*KEY, "x1", "row")
    keyed = order.with_columns(pl.struct(KEY).rle_id().alias("key"))
    corners = keyed.select(CORNERS).to_numpy()
    partner, overlap = near_partners(keyed["key"].to_numpy(), keyed["row"].to_numpy(), corners)
    told = keyed.with_columns(pl.Series("partner", partner), pl.Series("iou", overlap))
    near = told.filter(pl.col("partner") >= 0).join(
        boxes.select(pl.int_range(pl.len()).alias("partner"), pl.col("line").alias("line_b")),
        on="partner", how="left", maintain_order="left",
    ).sort("row")  # fmt: skip
    text = pl.format(
        "the box overlaps another of {} at {} by {}{}",
        shown("video_id"),
        shown_time(),
        pl.col("iou").round(6),
        pl.format(" (line {})", "line_b").fill_null(""),
    )
    return rows_found("box-near-twice", near, None, text, where=where)


def pose_findings(rows: pl.DataFrame, label_map: pl.DataFrame | None, *, where: str | Path) -> list[Finding]:
    """Boxes with two classes of the category that says how a person stands or moves."""
    if label_map is None or "category" not in label_map.columns:
        return []
    poses = label_map.filter(pl.col("category") == POSE)["class_id"].to_list()
    box = [*KEY, *CORNERS]
    posed = (
        rows.drop_nulls(CORNERS)
        .filter(pl.col("class_id").is_in(poses))
        .unique([*box, "person_id", "class_id"], keep="first", maintain_order=True)
    )
    same = [*box, "person_id"]
    told = posed.with_columns(pl.col("class_id").first().over(same).alias("first_class"))
    text = pl.format(
        "the box of {} at {} has the poses {} and {}", shown("video_id"), shown_time(), "first_class", "class_id"
    )
    return rows_found("person-two-poses", told, ~pl.struct(same).is_first_distinct(), text, where=where)
