"""Sources of frames with times: what a stream is read from, and files and image sequences as such.

A source that can look ahead (a file) gives only the frames that somebody will look at; a live one gives all.

Shapes: H and W pixels, 3 = R, G, B.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import numpy as np
import numpy.typing as npt

from gesta.schema import US_PER_S, BadInput, BadVideo
from gesta.tables import Json
from gesta.video import PacketIndex, VideoFacts, index_packets, probe
from gesta.video.pixels import rgb_converter
from gesta.video.read import decode_as

Uint8s = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Size = tuple[int, int]
"""Width and height in px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One frame as it came: its time, its size as displayed, and its picture once somebody asks.

    `picture(size)` is uint8 [H, W, 3] RGB of that width and height; None = its own.
    """

    time_us: int
    size_px: Size
    picture: Callable[[Size | None], Uint8s]
    arrived_us: int | None = None


Wanted = Callable[[int, int | None], Ints]
"""The instants that will be looked at of a source that starts and ends then (None = not known), ascending, int64 [N].
"""


class FrameSource(Protocol):
    """Something with frames; `shots` may be called once."""

    @property
    def name(self) -> str:
        """What results are called after; holds no secret."""

    @property
    def is_live(self) -> bool:
        """Whether it goes on by itself, so that what is too late must be left out."""

    @property
    def span_us(self) -> tuple[int, int | None]:
        """When the first frame appears, and when the last one's time is over; None = not known."""

    def facts(self) -> dict[str, Json]:
        """What is known of it, for results."""

    def shots(self, wanted: Wanted | None) -> Iterator[Shot]:
        """Frames in rising order of time: those shown at the wanted instants at least; None = all of them."""

    @property
    def num_dropped(self) -> int:
        """Frames left out so far, lest it lag."""


@dataclass(slots=True)
class FileSource:
    """A video file, read exactly: a frame is shown at an instant as `gesta.video.read_frames` says.

    Raises:
        BadVideo: it cannot be opened.
    """

    path: Path
    known: VideoFacts = field(init=False)
    index: PacketIndex = field(init=False)

    def __post_init__(self) -> None:
        self.known, self.index = probe(self.path), index_packets(self.path)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def is_live(self) -> bool:
        """No."""
        return False

    @property
    def num_dropped(self) -> int:
        """None are."""
        return 0

    @property
    def span_us(self) -> tuple[int, int | None]:
        """From the packets."""
        return self.index.start_us, self.known.start_us + self.known.duration_us

    def facts(self) -> dict[str, Json]:
        """What the container says."""
        return facts_of(self.path.name, self.known)

    def pace(self) -> tuple[Fraction, list[int] | None]:
        """Frames a second, and where these are uneven each frame's time after the first one's."""
        times_us = [int(time_us) - self.index.start_us for time_us in self.index.times_us]
        return self.known.fps, times_us if self.known.is_vfr else None

    def shots(self, wanted: Wanted | None) -> Iterator[Shot]:
        """The wanted frames, each decoded once.

        Raises:
            BadVideo: one cannot be decoded; those before it have been given.
        """
        if wanted is None:
            numbers = np.arange(len(self.index.times_us))
        else:
            numbers = np.unique(self.index.frames_at(wanted(*self.span_us)))
        size_px = (self.index.width_px, self.index.height_px)
        pictured = Pictured(rotation_deg=self.index.rotation_deg, size_px=size_px)
        decoded = decode_as(self.path, self.index, numbers, convert=lambda frame: frame)
        try:
            for number, frame in decoded:
                yield Shot(time_us=int(self.index.times_us[number]), size_px=size_px, picture=pictured.of(frame))
        except (av.FFmpegError, OSError) as error:
            raise BadVideo(f"reading it failed ({error})", where=self.path, reason="decode") from error


def facts_of(name: str, known: VideoFacts) -> dict[str, Json]:
    """What a container says, as results hold it."""
    return {
        "file": name,
        "width_px": known.width_px,
        "height_px": known.height_px,
        "fps": str(known.fps),
        "is_vfr": known.is_vfr,
        "num_frames": known.num_frames,
        "start_us": known.start_us,
        "duration_us": known.duration_us,
        "rotation_deg": known.rotation_deg,
    }


