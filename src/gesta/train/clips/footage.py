"""Where a clip's pixels come from: a video file, a folder of images, a tar shard, a cache of raw frames.

`open_footage` looks at an example's path and gives the clip opened: it says how many frames there are at the wanted
rate and how large, and then reads some of them by number. Nothing is decoded before that.

Shapes: T frames, H and W px, C = 3 (red, green, blue) or 2 (flow dx and dy, coded as `gesta.train.clips.flow` says).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
import numpy.typing as npt

from gesta.schema import US_PER_S, BadVideo, format_seconds
from gesta.train.clips.augment import Window
from gesta.train.clips.flow import FlowFootage
from gesta.train.clips.frames import ClipFrames, Ints, num_resampled, resampled_times
from gesta.train.clips.raw_shards import open_raw
from gesta.train.clips.sets import ClipExample
from gesta.train.clips.tar_shards import Unpacked, tar_of, unpack
from gesta.video.probe import PacketIndex, index_packets
from gesta.video.read import decode_frames

Uint8s = npt.NDArray[np.uint8]

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")

_NUMBERS = re.compile(r"[0-9]+")


class Footage(Protocol):
    """One clip, opened: its frames at the recipe's rate, scaled, to be read by number."""

    @property
    def num_frames(self) -> int:
        """How many there are."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of a whole frame."""

    @property
    def source_size_px(self) -> tuple[int, int]:
        """Width and height before scaling."""

    def read(self, numbers_T: Ints, *, window: Window) -> Uint8s:
        """That part of those frames (in any order, repeats allowed), uint8 [T, H, W, C] of the window's size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSource:
    """How examples are opened. `image_fps` is the rate of folders of numbered images, which do not say it."""

    image_fps: float = 25.0


def open_footage(example: ClipExample, *, frames: ClipFrames, source: ClipSource | None = None) -> Footage:
    """The example's clip, opened.

    A folder is one of numbered images, an image a clip of one frame, a path below a `.u8` or `.tar` file a clip of that
    shard; all else is a video.

    Raises:
        BadVideo: the file is missing or cannot be opened, or the clip lies outside it (reason "outside").
        BadInput: a cache does not fit what the model is shown, or is not whole.
    """
    if example.path.parent.suffix == ".u8":
        return open_raw(example.path, frames=frames)
    pictures = _open_pictures(example, frames=frames, source=source or ClipSource())
    return pictures if frames.modality == "rgb" else FlowFootage(pictures=pictures, method=frames.flow)


def _open_pictures(example: ClipExample, *, frames: ClipFrames, source: ClipSource) -> Footage:
    if example.path.is_dir() or is_image(example.path):
        return _open_images(example, frames=frames, fps=source.image_fps)
    unpacked: Unpacked | None = None
    if tar_of(example.path) is not None:
        unpacked = unpack(example.path)
        path = unpacked.path
        try:
            index = index_packets(path)
        except BadVideo as error:
            raise BadVideo(error.problem, where=example.path, reason=error.reason) from error
    else:
        path, index = example.path, packet_index(example.path)
    start_us, end_us = stretch_of(example, low_us=index.start_us, high_us=index.end_us)
    return VideoFootage(
        path=path,
        holder=unpacked,
        index=index,
        start_us=start_us,
        num_frames=num_resampled(start_us, end_us, rate=frames.exact_rate),
        size_px=frames.frame_size(width_px=index.width_px, height_px=index.height_px),
        source_size_px=(index.width_px, index.height_px),
        frames=frames,
    )


@lru_cache(maxsize=256)
def packet_index(path: Path) -> PacketIndex:
    """What `index_packets` gives, remembered for the files last asked for.

    Raises:
        BadVideo: as `index_packets`.
    """
    return index_packets(path)


def stretch_of(example: ClipExample, *, low_us: int, high_us: int) -> tuple[int, int]:
    """Start and end of the part of the clip that the video has, microseconds.

    Raises:
        BadVideo: it has none of it (reason "outside").
    """
    start_us, end_us = max(example.start_us, low_us), min(example.end_us, high_us)
    if start_us >= end_us:
        raise BadVideo(
            f"the clip begins at {format_seconds(example.start_us)} s, "
            f"and the video lasts from {format_seconds(low_us)} to {format_seconds(high_us)} s",
            where=example.path,
            reason="outside",
            mend="If the file holds the clip alone, give times from 0",
        )
    return start_us, end_us


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFootage:
    """A stretch of a video file; `holder` keeps a file that lasts only while somebody does."""

    path: Path
    holder: Unpacked | None
    index: PacketIndex
    start_us: int
    num_frames: int
    size_px: tuple[int, int]
    source_size_px: tuple[int, int]
    frames: ClipFrames

    def read(self, numbers_T: Ints, *, window: Window) -> Uint8s:
        """That part of those frames, uint8 [T, H, W, 3]; each frame is decoded once.

        Raises:
            BadVideo: one cannot be decoded.
        """
        times_us = resampled_times(self.start_us, numbers_T, rate=self.frames.exact_rate)
        shown, place_T = np.unique(self.index.frames_at(times_us), return_inverse=True)
        try:
            pictures = decode_frames(self.path, self.index, shown, size=self.size_px)
            return _gathered((picture for _, picture in pictures), place_T, num=len(shown), window=window)
        except (av.FFmpegError, OSError) as error:
            # Odd colours that cannot be converted, a disk that fails: a clip less, and not a run less.
            raise BadVideo(f"reading it failed ({error})", where=self.path, reason="decode") from error


def _gathered(pictures: Iterable[Uint8s], place_T: Ints, *, num: int, window: Window) -> Uint8s:
    """The window of each picture, repeated where it is wanted more than once, uint8 [T, H, W, 3]."""
    part = np.empty((num, window.height_px, window.width_px, 3), dtype=np.uint8)
    for number, picture in enumerate(pictures):
        part[number] = cut(picture, window=window)
    return part if num == len(place_T) and bool((np.diff(place_T) == 1).all()) else part[place_T]


def cut(pictures_HWC: Uint8s, *, window: Window) -> Uint8s:
    """The window of a picture, uint8 [H, W, C], or of pictures [T, H, W, C]; a view on the same memory."""
    rows = slice(window.top_px, window.top_px + window.height_px)
    columns = slice(window.left_px, window.left_px + window.width_px)
    return pictures_HWC[..., rows, columns, :]


def _open_images(example: ClipExample, *, frames: ClipFrames, fps: float) -> ImageFootage:
    paths = (example.path,) if is_image(example.path) else image_paths(example.path)
    first = read_image(paths[0])
    rate = Fraction(fps).limit_denominator(1001)
    start_us, end_us = stretch_of(example, low_us=0, high_us=round(len(paths) * US_PER_S / rate))
    return ImageFootage(
        paths=paths,
        fps=rate,
        start_us=start_us,
        num_frames=num_resampled(start_us, end_us, rate=frames.exact_rate),
        size_px=frames.frame_size(width_px=first.shape[1], height_px=first.shape[0]),
        source_size_px=(first.shape[1], first.shape[0]),
        frames=frames,
    )


def is_image(path: Path) -> bool:
    """Whether it is the path of one image, which is a clip of one frame."""
    return path.suffix.lower() in IMAGE_ENDINGS and tar_of(path) is None and not path.is_dir()


@lru_cache(maxsize=256)
def image_paths(folder: Path) -> tuple[Path, ...]:
    """The folder's jpg and png files in the order of the last number in their names, `img_00001.jpg` and so on.

    Raises:
        BadVideo: there is none (reason "empty").
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_ENDINGS]
    if not found:
        raise BadVideo("the folder holds no jpg or png", where=folder, reason="empty")
    return tuple(sorted(found, key=lambda path: (int((_NUMBERS.findall(path.stem) or ["0"])[-1]), path.name)))


