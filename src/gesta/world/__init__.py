"""A rendered world of people doing things, with exact truth: for the demo, for training and for the tests."""

from gesta.world.motion_score import MotionScore, score_motions
from gesta.world.motion_set import plan_motions_summary, render_motions
from gesta.world.motions import PAIRS, partner_of
from gesta.world.people_set import long_and_short, plan_people_summary, render_people
from gesta.world.plan import COPY_DAMAGE, LINE_COPIES, Copies
from gesta.world.score import (
    CopyKindScore,
    DuplicateScore,
    LabelScore,
    footage_of,
    score_clip_labels,
    score_copies,
    score_duplicates,
)
from gesta.world.truth import answers_of_items, truth_at_key_frames
from gesta.world.write import plan_summary, render_world

__all__ = [
    "COPY_DAMAGE",
    "LINE_COPIES",
    "PAIRS",
    "Copies",
    "CopyKindScore",
    "DuplicateScore",
    "LabelScore",
    "MotionScore",
    "answers_of_items",
    "footage_of",
    "long_and_short",
    "partner_of",
    "plan_motions_summary",
    "plan_people_summary",
    "plan_summary",
    "render_motions",
    "render_people",
    "render_world",
    "score_clip_labels",
    "score_copies",
    "score_duplicates",
    "score_motions",
    "truth_at_key_frames",
]
