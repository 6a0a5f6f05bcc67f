"""Verdicts from votes, and the quality of workers. Pure functions over the vote table. No torch."""

from gesta.consensus.dawid_skene import DawidSkene, dawid_skene, worker_skill
from gesta.consensus.early_stop import Replay, replay
from gesta.consensus.majority import Majority, majority
from gesta.consensus.stage import run_consensus
from gesta.consensus.verdicts import (
    box_verdicts,
    clip_verdicts,
    item_verdicts,
    vote_fates,
    worker_quality,
    worker_trust,
)
from gesta.consensus.vote_arrays import VoteArrays, vote_arrays

__all__ = [
    "DawidSkene", "Majority", "Replay", "VoteArrays", "box_verdicts", "clip_verdicts", "dawid_skene", "item_verdicts",
    "majority", "replay", "run_consensus", "vote_arrays", "vote_fates", "worker_quality", "worker_skill",
    "worker_trust",
]  # fmt: skip
