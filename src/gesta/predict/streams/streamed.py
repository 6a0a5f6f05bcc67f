"""Frames that are read once, from the first on: network streams, pipes and cameras.

Times begin at 0 with the first frame and follow the stream's own clock; where that jumps, or the stream was lost and
opened again, they go on by the time that passed here.

Shapes: H and W pixels, 3 = R, G, B.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import av
import cv2

from gesta.predict.streams.shots import Pictured, Shot, Size, Uint8s, Wanted, resized
from gesta.schema import US_PER_S, BadInput, BadVideo, GestaError
from gesta.tables import Json
from gesta.video.pixels import rotation_deg_of

LIVE_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt")
"""Of URLs that go on by themselves; of `http` and `https` a length tells. Source: ours."""

_PROTOCOLS = "http,https,httpproxy,tcp,udp,rtp,srtp,rtsp,rtsps,rtmp,rtmps,tls,crypto,srt"
"""What a stream may open: not `file`, since a playlist from elsewhere may name files here."""

_JUMP_US = 10 * US_PER_S
"""A greater step between two frames is a clock set anew. Source: FFmpeg's `dts_delta_threshold`, 10 s."""


def system_clock_us() -> int:
    """Microseconds of a clock that never goes back."""
    return time.monotonic_ns() // 1000


def is_url(text: str) -> bool:
    """Whether it is an address rather than a path.

    >>> is_url("rtsp://door/1"), is_url("C:/party.mp4"), is_url("party.mp4")
    (True, False, False)
    """
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def public_name(url: str) -> str:
    """The address without user, password and query, which results and messages must not hold.

    >>> public_name("rtsp://admin:secret@door.lan:554/stream1?token=abc")
    'rtsp://door.lan:554/stream1'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a stream, and how often to open it again once it is lost.

    `open_s` and `read_s` are the longest waits for an answer and for a frame's bytes; `retries` failures in a row are
    the end, with waits of `pause_s`, twice that, and so on between them.
    """

    open_s: float = 10.0
    read_s: float = 10.0
    retries: int = 5
    pause_s: float = 1.0


@dataclass(slots=True, kw_only=True)
class StreamSource:
    """A stream read with FFmpeg's demuxers: an address, or anything with `read`.

    Attributes:
        called: its name without secrets.
        what: an address, or a file object.
        is_live: whether it goes on by itself.
        patience: of a live one: how it is opened again.
        clock_us: tells how late it is.
        stop: set to end it.
    """

    called: str
    what: Any
    is_live: bool
    patience: Patience = field(default_factory=Patience)
    clock_us: Callable[[], int] = system_clock_us
    stop: threading.Event = field(default_factory=threading.Event)
    num_reopened: int = 0
    num_damaged: int = 0
    num_dropped: int = 0
    _first: Any = None
    _size_px: Size | None = None
    _last_us: int = -1
    _last_arrived_us: int = 0
    _offset_us: int | None = None

    @property
    def name(self) -> str:
        """Its name without secrets."""
        return self.called

    @property
    def span_us(self) -> tuple[int, int | None]:
        """From 0 on; nobody knows when it ends."""
        return 0, None

    def facts(self) -> dict[str, Json]:
        """What is known of it."""
        size = self._size_px or (0, 0)
        return {
            "file": self.called,
            "width_px": size[0],
            "height_px": size[1],
            "is_live": self.is_live,
            "num_reopened": self.num_reopened,
            "num_damaged_packets": self.num_damaged,
        }

    def open_first(self) -> None:
        """Open it, so that a wrong address is told at once.

        Raises:
            GestaError: it cannot be opened, or holds no video.
        """
        self._first = self._opened()

    def shots(self, wanted: Wanted | None) -> Iterator[Shot]:
        """All frames, as they come.

        Raises:
            GestaError: it cannot be opened.
            BadVideo: of one that is not live: it breaks off.
        """
        del wanted
        if self._first is None:
            self.open_first()
        container: Any = self._first
        failures = 0
        while not self.stop.is_set():
            if container is not None:
                try:
                    for shot in self._of(container):
                        failures = 0
                        yield shot
                        if self.stop.is_set():
                            return
                except av.FFmpegError as error:
                    if not self.is_live:
                        raise BadVideo(f"it breaks off ({_words(error)})", where=self.called) from error
                finally:
                    container.close()
                if not self.is_live:
                    return
            if failures >= self.patience.retries or self.stop.wait(self.patience.pause_s * 2**failures):
                return
            failures += 1
            self._offset_us = None
            try:
                container = self._opened()
                self.num_reopened += 1
            except GestaError:
                container = None

    def _opened(self) -> Any:
        if not isinstance(self.what, str):
            options, timeout = {}, None
        else:
            options = {"protocol_whitelist": _PROTOCOLS}
            timeout = (self.patience.open_s, self.patience.read_s)
            if urlsplit(self.what).scheme.startswith("rtsp"):
                # Packets lost on UDP tear pictures; a camera's own network carries TCP.
                options["rtsp_transport"] = "tcp"
        try:
            container = av.open(self.what, metadata_errors="replace", options=options, timeout=timeout)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise GestaError(
                f"it cannot be opened ({_words(error)})",
                where=self.called,
                mend="See that the address is right and that it answers",
            ) from error
        if container.streams.best("video") is None:
            container.close()
            raise BadVideo("holds no video stream", where=self.called, reason="no-video")
        return container

    def _of(self, container: Any) -> Iterator[Shot]:
        stream = container.streams.best("video")
        stream.codec_context.thread_count = 1
        pictured: Pictured | None = None
        for frame in self._decoded(container, stream):
            rotation_deg = rotation_deg_of(frame)
            size_px = (frame.width, frame.height) if rotation_deg % 180 == 0 else (frame.height, frame.width)
            if pictured is None or (pictured.size_px, pictured.rotation_deg) != (size_px, rotation_deg):
                pictured = Pictured(rotation_deg=rotation_deg, size_px=size_px)
                self._size_px = size_px
            arrived_us = self.clock_us()
            time_us = self._time_of(frame, stream, arrived_us)
            if time_us is not None:
                yield Shot(time_us=time_us, size_px=size_px, picture=pictured.of(frame), arrived_us=arrived_us)

    def _decoded(self, container: Any, stream: Any) -> Iterator[Any]:
        """The decoder's frames; where the connection breaks, those that it still holds, then the error."""
        packets = container.demux(stream)
        while True:
            broken: av.FFmpegError | None = None
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                broken, packet = error, None
            if packet is None and broken is None:
                return
            try:
                yield from stream.codec_context.decode(packet if packet is not None and packet.size else None)
            except av.FFmpegError:
                # A stream that is joined in its middle begins with packets that lack what they build on.
                self.num_damaged += 1
            if broken is not None:
                raise broken

    def _time_of(self, frame: Any, stream: Any, arrived_us: int) -> int | None:
        """The frame's time on our clock; None where it does not come after the one before it."""
        passed_us = arrived_us - self._last_arrived_us
        if frame.pts is None:
            time_us = 0 if self._last_us < 0 else self._last_us + max(1, passed_us)
        else:
            own_us = round(frame.pts * stream.time_base * US_PER_S)
            if self._offset_us is None:
                self._offset_us = own_us - (0 if self._last_us < 0 else self._last_us + max(1, passed_us))
            time_us = own_us - self._offset_us
            if abs(time_us - self._last_us) > _JUMP_US:
                time_us = self._last_us + max(1, min(passed_us, _JUMP_US))
                self._offset_us = own_us - time_us
        if time_us <= self._last_us:
            return None
        self._last_us, self._last_arrived_us = time_us, arrived_us
        return time_us


