"""Turn a take of the world of several people into frames, with the box of each person in each.

The box is tight around what is to be seen of the person, as AVA's are, with one difference that is ours: the box of who
stretches an arm out leaves the forearm and the hand out. With them it would end at the partner's hand, and what is to
tell a shaken hand from one reached out to nobody would lie inside the box.

Shapes: H W = frame height and width, C = 3 (red, green, blue). Pixels inside this file; boxes are fractions of the
frame, x1 y1 x2 y2.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gesta.schema import US_PER_S
from gesta.world.figures import Shape, Skeleton, draw_shapes, mask_shapes, person_shapes, skeleton
from gesta.world.people import Act, Beat, PeopleTake
from gesta.world.people_acts import STRETCHED, WITH_THING, pose_of
from gesta.world.poses import MOTIONS
from gesta.world.scenes import draw_chair, paint_scene

Image = npt.NDArray[np.uint8]
Pixels = tuple[float, float, float, float]

LEAST_VISIBLE = 0.4
"""A person of whom less than this share is to be seen has no box. Source: ours."""

_LEAST_SCENE_PX = 144
_MARGIN = 0.2
"""How much wider and higher than the frame the place is painted, each side, in frame heights; a pan stays inside."""
_THING = 0.05
"""Radius of a thing in a hand, in body heights. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPerson:
    """One person in one frame: number in the video, and the box in fractions of the frame."""

    person: int
    box: Pixels


def film_people(take: PeopleTake, *, width_px: int, height_px: int) -> Iterator[tuple[Image, list[SeenPerson]]]:
    """Each frame, uint8 [H, W, C], with who is to be seen in it; people of whom too little shows are left out."""
    rng = random.Random(take.pixel_seed)
    chance = np.random.default_rng(rng.getrandbits(64))
    margin = math.ceil(_MARGIN * height_px)
    scene = _scene_of(take, width_px=width_px, height_px=height_px, margin=margin)
    tremor = [(rng.uniform(0.5, 3.0), rng.random()) for _ in range(2)]
    levels = (np.arange(256) / 255) ** take.gamma
    tone = np.stack([np.clip(255 * levels * gain, 0, 255) for gain in take.gain], axis=-1).astype(np.uint8)[None]
    shape = (height_px, width_px, 3)
    grains = [(128 + chance.normal(0, take.grain, shape)).astype(np.uint8) for _ in range(4)]
    for number in range(take.num_frames):
        time_s = float(number / take.fps)
        beat = take.beat_at(round(number * US_PER_S / take.fps))
        dx, dy = (take.shake_px * math.sin(2 * math.pi * (rate * time_s + phase)) for rate, phase in tremor)
        shift = np.array([[1, 0, -margin - beat.pan * height_px - dx], [0, 1, -margin - dy]], np.float32)
        frame = np.asarray(cv2.warpAffine(scene, shift, (width_px, height_px)), np.uint8)
        seen = draw_people(frame, take, beat, time_s=time_s, camera=(dx, dy))
        frame = np.asarray(cv2.LUT(frame, tone), np.uint8)
        if take.grain > 0:
            frame = np.asarray(cv2.addWeighted(frame, 1.0, grains[rng.randrange(4)], 1.0, -128), np.uint8)
        yield frame, seen


