"""Optical flow between consecutive frames, coded in bytes.

A byte holds a displacement from -20 to 20 px: `128 + round(d * 127 / 20)`. So a still pair is 128 everywhere, and
mirroring a clip left to right, which turns dx round, is `256 - byte`: both exact.

Shapes: T flows, H and W px, 2 = dx (to the right), dy (down).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from gesta.schema import GestaError, UnknownName
from gesta.train.clips.augment import Window
from gesta.train.clips.frames import Ints

if TYPE_CHECKING:
    from gesta.train.clips.footage import Footage

Uint8s = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

BOUND_PX = 20.0
"""Displacements are clipped to +-20 px. Source: Carreira & Zisserman, kinetics-i3d README ("truncated to the range
[-20, 20]"); yjxiong/dense_flow, the default bound of TSN's flow images."""

ZERO = 128
"""Byte of no motion. Source: dense_flow's cast gives round(127.5) = 128 for 0. Its steps are 40 / 255 px, ours
20 / 127: both 0.16, and with ours a displacement and its opposite are equally far from 128."""

STEPS = 127
"""Bytes from no motion to `BOUND_PX`."""


def _dis() -> Any:
    # Source: OpenCV's preset of Kroeger et al. (2016), Fast optical flow using dense inverse search.
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


class _Farneback:
    """OpenCV's dense flow of polynomial expansion; a class, for it has `calc` as the others do."""

    def calc(self, one_HW: Uint8s, next_HW: Uint8s, flow: None) -> Floats:
        # Source: the numbers of OpenCV's own example, samples/python/opt_flow.py.
        found: Any = cv2.calcOpticalFlowFarneback(one_HW, next_HW, flow, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]
        return found


def _tvl1() -> Any:
    if not hasattr(cv2, "optflow"):
        raise GestaError(
            "flow 'tvl1' is not in this OpenCV",
            mend="Install opencv-contrib-python-headless in place of opencv-python-headless, or use flow 'dis'",
        )
    return cv2.optflow.DualTVL1OpticalFlow_create()


METHODS: Mapping[str, Callable[[], Any]] = {"dis": _dis, "farneback": _Farneback, "tvl1": _tvl1}
"""What finds flow, by name: an object whose `calc` takes two grey pictures."""


def flow_between(pictures_THWC: Uint8s, *, method: str = "dis") -> Floats:
    """Where each pixel goes until the next picture, in px, float32 [T - 1, H, W, 2].

    Args:
        pictures_THWC: uint8 [T, H, W, 3] RGB.
        method: a name in `METHODS`.
    Raises:
        UnknownName: there is no such method.
        GestaError: this OpenCV lacks it.
    """
    if method not in METHODS:
        raise UnknownName(what="flow", name=method, choices=METHODS)
    finder = METHODS[method]()
    grey = [cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY) for picture in pictures_THWC]
    flows = np.zeros((max(0, len(grey) - 1), *pictures_THWC.shape[1:3], 2), dtype=np.float32)
    for number in range(len(flows)):
        # A still pair has no flow; the finders would say about 1e-3 px.
        if not np.array_equal(grey[number], grey[number + 1]):
            flows[number] = finder.calc(grey[number], grey[number + 1], None)
    return flows


def coded(flow_px: Floats) -> Uint8s:
    """Displacements as bytes, of the same shape [T, H, W, 2] or any other; clipped to +-20 px.

    >>> coded(np.array([-30.0, -20.0, 0.0, 0.1, 20.0], dtype=np.float32))
    array([  1,   1, 128, 129, 255], dtype=uint8)
    """
    return (np.rint(np.clip(flow_px, -BOUND_PX, BOUND_PX) * (STEPS / BOUND_PX)) + ZERO).astype(np.uint8)


def decoded(bytes_: Uint8s) -> Floats:
    """Displacements in px of the bytes that `coded` gave, float32 of the same shape [T, H, W, 2] or any other.

    >>> decoded(np.array([1, 128, 255], dtype=np.uint8))
    array([-20.,   0.,  20.], dtype=float32)
    """
    return (bytes_.astype(np.float32) - ZERO) * np.float32(BOUND_PX / STEPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFootage:
    """The flow of a clip whose pictures are read from `pictures`: flow k is from frame k to frame k + 1.

    It is found on whole frames and then cut, as in flow that is stored beforehand: found on the cut, it would differ
    at the edges. A clip of one frame has one flow, of no motion.
    """

    pictures: Footage
    method: str

    @property
    def num_frames(self) -> int:
        """One fewer than pictures."""
        return max(1, self.pictures.num_frames - 1)

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of a whole frame."""
        return self.pictures.size_px

    @property
    def source_size_px(self) -> tuple[int, int]:
        """Width and height before scaling."""
        return self.pictures.source_size_px

    def read(self, numbers_T: Ints, *, window: Window) -> Uint8s:
        """That part of those flows, uint8 [T, H, W, 2]; each is found once.

        Raises:
            BadVideo: a frame cannot be decoded.
        """
        wanted, place_T = np.unique(numbers_T, return_inverse=True)
        last = self.pictures.num_frames - 1
        needed = np.unique(np.concatenate((wanted, np.minimum(wanted + 1, last))))
        width_px, height_px = self.size_px
        whole = Window(top_px=0, left_px=0, height_px=height_px, width_px=width_px)
        pictures_NHWC = self.pictures.read(needed, window=whole)
        rows = slice(window.top_px, window.top_px + window.height_px)
        columns = slice(window.left_px, window.left_px + window.width_px)
        found = np.full((len(wanted), window.height_px, window.width_px, 2), ZERO, dtype=np.uint8)
        for number, frame in enumerate(wanted):
            if frame < last:
                at = int(np.searchsorted(needed, frame))
                found[number] = coded(flow_between(pictures_NHWC[at : at + 2], method=self.method)[0, rows, columns])
        return found[place_T]
