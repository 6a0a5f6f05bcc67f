"""What a viewer is, and what it is shown: a frame with the people in it as they are known at that instant.

Shapes: H and W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gesta.predict.annotate import TOP_ACTIONS
from gesta.predict.streams.live import LiveNow
from gesta.predict.streams.moments import Corners, Moment
from gesta.predict.streams.shots import Shot


class Viewer(Protocol):
    """Somebody who looks on; called in the watching thread, so it must be quick."""

    def shot(self, shot: Shot, now: LiveNow) -> None:
        """A frame was taken."""

    def moment(self, moment: Moment) -> None:
        """A moment is known."""

    def close(self) -> None:
        """Nothing follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPerson:
    """One person in a live frame: where, and what was last said of them, likeliest first."""

    person_id: int
    box: Corners
    actions: tuple[tuple[str, float], ...]

    @property
    def lines(self) -> list[str]:
        """As written beside the box."""
        return [f"{name} {score:.2f}" for name, score in self.actions]


def people_in(shot: Shot, now: LiveNow, *, min_score: float) -> list[SeenPerson]:
    """Who is in the frame by now: the last boxes, and the actions of the last moment of `min_score` and up."""
    found = []
    for who, box in now.watch.people_now(shot.time_us):
        told = now.said.get(who)
        person = None if told is None else next(each for each in told.persons if each.person_id == who)
        actions = () if person is None else tuple(person.top(TOP_ACTIONS, min_score=min_score))
        found.append(SeenPerson(person_id=who, box=box, actions=actions))
    return found
