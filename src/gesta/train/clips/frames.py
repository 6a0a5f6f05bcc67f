"""What a clip model is shown: how many frames of a video, how far apart, how large, in which colours.

Times are integer microseconds on the player's clock. A clip is first resampled by time to `rate` frames a second;
frame numbers count these resampled frames from 0 at the clip's start.

Shapes: T frames of a model's clip; B clips, S segments; N numbers asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from gesta.schema import US_PER_S, BadInput, UnknownName

Ints = npt.NDArray[np.int64]

MODALITIES = ("rgb", "flow")
SIDES = ("long", "short")
FLOWS = ("dis", "tvl1", "farneback")

UNTIL_END_US = 2**60
"""An end that no video reaches: the clip lasts until its video does. Source: ours; 36,000 years."""

_MAX_DENOMINATOR = 1001
"""So that 30000 / 1001 survives being written as a float. Source: SMPTE 170M, the rate of NTSC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFrames:
    """What a model is shown, and how a clip of a video becomes it; a checkpoint carries it.

    The video is resampled by time to `rate` frames a second; the model sees `num_frames` of them, every `stride`-th.
    Frames are scaled so that the longer (`side` "long") or shorter ("short") side has `side_px`, and further up where
    the shorter side would be below `crop_px`: a crop never holds anything but picture. Colours become
    `(x / 255 - mean_rgb) / std_rgb`; the default gives -1 to 1 as I3D wants. Flow is `flow`'s, between consecutive
    frames at `rate`, and +-20 px become +-1.

    Raises:
        BadInput: a number is not above 0.
        UnknownName: `side`, `modality` or `flow` is none of the choices.
    Source: Kay et al. (2017), The Kinetics human action video dataset, section 4.4: 25 frames a second, the larger
        side 340 px (C3D: 128), crops of 299 (112) px. It does not say what happens where the smaller side is below
        the crop, which is so for 16:9 (340 x 191): scaling up is ours (docs/decisions/clip-batches.md). The scale -1
        to 1: Carreira & Zisserman's kinetics-i3d, README.

    >>> ClipFrames(num_frames=64).frame_size(width_px=640, height_px=480)
    (399, 299)
    """

    num_frames: int
    rate: float = 25.0
    stride: int = 1
    side_px: int = 340
    side: str = "long"
    crop_px: int = 299
    modality: str = "rgb"
    flow: str = "dis"
    mean_rgb: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std_rgb: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        for name in ("num_frames", "rate", "stride", "side_px", "crop_px"):
            if not getattr(self, name) > 0:
                raise BadInput(f"{name}={getattr(self, name)}", mend="Want above 0")
        if min(self.std_rgb) <= 0:
            raise BadInput(f"std_rgb={self.std_rgb}", mend="Want above 0")
        for what, name, choices in (
            ("side", self.side, SIDES),
            ("modality", self.modality, MODALITIES),
            ("flow", self.flow, FLOWS),
        ):
            if name not in choices:
                raise UnknownName(what=what, name=name, choices=choices)

    @property
    def num_channels(self) -> int:
        """3 colours, or dx and dy of flow."""
        return 3 if self.modality == "rgb" else 2

    @property
    def num_spanned(self) -> int:
        """Frames at `rate` from the first shown to the last, both counted: the temporal footprint."""
        return (self.num_frames - 1) * self.stride + 1

    @property
    def exact_rate(self) -> Fraction:
        """`rate` as the fraction that was meant."""
        return Fraction(self.rate).limit_denominator(_MAX_DENOMINATOR)

    def frame_size(self, *, width_px: int, height_px: int) -> tuple[int, int]:
        """Width and height in px of the scaled frames of a video of that size; never below `crop_px`."""
        short, long = sorted((width_px, height_px))
        scale = Fraction(self.side_px, long if self.side == "long" else short)
        scale = max(scale, Fraction(self.crop_px, short))
        return max(self.crop_px, round(width_px * scale)), max(self.crop_px, round(height_px * scale))


def num_resampled(start_us: int, end_us: int, *, rate: Fraction) -> int:
    """How many instants `start_us + k / rate` seconds (k from 0) lie before `end_us`; at least 1.

    Raises:
        BadInput: the stretch is empty.

    >>> num_resampled(0, 10_000_000, rate=Fraction(25))
    250
    """
    if start_us >= end_us:
        raise BadInput(f"the stretch from {start_us} to {end_us} us is empty", mend="Want start < end")
    return -((start_us - end_us) * rate.numerator // (US_PER_S * rate.denominator))


def resampled_times(start_us: int, numbers_N: Ints, *, rate: Fraction) -> Ints:
    """The instants of those resampled frames, microseconds rounded half up, int64 [N].

    >>> resampled_times(1_000_000, np.array([0, 1, 25]), rate=Fraction(25))
    array([1000000, 1040000, 2000000])
    """
    ticks = 2 * US_PER_S * rate.denominator * np.asarray(numbers_N, dtype=np.int64)
    return start_us + (ticks + rate.numerator) // (2 * rate.numerator)


def first_frames(num_total: int, *, frames: ClipFrames, num_segments: int) -> list[int]:
    """First frames of `num_segments` clips spread evenly from the first that fits to the last; one: in the middle.

    All are 0 where the stretch is too short: such clips are looped.

    Raises:
        BadInput: a number is below 1.
    Source: Smaira et al. (2020), A short note on Kinetics-700-2020, figure 1: "8 linearly spaced segments per clip".

    >>> first_frames(250, frames=ClipFrames(num_frames=32), num_segments=8)
    [0, 31, 62, 93, 125, 156, 187, 218]
    """
    if min(num_total, num_segments) < 1:
        raise BadInput(f"{num_segments} segments of {num_total} frames", mend="Want at least 1 of both")
    last = max(0, num_total - frames.num_spanned)
    if num_segments == 1:
        return [last // 2]
    return [(2 * last * k + num_segments - 1) // (2 * (num_segments - 1)) for k in range(num_segments)]
