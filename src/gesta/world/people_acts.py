"""What people of the world of several people do: AVA's ids and names, and how each act moves a body.

An act is a movement (one a person: standing, walking, sitting, ...) and at most one deed of the arms over it (waving,
shaking a hand, ...). Some deeds look the same from inside the actor's box: a hand is shaken or reached out to nobody, a
thing is given or held out to nobody, one takes or reaches out. What tells them apart is the partner.

Angles as in `gesta.world.poses`; times in seconds; `extent` goes from 0 (drawn in) to 1 (stretched out).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gesta.world.poses import MOTIONS, Manner, Pose, seated, standing


@dataclass(frozen=True, slots=True, kw_only=True)
class ActClass:
    """A class of the world: AVA's id, name and category."""

    class_id: int
    name: str
    category: str


_MOVEMENT, _OBJECT, _INTERACTION = "PERSON_MOVEMENT", "OBJECT_MANIPULATION", "PERSON_INTERACTION"

ACT_CLASSES: Mapping[str, ActClass] = {
    word: ActClass(class_id=class_id, name=name, category=category)
    for word, class_id, name, category in (
        ("bend", 1, "bend/bow (at the waist)", _MOVEMENT),
        ("crouch", 3, "crouch/kneel", _MOVEMENT),
        ("jump", 7, "jump/leap", _MOVEMENT),
        ("sit", 11, "sit", _MOVEMENT),
        ("stand", 12, "stand", _MOVEMENT),
        ("walk", 14, "walk", _MOVEMENT),
        ("hold", 17, "carry/hold (an object)", _OBJECT),
        ("point", 43, "point to (an object)", _OBJECT),
        ("reach", 59, "touch (an object)", _OBJECT),
        ("give", 65, "give/serve (an object) to (a person)", _INTERACTION),
        ("clap", 67, "hand clap", _INTERACTION),
        ("shake", 68, "hand shake", _INTERACTION),
        ("wave", 69, "hand wave", _INTERACTION),
        ("take", 78, "take (an object) from (a person)", _INTERACTION),
    )
}
"""Every movement and deed by its word. Source: AVA's action list v2.2, ids, names and categories as published."""

MOVEMENTS = ("stand", "walk", "sit", "crouch", "bend", "jump")
DEEDS = ("wave", "clap", "point", "reach", "hold", "shake", "give", "take")
PAIRED: Mapping[str, str] = {"shake": "shake", "give": "take", "take": "give"}
"""What the partner does. A deed that is not here needs no partner."""

LOOK_ALIKES: Mapping[str, str] = {"shake": "reach", "give": "hold", "take": "reach"}
"""Of a deed of two, the deed of one that moves the body alike."""

STRETCHED = ("reach", "hold", "shake", "give", "take")
"""Deeds with an arm stretched out; the box of who does one leaves the forearm and the hand out."""

WITH_THING = ("hold", "give")
"""Deeds with a thing in the hand."""

_NEAR, _FAR = (22.0, 112.0), (64.0, 84.0)
"""Upper arm and forearm of an arm drawn in and stretched out, in degrees. Source: ours, by eye."""

_LUNGE = Pose(lean=13.0, thigh_a=-17.0, shin_a=-22.0, thigh_b=24.0, shin_b=6.0)
"""What the rest of the body does while an arm is stretched out: a step and a lean, by which reaching out is told from
standing inside the box too, where the hand is not. Source: ours, by eye."""

ARM_REACH = 0.075 + 0.17 * math.sin(math.radians(_FAR[0])) + 0.175 * math.sin(math.radians(_FAR[1]))
"""How far before the feet's middle a stretched hand is, in body heights, on usual arms; the lean gives the first."""


def _wave_turn(time_s: float, manner: Manner, rate_hz: float) -> float:
    return math.sin(2 * math.pi * (rate_hz * manner.tempo * time_s + manner.phase))


def _pumped(time_s: float, manner: Manner) -> tuple[float, float]:
    """Upper arm and forearm of who shakes a hand."""
    pump = _wave_turn(time_s, manner, 1.6)
    return _FAR[0] + 7 * pump, _FAR[1] + 15 * pump


def _stretching(time_s: float, manner: Manner, *, least: float) -> tuple[float, float]:
    """Upper arm and forearm of who stretches and draws in an arm, never below `least` of the way out."""
    share = 0.5 + 0.5 * _wave_turn(time_s, manner, 0.5)
    extent = least + (1 - least) * min(1.0, 1.5 * share)
    return _NEAR[0] + (_FAR[0] - _NEAR[0]) * extent, _NEAR[1] + (_FAR[1] - _NEAR[1]) * extent


