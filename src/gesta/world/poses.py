"""How each action moves a body: angles of a 2-D skeleton as functions of time.

Angles in degrees from straight down; positive = forward in a side view, outward in a front view. A side view's limb
`a` is the far one. All rates and amplitudes: ours, set by eye so that two seconds at 100 pixels tell actions apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Pose(NamedTuple):
    """One attitude: torso lean and limb angles in degrees, lift above the ground in body heights."""

    lean: float = 0.0
    arm_a: float = 9.0
    forearm_a: float = 12.0
    arm_b: float = 9.0
    forearm_b: float = 12.0
    thigh_a: float = 4.0
    shin_a: float = 2.0
    thigh_b: float = 4.0
    shin_b: float = 2.0
    lift: float = 0.0
    nod: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How one person does things: tempo (1 = usual), reach (share of the usual amplitude), phase in 0..1, stance."""

    tempo: float = 1.0
    reach: float = 1.0
    phase: float = 0.0
    stance: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """An action: its attitude over time, the views it is seen in, and what stays in place.

    `anchor` is the part that keeps its place: pelvis, feet (the middle of both), or b (the foot of leg b).
    `speed` is in body heights a second; `headroom` is how far above standing height it reaches, in body heights.
    """

    pose: Callable[[float, Manner], Pose]
    views: tuple[str, ...]
    anchor: str = "pelvis"
    speed: float = 0.0
    headroom: float = 0.0
    needs_partner: bool = False


def blend(one: Pose, other: Pose, share: float) -> Pose:
    """The attitude `share` of the way from `one` to `other`.

    >>> blend(Pose(lean=0.0), Pose(lean=10.0), 0.25).lean
    2.5
    """
    return Pose(*(a + (b - a) * share for a, b in zip(one, other, strict=True)))


def ease(share: float) -> float:
    """A smooth step from 0 to 1 while `share` goes from 0 to 1; flat outside.

    >>> ease(-1), ease(0.5), ease(2)
    (0.0, 0.5, 1.0)
    """
    s = min(1.0, max(0.0, share))
    return s * s * (3 - 2 * s)


def _turn(time_s: float, manner: Manner, rate_hz: float) -> float:
    return 2 * math.pi * (rate_hz * manner.tempo * time_s + manner.phase)


def _there_and_back(time_s: float, manner: Manner, *, period_s: float, move: float, hold: float) -> float:
    """0 to 1 and back: `move` of the period there, `hold` at 1, `move` back, the rest at 0."""
    share = (time_s * manner.tempo / period_s) % 1.0
    return ease(share / move) - ease((share - move - hold) / move)


_STANCES = (
    Pose(),
    Pose(arm_a=38.0, forearm_a=-42.0, arm_b=38.0, forearm_b=-42.0),
    Pose(arm_a=6.0, forearm_a=4.0, arm_b=36.0, forearm_b=-45.0),
    Pose(arm_a=7.0, forearm_a=20.0, arm_b=5.0, forearm_b=16.0, thigh_a=8.0, shin_a=8.0),
)


def standing(time_s: float, manner: Manner) -> Pose:
    """Doing nothing: one of a few stances with a slow sway."""
    sway = math.sin(_turn(time_s, manner, 0.28))
    rest = _STANCES[manner.stance % len(_STANCES)]
    return rest._replace(lean=rest.lean + 1.2 * sway, arm_a=rest.arm_a + 1.5 * sway, nod=4 * sway)


def _waving(time_s: float, manner: Manner) -> Pose:
    swing = math.sin(_turn(time_s, manner, 1.8))
    return Pose(lean=2 * swing, arm_a=136 + 6 * swing, forearm_a=178 + 44 * manner.reach * swing)


def _clapping(time_s: float, manner: Manner) -> Pose:
    apart = 0.5 - 0.5 * math.cos(_turn(time_s, manner, 2.0))
    arm = 20 + 38 * manner.reach * apart
    forearm = -112 - 62 * manner.reach * apart
    return Pose(arm_a=arm, forearm_a=forearm, arm_b=arm, forearm_b=forearm)


def arms_raised(up: float, *, reach: float) -> Pose:
    """Standing with straight arms, hanging at 0 and above the head at 1; `reach` is a share of the usual height."""
    arm = 8 + 164 * reach * up
    return Pose(arm_a=arm, forearm_a=arm, arm_b=arm, forearm_b=arm)


def _raising(time_s: float, manner: Manner) -> Pose:
    return arms_raised(0.5 - 0.5 * math.cos(_turn(time_s, manner, 0.62)), reach=manner.reach)


def _jumping(time_s: float, manner: Manner) -> Pose:
    share = (time_s * 1.05 * manner.tempo + manner.phase) % 1.0
    crouch = math.sin(math.pi * share / 0.45) if share < 0.45 else 0.0
    flight = (share - 0.45) / 0.45
    air = 4 * flight * (1 - flight) if 0 < flight < 1 else 0.0
    arm = 14 + 95 * air - 20 * crouch
    thigh, shin = 5 + 44 * crouch + 14 * air, 2 - 36 * crouch - 16 * air
    lift = 0.24 * manner.reach * air
    return Pose(
        lean=16 * crouch, arm_a=arm, forearm_a=arm + 12, arm_b=arm, forearm_b=arm + 12,
        thigh_a=thigh, shin_a=shin, thigh_b=thigh, shin_b=shin, lift=lift,
    )  # fmt: skip


