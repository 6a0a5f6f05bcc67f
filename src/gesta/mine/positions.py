"""Where in a video a clip is taken: around the instants of the strongest responses of a classifier of frames.

Shapes: N frames; k chosen ones.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gesta.mine.windows import MIN_CLIP_US

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TOP_K = 2
"""Source: Kinetics-400 paper, section 3.2, step 2: clips around the top k responses, where k = 2."""


def top_responses(times_us_N: Ints, scores_N: Floats, *, k: int = TOP_K, apart_us: int) -> Ints:
    """The numbers of the strongest frames, strongest first, int64 [k] or fewer: no two closer than `apart_us`.

    The strongest of all is taken, then the strongest of those far enough from every one taken, and so on; of equals
    the earliest.

    Args:
        times_us_N: int64 [N], instants in microseconds, in any order.
        scores_N: float [N], a response each.
        k: how many at most.
        apart_us: least distance of two instants; 0 lets neighbours be taken.
    Raises:
        ValueError: the shapes differ, a score is no number, `k` is below 1 or `apart_us` below 0.
    Source: Kinetics-400 paper, section 3.2, step 2, which does not say how far apart the two are: that they are a
        clip apart at least, so that no two clips share footage, is ours.

    >>> times_us = np.array([0, 1, 2, 3, 4, 5])
    >>> top_responses(times_us, np.array([0.1, 0.8, 0.9, 0.7, 0.2, 0.6]), k=2, apart_us=2)
    array([2, 5])
    """
    if times_us_N.ndim != 1 or times_us_N.shape != scores_N.shape:
        raise ValueError(f"times {times_us_N.shape} and scores {scores_N.shape}: want the same [N]")
    if k < 1 or apart_us < 0:
        raise ValueError(f"k={k}, apart_us={apart_us}: want k >= 1 and apart_us >= 0")
    if np.isnan(scores_N).any():
        raise ValueError(f"score {int(np.isnan(scores_N).argmax())} is no number")
    order_N = np.lexsort((times_us_N, -scores_N))
    chosen: list[int] = []
    while len(order_N) and len(chosen) < k:
        best = int(order_N[0])
        chosen.append(best)
        is_far_N = np.abs(times_us_N[order_N] - times_us_N[best]) >= apart_us
        # With no distance asked for the chosen one is as far from itself as it has to be.
        order_N = order_N[is_far_N & (order_N != best)]
    return np.array(chosen, dtype=np.int64)


def clip_around(position_us: int, *, start_us: int, end_us: int, clip_us: int) -> tuple[int, int]:
    """The half-open clip of `clip_us` whose middle is the position, cut at the video's ends.

    Args:
        position_us: an instant of the video.
        start_us: the video's first instant.
        end_us: the instant after its last.
        clip_us: length of a clip that no end cuts.
    Raises:
        ValueError: the position lies outside the video, or `clip_us` is below 1.
    Source: Kinetics-400 paper, section 3.2: 5 s on either side of the position; "there are length exceptions when the
        position is within 5 seconds of the start or end of the video leading to a shorter clip length".

    >>> clip_around(30, start_us=0, end_us=60, clip_us=10), clip_around(2, start_us=0, end_us=60, clip_us=10)
    ((25, 35), (0, 7))
    """
    if not start_us <= position_us < end_us or clip_us < 1:
        raise ValueError(f"position {position_us} in [{start_us}, {end_us}), clips of {clip_us}: want it inside")
    first_us = position_us - clip_us // 2
    return max(start_us, first_us), min(end_us, first_us + clip_us)


def clips_at_responses(
    times_us_N: Ints, scores_N: Floats, *, start_us: int, end_us: int, clip_us: int, k: int = TOP_K
) -> list[tuple[int, int, int]]:
    """The clips around a video's strongest responses: (number of the frame, start, end) each, strongest first.

    Frames so near an end that their clip would last less than `MIN_CLIP_US` are passed over, unless the whole video
    is no longer than that.

    Args:
        times_us_N: int64 [N], inside the video.
        scores_N: float [N].
        start_us: the video's first instant.
        end_us: the instant after its last.
        clip_us: length of a clip, and the least distance of two positions.
        k: how many at most.
    Raises:
        ValueError: as `top_responses` and `clip_around`.
    """
    spans = [clip_around(int(time_us), start_us=start_us, end_us=end_us, clip_us=clip_us) for time_us in times_us_N]
    least_us = min(MIN_CLIP_US, end_us - start_us)
    fit = np.array([i for i, (first_us, last_us) in enumerate(spans) if last_us - first_us >= least_us], dtype=np.int64)
    chosen = fit[top_responses(times_us_N[fit], scores_N[fit], k=k, apart_us=clip_us)]
    return [(int(i), *spans[i]) for i in chosen]
