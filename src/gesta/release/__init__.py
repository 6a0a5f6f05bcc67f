"""Kept clips into an immutable, versioned folder: splits, tables, exports, manifest, card; and what comes after it."""

from gesta.release.annotations import annotations_of
from gesta.release.build import run_release
from gesta.release.diff import Diff, Version, diff_of, diff_versions, read_version
from gesta.release.growth import Earlier, read_earlier
from gesta.release.manifest import read_manifest, verify_release
from gesta.release.per_class import PerClass, assign_per_class, parse_per_class
from gesta.release.plan import Plan, Splitting, plan_release
from gesta.release.replenish import Replenishment, gone_videos, read_yields, replenishment_of, write_replenishment
from gesta.release.short_classes import ShortClass
from gesta.release.splits import SPLITS, assign_splits, groups_of_videos
from gesta.release.video_lists import read_video_ids

__all__ = [
    "SPLITS", "Diff", "Earlier", "PerClass", "Plan", "Replenishment", "ShortClass", "Splitting", "Version",
    "annotations_of", "assign_per_class", "assign_splits", "diff_of", "diff_versions", "gone_videos",
    "groups_of_videos", "parse_per_class", "plan_release", "read_earlier", "read_manifest", "read_version",
    "read_video_ids", "read_yields", "replenishment_of", "run_release", "verify_release", "write_replenishment",
]  # fmt: skip
