"""What a question plays: short muted clips and single frames, cut on demand and kept; and where its person is in them.

Clips and videos are looked up in tables held in memory; nothing here touches the disk until a browser asks.
"""

from __future__ import annotations

import hashlib
import os
import struct
from array import array
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from gesta.label.media_cuts import DEFAULT_LIMIT_BYTES, Cuts, MediaBusy
from gesta.schema import US_PER_S, BadVideo, cluster_item_id_of
from gesta.tables import empty_frame, read_sidecar, read_table, table_path, whole_file
from gesta.video import index_packets
from gesta.video.read import decode_frames, output_size

Cut = Callable[..., Path]
"""As `gesta.video.cut_clip`."""

BOX_CLIP_US = 2 * US_PER_S
"""Length of the clip around a key-frame. Source: AVA-Kinetics paper, section 1.2, step 4."""

KEY_FRAME_KINDS = ("frame", "person", "box")

MAX_OFFSET = 25
"""Frames to either side of a key-frame that a worker may look at. Source: ours, a second at 25 frames a second."""

MAX_SHORT_SIDE_PX = 480
MAX_FPS = Fraction(30)
"""What is served at most. Source: ours; a 10 s clip then stays near a megabyte."""

MAX_FRAME_SHORT_SIDE_PX = 720
JPEG_QUALITY = 88
"""Of single frames, on which boxes are drawn to the pixel. Source: ours."""

UNKNOWN_FPS = 25.0

MAX_PREPARED = 32
"""Tasks whose clips may wait to be cut ahead of time; beyond that they are cut when they are asked for."""

ANIMATIONS = "animations"
"""Folder of a work folder in which `curate --animations` draws clusters."""

_CUT_VERSION = 1

PathPoint = tuple[float, float, float, float, float]
"""Seconds from the clip's start, then x1 y1 x2 y2 as fractions of the frame."""


class Asked(Protocol):
    """What is to be known of a question to play it; `gesta.label.book.Question` has it."""

    @property
    def kind(self) -> str:
        """One of the seven."""

    @property
    def clip_id(self) -> str:
        """The clip, of a cluster or class the first one."""

    @property
    def timestamp_us(self) -> int | None:
        """The key-frame."""

    @property
    def person_id(self) -> int | None:
        """The track."""

    @property
    def detail(self) -> Mapping[str, Any]:
        """Boxes of a frame, clips of a cluster or class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of a source file, half-open `[start_us, end_us)`, and how it is served."""

    path: str
    sha256: str
    start_us: int
    end_us: int
    fps: Fraction
    short_side_px: int | None

    @property
    def file_name(self) -> str:
        """Name of the cut: the same for the same pixels, whatever is asked about them."""
        return _name_of(self.sha256, self.start_us, self.end_us, self.fps, self.short_side_px) + ".mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What has to be known of a video file to play stretches of it: `fps` is what is served of `own_fps`."""

    path: str
    sha256: str
    start_us: int
    end_us: int
    fps: Fraction
    fps_number: float
    short_side_px: int
    own_fps: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What the page is told of a clip: frames a second, seconds, and seconds to the key-frame."""

    fps: float
    duration_s: float
    key_time_s: float | None


@dataclass(frozen=True, slots=True)
class Footage:
    """The clips and videos of a work folder: arrays over clips, so that a million of them take little room.

    Attributes:
        row_of: number of each clip.
        source_N, start_us_N, end_us_N: [N], the clip's video (-1 = not known), and its ends; arrays of Python's own,
            which gives one value in a third of the time that numpy takes.
    """

    row_of: Mapping[str, int]
    source_N: array[int]
    start_us_N: array[int]
    end_us_N: array[int]
    sources: Sequence[Source]

    def find(self, clip_id: str) -> tuple[Source, int, int] | None:
        """The clip's video and both its ends, or None where one of them is not known."""
        row = self.row_of.get(clip_id)
        if row is None or self.source_N[row] < 0:
            return None
        return self.sources[self.source_N[row]], self.start_us_N[row], self.end_us_N[row]


