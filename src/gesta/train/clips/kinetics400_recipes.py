"""Recipes of the Kinetics-400 paper's baselines: one for each row and data set of its table 4.

What the paper says is taken from it: SGD with momentum over 64 processes, up to 100k steps on Kinetics, the rate
divided by ten when the validation loss saturates, frames and crops of table 3 and section 4.4, ImageNet weights for
the ResNets on UCF-101 and HMDB-51 only. What it does not say is ours: rates, weight decays, clips per process but for
C3D's 15, patience, and all that concerns length and rate on UCF-101 and HMDB-51.

Hours are arithmetic alone, on one H200 at 15 % of its 989 TFLOP/s in bfloat16 (`gesta.train.clips.cost`), with clips
prepared beforehand. None of these was run by us: nobody has trained them with gesta yet.

Source: Kay et al., The Kinetics Human Action Video Dataset (2017), sections 4.1 to 4.5, tables 3 and 4.
"""

from __future__ import annotations

from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.recipe import ClipRecipe, ClipTest

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of red, green and blue. Source: torchvision 0.28, the transforms of its ResNet-50 weights."""

NUM_PROCESSES = 64
"""Source: section 4.4, "synchronous parallelization across 64 GPUs for all models"."""

MAX_STEPS = 100_000
"""Source: section 4.4, "up to 100k steps"."""


def _lstm_frames() -> ClipFrames:
    return ClipFrames(num_frames=25, stride=5, mean_rgb=IMAGENET_MEAN, std_rgb=IMAGENET_STD)


def _rgb_frames() -> ClipFrames:
    return ClipFrames(num_frames=1, mean_rgb=IMAGENET_MEAN, std_rgb=IMAGENET_STD)


def _flow_frames() -> ClipFrames:
    return ClipFrames(num_frames=10, modality="flow")


def _c3d_frames() -> ClipFrames:
    return ClipFrames(num_frames=16, side_px=128, crop_px=112)


_LSTM_TEST = ClipTest(num_segments=1, num_frames=50)
_RGB_TEST = ClipTest(num_segments=25)
_FLOW_TEST = ClipTest(num_segments=25)
_C3D_TEST = ClipTest(num_segments=15)
"""Source: table 3: 50 frames; 25 RGB; 250 flow, which are 25 stacks of 10; 240 frames, which are 15 clips of 16."""


def _small_set(
    *, name: str, model: str, frames: ClipFrames, test: ClipTest, base_lr: float, weight_decay: float
) -> ClipRecipe:
    """60 epochs of 128 clips over split 1 of UCF-101 or HMDB-51; there is no validation split, so steps are fixed."""
    return ClipRecipe(
        name=name,
        model=model,
        frames=frames,
        augment=ClipAugment(),
        epochs=60,
        clips_per_batch=128,
        num_parts=8,
        base_lr=base_lr,
        weight_decay=weight_decay,
        milestones=(30, 45),
        test=test,
    )


def _kinetics(
    *,
    name: str,
    model: str,
    frames: ClipFrames,
    test: ClipTest,
    clips_per_process: int,
    epochs: int,
    weight_decay: float,
) -> ClipRecipe:
    """At most 100k steps of 64 parts; ends early when the validation loss has saturated a third time."""
    return ClipRecipe(
        name=name,
        model=model,
        frames=frames,
        augment=ClipAugment(),
        epochs=epochs,
        clips_per_batch=NUM_PROCESSES * clips_per_process,
        num_parts=NUM_PROCESSES,
        base_lr=0.1,
        weight_decay=weight_decay,
        schedule="plateau",
        max_plateaus=3,
        max_steps=MAX_STEPS,
        test=test,
    )


def conv_lstm_ucf101() -> ClipRecipe:
    """ConvNet+LSTM on split 1 of UCF-101.

    Command: `gesta train ucfTrainTestlist/trainlist01.txt --videos UCF-101
    --recipe conv_lstm_ucf101 --out work/conv_lstm_ucf101 --start resnet50-imagenet-v1`.

    Hardware and cost: one H200 (the paper: 64 GPUs), about 1.2 hours for 9,537 clips.

    Expect: top-1 84.3 percent on the split's test clips (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _small_set(
        name="conv_lstm_ucf101",
        model="conv_lstm",
        frames=_lstm_frames(),
        test=_LSTM_TEST,
        base_lr=0.01,
        weight_decay=1e-4,
    )


