"""Live sources: frames are left out rather than late, and detector and model work beside the reading.

What cannot be done in time is left out and counted: frames that nobody took, searches while one is under way,
moments while the model is at one. The newest always wins.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from gesta.detect import FrameBoxes
from gesta.predict.streams.drive import Eyes, moment_of, search
from gesta.predict.streams.moments import Moment
from gesta.predict.streams.scorers import PersonScorer
from gesta.predict.streams.shots import FrameSource, Shot, Wanted
from gesta.predict.streams.streamed import system_clock_us
from gesta.predict.streams.watch import Looked, Watch
from gesta.schema import BadVideo, GestaError
from gesta.tables import Json

MAILBOX_FRAMES = 16
"""Frames that may wait to be taken. Source: ours; half a second at 30 frames a second."""

_WAIT_S = 0.02


@dataclass(slots=True)
class Mailbox:
    """Frames handed from the reader to the watcher; when it is full the oldest is left out.

    >>> box = Mailbox(most=2)
    >>> for number in range(3):
    ...     box.put(Shot(time_us=number, size_px=(1, 1), picture=lambda size: None))
    >>> box.take(0).time_us, box.num_dropped
    (1, 1)
    """

    most: int = MAILBOX_FRAMES
    num_dropped: int = 0
    _shots: deque[Shot] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _is_closed: bool = False

    def put(self, shot: Shot) -> None:
        """Hand a frame over."""
        with self._changed:
            if len(self._shots) >= self.most:
                self._shots.popleft()
                self.num_dropped += 1
            self._shots.append(shot)
            self._changed.notify()

    def close(self) -> None:
        """Say that no frame follows."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def take(self, timeout_s: float) -> Shot | None:
        """The oldest frame that waits; None where none came in time."""
        with self._changed:
            if not self._shots and not self._is_closed:
                self._changed.wait(timeout_s)
            return self._shots.popleft() if self._shots else None

    @property
    def is_over(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._is_closed and not self._shots


@dataclass(slots=True)
class LiveNow:
    """What is known at this instant, for whoever draws: the watch, and what was last said of each person."""

    watch: Watch
    said: dict[int, Moment] = field(default_factory=dict)
    num_dropped: int = 0
    num_skipped: int = 0
    num_not_searched: int = 0
    num_frames: int = 0
    latency_us: int | None = None


OnShot = Callable[[Shot, LiveNow], None]


def live_moments(
    source: FrameSource,
    *,
    scorer: PersonScorer,
    eyes: Eyes,
    stop: threading.Event,
    clock_us: Callable[[], int] = system_clock_us,
    on_shot: OnShot | None = None,
    mailbox_frames: int = MAILBOX_FRAMES,
) -> Iterator[Moment]:
    """The moments of a source that does not wait, as they become known; the last ones once `stop` is set or it ends.

    Args:
        source: read in a thread of its own.
        scorer: works in a thread of its own.
        eyes: so does the detector.
        stop: set to end it; all that has been seen by then is still told.
        clock_us: tells how late moments are.
        on_shot: called in this thread with each frame taken and what is known then.
        mailbox_frames: frames that may wait to be taken.
    Raises:
        GestaError: reading fails.
    """
    mailbox = Mailbox(most=mailbox_frames)
    errors: list[GestaError] = []

    def read() -> None:
        try:
            for shot in source.shots(None):
                mailbox.put(shot)
                if stop.is_set():
                    return
        except GestaError as error:
            errors.append(error)
        finally:
            mailbox.close()

    reader = threading.Thread(target=read, name="gesta-read", daemon=True)
    run = _LiveRun(
        source=source, scorer=scorer, eyes=eyes, clock_us=clock_us,
        now=LiveNow(Watch(scorer=scorer, stride_us=eyes.stride_us, span_us=source.span_us)), mailbox=mailbox,
    )  # fmt: skip
    with ThreadPoolExecutor(1, "gesta-search") as searcher, ThreadPoolExecutor(1, "gesta-score") as rater:
        reader.start()
        try:
            while not (mailbox.is_over or stop.is_set()):
                yield from run.collect(searcher, rater)
                shot = mailbox.take(_WAIT_S)
                if shot is not None:
                    run.take(shot, searcher)
                    if on_shot is not None:
                        on_shot(shot, run.now)
            yield from run.finish()
            was_stopped = stop.is_set()
        finally:
            stop.set()
    if errors:
        raise errors[0]
    if not run.now.num_frames and not was_stopped:
        raise BadVideo("shows no frame", where=source.name, reason="no-frames")


@dataclass(slots=True, kw_only=True)
class _LiveRun:
    """One run's work under way: at most one search and one moment at a time."""

    source: FrameSource
    scorer: PersonScorer
    eyes: Eyes
    clock_us: Callable[[], int]
    now: LiveNow
    mailbox: Mailbox
    _searching: Future[list[FrameBoxes]] | None = None
    _scoring: Future[Moment] | None = None
    _arrivals: deque[tuple[int, int]] = field(default_factory=deque)
    _told_dropped: int = 0
    _told_skipped: int = 0
    _last_us: int = 0
    _gap_us: int = 0

    def take(self, shot: Shot, searcher: ThreadPoolExecutor) -> None:
        """Take a frame, and search persons in the one before it where it is time and nobody is searching."""
        now, watch = self.now, self.now.watch
        if now.num_frames:
            self._gap_us = shot.time_us - self._last_us
        self._last_us = shot.time_us
        now.num_frames += 1
        now.num_dropped = self.mailbox.num_dropped
        self._arrivals.append((shot.time_us, self.clock_us() if shot.arrived_us is None else shot.arrived_us))
        before_us = shot.time_us - 2 * (watch.wait_us + sum(self.scorer.reach_us)) - 60 * watch.stride_us
        while self._arrivals[0][0] < before_us:
            self._arrivals.popleft()
        asked = watch.take(shot)
        if asked is not None and self._searching is None:
            watch.expect(asked)
            self._searching = searcher.submit(search, [asked], eyes=self.eyes)
        elif asked is not None:
            now.num_not_searched += 1

    def collect(self, searcher: ThreadPoolExecutor, rater: ThreadPoolExecutor) -> Iterator[Moment]:
        """The moment that is done by now, if one is; the next one is given to the model, those before it left out."""
        del searcher
        watch = self.now.watch
        if self._searching is not None and self._searching.done():
            for boxes in self._searching.result():
                watch.found(boxes)
            self._searching = None
        if self._scoring is not None and self._scoring.done():
            moment, self._scoring = self._scoring.result(), None
            yield self._told(moment)
        if self._scoring is None and (num_ready := watch.num_ready()):
            for _ in range(num_ready - 1):
                watch.skip()
                self.now.num_skipped += 1
            self._scoring = rater.submit(self._scored, next(watch.ready()))

    def finish(self) -> Iterator[Moment]:
        """What is still under way, to its end; nothing is left out any more."""
        watch = self.now.watch
        if self._searching is not None:
            for boxes in self._searching.result():
                watch.found(boxes)
        if self._scoring is not None:
            yield self._told(self._scoring.result())
        if not self.now.num_frames:
            return
        asked = watch.end(self._last_us + max(1, self._gap_us))
        if asked is not None:
            watch.expect(asked)
            for boxes in search([asked], eyes=self.eyes):
                watch.found(boxes)
        for looked in watch.ready():
            yield self._told(self._scored(looked))

    def _scored(self, looked: Looked) -> Moment:
        scores = iter(self.scorer.score([seen for _, seen in looked.views]) if looked.views else ())
        return moment_of(looked, scores, source=self.source.name, scorer=self.scorer)

    def _told(self, moment: Moment) -> Moment:
        """The moment with what it cost, noted for whoever draws."""
        now = self.now
        arrived = [at for time_us, at in self._arrivals if time_us <= moment.time_us] or [self._arrivals[0][1]]
        now.latency_us = self.clock_us() - arrived[-1]
        told = replace(
            moment,
            latency_us=now.latency_us,
            num_dropped=now.num_dropped - self._told_dropped,
            num_skipped=now.num_skipped - self._told_skipped,
        )
        self._told_dropped, self._told_skipped = now.num_dropped, now.num_skipped
        now.said |= {person.person_id: told for person in told.persons}
        for who in [who for who, last in now.said.items() if last.time_us < told.time_us - 3 * now.watch.stride_us]:
            del now.said[who]
        return told


@dataclass(slots=True, kw_only=True)
class PacedSource:
    """A file or images played as if they were live: each frame at its time, late ones left out."""

    played: FrameSource
    clock_us: Callable[[], int] = system_clock_us
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        """Of what is played."""
        return self.played.name

    @property
    def is_live(self) -> bool:
        """Yes."""
        return True

    @property
    def num_dropped(self) -> int:
        """None are by itself."""
        return 0

    @property
    def span_us(self) -> tuple[int, int | None]:
        """Of what is played; whoever watches is not told the end before it comes."""
        return self.played.span_us[0], None

    def facts(self) -> dict[str, Json]:
        """Of what is played."""
        return self.played.facts()

    def shots(self, wanted: Wanted | None) -> Iterator[Shot]:
        """Its frames, each when it is time.

        Raises:
            BadVideo: one cannot be decoded.
        """
        del wanted
        started_us: int | None = None
        for shot in self.played.shots(None):
            if started_us is None:
                started_us = self.clock_us() - shot.time_us
            early_us = started_us + shot.time_us - self.clock_us()
            if early_us > 0 and self.stop.wait(early_us / 1e6):
                return
            yield replace(shot, arrived_us=started_us + shot.time_us)
