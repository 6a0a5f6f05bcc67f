"""What a file's container and packets say, without decoding more than the first frame.

One pass over the packets gives the list of shown frames: times, lengths, sync frames. Frames are looked up by that
list and never by a frame rate.

Legend: F = number of frames that are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from gesta.schema import US_PER_S, BadVideo
from gesta.video.container import opened
from gesta.video.pixels import rotation_deg_of

Ints = npt.NDArray[np.int64]

_MS_US = 1000
"""Rounding that frame times may have without being called variable. Source: ours; Matroska's usual tick, which
stays in the times when such a file is copied into another container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """What is known of a video file; times in microseconds on the player's clock, sizes in px as displayed."""

    container: str
    codec: str
    width_px: int
    height_px: int
    rotation_deg: int
    fps: Fraction
    is_vfr: bool
    num_frames: int
    start_us: int
    duration_us: int
    has_audio: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketIndex:
    """Every frame that a player shows, in the order shown.

    Attributes:
        times_us: int64 [F], strictly ascending: when each frame appears, microseconds on the player's clock (PTS minus
            the container's start time, rounded to the nearest).
        durations_us: int64 [F], until the next frame appears; for the last frame, its packet's duration.
        is_sync: bool [F], whether decoding can begin there.
        pts: int64 [F], the same times in units of `time_base` seconds, as the packets state them.
        dts: int64 [F], the packets' decoding times, same unit.
        width_px, height_px: of the frames as displayed, after rotation.
        rotation_deg: clockwise turn from decoded to displayed: 0, 90, 180 or 270.
    """

    times_us: Ints
    durations_us: Ints
    is_sync: npt.NDArray[np.bool_]
    pts: Ints
    dts: Ints
    time_base: Fraction
    width_px: int
    height_px: int
    rotation_deg: int

    @property
    def start_us(self) -> int:
        """When the first frame appears."""
        return int(self.times_us[0])

    @property
    def end_us(self) -> int:
        """When the last frame's time is over."""
        return int(self.times_us[-1] + self.durations_us[-1])

    def frames_at(self, times_us: Sequence[int] | Ints) -> Ints:
        """Numbers (from 0) of the frames shown at these instants, int64 [N]; first or last frame outside the video.

        Times are whole microseconds, so an instant less than one before a frame's time counts as that frame's.
        """
        wanted_N = np.asarray(times_us, dtype=np.int64)
        return np.clip(np.searchsorted(self.times_us, wanted_N + 1, side="right") - 1, 0, len(self.times_us) - 1)


def probe(path: Path) -> VideoFacts:
    """What the file's container and packets say of its video, once its first frame was decoded.

    Of several video streams it is FFmpeg's best one, as players choose. `fps` is what the container states when that
    fits the packets, else frames over duration.

    Raises:
        BadVideo: as `index_packets`.
    """
    return _scan(path)[1]


def index_packets(path: Path) -> PacketIndex:
    """The file's shown frames, from one pass over its packets.

    Packets that an edit list hides, and those before the first frame that decodes, are left out, as are packets
    that the demuxer marks as damaged. Files whose packets carry no usable PTS are decoded once instead.

    Raises:
        BadVideo: reason "missing", "empty", "truncated", "open", "not-video" or "no-video" when it cannot be opened;
            "no-frames" when the stream has no packets; "decode" when no frame of it can be decoded.
    """
    return _scan(path)[0]


@dataclass(frozen=True, slots=True)
class _Packet:
    pts: int | None
    dts: int | None
    duration: int
    is_sync: bool
    is_shown: bool


def _scan(path: Path) -> tuple[PacketIndex, VideoFacts]:
    with opened(path) as (container, stream):
        packets, first = _packets_of(path, container, stream)
        shown = [packet for packet in packets if packet.is_shown]
        pts_seen = [packet.pts for packet in shown]
        if None in pts_seen or len(set(pts_seen)) < len(pts_seen):
            shown = _decoded_packets(path)
        shown = sorted((p for p in shown if p.pts is not None and p.pts >= first.pts), key=lambda p: p.pts or 0)
        if not shown:
            raise BadVideo("no packet of it is shown", where=path, reason="no-frames")
        index = _index_of(container, stream, shown, first)
        return index, _facts_of(container, stream, index, num_ticks=shown[-1].duration)


