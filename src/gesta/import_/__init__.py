"""Folders of videos and annotation files made tables."""

from gesta.import_.annotations import (
    Imported,
    plan_import_annotations,
    read_annotations,
    run_import_annotations,
)

__all__ = ["Imported", "plan_import_annotations", "read_annotations", "run_import_annotations"]
