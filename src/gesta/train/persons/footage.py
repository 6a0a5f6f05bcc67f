"""Where the pixels of a key-frame's clip come from: the film or clip itself, read by time, or a prepared key-frame.

Shapes: T frames, H and W px, C = 3 (red, green, blue).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np
import numpy.typing as npt

from gesta.schema import US_PER_S, BadInput, BadVideo, format_seconds
from gesta.train.clips.augment import Window
from gesta.train.clips.footage import ClipSource, cut, image_paths, packet_index, read_image
from gesta.train.clips.frames import ClipFrames, Ints
from gesta.train.persons.examples import PersonExample
from gesta.train.persons.near_index import index_near
from gesta.train.persons.rows import scaled_frames
from gesta.train.persons.sampling import reach_us
from gesta.video.probe import PacketIndex
from gesta.video.read import decode_frames

Uint8s = npt.NDArray[np.uint8]

SHARD = ".u8"
"""Ending of the files of prepared key-frames."""


class KeyFrameFootage(Protocol):
    """What is around one key-frame, opened: frames of the wanted size, to be read by time."""

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of a whole frame as it is read."""

    def read(self, times_T: Ints, *, window: Window) -> Uint8s:
        """That part of the frames shown at those instants of the film's clock, uint8 [T, H, W, C]."""


def open_key_frame(example: PersonExample, *, frames: ClipFrames, source: ClipSource | None = None) -> KeyFrameFootage:
    """The footage around the example's key-frame, opened, frames of the size that `frames` says.

    A folder is one of numbered images, of which `source` says the rate; a path below a `.u8` file is a prepared
    key-frame (`gesta.train.persons.prepared`); all else is a video.

    Raises:
        BadVideo: the file is missing or cannot be opened, or the key-frame lies outside it (reason "outside").
        BadInput: a cache is not whole.
    """
    if example.path.parent.suffix == SHARD:
        return _open_prepared(example.path)
    if example.path.is_dir():
        return _open_images(example, frames=frames, source=source or ClipSource())
    file_us = example.timestamp_us - example.file_start_us
    before_us, after_us = reach_us(frames)
    index = index_near(example.path, low_us=file_us - before_us, high_us=file_us + after_us)
    if index is None:
        index = packet_index(example.path)
    if not index.start_us <= file_us < index.end_us:
        raise outside_video(example, low_us=index.start_us, high_us=index.end_us)
    return VideoKeyFrame(
        path=example.path,
        index=index,
        file_start_us=example.file_start_us,
        size_px=frames.frame_size(width_px=index.width_px, height_px=index.height_px),
    )


