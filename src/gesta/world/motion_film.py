"""Turn a take of the motion world into frames, with the person's box in each.

Shapes: H W = frame height and width, C = 3 (red, green, blue). Pixels; seconds from the start; a movement's progress
goes from 0 to 1. Boxes are fractions of the frame, x1 y1 x2 y2.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from gesta.world.figures import Body, Point, Skeleton, draw_shapes, person_shapes, skeleton
from gesta.world.motions import Group, MotionTake
from gesta.world.poses import MOTIONS, Manner, Pose, arms_raised, blend, ease, seated
from gesta.world.props import (
    door_handle,
    draw_balloon,
    draw_crate,
    draw_door,
    draw_scooter,
    draw_umbrella,
)
from gesta.world.scenes import draw_chair, paint_scene

Image = npt.NDArray[np.uint8]
Draw = Callable[[Image], None]
Pixels = tuple[float, float, float, float]

_LEAST_SCENE_PX = 144
"""A scene is painted at least this high and scaled down: its bricks and windows are made for such pictures."""

_BLUR, _CONTRAST = 0.016, 0.6
"""Width of the scene's blur in frame heights, and the share of its contrast that is left: the camera looks at the
person. Source: ours; with sharp scenes small models spend hundreds of steps on learning where the person is."""

_MARGIN_PX = 2
"""What the camera's tremor needs around the frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What is to be drawn at one instant: a posed person, and things behind and before it."""

    look: Skeleton
    behind: tuple[Draw, ...] = ()
    before: tuple[Draw, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """Where the take stands in the frame, in pixels, and how far it is: progress eased, share and time as they are."""

    take: MotionTake
    width_px: int
    x: float
    foot: float
    size: float
    time_s: float
    share: float

    @property
    def progress(self) -> float:
        return ease(self.share)

    @property
    def shift(self) -> float:
        """How far one who travels is from the middle of the path, along the way."""
        return (min(1.0, max(0.0, self.share)) - 0.5) * self.take.path_frac * self.width_px

    def posed(self, pose: Pose, *, x: float, view: str = "side", anchor: str = "pelvis") -> Skeleton:
        return skeleton(
            self.take.group.body, pose, view=view, facing=self.take.facing, foot=(x, self.foot), size_px=self.size,
            anchor=anchor,
        )  # fmt: skip

    def walking(self) -> Pose:
        manner = Manner(tempo=self.take.tempo, reach=self.take.reach, phase=self.take.phase)
        return MOTIONS["walking"].pose(self.time_s, manner)


def _pointing(look: Skeleton, at: Point, pose: Pose) -> Pose:
    """The pose with the near arm stretched towards a point."""
    shoulder = look.arms[1][0]
    angle = math.degrees(math.atan2((at[0] - shoulder[0]) * look.facing, at[1] - shoulder[1]))
    return pose._replace(arm_b=angle, forearm_b=angle)


def _door(stage: _Stage) -> _Moment:
    facing, size, y = stage.take.facing, stage.size, stage.foot - 0.03 * stage.size
    post = stage.x - facing * 0.12 * size
    x = post - facing * 0.2 * size
    open_ = stage.progress
    handle = door_handle(x=post, y=y, size_px=size, facing=facing, openness=open_)
    rest = Pose(lean=4 + 4 * open_, arm_a=6, forearm_a=14)

    def leaf(image_HWC: Image) -> None:
        draw_door(
            image_HWC, x=post, y=y, size_px=size, facing=facing, openness=open_, color=stage.take.paint[0]
        )  # fmt: skip

    return _Moment(look=stage.posed(_pointing(stage.posed(rest, x=x), handle, rest), x=x), behind=(leaf,))


def _sit(stage: _Stage) -> _Moment:
    facing = stage.take.facing

    def chair(image_HWC: Image) -> None:
        x = stage.x - facing * 0.2 * stage.size
        draw_chair(image_HWC, x=x, y=stage.foot, size_px=stage.size, facing=facing, color=stage.take.paint[0])

    return _Moment(look=stage.posed(seated(stage.progress), x=stage.x, anchor="feet"), behind=(chair,))


def _move_right(stage: _Stage) -> _Moment:
    # One who faces left walks backwards.
    pose = stage.walking()
    if stage.take.facing < 0:
        pose = replace(stage, time_s=-stage.time_s).walking()
    return _Moment(look=stage.posed(pose, x=stage.width_px / 2 + stage.shift))


def _raise(stage: _Stage) -> _Moment:
    return _Moment(look=stage.posed(arms_raised(stage.progress, reach=stage.take.reach), x=stage.x, view="front"))


_BENT = Pose(
    lean=66, arm_a=14, forearm_a=14, arm_b=14, forearm_b=14, thigh_a=46, shin_a=-26, thigh_b=46, shin_b=-26, nod=8
)
_CARRYING = Pose(lean=-3, arm_a=24, forearm_a=84, arm_b=24, forearm_b=84)


def _pick_up(stage: _Stage) -> _Moment:
    done = stage.progress
    pose = blend(Pose(), _BENT, ease(2 * done)) if done < 0.5 else blend(_BENT, _CARRYING, ease(2 * done - 1))
    look = stage.posed(pose, x=stage.x, anchor="feet")
    lying = stage.posed(_BENT, x=stage.x, anchor="feet").arms[1][2]
    hand = lying if done < 0.5 else look.arms[1][2]

    def parcel(image_HWC: Image) -> None:
        side = 0.2 * stage.size
        draw_crate(image_HWC, x=hand[0], y=hand[1] + 0.6 * side, side_px=side, color=stage.take.paint[0])

    return _Moment(look=look, before=(parcel,))


def _push(stage: _Stage) -> _Moment:
    facing, size = stage.take.facing, stage.size
    side = 0.42 * size
    x = stage.width_px / 2 + facing * (stage.shift - 0.2 * size)
    pose = stage.walking()._replace(lean=20, arm_a=58, forearm_a=72, arm_b=58, forearm_b=72)

    def crate(image_HWC: Image) -> None:
        draw_crate(
            image_HWC, x=x + facing * (0.4 * size + side / 2), y=stage.foot, side_px=side, color=stage.take.paint[0]
        )

    return _Moment(look=stage.posed(pose, x=x), behind=(crate,))


def _come_closer(stage: _Stage) -> _Moment:
    nearness = min(1.0, max(0.0, stage.share))
    # Between the far end and the near end the figure doubles in height.
    size = stage.size * (0.52 + 0.53 * nearness)
    step = math.sin(2 * math.pi * (1.1 * stage.take.tempo * stage.time_s + stage.take.phase))
    pose = Pose(
        arm_a=9 + 5 * step, arm_b=9 - 5 * step, thigh_a=4 + 3 * step, thigh_b=4 - 3 * step, lift=0.02 * abs(step)
    )
    there = replace(stage, size=size, foot=stage.foot - 0.34 * stage.size * (1 - nearness))
    return _Moment(look=there.posed(pose, x=stage.x, view="front"))


def _sway(stage: _Stage) -> float:
    return math.sin(2 * math.pi * (0.5 * stage.take.tempo * stage.time_s + stage.take.phase))


def _umbrella(stage: _Stage) -> _Moment:
    smaller = replace(stage, size=0.84 * stage.size)
    look = smaller.posed(Pose(arm_b=28, forearm_b=138 + 4 * _sway(stage)), x=stage.x, view="front")

    def open_umbrella(image_HWC: Image) -> None:
        draw_umbrella(image_HWC, hand=look.arms[1][2], size_px=smaller.size, color=stage.take.paint[0])

    return _Moment(look=look, before=(open_umbrella,))


def _balloon(stage: _Stage) -> _Moment:
    smaller = replace(stage, size=0.84 * stage.size)
    look = smaller.posed(Pose(arm_b=50 + 6 * _sway(stage), forearm_b=120), x=stage.x, view="front")

    def balloon(image_HWC: Image) -> None:
        draw_balloon(image_HWC, hand=look.arms[1][2], size_px=smaller.size, color=stage.take.paint[0])

    return _Moment(look=look, before=(balloon,))


def _scooter(stage: _Stage) -> _Moment:
    x = stage.width_px / 2 + stage.take.facing * stage.shift
    raised = replace(stage, foot=stage.foot - 0.07 * stage.size)
    pose = Pose(lean=8, arm_a=40, forearm_a=72, arm_b=40, forearm_b=72, thigh_a=10, shin_a=-8 + 6 * _sway(stage))

    def scooter(image_HWC: Image) -> None:
        draw_scooter(
            image_HWC, x=x, y=stage.foot, size_px=stage.size, facing=stage.take.facing, color=stage.take.paint[0]
        )

    return _Moment(look=raised.posed(pose, x=x), behind=(scooter,))


def _push_ups(stage: _Stage) -> _Moment:
    low = 0.5 - 0.5 * math.cos(2 * math.pi * (0.8 * stage.take.tempo * stage.time_s + stage.take.phase))
    # Hands stay on the ground: the shoulders sink by what the bent elbows give.
    back, arm, forearm = -72 - 8 * low, -58 * low, 48 * low
    pose = Pose(
        lean=61 + 21 * low, arm_a=arm, forearm_a=forearm, arm_b=arm, forearm_b=forearm, thigh_a=back, shin_a=back,
        thigh_b=back, shin_b=back, nod=-25,
    )  # fmt: skip
    return _Moment(look=stage.posed(pose, x=stage.width_px / 2))


_ACTS: Mapping[str, Callable[[_Stage], _Moment]] = {
    "opening a door": _door, "sitting down": _sit, "moving right": _move_right, "raising arms": _raise,
    "picking up": _pick_up, "pushing a crate": _push, "coming closer": _come_closer, "holding an umbrella": _umbrella,
    "holding a balloon": _balloon, "riding a scooter": _scooter, "doing push-ups": _push_ups,
}  # fmt: skip


@functools.lru_cache(maxsize=2)
def _scene_of(group: Group, *, width_px: int, height_px: int) -> Image:
    """The group's place, uint8 [H, W, C], with a margin around the frame; not to be written to."""
    wide, high = width_px + 2 * _MARGIN_PX, height_px + 2 * _MARGIN_PX
    scale = max(1, math.ceil(_LEAST_SCENE_PX / high))
    painted = paint_scene(
        group.scene, width_px=wide * scale, height_px=high * scale,
        horizon_px=round((_MARGIN_PX + group.horizon_frac * height_px) * scale), rng=random.Random(group.scene_seed),
    )  # fmt: skip
    small = cv2.resize(painted, (wide, high), interpolation=cv2.INTER_AREA).astype(np.float32)
    soft = cv2.GaussianBlur(small, (0, 0), _BLUR * height_px)
    mean = soft.mean(axis=(0, 1))
    return (mean + (soft - mean) * _CONTRAST).astype(np.uint8)


def film_motion(take: MotionTake, *, width_px: int, height_px: int) -> tuple[list[Image], list[Pixels]]:
    """The take's frames, uint8 [H, W, C], and the person's box in each; noise and light are in the frames."""
    scene = _scene_of(take.group, width_px=width_px, height_px=height_px)
    rng = random.Random(take.pixel_seed)
    chance = np.random.default_rng(rng.getrandbits(64))
    tremor = [rng.uniform(0.5, 3.0) for _ in range(2)]
    tone = np.stack([np.clip(np.arange(256) * gain, 0, 255) for gain in take.group.gain], axis=-1).astype(np.uint8)
    grains = [
        chance.normal(128, take.grain, scene.shape).astype(np.uint8)[:height_px, :width_px]
        for _ in range(5 if take.grain else 0)
    ]
    frames, boxes = [], []
    for number in range(take.num_frames):
        time_s = float(number / take.fps)
        dx, dy = (take.shake_px * math.sin(2 * math.pi * (rate * time_s + take.phase)) for rate in tremor)
        shift = np.array([[1, 0, -_MARGIN_PX - dx], [0, 1, -_MARGIN_PX - dy]], np.float32)
        frame = np.asarray(cv2.warpAffine(scene, shift, (width_px, height_px)), np.uint8)
        moment = _moment(take, number, width_px=width_px, height_px=height_px)
        boxes.append(_draw(frame, moment, body=take.group.body))
        frame = np.asarray(cv2.LUT(frame, tone[None]), np.uint8)
        if grains:
            frame = np.asarray(cv2.addWeighted(frame, 1.0, grains[rng.randrange(5)], 1.0, -128), np.uint8)
        frames.append(frame)
    return frames, boxes


def _moment(take: MotionTake, number: int, *, width_px: int, height_px: int) -> _Moment:
    time_s = float(number / take.fps)
    # The last frame is where the movement has come to, so progress runs over the instants that are shown.
    last_s = float((take.num_frames - 1) / take.fps)
    end_s = min(take.end_s, last_s)
    stage = _Stage(
        take=take, width_px=width_px, x=take.x_frac * width_px, foot=take.foot_frac * height_px,
        size=take.size_frac * height_px, time_s=time_s, share=(time_s - take.start_s) / (end_s - take.start_s),
    )  # fmt: skip
    return _ACTS[take.what](stage)


def _draw(frame_HWC: Image, moment: _Moment, *, body: Body) -> Pixels:
    """Draw the moment; gives the box of the person, things in front of it or not."""
    height, width = frame_HWC.shape[:2]
    for draw in moment.behind:
        draw(frame_HWC)
    mask_HW = np.zeros((height, width), np.uint8)
    draw_shapes(frame_HWC, person_shapes(body, moment.look), mask_HW=mask_HW, value=1)
    for draw in moment.before:
        draw(frame_HWC)
    left, top, wide, high = cv2.boundingRect(mask_HW)
    return left / width, top / height, (left + wide) / width, (top + high) / height