def read_image(path: Path) -> Uint8s:
    """The image's red, green and blue, uint8 [H, W, 3].

    Raises:
        BadVideo: it cannot be read.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise BadVideo("the image cannot be read", where=path, reason="decode")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFootage:
    """A stretch of a folder of images, `fps` a second from time 0."""

    paths: tuple[Path, ...]
    fps: Fraction
    start_us: int
    num_frames: int
    size_px: tuple[int, int]
    source_size_px: tuple[int, int]
    frames: ClipFrames

    def read(self, numbers_T: Ints, *, window: Window) -> Uint8s:
        """That part of those frames, uint8 [T, H, W, 3]; averaged over pixels where they shrink, else bilinear.

        Raises:
            BadVideo: an image cannot be read.
        """
        times_us = resampled_times(self.start_us, numbers_T, rate=self.frames.exact_rate)
        # As in a video's index: an instant less than a microsecond before an image counts as that image's.
        images = (times_us + 1) * self.fps.numerator // (US_PER_S * self.fps.denominator)
        shown, place_T = np.unique(np.clip(images, 0, len(self.paths) - 1), return_inverse=True)
        pictures = (self._scaled(read_image(self.paths[number])) for number in shown)
        return _gathered(pictures, place_T, num=len(shown), window=window)

    def _scaled(self, picture_HWC: Uint8s) -> Uint8s:
        if picture_HWC.shape[1::-1] == self.size_px:
            return picture_HWC
        shrinks = self.size_px[0] * self.size_px[1] < picture_HWC.shape[0] * picture_HWC.shape[1]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return cv2.resize(picture_HWC, self.size_px, interpolation=how)  # type: ignore[return-value]


def is_in_shard(path: Path) -> bool:
    """Whether it is the path of a clip in a file that holds many: that file's, and a name in it behind."""
    return path.parent.suffix == ".u8" or tar_of(path) is not None
