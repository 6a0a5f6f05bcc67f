"""Rows of the items table for the reviews: clusters of copies, and pages of a class's clips."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from gesta.label.item_sources import as_items
from gesta.schema import MAX_CLIPS_PER_PAGE, class_item_id_of, copy_pages, reviews_of
from gesta.tables import read_table, rows_of, table_path


def cluster_items(work: Path) -> pl.DataFrame:
    """A cluster item for each page of copies that `curate` found and people have not settled.

    Raises:
        MissingTable: `curate` has not run.
    Source: Kinetics-700-2020 paper, section 2.
    """
    has_reviews = table_path(work, "reviews").is_file()
    reviews = reviews_of(rows_of("reviews", read_table(work, "reviews")) if has_reviews else [])
    rows: list[dict[str, Any]] = [
        {
            "item_id": page.item_id,
            "clip_id": page.clip_ids[0],
            "detail": {"cluster_id": page.cluster, "clips": page.clip_ids, "similarity": page.similarity},
        }
        for page in copy_pages(rows_of("duplicates", read_table(work, "duplicates")), reviews)
    ]
    return _as_review_items(rows, kind="cluster")


def class_items(work: Path) -> pl.DataFrame:
    """A class item for each page of a class's clips, from the one that shows the action most surely to the least.

    The clips are those that curation kept, else those that workers accepted, but for those that were reviewed. They
    are ranked by `clip_scores`, where there is that table, else by the share of workers who said yes; a clip without
    a score comes last. A clip that looks like one ranked above it follows that one at once, and says so (`near`).

    Raises:
        MissingTable: there is no consensus on clips yet.
    Source: Kinetics-400 paper, section 3.4 (final filtering); the pages: ours.
    """
    labels = read_table(work, "clip_labels")
    if table_path(work, "kept").is_file():
        clips = read_table(work, "kept").select("clip_id", "class_id")
    else:
        clips = labels.filter(verdict="accepted").select("clip_id", "class_id")
    if table_path(work, "reviews").is_file():
        seen = read_table(work, "reviews").filter(kind="class").select("clip_id", "class_id")
        clips = clips.join(seen, on=["clip_id", "class_id"], how="anti")
    if table_path(work, "clip_scores").is_file():
        scores = read_table(work, "clip_scores")
    else:
        said = pl.sum_horizontal("num_yes", "num_no", "num_unsure", "num_broken")
        scores = labels.filter(said > 0).select("clip_id", "class_id", score=pl.col("num_yes") / said)
    ranked = clips.join(scores, on=["clip_id", "class_id"], how="left").sort(
        "class_id", "score", "clip_id", descending=[False, True, False], nulls_last=True
    )
    pairs: list[tuple[str, str]] = []
    if table_path(work, "duplicates").is_file():
        pairs = read_table(work, "duplicates").select("clip_id_a", "clip_id_b").rows()
    group_of = _groups(pairs)
    rows = [
        row
        for (class_id,), part in ranked.group_by("class_id", maintain_order=True)
        for row in _pages_of_class(part.select("clip_id", "score").rows(), class_id=class_id, group_of=group_of)
    ]
    return _as_review_items(rows, kind="class")


def _groups(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A name for each clip's connected component: its least clip id."""
    parent: dict[str, str] = {}

    def root(clip_id: str) -> str:
        while parent.setdefault(clip_id, clip_id) != clip_id:
            parent[clip_id] = parent[parent[clip_id]]
            clip_id = parent[clip_id]
        return clip_id

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return {clip_id: root(clip_id) for clip_id in parent}


def _pages_of_class(
    ranked: Sequence[tuple[str, float | None]], *, class_id: object, group_of: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The rows of one class, from its clips and scores in the order of rank."""
    groups: dict[str, list[tuple[str, float | None]]] = {}
    for clip_id, score in ranked:
        groups.setdefault(group_of.get(clip_id, clip_id), []).append((clip_id, score))
    pages: list[list[dict[str, Any]]] = [[]]
    for group in groups.values():
        # Look-alikes that fit on one page are not parted.
        if pages[-1] and len(pages[-1]) + len(group) > MAX_CLIPS_PER_PAGE:
            pages.append([])
        first = len(pages[-1])
        for clip_id, score in group:
            if len(pages[-1]) == MAX_CLIPS_PER_PAGE:
                pages.append([])
                first = 0
            near = None if len(pages[-1]) == first else first
            pages[-1].append({"clip_id": clip_id, "score": score, "near": near})
    return [
        {
            "item_id": class_item_id_of(class_id=int(str(class_id)), clip_ids=[clip["clip_id"] for clip in page]),
            "clip_id": page[0]["clip_id"],
            "class_id": class_id,
            "detail": {"clips": page, "page": number},
        }
        for number, page in enumerate(pages, start=1)
        if page
    ]


def _as_review_items(rows: Sequence[Mapping[str, Any]], *, kind: str) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "clip_id": [row["clip_id"] for row in rows],
            "class_id": [row.get("class_id") for row in rows],
            "detail": [json.dumps(row["detail"]) for row in rows],
        },
        schema={"clip_id": pl.String(), "class_id": pl.Int64(), "detail": pl.String()},
    )
    return as_items(frame, kind=kind, item_ids=[row["item_id"] for row in rows])
