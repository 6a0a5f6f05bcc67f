"""Paint the places: rooms, parks, streets, beaches, halls and walls; larger than the frame, so a camera can move.

Coordinates in pixels, x right, y down. Shapes: H W = painted height and width, C = 3 (red, green, blue).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import numpy.typing as npt

from gesta.world.figures import Color

Image = npt.NDArray[np.uint8]


def _color(rng: random.Random, low: int = 20, high: int = 240) -> Color:
    return (rng.randint(low, high), rng.randint(low, high), rng.randint(low, high))


def _muted(rng: random.Random, low: int = 90, high: int = 215) -> Color:
    level = rng.randint(low, high)
    red, green, blue = (max(0, min(255, level + rng.randint(-45, 45))) for _ in range(3))
    return red, green, blue


def _near(rng: random.Random, color: Color, spread: int = 30) -> Color:
    red, green, blue = (max(0, min(255, c + rng.randint(-spread, spread))) for c in color)
    return red, green, blue


def _darker(color: Color, quarters: int) -> Color:
    """The colour at so many quarters of its brightness, rounded down."""
    red, green, blue = (c * quarters // 4 for c in color)
    return red, green, blue


def _gradient(image: Image, y0: int, y1: int, top: Color, bottom: Color) -> None:
    rows = np.linspace(0, 1, max(1, y1 - y0))[:, None, None]
    image[y0:y1] = (np.array(top) * (1 - rows) + np.array(bottom) * rows).astype(np.uint8)


def _cloudy(
    height: int, width: int, chance: np.random.Generator, *, cell: int, depth: float
) -> npt.NDArray[np.float32]:
    """Smooth colour noise, float32 [H, W, 3] around 0."""
    small = chance.normal(0, depth, (max(2, height // cell), max(2, width // cell), 3)).astype(np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def _rect(image: Image, x: float, y: float, w: float, h: float, color: Color) -> None:
    cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), color, -1)


def _poster(image: Image, rng: random.Random, x: int, y: int, w: int, h: int) -> None:
    _rect(image, x, y, w, h, _color(rng))
    _rect(image, x + 2, y + 2, w - 4, h - 4, _color(rng))
    for _ in range(rng.randint(4, 9)):
        a = (x + 3 + rng.randint(0, max(1, w - 6)), y + 3 + rng.randint(0, max(1, h - 6)))
        if rng.random() < 0.5:
            cv2.circle(image, a, rng.randint(2, max(3, min(w, h) // 5)), _color(rng), -1, cv2.LINE_AA)
        else:
            b = (x + 3 + rng.randint(0, max(1, w - 6)), y + 3 + rng.randint(0, max(1, h - 6)))
            cv2.line(image, a, b, _color(rng), rng.randint(1, 4), cv2.LINE_AA)


def _planks(image: Image, rng: random.Random, horizon: int) -> None:
    height, width = image.shape[:2]
    base = _muted(rng, 70, 180)
    _gradient(image, horizon, height, _near(rng, base, 15), _near(rng, base, 40))
    line = _near(rng, _darker(base, 2), 10)
    vanishing = rng.uniform(0.2, 0.8) * width
    for k in range(-14, 15):
        x = vanishing + k * width / rng.choice((6, 7, 8))
        start = (int(vanishing + (x - vanishing) * 0.35), horizon)
        cv2.line(image, start, (int(vanishing + (x - vanishing) * 1.6), height), line, 1, cv2.LINE_AA)
    if rng.random() < 0.6:
        for k in range(1, 7):
            y = horizon + int((height - horizon) * (k / 7) ** 1.6)
            cv2.line(image, (0, y), (width, y), line, 1, cv2.LINE_AA)
    if rng.random() < 0.5:
        rug = (int(rng.uniform(0.2, 0.8) * width), (horizon + height) // 2)
        axes = (int(width * rng.uniform(0.15, 0.35)), int((height - horizon) * 0.3))
        for ring in range(3):
            shrunk = (axes[0] * (3 - ring) // 3, axes[1] * (3 - ring) // 3)
            cv2.ellipse(image, rug, shrunk, 0, 0, 360, _color(rng), -1, cv2.LINE_AA)


def _wallpaper(image: Image, rng: random.Random, horizon: int) -> None:
    width = image.shape[1]
    wall = _muted(rng, 110, 230)
    _gradient(image, 0, horizon, _near(rng, wall), _near(rng, wall))
    other = _near(rng, wall, 28)
    kind, step = rng.choice(("plain", "stripes", "dots", "tiles", "half", "bricks")), rng.randint(10, 28)
    if kind == "stripes":
        for x in range(0, width, step):
            _rect(image, x, 0, step // 2, horizon, other)
    elif kind == "dots":
        for x in range(0, width, step):
            for y in range((x // step % 2) * step // 2, horizon, step):
                cv2.circle(image, (x, y), max(2, step // 5), other, -1, cv2.LINE_AA)
    elif kind in ("tiles", "bricks"):
        for row, y in enumerate(range(0, horizon, step)):
            cv2.line(image, (0, y), (width, y), other, 1)
            for x in range(row % 2 * step if kind == "bricks" else 0, width, step * 2):
                cv2.line(image, (x, y), (x, min(y + step, horizon)), other, 1)
    elif kind == "half":
        _rect(image, 0, horizon * rng.uniform(0.5, 0.7), width, horizon, other)
    _rect(image, 0, horizon - rng.randint(3, 7), width, 7, _color(rng, 60, 240))


def _window(image: Image, rng: random.Random, x: int, y: int, w: int, h: int) -> None:
    _rect(image, x, y, w, h, _color(rng, 150, 250))
    pane = image[y + 3 : y + h - 3, x + 3 : x + w - 3]
    if pane.size:
        _gradient(pane, 0, pane.shape[0], (120, 170, 235), (215, 235, 250))
        for _ in range(4):
            cv2.circle(pane, (rng.randint(0, w), pane.shape[0]), rng.randint(5, 15), (60, rng.randint(90, 160), 60), -1)
    cv2.line(image, (x + w // 2, y), (x + w // 2, y + h), (240, 240, 240), 2)
    cv2.line(image, (x, y + h // 2), (x + w, y + h // 2), (240, 240, 240), 2)


def _shelf(image: Image, rng: random.Random, x: int, y: int, w: int, h: int) -> None:
    wood = _muted(rng, 50, 140)
    _rect(image, x, y, w, h, wood)
    rows = rng.randint(2, 4)
    for row in range(rows):
        left, floor = x + 3, y + (row + 1) * h // rows - 3
        while left < x + w - 6:
            thick, tall = rng.randint(3, 7), rng.randint(h // rows // 2, max(h // rows // 2 + 1, h // rows - 5))
            _rect(image, left, floor - tall, thick, tall, _color(rng))
            left += thick + 1


def _sofa(image: Image, rng: random.Random, x: int, y: int, w: int, h: int) -> None:
    color = _color(rng, 30, 200)
    _rect(image, x, y, w, h * 0.6, color)
    _rect(image, x, y + h * 0.5, w, h * 0.4, _near(rng, color, 20))
    for side in (x - w // 10, x + w - w // 20):
        _rect(image, side, y + h * 0.35, w * 0.14, h * 0.6, _darker(color, 3))
    _rect(image, x + w * rng.uniform(0.2, 0.6), y + h * 0.25, w * 0.18, h * 0.28, _color(rng))


def _plant(image: Image, rng: random.Random, x: int, y: int, w: int, h: int) -> None:
    _rect(image, x + w * 0.3, y + h * 0.7, w * 0.4, h * 0.3, _color(rng, 60, 220))
    for _ in range(14):
        angle, reach = rng.uniform(-2.8, -0.3), h * rng.uniform(0.35, 0.7)
        tip = (int(x + w / 2 + reach * math.cos(angle)), int(y + h * 0.7 + reach * math.sin(angle)))
        green = (rng.randint(10, 70), rng.randint(80, 170), rng.randint(10, 70))
        cv2.line(image, (int(x + w / 2), int(y + h * 0.7)), tip, green, rng.randint(2, 4), cv2.LINE_AA)


def _table(image: Image, rng: random.Random, x: int, y: int, w: int, h: int) -> None:
    wood = _muted(rng, 60, 170)
    _rect(image, x + w * 0.1, y + h * 0.4, 4, h * 0.6, wood)
    _rect(image, x + w * 0.85, y + h * 0.4, 4, h * 0.6, wood)
    _rect(image, x, y + h * 0.35, w, h * 0.1, _near(rng, wood, 25))
    for _ in range(rng.randint(1, 3)):
        _rect(image, x + w * rng.uniform(0.05, 0.8), y + h * 0.1, w * 0.12, h * 0.25, _color(rng))


def _room(image: Image, rng: random.Random, horizon: int) -> None:
    height, width = image.shape[:2]
    _wallpaper(image, rng, horizon)
    _planks(image, rng, horizon)
    unit = height / 10
    for _ in range(rng.randint(3, 6)):
        w, h = int(unit * rng.uniform(1.2, 3)), int(unit * rng.uniform(1.2, 2.8))
        x, y = rng.randint(0, width - w), rng.randint(int(unit * 0.3), max(int(unit * 0.3) + 1, horizon - h - 8))
        (_window if rng.random() < 0.3 else _poster)(image, rng, x, y, w, h)
    for _ in range(rng.randint(2, 4)):
        paint = rng.choice((_shelf, _sofa, _plant, _table))
        w, h = int(unit * rng.uniform(2, 4)), int(unit * rng.uniform(2, 3.6))
        paint(image, rng, rng.randint(-w // 4, width - w // 2), horizon - h + int(unit * rng.uniform(0.2, 1.0)), w, h)


def _sky(image: Image, rng: random.Random, horizon: int) -> None:
    width = image.shape[1]
    tops = ((70, 130, 220), (40, 80, 170), (150, 170, 200), (230, 140, 90), (90, 70, 130), (120, 190, 240))
    _gradient(image, 0, horizon, _near(rng, rng.choice(tops), 25), _near(rng, (215, 220, 230), 25))
    if rng.random() < 0.5:
        center = (rng.randint(0, width), rng.randint(5, max(6, horizon // 2)))
        cv2.circle(image, center, rng.randint(6, 16), _near(rng, (255, 235, 160), 15), -1, cv2.LINE_AA)
    for _ in range(rng.randint(1, 7)):
        x, y = rng.randint(0, width), rng.randint(0, max(1, horizon * 2 // 3))
        for _ in range(rng.randint(3, 6)):
            axes = (rng.randint(8, 26), rng.randint(3, 8))
            puff = (x + rng.randint(-22, 22), y + rng.randint(-5, 5))
            cv2.ellipse(image, puff, axes, 0, 0, 360, _near(rng, (240, 240, 245), 12), -1, cv2.LINE_AA)


def _hills(image: Image, rng: random.Random, horizon: int, colors: tuple[Color, ...]) -> None:
    width = image.shape[1]
    for depth, color in enumerate(colors):
        xs = np.arange(0, width + 4, 4)
        phase, wave = rng.uniform(0, 6), rng.uniform(40, 130)
        rise = horizon * rng.uniform(0.08, 0.3) / (1 + depth * 0.5)
        ys = horizon - rise * (1 + np.sin(xs / wave + phase) * 0.7 + np.sin(xs / wave * 2.7 + phase * 2) * 0.3)
        points = np.concatenate([np.stack([xs, ys], 1), [[width + 4, horizon + 2], [0, horizon + 2]]])
        cv2.fillPoly(image, [points.astype(np.int32)], color, cv2.LINE_AA)


def _tree(image: Image, rng: random.Random, x: int, y: int, h: int) -> None:
    _rect(image, x - h * 0.05, y - h * 0.5, h * 0.1, h * 0.5, _near(rng, (95, 65, 40), 20))
    green = rng.choice(((40, 110, 45), (80, 140, 50), (150, 120, 40), (180, 90, 40), (30, 85, 70)))
    if rng.random() < 0.4:
        for k in range(3):
            top, half = y - h * (1.0 - k * 0.2), h * (0.16 + 0.08 * k)
            points = np.array([[x, top], [x - half, top + h * 0.35], [x + half, top + h * 0.35]], np.int32)
            cv2.fillConvexPoly(image, points, _near(rng, green, 14), cv2.LINE_AA)
        return
    for _ in range(9):
        center = (int(x + rng.uniform(-0.22, 0.22) * h), int(y - h * rng.uniform(0.5, 0.88)))
        cv2.circle(image, center, max(2, int(h * rng.uniform(0.1, 0.2))), _near(rng, green, 24), -1, cv2.LINE_AA)


def _speckle(image: Image, rng: random.Random, y0: int, color: Color, number: int, spread: int) -> None:
    height, width = image.shape[:2]
    for _ in range(number):
        y = rng.randint(y0, height - 1)
        x, reach = rng.randint(0, width), 1 + (y - y0) * 4 // max(1, height - y0)
        cv2.line(image, (x, y), (x + rng.randint(-reach, reach), y - reach), _near(rng, color, spread), 1)


def _park(image: Image, rng: random.Random, horizon: int) -> None:
    height, width = image.shape[:2]
    _sky(image, rng, horizon)
    green = rng.choice(((70, 130, 60), (110, 150, 70), (150, 150, 80), (60, 110, 80), (225, 230, 240)))
    _hills(image, rng, horizon, (_near(rng, (100, 130, 140), 30), _near(rng, green, 35)))
    _gradient(image, horizon, height, _near(rng, green, 20), _near(rng, _darker(green, 3), 15))
    _speckle(image, rng, horizon, green, 500, 35)
    if rng.random() < 0.5:
        mid = rng.uniform(0.1, 0.9) * width
        points = [[mid - 6, horizon], [mid + 6, horizon], [mid + 90, height], [mid - 30, height]]
        cv2.fillConvexPoly(image, np.array(points, np.int32), _near(rng, (190, 170, 130), 30), cv2.LINE_AA)
    if rng.random() < 0.35:
        for x in range(0, width, rng.randint(9, 16)):
            _rect(image, x, horizon - 18, 4, 24, (225, 215, 200))
        _rect(image, 0, horizon - 12, width, 3, (205, 195, 180))
    for _ in range(rng.randint(2, 7)):
        _tree(
            image,
            rng,
            rng.randint(0, width),
            horizon + rng.randint(-4, height // 14),
            rng.randint(height // 6, height // 2),
        )


def _street(image: Image, rng: random.Random, horizon: int) -> None:
    height, width = image.shape[:2]
    _sky(image, rng, horizon)
    x = -rng.randint(0, 30)
    while x < width:
        w, h = rng.randint(width // 10, width // 4), rng.randint(horizon // 3, horizon)
        wall, glass = _muted(rng, 60, 200), _color(rng, 60, 250)
        _rect(image, x, horizon - h, w, h, wall)
        step = rng.randint(9, 16)
        for wy in range(horizon - h + 5, horizon - 8, step):
            for wx in range(x + 4, x + w - 5, step):
                _rect(image, wx, wy, step // 2, step // 2, _near(rng, glass, 40))
        x += w + rng.randint(0, 10)
    road = _muted(rng, 80, 130)
    _gradient(image, horizon, height, _near(rng, road, 15), _near(rng, road, 15))
    _rect(image, 0, horizon, width, (height - horizon) // 4, _near(rng, (165, 160, 155), 20))
    for x in range(0, width, rng.randint(18, 34)):
        cv2.line(image, (x, horizon), (x - 8, horizon + (height - horizon) // 4), (120, 118, 115), 1, cv2.LINE_AA)
        _rect(image, x, horizon + (height - horizon) * 0.62, 10, 3, (235, 235, 225))
    for _ in range(rng.randint(0, 3)):
        cx, cy, s, paint = rng.randint(0, width), horizon + 8, rng.randint(24, 44), _color(rng)
        _rect(image, cx, cy - s * 0.3, s, s * 0.22, paint)
        _rect(image, cx + s * 0.2, cy - s * 0.5, s * 0.55, s * 0.24, _near(rng, (170, 200, 215), 20))
        for wheel in (0.22, 0.78):
            cv2.circle(image, (int(cx + s * wheel), int(cy - s * 0.06)), max(2, s // 9), (25, 25, 25), -1, cv2.LINE_AA)
    _speckle(image, rng, horizon, road, 250, 25)


def _beach(image: Image, rng: random.Random, horizon: int) -> None:
    height, width = image.shape[:2]
    _sky(image, rng, horizon)
    sea, shore = int(horizon * rng.uniform(0.5, 0.8)), horizon
    _gradient(image, sea, shore, _near(rng, (30, 90, 140), 30), _near(rng, (90, 180, 190), 30))
    for _ in range(40):
        x, y = rng.randint(0, width), rng.randint(sea, shore)
        cv2.line(image, (x, y), (x + rng.randint(6, 30), y), _near(rng, (190, 225, 235), 25), 1, cv2.LINE_AA)
    sand = _near(rng, (225, 200, 150), 28)
    _gradient(image, shore, height, sand, _near(rng, sand, 25))
    _speckle(image, rng, shore, sand, 500, 30)
    for _ in range(rng.randint(1, 4)):
        x, y, r = rng.randint(0, width), shore + rng.randint(2, 20), rng.randint(14, 30)
        cv2.line(image, (x, y), (x, y - 2 * r), (120, 90, 60), 2)
        colors = (_color(rng), _color(rng))
        for k in range(4):
            cv2.ellipse(
                image,
                (x, y - 2 * r + 8),
                (r, r // 2 + 4),
                0,
                180 + 45 * k,
                225 + 45 * k,
                colors[k % 2],
                -1,
                cv2.LINE_AA,
            )
    if rng.random() < 0.6:
        x = rng.randint(0, width)
        hull = np.array([[x, sea + 4], [x + 24, sea + 4], [x + 19, sea + 9], [x + 4, sea + 9]], np.int32)
        cv2.fillConvexPoly(image, hull, _color(rng), cv2.LINE_AA)
        cv2.fillConvexPoly(
            image,
            np.array([[x + 10, sea - 20], [x + 10, sea + 2], [x + 22, sea + 2]], np.int32),
            _color(rng),
            cv2.LINE_AA,
        )


def _hall(image: Image, rng: random.Random, horizon: int) -> None:
    height, width = image.shape[:2]
    wall = _muted(rng, 90, 220)
    _gradient(image, 0, horizon, _near(rng, wall), wall)
    step = rng.randint(20, 46)
    for x in range(0, width, step):
        _rect(image, x, 0, step - 2, horizon * rng.uniform(0.55, 0.7), _near(rng, wall, 16))
    seats = _color(rng)
    for row in range(rng.randint(0, 4)):
        for x in range(row % 2 * 5, width, 11):
            _rect(image, x, horizon - 12 - row * 11, 8, 8, _near(rng, seats, 26))
    for _ in range(rng.randint(1, 4)):
        _poster(
            image,
            rng,
            rng.randint(0, width - 30),
            rng.randint(2, max(3, horizon // 2)),
            rng.randint(24, 64),
            rng.randint(12, 26),
        )
    floor = rng.choice(((190, 140, 80), (60, 120, 90), (70, 90, 150), (160, 70, 60), (120, 120, 125)))
    _gradient(image, horizon, height, _near(rng, floor, 25), _near(rng, floor, 15))
    for _ in range(rng.randint(2, 6)):
        start = (rng.randint(-width // 2, width), rng.randint(horizon, height))
        end = (rng.randint(0, width + width // 2), rng.randint(horizon, height))
        cv2.line(image, start, end, _near(rng, (235, 235, 225), 20), rng.randint(1, 3), cv2.LINE_AA)
    center, ring = (rng.randint(0, width), (horizon + height) // 2), (rng.randint(25, 70), rng.randint(10, 26))
    cv2.ellipse(image, center, ring, 0, 0, 360, _near(rng, (235, 230, 220), 20), 2, cv2.LINE_AA)


def _graffiti(image: Image, rng: random.Random, horizon: int) -> None:
    height, width = image.shape[:2]
    _gradient(image, 0, horizon, _muted(rng), _muted(rng))
    for _ in range(rng.randint(10, 26)):
        center = (rng.randint(0, width), rng.randint(0, horizon))
        kind = rng.random()
        if kind < 0.4:
            axes = (rng.randint(5, 40), rng.randint(5, 30))
            cv2.ellipse(
                image, center, axes, rng.randint(0, 180), 0, 360, _muted(rng), rng.choice((-1, 2, 3)), cv2.LINE_AA
            )
        elif kind < 0.7:
            points = np.array([[center[0] + rng.randint(-40, 40), center[1] + rng.randint(-30, 30)] for _ in range(3)])
            cv2.fillConvexPoly(image, points.astype(np.int32), _muted(rng), cv2.LINE_AA)
        else:
            cv2.line(
                image,
                center,
                (rng.randint(0, width), rng.randint(0, horizon)),
                _muted(rng),
                rng.randint(1, 6),
                cv2.LINE_AA,
            )
    _gradient(image, horizon, height, _muted(rng, 60, 160), _muted(rng, 60, 160))
    _speckle(image, rng, horizon, _muted(rng), 400, 40)


SCENES: Mapping[str, Callable[[Image, random.Random, int], None]] = {
    "room": _room, "park": _park, "street": _street, "beach": _beach, "hall": _hall, "wall": _graffiti,
}  # fmt: skip
"""How each kind of place is painted, given where the floor begins."""


def paint_scene(name: str, *, width_px: int, height_px: int, horizon_px: int, rng: random.Random) -> Image:
    """A place, uint8 [H, W, C]: its floor begins at `horizon_px` from the top; texture and light are its own.

    Raises:
        KeyError: `name` is not in `SCENES` (our own claim).
    """
    image = np.zeros((height_px, width_px, 3), np.uint8)
    SCENES[name](image, rng, horizon_px)
    chance = np.random.default_rng(rng.getrandbits(64))
    painted = image.astype(np.float32)
    painted += _cloudy(height_px, width_px, chance, cell=rng.randint(40, 90), depth=rng.uniform(6, 20))
    painted += _cloudy(height_px, width_px, chance, cell=rng.randint(5, 14), depth=rng.uniform(3, 10))
    grain = chance.normal(0, rng.uniform(1.5, 6), (height_px, width_px, 1)).astype(np.float32)
    painted += cv2.GaussianBlur(grain, (0, 0), 0.8)[..., None] * 1.6
    # Light falls off towards a side, as from a window or a low sun.
    slope = np.linspace(-1, 1, width_px, dtype=np.float32)[None, :, None] * rng.uniform(-0.18, 0.18)
    return np.clip(painted * (1 + slope), 0, 255).astype(np.uint8)


def draw_chair(image_HWC: Image, *, x: float, y: float, size_px: float, facing: int, color: Color) -> None:
    """Draw a chair whose seat's middle is over ground point (x, y), for a sitter of `size_px` looking `facing`."""
    seat, half = y - 0.255 * size_px, 0.11 * size_px
    dark = tuple(c * 2 // 3 for c in color)
    thick = max(2, round(0.022 * size_px))
    back = x - facing * half
    for leg in (x - half, x + half):
        cv2.line(image_HWC, (round(leg), round(seat)), (round(leg), round(y)), dark, thick, cv2.LINE_AA)
    cv2.line(
        image_HWC, (round(back), round(seat)), (round(back), round(seat - 0.28 * size_px)), dark, thick + 1, cv2.LINE_AA
    )
    corners = ((round(x - half), round(seat - 0.02 * size_px)), (round(x + half), round(seat + 0.02 * size_px)))
    cv2.rectangle(image_HWC, *corners, color, -1, cv2.LINE_AA)
