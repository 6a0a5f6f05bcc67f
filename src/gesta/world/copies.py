"""What a second uploader makes of footage: every kind of copy that a world can hold, with the truth carried along.

Shapes: H W = frame height and width, C = 3 (red, green, blue).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from gesta.world.render import Footage, Image, Seen, Stretch, compiled, cropped, flipped, joined, resized

SPEEDS = (0.7, 0.8, 1.25, 1.5)
"""How much faster a copy runs. Source: ours; steps that players offer, without the extremes."""
BAR_FRACS = (0.1, 0.17)
"""Least and greatest share of the picture's side that each bar adds. Source: ours; 4:3 on 16:9 adds 0.167 a side."""
EXCERPT_FRACS = (0.45, 0.65)
"""Share of the source that an excerpt shows. Source: ours."""


def copied(parts: Sequence[Footage], damage: str, rng: random.Random) -> Footage:
    """The source, `parts[0]`, after `damage` was done to it; of the other parts a compilation shows some seconds.

    Raises:
        KeyError: `damage` is no kind of copy (our own claim).
    """
    if damage == "compilation":
        return joined(parts, later_s=rng.uniform(1.2, 2.2))
    if damage == "excerpt":
        return _excerpt(parts, rng)
    return _ALONE[damage](parts[0], rng)


def crf_of_copy(damage: str | None, rng: random.Random) -> int:
    """The constant rate factor that the file is written with: coarse where re-encoding is the damage, or a part of it.

    Source: ours; x264's default is 23, and at 40 pictures are visibly blocky.
    """
    if damage == "re-encoded":
        return rng.randint(36, 40)
    return rng.randint(30, 34) if damage == "reworked" else rng.randint(21, 26)


def _same(source: Footage, rng: random.Random) -> Footage:
    del rng
    return source


def _flipped(source: Footage, rng: random.Random) -> Footage:
    del rng
    return flipped(source)


def _even(number: float) -> int:
    return max(2, 2 * round(number / 2))


def _size(footage: Footage) -> tuple[int, int]:
    height_px, width_px = footage.frames[0].shape[:2]
    return width_px, height_px


def _resized(source: Footage, rng: random.Random) -> Footage:
    width, height = _size(source)
    scale = rng.choice((0.6, 0.75, 1.25))
    return resized(source, width_px=_even(width * scale), height_px=_even(height * scale))


def _cropped(source: Footage, rng: random.Random) -> Footage:
    width, height = _size(source)
    part = rng.uniform(0.80, 0.92)
    wide, high = _even(width * part), _even(height * part)
    x, y = rng.randint(0, width - wide), rng.randint(0, height - high)
    return cropped(source, x=x, y=y, width_px=wide, height_px=high)


def letterboxed(footage: Footage, *, x_px: int, y_px: int) -> Footage:
    """The same with black bars: `x_px` left and right, `y_px` above and below."""
    width, height = _size(footage)
    wide, high = width + 2 * x_px, height + 2 * y_px
    frames = [
        np.asarray(cv2.copyMakeBorder(frame, y_px, y_px, x_px, x_px, cv2.BORDER_CONSTANT, value=(0, 0, 0)), np.uint8)
        for frame in footage.frames
    ]
    seen = [
        replace(
            one,
            box=(
                (one.box[0] * width + x_px) / wide, (one.box[1] * height + y_px) / high,
                (one.box[2] * width + x_px) / wide, (one.box[3] * height + y_px) / high,
            ),
        )
        for one in footage.seen
    ]  # fmt: skip
    return replace(footage, frames=frames, seen=seen)


def _letterboxed(source: Footage, rng: random.Random) -> Footage:
    width, height = _size(source)
    bar = rng.uniform(*BAR_FRACS)
    # A broad picture gets its bars above and below, another one beside it, as players do.
    across = width >= 1.5 * height
    x_px, y_px = (0, _even(bar * height)) if across else (_even(bar * width), 0)
    return letterboxed(source, x_px=x_px, y_px=y_px)


