"""A window of OpenCV with the live picture; where OpenCV has none, or no display is there, it says so."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass

import cv2

from gesta.predict.annotate import drawn_now
from gesta.predict.streams.live import LiveNow
from gesta.predict.streams.moments import Moment
from gesta.predict.streams.shots import Shot
from gesta.predict.viewers.looking import people_in
from gesta.schema import GestaError

_KEYS_THAT_END = (27, ord("q"))
_HEADLESS = "NONE"


@dataclass(slots=True, kw_only=True)
class Window:
    """A window that is shown while it is there; Esc, q or closing it ends the watching.

    Raises:
        GestaError: there is no display, or OpenCV was built without windows.
    """

    title: str
    min_score: float
    stop: threading.Event

    def __post_init__(self) -> None:
        check_display(platform=sys.platform, environment=os.environ, build=cv2.getBuildInformation())
        cv2.namedWindow(self.title, cv2.WINDOW_NORMAL)

    def shot(self, shot: Shot, now: LiveNow) -> None:
        """Show the frame with everybody's box and actions."""
        people = people_in(shot, now, min_score=self.min_score)
        drawn_HWC = drawn_now(shot.picture(None), people=[(each.person_id, each.box, each.lines) for each in people])
        cv2.imshow(self.title, cv2.cvtColor(drawn_HWC, cv2.COLOR_RGB2BGR))
        is_closed = cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) < 1
        if cv2.waitKey(1) in _KEYS_THAT_END or is_closed:
            self.stop.set()

    def moment(self, moment: Moment) -> None:
        """Nothing: the next frame shows it."""

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()


def check_display(*, platform: str, environment: os._Environ[str] | dict[str, str], build: str) -> None:
    """Nothing, where OpenCV can open a window.

    Args:
        platform: as `sys.platform`.
        environment: of the process.
        build: what `cv2.getBuildInformation` says.
    Raises:
        GestaError: it cannot.
    """
    gui = next((line.partition(":")[2].strip() for line in build.splitlines() if line.strip().startswith("GUI:")), "")
    if gui == _HEADLESS:
        raise GestaError(
            "no window can be opened: this OpenCV was built without windows",
            mend="Use --serve 127.0.0.1:8765, or install opencv-python in place of opencv-python-headless",
        )
    if platform == "linux" and not (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        # Its toolkit would end the process instead of raising.
        raise GestaError("no window can be opened: there is no display", mend="Use --serve 127.0.0.1:8765")
