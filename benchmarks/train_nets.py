"""The networks that `benchmarks.train` measures, ours and the peers', and the clips that they are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import nn

from benchmarks import train_peers as peers
from gesta.models import build_model
from gesta.train.clips import ClipFrames

NUM_CLASSES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    """A network to train, how many clips a step, ours and the peer's constructor.

    `model` is its name in gesta, None where gesta has none: then `ours` is the peer's network too, in our step.
    """

    name: str
    model: str | None
    frames: ClipFrames
    clips_per_batch: int
    ours: Callable[[], nn.Module]
    peer: Callable[[], nn.Module] | None
    peer_name: str

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """[C, T, H, W] of a clip."""
        return (3, self.frames.num_frames, self.frames.crop_px, self.frames.crop_px)


def _frames(num_frames: int, *, stride: int, crop_px: int) -> ClipFrames:
    # The shorter side in the proportion that 256 has to crops of 224.
    return ClipFrames(num_frames=num_frames, stride=stride, side="short", side_px=crop_px * 8 // 7, crop_px=crop_px)


def nets(*, is_large: bool, peer_i3d: Path | None, peer_pytorchvideo: Path | None) -> tuple[list[Net], list[str]]:
    """What is measured, at full size or small for a processor, and what is lacking.

    Sizes: I3D as in Quo Vadis (2017), 64 frames of 224 px; R3D-18 as in Tran et al. (2018), 16 of 112; SlowOnly 8x8 as
    in SlowFast (2019), 8 of 224.
    """
    lacking = []
    i3d_frames = _frames(64, stride=1, crop_px=224) if is_large else _frames(16, stride=1, crop_px=112)
    r3d_frames = _frames(16, stride=2, crop_px=112) if is_large else _frames(16, stride=2, crop_px=56)
    slow_frames = _frames(8, stride=8, crop_px=224) if is_large else _frames(4, stride=16, crop_px=112)
    i3d_port = None
    if peer_i3d is None:
        lacking.append("I3D's peer: give --peer-i3d, a checkout of piergiaj/pytorch-i3d")
    else:
        i3d_port = partial(peers.i3d_port, peer_i3d, num_classes=NUM_CLASSES, crop_px=i3d_frames.crop_px)
    r3d = partial(peers.torchvision_r3d_18, num_classes=NUM_CLASSES)
    found = [
        Net(
            name="i3d", model="i3d", frames=i3d_frames, clips_per_batch=16 if is_large else 2,
            ours=partial(build_model, "i3d", num_classes=NUM_CLASSES), peer=i3d_port, peer_name="pytorch-i3d",
        ),
        Net(
            name="r3d_18", model="r3d_18", frames=r3d_frames, clips_per_batch=64 if is_large else 2,
            ours=partial(build_model, "r3d_18", num_classes=NUM_CLASSES), peer=r3d,
            peer_name="torchvision, plain loop",
        ),
    ]  # fmt: skip
    if peer_pytorchvideo is None:
        lacking.append("SlowOnly R50: give --peer-pytorchvideo, a checkout of facebookresearch/pytorchvideo")
    else:
        slow = partial(
            peers.slow_r50, peer_pytorchvideo, num_classes=NUM_CLASSES,
            num_frames=slow_frames.num_frames, crop_px=slow_frames.crop_px,
        )  # fmt: skip
        found.append(
            Net(
                name="slow_r50",
                model=None,
                frames=slow_frames,
                clips_per_batch=32 if is_large else 2,
                ours=slow,
                peer=slow,
                peer_name="PyTorchVideo, plain loop",
            )
        )
    return found, lacking