def with_logo(footage: Footage, rng: random.Random) -> Footage:
    """The same with a channel's mark in a corner: a plate, a disc and a word, four fifths opaque."""
    width, height = _size(footage)
    wide, high = round(width * rng.uniform(0.2, 0.3)), round(height * rng.uniform(0.12, 0.18))
    gap = max(2, width // 40)
    x = gap if rng.random() < 0.5 else width - wide - gap
    y = gap if rng.random() < 0.5 else height - high - gap
    plate = np.full((high, wide, 3), [rng.randrange(256) for _ in range(3)], np.uint8)
    disc = tuple(rng.randrange(256) for _ in range(3))
    cv2.circle(plate, (high // 2, high // 2), high // 3, disc, -1, cv2.LINE_AA)
    word = "".join(rng.choice("ABCDEFGHKLMNPRSTVXZ") for _ in range(3))
    ink = (255, 255, 255) if int(plate[0, 0].sum()) < 384 else (0, 0, 0)
    at = (high, round(0.75 * high))
    cv2.putText(plate, word, at, cv2.FONT_HERSHEY_SIMPLEX, high / 40, ink, max(1, high // 16), cv2.LINE_AA)
    frames: list[Image] = []
    for frame in footage.frames:
        marked = frame.copy()
        under = marked[y : y + high, x : x + wide]
        marked[y : y + high, x : x + wide] = cv2.addWeighted(under, 0.2, plate, 0.8, 0)
        frames.append(marked)
    return replace(footage, frames=frames)


def at_speed(footage: Footage, *, speed: float) -> Footage:
    """The same, `speed` times as fast, at its own frame rate."""
    num_frames = max(2, int(len(footage.frames) / speed))
    picks = [min(len(footage.frames) - 1, int(k * speed)) for k in range(num_frames)]
    shown: dict[int, list[Seen]] = {}
    for one in footage.seen:
        shown.setdefault(one.frame, []).append(one)
    length_s = float(num_frames / footage.fps)
    return replace(
        footage,
        frames=[footage.frames[pick] for pick in picks],
        seen=[replace(one, frame=k) for k, pick in enumerate(picks) for one in shown.get(pick, ())],
        done=[
            replace(act, start_s=act.start_s / speed, end_s=min(length_s, act.end_s / speed))
            for act in footage.done
            if act.start_s / speed < length_s
        ],
    )


def _at_speed(source: Footage, rng: random.Random) -> Footage:
    return at_speed(source, speed=rng.choice(SPEEDS))


def _recoloured(source: Footage, rng: random.Random) -> Footage:
    levels = np.arange(256) / 255
    gamma, light = rng.choice((0.7, 0.8, 1.25, 1.45)), rng.uniform(0.85, 1.1)
    gains = [light * rng.uniform(0.88, 1.12) for _ in range(3)]
    table = np.stack([255 * np.clip(levels**gamma * gain, 0, 1) for gain in gains], axis=-1).astype(np.uint8)[None]
    return replace(source, frames=[np.asarray(cv2.LUT(frame, table), np.uint8) for frame in source.frames])


def _reworked(source: Footage, rng: random.Random) -> Footage:
    return with_logo(flipped(_cropped(source, rng)), rng)


_ALONE = {
    "re-encoded": _same, "cropped": _cropped, "resized": _resized, "flipped": _flipped, "letterboxed": _letterboxed,
    "logo": with_logo, "speed": _at_speed, "recoloured": _recoloured, "reworked": _reworked,
}  # fmt: skip


def _excerpt(parts: Sequence[Footage], rng: random.Random) -> Footage:
    """Some seconds of another video, a stretch of the source, and of the third video, if any, some seconds again."""
    source, *others = parts
    width, height = _size(source)
    length_s = source.duration_s * rng.uniform(*EXCERPT_FRACS)
    start_s = rng.uniform(0, source.duration_s - length_s)
    around = [Stretch(other, 0.0, rng.uniform(1.2, 2.2)) for other in others]
    stretches = [*around[:1], Stretch(source, start_s, length_s), *around[1:]]
    return compiled(stretches, fps=source.fps, width_px=width, height_px=height)
