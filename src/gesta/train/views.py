"""What a model is shown of a key-frame: which instants, which part of the frame, at which size.

Shapes: T frames of a clip, H and W pixels, C = 3 (RGB), N boxes. Boxes are x1 y1 x2 y2 as fractions of a frame; the
frame is named: of the *video*, or of the *view*, the part of it that is cut out.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Uint8s = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]

GREY = 114
"""Value of what lies outside the video's frame. Source: the mean of ImageNet's channel means times 255, rounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSpec:
    """The preprocessing of a model: `num_frames` frames `stride_us` apart around the key-frame, one part of the frame.

    The view is the persons' common rectangle widened on each side by `context_frac` of its longer side, then grown
    to the shape of `height_px` by `width_px`: small persons are seen near, several persons together,
    as long as each is `least_person_frac` of the view's height or more; a crowd is seen in several views. Time counts
    in microseconds, so that clips of 24 and 30 frames a second give the same instants.

    Source: 2 s around the key-frame as in SlowFast on AVA (Feichtenhofer et al. 2019, section 5: 32 frames at
    stride 2); mean and deviation of ImageNet as in torchvision; the view is ours.
    """

    num_frames: int = 16
    stride_us: int = 125_000
    height_px: int = 96
    width_px: int = 96
    context_frac: float = 0.25
    least_person_frac: float = 0.4
    mean_rgb: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std_rgb: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if min(self.num_frames, self.stride_us, self.height_px, self.width_px) < 1 or self.context_frac < 0:
            raise ValueError(f"{self}: want positive sizes and a context_frac of at least 0")

    def times_us(self, center_us: int, *, per_stride: int = 1, num_margin: int = 0) -> Times:
        """Instants of the frames, int64 [per_stride * (num_frames - 1) + 1 + 2 * num_margin], centred on `center_us`.

        `per_stride` instants a stride, and `num_margin` more at either end; every `per_stride`-th of them, from number
        `num_margin` on, are the instants of the plain clip.

        >>> ClipSpec(num_frames=4, stride_us=500_000).times_us(1_000_000)
        array([ 250000,  750000, 1250000, 1750000])
        >>> ClipSpec(num_frames=2, stride_us=500_000).times_us(1_000_000, per_stride=2, num_margin=1)
        array([ 500000,  750000, 1000000, 1250000, 1500000])
        """
        step_us = self.stride_us / per_stride
        num_steps = per_stride * (self.num_frames - 1) + 2 * num_margin
        steps = np.arange(num_steps + 1) - num_steps / 2
        return np.rint(center_us + steps * step_us).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A rectangle of a video's frame in its pixels; it may reach beyond the frame."""

    left_px: float
    top_px: float
    width_px: float
    height_px: float


def view_of(
    boxes_N4: Floats, *, frame_width_px: int, frame_height_px: int, spec: ClipSpec, margin: float = 1.0
) -> View:
    """The part of the frame that holds all boxes with their context; the whole frame where there is no box.

    Args:
        boxes_N4: float [N, 4] as fractions of the video's frame.
        frame_width_px: of the video, as shown.
        frame_height_px: of the video, as shown.
        spec: its shape and context.
        margin: the sides are multiplied by it last, about the centre: room for random cuts.
    """
    size_px = np.array([frame_width_px, frame_height_px], dtype=np.float64)
    low_px, high_px = np.zeros(2), size_px
    if len(boxes_N4):
        low_px, high_px = boxes_N4[:, :2].min(axis=0) * size_px, boxes_N4[:, 2:].max(axis=0) * size_px
        context_px = spec.context_frac * float((high_px - low_px).max())
        low_px, high_px = low_px - context_px, high_px + context_px
        # A view that reaches out of the frame on one side only shows less of the world for nothing.
        shift_px = np.clip(-low_px, 0, None) - np.clip(high_px - size_px, 0, None)
        fits = high_px - low_px <= size_px
        low_px, high_px = (
            np.where(fits, low_px + shift_px, np.maximum(low_px, 0)),
            np.where(fits, high_px + shift_px, np.minimum(high_px, size_px)),
        )
    width_px, height_px = high_px - low_px
    aspect = spec.width_px / spec.height_px
    width_px, height_px = max(width_px, height_px * aspect) * margin, max(height_px, width_px / aspect) * margin
    center_px = (low_px + high_px) / 2
    return View(
        left_px=float(center_px[0] - width_px / 2),
        top_px=float(center_px[1] - height_px / 2),
        width_px=float(width_px),
        height_px=float(height_px),
    )


