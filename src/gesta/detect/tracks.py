"""Boxes of successive frames linked into tracks, one a person, gaps filled in.

Shapes: K boxes of one frame; 4 = x1 y1 x2 y2 as fractions of the frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gesta.detect.boxes import DECIMALS, best_first
from gesta.schema import US_PER_S, box_iou

MIN_LINK_IOU = 0.3
"""Least overlap of two boxes of one person in successive sampled frames. Source: the default of SORT's program
(Bewley et al., Simple Online and Realtime Tracking, 2016)."""

BUFFER = 0.5
"""Boxes left over are compared once more, each widened and heightened by this part of itself on every side, for people
who move by their own width between two sampled frames. Source: Yang et al., Hard to Track Objects with
Irregular Motions and Similar Appearances? (2023), for matching twice with buffered boxes; the number is ours."""

MAX_GAP_US = US_PER_S
"""A person missed for longer begins a new track. Source: ours."""


@dataclass(frozen=True, slots=True)
class FrameBoxes:
    """The person boxes of one frame: its time, boxes [K, 4] in fractions, scores [K]."""

    time_us: int
    boxes_K4: npt.NDArray[np.float64]
    scores_K: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedBox:
    """One box of one track, before it is given its clip and video."""

    person_id: int
    time_us: int
    box: tuple[float, float, float, float]
    score: float
    is_interpolated: bool


@dataclass(slots=True)
class _Track:
    # The last two boxes and their times: all that linking needs, however long the track is.
    person_id: int
    times_us: list[int] = field(default_factory=list)
    boxes: list[npt.NDArray[np.float64]] = field(default_factory=list)
    score: float = 0.0

    def add(self, time_us: int, box: npt.NDArray[np.float64], score: float) -> None:
        self.times_us = [*self.times_us[-1:], time_us]
        self.boxes = [*self.boxes[-1:], box]
        self.score = score

    def expected_at(self, time_us: int) -> npt.NDArray[np.float64]:
        """The last box, [4], moved on as its middle moved between the last two."""
        if len(self.boxes) < 2:
            return self.boxes[-1]
        moved_4 = self.boxes[-1] - self.boxes[-2]
        middle_2 = (moved_4[:2] + moved_4[2:]) / 2
        share = (time_us - self.times_us[-1]) / (self.times_us[-1] - self.times_us[-2])
        return self.boxes[-1] + share * np.tile(middle_2, 2)


@dataclass(slots=True)
class Tracker:
    """Boxes linked frame by frame, as they come: what `link_tracks` says, told as early as it can be known.

    It remembers the tracks that are open and the times of the frames within `max_gap_us`, and nothing older.

    >>> tracker = Tracker()
    >>> box = np.array([[0.1, 0.1, 0.3, 0.5]])
    >>> [
    ...     [(each.person_id, each.time_us, each.is_interpolated) for each in tracker.add(FrameBoxes(time_us, *found))]
    ...     for time_us, found in [
    ...         (0, (box, np.ones(1))),
    ...         (200_000, (np.zeros((0, 4)), np.zeros(0))),
    ...         (400_000, (box, np.ones(1))),
    ...     ]
    ... ]
    [[(0, 0, False)], [], [(0, 200000, True), (0, 400000, False)]]
    """

    min_iou: float = MIN_LINK_IOU
    max_gap_us: int = MAX_GAP_US
    _open: list[_Track] = field(default_factory=list)
    _num_tracks: int = 0
    _times_us: deque[int] = field(default_factory=deque)

    def add(self, frame: FrameBoxes) -> list[TrackedBox]:
        """The boxes that the frame adds to tracks: one for each of its boxes, and those of the gaps that these close.

        Raises:
            ValueError: the frame does not come after the one before it.
        """
        if self._times_us and frame.time_us <= self._times_us[-1]:
            raise ValueError(f"frame at {frame.time_us} us comes after {self._times_us[-1]} us")
        self._open = [track for track in self._open if frame.time_us - track.times_us[-1] <= self.max_gap_us]
        order = best_first(frame.boxes_K4, frame.scores_K)
        boxes, scores = frame.boxes_K4[order], frame.scores_K[order]
        taken = _join(self._open, boxes, frame.time_us, min_iou=self.min_iou)
        added: list[TrackedBox] = []
        for index, box in enumerate(boxes):
            track, score = taken.get(index), float(scores[index])
            if track is None:
                track = _Track(self._num_tracks)
                self._num_tracks += 1
                self._open.append(track)
            else:
                added += _between(track, self._times_us, time_us=frame.time_us, box=box, score=score)
            track.add(frame.time_us, box, score)
            added.append(
                TrackedBox(
                    person_id=track.person_id,
                    time_us=frame.time_us,
                    box=_corners(box),
                    score=score,
                    is_interpolated=False,
                )
            )
        self._times_us.append(frame.time_us)
        while self._times_us[0] < frame.time_us - self.max_gap_us:
            self._times_us.popleft()
        return added


def link_tracks(
    frames: Sequence[FrameBoxes], *, min_iou: float = MIN_LINK_IOU, max_gap_us: int = MAX_GAP_US
) -> list[TrackedBox]:
    """The tracks' boxes, ordered by person and time; every box of `frames` is in just one track.

    In each frame the pairs (open track, box) of the highest overlap between the box and where the track is expected
    are joined first, as long as it is at least `min_iou`; then the same for what is left, both boxes widened by
    `BUFFER`; boxes left over begin tracks. A track is expected where its last box would be if its middle moved on as
    between the last two boxes, and is open until `max_gap_us` has passed since its last box. Persons are numbered
    from 0 by first appearance, the surest box first. Frames between two boxes of a track get a box in between, linear
    in time, with the mean of both scores, and are flagged.

    Args:
        frames: in rising order of time; frames without a box belong in it, for they are where gaps are filled.
    Raises:
        ValueError: the frames' times do not rise.
    Source: Bochinski et al., High-Speed Tracking-by-Detection Without Using Image Information (2017), section 3, and
        `BUFFER`; the gap, the expectation and the numbering are ours.
    """
    tracker = Tracker(min_iou=min_iou, max_gap_us=max_gap_us)
    found = [box for frame in frames for box in tracker.add(frame)]
    return sorted(found, key=lambda box: (box.person_id, box.time_us))


def _join(
    tracks: list[_Track], boxes_K4: npt.NDArray[np.float64], time_us: int, *, min_iou: float
) -> dict[int, _Track]:
    """The track that each box continues, by the box's index; boxes without one are absent."""
    joined: dict[int, _Track] = {}
    if not tracks or not len(boxes_K4):
        return joined
    expected_T4 = np.stack([track.expected_at(time_us) for track in tracks])
    free = set(range(len(tracks)))
    for buffer in (0.0, BUFFER):
        overlaps_TK = box_iou(_widened(expected_T4, buffer), _widened(boxes_K4, buffer))
        # A stable sort: of equal overlaps the older track and the surer box come first.
        for flat in np.argsort(-overlaps_TK, axis=None, kind="stable"):
            number, index = divmod(int(flat), len(boxes_K4))
            if overlaps_TK[number, index] < min_iou:
                break
            if number in free and index not in joined:
                free.remove(number)
                joined[index] = tracks[number]
    return joined


def _widened(boxes_K4: npt.NDArray[np.float64], buffer: float) -> npt.NDArray[np.float64]:
    margin_K2 = buffer * (boxes_K4[:, 2:] - boxes_K4[:, :2])
    return np.concatenate([boxes_K4[:, :2] - margin_K2, boxes_K4[:, 2:] + margin_K2], axis=1)


def _between(
    track: _Track, times_us: Iterable[int], *, time_us: int, box: npt.NDArray[np.float64], score: float
) -> list[TrackedBox]:
    """The boxes of the frames between the track's last box and its next one."""
    start_us, start_4 = track.times_us[-1], track.boxes[-1]
    return [
        TrackedBox(
            person_id=track.person_id,
            time_us=between_us,
            box=_corners(start_4 + (between_us - start_us) / (time_us - start_us) * (box - start_4)),
            score=round((track.score + score) / 2, DECIMALS),
            is_interpolated=True,
        )
        for between_us in times_us
        if between_us > start_us
    ]


def _corners(box_4: npt.NDArray[np.float64]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(value, DECIMALS) for value in box_4.tolist())
    return (x1, y1, x2, y2)
