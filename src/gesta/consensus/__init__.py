"""Verdicts from votes, and the quality of workers. Pure functions over the vote table. No torch."""

from gesta.consensus.dawid_skene import DawidSkene, dawid_skene, item_posteriors, worker_skill
from gesta.consensus.early_stop import Replay, replay
from gesta.consensus.frames import MergedBox, key_frame_boxes, merged_boxes
from gesta.consensus.majority import Majority, majority
from gesta.consensus.merges import Judged, judge, merged, read_merges, resolved
from gesta.consensus.persons import proposed_labels
from gesta.consensus.reviews import clip_reviews, folded, suggestions
from gesta.consensus.stage import run_consensus
from gesta.consensus.standing import standing_votes
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
    "DawidSkene", "Judged", "Majority", "MergedBox", "Replay", "VoteArrays", "box_verdicts", "clip_reviews",
    "clip_verdicts", "dawid_skene", "folded", "item_posteriors", "item_verdicts", "judge", "key_frame_boxes",
    "majority", "merged", "merged_boxes", "proposed_labels", "read_merges", "replay", "resolved", "run_consensus",
    "standing_votes", "suggestions", "vote_arrays", "vote_fates", "worker_quality", "worker_skill", "worker_trust",
]  # fmt: skip
