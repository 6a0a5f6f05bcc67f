"""When the frames of a key-frame's clip are: around it, so many at so many a second, kept within a shot or clip.

Times are integer microseconds of the film's clock, so that a film of any frame rate gives the same instants.

Shapes: T frames of a clip.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gesta.schema import US_PER_S, BadInput
from gesta.train.clips.frames import ClipFrames, Ints

Floats = npt.NDArray[np.float64]


def key_frame_times(
    timestamp_us: int,
    *,
    frames: ClipFrames,
    start_us: int,
    end_us: int,
    draw: Floats | None = None,
) -> Ints:
    """The instants of a clip's frames around a key-frame, int64 [T], ascending but for what the draws change.

    Frame number `num_frames // 2` is the key-frame itself, the others lie `stride / rate` seconds apart. Instants
    outside [start, end) become its first, or its last microsecond, at which its last frame is still shown.

    Args:
        timestamp_us: the key-frame.
        frames: how many, at which rate and stride.
        start_us: first instant from which frames may come.
        end_us: the instant behind the last.
        draw: float64 [T], each in [0, 1), or None. With it, every frame moves by its own whole number of frames at
            `rate`, from -stride / 2 on (rounded down) to below stride / 2 (rounded up).
    Raises:
        BadInput: the stretch is empty, or the draws are not one a frame.
    Source: open-mmlab/mmaction2 4d6c9347, `SampleAVAFrames` (window, offsets, clipping); facebookresearch/SlowFast,
        `datasets/utils.py`, `get_sequence`, which gives the same window for an even number of frames.

    >>> key_frame_times(1_000_000, frames=ClipFrames(num_frames=4, rate=30, stride=3), start_us=850_000, end_us=2**40)
    array([ 850000,  900000, 1000000, 1100000])
    """
    if start_us >= end_us:
        raise BadInput(f"the stretch from {start_us} to {end_us} us is empty", mend="Want start < end")
    steps_T = (np.arange(frames.num_frames, dtype=np.int64) - frames.num_frames // 2) * frames.stride
    if draw is not None:
        if np.shape(draw) != (frames.num_frames,):
            raise BadInput(f"draws of shape {np.shape(draw)} for {frames.num_frames} frames", mend="Want one a frame")
        low, high = offset_range(frames)
        steps_T = steps_T + low + np.floor(np.asarray(draw) * (high - low)).astype(np.int64)
    return np.clip(timestamp_us + steps_us(steps_T, frames=frames), start_us, end_us - 1)


def offset_range(frames: ClipFrames) -> tuple[int, int]:
    """The least offset of a frame that is moved at random and the one behind the greatest, in frames at `rate`.

    >>> offset_range(ClipFrames(num_frames=4, stride=16)), offset_range(ClipFrames(num_frames=4, stride=1))
    ((-8, 8), (-1, 1))
    """
    return -frames.stride // 2, (frames.stride + 1) // 2


def step_range(frames: ClipFrames, *, jitters: bool) -> tuple[int, int]:
    """The first and last step from the key-frame at which a frame may be taken, in frames at `rate`.

    >>> step_range(ClipFrames(num_frames=4, stride=2), jitters=True)
    (-5, 2)
    """
    low, high = offset_range(frames) if jitters else (0, 1)
    first = -(frames.num_frames // 2) * frames.stride
    return first + low, first + (frames.num_frames - 1) * frames.stride + high - 1


def reach_us(frames: ClipFrames) -> tuple[int, int]:
    """How long before and after a key-frame its clip's frames may lie at most, microseconds, moved at random or not.

    >>> reach_us(ClipFrames(num_frames=4, rate=10, stride=2))
    (500000, 200000)
    """
    before, after = steps_us(np.array(step_range(frames, jitters=True)), frames=frames).tolist()
    return -before, max(0, after)


def steps_us(steps_T: Ints, *, frames: ClipFrames) -> Ints:
    """That many frames at `rate` as microseconds, rounded half up, int64 [T]; the same size before and after 0.

    >>> steps_us(np.array([-1, 0, 1, 30]), frames=ClipFrames(num_frames=1, rate=30))
    array([ -33333,       0,   33333, 1000000])
    """
    rate = frames.exact_rate
    ticks_T = 2 * US_PER_S * rate.denominator * np.abs(steps_T)
    return np.sign(steps_T) * ((ticks_T + rate.numerator) // (2 * rate.numerator))
