"""Candidates from titles and uniform windows: clips that may show an action."""

from gesta.mine.run import Mined, mine_videos, plan_mine, run_mine
from gesta.mine.titles import PhraseIndex, classes_in, forms_of, index_of_classes, phrases_of, words_of
from gesta.mine.windows import MIN_CLIP_US, even_windows

__all__ = [
    "MIN_CLIP_US",
    "Mined",
    "PhraseIndex",
    "classes_in",
    "even_windows",
    "forms_of",
    "index_of_classes",
    "mine_videos",
    "phrases_of",
    "plan_mine",
    "run_mine",
    "words_of",
]
