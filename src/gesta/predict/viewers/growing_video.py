"""A video of a live source with boxes and actions as they were known then, written while it goes on.

Shapes: H and W pixels.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from gesta.predict.annotate import drawn_now
from gesta.predict.streams.live import LiveNow
from gesta.predict.streams.moments import Moment
from gesta.predict.streams.shots import Shot, Size, Uint8s
from gesta.predict.viewers.looking import people_in
from gesta.schema import BadInput
from gesta.video import write_video

_NOMINAL_FPS = Fraction(30)
"""What the header says; each frame has its own time. Source: ours."""

_WAITING = 16
"""Frames that wait for the encoder at most; more are left out."""


@dataclass(slots=True, kw_only=True)
class GrowingVideo:
    """A viewer that writes `path`, which appears once it is closed; `num_left_out` frames came too fast for it."""

    path: Path
    min_score: float
    num_left_out: int = 0
    _waiting: queue.Queue[Uint8s | None] = field(default_factory=lambda: queue.Queue(_WAITING))
    # `write_video` reads a frame's time when it takes the frame: the list grows just before.
    _times_us: list[int] = field(default_factory=lambda: [0])
    _first_us: int | None = None
    _size_px: Size | None = None
    _writer: threading.Thread | None = None

    def shot(self, shot: Shot, now: LiveNow) -> None:
        """Draw the frame and hand it to the encoder."""
        if self._waiting.full():
            self.num_left_out += 1
            return
        people = people_in(shot, now, min_score=self.min_score)
        if self._size_px is None:
            self._size_px = (shot.size_px[0] // 2 * 2, shot.size_px[1] // 2 * 2)
        picture_HWC = shot.picture(None if shot.size_px == self._size_px else self._size_px)
        drawn_HWC = drawn_now(picture_HWC, people=[(each.person_id, each.box, each.lines) for each in people])
        if self._first_us is None:
            self._first_us = shot.time_us
            self._writer = threading.Thread(target=self._write, name="gesta-draw", daemon=True)
            self._writer.start()
        else:
            self._times_us.append(shot.time_us - self._first_us)
        self._waiting.put(drawn_HWC)

    def moment(self, moment: Moment) -> None:
        """Nothing: the next frame shows it."""

    def close(self) -> None:
        """Finish the file.

        Raises:
            BadInput: it could not be written.
        """
        if self._writer is None:
            return
        while self._writer.is_alive():
            # A writer that failed empties the queue no more.
            with suppress(queue.Full):
                self._waiting.put(None, timeout=0.1)
                break
        self._writer.join()
        if not self.path.is_file():
            raise BadInput("the video could not be written", where=self.path)

    def _write(self) -> None:
        write_video(self.path, self._frames(), fps=_NOMINAL_FPS, times_us=self._times_us)

    def _frames(self) -> Iterator[Uint8s]:
        while (frame_HWC := self._waiting.get()) is not None:
            yield frame_HWC
