"""Candidates from titles, windows and responses of frames: clips that may show an action."""

from gesta.mine.candidates import Mined, Naming, Responses, mine_videos, name_videos, responses_of
from gesta.mine.frame_classifiers import ClassifierSource, FrameClassifier, classifier_of, columns_of
from gesta.mine.frame_scores import score_frames, score_video
from gesta.mine.positions import clip_around, clips_at_responses, top_responses
from gesta.mine.run import FrameSearch, plan_mine, run_mine
from gesta.mine.titles import PhraseIndex, classes_in, forms_of, index_of_classes, phrases_of, words_of
from gesta.mine.windows import MIN_CLIP_US, even_windows

__all__ = [
    "MIN_CLIP_US",
    "ClassifierSource",
    "FrameClassifier",
    "FrameSearch",
    "Mined",
    "Naming",
    "PhraseIndex",
    "Responses",
    "classes_in",
    "classifier_of",
    "clip_around",
    "clips_at_responses",
    "columns_of",
    "even_windows",
    "forms_of",
    "index_of_classes",
    "mine_videos",
    "name_videos",
    "phrases_of",
    "plan_mine",
    "responses_of",
    "run_mine",
    "score_frames",
    "score_video",
    "top_responses",
    "words_of",
]
