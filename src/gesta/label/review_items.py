"""Rows of the items table for the reviews: clusters of copies, and pages of a class's clips."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from gesta.label.item_sources import as_items
from gesta.schema import MAX_CLIPS_PER_PAGE, BadInput, class_item_id_of, copy_pages, reviews_of
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


def class_items(work: Path, *, lowest_frac: float = 1.0) -> pl.DataFrame:
    """A class item for each page of a class's clips, from the one that shows the action most surely to the least.

    The clips are those that curation kept, else those that workers accepted, but for those that were reviewed. They
    are ranked by `clip_scores`, where there is that table, else by `fold_scores`, else by the share of workers who said
    yes; a clip without a score comes last. Copies that are left over have nearly the same score and so stand side by
    side. A clip that is known to look like one ranked above it follows that one at once, and says so (`near`). A clip
    of `label_issues` says what it seems to show (`suggested`, a name).

    Args:
        work: the work folder.
        lowest_frac: of each class's clips only so many of the least sure, rounded up; 1 = all.
    Raises:
        MissingTable: there is no consensus on clips yet.
        BadInput: `lowest_frac` is not above 0 and up to 1.
    Source: Kinetics-400 paper, section 3.4 (final filtering: "noisy examples were often among the lowest ranked
        examples", and remaining duplicates adjacent); the pages: ours.
    """
    if not 0 < lowest_frac <= 1:
        raise BadInput(f"lowest_frac={lowest_frac}", mend="Want more than 0 and at most 1")
    labels = read_table(work, "clip_labels")
    if table_path(work, "kept").is_file():
        clips = read_table(work, "kept").select("clip_id", "class_id")
    else:
        clips = labels.filter(verdict="accepted").select("clip_id", "class_id")
    if table_path(work, "reviews").is_file():
        seen = read_table(work, "reviews").filter(kind="class").select("clip_id", "class_id")
        clips = clips.join(seen, on=["clip_id", "class_id"], how="anti")
    ranked = clips.join(_class_scores(work, labels), on=["clip_id", "class_id"], how="left").sort(
        "class_id", "score", "clip_id", descending=[False, True, False], nulls_last=True
    )
    if lowest_frac < 1:
        place, num = pl.int_range(pl.len()).over("class_id"), pl.len().over("class_id")
        ranked = ranked.filter(place >= num - (num * lowest_frac).ceil())
    pairs: list[tuple[str, str]] = []
    if table_path(work, "duplicates").is_file():
        pairs = read_table(work, "duplicates").select("clip_id_a", "clip_id_b").rows()
    group_of = _groups(pairs)
    suggested = _suggestions(work)
    rows = [
        row
        for (class_id,), part in ranked.group_by("class_id", maintain_order=True)
        for row in _pages_of_class(
            part.select("clip_id", "score").rows(), class_id=int(str(class_id)), group_of=group_of, suggested=suggested
        )
    ]
    return _as_review_items(rows, kind="class")


def _class_scores(work: Path, labels: pl.DataFrame) -> pl.DataFrame:
    """clip_id, class_id and score of whatever ranks the clips of a class."""
    if table_path(work, "clip_scores").is_file():
        return read_table(work, "clip_scores")
    if table_path(work, "fold_scores").is_file():
        return read_table(work, "fold_scores").select("clip_id", "class_id", "score")
    said = pl.sum_horizontal("num_yes", "num_no", "num_unsure", "num_broken")
    return labels.filter(said > 0).select("clip_id", "class_id", score=pl.col("num_yes") / said)


def _suggestions(work: Path) -> dict[tuple[str, int], str]:
    """What a clip seems to show instead of a class, where its label is held to be wrong."""
    if not table_path(work, "label_issues").is_file():
        return {}
    names = dict(read_table(work, "label_map").select("class_id", "name").iter_rows())
    issues = read_table(work, "label_issues").select("clip_id", "class_id", "suggested_class_id")
    return {(clip_id, class_id): names.get(other, str(other)) for clip_id, class_id, other in issues.iter_rows()}


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
    ranked: Sequence[tuple[str, float | None]],
    *,
    class_id: int,
    group_of: Mapping[str, str],
    suggested: Mapping[tuple[str, int], str],
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
            clip = {"clip_id": clip_id, "score": score, "near": near}
            if (clip_id, class_id) in suggested:
                clip["suggested"] = suggested[clip_id, class_id]
            pages[-1].append(clip)
    return [
        {
            "item_id": class_item_id_of(class_id=class_id, clip_ids=[clip["clip_id"] for clip in page]),
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