def _waving(pose: Pose, time_s: float, manner: Manner, view: str) -> Pose:
    del view
    swing = _wave_turn(time_s, manner, 1.8)
    return pose._replace(arm_b=134 + 6 * swing, forearm_b=176 + 42 * manner.reach * swing)


def _clapping(pose: Pose, time_s: float, manner: Manner, view: str) -> Pose:
    apart = 0.5 + 0.5 * _wave_turn(time_s, manner, 2.0)
    if view == "front":
        arm, forearm = 20 + 38 * manner.reach * apart, -112 - 62 * manner.reach * apart
        return pose._replace(arm_a=arm, forearm_a=forearm, arm_b=arm, forearm_b=forearm)
    return pose._replace(arm_a=34 - 22 * apart, forearm_a=112 - 20 * apart, arm_b=34 + 22 * apart, forearm_b=122)


def _pointing(pose: Pose, time_s: float, manner: Manner, view: str) -> Pose:
    del view
    arm = 112 + 4 * _wave_turn(time_s, manner, 0.4)
    return pose._replace(arm_b=arm, forearm_b=arm)


def _shaking(pose: Pose, time_s: float, manner: Manner, view: str) -> Pose:
    del view
    arm, forearm = _pumped(time_s, manner)
    return pose._replace(arm_b=arm, forearm_b=forearm)


def _giving(pose: Pose, time_s: float, manner: Manner, view: str) -> Pose:
    del view
    arm, forearm = _stretching(time_s, manner, least=0.0)
    return pose._replace(arm_b=arm, forearm_b=forearm)


def _taking(pose: Pose, time_s: float, manner: Manner, view: str) -> Pose:
    del view
    arm, forearm = _stretching(time_s, manner, least=0.45)
    return pose._replace(arm_b=arm, forearm_b=forearm)


def _reaching(pose: Pose, time_s: float, manner: Manner, view: str) -> Pose:
    # Half of those who reach out to nobody move as one who shakes a hand, half as one who takes something.
    move = _shaking if manner.stance % 2 == 0 else _taking
    return move(pose, time_s, manner, view)


_DEEDS: Mapping[str, Callable[[Pose, float, Manner, str], Pose]] = {
    "wave": _waving, "clap": _clapping, "point": _pointing, "reach": _reaching, "hold": _giving, "shake": _shaking,
    "give": _giving, "take": _taking,
}  # fmt: skip

_CROUCHED = Pose(
    lean=24, arm_a=38, forearm_a=72, arm_b=30, forearm_b=66, thigh_a=104, shin_a=-52, thigh_b=96, shin_b=-58, nod=-6
)
_BENT = Pose(
    lean=68, arm_a=14, forearm_a=18, arm_b=10, forearm_b=14, thigh_a=-8, shin_a=-6, thigh_b=-4, shin_b=-6, nod=14
)


def pose_of(movement: str, deed: str | None, *, time_s: float, manner: Manner, view: str) -> Pose:
    """The attitude of who does both at an instant.

    Raises:
        KeyError: there is no such deed or movement (our own claim).
    """
    sway = _wave_turn(time_s, manner, 0.3)
    if movement == "stand":
        # Hands on the hips would hide what an arm does.
        pose = standing(time_s, Manner(tempo=manner.tempo, phase=manner.phase, stance=0 if deed else manner.stance))
    elif movement == "sit":
        pose = seated(1.0)._replace(nod=4 * sway, lean=2 + 2 * sway)
    elif movement == "crouch":
        pose = _CROUCHED._replace(nod=-6 + 5 * sway, lean=24 + 3 * sway)
    elif movement == "bend":
        pose = _BENT._replace(lean=64 + 6 * sway)
    else:
        pose = MOTIONS[{"walk": "walking", "jump": "jumping"}[movement]].pose(time_s, manner)
    if deed is None:
        return pose
    if deed in STRETCHED:
        pose = _LUNGE._replace(arm_a=pose.arm_a, forearm_a=pose.forearm_a, lean=_LUNGE.lean + sway, nod=pose.nod)
    return _DEEDS[deed](pose, time_s, manner, view)


def view_of(movement: str, deed: str | None) -> tuple[str, ...]:
    """The views from which both can be seen for what they are."""
    if movement in ("walk", "sit", "crouch", "bend") or deed in (*STRETCHED, "point"):
        return ("side",)
    return ("front",) if deed is not None or movement == "jump" else ("front", "side")