def _scene_of(take: PeopleTake, *, width_px: int, height_px: int, margin: int) -> Image:
    """The take's place with a margin around the frame, softened, so that the camera looks at the people."""
    wide, high = width_px + 2 * margin, height_px + 2 * margin
    scale = max(1, math.ceil(_LEAST_SCENE_PX / high))
    painted = paint_scene(
        take.scene, width_px=wide * scale, height_px=high * scale,
        horizon_px=round((margin + take.horizon_frac * height_px) * scale), rng=random.Random(take.scene_seed),
    )  # fmt: skip
    small = cv2.resize(painted, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = cv2.GaussianBlur(small, (0, 0), take.style.blur * height_px)
    grey = soft.mean(axis=2, keepdims=True)
    colored = grey + (soft - grey) * take.style.saturation
    mean = colored.mean(axis=(0, 1))
    return np.clip(mean + (colored - mean) * take.style.contrast, 0, 255).astype(np.uint8)


def _place(act: Act, *, time_s: float, aspect: float) -> tuple[float, int]:
    """Where somebody is, in frame heights, and which way they look; who walks goes to and fro across the frame."""
    if act.movement != "walk":
        return act.x, act.facing
    low, high = 0.1, max(0.2, aspect - 0.1)
    span = high - low
    speed = MOTIONS["walking"].speed * act.manner.tempo * act.size
    run = ((act.x - low if act.facing > 0 else 2 * span - (act.x - low)) + speed * time_s) % (2 * span)
    return (low + run, 1) if run <= span else (low + 2 * span - run, -1)


def draw_people(
    frame_HWC: Image, take: PeopleTake, beat: Beat, *, time_s: float, camera: tuple[float, float]
) -> list[SeenPerson]:
    """Draw a beat's people onto the frame, the back row first; gives who is to be seen, by person."""
    height, width = frame_HWC.shape[:2]
    mask_HW = np.zeros((height, width), np.uint8)
    drawn = []
    for value, act in enumerate(beat.acts, start=1):
        look = _look(act, take, time_s=time_s, frame=(width, height), camera=camera)
        if act.movement == "sit":
            x = look.legs[1][2][0] - look.facing * 0.2 * look.size_px
            foot = act.foot * height - camera[1]
            draw_chair(frame_HWC, x=x, y=foot, size_px=look.size_px, facing=look.facing, color=act.color)
        groups = person_shapes(take.cast[act.person], look)
        draw_shapes(frame_HWC, groups, mask_HW=mask_HW, value=value)
        if act.deed in WITH_THING:
            _draw_thing(frame_HWC, act, look)
        drawn.append((value, act, groups))
    seen = (_seen(mask_HW, value, act, groups) for value, act, groups in drawn)
    return sorted((one for one in seen if one is not None), key=lambda one: one.person)


def _look(
    act: Act, take: PeopleTake, *, time_s: float, frame: tuple[int, int], camera: tuple[float, float]
) -> Skeleton:
    width, height = frame
    x, facing = _place(act, time_s=time_s, aspect=width / height)
    pose = pose_of(act.movement, act.deed, time_s=time_s, manner=act.manner, view=act.view)
    return skeleton(
        take.cast[act.person], pose, view=act.view, facing=facing, size_px=act.size * height,
        foot=(x * height - camera[0], act.foot * height - camera[1]),
        anchor="pelvis" if act.movement in ("walk", "jump") else "feet",
    )  # fmt: skip


def _draw_thing(frame_HWC: Image, act: Act, look: Skeleton) -> None:
    elbow, hand = look.arms[1][1:]
    ahead = (hand[0] + 0.2 * (hand[0] - elbow[0]), hand[1] + 0.2 * (hand[1] - elbow[1]))
    radius = _THING * look.size_px
    corners = (round((ahead[0] - radius) * 16), round((ahead[1] - 1.3 * radius) * 16)), (
        round((ahead[0] + radius) * 16), round((ahead[1] + 1.3 * radius) * 16),
    )  # fmt: skip
    cv2.rectangle(frame_HWC, *corners, act.color, -1, cv2.LINE_AA, 4)


def boxed_shapes(act: Act, groups: Sequence[Sequence[Shape]]) -> list[list[Shape]]:
    """The shapes of a person that the box has to hold: all but a stretched-out forearm and hand."""
    if act.deed not in STRETCHED:
        return [list(group) for group in groups]
    # The near arm is the last group: its forearm comes first, its hand last.
    return [*(list(group) for group in groups[:-1]), list(groups[-1][1:-1])]


def _seen(mask_HW: Image, value: int, act: Act, groups: Sequence[Sequence[Shape]]) -> SeenPerson | None:
    height, width = mask_HW.shape
    wanted = boxed_shapes(act, groups)
    low = np.min([shape.points_P2.min(0) for group in wanted for shape in group], axis=0)
    high = np.max([shape.points_P2.max(0) for group in wanted for shape in group], axis=0)
    alone_HW = np.zeros_like(mask_HW)
    mask_shapes(wanted, mask_HW=alone_HW, value=1)
    mine = (alone_HW.astype(bool) & (mask_HW == value)).view(np.uint8)
    left, top, wide, high_px = cv2.boundingRect(mine)
    if wide == 0 or high_px == 0:
        return None
    x1, y1, x2, y2 = (max(0.0, low[0]), max(0.0, low[1]), min(float(width), high[0]), min(float(height), high[1]))
    inside = max(0.0, x2 - x1) * max(0.0, y2 - y1) / max(1e-6, float(np.prod(high - low)))
    visible = min(1.0, inside) * cv2.countNonZero(mine) / max(1, cv2.countNonZero(alone_HW))
    if visible < LEAST_VISIBLE:
        return None
    box = (left / width, top / height, (left + wide) / width, (top + high_px) / height)
    return SeenPerson(person=act.person, box=box)
