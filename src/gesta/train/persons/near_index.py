"""The frames of a long film around one instant, without a pass over all its packets.

A film of two hours has 170,000 frames: listing them takes seconds and keeps megabytes, and training goes from film to
film. A player that jumps to a minute reads what lies there alone, and so does this. What it lists is what the whole
list has there; where that cannot be told (times that are not stated, a seek that does not arrive), there is no answer,
and the whole list has to be made.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from gesta.schema import US_PER_S
from gesta.video.container import opened
from gesta.video.pixels import rotation_deg_of
from gesta.video.probe import PacketIndex

FROM_START_US = 10 * US_PER_S
"""Nearer to a file's start its first frames would have to be known, which only decoding tells. Source: ours."""

LONG_US = 60 * US_PER_S
"""A shorter file's packets are listed faster than it is opened twice. Source: ours."""

_STEPS_BACK_US = (0, 2 * US_PER_S, 10 * US_PER_S)
"""How much further back a seek is tried that came too late: containers seek by decoding time or by bytes. Source:
ours; x264's default is a sync frame every 250 frames, and seeking backwards finds the one before."""

_MAX_PACKETS = 5_000
"""Packets looked at before giving up. Source: ours; three minutes of film, which no clip's frames span."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Packet:
    pts: int
    dts: int
    duration: int
    is_sync: bool
    is_shown: bool


def index_near(path: Path, *, low_us: int, high_us: int) -> PacketIndex | None:
    """The frames shown from `low_us` to `high_us` (some more lie around them), or None where the whole list is needed.

    Times and numbers of the file's own clock, as `gesta.video.index_packets`; frame numbers count from the first here.

    Raises:
        BadVideo: the file cannot be opened, as `index_packets`.
    """
    with opened(path) as (container, stream):
        duration_us = container.duration
        if low_us < FROM_START_US or duration_us is None or duration_us < LONG_US or container.start_time is None:
            return None
        for step_us in _STEPS_BACK_US:
            found = _index_from(container, stream, low_us=low_us, high_us=high_us, back_us=step_us)
            if found is not None:
                return found
    return None


def _index_from(container: Any, stream: Any, *, low_us: int, high_us: int, back_us: int) -> PacketIndex | None:
    """The frames from the sync frame where a seek arrives; None where that lies behind `low_us`, or times are not
    stated.
    """
    tick_us = stream.time_base * US_PER_S
    low_pts = int((low_us - back_us + container.start_time) / tick_us)
    high_pts = int((high_us + container.start_time) / tick_us) + 1
    packets: list[_Packet] = []
    frame = None
    try:
        container.seek(low_pts, stream=stream)
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.pts is None or len(packets) > _MAX_PACKETS:
                return None
            if not packets and (not packet.is_keyframe or packet.pts * tick_us - container.start_time > low_us):
                return None
            packets.append(
                _Packet(
                    pts=packet.pts,
                    dts=packet.pts if packet.dts is None else packet.dts,
                    duration=packet.duration or 0,
                    is_sync=packet.is_keyframe,
                    is_shown=not (packet.is_discard or packet.is_corrupt),
                )
            )
            if frame is None:
                frame = next(iter(stream.codec_context.decode(packet)), None)
            # A frame is never shown before it is decoded: all that follow are shown later than this one is decoded.
            if frame is not None and packet.dts is not None and packet.dts > high_pts:
                break
    except av.FFmpegError:
        return None
    return None if frame is None or not packets else _index_of(packets, frame, stream, origin_us=container.start_time)


def _index_of(packets: list[_Packet], frame: Any, stream: Any, *, origin_us: int) -> PacketIndex | None:
    shown = sorted((one for one in packets if one.is_shown and one.pts >= packets[0].pts), key=lambda one: one.pts)
    pts = np.array([one.pts for one in shown], dtype=np.int64)
    if not len(pts) or (np.diff(pts) <= 0).any():
        return None
    times_us = np.array([round(one.pts * stream.time_base * US_PER_S) for one in shown], dtype=np.int64) - origin_us
    last_us = round(shown[-1].duration * stream.time_base * US_PER_S)
    if not last_us:
        last_us = int(np.median(np.diff(times_us))) if len(times_us) > 1 else 0
    rotation_deg = rotation_deg_of(frame)
    width_px, height_px = (frame.width, frame.height) if rotation_deg % 180 == 0 else (frame.height, frame.width)
    return PacketIndex(
        times_us=times_us,
        durations_us=np.append(np.diff(times_us), last_us),
        is_sync=np.array([one.is_sync for one in shown], dtype=np.bool_),
        pts=pts,
        dts=np.array([one.dts for one in shown], dtype=np.int64),
        time_base=stream.time_base,
        width_px=width_px,
        height_px=height_px,
        rotation_deg=rotation_deg,
    )
