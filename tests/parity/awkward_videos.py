"""Awkward video files, made by the `ffmpeg` program, and what that program says and shows of a file."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

SIZE = (160, 96)


def need_ffmpeg() -> None:
    """Skip where the programs are absent; fail under REQUIRE_SHARED=1."""
    missing = [name for name in ("ffmpeg", "ffprobe") if shutil.which(name) is None]
    if missing:
        message = f"not installed: {', '.join(missing)} (Debian: apt-get install -y ffmpeg)"
        if os.environ.get("REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)


def ffmpeg(*arguments: object) -> bytes:
    """Standard output of `ffmpeg -y …`."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def _source(rate: str = "30000/1001", seconds: float = 3) -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2=size={SIZE[0]}x{SIZE[1]}:rate={rate}:duration={seconds}"]


def _tone(seconds: float = 3) -> list[str]:
    return ["-f", "lavfi", "-i", f"sine=duration={seconds}"]


H264 = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-threads", "1"]
OPEN_GOP = [*H264, "-bf", "3", "-x264-params", "keyint=15:min-keyint=15:open-gop=1:b-pyramid=normal:scenecut=0"]


def _ntsc_mp4(path: Path) -> None:
    ffmpeg(*_source(), *H264, "-g", "24", "-bf", "2", path)


def _ntsc_mkv(path: Path) -> None:
    ffmpeg(*_source(), *_tone(), *H264, "-g", "24", "-c:a", "aac", path)


def _copy_cut(path: Path) -> None:
    """Cut without re-encoding: an edit list hides the frames from the sync frame to the cut."""
    whole = path.with_name("whole.mp4")
    ffmpeg(*_source(), *_tone(), *H264, "-g", "60", "-bf", "2", "-c:a", "aac", whole)
    ffmpeg("-ss", "0.9", "-i", whole, "-t", "1.5", "-c", "copy", path)
    whole.unlink()


def _vfr(path: Path) -> None:
    pick = "select='lt(mod(n,7),2)+eq(mod(n,5),3)'"
    ffmpeg(*_source(), "-vf", pick, "-vsync", "vfr", *H264, "-g", "10", "-bf", "2", path)


def _open_gop_mp4(path: Path) -> None:
    ffmpeg(*_source(), *OPEN_GOP, path)


def _open_gop_ts(path: Path) -> None:
    ffmpeg(*_source(), *_tone(), *OPEN_GOP, "-c:a", "aac", path)


def _ts_begun_in_the_middle(path: Path) -> None:
    """A recording switched on in the middle of a group: its first packets cannot be decoded."""
    _open_gop_ts(path)
    data = path.read_bytes()
    begin = len(data) // 3 // 188 * 188
    # The program tables at the head are needed to know what the packets are.
    path.write_bytes(data[: 188 * 3] + data[begin:])


def _hevc_open_gop(path: Path) -> None:
    params = "keyint=15:min-keyint=15:open-gop=1:bframes=3:scenecut=0:pools=1:log-level=none"
    ffmpeg(*_source(), "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", params, path)


def _intra_refresh(path: Path) -> None:
    """No IDR frame after the first: a stripe of intra blocks wanders over the picture."""
    ffmpeg(*_source(), *H264, "-x264-params", "intra-refresh=1:keyint=20:bframes=0", path)


def _vp9(path: Path) -> None:
    ffmpeg(*_source(), "-c:v", "libvpx-vp9", "-cpu-used", "8", "-g", "30", "-auto-alt-ref", "1",
           "-lag-in-frames", "16", "-b:v", "300k", path)  # fmt: skip


def _vp8(path: Path) -> None:
    """Alternate reference frames: packets that are never shown."""
    ffmpeg(*_source(), "-c:v", "libvpx", "-cpu-used", "5", "-g", "30", "-auto-alt-ref", "1", "-lag-in-frames", "16",
           "-b:v", "300k", path)  # fmt: skip


def _avi_with_b_frames(path: Path) -> None:
    ffmpeg(*_source(), "-c:v", "mpeg4", "-bf", "2", "-g", "20", "-q:v", "3", path)


