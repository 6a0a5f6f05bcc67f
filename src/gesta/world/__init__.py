"""A rendered world of people doing things, with exact truth: for the demo and the tests."""

from gesta.world.score import DuplicateScore, LabelScore, footage_of, score_clip_labels, score_duplicates
from gesta.world.truth import answers_of_items, truth_at_key_frames
from gesta.world.write import plan_summary, render_world

__all__ = [
    "DuplicateScore",
    "LabelScore",
    "answers_of_items",
    "footage_of",
    "plan_summary",
    "render_world",
    "score_clip_labels",
    "score_duplicates",
    "truth_at_key_frames",
]