@dataclass(frozen=True, slots=True)
class Media:
    """The clips of a work folder, ready to be cut; `roots` are the folders that sources may lie in.

    `animations` are the files of clusters that `curate --animations` drew before the service began.
    """

    work: Path
    footage: Footage
    paths: Mapping[tuple[str, int], list[tuple[int, float, float, float, float]]]
    cut: Cut
    roots: tuple[Path, ...]
    cuts: Cuts
    animations: frozenset[str] = frozenset()
    _prepared: list[None] = field(default_factory=list)
    _ahead: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="gesta-cut-ahead")
    )

    # ---- in memory -------------------------------------------------------------------------------------------------

    def timing_of(self, asked: Asked) -> Timing:
        """What the page is told before anything is cut; an unknown clip has no duration."""
        found = self._bounds(asked, None)
        if found is None:
            return Timing(fps=UNKNOWN_FPS, duration_s=0.0, key_time_s=None)
        source, start_us, end_us = found
        is_keyed = asked.kind in KEY_FRAME_KINDS and asked.timestamp_us is not None
        key_us = (asked.timestamp_us or 0) - start_us if is_keyed else None
        return Timing(
            fps=source.fps_number,
            duration_s=(end_us - start_us) / US_PER_S,
            key_time_s=None if key_us is None else key_us / US_PER_S,
        )

    def offsets_of(self, asked: Asked) -> range:
        """The frames around the key-frame that lie inside the video, counted from it; empty without a key-frame."""
        found = self.footage.find(asked.clip_id)
        if found is None or asked.timestamp_us is None:
            return range(0)
        source = found[0]
        before = (asked.timestamp_us - source.start_us) * source.own_fps // US_PER_S
        after = (source.end_us - 1 - asked.timestamp_us) * source.own_fps // US_PER_S
        return range(-max(0, min(MAX_OFFSET, before)), max(0, min(MAX_OFFSET, after)) + 1)

    def path_of(self, asked: Asked) -> list[PathPoint]:
        """Where the asked-for person is while the clip plays, in order of time; empty without a person.

        Raises:
            BadVideo: the clip or its video is not known.
        """
        if asked.person_id is None:
            return []
        stretch = self.stretch_of(asked)
        track = self.paths.get((asked.clip_id, asked.person_id), [])
        return [
            ((time_us - stretch.start_us) / US_PER_S, x1, y1, x2, y2)
            for time_us, x1, y1, x2, y2 in track
            if stretch.start_us <= time_us < stretch.end_us
        ]

    def stretch_of(self, asked: Asked, n: int | None = None) -> Stretch:
        """What is played: the whole clip, or 2 s centred on a key-frame; with `n` that one of the question's clips.

        Raises:
            BadVideo: the clip or its video is not known.
        """
        found = self._bounds(asked, n)
        if found is None:
            raise BadVideo("its video is not in the work folder", where=asked.clip_id, reason="absent")
        source, start_us, end_us = found
        return Stretch(
            path=source.path,
            sha256=source.sha256,
            start_us=start_us,
            end_us=end_us,
            fps=source.fps,
            short_side_px=MAX_SHORT_SIDE_PX if source.short_side_px > MAX_SHORT_SIDE_PX else None,
        )

    def _bounds(self, asked: Asked, n: int | None) -> tuple[Source, int, int] | None:
        clip_id = asked.clip_id if n is None else clip_ids_of(asked)[n] if n < len(clip_ids_of(asked)) else ""
        found = self.footage.find(clip_id)
        if found is None or n is not None or asked.kind not in KEY_FRAME_KINDS or asked.timestamp_us is None:
            return found
        source = found[0]
        start_us = max(source.start_us, min(asked.timestamp_us - BOX_CLIP_US // 2, source.end_us - BOX_CLIP_US))
        return source, start_us, min(source.end_us, start_us + BOX_CLIP_US)

    def animation_of(self, asked: Asked) -> Path | None:
        """The animation of a cluster's clips side by side, WebP before GIF, or None where none was drawn."""
        if asked.kind != "cluster":
            return None
        stem = cluster_item_id_of(clip_ids=clip_ids_of(asked)).replace(":", "-")
        found = next((name for name in (f"{stem}.webp", f"{stem}.gif") if name in self.animations), None)
        return None if found is None else self.work / ANIMATIONS / found

    # ---- on the disk -----------------------------------------------------------------------------------------------

    def clip_file(self, asked: Asked, n: int | None = None) -> Future[Path]:
        """The muted clip to serve, cut unless it was cut before.

        The future raises BadVideo when the source cannot be decoded, is not there or lies outside `roots`.

        Raises:
            BadVideo: the clip or its video is not known.
            MediaBusy: too many clips are being cut.
        """
        stretch = self.stretch_of(asked, n)
        return self.cuts.get(
            stretch.file_name,
            lambda target: self.cut(
                self.source_file(stretch.path),
                target,
                start_us=stretch.start_us,
                end_us=stretch.end_us,
                fps=stretch.fps,
                short_side_px=stretch.short_side_px,
            ),
        )

    def file_of(self, asked: Asked) -> Path:
        """The muted clip, waited for.

        Raises:
            BadVideo: the source cannot be decoded, is not there or lies outside `roots`.
            MediaBusy: too many clips are being cut, or the disk takes no more.
        """
        return self.clip_file(asked).result()

    def frames_file(self, asked: Asked, *, has_neighbours: bool) -> Future[Path]:
        """The key-frame as a file of JPEG pictures (`read_frame` reads it), alone or with its neighbours.

        The neighbours come together, since decoding one of them means decoding the ones before it. The future raises
        BadVideo when the source cannot be decoded, is not there or lies outside `roots`.

        Raises:
            BadVideo: the clip or its video is not known, or the question has no key-frame.
            MediaBusy: too many clips are being cut.
        """
        found = self.footage.find(asked.clip_id)
        if found is None or asked.timestamp_us is None:
            raise BadVideo("there is no such frame", where=asked.clip_id, reason="absent")
        source, at_us = found[0], asked.timestamp_us
        offsets = self.offsets_of(asked) if has_neighbours else range(1)
        side = MAX_FRAME_SHORT_SIDE_PX if source.short_side_px > MAX_FRAME_SHORT_SIDE_PX else None
        name = _name_of(source.sha256, at_us, offsets.start, offsets.stop, side) + ".jpgs"
        return self.cuts.get(
            name,
            lambda target: write_frames(
                self.source_file(source.path), target, at_us=at_us, offsets=offsets, short_side_px=side
            ),
        )

    def source_file(self, path: str) -> Path:
        """The video file, every link on the way to it followed.

        Raises:
            BadVideo: it is not there, is no file, or lies outside the folders that sources may lie in.
        """
        try:
            real = (self.work / path).resolve(strict=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise BadVideo("the file is not there", where=path, reason="absent") from error
        if not real.is_file() or not any(real.is_relative_to(root) for root in self.roots):
            raise BadVideo("the file lies outside the media folders", where=path, reason="outside")
        return real

    def prefetch(self, questions: Sequence[Asked]) -> bool:
        """Whether the clips of these questions will be cut ahead of time, one by one, behind all that is asked for."""
        if len(self._prepared) >= MAX_PREPARED:
            return False
        self._prepared.append(None)
        self._ahead.submit(self._prepare, list(questions))
        return True

    def _prepare(self, questions: Sequence[Asked]) -> None:
        try:
            for asked in questions:
                numbers = range(len(clip_ids_of(asked))) if asked.kind in ("cluster", "class") else [None]
                for n in numbers:
                    _wait_quietly(lambda asked=asked, n=n: self.clip_file(asked, n))  # type: ignore[misc]
                if asked.kind == "frame":
                    _wait_quietly(lambda asked=asked: self.frames_file(asked, has_neighbours=False))  # type: ignore[misc]
        finally:
            self._prepared.pop()

    def close(self) -> None:
        """End the threads that cut."""
        self._ahead.shutdown(wait=False, cancel_futures=True)
        self.cuts.close()
        self._ahead.shutdown(wait=True)


def _wait_quietly(ask: Callable[[], Future[Path]]) -> None:
    try:
        ask().exception()
    except (BadVideo, MediaBusy):
        # Whoever is shown the question will be told; nobody is waiting yet.
        return


def clip_ids_of(asked: Asked) -> list[str]:
    """The clips that a cluster or class shows side by side."""
    return [clip if isinstance(clip, str) else str(clip["clip_id"]) for clip in asked.detail.get("clips", [])]


def _name_of(*parts: object) -> str:
    return hashlib.sha256(repr((_CUT_VERSION, *map(str, parts))).encode()).hexdigest()[:32]


# ---- files of frames -------------------------------------------------------------------------------------------------

_HEAD = struct.Struct("<ii")


def write_frames(source: Path, target: Path, *, at_us: int, offsets: range, short_side_px: int | None) -> Path:
    """`target`, JPEG pictures of the frame shown at `at_us` and of those so many frames off it; appears whole.

    Frames are counted by their own times, so a neighbour is the next picture that a player shows. Beyond the video's
    ends stand its first and last frame.

    Raises:
        BadVideo: the file cannot be opened, or a frame cannot be decoded.
    """
    index = index_packets(source)
    middle = int(index.frames_at([at_us])[0])
    wanted_N = np.clip(middle + np.arange(offsets.start, offsets.stop), 0, len(index.times_us) - 1)
    size = output_size(index, short_side_px)
    jpegs: dict[int, bytes] = {}
    for number, picture in decode_frames(source, index, np.unique(wanted_N), size=size):
        is_made, jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        if not is_made:
            raise BadVideo("a frame cannot be kept as JPEG", where=source)
        jpegs[number] = jpeg.tobytes()
    pictures = [jpegs[int(number)] for number in wanted_N]
    with whole_file(target) as temporary, temporary.open("wb") as file:
        file.write(_HEAD.pack(offsets.start, offsets.stop))
        file.write(struct.pack(f"<{len(pictures)}i", *map(len, pictures)))
        file.writelines(pictures)
    return target


def read_frame(path: Path, offset: int) -> bytes:
    """The JPEG picture so many frames off the key-frame, out of a file that `write_frames` wrote.

    Raises:
        BadVideo: the file does not hold it.
        FileNotFoundError: the file is gone.
    """
    with path.open("rb") as file:
        start, stop = _HEAD.unpack(file.read(_HEAD.size))
        if not start <= offset < stop:
            raise BadVideo("there is no such frame", where=str(offset), reason="absent")
        sizes = struct.unpack(f"<{stop - start}i", file.read(4 * (stop - start)))
        file.seek(sum(sizes[: offset - start]), os.SEEK_CUR)
        return file.read(sizes[offset - start])


# ---- opening ---------------------------------------------------------------------------------------------------------


def open_media(
    work: Path, *, cut: Cut, roots: Sequence[Path] | None = None, limit_bytes: int = DEFAULT_LIMIT_BYTES
) -> Media:
    """The clips, videos and tracks of a work folder, read once.

    Args:
        roots: folders that sources may lie in; None = the work folder and the one that `import` was told to read.
        limit_bytes: what the cuts may take of the disk.
    Raises:
        MissingTable: `clips` or `videos` is not there.
    """
    tracks = read_table(work, "tracks") if table_path(work, "tracks").is_file() else empty_frame("tracks")
    paths: dict[tuple[str, int], list[tuple[int, float, float, float, float]]] = {}
    ordered = tracks.sort("clip_id", "person_id", "timestamp_us")
    for clip_id, person_id, *point in ordered.select(
        "clip_id", "person_id", "timestamp_us", "x1", "y1", "x2", "y2"
    ).iter_rows():
        paths.setdefault((clip_id, person_id), []).append(tuple(point))
    allowed = [work, *_imported_from(work)] if roots is None else roots
    return Media(
        work=work,
        footage=_read_footage(work),
        paths=paths,
        cut=cut,
        roots=tuple(root.resolve() for root in allowed),
        cuts=Cuts(folder=work / "cuts", limit_bytes=limit_bytes),
        animations=frozenset(path.name for path in (work / ANIMATIONS).glob("cluster-*") if path.is_file()),
    )


def _imported_from(work: Path) -> list[Path]:
    made_by = (read_sidecar(table_path(work, "videos")) or {}).get("made_by", {})
    folder = made_by.get("arguments", {}).get("folder")
    return [work / folder] if isinstance(folder, str) and "\0" not in folder else []


def _read_footage(work: Path) -> Footage:
    clips, videos = read_table(work, "clips"), read_table(work, "videos")
    sources = []
    for row in videos.iter_rows(named=True):
        own_fps = Fraction(row["fps_num"], row["fps_den"])
        fps = min(own_fps, MAX_FPS)
        source = Source(
            path=row["path"],
            sha256=row["sha256"],
            start_us=row["start_us"],
            end_us=row["start_us"] + row["duration_us"],
            fps=fps,
            fps_number=float(fps),
            short_side_px=min(row["width_px"], row["height_px"]),
            own_fps=own_fps,
        )
        sources.append(source)
    numbers = dict(zip(videos["video_id"], range(len(videos)), strict=True))
    return Footage(
        row_of=dict(zip(clips["clip_id"], range(len(clips)), strict=True)),
        source_N=array("q", (numbers.get(video_id, -1) for video_id in clips["video_id"])),
        start_us_N=array("q", clips["start_us"].to_list()),
        end_us_N=array("q", clips["end_us"].to_list()),
        sources=sources,
    )
