"""One source watched: frames go in one by one, moments to be scored come out; memory is bounded by the moments open.

Nothing here waits or computes for long: whoever drives it runs the detector and the model.

Shapes: T frames of a key-frame, N persons, H and W pixels, K boxes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from gesta.detect import FrameBoxes, TrackedBox, Tracker
from gesta.detect.tracks import MAX_GAP_US
from gesta.predict.streams.moments import Corners
from gesta.predict.streams.ring import FrameRing
from gesta.predict.streams.schedule import DETECT_RATE, Plan, detect_instants, plans
from gesta.predict.streams.scorers import PersonScorer
from gesta.predict.streams.shots import Shot, Size
from gesta.schema import US_PER_S

Uint8s = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_FAR_US = 2**61
"""Beyond every clock. Source: ours; 73,000 years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A frame in which persons are to be searched: its time, and its picture, uint8 [H, W, 3]."""

    time_us: int
    picture_HWC: Uint8s


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A moment that waits to be scored: who is there, and the views of them with the numbers of who is in each."""

    plan: Plan
    people: tuple[tuple[int, Corners], ...]
    views: Sequence[tuple[tuple[int, ...], Any]]
    tracked: tuple[TrackedBox, ...]


def box_at(track: Sequence[TrackedBox], time_us: int, *, reach_us: int) -> Corners | None:
    """The person's box at an instant, linear between those around it; None beyond `reach_us` from its ends."""
    place = bisect_left(track, time_us, key=lambda box: box.time_us)
    if place == len(track):
        return track[-1].box if time_us - track[-1].time_us <= reach_us else None
    if place == 0:
        return track[0].box if track[0].time_us - time_us <= reach_us else None
    before, after = track[place - 1], track[place]
    share = (time_us - before.time_us) / (after.time_us - before.time_us)
    x1, y1, x2, y2 = (one + share * (other - one) for one, other in zip(before.box, after.box, strict=True))
    return (x1, y1, x2, y2)


