"""One self-contained page of what the line did: funnel, clips, classes, votes, workers, duplicates, scores."""

from gesta.report.page import SECTIONS, newest_release, run_report

__all__ = ["SECTIONS", "newest_release", "run_report"]
