"""A web page with the live picture, who is in it, and what each one has been doing; served from this process.

On this machine's own addresses (127.0.0.1, ::1) it is open to whoever uses the machine, as pages on localhost are, and
answers to no other host name, so that a page elsewhere cannot reach it by a name of its own. On any other address it
wants a token, which only the link that is printed carries. It sets no cookies, and loads nothing from elsewhere.

Source of the headers: the OWASP secure headers project.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from gesta.predict.streams.live import LiveNow
from gesta.predict.streams.moments import Moment
from gesta.predict.streams.shots import Shot
from gesta.predict.viewers.looking import people_in
from gesta.schema import BadInput, GestaError, MissingExtra
from gesta.tables import Json

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = Path(__file__).parent / "page"

MOST_MOMENTS = 600
"""Moments that a page which is opened late is told. Source: ours; ten minutes at one a second."""

MOST_WIDE_PX = 960
"""Pictures are shrunk to it. Source: ours."""

_LONG_POLL_S = 10.0
_TICK_S = 0.01
_START_S = 30.0

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
_FILES = {"/": "index.html", "/page.js": "page.js", "/style.css": "style.css", "/icon.svg": "icon.svg"}


@dataclass(slots=True, kw_only=True)
class PageViewer:
    """What the page shows; written by the watching thread, read by the server's."""

    facts: Mapping[str, Json]
    min_score: float
    stride_us: int
    num_shots: int = 0
    num_moments: int = 0
    is_over: bool = False
    _shot: Shot | None = None
    _look: dict[str, Json] = field(default_factory=dict)
    _counts: dict[str, Json] = field(default_factory=dict)
    _moments: deque[tuple[int, Json]] = field(default_factory=lambda: deque(maxlen=MOST_MOMENTS))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def shot(self, shot: Shot, now: LiveNow) -> None:
        """Show the frame with everybody in it; it becomes a picture only when a page asks."""
        people: list[Json] = [
            {"person_id": each.person_id, "box": list(each.box), "actions": [list(pair) for pair in each.actions]}
            for each in people_in(shot, now, min_score=self.min_score)
        ]
        with self._lock:
            self.num_shots += 1
            self._shot = shot
            self._look = {"number": self.num_shots, "time_us": shot.time_us, "people": people}
            self._counts = {
                "frames": now.num_frames,
                "dropped_frames": now.num_dropped,
                "skipped_moments": now.num_skipped,
                "skipped_searches": now.num_not_searched,
                "latency_us": now.latency_us,
            }

    def moment(self, moment: Moment) -> None:
        """Add a moment to the timeline."""
        told: Json = {
            "time_us": moment.time_us,
            "start_us": moment.start_us,
            "end_us": moment.end_us,
            "persons": [
                {
                    "person_id": person.person_id,
                    "actions": [list(pair) for pair in person.top(5, min_score=self.min_score)],
                }
                for person in moment.persons
            ],
        }
        with self._lock:
            self.num_moments += 1
            self._moments.append((self.num_moments, told))

    def close(self) -> None:
        """Say on the page that it is over."""
        with self._lock:
            self.is_over = True

    def picture(self) -> tuple[bytes, str]:
        """The last frame as a JPEG, and who is in it as JSON.

        Raises:
            BadInput: there is no frame yet.
        """
        with self._lock:
            shot, look = self._shot, json.dumps(self._look)
        if shot is None:
            raise BadInput("there is no frame yet")
        width, height = shot.size_px
        size = None if width <= MOST_WIDE_PX else (MOST_WIDE_PX, max(1, round(height * MOST_WIDE_PX / width)))
        rgb: Any = shot.picture(size)
        _, coded = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
        return coded.tobytes(), look

    def news(self, after: int) -> dict[str, Json]:
        """What has come since the moment of that number."""
        with self._lock:
            return {
                "number": self.num_moments,
                "is_over": self.is_over,
                "facts": dict(self.facts),
                "stride_us": self.stride_us,
                "counts": dict(self._counts),
                "moments": [told for number, told in self._moments if number > after],
            }


