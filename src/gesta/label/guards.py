"""The doors of the service: who may come in, how often, with what, and what browsers may do with the answer.

One middleware sees every request first: it refuses bodies that are too large or are not JSON, and clients that ask
too often, and it sends the security headers. There are no cookies, so a page elsewhere can neither read from the
service nor write to it: a form cannot send JSON, nor an `Authorization` header. Every refusal has the same shape.

Source of the headers: the OWASP secure headers project, of the limits: ours.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import sqlalchemy as sa
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import HTTPBearer
from fastapi.responses import JSONResponse
from fastapi.security.base import SecurityBase
from pydantic import BaseModel
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gesta.label.book import WorkerHere
from gesta.label.media_cuts import MediaBusy
from gesta.label.workers import BadInvite, NameTaken, hash_of_secret
from gesta.schema import BadInput, BadVideo, GestaError, Refused, UnknownName

LOG = logging.getLogger(__name__)

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action {form_action}; frame-ancestors {ancestors}"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
MAX_MESSAGE_CHARACTERS = 500
MAX_JSON_DEPTH = 32
_JSON_METHODS = ("POST", "PUT", "PATCH")
_RETRY_SOON = {"Retry-After": "2"}


class ErrorText(BaseModel):
    """What is wrong: `code` for programs, `message` for people."""

    code: str
    message: str


class ErrorBody(BaseModel):
    """The one shape of every refusal and failure."""

    error: ErrorText


_WHY = {
    400: "the request cannot be understood",
    401: "no good token",
    403: "not for this role, or not any more",
    404: "there is no such thing",
    405: "not with this method",
    409: "it does not go with what is there",
    413: "the body is too large",
    415: "the body is not application/json",
    416: "no such part of the clip",
    422: "a value is wrong",
    428: "If-Match is missing",
    429: "too many requests; see Retry-After",
    503: "not now; see Retry-After",
}


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documentation of refusals, for a route's `responses`: those named, and those of the middleware.

    >>> sorted(responses(404))
    [400, 404, 413, 415, 422, 429, 503]
    """
    always = (400, 413, 415, 422, 429, 503)
    return {status: {"model": ErrorBody, "description": _WHY[status]} for status in sorted({*always, *statuses})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one client may ask for; a rate of 0 = no limit.

    A page asks about once a second and fetches media beside that; a lab of 400 people may sit behind one address.
    Wrong tokens and wrong invites are counted by address alone: what is guessed at 2 a second is not found.
    Source: ours.
    """

    token_rate_per_s: float = 50
    token_burst: float = 400
    address_rate_per_s: float = 3_000
    address_burst: float = 10_000
    wrong_rate_per_s: float = 2
    wrong_burst: float = 60
    max_clients: int = 50_000
    max_body_bytes: int = 1 << 20


NO_LIMITS = Limits(token_rate_per_s=0, address_rate_per_s=0, wrong_rate_per_s=0)
"""For benchmarks and simulated crowds, which are many clients at one address."""


@dataclass(slots=True)
class Buckets:
    """Token buckets, one a client; the longest unused are forgotten when there are too many."""

    rate_per_s: float
    burst: float
    max_clients: int
    clock: Callable[[], float]
    _levels: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def wait_s(self, client: str, *, cost: float = 1.0) -> float:
        """0 when the client may go on, and that is counted; else how many seconds until then.

        >>> times = iter([0.0, 0.0, 0.0, 1.0])
        >>> buckets = Buckets(rate_per_s=2, burst=2, max_clients=9, clock=lambda: next(times))
        >>> [buckets.wait_s("a") for _ in range(4)]
        [0.0, 0.0, 0.5, 0.0]
        """
        if self.rate_per_s <= 0:
            return 0.0
        now = self.clock()
        level, since = self._levels.pop(client, (self.burst, now))
        level = min(self.burst, level + (now - since) * self.rate_per_s)
        is_free = level >= cost
        self._levels[client] = (level - cost if is_free else level, now)
        if len(self._levels) > self.max_clients:
            self._levels.popitem(last=False)
        return 0.0 if is_free else (cost - level) / self.rate_per_s

    def is_empty(self, client: str) -> bool:
        """Whether the client would have to wait; nothing is counted."""
        level, since = self._levels.get(client, (self.burst, 0.0))
        return self.rate_per_s > 0 and level + (self.clock() - since) * self.rate_per_s < 1


@functools.lru_cache(maxsize=4096)
def client_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the /64 that a household or a machine gets of IPv6.

    >>> client_of("192.0.2.7"), client_of("2001:db8:1:2:3:4:5:6"), client_of("testclient")
    ('192.0.2.7', '2001:db8:1:2::/64', 'testclient')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def address_of(scope: Mapping[str, Any]) -> str:
    """The client that a request comes from."""
    client = scope.get("client")
    return client_of(client[0]) if client else ""


def refusal(status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> HTTPException:
    """The exception that makes a route answer with this status, code and message."""
    return HTTPException(status, {"code": code, "message": message}, headers=headers)


def too_often(wait_s: float) -> HTTPException:
    """The exception for a client that asks too often, who may try again in so many seconds."""
    return refusal(429, "too-many-requests", _TOO_OFTEN, headers={"Retry-After": _retry_after(wait_s)})


_TOO_OFTEN = "That was too much at once. Wait a moment; nothing is lost."


def _retry_after(wait_s: float) -> str:
    return str(max(1, int(wait_s + 0.999)))


# ---- who -------------------------------------------------------------------------------------------------------------


class Require(SecurityBase):
    """A dependency that gives the worker who sends the request, if their role is one of these."""

    def __init__(self, roles: Sequence[str]) -> None:
        self.roles = frozenset(roles)
        self.model = HTTPBearer(description="The token that joining gave.")
        self.scheme_name = "token"

    async def __call__(self, request: Request) -> WorkerHere:
        """The worker; 401 without a good token, 403 for another role, 429 after too many wrong tokens."""
        token = token_of(request)
        if token is None:
            raise refusal(401, "no-token", "Sign in: this needs your token.", headers=_ASK_FOR_TOKEN)
        here: WorkerHere | None = request.app.state.service.book.worker_of_token(hash_of_secret(token))
        if here is None:
            count_wrong(request)
            raise refusal(401, "bad-token", "This token is not known here. Join again.", headers=_ASK_FOR_TOKEN)
        if here.role not in self.roles:
            raise refusal(403, "not-for-you", f"This is not open to the role {here.role}.")
        return here


_ASK_FOR_TOKEN = {"WWW-Authenticate": "Bearer"}


def require(*roles: str) -> Require:
    """A dependency, for `Depends`: the worker who sends the request; 401 without a good token, 403 for another role."""
    return Require(roles)


def token_of(request: Request) -> str | None:
    """The token in the request's `Authorization` header, or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def count_wrong(request: Request) -> None:
    """Count a wrong token or invite against the client's address.

    Raises:
        HTTPException: 429 when there were too many.
    """
    wait_s = wrongs_of(request).wait_s(address_of(request.scope))
    if wait_s:
        raise too_often(wait_s)


def check_wrongs(request: Request) -> None:
    """Nothing, unless the client has been guessing: then not even a right guess is told.

    Raises:
        HTTPException: 429.
    """
    if wrongs_of(request).is_empty(address_of(request.scope)):
        raise too_often(1.0)


def wrongs_of(request: Request) -> Buckets:
    """How many wrong tokens and invites each address has left."""
    found: Buckets = request.app.state.wrongs
    return found


# ---- the middleware --------------------------------------------------------------------------------------------------


class Guard:
    """The middleware; see the module's text."""

    def __init__(
        self, app: ASGIApp, *, limits: Limits, framed_by: Mapping[str, Sequence[str]], clock: Callable[[], float]
    ) -> None:
        self.app = app
        self.limits = limits
        self.by_token = Buckets(limits.token_rate_per_s, limits.token_burst, limits.max_clients, clock)
        self.by_address = Buckets(limits.address_rate_per_s, limits.address_burst, limits.max_clients, clock)
        self.headers = security_headers()
        self.framed = {path: security_headers(framed_by=hosts) for path, hosts in framed_by.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        add = self.framed.get(path, self.headers)
        cache = (b"cache-control", b"no-store" if path.startswith("/api") else b"no-cache")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                present = {name for name, _ in headers}
                headers.extend(pair for pair in add if pair[0] not in present)
                if b"cache-control" not in present:
                    headers.append(cache)
                message["headers"] = headers
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, send_guarded)
            return
        if any(name == b"transfer-encoding" for name, _ in scope["headers"]):
            receive = _limited(receive, self.limits.max_body_bytes)
        await self.app(scope, receive, send_guarded)

    def _refused(self, scope: Scope) -> JSONResponse | None:
        """The answer to a request that gets no further, or None."""
        token = kind = length = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                token = value
            elif name == b"content-type":
                kind = value
            elif name == b"content-length":
                length = value
        wait_s = self.by_address.wait_s(address_of(scope))
        if token and not wait_s and self.limits.token_rate_per_s > 0:
            wait_s = self.by_token.wait_s(hash_of_secret(token.decode("latin-1")))
        if wait_s:
            return error_response(429, "too-many-requests", _TOO_OFTEN, headers={"Retry-After": _retry_after(wait_s)})
        if length and (not length.isdigit() or len(length) > 18 or int(length) > self.limits.max_body_bytes):
            return _too_large(self.limits.max_body_bytes)
        is_json = kind.partition(b";")[0].strip().lower() == b"application/json"
        if not is_json and (scope["method"] in _JSON_METHODS or (kind and scope["method"] == "DELETE")):
            return error_response(415, "not-json", "Send JSON, with the header Content-Type: application/json.")
        return None


def _too_large(max_bytes: int) -> JSONResponse:
    return error_response(413, "too-large", f"Send at most {max_bytes} bytes at once.")


def _limited(receive: Receive, max_bytes: int) -> Receive:
    """The body of a request that does not tell its length, cut off where it grows too long."""
    left = max_bytes

    async def receive_some() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise refusal(413, "too-large", f"Send at most {max_bytes} bytes at once.")
        return message

    return receive_some


def security_headers(*, framed_by: Sequence[str] = ()) -> list[tuple[bytes, bytes]]:
    """The headers of every answer; `framed_by` are the hosts that may show the page inside theirs, and get its form.

    >>> dict(security_headers())[b"content-security-policy"].endswith(b"frame-ancestors 'none'")
    True
    """
    hosts = " ".join(framed_by) or "'none'"
    headers = {"content-security-policy": _CSP.format(form_action=hosts, ancestors=hosts), **_HEADERS}
    if not framed_by:
        headers["x-frame-options"] = "DENY"
    return [(name.encode(), value.encode()) for name, value in headers.items()]


# ---- errors ----------------------------------------------------------------------------------------------------------

ERRORS: Mapping[type[GestaError], tuple[int, str]] = {
    MediaBusy: (503, "unavailable"),
    NameTaken: (409, "name-taken"),
    BadInvite: (403, "bad-invite"),
    BadVideo: (404, "no-media"),
    UnknownName: (404, "not-found"),
    Refused: (409, "refused"),
    BadInput: (422, "bad-input"),
}
"""Status and code of the errors that routes may let through; the nearest kind counts."""

_CODES = {
    400: "bad-request", 401: "no-token", 403: "not-for-you", 404: "not-found", 405: "method-not-allowed",
    409: "refused", 413: "too-large", 415: "not-json", 416: "no-such-range", 422: "bad-input", 429: "too-many-requests",
    503: "unavailable",
}  # fmt: skip


def error_response(status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to a request that is refused or failed."""
    # What a client sent may come back in the message, half a surrogate pair too, which no JSON can carry.
    text = message[:MAX_MESSAGE_CHARACTERS].encode("utf-8", "replace").decode()
    body = {"error": {"code": code, "message": text[:1].upper() + text[1:]}}
    return JSONResponse(body, status_code=status, headers=None if headers is None else dict(headers))


def json_text(value: object, *, what: str, max_characters: int) -> str:
    """The value as JSON, fit for the database and for sending back.

    Raises:
        BadInput: it is too long, nested deeper than `MAX_JSON_DEPTH`, or holds a number or a character that JSON,
            UTF-8 or 64 bits have no place for.
    """
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
        orjson.dumps(value)
        is_deep = _is_deeper(value, MAX_JSON_DEPTH)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInput(f"{what} cannot be kept", mend="Want finite numbers and whole characters") from error
    if len(text) > max_characters or is_deep:
        raise BadInput(
            f"{what} of {len(text)} characters",
            mend=f"Want {max_characters} at most, nested {MAX_JSON_DEPTH} deep at most",
        )
    return text


def _is_deeper(value: object, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth < 0 or any(_is_deeper(one, depth - 1) for one in inner)


def add_guards(
    app: FastAPI,
    *,
    limits: Limits | None = None,
    framed_by: Mapping[str, Sequence[str]] | None = None,
    errors: Mapping[type[GestaError], tuple[int, str]] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Put the guard before every route, and the one shape on every error.

    Args:
        framed_by: path of a page, and the hosts that may show it inside theirs, such as a crowd's.
        errors: status and code of errors beyond `ERRORS`.
    """
    limits = Limits() if limits is None else limits
    known = {**ERRORS, **(errors or {})}
    app.state.wrongs = Buckets(limits.wrong_rate_per_s, limits.wrong_burst, limits.max_clients, clock)
    # A redirect to the address without its slash would be an answer of another shape.
    app.router.redirect_slashes = False
    app.add_middleware(Guard, limits=limits, framed_by=framed_by or {}, clock=clock)

    @app.exception_handler(GestaError)
    async def mendable(_request: Request, error: GestaError) -> JSONResponse:
        found = (known[kind] for kind in type(error).__mro__ if kind in known)
        status, code = next(found, (500, "failed"))
        if status == 500:
            LOG.error("a request failed: %s", error)
            return error_response(500, code, "The service failed on this request; its log says why.")
        # `where` is for the operator: it may be a path.
        text = "This clip cannot be played" if isinstance(error, BadVideo) else error.problem
        message = f"{text}. {error.mend}" if error.mend else f"{text}."
        return error_response(status, code, message, headers=_RETRY_SOON if status == 503 else None)

    @app.exception_handler(RequestValidationError)
    async def unreadable(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return error_response(422, "bad-input", f"{place}: {first['msg']}")

    @app.exception_handler(AnyHTTPException)
    async def refused(_request: Request, error: AnyHTTPException) -> JSONResponse:
        if isinstance(error.detail, dict):
            return error_response(
                error.status_code, error.detail["code"], error.detail["message"], headers=error.headers
            )
        code = _CODES.get(error.status_code, "refused")
        return error_response(error.status_code, code, f"{error.detail}.", headers=error.headers)

    async def no_database(_request: Request, error: Exception) -> JSONResponse:
        LOG.error("the database does not answer: %s", getattr(error, "orig", None) or type(error).__name__)
        return busy()

    for kind in (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError):
        app.add_exception_handler(kind, no_database)

    @app.exception_handler(Exception)
    async def broken(request: Request, _error: Exception) -> JSONResponse:
        # Starlette answers this one outside every middleware, so the headers are added here.
        response = error_response(500, "defect", "The service failed on this request; its log says why.")
        response.raw_headers.extend(security_headers())
        response.headers["Cache-Control"] = "no-store"
        return response


def busy() -> JSONResponse:
    """The answer while the database is away or the service is closing: the page keeps what it has and tries again."""
    message = "The service cannot do this just now. Nothing is lost; it will be tried again."
    return error_response(503, "unavailable", message, headers=_RETRY_SOON)
