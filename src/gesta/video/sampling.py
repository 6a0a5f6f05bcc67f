"""Which instants, or which frames, of a stretch to read: windows around a key-frame, uniform, one a segment.

Times are integer microseconds, frame numbers count from 0 in the order shown.

Legend: N = number sampled.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gesta.schema import BadInput

Ints = npt.NDArray[np.int64]


def window_times(center_us: int, *, num_frames: int, stride_us: int) -> Ints:
    """Instants `stride_us` apart around `center_us`, int64 [N]; number `num_frames // 2` is `center_us` itself.

    They may lie outside the video, where `read_frames` repeats its first or last frame.

    Raises:
        BadInput: `num_frames` or `stride_us` is below 1.
    Source: PySlowFast's AVA data set, which takes `range(center - half, center + half, stride)` (in frames).

    >>> window_times(1_000_000, num_frames=4, stride_us=200_000)
    array([ 600000,  800000, 1000000, 1200000])
    """
    _check({"num_frames": num_frames, "stride_us": stride_us})
    return center_us + (np.arange(num_frames, dtype=np.int64) - num_frames // 2) * stride_us


def uniform_times(start_us: int, end_us: int, *, num_frames: int) -> Ints:
    """The middles of `num_frames` equal parts of `[start_us, end_us)`, int64 [N], rounded down.

    Raises:
        BadInput: the stretch is empty or `num_frames` is below 1.
    Source: Wang et al., Temporal Segment Networks (2016), section 3.1, as tested: the middle of each segment.

    >>> uniform_times(0, 1_000_000, num_frames=4)
    array([125000, 375000, 625000, 875000])
    """
    return segment_times(start_us, end_us, num_segments=num_frames, rng=None)


def segment_times(start_us: int, end_us: int, *, num_segments: int, rng: random.Random | None) -> Ints:
    """One instant from each of `num_segments` equal parts of `[start_us, end_us)`, int64 [N], ascending.

    Args:
        rng: chance for a random instant of each part; None = the middle of each.
    Raises:
        BadInput: the stretch is empty or `num_segments` is below 1.
    Source: Wang et al., Temporal Segment Networks (2016), section 3.1.

    >>> segment_times(0, 90, num_segments=3, rng=random.Random(7))
    array([10, 34, 72])
    """
    _check({"num_segments": num_segments})
    if start_us >= end_us:
        raise BadInput(f"the stretch from {start_us} to {end_us} us is empty", mend="Want start < end")
    return start_us + _one_a_part(end_us - start_us, num_segments, rng)


def window_frames(center: int, *, num_total: int, num_frames: int, stride: int) -> Ints:
    """Frame numbers `stride` apart around frame `center` of `num_total`, int64 [N], the ends repeated outside.

    Raises:
        BadInput: `num_total`, `num_frames` or `stride` is below 1.
    Source: as `window_times`; the ends are clipped as PySlowFast's `get_sequence` does.

    >>> window_frames(2, num_total=100, num_frames=4, stride=2)
    array([0, 0, 2, 4])
    """
    _check({"num_total": num_total, "num_frames": num_frames, "stride": stride})
    return np.clip(center + (np.arange(num_frames, dtype=np.int64) - num_frames // 2) * stride, 0, num_total - 1)


def strided_frames(start: int, *, num_total: int, num_frames: int, stride: int) -> Ints:
    """Frame numbers `start`, `start + stride` …, int64 [N], going round to the first frame after the last.

    Raises:
        BadInput: `num_total`, `num_frames` or `stride` is below 1, or `start` is no frame.
    Source: Carreira & Zisserman, Quo Vadis (2017), section 2.5: short videos are looped.

    >>> strided_frames(5, num_total=8, num_frames=4, stride=2)
    array([5, 7, 1, 3])
    """
    _check({"num_total": num_total, "num_frames": num_frames, "stride": stride})
    if not 0 <= start < num_total:
        raise BadInput(f"start={start} is no frame of {num_total}", mend=f"Want 0 to {num_total - 1}")
    return (start + np.arange(num_frames, dtype=np.int64) * stride) % num_total


def random_start(*, num_total: int, num_frames: int, stride: int, rng: random.Random) -> int:
    """A first frame from which `num_frames` x `stride` fit into `num_total`, each equally likely; 0 if none fits.

    Raises:
        BadInput: `num_total`, `num_frames` or `stride` is below 1.
    """
    _check({"num_total": num_total, "num_frames": num_frames, "stride": stride})
    return rng.randrange(max(1, num_total - (num_frames - 1) * stride))


def uniform_frames(*, num_total: int, num_frames: int) -> Ints:
    """The middle frames of `num_frames` equal parts of `num_total`, int64 [N]; repeats where there are fewer frames.

    Raises:
        BadInput: `num_total` or `num_frames` is below 1.

    >>> uniform_frames(num_total=10, num_frames=3)
    array([1, 5, 8])
    """
    return segment_frames(num_total=num_total, num_segments=num_frames, rng=None)


def segment_frames(*, num_total: int, num_segments: int, rng: random.Random | None) -> Ints:
    """One frame number from each of `num_segments` equal parts of `num_total`, int64 [N], ascending.

    Args:
        rng: chance for a random frame of each part; None = the middle of each.
    Raises:
        BadInput: `num_total` or `num_segments` is below 1.
    Source: Wang et al., Temporal Segment Networks (2016), section 3.1.

    >>> segment_frames(num_total=300, num_segments=3, rng=None)
    array([ 50, 150, 250])
    """
    _check({"num_total": num_total, "num_segments": num_segments})
    return _one_a_part(num_total, num_segments, rng)


def _one_a_part(length: int, num_parts: int, rng: random.Random | None) -> Ints:
    """One whole number from each of `num_parts` equal parts of `[0, length)`, exact in integers."""
    if rng is None:
        return np.array([(2 * part + 1) * length // (2 * num_parts) for part in range(num_parts)], dtype=np.int64)
    edges = [part * length // num_parts for part in range(num_parts + 1)]
    return np.array(
        [rng.randrange(edges[part], max(edges[part] + 1, edges[part + 1])) for part in range(num_parts)],
        dtype=np.int64,
    )


def _check(counts: Mapping[str, int]) -> None:
    for name, value in counts.items():
        if value < 1:
            raise BadInput(f"{name}={value}", mend="Want at least 1")