@dataclass(slots=True, kw_only=True)
class Watch:
    """What is known of one source so far: `take` its frames in order, hand in `found` boxes, get what is `ready`.

    A moment is ready once every frame that the model wants of it has come, and every box that could still bridge a
    gap over it. So it says what a look at the whole source would say, however the frames come.
    """

    scorer: PersonScorer
    stride_us: int
    span_us: tuple[int, int | None]
    rate: Fraction = DETECT_RATE
    ring: FrameRing = field(default_factory=FrameRing)
    tracks: dict[int, list[TrackedBox]] = field(default_factory=dict)
    num_told: int = 0
    _tracker: Tracker = field(default_factory=Tracker)
    _upcoming: Iterator[Plan] = field(init=False)
    _next: Plan | None = field(init=False)
    _pending: deque[Plan] = field(default_factory=deque)
    _awaited: deque[int] = field(default_factory=deque)
    _new: list[TrackedBox] = field(default_factory=list)
    _held: Shot | None = None
    _size_px: Size | None = None
    _settled_us: int = -_FAR_US
    _search_number: int = 0
    _is_over: bool = False

    def __post_init__(self) -> None:
        start_us, end_us = self.span_us
        self._upcoming = plans(self.scorer, stride_us=self.stride_us, start_us=start_us, end_us=end_us)
        self._next = next(self._upcoming)

    @property
    def wait_us(self) -> int:
        """How long after a moment's time boxes are waited for."""
        return max(MAX_GAP_US, self.stride_us)

    @property
    def most_pending(self) -> int:
        """Moments under way at once at most, where boxes are found as soon as they are asked for."""
        before_us, after_us = self.scorer.reach_us
        return -(-(before_us + max(after_us, self.wait_us)) // self.stride_us) + 2

    def wanted(self, start_us: int, end_us: int | None) -> Ints:
        """All instants that will be looked at of a source that starts and ends then, ascending, int64 [N].

        Raises:
            ValueError: the end is not known.
        """
        if end_us is None:
            raise ValueError("a source without an end has no list of instants")
        every = plans(self.scorer, stride_us=self.stride_us, start_us=start_us, end_us=end_us)
        searched = detect_instants(start_us=start_us, end_us=end_us, rate=self.rate)
        return np.unique(np.concatenate([searched, *(plan.times_T for plan in every)]))

    def take(self, shot: Shot) -> Search | None:
        """Take the next frame; gives the frame before it where persons are to be searched in that one."""
        held, self._held = self._held, shot
        return None if held is None else self._settle(held, until_us=shot.time_us - 1, search_until_us=shot.time_us - 1)

    def end(self, end_us: int) -> Search | None:
        """Say that no frame follows, and when the last one's time is over; gives what is still to be searched."""
        is_known = self.span_us[1] is not None
        while self._next is not None and (is_known or self._next.time_us < end_us or self._is_first(self._next)):
            self._pull()
        if not is_known:
            # Without this a source ends in moments that it does not have; the first one it always has.
            kept = [plan for plan in self._pending if plan.time_us < end_us]
            if not kept and self._pending and self._is_first(first := self._pending[0]):
                kept = [replace(first, time_us=min(first.time_us, max(0, end_us // 2)))]
            if kept:
                kept[-1] = replace(kept[-1], end_us=max(end_us, kept[-1].start_us + 1))
            self._pending = deque(kept)
            self._next = None
        self._is_over = True
        held, self._held = self._held, None
        return None if held is None else self._settle(held, until_us=_FAR_US, search_until_us=end_us)

    def expect(self, search: Search) -> None:
        """Say that the boxes of that frame will be handed in: moments wait for them."""
        self._awaited.append(search.time_us)

    def found(self, boxes: FrameBoxes) -> None:
        """Hand in the boxes of a frame, in the order of `expect`."""
        self._awaited.popleft()
        added = self._tracker.add(boxes)
        self._new += added
        for box in added:
            self.tracks.setdefault(box.person_id, []).append(box)

    def ready(self) -> Iterator[Looked]:
        """The moments that can be scored by now, in order of time."""
        while self._pending and self._is_ready(self._pending[0]):
            plan = self._pending.popleft()
            looked = self._look(plan)
            # Before giving it: whoever asks for one alone leaves this generator behind.
            self._forget(plan.time_us)
            yield looked

    def skip(self) -> None:
        """Leave out the moment that comes next: there is no time for it."""
        plan = self._pending.popleft()
        self._forget(plan.time_us)

    def people_now(self, time_us: int, *, reach_us: int = MAX_GAP_US // 2) -> list[tuple[int, Corners]]:
        """Who was seen within `reach_us` before that time, with their last boxes, by number."""
        return [
            (who, track[-1].box)
            for who, track in sorted(self.tracks.items())
            if time_us - track[-1].time_us <= reach_us
        ]

    def num_ready(self) -> int:
        """Moments that could be scored by now."""
        return sum(1 for plan in self._pending if self._is_ready(plan))

    def _is_ready(self, plan: Plan) -> bool:
        if self._is_over:
            return not self._awaited
        searched_us = self._awaited[0] if self._awaited else (-_FAR_US if self._held is None else self._held.time_us)
        return int(plan.times_T.max()) < self._settled_us and searched_us > plan.time_us + self.wait_us

    def _is_first(self, plan: Plan) -> bool:
        return plan.start_us == 0

    def _pull(self) -> None:
        assert self._next is not None
        self._pending.append(self._next)
        self._next = next(self._upcoming, None)

    def _settle(self, shot: Shot, *, until_us: int, search_until_us: int) -> Search | None:
        """Keep the frame, shown until then, where it is wanted; give it where persons are to be searched in it."""
        if self._size_px is None:
            # A live source may change its size: frames of one clip have one.
            self._size_px = self.scorer.size_of(shot.size_px) or shot.size_px
            while self._instant(self._search_number) < shot.time_us:
                self._search_number += 1
        while self._next is not None and not self._is_over and int(self._next.times_T.min()) < until_us:
            self._pull()
        low_us, self._settled_us = self._settled_us, until_us
        if any(((plan.times_T >= low_us) & (plan.times_T < until_us)).any() for plan in self._pending):
            self.ring.add(shot.time_us, shot.picture(self._size_px))
        if self._instant(self._search_number) >= search_until_us:
            return None
        while self._instant(self._search_number) < search_until_us:
            self._search_number += 1
        return Search(time_us=max(0, shot.time_us), picture_HWC=shot.picture(None))

    def _instant(self, number: int) -> int:
        return round(number * US_PER_S / self.rate)

    def _look(self, plan: Plan) -> Looked:
        boxes = {who: box_at(track, plan.time_us, reach_us=self.stride_us // 2) for who, track in self.tracks.items()}
        people = tuple((who, box) for who, box in sorted(boxes.items()) if box is not None)
        views: Sequence[tuple[tuple[int, ...], Any]] = ()
        if people:
            views = self.scorer.show(self.ring.at(plan.times_T), np.array([box for _, box in people]))
        self.num_told += 1
        tracked, self._new = tuple(self._new), []
        return Looked(plan=plan, people=people, views=views, tracked=tracked)

    def _forget(self, time_us: int) -> None:
        """Let go of what no later moment wants, once the one at `time_us` is told."""
        wanted = [int(plan.times_T.min()) for plan in self._pending]
        self.ring.forget_before(min(wanted) if wanted else None)
        next_us = self._pending[0].time_us if self._pending else time_us
        oldest_us = next_us - max(MAX_GAP_US, self.stride_us)
        for who, track in list(self.tracks.items()):
            if track[-1].time_us < oldest_us:
                del self.tracks[who]
            else:
                # The last box before the moment is one end of the line between two.
                del track[: max(0, bisect_left(track, next_us, key=lambda box: box.time_us) - 1)]
