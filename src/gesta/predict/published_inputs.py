"""What published clip models were shown and how they were tested, so that their weights can label videos here.

Where a publication scales both sides to fixed numbers, the shorter one is scaled to it here and the picture keeps its
shape; rates that a publication leaves to the file (`every 4th frame`) are counted at 30 frames a second, Kinetics'
most frequent one.
"""

from __future__ import annotations

from collections.abc import Mapping

from gesta.train.clips import ClipFrames
from gesta.train.clips.recipe import ClipTest

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_KINETICS = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
_GREY = ((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))
"""Means and deviations of ImageNet, of Kinetics-400, and round ones. Source: torchvision 0.28, the `transforms`."""

Input = tuple[ClipFrames, ClipTest]


def _i3d(modality: str = "rgb") -> Input:
    frames = ClipFrames(
        num_frames=64, rate=25.0, side="short", side_px=256, crop_px=224, modality=modality, flow="tvl1"
    )
    return frames, ClipTest(num_segments=4, average="logits")


def _resnet_3d() -> Input:
    frames = ClipFrames(
        num_frames=16, rate=15.0, side="short", side_px=128, crop_px=112, mean_rgb=_KINETICS[0], std_rgb=_KINETICS[1]
    )
    return frames, ClipTest(num_segments=5)


def _mvit() -> Input:
    frames = ClipFrames(
        num_frames=16, rate=7.5, side="short", side_px=256, crop_px=224, mean_rgb=_GREY[0], std_rgb=_GREY[1]
    )
    return frames, ClipTest(num_segments=5)


def _swin3d() -> Input:
    frames = ClipFrames(
        num_frames=32, rate=15.0, side="short", side_px=256, crop_px=224, mean_rgb=_IMAGENET[0], std_rgb=_IMAGENET[1]
    )
    return frames, ClipTest(num_segments=12)


def _s3d() -> Input:
    frames = ClipFrames(
        num_frames=128, rate=15.0, side="short", side_px=256, crop_px=224, mean_rgb=_KINETICS[0], std_rgb=_KINETICS[1]
    )
    return frames, ClipTest(num_segments=1)


def _videomae() -> Input:
    frames = ClipFrames(
        num_frames=16,
        rate=30.0,
        stride=4,
        side="short",
        side_px=224,
        crop_px=224,
        mean_rgb=_IMAGENET[0],
        std_rgb=_IMAGENET[1],
    )
    return frames, ClipTest(num_segments=5, crops=3)


def _timesformer(*, num_frames: int, stride: int, crop_px: int) -> Input:
    frames = ClipFrames(
        num_frames=num_frames,
        rate=30.0,
        stride=stride,
        side="short",
        side_px=crop_px,
        crop_px=crop_px,
        mean_rgb=_GREY[0],
        std_rgb=_GREY[1],
    )
    return frames, ClipTest(num_segments=1, crops=3)


def _vivit() -> Input:
    frames = ClipFrames(num_frames=32, rate=30.0, stride=2, side="short", side_px=256, crop_px=224)
    return frames, ClipTest(num_segments=4)


def _vjepa2() -> Input:
    frames = ClipFrames(
        num_frames=16,
        rate=30.0,
        stride=4,
        side="short",
        side_px=292,
        crop_px=256,
        mean_rgb=_IMAGENET[0],
        std_rgb=_IMAGENET[1],
    )
    return frames, ClipTest(num_segments=2, crops=3)


PUBLISHED_INPUTS: Mapping[str, Input] = {
    "i3d": _i3d(),
    "i3d_flow": _i3d("flow"),
    "r3d_18": _resnet_3d(),
    "mc3_18": _resnet_3d(),
    "r2plus1d_18": _resnet_3d(),
    "s3d": _s3d(),
    "mvit_v1_b": _mvit(),
    "mvit_v2_s": _mvit(),
    "swin3d_t": _swin3d(),
    "swin3d_s": _swin3d(),
    "swin3d_b": _swin3d(),
    **dict.fromkeys(("videomae_small", "videomae_base", "videomae_large", "videomae_huge"), _videomae()),
    "timesformer_base": _timesformer(num_frames=8, stride=32, crop_px=224),
    "timesformer_hr": _timesformer(num_frames=16, stride=16, crop_px=448),
    "timesformer_long": _timesformer(num_frames=96, stride=4, crop_px=224),
    "vivit_base": _vivit(),
    **dict.fromkeys(("vjepa2_large", "vjepa2_huge", "vjepa2_giant"), _vjepa2()),
}
"""Frames and test by model.

Source: i3d, google-deepmind/kinetics-i3d, README ("Sample data and preprocessing": 25 frames a second, short side 256,
crop 224, -1 to 1, TV-L1 flow cut at 20), tested on 250 frames, here as four clips of the 64 frames of training, whose
logits are averaged; torchvision's, torchvision 0.28, the weights' `transforms` and `_docs`; VideoMAE, Tong et al.
(2022), section 4.1 (16 frames every 4th, 5 clips x 3 crops); TimeSformer, Bertasius et al. (2021), section 4 and
appendix (8 x 32, HR 16 x 16, L 96 x 4, one clip x 3 crops); ViViT, Arnab et al. (2021), section 4.1 (32 frames every
2nd, 4 clips); V-JEPA 2, Assran et al. (2025), the attentive probe on Something-Something (16 frames every 4th, 2 clips
x 3 crops).
"""