def _packets_of(path: Path, container: Any, stream: Any) -> tuple[list[_Packet], Any]:
    """All packets in file order, and the first frame that decodes."""
    packets: list[_Packet] = []
    first, problem = None, "its packets give no frame"
    try:
        for packet in container.demux(stream):
            if packet.size:
                packets.append(
                    _Packet(
                        packet.pts,
                        packet.dts,
                        packet.duration or 0,
                        packet.is_keyframe,
                        not (packet.is_discard or packet.is_corrupt),
                    )
                )
            if first is None:
                try:
                    first = next(iter(stream.codec_context.decode(packet)), None)
                except av.FFmpegError as error:
                    problem = str(error.strerror)
    except av.FFmpegError as error:
        # What comes before a break in the file is still usable.
        problem = str(error.strerror)
    if not packets:
        raise BadVideo("its video stream has no frames", where=path, reason="no-frames")
    if first is None or first.pts is None:
        raise BadVideo(f"no frame of it can be decoded ({problem})", where=path, reason="decode")
    return packets, first


def _decoded_packets(path: Path) -> list[_Packet]:
    """One entry a frame, by decoding all of them: for files whose packets do not say when they are shown."""
    shown: dict[int, _Packet] = {}
    with opened(path) as (container, stream):
        for packet in container.demux(stream):
            try:
                frames = stream.codec_context.decode(packet if packet.size else None)
            except av.FFmpegError:
                # A damaged packet shows nothing; the frames around it are listed.
                continue
            for frame in frames:
                if frame.pts is not None:
                    # No sync frames: without PTS a seek cannot be checked, so reading begins at the first packet.
                    shown[frame.pts] = _Packet(frame.pts, frame.dts, frame.duration or 0, is_sync=False, is_shown=True)
    return list(shown.values())


def _index_of(container: Any, stream: Any, shown: list[_Packet], first: Any) -> PacketIndex:
    time_base = Fraction(stream.time_base)
    pts = np.array([packet.pts for packet in shown], dtype=np.int64)
    origin_us = container.start_time if container.start_time is not None else _to_us(int(pts[0]), time_base)
    times_us = np.array([_to_us(int(value), time_base) for value in pts], dtype=np.int64) - origin_us
    last_us = _to_us(shown[-1].duration, time_base) or _usual_distance_us(times_us, stream)
    rotation_deg = rotation_deg_of(first)
    width_px, height_px = (first.width, first.height) if rotation_deg % 180 == 0 else (first.height, first.width)
    return PacketIndex(
        times_us=times_us,
        durations_us=np.append(np.diff(times_us), last_us),
        is_sync=np.array([packet.is_sync for packet in shown], dtype=np.bool_),
        pts=pts,
        dts=np.array([packet.pts if packet.dts is None else packet.dts for packet in shown], dtype=np.int64),
        time_base=time_base,
        width_px=width_px,
        height_px=height_px,
        rotation_deg=rotation_deg,
    )


def _to_us(pts: int, time_base: Fraction) -> int:
    return round(pts * time_base * US_PER_S)


def _usual_distance_us(times_us: Ints, stream: Any) -> int:
    if len(times_us) > 1:
        return int(np.median(np.diff(times_us)))
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    return round(US_PER_S / Fraction(rate))


def _facts_of(container: Any, stream: Any, index: PacketIndex, *, num_ticks: int) -> VideoFacts:
    distances_us = np.diff(index.times_us)
    # Times rounded to one tick differ by at most one tick in their distances, and by one microsecond of ours.
    tolerance_us = max(_MS_US, round(index.time_base * US_PER_S)) + 1
    is_vfr = bool(len(distances_us)) and int(distances_us.max() - distances_us.min()) > tolerance_us
    return VideoFacts(
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        width_px=index.width_px,
        height_px=index.height_px,
        rotation_deg=index.rotation_deg,
        fps=_fps_of(stream, index, is_vfr=is_vfr),
        is_vfr=is_vfr,
        num_frames=len(index.pts),
        start_us=index.start_us,
        duration_us=index.end_us - index.start_us,
        has_audio=any(other.type == "audio" for other in container.streams),
    )


def _fps_of(stream: Any, index: PacketIndex, *, is_vfr: bool) -> Fraction:
    """Frames a second: the container's statement where it places the last frame within half a frame, else measured."""
    num_steps = len(index.pts) - 1
    span_s = int(index.pts[-1] - index.pts[0]) * index.time_base
    stated = [Fraction(rate) for rate in (stream.average_rate, stream.base_rate, stream.guessed_rate) if rate]
    fitting = [rate for rate in stated if abs(rate * span_s - num_steps) < Fraction(1, 2)]
    if fitting and not is_vfr:
        # Times copied from a coarser container give odd averages; cameras and broadcasters use n or n / 1.001.
        return min(fitting, key=lambda rate: rate.denominator not in (1, 1001))
    duration_s = Fraction(index.end_us - index.start_us, US_PER_S)
    return Fraction(len(index.pts) / duration_s).limit_denominator(1001)
