"""Components of copies as rows of a table, the loosest first, so that chaining is seen.

Legend: F = frames of all clips, D = length of a vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.keep import Standing
from gesta.schema import Component

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The clips of one component, and what was found of it; `class_id` is None where all clips were compared."""

    cluster: int
    class_id: int | None
    clip_ids: tuple[str, ...]
    num_pairs: int
    min_cosine: float
    least_cosine: float
    kept_clip_id: str | None


def component_rows(
    groups: Iterable[Members],
    standing: Mapping[str, Standing],
    classes_of: Mapping[str, frozenset[int]],
    split_of_video: Mapping[str, str] | None,
) -> list[Component]:
    """One row a component, numbered from the one whose least alike members are most unlike.

    Args:
        groups: the components.
        standing: of every clip of theirs.
        classes_of: the actions that clips were accepted for.
        split_of_video: splits of an earlier release; None = there is none.
    """
    rows: list[Component] = []
    for group in sorted(groups, key=lambda one: (one.least_cosine, one.cluster, one.class_id or 0)):
        videos = {standing[clip_id].video_id for clip_id in group.clip_ids}
        classes = {class_id for clip_id in group.clip_ids for class_id in classes_of.get(clip_id, frozenset())}
        splits = None if split_of_video is None else {split_of_video[video] for video in videos & split_of_video.keys()}
        rows.append(
            Component(
                component=len(rows), cluster=group.cluster, class_id=group.class_id, num_clips=len(group.clip_ids),
                num_videos=len(videos), num_classes=len(classes), num_splits=None if splits is None else len(splits),
                num_pairs=group.num_pairs, min_cosine=group.min_cosine, least_cosine=round(group.least_cosine, 6),
                kept_clip_id=group.kept_clip_id,
            )
        )  # fmt: skip
    return rows


def footage_members(
    duplicates: pl.DataFrame, vectors_FD: Floats, clip_ids_F: Sequence[str], *, min_cosine: float
) -> list[Members]:
    """The clusters of clips that share footage; how alike two clips are is the cosine of their most alike frames.

    Args:
        duplicates: of kind `duplicates`.
        vectors_FD: float32 [F, D] of length 1, the frames of all clips.
        clip_ids_F: the clip of each frame.
        min_cosine: from which a pair was looked at.
    """
    rows_of: dict[str, list[int]] = {}
    wanted = set(duplicates["clip_id_a"]) | set(duplicates["clip_id_b"])
    for row, clip_id in enumerate(clip_ids_F):
        if clip_id in wanted:
            rows_of.setdefault(clip_id, []).append(row)
    found = []
    for (cluster,), pairs in duplicates.group_by("cluster", maintain_order=True):
        clip_ids = sorted({*pairs["clip_id_a"], *pairs["clip_id_b"]})
        least = min(
            float((vectors_FD[rows_of[a]] @ vectors_FD[rows_of[b]].T).max()) for a, b in combinations(clip_ids, 2)
        )
        found.append(
            Members(
                cluster=int(str(cluster)), class_id=None, clip_ids=tuple(clip_ids), num_pairs=len(pairs),
                min_cosine=min_cosine, least_cosine=least, kept_clip_id=pairs["kept_clip_id"][0],
            )
        )  # fmt: skip
    return found
