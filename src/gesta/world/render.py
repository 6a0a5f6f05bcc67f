"""Turn a take into frames and truth, and a duplicate's takes into its frames and truth.

Shapes: H W = frame height and width, C = 3 (red, green, blue). Boxes in pixels, x1 y1 x2 y2, right and bottom
exclusive. Times in seconds inside this file, microseconds in the tables.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import cv2
import numpy as np
import numpy.typing as npt

from gesta.world.figures import Shape, draw_shapes, person_shapes, skeleton
from gesta.world.plan import Actor, Take
from gesta.world.poses import MOTIONS, Pose, blend, ease, standing
from gesta.world.scenes import draw_chair, paint_scene

Image = npt.NDArray[np.uint8]
Pixels = tuple[float, float, float, float]

LEAST_VISIBLE = 0.25
"""A person of whom less than this share is to be seen has no box. Source: ours."""

_BLEND_S = 0.3


@dataclass(frozen=True, slots=True)
class Seen:
    """One person in one frame: fractions of the frame."""

    person_id: int
    frame: int
    box: Pixels


@dataclass(frozen=True, slots=True)
class Done:
    """One person's action, half-open seconds."""

    person_id: int
    action: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """Frames uint8 [H, W, C] with what is true of them; `times_s` only where the rate is uneven."""

    frames: list[Image]
    fps: Fraction
    seen: list[Seen]
    done: list[Done]
    times_us: list[int] | None = None

    @property
    def duration_s(self) -> float:
        """From the first frame's start to the last frame's end."""
        if self.times_us is not None:
            return (2 * self.times_us[-1] - self.times_us[-2]) / 1e6
        return float(len(self.frames) / self.fps)


def _where(actor: Actor, moved_px: float) -> tuple[float, int]:
    """Place and direction of one who goes back and forth on the actor's path, after `moved_px`."""
    low, high = actor.path_px
    span = max(1.0, high - low)
    x = min(max(actor.x_px, low), high) - low
    run = (x if actor.facing > 0 else 2 * span - x) + moved_px
    lap = run % (2 * span)
    return (low + lap, 1) if lap <= span else (low + 2 * span - lap, -1)


def _attitude(actor: Actor, time_s: float) -> tuple[Pose, float, int]:
    """Pose, place and direction at an instant."""
    idle = standing(time_s, actor.manner)
    if actor.action is None:
        return idle, actor.x_px, actor.facing
    motion = MOTIONS[actor.action]
    since = time_s - actor.start_s
    doing = motion.pose(max(0.0, since), actor.manner)
    # At the very ends of the video the action is cut, not begun.
    begun = ease((since + _BLEND_S / 2) / _BLEND_S)
    ended = ease((time_s - actor.end_s + _BLEND_S / 2) / _BLEND_S)
    pose = blend(idle, doing, min(begun, 1 - ended) if actor.start_s > 0 else 1 - ended)
    if motion.speed == 0:
        return pose, actor.x_px, actor.facing
    moved = min(max(0.0, since), actor.end_s - actor.start_s) * motion.speed * actor.manner.tempo * actor.size_px
    x, facing = _where(actor, moved)
    return pose, x, facing


def _camera(take: Take, rng: random.Random) -> list[tuple[float, float, float, float]]:
    """Rates and phases of the camera's tremor."""
    return [(rng.uniform(0.5, 3.0), rng.uniform(0, 7), rng.uniform(0.5, 3.0), rng.uniform(0, 7)) for _ in range(3)]


def _look(take: Take, tremor: Sequence[tuple[float, float, float, float]], time_s: float) -> tuple[float, float]:
    share = time_s / take.duration_s
    pan = take.pan_px[0] + (take.pan_px[1] - take.pan_px[0]) * share
    x = sum(math.sin(2 * math.pi * fx * time_s + px) for fx, px, _, _ in tremor) / 2
    y = sum(math.sin(2 * math.pi * fy * time_s + py) for _, _, fy, py in tremor) / 2
    return pan + take.shake_px * x, take.shake_px * y


def _tone(take: Take) -> npt.NDArray[np.uint8]:
    levels = np.arange(256) / 255
    table = [255 * np.clip(levels**take.gamma * gain, 0, 1) for gain in take.gain]
    return np.stack(table, axis=-1).astype(np.uint8)[None]