def group_persons(
    boxes_N4: Floats, *, frame_width_px: int, frame_height_px: int, spec: ClipSpec
) -> list[tuple[int, ...]]:
    """Which persons share a view: every person once, in order; as few views as joining near ones step by step gives.

    Two groups may join while the shortest person's box is `spec.least_person_frac` of the common view's height; of all
    pairs that may, the one with the lowest view joins first.

    >>> boxes = np.array([[0.0, 0.0, 0.02, 0.1], [0.9, 0.9, 0.95, 1.0], [0.03, 0.0, 0.05, 0.1]])
    >>> group_persons(boxes, frame_width_px=1000, frame_height_px=1000, spec=ClipSpec())
    [(0, 2), (1,)]
    """

    def height_px(group: tuple[int, ...]) -> float:
        view = view_of(boxes_N4[list(group)], frame_width_px=frame_width_px, frame_height_px=frame_height_px, spec=spec)
        shortest_px = float((boxes_N4[list(group), 3] - boxes_N4[list(group), 1]).min()) * frame_height_px
        return view.height_px if shortest_px >= spec.least_person_frac * view.height_px else float("inf")

    everybody = tuple(range(len(boxes_N4)))
    if not everybody or height_px(everybody) < float("inf"):
        return [everybody]
    groups: list[tuple[int, ...]] = [(number,) for number in everybody]
    # The view of a pair does not change until one of the two joins another, so heights are kept between steps.
    heights = {(one, two): height_px(one + two) for place, one in enumerate(groups) for two in groups[place + 1 :]}
    while heights and min(heights.values()) < float("inf"):
        one, two = min(heights, key=lambda pair: (heights[pair], pair))
        joined = tuple(sorted(one + two))
        groups = [group for group in groups if group not in (one, two)]
        heights = {pair: value for pair, value in heights.items() if not {one, two} & set(pair)}
        heights |= {(group, joined): height_px(tuple(sorted(group + joined))) for group in groups}
        groups.append(joined)
    return sorted(groups)


def cut_view(frames_THWC: Uint8s, *, view: View, height_px: int, width_px: int) -> Uint8s:
    """The view of every frame, uint8 [T, height_px, width_px, 3]; grey beyond the frame.

    Averaging over pixels when it shrinks, bilinear when it grows.
    """
    frame_height, frame_width = frames_THWC.shape[1:3]
    scale_x, scale_y = width_px / view.width_px, height_px / view.height_px
    left, right = _overlap(view.left_px, view.width_px, limit=frame_width)
    top, bottom = _overlap(view.top_px, view.height_px, limit=frame_height)
    to_left, to_right = round((left - view.left_px) * scale_x), round((right - view.left_px) * scale_x)
    to_top, to_bottom = round((top - view.top_px) * scale_y), round((bottom - view.top_px) * scale_y)
    to_left, to_right = max(0, to_left), min(width_px, max(to_left + 1, to_right))
    to_top, to_bottom = max(0, to_top), min(height_px, max(to_top + 1, to_bottom))
    shown = np.full((len(frames_THWC), height_px, width_px, 3), GREY, dtype=np.uint8)
    how = cv2.INTER_AREA if scale_x < 1 else cv2.INTER_LINEAR
    for number, frame_HWC in enumerate(frames_THWC):
        part_HWC = np.ascontiguousarray(frame_HWC[top:bottom, left:right])
        small_HWC = cv2.resize(part_HWC, (to_right - to_left, to_bottom - to_top), interpolation=how)
        shown[number, to_top:to_bottom, to_left:to_right] = small_HWC
    return shown


def _overlap(start_px: float, length_px: float, *, limit: int) -> tuple[int, int]:
    low = min(max(0, round(start_px)), limit - 1)
    return low, max(low + 1, min(limit, round(start_px + length_px)))


def boxes_in_view(boxes_N4: Floats, *, view: View, frame_width_px: int, frame_height_px: int) -> Floats:
    """Boxes of the video's frame as fractions of the view, float64 [N, 4]; not clipped.

    >>> view = View(left_px=50, top_px=0, width_px=100, height_px=100)
    >>> boxes_in_view(np.array([[0.25, 0.0, 0.75, 1.0]]), view=view, frame_width_px=200, frame_height_px=100)
    array([[0., 0., 1., 1.]])
    """
    scale = np.array([frame_width_px, frame_height_px] * 2, dtype=np.float64)
    offset = np.array([view.left_px, view.top_px] * 2)
    return (boxes_N4 * scale - offset) / np.array([view.width_px, view.height_px] * 2)
