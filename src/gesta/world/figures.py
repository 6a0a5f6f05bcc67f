"""Draw a person: a posed skeleton dressed with filled limbs, torso, head, hair and clothes, edges anti-aliased.

Coordinates in pixels, x right, y down, before the camera moves; body lengths as fractions of standing height.
Shapes: P = polygon points, H W = frame height and width, C = 3 (red, green, blue).
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gesta.world.poses import Pose

Color = tuple[int, int, int]
Point = tuple[float, float]
Image = npt.NDArray[np.uint8]
Polygon = npt.NDArray[np.float32]

_SHIFT = 4
_ARC = np.linspace(-math.pi / 2, math.pi / 2, 7)
_CAP_P2 = np.stack([np.cos(_ARC), np.sin(_ARC)], axis=1)
_RING = np.linspace(0, 2 * math.pi, 18, endpoint=False)
_RING_P2 = np.stack([np.cos(_RING), np.sin(_RING)], axis=1)

SKINS: Sequence[Color] = (
    (255, 224, 196), (241, 194, 160), (224, 172, 125), (198, 134, 88), (141, 85, 48), (96, 58, 36), (70, 42, 28),
)  # fmt: skip
HAIRS: Sequence[Color] = (
    (24, 18, 16), (60, 36, 20), (104, 64, 30), (170, 120, 60), (224, 190, 110), (150, 50, 24), (130, 130, 134),
    (228, 228, 226), (150, 40, 120),
)  # fmt: skip
PATTERNS = ("plain", "plain", "stripes", "stripes", "sash", "dots", "halves", "belt")
HAIRCUTS = ("short", "short", "long", "bun", "cap", "bald", "afro")
BOTTOMS = ("trousers", "trousers", "trousers", "shorts", "skirt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One person's build and clothes. Lengths: fractions of standing height; `girth` scales all widths."""

    head: float
    leg: float
    arm: float
    girth: float
    shoulders: float
    skin: Color
    hair: Color
    haircut: str
    shirt: Color
    second: Color
    pattern: str
    long_sleeves: bool
    bottom: str
    trousers: Color
    shoes: Color


def _vivid(rng: random.Random) -> Color:
    # One strong channel or a grey: clothes that stand out from most walls.
    if rng.random() < 0.2:
        level = rng.choice((20, 45, 120, 200, 245))
        return (level, level, level)
    channels = [rng.randint(0, 90), rng.randint(30, 210), rng.randint(150, 255)]
    rng.shuffle(channels)
    return (channels[0], channels[1], channels[2])