def conv_lstm_hmdb51() -> ClipRecipe:
    """ConvNet+LSTM on split 1 of HMDB-51.

    Command: `gesta train testTrainMulti_7030_splits --videos hmdb51
    --recipe conv_lstm_hmdb51 --out work/conv_lstm_hmdb51 --start resnet50-imagenet-v1`.

    Hardware and cost: one H200 (the paper: 64 GPUs), about 0.45 hours for 3,570 clips.

    Expect: top-1 43.9 percent on the split's test clips (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _small_set(
        name="conv_lstm_hmdb51",
        model="conv_lstm",
        frames=_lstm_frames(),
        test=_LSTM_TEST,
        base_lr=0.01,
        weight_decay=1e-4,
    )


def conv_lstm_kinetics400() -> ClipRecipe:
    """ConvNet+LSTM on Kinetics-400.

    Command: `gesta train kinetics400/train.csv --videos kinetics400/train --val kinetics400/val.csv
    --recipe conv_lstm_kinetics400 --out work/conv_lstm_kinetics400`.

    Hardware and cost: one H200 (the paper: 64 GPUs), up to about 27.2 hours for 246,245 clips.

    Expect: top-1 57.0 / top-5 79.0 percent on the test set (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _kinetics(
        name="conv_lstm_kinetics400",
        model="conv_lstm",
        frames=_lstm_frames(),
        test=_LSTM_TEST,
        clips_per_process=2,
        epochs=52,
        weight_decay=1e-4,
    )


def two_stream_rgb_ucf101() -> ClipRecipe:
    """Two-Stream's RGB stream on split 1 of UCF-101.

    Command: `gesta train ucfTrainTestlist/trainlist01.txt --videos UCF-101
    --recipe two_stream_rgb_ucf101 --out work/two_stream_rgb_ucf101 --start resnet50-imagenet-v1`.

    Hardware and cost: one H200 (the paper: 64 GPUs), about 0.05 hours for 9,537 clips.

    Expect: top-1 84.2 percent on the split's test clips; with the other stream 92.5 (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _small_set(
        name="two_stream_rgb_ucf101",
        model="two_stream_rgb",
        frames=_rgb_frames(),
        test=_RGB_TEST,
        base_lr=0.01,
        weight_decay=1e-4,
    )


def two_stream_rgb_hmdb51() -> ClipRecipe:
    """Two-Stream's RGB stream on split 1 of HMDB-51.

    Command: `gesta train testTrainMulti_7030_splits --videos hmdb51
    --recipe two_stream_rgb_hmdb51 --out work/two_stream_rgb_hmdb51 --start resnet50-imagenet-v1`.

    Hardware and cost: one H200 (the paper: 64 GPUs), about 0.02 hours for 3,570 clips.

    Expect: top-1 51.0 percent on the split's test clips; with the other stream 63.7 (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _small_set(
        name="two_stream_rgb_hmdb51",
        model="two_stream_rgb",
        frames=_rgb_frames(),
        test=_RGB_TEST,
        base_lr=0.01,
        weight_decay=1e-4,
    )


def two_stream_rgb_kinetics400() -> ClipRecipe:
    """Two-Stream's RGB stream on Kinetics-400.

    Command: `gesta train kinetics400/train.csv --videos kinetics400/train --val kinetics400/val.csv
    --recipe two_stream_rgb_kinetics400 --out work/two_stream_rgb_kinetics400`.

    Hardware and cost: one H200 (the paper: 64 GPUs), up to about 8.7 hours for 246,245 clips.

    Expect: top-1 56.0 / top-5 77.3 percent on the test set; with the other stream 61.0 / 81.3 (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _kinetics(
        name="two_stream_rgb_kinetics400",
        model="two_stream_rgb",
        frames=_rgb_frames(),
        test=_RGB_TEST,
        clips_per_process=16,
        epochs=415,
        weight_decay=1e-4,
    )


def two_stream_flow_ucf101() -> ClipRecipe:
    """Two-Stream's flow stream on split 1 of UCF-101.

    Command: `gesta train ucfTrainTestlist/trainlist01.txt --videos UCF-101
    --recipe two_stream_flow_ucf101 --out work/two_stream_flow_ucf101 --start resnet50-imagenet-v1`.

    Hardware and cost: one H200 (the paper: 64 GPUs), about 0.05 hours for 9,537 clips.

    Expect: top-1 85.9 percent on the split's test clips; with the other stream 92.5 (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _small_set(
        name="two_stream_flow_ucf101",
        model="two_stream_flow",
        frames=_flow_frames(),
        test=_FLOW_TEST,
        base_lr=0.01,
        weight_decay=1e-4,
    )


