"""Random changes to a clip that leave its labels true; each drawn first, then applied, so that a draw can be tested.

Shapes: F frames in store and T frames of a clip, H and W pixels, C = 3 (RGB), N boxes as fractions of the view.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Uint8s = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter:
    """How far the random changes go; the zeros of the default change nothing.

    `speed` and `zoom` are factors drawn log-uniformly between 1 / (1 + x) and 1 + x; `time_strides`, `shift` and `box`
    are the largest move to either side, in strides between frames, in fractions of the view, and in fractions of the
    box's side; `brightness`, `contrast` and `colour` are the largest relative change.
    """

    flip: bool = False
    time_strides: float = 0.0
    speed: float = 0.0
    zoom: float = 0.0
    shift: float = 0.0
    box: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    colour: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One draw: what is done to one clip."""

    flip: bool = False
    time_strides: float = 0.0
    speed: float = 1.0
    zoom: float = 1.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    gains_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: float = 0.0
    box_seed: int = 0


def draw_change(jitter: Jitter, *, rng: np.random.Generator) -> Change:
    """One random change within `jitter`. The number of draws does not depend on the settings."""
    signs = rng.uniform(-1, 1, size=10)
    brightness, contrast = jitter.brightness * signs[4], 1 + jitter.contrast * signs[5]
    gains = tuple(float(contrast * (1 + jitter.colour * sign)) for sign in signs[6:9])
    return Change(
        flip=bool(rng.random() < 0.5) and jitter.flip,
        time_strides=float(jitter.time_strides * signs[0]),
        speed=float((1 + jitter.speed) ** signs[1]),
        zoom=float((1 + jitter.zoom) ** signs[9]),
        shift_x=float(jitter.shift * signs[2]),
        shift_y=float(jitter.shift * signs[3]),
        gains_rgb=(gains[0], gains[1], gains[2]),
        offset=float(128 * (1 - contrast + brightness)),
        box_seed=int(rng.integers(1 << 31)),
    )


def frame_numbers(change: Change, *, num_stored: int, num_frames: int, per_stride: int) -> npt.NDArray[np.int64]:
    """Which of the stored frames make the clip, int64 [T]: about their middle, moved and stretched by the change.

    >>> frame_numbers(Change(), num_stored=9, num_frames=3, per_stride=2)
    array([2, 4, 6])
    """
    steps = (np.arange(num_frames) - (num_frames - 1) / 2) * change.speed + change.time_strides
    numbers = np.floor((num_stored - 1) / 2 + steps * per_stride + 0.5)
    return np.clip(numbers, 0, num_stored - 1).astype(np.int64)


def apply_change(
    stored_FHWC: Uint8s,
    boxes_N4: Floats,
    change: Change,
    *,
    numbers_T: npt.NDArray[np.int64],
    size_px: tuple[int, int],
    margin: float,
) -> tuple[Uint8s, Floats]:
    """The changed clip, uint8 [T, H, W, 3], and its boxes as fractions of it, clipped to it.

    Args:
        stored_FHWC: the stored frames; they show `margin` times more to each side than the clip does.
        boxes_N4: float [N, 4] as fractions of the stored frames.
        change: what to do; `Change()` gives the plain clip.
        numbers_T: which stored frames.
        size_px: height and width of the clip.
        margin: see `stored_FHWC`.
    """
    height, width = size_px
    stored_height, stored_width = stored_FHWC.shape[1:3]
    # From a fraction of the clip to a fraction of the store: centred, `1 / (margin * zoom)` of the sides, moved.
    part = 1 / (margin * change.zoom)
    left, top = 0.5 - part / 2 + change.shift_x * part, 0.5 - part / 2 + change.shift_y * part
    scale_x, scale_y = part * stored_width / width, part * stored_height / height
    # Pixel centres lie half a pixel in; cv2 wants the map from the pixels of the clip to those of the store.
    matrix = np.array(
        [
            [scale_x, 0, left * stored_width + scale_x / 2 - 0.5],
            [0, scale_y, top * stored_height + scale_y / 2 - 0.5],
        ]
    )
    boxes_N4 = (boxes_N4 - np.array([left, top, left, top])) / part
    if change.flip:
        matrix[0] = (-scale_x, 0, matrix[0, 2] + scale_x * (width - 1))
        boxes_N4 = np.stack((1 - boxes_N4[:, 2], boxes_N4[:, 1], 1 - boxes_N4[:, 0], boxes_N4[:, 3]), axis=1)
    levels = np.arange(256)[:, None] * np.array(change.gains_rgb) + change.offset
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8).reshape(1, 256, 3)
    is_recoloured = change.gains_rgb != (1.0, 1.0, 1.0) or change.offset != 0
    clip_THWC = np.empty((len(numbers_T), height, width, 3), dtype=np.uint8)
    for number, stored_number in enumerate(numbers_T):
        clip_THWC[number] = cv2.warpAffine(
            stored_FHWC[stored_number],
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if is_recoloured:
            clip_THWC[number] = cv2.LUT(clip_THWC[number], table)
    return clip_THWC, clip_boxes(boxes_N4)


def jitter_boxes(boxes_N4: Floats, *, box: float, seed: int) -> Floats:
    """The boxes with each corner moved by up to `box` of the box's sides, float64 [N, 4], clipped to the view."""
    rng = np.random.default_rng(seed)
    sides_N4 = np.tile(boxes_N4[:, 2:] - boxes_N4[:, :2], (1, 2))
    return clip_boxes(boxes_N4 + rng.uniform(-box, box, size=boxes_N4.shape) * sides_N4)


def clip_boxes(boxes_N4: Floats) -> Floats:
    """The boxes cut at the view's edges, float64 [N, 4]; one beyond keeps a sliver of a hundredth.

    >>> clip_boxes(np.array([[-0.5, 0.25, 0.5, 1.5], [1.25, 0.0, 1.5, 1.0]])).tolist()
    [[0.0, 0.25, 0.5, 1.0], [0.99, 0.0, 1.0, 1.0]]
    """
    low_N2 = np.clip(boxes_N4[:, :2], 0, 0.99)
    high_N2 = np.clip(boxes_N4[:, 2:], low_N2 + 0.01, 1)
    return np.concatenate((low_N2, high_N2), axis=1)
