"""Files opened with FFmpeg's demuxers, and the one place where its errors become ours.

Only the containers listed here are opened: FFmpeg also "opens" text files, pictures and playlists, and a playlist
may name other files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av

from gesta.schema import BadVideo

VIDEO_ENDINGS = (
    ".3g2", ".3gp", ".asf", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
)  # fmt: skip
"""File name endings of video, lower case. Source: ours, the usual endings of the containers in `_CONTAINERS`."""

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,mxf,gif,rm,nut,ivf,h264,hevc,"
    "mp3,wav,flac,aac,ac3,eac3,aiff,caf,amr,au"
)
"""FFmpeg's names of the demuxers that may open a file; the last line's are for sound, to say so."""

_HEADERS = {b"\x1aE\xdf\xa3": "Matroska", b"RIFF": "AVI", b"GIF8": "GIF", b"FLV\x01": "FLV", b"OggS": "Ogg"}
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its video stream (FFmpeg's best one), set to decode in one thread.

    Raises:
        BadVideo: the file cannot be opened; reason "missing" (no such file), "empty" (zero bytes), "truncated" (an
            MP4 or MOV without its index), "open" (a known container with a broken header), "no-frames" (a
            header and nothing else), "not-video" (some other thing), "no-video" (sound, subtitles or a cover
            picture only) or "decode" (the header names a codec that FFmpeg does not know).
    """
    _check_there(path)
    try:
        container = av.open(
            str(path),
            metadata_errors="replace",
            options={"protocol_whitelist": "file", "format_whitelist": _CONTAINERS},
        )
    except av.FFmpegError as error:
        raise _not_opened(path, error) from error
    with container:
        stream: Any = container.streams.best("video")
        if not container.streams:
            raise BadVideo("has a header and no streams", where=path, reason="no-frames")
        if stream is None or stream.disposition & stream.disposition.attached_pic:
            kinds = sorted({"picture" if other.type == "video" else other.type for other in container.streams})
            raise BadVideo(f"holds no video stream, only {', '.join(kinds)}", where=path, reason="no-video")
        if stream.codec_context is None:
            raise BadVideo(
                "its header names no codec that is known here", where=path, reason="decode", mend="Re-encode it"
            )
        # One thread: the same frames in every process, and no threads left behind in forked workers.
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        yield container, stream


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise BadVideo("there is no such file", where=path, reason="missing")
    if path.stat().st_size == 0:
        raise BadVideo("the file has zero bytes", where=path, reason="empty", mend="Fetch it again")


def _not_opened(path: Path, error: Exception) -> BadVideo:
    with path.open("rb") as stream:
        head = stream.read(16)
    if head[4:8] in _BOXES:
        if not _has_box(path, b"moov"):
            return BadVideo(
                "the file was cut short: it has no index (moov box)",
                where=path,
                reason="truncated",
                mend="Fetch it again",
            )
        return BadVideo(f"its MP4 header cannot be read ({_words(error)})", where=path, reason="open")
    for magic, name in _HEADERS.items():
        if head.startswith(magic):
            if isinstance(error, av.EOFError):
                return BadVideo(f"ends after its {name} header", where=path, reason="no-frames")
            return BadVideo(f"its {name} header cannot be read ({_words(error)})", where=path, reason="open")
    return BadVideo("is no video, whatever its name says", where=path, reason="not-video")


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _has_box(path: Path, name: bytes) -> bool:
    """Whether a top-level box of that name begins in the file. Source: ISO/IEC 14496-12, section 4.2."""
    size = path.stat().st_size
    offset = 0
    with path.open("rb") as stream:
        while offset + 8 <= size:
            stream.seek(offset)
            head = stream.read(16)
            if head[4:8] == name:
                return True
            length = int.from_bytes(head[:4])
            if length == 1:
                length = int.from_bytes(head[8:16])
            if length < 8:
                return False
            offset += length
    return False