def url_source(
    url: str, *, patience: Patience | None = None, live: bool | None = None, stop: threading.Event | None = None
) -> StreamSource:
    """The stream at that address, opened.

    Args:
        url: of any kind that FFmpeg reads: rtsp, http, rtmp, udp, tcp, srt.
        patience: None = the usual one.
        live: whether it goes on by itself; None = told by its kind, and of http by whether it has a length.
        stop: set to end it.
    Raises:
        GestaError: it cannot be opened.
        BadInput: it is of no kind known.
    """
    scheme = urlsplit(url).scheme.lower()
    if scheme not in (*LIVE_SCHEMES, "http", "https"):
        raise BadInput(
            f"no such kind of address {scheme!r}",
            where=public_name(url),
            mend=f"There are http, https, {', '.join(LIVE_SCHEMES)}",
        )
    is_live = scheme in LIVE_SCHEMES if live is None else live
    source = StreamSource(
        called=public_name(url), what=url, is_live=is_live, patience=patience or Patience(),
        stop=stop or threading.Event(),
    )  # fmt: skip
    source.open_first()
    if live is None and not is_live:
        source.is_live = source._first.duration is None
    return source


@dataclass(slots=True, kw_only=True)
class CameraSource:
    """A camera of this machine, by OpenCV.

    Raises:
        GestaError: there is no such camera, or it gives no picture.
    """

    number: int | str
    clock_us: Callable[[], int] = system_clock_us
    stop: threading.Event = field(default_factory=threading.Event)
    num_dropped: int = 0
    _capture: Any = None
    _size_px: Size = (0, 0)

    def __post_init__(self) -> None:
        before = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self._capture = cv2.VideoCapture(self.number)
            is_there, first = self._capture.read() if self._capture.isOpened() else (False, None)
        finally:
            cv2.utils.logging.setLogLevel(before)
        picture: Any = first
        if not is_there:
            self._capture.release()
            raise GestaError(
                "there is no such camera here, or another program has it",
                where=self.name,
                mend="Plug it in, or count from camera:0 on",
            )
        self._size_px = (picture.shape[1], picture.shape[0])

    @property
    def name(self) -> str:
        """`camera:` and its number."""
        return f"camera:{self.number}"

    @property
    def is_live(self) -> bool:
        """Yes."""
        return True

    @property
    def span_us(self) -> tuple[int, int | None]:
        """From 0 on; nobody knows when it ends."""
        return 0, None

    def facts(self) -> dict[str, Json]:
        """What is known of it."""
        return {"file": self.name, "width_px": self._size_px[0], "height_px": self._size_px[1], "is_live": True}

    def shots(self, wanted: Wanted | None) -> Iterator[Shot]:
        """All pictures, at the times at which they come, until the camera is gone."""
        del wanted
        started_us, last_us = self.clock_us(), -1
        try:
            while not self.stop.is_set():
                is_there, picture = self._capture.read()
                if not is_there:
                    return
                arrived_us = self.clock_us()
                last_us = max(last_us + 1, arrived_us - started_us)
                yield Shot(
                    time_us=last_us,
                    size_px=(picture.shape[1], picture.shape[0]),
                    picture=_from_bgr(picture),
                    arrived_us=arrived_us,
                )
        finally:
            self._capture.release()


def _from_bgr(picture_HWC: Any) -> Callable[[Size | None], Uint8s]:
    def picture(size: Size | None) -> Uint8s:
        rgb: Any = cv2.cvtColor(picture_HWC, cv2.COLOR_BGR2RGB)
        return rgb if size is None else resized(rgb, size)

    return picture


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
