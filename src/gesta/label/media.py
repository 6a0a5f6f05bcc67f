"""What a question plays: short muted clips, cut on demand and kept; and where the asked-for person is in them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from gesta.label.supply import Question
from gesta.schema import US_PER_S, BadVideo, Clip, Video
from gesta.tables import empty_frame, read_table, rows_of, table_path

Cut = Callable[..., Path]
"""As `gesta.video.cut_clip`."""

BOX_CLIP_US = 2 * US_PER_S
"""Length of the clip around a key-frame. Source: AVA-Kinetics paper, section 1.2, step 4."""

MAX_SHORT_SIDE_PX = 480
MAX_FPS = Fraction(30)
"""What is served at most. Source: ours; a 10 s clip then stays near a megabyte."""

_CUT_VERSION = 1

PathPoint = tuple[float, float, float, float, float]
"""Seconds from the clip's start, then x1 y1 x2 y2 as fractions of the frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of a source file, half-open `[start_us, end_us)`, and how it is served."""

    source: Path
    sha256: str
    start_us: int
    end_us: int
    fps: Fraction
    short_side_px: int | None

    @property
    def file_name(self) -> str:
        """Name of the cut: the same for the same pixels, whatever is asked about them."""
        parts = (_CUT_VERSION, self.sha256, self.start_us, self.end_us, self.fps, self.short_side_px)
        return hashlib.sha256(repr(tuple(map(str, parts))).encode()).hexdigest()[:32] + ".mp4"


@dataclass(frozen=True, slots=True)
class Media:
    """The clips of a work folder, ready to be cut."""

    work: Path
    clips: Mapping[str, Clip]
    videos: Mapping[str, Video]
    paths: Mapping[tuple[str, int], list[tuple[int, float, float, float, float]]]
    cut: Cut
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _locks_guard: threading.Lock = field(default_factory=threading.Lock)

    def stretch_of(self, question: Question) -> Stretch:
        """What is played for the question: the whole clip, or 2 s centred on the key-frame of a boxed person.

        Raises:
            BadVideo: the clip or its video is no longer known.
        """
        clip = self.clips.get(question.clip_id)
        video = self.videos.get(clip.video_id) if clip else None
        if clip is None or video is None:
            raise BadVideo("its video is not in the work folder", where=question.clip_id, reason="absent")
        start_us, end_us = clip.start_us, clip.end_us
        if question.kind == "box" and question.timestamp_us is not None:
            first_us, last_us = video.start_us, video.start_us + video.duration_us
            start_us = max(first_us, min(question.timestamp_us - BOX_CLIP_US // 2, last_us - BOX_CLIP_US))
            end_us = min(last_us, start_us + BOX_CLIP_US)
        is_large = min(video.width_px, video.height_px) > MAX_SHORT_SIDE_PX
        return Stretch(
            source=self.work / video.path,
            sha256=video.sha256,
            start_us=start_us,
            end_us=end_us,
            fps=min(video.fps, MAX_FPS),
            short_side_px=MAX_SHORT_SIDE_PX if is_large else None,
        )

    def file_of(self, question: Question) -> Path:
        """The muted clip to serve, cut now unless it was cut before.

        Raises:
            BadVideo: the source cannot be decoded, or is not there.
        """
        stretch = self.stretch_of(question)
        target = self.work / "cuts" / stretch.file_name
        with self._locks_guard:
            lock = self._locks.setdefault(target.name, threading.Lock())
        with lock:
            if not target.is_file():
                self.cut(
                    stretch.source,
                    target,
                    start_us=stretch.start_us,
                    end_us=stretch.end_us,
                    fps=stretch.fps,
                    short_side_px=stretch.short_side_px,
                )
        return target

    def path_of(self, question: Question) -> list[PathPoint]:
        """Where the asked-for person is while the clip plays, in order of time; empty for a clip item."""
        if question.person_id is None:
            return []
        stretch = self.stretch_of(question)
        track = self.paths.get((question.clip_id, question.person_id), [])
        return [
            ((time_us - stretch.start_us) / US_PER_S, x1, y1, x2, y2)
            for time_us, x1, y1, x2, y2 in track
            if stretch.start_us <= time_us < stretch.end_us
        ]


def open_media(work: Path, *, cut: Cut) -> Media:
    """The clips, videos and tracks of a work folder, read once.

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
    clips = {clip.clip_id: clip for clip in rows_of("clips", read_table(work, "clips"))}
    videos = {video.video_id: video for video in rows_of("videos", read_table(work, "videos"))}
    return Media(work=work, clips=clips, videos=videos, paths=paths, cut=cut)
