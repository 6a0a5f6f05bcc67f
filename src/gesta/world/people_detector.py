"""A simulated person detector for key-frames: it misses some, is off by a little, and sees some that are not there.

Boxes are fractions of the frame, x1 y1 x2 y2.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from gesta.world.people_film import Pixels

_MISSED, _MISSED_HIDDEN = 0.04, 0.3
"""Share of people not found, alone and with half of the box behind or before somebody. Source: ours."""

_JITTER = 0.025
"""Standard deviation of an edge, as a share of the box's side. Source: ours; its IoU with the truth is near 0.9."""

_FALSE_PER_FRAME = 0.3
"""Chance of a box where nobody is, on every key-frame. Source: ours."""

_LEAST_SIDE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A box that the detector gives, with its confidence in 0 to 1."""

    box: Pixels
    score: float


def detect_people(boxes: Sequence[Pixels], *, seed: str) -> list[Proposal]:
    """What the detector finds on a key-frame that shows these people, the surest first; `seed` names the key-frame."""
    rng = random.Random(f"people-detector:{seed}")
    found = []
    for number, box in enumerate(boxes):
        hidden = max((_covered(box, other) for k, other in enumerate(boxes) if k != number), default=0.0)
        missed = _MISSED + (_MISSED_HIDDEN - _MISSED) * min(1.0, hidden / 0.5)
        if rng.random() >= missed:
            score = 1 - min(0.6, rng.expovariate(1 / (0.02 + 0.15 * hidden)))
            found.append(Proposal(box=_jittered(box, rng), score=round(score, 6)))
    if rng.random() < _FALSE_PER_FRAME:
        found.append(_false_box(rng))
    return sorted(found, key=lambda one: -one.score)


def _covered(box: Pixels, other: Pixels) -> float:
    """The share of a box that another one covers."""
    wide = max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
    high = max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
    return wide * high / max(1e-9, (box[2] - box[0]) * (box[3] - box[1]))


def _jittered(box: Pixels, rng: random.Random) -> Pixels:
    x1, y1, x2, y2 = box
    wide, high = x2 - x1, y2 - y1
    x1, x2 = (edge + rng.gauss(0, _JITTER) * wide for edge in (x1, x2))
    y1, y2 = (edge + rng.gauss(0, _JITTER) * high for edge in (y1, y2))
    return _inside(x1, y1, x2, y2)


def _false_box(rng: random.Random) -> Proposal:
    wide, high = rng.uniform(0.12, 0.3), rng.uniform(0.25, 0.7)
    x1, y1 = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - high)
    # One false box in four is as sure as a true one.
    score = rng.uniform(0.9, 0.99) if rng.random() < 0.25 else rng.uniform(0.1, 0.9)
    return Proposal(box=_inside(x1, y1, x1 + wide, y1 + high), score=round(score, 6))


def _inside(x1: float, y1: float, x2: float, y2: float) -> Pixels:
    x1, y1 = min(max(0.0, x1), 1 - _LEAST_SIDE), min(max(0.0, y1), 1 - _LEAST_SIDE)
    x2, y2 = min(1.0, max(x2, x1 + _LEAST_SIDE)), min(1.0, max(y2, y1 + _LEAST_SIDE))
    return round(x1, 6), round(y1, 6), round(x2, 6), round(y2, 6)