def film(take: Take, *, times_us: list[int] | None = None) -> Footage:
    """The take's frames and truth, at its own rate or at the times given."""
    rng = random.Random(take.pixel_seed)
    margin = round(0.12 * max(take.width_px, take.height_px))
    scene = paint_scene(
        take.scene, width_px=take.width_px + 2 * margin, height_px=take.height_px + 2 * margin,
        horizon_px=take.horizon_px + margin, rng=rng,
    )  # fmt: skip
    for actor in take.actors:
        if actor.action == "sitting down":
            reach = actor.facing * 0.2 * actor.size_px
            color = (rng.randint(30, 230), rng.randint(30, 230), rng.randint(30, 230))
            x, y = actor.x_px - reach + margin, actor.foot_px + margin
            draw_chair(scene, x=x, y=y, size_px=actor.size_px, facing=actor.facing, color=color)
    tremor, tone = _camera(take, rng), _tone(take)
    chance = np.random.default_rng(rng.getrandbits(64))
    shape = (take.height_px, take.width_px, 3)
    grains = [(128 + chance.normal(0, take.grain, shape)).astype(np.uint8) for _ in range(5 if take.grain else 0)]
    instants = (
        [float(k / take.fps) for k in range(take.num_frames)] if times_us is None else [t / 1e6 for t in times_us]
    )
    frames, seen = [], []
    for number, time_s in enumerate(instants):
        cam_x, cam_y = _look(take, tremor, time_s)
        shift = np.array([[1, 0, -margin - cam_x], [0, 1, -margin - cam_y]])
        size = (take.width_px, take.height_px)
        frame = np.asarray(cv2.warpAffine(scene, shift, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
        boxes = _draw_people(frame, take.actors, time_s, camera=(cam_x, cam_y))
        seen += [Seen(person_id, number, box) for person_id, box in boxes]
        frame = np.asarray(cv2.LUT(frame, tone), np.uint8)
        if grains:
            frame = np.asarray(cv2.addWeighted(frame, 1.0, grains[rng.randrange(5)], 1.0, -128), np.uint8)
        frames.append(frame)
    done = [Done(a.person_id, a.action, a.start_s, a.end_s) for a in take.actors if a.action is not None]
    return Footage(frames=frames, fps=take.fps, seen=seen, done=done, times_us=times_us)


def _draw_people(
    frame_HWC: Image, actors: Sequence[Actor], time_s: float, *, camera: tuple[float, float]
) -> list[tuple[int, Pixels]]:
    """Draw everyone, back to front; gives the box of what is to be seen of each, as fractions of the frame."""
    height, width = frame_HWC.shape[:2]
    mask_HW = np.zeros((height, width), np.uint8)
    drawn: list[tuple[Actor, list[list[Shape]], npt.NDArray[np.float32]]] = []
    for value, actor in enumerate(actors, start=1):
        pose, x, facing = _attitude(actor, time_s)
        anchor = MOTIONS[actor.action].anchor if actor.action else "pelvis"
        look = skeleton(
            actor.body, pose, view=actor.view, facing=facing, foot=(x - camera[0], actor.foot_px - camera[1]),
            size_px=actor.size_px, anchor=anchor,
        )  # fmt: skip
        groups = person_shapes(actor.body, look)
        drawn.append((actor, groups, draw_shapes(frame_HWC, groups, mask_HW=mask_HW, value=value)))
    extents = [_extent(points) for _, _, points in drawn]
    boxes = []
    for value, (actor, groups, _) in enumerate(drawn, start=1):
        mine = (mask_HW == value).view(np.uint8)
        left, top, wide, high = cv2.boundingRect(mine)
        if wide == 0 or high == 0:
            continue
        share = _inside(extents[value - 1], width, height)
        if any(_meet(extents[value - 1], later) for later in extents[value:]):
            alone = np.zeros_like(mask_HW)
            draw_shapes(np.zeros_like(frame_HWC), groups, mask_HW=alone, value=1)
            share *= cv2.countNonZero(mine) / max(1, cv2.countNonZero(alone))
        if share >= LEAST_VISIBLE:
            boxes.append((actor.person_id, (left / width, top / height, (left + wide) / width, (top + high) / height)))
    return boxes


def _extent(points_P2: npt.NDArray[np.float32]) -> Pixels:
    low, high = points_P2.min(0), points_P2.max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _inside(extent: Pixels, width: int, height: int) -> float:
    x1, y1, x2, y2 = extent
    shown = max(0.0, min(x2, width) - max(x1, 0)) * max(0.0, min(y2, height) - max(y1, 0))
    return shown / max(1e-6, (x2 - x1) * (y2 - y1))


def _meet(a: Pixels, b: Pixels) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _scaled(frame_HWC: Image, width_px: int, height_px: int) -> Image:
    return np.asarray(cv2.resize(frame_HWC, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8)


def flipped(footage: Footage) -> Footage:
    """The same, mirrored left to right."""
    seen = [replace(one, box=(1 - one.box[2], one.box[1], 1 - one.box[0], one.box[3])) for one in footage.seen]
    return replace(footage, frames=[np.ascontiguousarray(frame[:, ::-1]) for frame in footage.frames], seen=seen)


def resized(footage: Footage, *, width_px: int, height_px: int) -> Footage:
    """The same at another size; boxes are fractions and stay."""
    return replace(footage, frames=[_scaled(frame, width_px, height_px) for frame in footage.frames])


def cropped(footage: Footage, *, x: int, y: int, width_px: int, height_px: int) -> Footage:
    """The part of it from pixel (x, y) on; people of whom too little is left lose their boxes."""
    height, width = footage.frames[0].shape[:2]
    seen = []
    for one in footage.seen:
        x1, y1, x2, y2 = (
            (one.box[0] * width - x) / width_px, (one.box[1] * height - y) / height_px,
            (one.box[2] * width - x) / width_px, (one.box[3] * height - y) / height_px,
        )  # fmt: skip
        if _inside((x1, y1, x2, y2), 1, 1) >= LEAST_VISIBLE:
            seen.append(replace(one, box=(max(0.0, x1), max(0.0, y1), min(1.0, x2), min(1.0, y2))))
    frames = [np.ascontiguousarray(f[y : y + height_px, x : x + width_px]) for f in footage.frames]
    return replace(footage, frames=frames, seen=seen)


def _num_people(footage: Footage) -> int:
    ids = {one.person_id for one in footage.seen} | {one.person_id for one in footage.done}
    return 1 + max(ids, default=-1)


def joined(parts: Sequence[Footage], *, later_s: float) -> Footage:
    """A compilation: the first part whole, `later_s` of each other one, at the first one's size and rate."""
    first, *others = parts
    height_px, width_px = first.frames[0].shape[:2]
    stretches = [Stretch(first, 0.0, first.duration_s), *(Stretch(part, 0.0, later_s) for part in others)]
    return compiled(stretches, fps=first.fps, width_px=width_px, height_px=height_px)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Seconds of footage, from `start_s` on."""

    footage: Footage
    start_s: float
    length_s: float


def compiled(stretches: Sequence[Stretch], *, fps: Fraction, width_px: int, height_px: int) -> Footage:
    """The stretches one after another at one size and rate, each person of each a person of their own."""
    frames: list[Image] = []
    seen: list[Seen] = []
    done: list[Done] = []
    next_person = 0
    for stretch in stretches:
        part, begin = stretch.footage, len(frames)
        num_frames = int(Fraction(stretch.length_s).limit_denominator(100) * fps)
        if stretch.length_s >= part.duration_s and fps == part.fps:
            num_frames = len(part.frames)
        begin_s, length_s = float(begin / fps), float(num_frames / fps)
        # The frame shown at each instant of the new rate.
        start = Fraction(stretch.start_s).limit_denominator(1000)
        picks = [min(len(part.frames) - 1, int((start + k / fps) * part.fps)) for k in range(num_frames)]
        shown: dict[int, list[Seen]] = {}
        for one in part.seen:
            shown.setdefault(one.frame, []).append(one)
        for k, pick in enumerate(picks):
            frames.append(_scaled(part.frames[pick], width_px, height_px))
            seen += [Seen(one.person_id + next_person, begin + k, one.box) for one in shown.get(pick, ())]
        for act in part.done:
            since, till = max(0.0, act.start_s - stretch.start_s), min(act.end_s - stretch.start_s, length_s)
            if since < till:
                done.append(Done(act.person_id + next_person, act.action, begin_s + since, begin_s + till))
        next_person += _num_people(part)
    return Footage(frames=frames, fps=fps, seen=seen, done=done)
