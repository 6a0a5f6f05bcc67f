"""Random changes to a clip that leave its label true: when it begins, which part of the frame, which way round.

Each clip's draws are numbers in [0, 1), taken before anything of the video is known, so that a clip is changed in the
same way whether it comes from a video file or from a cache, in whichever process.

Shapes: H, W of the scaled frame in px.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gesta.schema import BadInput, UnknownName
from gesta.train.clips.frames import ClipFrames

CROPS = ("random", "center")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipAugment:
    """Which random changes are made.

    `jitter_time` begins at any frame from which the clip fits, else in the middle; `flip` mirrors half of the clips.
    With `scale_px` = (low, high) the crop is of the size that it would have, had the shorter side been scaled to a
    whole number of px drawn from low to high, and is then resized.
    `color_frac` draws factors of brightness, contrast and saturation from 1 - x to 1 + x (none for flow).

    Raises:
        UnknownName: `crop` is none of the choices.
        BadInput: `scale_px` is not rising from above 0, or `color_frac` not in 0 to 1.
    Source: Kay et al. (2017), section 4.4: random crop, random start "among those early enough to guarantee a desired
        number of frames", random left-right flip consistent over the video. `scale_px`: Simonyan & Zisserman (2015),
        Very deep convolutional networks, section 3.1; `color_frac`: torchvision's ColorJitter.
    """

    crop: str = "random"
    jitter_time: bool = True
    flip: bool = True
    scale_px: tuple[int, int] | None = None
    color_frac: float = 0.0

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise UnknownName(what="crop", name=self.crop, choices=CROPS)
        if self.scale_px is not None and not 0 < self.scale_px[0] <= self.scale_px[1]:
            raise BadInput(f"scale_px={self.scale_px}", mend="Want 0 < low <= high")
        if not 0 <= self.color_frac < 1:
            raise BadInput(f"color_frac={self.color_frac}", mend="Want at least 0 and below 1")


PLAIN = ClipAugment(crop="center", jitter_time=False, flip=False)
"""No change: the middle of time and frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A rectangle of the scaled frame, in px."""

    top_px: int
    left_px: int
    height_px: int
    width_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipDraw:
    """One clip's chance, each in [0, 1): nothing of it depends on the video."""

    time: float
    top: float
    left: float
    scale: float
    flip: float
    colors: tuple[float, float, float]


def draw_change(*, seed: int, epoch: int, number: int) -> ClipDraw:
    """The draws of an example in an epoch; they depend on these three alone.

    >>> draw_change(seed=1, epoch=2, number=3) == draw_change(seed=1, epoch=2, number=3)
    True
    """
    time, top, left, scale, flip, *colors = np.random.default_rng((seed, epoch, number)).random(8).tolist()
    return ClipDraw(time=time, top=top, left=left, scale=scale, flip=flip, colors=(colors[0], colors[1], colors[2]))


def first_frame(num_total: int, *, frames: ClipFrames, augment: ClipAugment, draw: ClipDraw) -> int:
    """The clip's first frame among `num_total`: drawn from those from which it fits, or the middle one of these."""
    num_starts = max(1, num_total - frames.num_spanned + 1)
    return int(draw.time * num_starts) if augment.jitter_time else (num_starts - 1) // 2


def crop_window(*, width_px: int, height_px: int, frames: ClipFrames, augment: ClipAugment, draw: ClipDraw) -> Window:
    """The part of a scaled frame of that size that is cut out: a square, at a drawn place or in the middle."""
    short_px = min(width_px, height_px)
    crop_px = frames.crop_px
    if augment.scale_px is not None:
        low, high = augment.scale_px
        crop_px = min(short_px, max(1, round(crop_px * short_px / (low + int(draw.scale * (high - low + 1))))))
    room_y, room_x = height_px - crop_px, width_px - crop_px
    if augment.crop == "random":
        top, left = int(draw.top * (room_y + 1)), int(draw.left * (room_x + 1))
    else:
        top, left = room_y // 2, room_x // 2
    return Window(top_px=top, left_px=left, height_px=crop_px, width_px=crop_px)


def is_flipped(*, augment: ClipAugment, draw: ClipDraw) -> bool:
    """Whether the clip is mirrored."""
    return augment.flip and draw.flip < 0.5


def color_factors(*, augment: ClipAugment, draw: ClipDraw) -> tuple[float, float, float]:
    """Factors of brightness, contrast and saturation; all 1 without colour changes."""
    brightness, contrast, saturation = (1 + augment.color_frac * (2 * value - 1) for value in draw.colors)
    return brightness, contrast, saturation
