"""Random changes to a key-frame's clip that leave its labels true, and what they do to its boxes.

Shapes: N boxes, T frames; 4 = x1 y1 x2 y2 as fractions.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput, UnknownName
from gesta.train.clips.augment import ClipAugment, ClipDraw, Window, crop_window, draw_change
from gesta.train.clips.frames import ClipFrames

Floats = npt.NDArray[np.float64]

CROPS = ("random", "center", "whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonAugment:
    """Which random changes are made; the sampling and views of either lineage are arguments.

    Attributes:
        scale_px: the shorter side is scaled to a whole number of px drawn from low to high before the crop.
        crop: a square of `frames.crop_px` at a drawn place ("random") or in the middle ("center"), or the whole frame
            at `frames.side_px` ("whole"), where `scale_px` has no say.
        flip: half of the clips are mirrored left to right, with their boxes.
        jitter_frames: each frame is taken from its own random instant up to half a stride away (MMAction2).
        jitter_box: each corner moves by up to this part of the box's width or height; four numbers: x1 y1 x2 y2.
        color_frac: factors of brightness, contrast and saturation are drawn from 1 - x to 1 + x.
        least_seen_frac: persons of whose box less than this part lies in the crop are left out, and always those
            with nothing in it. (Both lineages keep the latter as boxes without area.)

    Raises:
        UnknownName: `crop` is none of the choices.
        BadInput: `scale_px` is not rising from above 0, `jitter_box` not below 0.5 or not of one or four numbers,
            `color_frac` not in 0 to 1, or `least_seen_frac` not in 0 to 1.
    Source: open-mmlab/mmaction2 4d6c9347, `configs/detection/slowfast` (RandomRescale 256-320, RandomCrop 256, Flip
        .5, SampleAVAFrames); facebookresearch/SlowFast, `configs/AVA` (jitter 256-320, crop 224, no colours).
    """

    scale_px: tuple[int, int] = (256, 320)
    crop: str = "random"
    flip: bool = True
    jitter_frames: bool = True
    jitter_box: float | tuple[float, float, float, float] = 0.0
    color_frac: float = 0.0
    least_seen_frac: float = 0.0

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise UnknownName(what="crop", name=self.crop, choices=CROPS)
        if not 0 < self.scale_px[0] <= self.scale_px[1]:
            raise BadInput(f"scale_px={self.scale_px}", mend="Want 0 < low <= high")
        jitters = self.box_jitters
        if len(jitters) != 4 or not all(0 <= value < 0.5 for value in jitters):
            raise BadInput(f"jitter_box={self.jitter_box}", mend="Want a number from 0 to below 0.5, or four of them")
        if not 0 <= self.color_frac < 1:
            raise BadInput(f"color_frac={self.color_frac}", mend="Want at least 0 and below 1")
        if not 0 <= self.least_seen_frac <= 1:
            raise BadInput(f"least_seen_frac={self.least_seen_frac}", mend="Want 0 to 1")

    @property
    def box_jitters(self) -> tuple[float, ...]:
        """How far each of x1 y1 x2 y2 moves at most, in sides of the box."""
        return self.jitter_box if isinstance(self.jitter_box, tuple) else (self.jitter_box,) * 4

    @property
    def as_clip(self) -> ClipAugment:
        """The part of it that is the same for clips."""
        crop = "center" if self.crop == "whole" else self.crop
        return ClipAugment(
            crop=crop, jitter_time=False, flip=self.flip, scale_px=self.scale_px, color_frac=self.color_frac
        )


MMACTION2 = PersonAugment()
"""Training in MMAction2: short side 256 to 320, crop of `frames.crop_px` (256), flip, each frame its own offset."""

PYSLOWFAST = PersonAugment(jitter_frames=False)
"""Training in PySlowFast: the same (crop 224, or 256 for large models) with frames at their places."""

WHOLE = PersonAugment(crop="whole", flip=False, jitter_frames=False)
"""No change and no crop: what both lineages test with, the short side at `frames.side_px`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonDraw:
    """One example's chance, each number in [0, 1): nothing of it depends on the video."""

    clip: ClipDraw
    frames_T: Floats
    persons: int
    """Seed of the draws that are one a box."""


