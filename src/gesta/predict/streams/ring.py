"""The frames that are still to be looked at, by time: as many as the moments under way want, and no more.

Shapes: T frames asked for, H and W pixels.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Uint8s = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class FrameRing:
    """Pictures in rising order of time; `most_held` is how many there ever were at once."""

    most_held: int = 0
    _times_us: deque[int] = field(default_factory=deque)
    _pictures: deque[Uint8s] = field(default_factory=deque)

    def __len__(self) -> int:
        return len(self._times_us)

    def add(self, time_us: int, picture_HWC: Uint8s) -> None:
        """Keep the picture, uint8 [H, W, 3], of the frame that appears then.

        Raises:
            ValueError: it does not come after the last one.
        """
        if self._times_us and time_us <= self._times_us[-1]:
            raise ValueError(f"frame at {time_us} us comes after {self._times_us[-1]} us")
        self._times_us.append(time_us)
        self._pictures.append(picture_HWC)
        self.most_held = max(self.most_held, len(self))

    def at(self, times_us: Ints) -> Uint8s:
        """The pictures shown at these instants, uint8 [T, H, W, 3]; the first or last one outside.

        An instant less than a microsecond before a frame counts as that frame's, as in a video's index.

        Raises:
            ValueError: nothing is held.

        >>> ring = FrameRing()
        >>> for number in range(3):
        ...     ring.add(number * 100, np.full((1, 1, 3), number, dtype=np.uint8))
        >>> ring.at(np.array([-5, 98, 99, 150, 900]))[:, 0, 0, 0]
        array([0, 0, 1, 1, 2], dtype=uint8)
        """
        if not self._times_us:
            raise ValueError("no frame is held")
        places = [max(0, bisect_right(self._times_us, int(time_us) + 1) - 1) for time_us in times_us]
        return np.stack([self._pictures[place] for place in places])

    def forget_before(self, time_us: int | None) -> None:
        """Let go of all frames that no instant from `time_us` on shows; None = of all."""
        if time_us is None:
            self._times_us.clear()
            self._pictures.clear()
            return
        while len(self._times_us) > 1 and self._times_us[1] <= time_us + 1:
            self._times_us.popleft()
            self._pictures.popleft()