def _gait(turn: float, *, thigh: float, knee: float, arm: float, elbow: float, ahead: float, lean: float) -> Pose:
    legs, arms = [], []
    for side in (turn, turn + math.pi):
        upper = ahead + thigh * math.sin(side)
        # The knee bends while its leg swings forward.
        legs.append((upper, upper - 6 - knee * max(0.0, math.cos(side))))
        arms.append((-arm * math.sin(side), -arm * math.sin(side) + elbow))
    (leg_a, leg_b), (arm_a, arm_b) = legs, arms
    return Pose(lean, *arm_a, *arm_b, *leg_a, *leg_b)


def _walking(time_s: float, manner: Manner) -> Pose:
    turn = _turn(time_s, manner, 0.9)
    return _gait(turn, thigh=27 * manner.reach, knee=38, arm=25 * manner.reach, elbow=14, ahead=0, lean=3)


def _running(time_s: float, manner: Manner) -> Pose:
    turn = _turn(time_s, manner, 1.5)
    pose = _gait(turn, thigh=47 * manner.reach, knee=82, arm=46 * manner.reach, elbow=88, ahead=10, lean=15)
    return pose._replace(lift=0.035 * abs(math.sin(turn)))


def seated(down: float) -> Pose:
    """Standing at 0, on a chair at 1, bent forward half-way."""
    stoop = math.sin(math.pi * down) * 38
    return Pose(
        lean=2 + stoop, arm_a=8 + 32 * down, forearm_a=12 + 55 * down, arm_b=8 + 28 * down, forearm_b=12 + 60 * down,
        thigh_a=2 + 86 * down, shin_a=-4 * down, thigh_b=82 * down, shin_b=-8 * down,
    )  # fmt: skip


def _sitting(time_s: float, manner: Manner) -> Pose:
    return seated(_there_and_back(time_s, manner, period_s=3.4, move=0.25, hold=0.34))


def _kicking(time_s: float, manner: Manner) -> Pose:
    share = (time_s * 0.82 * manner.tempo + manner.phase) % 1.0
    back = math.sin(math.pi * share / 0.3) if share < 0.3 else 0.0
    out = math.sin(math.pi * (share - 0.3) / 0.4) if 0.3 <= share < 0.7 else 0.0
    thigh = 2 - 34 * back + 98 * manner.reach * out
    return Pose(
        lean=6 * back - 20 * out, arm_a=12 - 40 * out, forearm_a=30 - 10 * out, arm_b=12 + 62 * out,
        forearm_b=30 + 58 * out, thigh_a=thigh, shin_a=thigh - 62 * back - 8 * out, thigh_b=-3, shin_b=-6,
    )  # fmt: skip


def _bowing(time_s: float, manner: Manner) -> Pose:
    down = _there_and_back(time_s, manner, period_s=2.8, move=0.28, hold=0.2)
    return Pose(
        lean=64 * manner.reach * down, arm_a=6 + 8 * down, forearm_a=8 + 10 * down, arm_b=6 + 4 * down,
        forearm_b=8 + 6 * down, thigh_a=-2 - 9 * down, shin_a=-2 - 7 * down, thigh_b=-2 - 9 * down,
        shin_b=-2 - 7 * down, nod=18 * down,
    )  # fmt: skip


def _shaking(time_s: float, manner: Manner) -> Pose:
    # Partners share tempo and phase, so their hands stay together; the plan sets their distance.
    pump = math.sin(_turn(time_s, manner, 1.9))
    return Pose(lean=3, arm_b=36 + 7 * pump, forearm_b=70 + 17 * pump, arm_a=4, forearm_a=10)


MOTIONS: Mapping[str, Motion] = {
    "waving hand": Motion(pose=_waving, views=("front",), headroom=0.08),
    "clapping": Motion(pose=_clapping, views=("front",)),
    "raising arms": Motion(pose=_raising, views=("front",), headroom=0.18),
    "jumping": Motion(pose=_jumping, views=("front", "side"), headroom=0.26),
    "walking": Motion(pose=_walking, views=("side",), speed=0.55),
    "running": Motion(pose=_running, views=("side",), speed=1.15),
    "sitting down": Motion(pose=_sitting, views=("side",), anchor="feet"),
    "kicking": Motion(pose=_kicking, views=("side",), anchor="b"),
    "bowing": Motion(pose=_bowing, views=("side",), anchor="feet"),
    "shaking hands": Motion(pose=_shaking, views=("side",), anchor="feet", needs_partner=True),
}
"""The actions of the world, named as Kinetics names its classes; `actions.txt` lists them in this order."""

HAND_REACH = 0.17 * math.sin(math.radians(36)) + 0.175 * math.sin(math.radians(70))
"""How far before the shoulder a shaking hand is, in body heights: the mean pose of `_shaking` on usual arms."""