def page_app(viewer: PageViewer, *, host: str, token: str | None) -> Starlette:
    """The page and what it asks for, as an ASGI application.

    Args:
        viewer: what is shown.
        host: the address that is listened at.
        token: that requests must carry; None = none, and requests for other host names are refused.
    Raises:
        MissingExtra: Starlette is not installed.
    """
    try:
        from starlette.applications import Starlette
        from starlette.responses import FileResponse, JSONResponse, Response
        from starlette.routing import Route
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="label", module=error.name or "starlette") from error

    def refused(request: Request) -> Response | None:
        if token is None:
            name = (request.headers.get("host") or "").rpartition(":")[0] or request.headers.get("host") or ""
            if name.strip("[]") not in ("localhost", "127.0.0.1", "::1", host):
                return Response("This page is for this machine.", status_code=403, headers=_HEADERS)
            return None
        given = (request.headers.get("authorization") or "").partition(" ")[2]
        if not hmac.compare_digest(given.encode(), token.encode()):
            return Response("Open the link that was printed.", status_code=401, headers=_HEADERS)
        return None

    def file(request: Request) -> Response:
        if token is None and (no := refused(request)) is not None:
            return no
        return FileResponse(PAGE / _FILES[request.url.path], headers=_HEADERS)

    async def frame(request: Request) -> Response:
        if (no := refused(request)) is not None:
            return no
        after = _number(request.query_params.get("after"))
        if not await _until(lambda: viewer.num_shots > after or viewer.is_over) or viewer.num_shots <= after:
            return Response(status_code=204, headers=_HEADERS)
        picture, look = await asyncio.to_thread(viewer.picture)
        return Response(picture, media_type="image/jpeg", headers={**_HEADERS, "x-look": look})

    async def news(request: Request) -> Response:
        if (no := refused(request)) is not None:
            return no
        after, was_over = _number(request.query_params.get("after")), request.query_params.get("over") == "1"
        await _until(lambda: viewer.num_moments > after or viewer.is_over != was_over, seconds=1.0)
        return JSONResponse(viewer.news(after), headers=_HEADERS)

    return Starlette(
        routes=[
            *(Route(path, file, methods=["GET"]) for path in _FILES),
            Route("/api/frame", frame, methods=["GET"]),
            Route("/api/news", news, methods=["GET"]),
        ]
    )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() and len(text) < 16 else 0


async def _until(is_so: Any, *, seconds: float = _LONG_POLL_S) -> bool:
    """Whether it became so in time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_TICK_S)
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`; a port alone is of this machine.

    Raises:
        BadInput: it is none.

    >>> parse_address("8765"), parse_address("[::1]:80")
    (('127.0.0.1', 8765), ('::1', 80))
    """
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise BadInput(f"{text!r} is no address", mend="Want HOST:PORT, such as 127.0.0.1:8765")
    return host.strip("[]") or "127.0.0.1", int(port)


@contextmanager
def served_page(viewer: PageViewer, *, address: str, token: str | None = None) -> Iterator[str]:
    """The link of the page, which is served while the block runs.

    Args:
        viewer: what is shown.
        address: `HOST:PORT`; port 0 = any that is free.
        token: for another address than this machine's own; None = a new one where one is needed.
    Raises:
        BadInput: the address is none.
        GestaError: it is taken, or not of this machine, or the server does not start.
        MissingExtra: Starlette or uvicorn is not installed.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="label", module="uvicorn") from error
    host, port = parse_address(address)
    secret = None if is_loopback(host) else (token or secrets.token_urlsafe(24))
    app = page_app(viewer, host=host, token=secret)
    with _listening(host, port) as listener:
        config = uvicorn.Config(
            app, log_config=None, log_level="warning", access_log=False, lifespan="off", server_header=False,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="gesta-page", daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + _START_S
            while not server.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise GestaError("the page's server did not start", where=address)
                time.sleep(0.005)
            shown = f"[{host}]" if ":" in host else host
            link = f"http://{shown}:{listener.getsockname()[1]}/"
            yield link if secret is None else f"{link}#token={secret}"
        finally:
            viewer.close()
            server.should_exit = True
            thread.join(_START_S)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise GestaError(
            f"cannot listen there ({error.strerror or error})",
            where=f"{host}:{port}",
            mend="Choose another address with --serve",
        ) from error
    with listener:
        yield listener
