"""Draw the things that people of the motion world handle: doors, crates, umbrellas, balloons, scooters.

Coordinates in pixels, x right, y down; `size_px` is the standing height of the person beside the thing; `facing` is 1
for right and -1 for left. Shapes: H W = height and width of the frame, C = 3 (red, green, blue). All proportions: ours.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from gesta.world.figures import Color, Point

Image = npt.NDArray[np.uint8]

_SHIFT = 4
_INSIDE: Color = (38, 34, 40)
_METAL: Color = (208, 190, 120)
_SHUT_DEG, _OPEN_DEG = 4.0, 78.0
DOOR_WIDTH, DOOR_HEIGHT = 0.50, 1.06


def _fixed(points: list[Point]) -> npt.NDArray[np.int32]:
    return np.round(np.array(points) * (1 << _SHIFT)).astype(np.int32)


def _fill(image_HWC: Image, points: list[Point], color: Color) -> None:
    cv2.fillPoly(image_HWC, [_fixed(points)], color, cv2.LINE_AA, _SHIFT)


def _line(image_HWC: Image, one: Point, other: Point, color: Color, thick: float) -> None:
    ends = _fixed([one, other])
    start, end = (int(ends[0, 0]), int(ends[0, 1])), (int(ends[1, 0]), int(ends[1, 1]))
    cv2.line(image_HWC, start, end, color, max(1, round(thick)), cv2.LINE_AA, _SHIFT)


def _disc(image_HWC: Image, center: Point, radius: float, color: Color) -> None:
    at = _fixed([center])[0]
    cv2.circle(image_HWC, (int(at[0]), int(at[1])), round(radius * (1 << _SHIFT)), color, -1, cv2.LINE_AA, _SHIFT)


def _dark(color: Color) -> Color:
    red, green, blue = (c * 6 // 10 for c in color)
    return red, green, blue


def door_handle(*, x: float, y: float, size_px: float, facing: int, openness: float) -> Point:
    """Where the handle of a door is whose near post stands at ground point (x, y), hinged at the far post."""
    width, height = DOOR_WIDTH * size_px, DOOR_HEIGHT * size_px
    angle = math.radians(_SHUT_DEG + (_OPEN_DEG - _SHUT_DEG) * openness)
    return x + facing * width * (1 - 0.9 * math.cos(angle)), y - 0.46 * height + 0.05 * height * math.sin(angle)


def draw_door(
    image_HWC: Image, *, x: float, y: float, size_px: float, facing: int, openness: float, color: Color
) -> None:
    """Draw a doorway from its near post at ground point (x, y) towards `facing`, its leaf turned towards the viewer.

    Args:
        openness: 0 = shut, 1 = wide open.
    """
    width, height = DOOR_WIDTH * size_px, DOOR_HEIGHT * size_px
    hinge = x + facing * width
    post = 0.035 * size_px
    outer = [(x - facing * post, y), (x - facing * post, y - height - post), (hinge + facing * post, y - height - post)]
    _fill(image_HWC, [*outer, (hinge + facing * post, y)], _dark(_dark(color)))
    _fill(image_HWC, [(x, y), (x, y - height), (hinge, y - height), (hinge, y)], _INSIDE)
    angle = math.radians(_SHUT_DEG + (_OPEN_DEG - _SHUT_DEG) * openness)
    # Nearer things are larger: the free edge grows as it swings towards the viewer.
    edge, more = hinge - facing * width * math.cos(angle), 0.13 * height * math.sin(angle)
    leaf = [(hinge, y), (hinge, y - height), (edge, y - height - more * 0.6), (edge, y + more)]
    _fill(image_HWC, leaf, color)
    for low, high in ((0.12, 0.44), (0.54, 0.9)):
        panel = [_within(leaf, u, v) for u, v in ((0.18, low), (0.18, high), (0.82, high), (0.82, low))]
        _fill(image_HWC, panel, _dark(color))
    handle = door_handle(x=x, y=y, size_px=size_px, facing=facing, openness=openness)
    _disc(image_HWC, handle, 0.025 * size_px, _METAL)


def _within(leaf: list[Point], u: float, v: float) -> Point:
    """The point of a leaf (hinge foot, hinge top, edge top, edge foot) `u` from hinge to edge, `v` from foot to top."""
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = leaf
    near, far = (ax + (bx - ax) * v, ay + (by - ay) * v), (dx + (cx - dx) * v, dy + (cy - dy) * v)
    return near[0] + (far[0] - near[0]) * u, near[1] + (far[1] - near[1]) * u


def draw_crate(image_HWC: Image, *, x: float, y: float, side_px: float, color: Color) -> None:
    """Draw a crate of `side_px` whose bottom's middle is at (x, y)."""
    half = side_px / 2
    corners = [(x - half, y), (x - half, y - side_px), (x + half, y - side_px), (x + half, y)]
    _fill(image_HWC, corners, color)
    for one, other in zip(corners, corners[1:] + corners[:1], strict=True):
        _line(image_HWC, one, other, _dark(color), 0.09 * side_px)
    _line(image_HWC, corners[0], corners[2], _dark(color), 0.09 * side_px)


def draw_umbrella(image_HWC: Image, *, hand: Point, size_px: float, color: Color) -> None:
    """Draw an open umbrella held at `hand`."""
    x, y = hand[0], hand[1] - 0.34 * size_px
    _line(image_HWC, (x, hand[1] + 0.05 * size_px), (x, y), _INSIDE, 0.025 * size_px)
    arc = np.linspace(math.pi, 2 * math.pi, 13)
    rim = [(x + 0.36 * size_px * math.cos(a), y + 0.08 * size_px + 0.25 * size_px * math.sin(a)) for a in arc]
    _fill(image_HWC, rim, color)
    _fill(image_HWC, [rim[4], rim[5], rim[6], rim[7], rim[8], (x, y + 0.08 * size_px)], _dark(color))


def draw_balloon(image_HWC: Image, *, hand: Point, size_px: float, color: Color) -> None:
    """Draw a balloon on a string held at `hand`."""
    center = (hand[0], hand[1] - 0.36 * size_px)
    _line(image_HWC, hand, center, _INSIDE, 0.012 * size_px)
    _disc(image_HWC, center, 0.16 * size_px, color)
    _disc(image_HWC, (center[0] - 0.05 * size_px, center[1] - 0.06 * size_px), 0.03 * size_px, (245, 245, 245))


def draw_scooter(image_HWC: Image, *, x: float, y: float, size_px: float, facing: int, color: Color) -> None:
    """Draw a kick scooter whose deck's middle is over ground point (x, y)."""
    wheel, reach = 0.055 * size_px, 0.22 * size_px
    deck = y - wheel
    front = (x + facing * reach, deck)
    bar = (x + facing * (reach - 0.05 * size_px), y - 0.56 * size_px)
    _line(image_HWC, (x - facing * reach, deck), front, color, 0.045 * size_px)
    _line(image_HWC, front, bar, color, 0.035 * size_px)
    grip = (bar[0] - facing * 0.08 * size_px, bar[1])
    _line(image_HWC, bar, grip, _INSIDE, 0.04 * size_px)
    for side in (-1, 1):
        _disc(image_HWC, (x + side * reach, y - wheel), wheel, _INSIDE)
