"""Which frame of a clip is annotated: the one in which the detector is surest of a person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gesta.schema import US_PER_S

MARGIN_US = US_PER_S
"""Source: AVA-Kinetics paper, section 1.2, step 2: at least 1 s away from the start and the end of the clip. The
published key-frames reach the bound itself (97 s in the clip 96 s to 106 s), so the bound is inclusive."""


def choose_key_frame(
    times_us: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float64],
    *,
    start_us: int,
    end_us: int,
    margin_us: int = MARGIN_US,
) -> int:
    """Index of the key-frame among a clip's frames.

    Of the frames at least `margin_us` from either end: the one of the highest score, the earliest of equals; if
    none of them has a person, the one nearest the clip's middle. A clip without such frames (shorter than twice the
    margin): the frame nearest the middle. Two frames as near: the earlier.

    Args:
        times_us: int64 [F], rising, microseconds, F >= 1.
        scores: float [F], the highest person confidence in each frame; 0 where no person was found.
        start_us: the clip's first instant; its end is half-open.
    Raises:
        ValueError: there is no frame, or the shapes differ.
    Source: AVA-Kinetics paper, section 1.2, step 2; the two cases on which it is silent are ours.

    >>> times = np.arange(500_000, 10_000_000, 1_000_000)
    >>> choose_key_frame(times, np.array([0.99, 0.2, 0, 0.7, 0.7, 0, 0, 0, 0, 0.9]), start_us=0, end_us=10_000_000)
    3
    >>> choose_key_frame(times, np.zeros(10), start_us=0, end_us=10_000_000)
    4
    """
    if not len(times_us) or times_us.shape != scores.shape:
        raise ValueError(f"times {times_us.shape} and scores {scores.shape}: want the same [F], F >= 1")
    is_inner = (times_us >= start_us + margin_us) & (times_us <= end_us - margin_us)
    inner = np.flatnonzero(is_inner)
    if len(inner) and scores[inner].max() > 0:
        return int(inner[np.argmax(scores[inner])])
    among = inner if len(inner) else np.arange(len(times_us))
    # Twice the distance stays whole where the middle lies between two microseconds.
    return int(among[np.argmin(np.abs(2 * times_us[among] - (start_us + end_us)))])
