"""What people decided of copies, and the pages on which copies are shown to them.

Curation replays the decisions and draws the pages as animations, and the labelling service shows the pages, so both
stand here.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gesta.schema.crowd_nouns import ClipReview
from gesta.schema.nouns import Duplicate, cluster_item_id_of

MAX_CLIPS_PER_PAGE = 48
"""Clips that a reviewer sees at once at most. Source: ours; as many looping clips as a laptop shows and plays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviews:
    """What people decided: clips that stay and go of the copies they saw, and clips that go from a class.

    `seen_in` names the reviews of copies that each clip was in.
    """

    chosen: frozenset[str]
    gone: frozenset[str]
    gone_from: frozenset[tuple[str, int]]
    seen_in: Mapping[str, frozenset[str]]

    def settles(self, clip_id_a: str, clip_id_b: str) -> bool:
        """Whether people saw both clips side by side."""
        nowhere: frozenset[str] = frozenset()
        return bool(self.seen_in.get(clip_id_a, nowhere) & self.seen_in.get(clip_id_b, nowhere))

    def reason_to_go(self, clip_id: str, class_id: int) -> str:
        """Why the clip goes from the class; empty when people did not take it out."""
        if clip_id in self.gone:
            return "duplicate"
        return "other-action" if (clip_id, class_id) in self.gone_from else ""


def reviews_of(rows: Iterable[ClipReview]) -> Reviews:
    """The rows of table `reviews` put together; a clip that one review of copies takes out is gone."""
    listed = list(rows)
    seen_in: dict[str, set[str]] = defaultdict(set)
    for row in listed:
        if row.kind == "cluster":
            seen_in[row.clip_id].add(row.item_id)
    gone = frozenset(row.clip_id for row in listed if row.kind == "cluster" and not row.is_kept)
    return Reviews(
        chosen=frozenset(seen_in) - gone,
        gone=gone,
        gone_from=frozenset(
            (row.clip_id, row.class_id)
            for row in listed
            if row.kind == "class" and not row.is_kept and row.class_id is not None
        ),
        seen_in={clip_id: frozenset(items) for clip_id, items in seen_in.items()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPage:
    """Copies that are shown side by side: the review's item, their cluster, and the likeness of pairs of them.

    `similarity` holds two places in `clip_ids` and their cosine, sorted.
    """

    item_id: str
    cluster: int
    clip_ids: tuple[str, ...]
    similarity: tuple[tuple[int, int, float], ...]


def copy_pages(pairs: Iterable[Duplicate], reviews: Reviews) -> list[CopyPage]:
    """The pages on which people look at clusters of copies, clusters in order; a large one has several, about equal.

    A clip stands beside those it looks like: the clips are walked from the first one, nearest first. What people have
    decided is not asked again: clips that they took out and pairs that they saw side by side are left out.

    Source: Kinetics-700-2020 paper, section 2; the pages: ours.
    """
    clusters: dict[int, dict[tuple[str, str], float]] = defaultdict(dict)
    for pair in pairs:
        a, b = pair.clip_id_a, pair.clip_id_b
        if not ({a, b} & reviews.gone or reviews.settles(a, b)):
            clusters[pair.cluster][a, b] = pair.cosine
    return [page for cluster, alike in sorted(clusters.items()) for page in _pages_of(cluster, alike)]


def _pages_of(cluster: int, alike: Mapping[tuple[str, str], float]) -> list[CopyPage]:
    pages = []
    for clip_ids in _even_pages(_walk(alike)):
        place = {clip_id: number for number, clip_id in enumerate(clip_ids)}
        similarity = sorted(
            (min(place[a], place[b]), max(place[a], place[b]), round(cosine, 4))
            for (a, b), cosine in alike.items()
            if a in place and b in place
        )
        pages.append(
            CopyPage(
                item_id=cluster_item_id_of(clip_ids=clip_ids), cluster=cluster, clip_ids=tuple(clip_ids),
                similarity=tuple(similarity),
            )
        )  # fmt: skip
    return pages


def _walk(alike: Mapping[tuple[str, str], float]) -> list[str]:
    """Every clip of the pairs once, each after one that it looks like (depth first, the most alike first)."""
    partners: dict[str, dict[str, float]] = defaultdict(dict)
    for (a, b), cosine in alike.items():
        partners[a][b] = partners[b][a] = cosine
    seen: dict[str, None] = {}
    stack = sorted(partners, reverse=True)
    while stack:
        clip_id = stack.pop()
        if clip_id not in seen:
            seen[clip_id] = None
            new = [other for other in partners[clip_id] if other not in seen]
            stack += sorted(new, key=lambda other: (partners[clip_id][other], other))
    return list(seen)


def _even_pages(clip_ids: Sequence[str]) -> list[list[str]]:
    num_pages = -(-len(clip_ids) // MAX_CLIPS_PER_PAGE)
    ends = [len(clip_ids) * page // num_pages for page in range(num_pages + 1)]
    return [list(clip_ids[start:end]) for start, end in itertools.pairwise(ends)]
