"""Clip classification: sets of clips, batches straight from video files, recipes and one training loop."""

from gesta.train.clips.augment import PLAIN, ClipAugment
from gesta.train.clips.batches import ClipBatch, clip_batches, to_model
from gesta.train.clips.checkpoints import (
    ClipCheckpoint,
    clip_model_of,
    load_clip_checkpoint,
    save_clip_checkpoint,
)
from gesta.train.clips.footage import ClipSource, open_footage
from gesta.train.clips.frames import UNTIL_END_US, ClipFrames, first_frames
from gesta.train.clips.listed import read_listed_clips
from gesta.train.clips.loop import Saving, run_train_clips
from gesta.train.clips.opening import open_clips, splits_of
from gesta.train.clips.prepare import plan_prepare, run_prepare
from gesta.train.clips.prepared import open_prepared
from gesta.train.clips.readable import check_clips
from gesta.train.clips.recipes import CLIP_RECIPES, ClipRecipe, ClipTest, SpikeRule, find_clip_recipe
from gesta.train.clips.sets import ClipExample, ClipSet, clip_set, read_release_clips, sub_set, take_per_class
from gesta.train.clips.stops import Interrupted
from gesta.train.clips.tar_shards import read_tar_clips

__all__ = [
    "CLIP_RECIPES", "PLAIN", "UNTIL_END_US", "ClipAugment", "ClipBatch", "ClipCheckpoint", "ClipExample", "ClipFrames",
    "ClipRecipe", "ClipSet", "ClipSource", "ClipTest", "Interrupted", "Saving", "SpikeRule", "check_clips",
    "clip_batches", "clip_model_of", "clip_set", "find_clip_recipe", "first_frames", "load_clip_checkpoint",
    "open_clips", "open_footage", "open_prepared", "plan_prepare", "read_listed_clips", "read_release_clips",
    "read_tar_clips", "run_prepare", "run_train_clips", "save_clip_checkpoint", "splits_of", "sub_set",
    "take_per_class", "to_model",
]  # fmt: skip
