"""Which moments of a source are looked at, and which instants of it persons are searched at.

Times are integer microseconds on the source's clock.

Shapes: T frames of a key-frame, N instants.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from gesta.predict.streams.scorers import PersonScorer
from gesta.schema import US_PER_S, BadInput
from gesta.video import instants

Ints = npt.NDArray[np.int64]

DETECT_RATE = Fraction(5)
"""Frames a second in which persons are looked for. Source: ours; a walker moves a third of a body width in 0.2 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One moment to come: its stretch, its time, and the instants int64 [T] that the model is shown of it."""

    start_us: int
    end_us: int
    time_us: int
    times_T: Ints


def spans(*, stride_us: int, end_us: int | None) -> Iterator[tuple[int, int, int]]:
    """Start, end and time of each moment from 0 on; together they cover the source, the last up to its end.

    A rest shorter than half a stride belongs to the moment before it. Of a source whose end is not known they go on
    for ever.

    >>> list(spans(stride_us=1000, end_us=2400))
    [(0, 1000, 500), (1000, 2400, 1500)]
    >>> list(spans(stride_us=1000, end_us=2600))
    [(0, 1000, 500), (1000, 2000, 1500), (2000, 2600, 2300)]
    """
    number = 0
    while True:
        start_us = number * stride_us
        stop_us = start_us + stride_us
        if end_us is not None and (is_last := stop_us >= max(1, end_us - stride_us // 2)):
            stop_us = end_us
        yield start_us, stop_us, min(start_us + stride_us // 2, (start_us + stop_us) // 2)
        if end_us is not None and is_last:
            return
        number += 1


def plans(scorer: PersonScorer, *, stride_us: int, start_us: int, end_us: int | None) -> Iterator[Plan]:
    """The moments of a source that starts and ends then, each with the instants that the model is shown."""
    for low_us, high_us, time_us in spans(stride_us=stride_us, end_us=end_us):
        times_T = scorer.times_us(time_us, start_us, end_us)
        yield Plan(start_us=low_us, end_us=high_us, time_us=time_us, times_T=times_T)


def detect_instants(*, start_us: int, end_us: int, rate: Fraction) -> Ints:
    """Instants at which persons are searched in a source that starts and ends then, int64 [N]."""
    found_N = instants(0, max(1, end_us), rate=rate)
    return found_N[found_N >= start_us]


def check_stride(stride_s: float) -> int:
    """The stride in microseconds.

    Raises:
        BadInput: it is not above 0.
    """
    if not stride_s > 0:
        raise BadInput(f"stride_s={stride_s}", mend="Want more than 0 seconds")
    return max(1, round(stride_s * US_PER_S))