def outside_video(example: PersonExample, *, low_us: int, high_us: int) -> BadVideo:
    """The error of a key-frame that its file does not show; `low_us` and `high_us` are the file's own times."""
    start = f", which begins at {format_seconds(example.file_start_us)} s of the film" if example.file_start_us else ""
    return BadVideo(
        f"the key-frame at {format_seconds(example.timestamp_us)} s lies outside the file{start}: "
        f"it lasts from {format_seconds(low_us)} to {format_seconds(high_us)} s of its own clock",
        where=example.path,
        reason="outside",
        mend="If the file is a cut of the film, call it <id>_<start>_<end> with the seconds of the film",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoKeyFrame:
    """A video file and the time of the film at which it begins; `index` lists its frames around the key-frame."""

    path: Path
    index: PacketIndex
    file_start_us: int
    size_px: tuple[int, int]

    def read(self, times_T: Ints, *, window: Window) -> Uint8s:
        """That part of the frames shown then, uint8 [T, H, W, 3]; each frame is decoded once.

        Before the file's first frame that one is given, after its last the last.

        Raises:
            BadVideo: one cannot be decoded.
        """
        shown, place_T = np.unique(self.index.frames_at(times_T - self.file_start_us), return_inverse=True)
        part = np.empty((len(shown), window.height_px, window.width_px, 3), dtype=np.uint8)
        try:
            for place, (_, picture) in enumerate(decode_frames(self.path, self.index, shown, size=self.size_px)):
                part[place] = cut(picture, window=window)
        except (av.FFmpegError, OSError) as error:
            raise BadVideo(f"reading it failed ({error})", where=self.path, reason="decode") from error
        return part[place_T]


def _open_images(example: PersonExample, *, frames: ClipFrames, source: ClipSource) -> ImageKeyFrame:
    paths = image_paths(example.path)
    height_px, width_px = read_image(paths[0]).shape[:2]
    fps = Fraction(source.image_fps).limit_denominator(1001)
    end_us = round(len(paths) * US_PER_S / fps)
    if not 0 <= example.timestamp_us - example.file_start_us < end_us:
        raise outside_video(example, low_us=0, high_us=end_us)
    return ImageKeyFrame(
        paths=paths,
        fps=fps,
        file_start_us=example.file_start_us,
        size_px=frames.frame_size(width_px=width_px, height_px=height_px),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageKeyFrame:
    """A folder of images, `fps` a second from the time of the film at which it begins."""

    paths: tuple[Path, ...]
    fps: Fraction
    file_start_us: int
    size_px: tuple[int, int]

    def read(self, times_T: Ints, *, window: Window) -> Uint8s:
        """That part of the images shown then, uint8 [T, H, W, 3]; the first or last outside the folder's time.

        Raises:
            BadVideo: an image cannot be read.
        """
        # As in a video's index: an instant less than a microsecond before an image counts as that image's.
        images_T = (times_T - self.file_start_us + 1) * self.fps.numerator // (US_PER_S * self.fps.denominator)
        shown, place_T = np.unique(np.clip(images_T, 0, len(self.paths) - 1), return_inverse=True)
        pictures = [
            cut(scaled_frames(read_image(self.paths[number])[None], size_px=self.size_px)[0], window=window)
            for number in shown
        ]
        return np.stack(pictures)[place_T]


def _open_prepared(path: Path) -> PreparedKeyFrame:
    shard, place = path.parent, int(path.name)
    rows = _rows_of(shard.with_suffix(".json"))
    row = rows[place]
    num_bytes = int(np.prod(row["shape"]))
    stored = _mapped(shard)[row["offset_bytes"] : row["offset_bytes"] + num_bytes]
    if len(stored) != num_bytes:
        raise BadInput("the cache is not whole", where=shard, mend="Delete it and prepare the key-frames again")
    return PreparedKeyFrame(
        path=path,
        frames_FHWC=stored.reshape(row["shape"]),
        times_I=np.array(row["times_us"], dtype=np.int64),
        places_I=np.array(row["places"], dtype=np.int64),
    )


@lru_cache(maxsize=256)
def _rows_of(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise BadInput("there is no such file", where=path, mend="Prepare the key-frames again")
    rows: list[dict[str, Any]] = json.loads(path.read_bytes())["key_frames"]
    return rows


@lru_cache(maxsize=256)
def _mapped(shard: Path) -> Uint8s:
    if not shard.is_file() or not shard.stat().st_size:
        raise BadInput("there is no such file, or it is empty", where=shard, mend="Prepare the key-frames again")
    return np.memmap(shard, dtype=np.uint8, mode="r")


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedKeyFrame:
    """A key-frame's frames as bytes: `times_I` are the instants that may be asked for, `places_I` the frames shown."""

    path: Path
    frames_FHWC: Uint8s
    times_I: Ints
    places_I: Ints

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of a whole frame."""
        return self.frames_FHWC.shape[2], self.frames_FHWC.shape[1]

    def read(self, times_T: Ints, *, window: Window) -> Uint8s:
        """That part of the frames shown then, uint8 [T, H, W, 3].

        Raises:
            BadInput: an instant was not prepared.
        """
        found_T = np.minimum(np.searchsorted(self.times_I, times_T), len(self.times_I) - 1)
        if (self.times_I[found_T] != times_T).any():
            raise BadInput(
                "it lacks an instant that is asked for", where=self.path, mend="Prepare with the recipe's own frames"
            )
        return np.stack([cut(self.frames_FHWC[place], window=window) for place in self.places_I[found_T]])
