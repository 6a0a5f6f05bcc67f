"""Small videos with texture and movement, and what uploaders do to them."""

from fractions import Fraction

import cv2
import numpy as np

from gesta.video import write_video

NUM_FRAMES, HEIGHT, WIDTH = 50, 144, 192


def place(seed):
    """A textured background, uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(
        rng.integers(60, 190, (9, 12, 3), dtype=np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    for _ in range(60):
        x, y, w, h = (int(value) for value in rng.integers([0, 0, 6, 6], [WIDTH, HEIGHT, 30, 30]))
        color = tuple(int(value) for value in rng.integers(20, 235, 3))
        if rng.random() < 0.5:
            cv2.rectangle(picture, (x, y), (x + w, y + h), color, -1)
        else:
            cv2.circle(picture, (x, y), w // 2, color, -1, cv2.LINE_AA)
    return picture


def film(place_seed, action_seed):
    """Two bright and dark discs wandering before a place, uint8 [N, H, W, 3]."""
    background, rng = place(place_seed), np.random.default_rng(1000 + action_seed)
    phases, speeds = rng.uniform(0, 6, (2, 2)), rng.uniform(1.0, 3.0, (2, 2))
    frames = []
    for number in range(NUM_FRAMES):
        frame, t = background.copy(), number / 25
        for disc, color in enumerate(((245, 240, 230), (15, 20, 30))):
            x = WIDTH * (0.5 + 0.35 * np.sin(speeds[disc, 0] * t * 2 + phases[disc, 0]))
            y = HEIGHT * (0.5 + 0.35 * np.cos(speeds[disc, 1] * t * 2 + phases[disc, 1]))
            cv2.circle(frame, (int(x), int(y)), 16, color, -1, cv2.LINE_AA)
        frames.append(frame)
    return np.stack(frames)


def cropped(frames):
    return frames[:, 10:126, 16:176]


def resized(frames):
    return np.stack([cv2.resize(frame, (128, 96), interpolation=cv2.INTER_AREA) for frame in frames])


def flipped(frames):
    return frames[:, :, ::-1]


def pressed(frames):
    return np.stack([cv2.resize(frame, (256, 112), interpolation=cv2.INTER_AREA) for frame in frames])


def write(path, frames, *, crf=23):
    return write_video(path, [np.ascontiguousarray(frame) for frame in frames], fps=Fraction(25), crf=crf)
