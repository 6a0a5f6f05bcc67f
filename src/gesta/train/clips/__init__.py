"""Clip classification: sets of clips, batches straight from video files, recipes and one training loop."""

from gesta.train.clips.augment import PLAIN, ClipAugment
from gesta.train.clips.batches import ClipBatch, clip_batches, to_model
from gesta.train.clips.footage import ClipSource, open_footage
from gesta.train.clips.frames import UNTIL_END_US, ClipFrames, first_frames
from gesta.train.clips.sets import ClipExample, ClipSet, clip_set, read_release_clips, sub_set, take_per_class

__all__ = [
    "PLAIN", "UNTIL_END_US", "ClipAugment", "ClipBatch", "ClipExample", "ClipFrames", "ClipSet", "ClipSource",
    "clip_batches", "clip_set", "first_frames", "open_footage", "read_release_clips", "sub_set", "take_per_class",
    "to_model",
]  # fmt: skip
