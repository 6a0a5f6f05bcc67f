"""Verdicts from votes, and the quality of workers. Pure functions over the vote table. No torch."""

from gesta.consensus.stage import run_consensus
from gesta.consensus.verdicts import (
    box_verdicts,
    clip_verdicts,
    item_verdicts,
    vote_fates,
    worker_quality,
    worker_trust,
)

__all__ = [
    "box_verdicts", "clip_verdicts", "item_verdicts", "run_consensus", "vote_fates", "worker_quality", "worker_trust",
]  # fmt: skip
