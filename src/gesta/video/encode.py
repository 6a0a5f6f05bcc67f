"""Write frames as a video file: H.264 (or VP9), no audio, whole or not at all, the same bytes for the same frames.

Shapes: H W = displayed height and width before rotation, C = 3 (red, green, blue).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import cast

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream

from gesta.schema import US_PER_S, BadInput, UnknownName
from gesta.tables import whole_file

Frame = npt.NDArray[np.uint8]

_TICK = Fraction(1, 90_000)
"""Clock of a video of uneven rate. Source: MPEG's system clock, ISO/IEC 13818-1, 2.4.2."""

_SMPTE170M = 6
_LIMITED_RANGE = 1
"""Colour tags of what the converter writes. Source: ITU-T H.273, tables 2 to 4, and 8.3 for the range."""


def _x264_options(crf: int, preset: str) -> dict[str, str]:
    # One thread: x264's rate control gives other bytes with other thread counts. No macroblock tree: its assembler
    # gave other bytes from run to run (seen with PyAV 18.1's x264 at 240x240; without it ten of ten were equal).
    return {"crf": str(crf), "preset": preset, "threads": "1", "mbtree": "0"}


def _vp9_options(crf: int, preset: str) -> dict[str, str]:
    del preset
    return {"crf": str(crf), "b": "0", "deadline": "realtime", "cpu-used": "6", "threads": "1"}


ENCODERS: Mapping[str, Callable[[int, str], dict[str, str]]] = {
    "libx264": _x264_options,
    "libvpx-vp9": _vp9_options,
}
"""The encoders that `write_video` knows, and how each is told quality (crf) and effort (preset)."""


def write_video(
    path: Path,
    frames: Iterable[Frame],
    *,
    fps: Fraction,
    codec: str = "libx264",
    crf: int = 23,
    gop: int = 12,
    preset: str = "veryfast",
    times_us: Sequence[int] | None = None,
    rotation_deg: int = 0,
    index_first: bool = True,
    qp: int | None = None,
) -> Path:
    """The path written: the frames as a muted video of constant rate, or with a time for each frame.

    Args:
        path: its ending chooses the container (.mp4, .mov, .mkv, .webm); appears whole, folder made where missing.
        frames: uint8 [H, W, C] RGB each, all of one even size; taken one by one, so a generator will do.
        fps: frames a second; with `times_us` only what the header says.
        codec: one of `ENCODERS`.
        crf: constant rate factor; larger is smaller and worse.
        gop: most frames from one sync frame to the next.
        preset: x264's effort, ultrafast to placebo; VP9 has none.
        times_us: a start for each frame, rising, the first 0; the last frame lasts as long as the one before it.
        rotation_deg: clockwise turn that a player applies, 0, 90, 180 or 270; written into the header only.
        index_first: whether MP4's index stands before the pictures, so that a browser can start at once.
        qp: x264's constant quantiser in place of `crf`; with `gop=1` each frame is coded as if it stood alone, so that
            frames in reverse order decode to the same pictures in reverse order.
    Raises:
        BadInput: there are no frames, sizes are odd or differ, `times_us` does not rise from 0 or is too short, or
            `qp` is given to another encoder than x264.
        UnknownName: the encoder is not one of `ENCODERS`.
    """
    if codec not in ENCODERS:
        raise UnknownName(what="encoder", name=codec, choices=ENCODERS)
    if times_us is not None and (list(times_us[:1]) != [0] or any(b <= a for a, b in pairwise(times_us))):
        raise BadInput("the frames' times do not rise from 0", where=path, mend="Want times_us[0] == 0, then rising")
    options = ENCODERS[codec](crf, preset)
    if qp is not None:
        if codec != "libx264":
            raise BadInput(f"the encoder {codec} takes no qp", where=path, mend="Give crf, or use libx264")
        # x264 takes the quantiser over the rate factor only where there is no rate factor.
        options = {name: value for name, value in options.items() if name != "crf"} | {"qp": str(qp)}
    with whole_file(path) as temporary:
        is_iso = path.suffix in (".mp4", ".mov", ".m4v")
        muxing = {"movflags": "+faststart"} if is_iso and index_first else {}
        with av.open(str(temporary), "w", options={"fflags": "+bitexact", **muxing}) as container:
            stream = cast(VideoStream, container.add_stream(codec, rate=fps, options=options))
            stream.pix_fmt = "yuv420p"
            stream.gop_size = gop
            stream.time_base = stream.codec_context.time_base = 1 / fps if times_us is None else _TICK
            num_frames = 0
            for frame in _converted(frames, stream, rotation_deg=rotation_deg, where=path):
                frame.pts = num_frames if times_us is None else _ticks(times_us, num_frames, where=path)
                frame.time_base = stream.codec_context.time_base
                container.mux(stream.encode(frame))
                num_frames += 1
            if num_frames == 0:
                raise BadInput("there are no frames to write", where=path)
            container.mux(stream.encode(None))
    return path


def _ticks(times_us: Sequence[int], number: int, *, where: Path) -> int:
    if number >= len(times_us):
        raise BadInput(f"there are more frames than the {len(times_us)} times", where=where, mend="Want one a frame")
    return round(Fraction(times_us[number], US_PER_S) / _TICK)


def _converted(
    frames: Iterable[Frame], stream: VideoStream, *, rotation_deg: int, where: Path
) -> Iterable[av.VideoFrame]:
    # The colours are tagged as what they are converted to: players guess BT.709 for large untagged pictures.
    size: tuple[int, ...] | None = None
    reformatter = VideoReformatter()
    for frame in frames:
        if size is None:
            size = frame.shape
            _open(stream, frame, rotation_deg=rotation_deg, where=where)
        if frame.shape != size:
            raise BadInput(f"a frame of shape {frame.shape} follows one of {size}", where=where, mend="Want one size")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        yield reformatter.reformat(picture, format="yuv420p", dst_colorspace=Colorspace.SMPTE170M, threads=1)


def _open(stream: VideoStream, frame: Frame, *, rotation_deg: int, where: Path) -> None:
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        raise BadInput(f"frames of {width}x{height} pixels", where=where, mend="H.264 wants even sizes: crop or scale")
    stream.width, stream.height = width, height
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _SMPTE170M
    context.color_range = _LIMITED_RANGE
    if rotation_deg:
        # FFmpeg's angle is counter-clockwise.
        stream.set_display_rotation(-rotation_deg)
