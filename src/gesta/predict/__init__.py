"""A trained model on a release, and on any video: persons on key-frames, labels of clips, features. Needs `train`."""

from gesta.predict.clip_models import ClipModel, load_clip_model
from gesta.predict.clips import label_video, run_predict_clips
from gesta.predict.features import run_features, video_features
from gesta.predict.key_frames import clip_scores, run_score, score_key_frames
from gesta.predict.videos import predict_video, run_predict, videos_under

__all__ = [
    "ClipModel", "clip_scores", "label_video", "load_clip_model", "predict_video", "run_features", "run_predict",
    "run_predict_clips", "run_score", "score_key_frames", "video_features", "videos_under",
]  # fmt: skip
