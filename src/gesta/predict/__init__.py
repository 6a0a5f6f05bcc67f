"""A trained model on the key-frames of a release, and on any video. Needs the extra `train`."""

from gesta.predict.key_frames import clip_scores, run_score, score_key_frames
from gesta.predict.videos import predict_video, run_predict, videos_under

__all__ = ["clip_scores", "predict_video", "run_predict", "run_score", "score_key_frames", "videos_under"]
