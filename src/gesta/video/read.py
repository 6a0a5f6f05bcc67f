"""Frames read exactly: the one shown at an instant, or those shown during a stretch.

Decoding starts at the last sync frame at or before the wanted frame in the order *shown* (so never at one whose
leading pictures need an earlier group), frames are told apart by PTS, and a seek that landed too late is repeated
further back, in the end from the first packet.

Legend: N frames, H and W height and width in px, 3 = R, G, B.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Generic, TypeVar

import av
import numpy as np
import numpy.typing as npt

from gesta.schema import US_PER_S, BadInput, BadVideo, format_seconds
from gesta.video.container import opened
from gesta.video.pixels import Frame, rgb_converter, scaled_size
from gesta.video.probe import PacketIndex, index_packets

Pictured = TypeVar("Pictured")

_STEPS_BACK = (0, 1, 2, 4)
"""Sync frames to go back when a seek landed too late or gave no such frame; then the start. Source: ours."""

_WORTH_A_SEEK = 8
"""Frames that a seek must save, else decoding goes on. Source: ours; about what a decoder swallows to start anew."""


def read_frames(
    path: Path,
    times_us: Sequence[int] | npt.NDArray[np.int64],
    *,
    index: PacketIndex | None = None,
    short_side_px: int | None = None,
) -> npt.NDArray[np.uint8]:
    """The frame shown at each instant, uint8 [N, H, W, 3] RGB as displayed, in the order of `times_us`.

    Args:
        times_us: instants on the player's clock, in any order, repeats allowed; before the first frame the first
            one is given, after the last frame the last.
        index: what `index_packets` gives; read from the file when None, which costs a pass over it.
        short_side_px: resize (by area) so that the shorter side has this many px.
    Raises:
        BadVideo: the file cannot be opened, or a wanted frame cannot be decoded (reason "decode").
        BadInput: `short_side_px` is below 1.
    """
    known = index_packets(path) if index is None else index
    size = output_size(known, short_side_px)
    numbers_N = known.frames_at(times_us)
    frames = np.empty((len(numbers_N), size[1], size[0], 3), dtype=np.uint8)
    for number, picture in decode_frames(path, known, np.unique(numbers_N), size=size):
        frames[numbers_N == number] = picture
    return frames


def iter_frames(
    path: Path,
    *,
    start_us: int,
    end_us: int,
    rate: Fraction | None = None,
    short_side_px: int | None = None,
    index: PacketIndex | None = None,
) -> Iterator[tuple[int, Frame]]:
    """Frames on screen during `[start_us, end_us)`: each one's own time, and uint8 [H, W, 3] RGB as displayed.

    Times are strictly ascending. The first may lie before `start_us`: that frame was still on screen then.

    Args:
        rate: None = every frame; else the frame shown at each instant `start_us + k / rate` seconds, each frame once
            though several instants fall on it. Instants outside the video are left out.
        short_side_px: resize (by area) so that the shorter side has this many px.
        index: what `index_packets` gives; read from the file when None.
    Raises:
        BadVideo: the file cannot be opened, or a frame on the way cannot be decoded (reason "decode"); the frames
            before it have been given by then.
        BadInput: `short_side_px` is below 1, `rate` is not above 0, or the stretch is empty.
    """
    if start_us >= end_us:
        raise BadInput(f"the stretch from {start_us} to {end_us} us is empty", where=path, mend="Want start < end")
    if rate is not None and rate <= 0:
        raise BadInput(f"rate {rate}", where=path, mend="Want above 0, or None for every frame")
    known = index_packets(path) if index is None else index
    size = output_size(known, short_side_px)
    low_us, high_us = max(start_us, known.start_us), min(end_us, known.end_us)
    if low_us >= high_us:
        return
    if rate is None:
        first, last = known.frames_at([low_us, high_us - 1])
        # An instant in the microsecond before a frame counts as that frame's, but it is not inside the stretch.
        numbers = np.arange(first, last + (known.times_us[last] < high_us))
    else:
        instants_us = instants(start_us, end_us, rate=rate)
        numbers = np.unique(known.frames_at(instants_us[(instants_us >= low_us) & (instants_us < high_us)]))
    for number, picture in decode_frames(path, known, numbers, size=size):
        yield int(known.times_us[number]), picture


def instants(start_us: int, end_us: int, *, rate: Fraction) -> npt.NDArray[np.int64]:
    """Every `start_us + k / rate` seconds (k from 0) before `end_us`, in microseconds rounded to nearest, int64 [N].

    >>> instants(0, 100_000, rate=Fraction(30))
    array([    0, 33333, 66667])
    """
    num = -((start_us - end_us) * rate.numerator // (US_PER_S * rate.denominator))
    return np.array([start_us + round(k * US_PER_S / rate) for k in range(num)], dtype=np.int64)


def output_size(index: PacketIndex, short_side_px: int | None) -> tuple[int, int]:
    """Width and height in px of the frames that reading with `short_side_px` gives.

    Raises:
        BadInput: `short_side_px` is below 1.
    """
    if short_side_px is not None and short_side_px < 1:
        raise BadInput(f"short_side_px={short_side_px}", mend="Want at least 1, or None for the video's own size")
    return scaled_size(width_px=index.width_px, height_px=index.height_px, short_side_px=short_side_px)


def decode_frames(
    path: Path, index: PacketIndex, numbers: npt.NDArray[np.int64], *, size: tuple[int, int]
) -> Iterator[tuple[int, Frame]]:
    """Each frame of `numbers` (int64 [N], ascending, no repeats) with its picture, uint8 [H, W, 3] of `size` = (W, H).

    Raises:
        BadVideo: a frame cannot be decoded (reason "decode"); those before it have been given by then.
    """
    yield from decode_as(path, index, numbers, convert=rgb_converter(rotation_deg=index.rotation_deg, size=size))


def decode_as(
    path: Path, index: PacketIndex, numbers: npt.NDArray[np.int64], *, convert: Callable[[Any], Pictured]
) -> Iterator[tuple[int, Pictured]]:
    """Each frame of `numbers` (int64 [N], ascending, no repeats) with what `convert` makes of the decoder's frame.

    Raises:
        BadVideo: as `decode_frames`.
    """
    run = _Run(
        path=path,
        index=index,
        syncs=np.flatnonzero(index.is_sync),
        todo=deque(int(number) for number in numbers),
        convert=convert,
    )
    with opened(path) as (container, stream):
        while run.todo:
            num_before = len(run.todo)
            for step in _STEPS_BACK:
                entry = run.entry(run.todo[0], step=step)
                if entry is None:
                    break
                packets = _packets_from(container, stream, index, entry)
                yield from _pictures(run, stream, packets, low_pts=int(index.pts[entry]))
                if len(run.todo) < num_before:
                    break
            if len(run.todo) == num_before:
                with opened(path) as (fresh, its_stream):
                    packets = fresh.demux(its_stream)
                    yield from _pictures(run, its_stream, packets, low_pts=int(index.pts[0]))
            if len(run.todo) == num_before:
                raise run.undecodable()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run(Generic[Pictured]):
    """What is to be read of one file; `todo` shrinks from the left as frames are given."""

    path: Path
    index: PacketIndex
    syncs: npt.NDArray[np.int64]
    todo: deque[int]
    convert: Callable[[Any], Pictured]

    def entry(self, number: int, *, step: int) -> int | None:
        """The sync frame to begin at, `step` before the last one that serves; None = there is none so far back."""
        at = int(np.searchsorted(self.syncs, number, side="right")) - 1 - step
        return int(self.syncs[at]) if at >= 0 else None

    def is_seek_better(self, number: int) -> bool:
        """Whether the next wanted frame is better reached by a seek than by decoding on from `number`."""
        entry = self.entry(self.todo[0], step=0)
        return entry is not None and entry - number > _WORTH_A_SEEK

    def undecodable(self) -> BadVideo:
        time_s = format_seconds(int(self.index.times_us[self.todo[0]]), decimals=3)
        return BadVideo(f"the frame at {time_s} s cannot be decoded", where=self.path, reason="decode")


def _packets_from(container: Any, stream: Any, index: PacketIndex, entry: int) -> Iterator[Any]:
    """Packets from a sync frame at or before `entry` on; none when no seek gets there."""
    # Some containers seek by PTS, some by DTS.
    for offset in dict.fromkeys((int(index.pts[entry]), int(index.dts[entry]))):
        try:
            container.seek(offset, stream=stream)
            packets = container.demux(stream)
            first = next((packet for packet in packets if packet.is_keyframe and packet.size), None)
        except av.FFmpegError:
            continue
        if first is not None and first.pts is not None and first.pts <= index.pts[entry]:
            yield first
            yield from packets
            return


def _pictures(
    run: _Run[Pictured], stream: Any, packets: Iterator[Any], *, low_pts: int
) -> Iterator[tuple[int, Pictured]]:
    """Wanted frames, taken off `run.todo`, until one is missed or is better reached by a seek.

    Raises:
        BadVideo: decoding failed on the way from the sync frame to the first wanted one.
    """
    pts, todo = run.index.pts, run.todo
    gave_any = False
    for frame, error in _frames(stream, packets, low_pts=low_pts):
        if error is not None:
            if not gave_any:
                raise run.undecodable() from error
            return
        if frame.pts == pts[todo[0]]:
            gave_any = True
            number = todo.popleft()
            yield number, run.convert(frame)
            if not todo or run.is_seek_better(number):
                return
        elif frame.pts > pts[todo[0]]:
            return


def _frames(stream: Any, packets: Iterator[Any], *, low_pts: int) -> Iterator[tuple[Any, Exception | None]]:
    """Decoded frames from `low_pts` on, in the order shown; then the error that ended them, if one did.

    Errors in packets shown before `low_pts` (leading pictures without their references) and in packets that the
    demuxer marks as damaged pass by.
    """
    error: Exception | None = None
    try:
        for packet in packets:
            is_excused = packet.is_corrupt or packet.pts is None or packet.pts < low_pts
            try:
                frames = stream.codec_context.decode(packet if packet.size else None)
            except av.FFmpegError as problem:
                if is_excused:
                    continue
                error = problem
                break
            for frame in frames:
                if frame.pts is not None and frame.pts >= low_pts:
                    yield frame, None
    except av.FFmpegError as problem:
        error = problem
    if error is not None:
        for frame in stream.codec_context.decode(None):
            if frame.pts is not None and frame.pts >= low_pts:
                yield frame, None
        yield None, error
