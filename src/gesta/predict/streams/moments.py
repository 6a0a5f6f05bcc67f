"""What a stream of frames says, moment by moment: who is there, where, and what each one does.

Times are integer microseconds on the source's clock, stretches half-open, boxes x1 y1 x2 y2 as fractions of the frame.

Shapes: K classes in the order of the model's outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gesta.detect import TrackedBox

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonNow:
    """One person at one moment: the box, and the probability of every class (K of them)."""

    person_id: int
    box: Corners
    scores: tuple[float, ...]
    class_names: tuple[str, ...]

    @property
    def actions(self) -> dict[str, float]:
        """The probability of every class by its name, the likeliest first."""
        return dict(sorted(zip(self.class_names, self.scores, strict=True), key=lambda pair: (-pair[1], pair[0])))

    def top(self, count: int = 3, *, min_score: float = 0.0) -> list[tuple[str, float]]:
        """The likeliest classes and their probabilities, at most `count`, none below `min_score`.

        >>> PersonNow(person_id=0, box=(0, 0, 1, 1), scores=(0.2, 0.9), class_names=("sit", "wave")).top(1)
        [('wave', 0.9)]
        """
        return [(name, score) for name, score in self.actions.items() if score >= min_score][:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A stretch of a source, `[start_us, end_us)`, seen at `time_us`; without persons it is still a moment.

    Attributes:
        source: name of the source.
        persons: by number.
        tracked: boxes of tracks that became known since the moment before, gaps filled in; all moments' together are
            the tracks.
        num_dropped: of a live source, frames that were left out since the moment before, lest it lag.
        num_skipped: of a live source, moments left out since the one before.
        latency_us: of a live source, from the arrival of the frame at `time_us` to this moment's being known.
    """

    source: str
    time_us: int
    start_us: int
    end_us: int
    persons: tuple[PersonNow, ...]
    tracked: tuple[TrackedBox, ...] = ()
    num_dropped: int = 0
    num_skipped: int = 0
    latency_us: int | None = None

    @property
    def time_s(self) -> float:
        """`time_us` in seconds."""
        return self.time_us / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A stretch, half-open, in which one person kept doing one thing; `mean_score` is of the moments in it."""

    class_id: int
    name: str
    start_us: int
    end_us: int
    mean_score: float


def intervals_of(
    rows: Sequence[tuple[int, int, Sequence[float]]],
    *,
    class_ids: Sequence[int],
    class_names: Sequence[str],
    min_score: float,
) -> list[Interval]:
    """Stretches in which one class stays at `min_score` or above, by start and class.

    Args:
        rows: start, end and the K probabilities of each of one person's moments, in order of time.

    >>> rows = [(0, 10, (0.9,)), (10, 20, (0.7,)), (20, 30, (0.1,)), (30, 40, (0.9,))]
    >>> found = intervals_of(rows, class_ids=[3], class_names=["wave"], min_score=0.5)
    >>> [(each.start_us, each.end_us, each.mean_score) for each in found]
    [(0, 20, 0.8), (30, 40, 0.9)]
    """
    found: list[tuple[int, int, int, list[float]]] = []
    for place in range(len(class_ids)):
        running: list[float] = []
        start_us = stop_us = 0
        for low_us, high_us, scores in rows:
            if running and (scores[place] < min_score or low_us != stop_us):
                found.append((start_us, stop_us, place, running))
                running = []
            if scores[place] >= min_score:
                start_us, stop_us = (start_us if running else low_us), high_us
                running = [*running, scores[place]]
        if running:
            found.append((start_us, stop_us, place, running))
    return [
        Interval(
            class_id=class_ids[place],
            name=class_names[place],
            start_us=start_us,
            end_us=stop_us,
            mean_score=round(sum(scores) / len(scores), 6),
        )
        for start_us, stop_us, place, scores in sorted(found, key=lambda each: (each[0], class_ids[each[2]]))
    ]