def two_stream_flow_hmdb51() -> ClipRecipe:
    """Two-Stream's flow stream on split 1 of HMDB-51.

    Command: `gesta train testTrainMulti_7030_splits --videos hmdb51
    --recipe two_stream_flow_hmdb51 --out work/two_stream_flow_hmdb51 --start resnet50-imagenet-v1`.

    Hardware and cost: one H200 (the paper: 64 GPUs), about 0.02 hours for 3,570 clips.

    Expect: top-1 56.9 percent on the split's test clips; with the other stream 63.7 (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _small_set(
        name="two_stream_flow_hmdb51",
        model="two_stream_flow",
        frames=_flow_frames(),
        test=_FLOW_TEST,
        base_lr=0.01,
        weight_decay=1e-4,
    )


def two_stream_flow_kinetics400() -> ClipRecipe:
    """Two-Stream's flow stream on Kinetics-400.

    Command: `gesta train kinetics400/train.csv --videos kinetics400/train --val kinetics400/val.csv
    --recipe two_stream_flow_kinetics400 --out work/two_stream_flow_kinetics400`.

    Hardware and cost: one H200 (the paper: 64 GPUs), up to about 9.6 hours for 246,245 clips.

    Expect: top-1 49.5 / top-5 71.9 percent on the test set; with the other stream 61.0 / 81.3 (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _kinetics(
        name="two_stream_flow_kinetics400",
        model="two_stream_flow",
        frames=_flow_frames(),
        test=_FLOW_TEST,
        clips_per_process=16,
        epochs=415,
        weight_decay=1e-4,
    )


def c3d_ucf101() -> ClipRecipe:
    """C3D with batch norm on split 1 of UCF-101.

    Command: `gesta train ucfTrainTestlist/trainlist01.txt --videos UCF-101
    --recipe c3d_ucf101 --out work/c3d_ucf101`.

    Hardware and cost: one H200 (the paper: 64 GPUs), about 0.13 hours for 9,537 clips.

    Expect: top-1 51.6 percent on the split's test clips (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _small_set(
        name="c3d_ucf101",
        model="c3d_bn",
        frames=_c3d_frames(),
        test=_C3D_TEST,
        base_lr=0.05,
        weight_decay=5e-4,
    )


def c3d_hmdb51() -> ClipRecipe:
    """C3D with batch norm on split 1 of HMDB-51.

    Command: `gesta train testTrainMulti_7030_splits --videos hmdb51
    --recipe c3d_hmdb51 --out work/c3d_hmdb51`.

    Hardware and cost: one H200 (the paper: 64 GPUs), about 0.05 hours for 3,570 clips.

    Expect: top-1 24.3 percent on the split's test clips (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _small_set(
        name="c3d_hmdb51",
        model="c3d_bn",
        frames=_c3d_frames(),
        test=_C3D_TEST,
        base_lr=0.05,
        weight_decay=5e-4,
    )


def c3d_kinetics400() -> ClipRecipe:
    """C3D with batch norm on Kinetics-400.

    Command: `gesta train kinetics400/train.csv --videos kinetics400/train --val kinetics400/val.csv
    --recipe c3d_kinetics400 --out work/c3d_kinetics400`.

    Hardware and cost: one H200 (the paper: 64 GPUs), up to about 21.0 hours for 246,245 clips.

    Expect: top-1 56.1 / top-5 79.5 percent on the test set (the paper's number).

    Source: Kay et al. (2017), table 4; see the head of this module for what is ours.
    """
    return _kinetics(
        name="c3d_kinetics400",
        model="c3d_bn",
        frames=_c3d_frames(),
        test=_C3D_TEST,
        clips_per_process=15,
        epochs=390,
        weight_decay=5e-4,
    )
