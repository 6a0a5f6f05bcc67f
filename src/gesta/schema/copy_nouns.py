"""The noun of de-duplication: clips that hang together as copies of one another."""

from __future__ import annotations

from dataclasses import dataclass

from gesta.schema.nouns import column


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """Clips that hang together by pairs of copies, with how unlike the most unlike two of them are."""

    component: int = column("from 0, the loosest first")
    cluster: int = column("cluster in `duplicates` that it is, or is a class's part of")
    class_id: int | None = column("action inside which clips were compared; null when all were", default=None)
    num_clips: int = column("clips in it")
    num_videos: int = column("videos they are of")
    num_classes: int = column("actions that they were accepted for; 0 when none was")
    num_splits: int | None = column("splits of the earlier release that they are in; null without one", default=None)
    num_pairs: int = column("pairs of them that were found alike")
    min_cosine: float = column("cosine from which a pair counted")
    least_cosine: float = column("lowest cosine of any two of them; below `min_cosine` they are a chain")
    kept_clip_id: str | None = column("clip that stays for it; null when people took the last one out", default=None)
