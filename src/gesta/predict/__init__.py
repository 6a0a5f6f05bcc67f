"""A trained model on a release, and on any video: persons on key-frames, labels of clips, features. Needs `train`.

The room itself can be called: `gesta.predict("party.mp4", model="model.pt")` is `gesta.predict.call.predict`.
"""

import sys
from types import ModuleType

from gesta.predict.call import Prediction, predict
from gesta.predict.clip_models import ClipModel, load_clip_model
from gesta.predict.clips import label_video, run_predict_clips
from gesta.predict.features import run_features, video_features
from gesta.predict.key_frames import clip_scores, run_score, score_key_frames
from gesta.predict.streams.loading import load_person_scorer
from gesta.predict.streams.moments import Moment, PersonNow
from gesta.predict.videos import predict_video, run_predict, videos_under

__all__ = [
    "ClipModel", "Moment", "PersonNow", "Prediction", "clip_scores", "label_video", "load_clip_model",
    "load_person_scorer", "predict", "predict_video", "run_features", "run_predict", "run_predict_clips", "run_score",
    "score_key_frames", "video_features", "videos_under",
]  # fmt: skip


class _CallableRoom(ModuleType):
    """The room as a module that can be called; Python gives a module no other way to be one."""

    __call__ = staticmethod(predict)


sys.modules[__name__].__class__ = _CallableRoom
