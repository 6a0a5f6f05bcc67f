"""Kept clips into an immutable, versioned folder: splits, tables, exports, manifest, card."""

from gesta.release.annotations import annotations_of
from gesta.release.build import run_release
from gesta.release.manifest import read_manifest, verify_release
from gesta.release.plan import Plan, plan_release
from gesta.release.splits import SPLITS, assign_splits, groups_of_videos

__all__ = [
    "SPLITS", "Plan", "annotations_of", "assign_splits", "groups_of_videos", "plan_release", "read_manifest",
    "run_release", "verify_release",
]  # fmt: skip