def _mpeg2_ps(path: Path) -> None:
    ffmpeg(*_source("25"), "-c:v", "mpeg2video", "-bf", "2", "-g", "15", "-q:v", "3", path)


def _interlaced_ts(path: Path) -> None:
    ffmpeg(*_source("25"), *H264, "-flags", "+ilme+ildct", "-x264-params", "tff=1", "-g", "25", path)


def _late_start(path: Path) -> None:
    """Sound from 0 s, picture from 0.7 s."""
    ffmpeg("-itsoffset", "0.7", *_source(), *_tone(4), *H264, "-g", "20", "-c:a", "aac",
           "-vsync", "passthrough", path)  # fmt: skip


def _gif(path: Path) -> None:
    ffmpeg(*_source("20", 2), path)


def _flv(path: Path) -> None:
    ffmpeg(*_source("25"), *H264, "-g", "25", "-bf", "2", path)


def _rotated(degrees: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        upright = path.with_name(f"upright_{degrees}.mp4")
        ffmpeg(*_source("25", 1), *H264, upright)
        ffmpeg("-i", upright, "-c", "copy", "-metadata:s:v:0", f"rotate={degrees}", path)
        upright.unlink()

    return make


def _mkv_of_mp4_rounding(path: Path) -> None:
    """Matroska's millisecond times, copied into an MP4 of finer ticks."""
    rounded = path.with_name("rounded.mkv")
    ffmpeg(*_source(), *H264, "-g", "24", rounded)
    ffmpeg("-i", rounded, "-c", "copy", path)
    rounded.unlink()


AWKWARD: dict[str, Callable[[Path], None]] = {
    "ntsc.mp4": _ntsc_mp4,
    "ntsc.mkv": _ntsc_mkv,
    "copy_cut.mp4": _copy_cut,
    "vfr.mp4": _vfr,
    "open_gop.mp4": _open_gop_mp4,
    "open_gop.ts": _open_gop_ts,
    "begun_in_the_middle.ts": _ts_begun_in_the_middle,
    "hevc_open_gop.mp4": _hevc_open_gop,
    "hevc_open_gop.mkv": _hevc_open_gop,
    "intra_refresh.mp4": _intra_refresh,
    "intra_refresh.ts": _intra_refresh,
    "vp9.webm": _vp9,
    "vp8.webm": _vp8,
    "b_frames.avi": _avi_with_b_frames,
    "mpeg2.mpg": _mpeg2_ps,
    "interlaced.ts": _interlaced_ts,
    "late_start.mkv": _late_start,
    "late_start.mp4": _late_start,
    "moving.gif": _gif,
    "flash.flv": _flv,
    "rotated_90.mp4": _rotated(90),
    "rotated_180.mp4": _rotated(180),
    "rotated_270.mp4": _rotated(270),
    "rounded.mp4": _mkv_of_mp4_rounding,
}
"""File name and how it is made."""


def shortened(path: Path, *, keep: float, header_first: bool) -> Path:
    """An MP4 of which only the first part arrived."""
    whole = path.with_name("to_shorten.mp4")
    flags = ["-movflags", "+faststart"] if header_first else []
    ffmpeg(*_source(), *H264, "-g", "24", "-bf", "2", *flags, whole)
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    whole.unlink()
    return path


def ffprobe_pts(path: Path, *, stream: int) -> list[int | None]:
    """PTS, in the stream's ticks, of every frame that ffprobe decodes, in the order shown; None where it has none."""
    command = ["ffprobe", "-v", "error", "-threads", "1", "-select_streams", str(stream)]
    command += ["-show_entries", "frame=best_effort_timestamp", "-of", "csv=p=0", str(path)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    words = [line.split(",")[0] for line in text.split()]
    return [None if word == "N/A" else int(word) for word in words if word]


def ffmpeg_frames(path: Path, *, stream: int, size: tuple[int, int]) -> np.ndarray:
    """Every frame that the ffmpeg program shows, rotated as it does by itself, uint8 [N, H, W, 3] RGB."""
    raw = ffmpeg("-threads", "1", "-i", path, "-map", f"0:{stream}", "-vsync", "passthrough", "-f", "rawvideo",
                 "-pix_fmt", "rgb24", "-")  # fmt: skip
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, size[1], size[0], 3)