def random_body(rng: random.Random) -> Body:
    """A person nobody has met: build, skin, hair and clothes drawn from `rng`."""
    child = rng.random() < 0.18
    return Body(
        head=rng.uniform(0.078, 0.09) if child else rng.uniform(0.060, 0.070),
        leg=rng.uniform(0.43, 0.45) if child else rng.uniform(0.465, 0.505),
        arm=rng.uniform(0.92, 1.06),
        girth=rng.uniform(0.85, 1.4),
        shoulders=rng.uniform(0.10, 0.13),
        skin=rng.choice(SKINS),
        hair=rng.choice(HAIRS),
        haircut=rng.choice(HAIRCUTS),
        shirt=_vivid(rng),
        second=_vivid(rng),
        pattern=rng.choice(PATTERNS),
        long_sleeves=rng.random() < 0.5,
        bottom=rng.choice(BOTTOMS),
        trousers=_vivid(rng),
        shoes=rng.choice(((20, 20, 20), (240, 240, 240), (120, 70, 40), (190, 30, 40), (40, 60, 150))),
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """A filled convex polygon, float32 [P, 2] pixels."""

    points_P2: Polygon
    color: Color


@dataclass(frozen=True, slots=True)
class Skeleton:
    """Joints in pixels. Limbs are (joint, joint, joint): shoulder elbow hand, hip knee ankle; `a` is the far side."""

    neck: Point
    pelvis: Point
    head: Point
    arms: tuple[tuple[Point, Point, Point], tuple[Point, Point, Point]]
    legs: tuple[tuple[Point, Point, Point], tuple[Point, Point, Point]]
    size_px: float
    facing: int
    is_side: bool


def _along(start: Point, degrees: float, length: float, sign: int) -> Point:
    angle = math.radians(degrees)
    return (start[0] + sign * length * math.sin(angle), start[1] + length * math.cos(angle))


def skeleton(
    body: Body, pose: Pose, *, view: str, facing: int, foot: Point, size_px: float, anchor: str = "pelvis"
) -> Skeleton:
    """The joints of a posed body whose lowest foot is on the ground at `foot`, `pose.lift` above it.

    Args:
        foot: ground point under the part that keeps its place.
        size_px: standing height in pixels.
        facing: 1 = to the right, -1 = to the left; in a front view which side limb `a` is on.
        anchor: pelvis, feet or b, as in `Motion.anchor`.
    """
    is_side = view == "side"
    torso = (0.985 - 2 * body.head - body.leg) * 0.97
    half_leg = body.leg / 2 - 0.012
    signs = (facing, facing) if is_side else (facing, -facing)
    shoulder = body.shoulders * (0.16 if is_side else 1.0) * size_px
    hip = 0.058 * body.girth * (0.2 if is_side else 1.0) * size_px
    lean_sign = facing
    lean = pose.lean if is_side else pose.lean * 0.25
    pelvis = (0.0, 0.0)
    neck = _along(pelvis, 180 - lean, torso * size_px, lean_sign)
    head = _along(neck, 180 - lean - pose.nod * (1 if is_side else 0.2), (body.head * 1.12) * size_px, lean_sign)
    arms, legs = [], []
    for number, sign in enumerate(signs):
        offset = (-1 if number == 0 else 1) * facing if is_side else sign
        top = (neck[0] + offset * shoulder, neck[1] + 0.035 * size_px)
        upper, lower = (pose.arm_a, pose.forearm_a) if number == 0 else (pose.arm_b, pose.forearm_b)
        elbow = _along(top, upper, 0.17 * body.arm * size_px, sign)
        arms.append((top, elbow, _along(elbow, lower, 0.158 * body.arm * size_px, sign)))
        base = (pelvis[0] + offset * hip, pelvis[1])
        upper, lower = (pose.thigh_a, pose.shin_a) if number == 0 else (pose.thigh_b, pose.shin_b)
        knee = _along(base, upper, half_leg * size_px, sign)
        legs.append((base, knee, _along(knee, lower, half_leg * size_px, sign)))
    ankles = [leg[2] for leg in legs]
    place = {"pelvis": 0.0, "feet": (ankles[0][0] + ankles[1][0]) / 2, "b": ankles[1][0]}[anchor]
    dx = foot[0] - place
    dy = foot[1] - (max(ankles[0][1], ankles[1][1]) + 0.024 * size_px) - pose.lift * size_px

    def moved(point: Point) -> Point:
        return (point[0] + dx, point[1] + dy)

    def limb(points: tuple[Point, Point, Point]) -> tuple[Point, Point, Point]:
        return (moved(points[0]), moved(points[1]), moved(points[2]))

    return Skeleton(
        moved(neck), moved(pelvis), moved(head), (limb(arms[0]), limb(arms[1])), (limb(legs[0]), limb(legs[1])),
        size_px, facing, is_side,
    )  # fmt: skip


def _capsule(one: Point, other: Point, r_one: float, r_other: float) -> Polygon:
    angle = math.atan2(other[1] - one[1], other[0] - one[0])
    c, s = math.cos(angle), math.sin(angle)
    cap_P2 = _CAP_P2 @ np.array([[c, s], [-s, c]])
    return np.concatenate([cap_P2 * r_other + other, -cap_P2 * r_one + one]).astype(np.float32)


def _disc(center: Point, radius: float, *, tall: float = 1.0) -> Polygon:
    return (_RING_P2 * (radius, radius * tall) + center).astype(np.float32)


def _hull(*polygons: Polygon) -> Polygon:
    return np.asarray(cv2.convexHull(np.concatenate(polygons)).reshape(-1, 2), np.float32)


def _mix(color: Color, share: float, other: Color = (0, 0, 0)) -> Color:
    r, g, b = (round(c + (o - c) * share) for c, o in zip(color, other, strict=True))
    return (r, g, b)


def _between(one: Point, other: Point, share: float) -> Point:
    return (one[0] + (other[0] - one[0]) * share, one[1] + (other[1] - one[1]) * share)


def _arm(body: Body, joints: tuple[Point, Point, Point], size: float, dim: float) -> list[Shape]:
    shoulder, elbow, hand = joints
    wide = size * body.girth**0.6
    sleeve, skin = _mix(body.shirt, dim), _mix(body.skin, dim)
    shapes = []
    if body.long_sleeves:
        shapes.append(Shape(_capsule(elbow, hand, 0.029 * wide, 0.023 * wide), sleeve))
        shapes.append(Shape(_capsule(shoulder, elbow, 0.037 * wide, 0.030 * wide), sleeve))
    else:
        shapes.append(Shape(_capsule(elbow, hand, 0.025 * wide, 0.020 * wide), skin))
        shapes.append(Shape(_capsule(shoulder, elbow, 0.032 * wide, 0.026 * wide), skin))
        shapes.append(Shape(_capsule(shoulder, _between(shoulder, elbow, 0.6), 0.039 * wide, 0.034 * wide), sleeve))
    finger = _between(elbow, hand, 1.16)
    shapes.append(Shape(_capsule(hand, finger, 0.026 * size, 0.022 * size), skin))
    return shapes


def _leg(body: Body, joints: tuple[Point, Point, Point], look: Skeleton, dim: float, sign: int) -> list[Shape]:
    hip, knee, ankle = joints
    size = look.size_px
    wide = size * body.girth**0.7
    cloth, skin = _mix(body.trousers, dim), _mix(body.skin, dim)
    shin = cloth if body.bottom == "trousers" else skin
    slope = math.atan2(ankle[1] - knee[1], (ankle[0] - knee[0]) * sign) - math.pi / 2
    reach = 0.075 if look.is_side else 0.03
    toe = (
        ankle[0] + sign * reach * size * math.cos(slope * 0.8),
        ankle[1] + size * (0.006 - reach * math.sin(-slope * 0.8)),
    )
    thigh = skin if body.bottom == "skirt" else cloth
    return [
        Shape(_capsule(ankle, toe, 0.026 * size, 0.018 * size), _mix(body.shoes, dim)),
        Shape(_capsule(knee, ankle, 0.041 * wide, 0.028 * wide), shin),
        Shape(_capsule(hip, knee, 0.058 * wide, 0.044 * wide), thigh),
    ]


def _torso(body: Body, look: Skeleton) -> list[Shape]:
    size, wide = look.size_px, look.size_px * body.girth
    (left, right), (shoulders, hips) = _sides(body, look), (look.arms, look.legs)
    if look.is_side:
        chest, top = _between(look.neck, look.pelvis, 0.25), _between(look.neck, look.pelvis, 0.1)
        trunk = _hull(_capsule(chest, look.pelvis, 0.075 * wide, 0.070 * wide), _disc(top, 0.045 * wide))
    else:
        discs = [_disc(arm[0], 0.038 * wide) for arm in shoulders] + [_disc(leg[0], 0.058 * wide) for leg in hips]
        trunk = _hull(*discs)
    shapes = [Shape(trunk, body.shirt), *_pattern(body, look, left=left, right=right)]
    if body.bottom == "skirt":
        hem = [_disc(_between(leg[0], leg[1], 0.8), 0.075 * wide) for leg in hips]
        return [*shapes, Shape(_hull(*hem, _disc(look.pelvis, 0.062 * wide)), body.trousers)]
    # As wide as the thighs, so that no ring shows where they meet.
    return [*shapes, Shape(_hull(*[_disc(leg[0], 0.057 * size * body.girth**0.7) for leg in hips]), body.trousers)]


def _sides(body: Body, look: Skeleton) -> tuple[tuple[Point, Point], tuple[Point, Point]]:
    """The torso's two edges, each from shoulder to hip."""
    if not look.is_side:
        return (look.arms[0][0], look.legs[0][0]), (look.arms[1][0], look.legs[1][0])
    (x, y), (pelvis_x, pelvis_y) = look.neck, look.pelvis
    length = math.hypot(pelvis_x - x, pelvis_y - y) or 1.0
    half = 0.055 * look.size_px * body.girth / length
    dx, dy = (y - pelvis_y) * half, (pelvis_x - x) * half
    return ((x - dx, y - dy), (pelvis_x - dx, pelvis_y - dy)), ((x + dx, y + dy), (pelvis_x + dx, pelvis_y + dy))


def _pattern(body: Body, look: Skeleton, *, left: tuple[Point, Point], right: tuple[Point, Point]) -> list[Shape]:
    def at(u: float, v: float) -> Point:
        return _between(_between(left[0], right[0], u), _between(left[1], right[1], u), v)

    bar = 0.022 * look.size_px
    if body.pattern == "stripes":
        return [Shape(_capsule(at(0, v), at(1, v), bar, bar), body.second) for v in (0.2, 0.45, 0.7)]
    if body.pattern == "sash":
        return [Shape(_capsule(at(0, 0.05), at(1, 0.8), bar * 1.3, bar * 1.3), body.second)]
    if body.pattern == "dots":
        spots = ((0.2, 0.2), (0.75, 0.25), (0.45, 0.5), (0.15, 0.75), (0.85, 0.7))
        return [Shape(_disc(at(u, v), bar * 0.9), body.second) for u, v in spots]
    if body.pattern == "halves":
        return [Shape(_hull(_disc(at(0, 0.55), bar), _disc(at(1, 0.55), bar), _disc(at(0.5, 0.9), bar)), body.second)]
    if body.pattern == "belt":
        return [Shape(_capsule(at(0, 0.92), at(1, 0.92), bar * 0.8, bar * 0.8), body.second)]
    return []


def _head(body: Body, look: Skeleton) -> list[Shape]:
    r = body.head * look.size_px
    x, y = look.head
    f = look.facing if look.is_side else 0
    shapes = [Shape(_capsule(look.neck, look.head, 0.034 * look.size_px, 0.034 * look.size_px), _mix(body.skin, 0.15))]
    if body.haircut == "long":
        shapes.append(
            Shape(_capsule((x - 0.35 * f * r, y - 0.1 * r), (x - 0.6 * f * r, y + 1.3 * r), r, 0.8 * r), body.hair)
        )
    if body.haircut == "afro":
        shapes.append(Shape(_disc((x - 0.2 * f * r, y - 0.3 * r), 1.4 * r), body.hair))
    if body.haircut == "bun":
        shapes.append(Shape(_disc((x - 0.8 * f * r, y - 0.95 * r), 0.5 * r), body.hair))
    if body.haircut not in ("bald", "afro"):
        shapes.append(Shape(_disc((x - 0.16 * f * r, y - 0.12 * r), 1.06 * r), body.hair))
    shapes.append(Shape(_disc((x + 0.16 * f * r, y + 0.1 * r), 0.86 * r, tall=1.1), body.skin))
    if look.is_side:
        shapes.append(Shape(_disc((x + f * 1.02 * r, y + 0.2 * r), 0.17 * r), body.skin))
    if body.haircut == "cap":
        shapes.append(
            Shape(
                _hull(_disc((x - r * 0.5, y - 0.5 * r), 0.5 * r), _disc((x + r * 0.5, y - 0.5 * r), 0.5 * r)),
                body.second,
            )
        )
        brim = (x + 1.5 * f * r, y - 0.3 * r) if f else (x, y - 0.22 * r)
        shapes.append(
            Shape(
                _capsule(
                    (x - (0 if f else 0.8 * r), brim[1]), (brim[0] + (0 if f else 0.8 * r), brim[1]), 0.16 * r, 0.16 * r
                ),
                body.second,
            )
        )
    dark = _mix(body.skin, 0.75)
    eyes = ((x + 0.62 * f * r, y),) if f else ((x - 0.34 * r, y), (x + 0.34 * r, y))
    shapes += [Shape(_disc(eye, max(0.5, 0.13 * r)), dark) for eye in eyes]
    mouth = (x + 0.6 * f * r, y + 0.52 * r)
    shapes.append(
        Shape(
            _capsule((mouth[0] - 0.2 * r, mouth[1]), (mouth[0] + 0.2 * r, mouth[1]), 0.08 * r, 0.08 * r),
            _mix(body.skin, 0.5, (150, 20, 30)),
        )
    )
    return shapes


def person_shapes(body: Body, look: Skeleton) -> list[list[Shape]]:
    """The person as groups of convex polygons, back to front; a group's edges are outlined together."""
    size = look.size_px
    signs = (look.facing, look.facing) if look.is_side else (look.facing, -look.facing)
    # The far side is in shade.
    far, near = (0.28, 0.0) if look.is_side else (0.06, 0.06)
    legs = [_leg(body, leg, look, dim, sign) for leg, dim, sign in zip(look.legs, (far, near), signs, strict=True)]
    arms = [_arm(body, arm, size, dim) for arm, dim in zip(look.arms, (far, near), strict=True)]
    if look.is_side:
        return [arms[0], legs[0], legs[1], _torso(body, look), _head(body, look), arms[1]]
    return [legs[0], legs[1], _torso(body, look), _head(body, look), arms[0], arms[1]]


def _fixed(points_P2: Polygon) -> npt.NDArray[np.int32]:
    return np.round(points_P2 * (1 << _SHIFT)).astype(np.int32)


def draw_shapes(image_HWC: Image, groups: Sequence[Sequence[Shape]], *, mask_HW: Image, value: int) -> Polygon:
    """Draw onto the image and, as `value`, onto the mask; gives all points that were drawn, float32 [P, 2] pixels.

    Pixel centres are at whole coordinates, as OpenCV has them.
    """
    drawn: list[Polygon] = []
    for group in groups:
        polygons = [(_fixed(shape.points_P2), shape.color) for shape in group]
        for points, color in polygons:
            cv2.polylines(
                image_HWC, [points], isClosed=True, color=_mix(color, 0.5), lineType=cv2.LINE_AA, shift=_SHIFT
            )
        for points, color in polygons:
            cv2.fillConvexPoly(image_HWC, points, color, cv2.LINE_AA, _SHIFT)
            cv2.fillConvexPoly(mask_HW, points, value, cv2.LINE_8, _SHIFT)
        drawn.extend(shape.points_P2 for shape in group)
    return np.concatenate(drawn)


def mask_shapes(groups: Sequence[Sequence[Shape]], *, mask_HW: Image, value: int) -> None:
    """Draw the shapes as `value` onto the mask [H, W] alone, as `draw_shapes` does beside its image."""
    for group in groups:
        for shape in group:
            cv2.fillConvexPoly(mask_HW, _fixed(shape.points_P2), value, cv2.LINE_8, _SHIFT)