@dataclass(slots=True)
class Pictured:
    """Decoded frames made pictures, with one converter a size: it keeps FFmpeg's tables.

    Viewers may ask from another thread, and a converter serves one at a time.
    """

    rotation_deg: int
    size_px: Size
    _converters: dict[Size, Callable[[Any], Uint8s]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, frame: Any) -> Callable[[Size | None], Uint8s]:
        """The picture of that frame in any size."""

        def picture(size: Size | None) -> Uint8s:
            wanted = self.size_px if size is None else size
            with self._lock:
                if wanted not in self._converters:
                    self._converters[wanted] = rgb_converter(rotation_deg=self.rotation_deg, size=wanted)
                return self._converters[wanted](frame)

        return picture


@dataclass(slots=True)
class ImageSource:
    """Images in order, `fps` a second from time 0.

    Raises:
        BadInput: there is no image, or `fps` is not above 0.
        BadVideo: the first one cannot be read.
    """

    called: str
    paths: Sequence[Path]
    fps: Fraction
    size_px: Size = field(init=False)

    def __post_init__(self) -> None:
        if not self.paths:
            raise BadInput("there is no image", where=self.called, mend="Name a folder with jpg or png files")
        if self.fps <= 0:
            raise BadInput(f"fps {self.fps}", where=self.called, mend="Want above 0")
        first = read_image(self.paths[0])
        self.size_px = (first.shape[1], first.shape[0])

    @property
    def name(self) -> str:
        """The folder's or pattern's name."""
        return self.called

    @property
    def is_live(self) -> bool:
        """No."""
        return False

    @property
    def num_dropped(self) -> int:
        """None are."""
        return 0

    @property
    def span_us(self) -> tuple[int, int | None]:
        """From 0 on."""
        return 0, self.time_us(len(self.paths))

    def time_us(self, number: int) -> int:
        """When the image of that number (from 0) appears."""
        return round(number * US_PER_S / self.fps)

    def facts(self) -> dict[str, Json]:
        """As of a video."""
        return {
            "file": self.called,
            "width_px": self.size_px[0],
            "height_px": self.size_px[1],
            "fps": str(self.fps),
            "is_vfr": False,
            "num_frames": len(self.paths),
            "start_us": 0,
            "duration_us": self.time_us(len(self.paths)),
            "rotation_deg": 0,
        }

    def pace(self) -> tuple[Fraction, list[int] | None]:
        """Images a second, which are even."""
        return self.fps, None

    def shots(self, wanted: Wanted | None) -> Iterator[Shot]:
        """The wanted images; one of another size than the first is resized to it.

        Raises:
            BadVideo: one cannot be read.
        """
        times_us = np.array([self.time_us(number) for number in range(len(self.paths))], dtype=np.int64)
        if wanted is None:
            numbers = np.arange(len(times_us))
        else:
            # As in a video's index: an instant less than a microsecond before an image counts as that image's.
            shown = np.searchsorted(times_us, wanted(*self.span_us) + 1, side="right") - 1
            numbers = np.unique(np.clip(shown, 0, len(times_us) - 1))
        for number in numbers:
            yield Shot(
                time_us=int(times_us[number]), size_px=self.size_px, picture=self._picture_of(self.paths[int(number)])
            )

    def _picture_of(self, path: Path) -> Callable[[Size | None], Uint8s]:
        def picture(size: Size | None) -> Uint8s:
            return resized(read_image(path), self.size_px if size is None else size)

        return picture


def read_image(path: Path) -> Uint8s:
    """The image, uint8 [H, W, 3] RGB, turned as its camera said.

    Raises:
        BadVideo: it cannot be read.
    """
    picture: Any = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise BadVideo("the image cannot be read", where=path, reason="decode")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def resized(picture_HWC: Uint8s, size: Size) -> Uint8s:
    """The picture in that width and height, uint8 [H, W, 3]: averaged over pixels where it shrinks, else bilinear."""
    if picture_HWC.shape[1::-1] == size:
        return picture_HWC
    shrinks = size[0] * size[1] < picture_HWC.shape[0] * picture_HWC.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture_HWC, size, interpolation=how), dtype=np.uint8)