def draw_person_change(*, seed: int, epoch: int, number: int, num_frames: int) -> PersonDraw:
    """The draws of an example in an epoch; they depend on these alone, and one a frame on their number."""
    rng = np.random.default_rng((seed, epoch, number, 1))
    return PersonDraw(
        persons=int(rng.integers(1 << 62)),
        frames_T=rng.random(num_frames),
        clip=draw_change(seed=seed, epoch=epoch, number=number),
    )


def frames_in_store(frames: ClipFrames, augment: PersonAugment) -> ClipFrames:
    """The frames as they are read: of the largest size that is drawn from, or as they are for the whole frame."""
    if augment.crop == "whole":
        return frames
    return dataclasses.replace(frames, side="short", side_px=augment.scale_px[1])


def shown_window(
    *, width_px: int, height_px: int, frames: ClipFrames, augment: PersonAugment, draw: PersonDraw
) -> Window:
    """The part of a read frame of that size that is shown: all of it, or a square."""
    if augment.crop == "whole":
        return Window(top_px=0, left_px=0, height_px=height_px, width_px=width_px)
    return crop_window(width_px=width_px, height_px=height_px, frames=frames, augment=augment.as_clip, draw=draw.clip)


def boxes_in_window(
    boxes_N4: Floats, *, window: Window, width_px: int, height_px: int, is_flipped: bool
) -> tuple[Floats, Floats]:
    """The boxes as fractions of the window, cut at its edges, float64 [N, 4]; and what part of each is left, [N].

    Args:
        boxes_N4: float64 [N, 4], fractions of the frame.
        window: part of the frame.
        width_px: of the frame.
        height_px: of the frame.
        is_flipped: whether the window is mirrored afterwards.

    >>> window = Window(top_px=0, left_px=50, height_px=100, width_px=100)
    >>> boxes_in_window(np.array([[0.0, 0.0, 0.5, 1.0]]), window=window, width_px=200, height_px=100, is_flipped=True)
    (array([[0.5, 0. , 1. , 1. ]]), array([0.5]))
    """
    scale = np.array([width_px, height_px] * 2, dtype=np.float64)
    offset = np.array([window.left_px, window.top_px] * 2, dtype=np.float64)
    sides = np.array([window.width_px, window.height_px] * 2, dtype=np.float64)
    inside_N4 = (boxes_N4 * scale - offset) / sides
    cut_N4 = np.clip(inside_N4, 0, 1)
    area_N = np.prod(inside_N4[:, 2:] - inside_N4[:, :2], axis=1)
    left_N = np.prod(cut_N4[:, 2:] - cut_N4[:, :2], axis=1)
    seen_N = np.divide(left_N, area_N, out=np.zeros(len(boxes_N4)), where=area_N > 0)
    if is_flipped:
        cut_N4 = np.stack((1 - cut_N4[:, 2], cut_N4[:, 1], 1 - cut_N4[:, 0], cut_N4[:, 3]), axis=1)
    return cut_N4, seen_N


def jittered_boxes(boxes_N4: Floats, *, augment: PersonAugment, draw: PersonDraw) -> Floats:
    """The boxes with their corners moved, float64 [N, 4], cut at the frame's edges; with area where they had one."""
    jitters = np.array(augment.box_jitters)
    if not jitters.any() or not len(boxes_N4):
        return boxes_N4
    moves_N4 = (2 * np.random.default_rng(draw.persons).random(boxes_N4.shape) - 1) * jitters
    sides_N4 = np.tile(boxes_N4[:, 2:] - boxes_N4[:, :2], (1, 2))
    return np.clip(boxes_N4 + moves_N4 * sides_N4, 0, 1)
