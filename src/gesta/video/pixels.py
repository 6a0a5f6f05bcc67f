"""Decoded frames as RGB arrays: colours converted, turned as displayed, resized by area.

Legend: N frames or boxes; H, W height and width in px; 3 or C = R, G, B; 4 = x1 y1 x2 y2.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]


def rotation_deg_of(frame: Any) -> int:
    """Clockwise quarter turn, in degrees (0, 90, 180, 270), that a player gives this decoded frame.

    FFmpeg's display matrix counts counter-clockwise; turns that are no quarter are rounded to the nearest one.
    """
    return round(-frame.rotation / 90) % 4 * 90


def scaled_size(*, width_px: int, height_px: int, short_side_px: int | None) -> tuple[int, int]:
    """Width and height in px once the shorter side is `short_side_px`; unchanged for None.

    >>> scaled_size(width_px=640, height_px=360, short_side_px=128)
    (228, 128)
    """
    if short_side_px is None:
        return width_px, height_px
    short = min(width_px, height_px)
    return max(1, round(width_px * short_side_px / short)), max(1, round(height_px * short_side_px / short))


def rgb_of(frame: Any, *, rotation_deg: int, size: tuple[int, int]) -> Frame:
    """The decoded frame as it is displayed, uint8 [H, W, 3] RGB, resized to `size` = (W, H) px.

    Colours follow the matrix and range that the stream states (BT.601, limited, where it states none: FFmpeg's
    default). Shrinking averages over areas; enlarging is bilinear.
    """
    image = frame.to_ndarray(format="rgb24", threads=1)
    if rotation_deg:
        image = np.rot90(image, k=-rotation_deg // 90)
    if image.shape[1::-1] != size:
        shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.ascontiguousarray(image)


def flip_frames(frames_NHWC: Frame) -> Frame:
    """The frames mirrored left to right, uint8 [N, H, W, C]; a view on the same memory."""
    return frames_NHWC[:, :, ::-1]


def flip_boxes(boxes_N4: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """The boxes (x1 y1 x2 y2, fractions of the frame) mirrored left to right, [N, 4].

    >>> flip_boxes(np.array([[0.0, 0.25, 0.25, 1.0]]))
    array([[0.75, 0.25, 1.  , 1.  ]])
    """
    x1, y1, x2, y2 = boxes_N4.T
    return np.stack([1 - x2, y1, 1 - x1, y2], axis=1)
