"""The doors: one shape of errors, headers on every answer, who may come in, how often, and with what."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Annotated, Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import Depends, FastAPI, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from gesta.label import guards
from gesta.label.book import WorkerHere
from gesta.label.guards import Buckets, Limits, add_guards, client_of, json_text, require
from gesta.label.media_cuts import MediaBusy
from gesta.label.workers import hash_of_secret
from gesta.schema import BadInput, BadVideo, GestaError, Refused, UnknownName

TOKENS = {"worker": "token-of-ann", "reviewer": "token-of-rob", "owner": "token-of-olga"}


class FakeBook:
    """Knows the three tokens."""

    def worker_of_token(self, token_sha256: str) -> WorkerHere | None:
        """The worker, or None."""
        for seq, (role, token) in enumerate(TOKENS.items()):
            if hash_of_secret(token) == token_sha256:
                return WorkerHere(
                    seq=seq, worker_id=f"the {role}", role=role, state="active", is_held_by_owner=False,
                    token_sha256=token_sha256, num_votes=0, num_gold=0, num_gold_right=0,
                )  # fmt: skip
        return None


class Client:
    """Sends requests straight into an app, one after another."""

    def __init__(self, app: FastAPI, *, address: str = "127.0.0.1") -> None:
        self.app, self.address = app, address

    def request(self, method: str, path: str, *, headers: Any = None, content: Any = None) -> httpx.Response:
        """The app's answer."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(self.address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, headers=headers, content=content)

        return asyncio.run(send())

    def get(self, path: str, *, headers: Any = None) -> httpx.Response:
        """The app's answer to GET."""
        return self.request("GET", path, headers=headers)


class Body(BaseModel):
    """One number."""

    number: int


class Clock:
    """A clock that moves when it is told."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


RAISED: dict[str, BaseException] = {
    "bad-input": BadInput("a box is wrong", where="/secret/path", mend="Draw it again"),
    "no-media": BadVideo("no frame can be decoded", where="/secret/path/v.mp4"),
    "not-found": UnknownName(what="class", name="<script>", choices=["run"]),
    "refused": Refused("that is you"),
    "failed": GestaError("of no known kind", where="/secret/path"),
    "unavailable": sa.exc.OperationalError("SELECT", {"p": "secret"}, Exception("gone")),
    "busy": MediaBusy("too many clips are being cut", mend="Try again in a moment"),
    "defect": ZeroDivisionError("secret"),
}


def make_app(*, limits: Limits | None = None, clock: Clock | None = None, **framed: list[str]) -> FastAPI:
    """A service of a few routes behind the guards."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.service = SimpleNamespace(book=FakeBook())
    framed_by = {f"/{path}": hosts for path, hosts in framed.items()}
    add_guards(app, limits=limits, framed_by=framed_by, clock=clock or Clock())

    @app.get("/api/mine")
    async def mine(who: Annotated[WorkerHere, Depends(require("worker", "owner"))]) -> str:
        return who.worker_id

    @app.post("/api/number")
    async def number(body: Body) -> int:
        return body.number

    @app.delete("/api/number")
    async def delete() -> str:
        return "gone"

    @app.get("/api/raise/{name}")
    async def failing(name: str) -> None:
        raise RAISED[name]

    @app.get("/page")
    @app.get("/mturk")
    async def page() -> PlainTextResponse:
        return PlainTextResponse("<html>")

    @app.get("/api/kept")
    async def kept() -> PlainTextResponse:
        return PlainTextResponse("", headers={"Cache-Control": "private, max-age=60", "Referrer-Policy": "origin"})

    return app


@pytest.fixture
def client() -> Client:
    return Client(make_app())


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


def error_of(response: Any) -> tuple[int, str]:
    """Status and code, once the error is found to have the one shape."""
    told = response.json()
    assert set(told) == {"error"}
    assert set(told["error"]) == {"code", "message"}
    message = told["error"]["message"]
    assert message.endswith((".", "!")) or message.count(" ") > 1
    assert message[:1].isupper() or not message[:1].isalpha() or "." in message.split(" ")[0]
    assert "secret" not in response.text
    return response.status_code, told["error"]["code"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (401, "no-token")),
        ({"Authorization": "Bearer "}, (401, "no-token")),
        ({"Authorization": "Basic dG9rZW4="}, (401, "no-token")),
        ({"Authorization": "Bearer wrong"}, (401, "bad-token")),
        ({"Authorization": b"Bearer \xff\xfe"}, (401, "bad-token")),
        (bearer(TOKENS["reviewer"]), (403, "not-for-you")),
    ],
)
def test_who_may_not_is_told_so(client: Client, headers: Any, expected: tuple[int, str]) -> None:
    response = client.get("/api/mine", headers=headers)
    assert error_of(response) == expected
    assert ("www-authenticate" in response.headers) == (expected[0] == 401)


@pytest.mark.parametrize("role", ["worker", "owner"])
def test_who_may_comes_in(client: Client, role: str) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        response = client.get("/api/mine", headers={"Authorization": f"{scheme} {TOKENS[role]}"})
        assert (response.status_code, response.json()) == (200, f"the {role}")


@pytest.mark.parametrize(
    ("name", "status", "code", "text"),
    [
        ("bad-input", 422, "bad-input", "A box is wrong. Draw it again"),
        ("no-media", 404, "no-media", "This clip cannot be played."),
        ("not-found", 404, "not-found", "No class '<script>'. There are: run"),
        ("refused", 409, "refused", "That is you."),
        ("failed", 500, "failed", "The service failed on this request; its log says why."),
        ("unavailable", 503, "unavailable", "Nothing is lost"),
        ("busy", 503, "unavailable", "Try again in a moment"),
        ("defect", 500, "defect", "The service failed on this request; its log says why."),
    ],
)
def test_every_failure_has_one_shape(
    client: Client, caplog: pytest.LogCaptureFixture, name: str, status: int, code: str, text: str
) -> None:
    response = client.get(f"/api/raise/{name}")
    assert error_of(response) == (status, code)
    assert text in response.json()["error"]["message"]
    assert ("retry-after" in response.headers) == (status == 503)
    assert response.headers["content-type"] == "application/json"
    is_ours = name in ("failed", "unavailable")
    assert [record.levelname for record in caplog.records if record.name.startswith("gesta")] == ["ERROR"] * is_ours
    caplog.clear()


@pytest.mark.parametrize(
    ("method", "path", "content", "kind", "expected"),
    [
        ("GET", "/nothing", b"", None, (404, "not-found")),
        ("GET", "/api/mine/", b"", None, (404, "not-found")),
        ("PATCH", "/api/mine", b"{}", "application/json", (405, "method-not-allowed")),
        ("POST", "/api/number", b"{}", "application/json", (422, "bad-input")),
        ("POST", "/api/number", b"{", "application/json", (422, "bad-input")),
        ("POST", "/api/number", b'{"number": "\\ud800"}', "application/json", (422, "bad-input")),
        ("POST", "/api/number", b"\xff\xfe\x00", "application/json", (400, "bad-request")),
        ("POST", "/api/number", b'{"number": 1}', None, (415, "not-json")),
        ("POST", "/api/number", b'{"number": 1}', "text/plain", (415, "not-json")),
        ("POST", "/api/number", b"number=1", "application/x-www-form-urlencoded", (415, "not-json")),
        ("POST", "/api/number", b'{"number": 1}', "multipart/form-data; boundary=application/json", (415, "not-json")),
        ("DELETE", "/api/number", b"a=b", "text/plain", (415, "not-json")),
        ("POST", "/api/number", b"1" * 2_000_000, "application/json", (413, "too-large")),
    ],
)
def test_what_cannot_be_meant_is_refused(
    client: Client, method: str, path: str, content: bytes, kind: str | None, expected: tuple[int, str]
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    assert error_of(client.request(method, path, content=content, headers=headers)) == expected


def test_json_is_json_with_a_charset_too(client: Client) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert client.request("POST", "/api/number", content=b'{"number": 7}', headers=headers).json() == 7
    assert client.request("DELETE", "/api/number").json() == "gone"


def test_a_body_without_a_length_is_cut_off() -> None:
    client = Client(make_app(limits=Limits(max_body_bytes=1000)))
    headers = {"Content-Type": "application/json"}

    async def stream(num: int) -> AsyncIterator[bytes]:
        yield b'{"number": 1, "more": "'
        for _ in range(num):
            yield b"x" * 100
        yield b'"}'

    assert client.request("POST", "/api/number", content=stream(5), headers=headers).json() == 1
    assert error_of(client.request("POST", "/api/number", content=stream(50), headers=headers)) == (413, "too-large")


@pytest.mark.parametrize("length", ["-1", "+5", "1e3", "9" * 30, "5, 5"])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"{}"}

    scope = {
        "type": "http", "method": "POST", "path": "/api/number", "client": None, "query_string": b"", "headers":
        [(b"content-type", b"application/json"), (b"content-length", length.encode())],
    }  # fmt: skip
    guard = guards.Guard(make_app(), limits=Limits(), framed_by={}, clock=Clock())
    asyncio.run(guard(scope, receive, send))
    assert sent[0]["status"] == 413


@pytest.mark.parametrize("path", ["/page", "/api/mine", "/nothing", "/api/raise/defect", "/api/number"])
def test_every_answer_has_the_headers(client: Client, path: str) -> None:
    headers = client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["media-src"] == "'self' blob:"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert headers["cache-control"] == ("no-store" if path.startswith("/api") else "no-cache")


def test_what_a_route_says_stands(client: Client) -> None:
    headers = client.get("/api/kept").headers
    assert headers.get_list("cache-control") == ["private, max-age=60"]
    assert headers.get_list("referrer-policy") == ["origin"]


def test_only_the_page_of_a_crowd_may_be_framed_by_it() -> None:
    client = Client(make_app(mturk=["https://*.mturk.com"]))
    framed = client.get("/mturk").headers
    assert "frame-ancestors https://*.mturk.com" in framed["content-security-policy"]
    assert "form-action https://*.mturk.com" in framed["content-security-policy"]
    assert "x-frame-options" not in framed
    other = client.get("/page").headers
    assert "frame-ancestors 'none'" in other["content-security-policy"]
    assert other["x-frame-options"] == "DENY"


def test_no_page_elsewhere_is_let_in(client: Client) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = client.request("OPTIONS", "/api/number", headers=asked)
    assert preflight.status_code == 405
    simple = client.get("/api/mine", headers={**bearer(TOKENS["worker"]), "Origin": "https://evil.example"})
    assert not any(name.startswith("access-control") for name in (*preflight.headers, *simple.headers))
    assert "set-cookie" not in simple.headers


def test_one_token_cannot_take_all(client: Client) -> None:
    clock = Clock()
    limits = Limits(token_rate_per_s=2, token_burst=3, address_rate_per_s=0)
    client = Client(make_app(limits=limits, clock=clock))
    ann, olga = bearer(TOKENS["worker"]), bearer(TOKENS["owner"])
    assert [client.get("/api/mine", headers=ann).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = client.get("/api/mine", headers=ann)
    assert error_of(refused) == (429, "too-many-requests")
    assert refused.headers["retry-after"] == "1"
    assert client.get("/api/mine", headers=olga).status_code == 200
    clock.now = 0.5
    assert [client.get("/api/mine", headers=ann).status_code for _ in range(2)] == [200, 429]


def test_one_address_cannot_take_all() -> None:
    clock = Clock()
    limits = Limits(address_rate_per_s=0.1, address_burst=2)
    app = make_app(limits=limits, clock=clock)
    here, there = (Client(app, address=address) for address in ("192.0.2.1", "192.0.2.2"))
    assert [here.get("/page").status_code for _ in range(3)] == [200, 200, 429]
    assert here.get("/page").headers["retry-after"] == "10"
    assert there.get("/page").status_code == 200


def test_wrong_tokens_run_out_and_right_ones_do_not() -> None:
    limits = Limits(wrong_rate_per_s=0.01, wrong_burst=3)
    client = Client(make_app(limits=limits, clock=Clock()))
    codes = [client.get("/api/mine", headers=bearer(f"guess {k}")).status_code for k in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    assert client.get("/api/mine", headers=bearer(TOKENS["worker"])).status_code == 200
    assert client.get("/api/mine").status_code == 401, "no token is no guess"


def test_without_limits_nobody_waits() -> None:
    client = Client(make_app(limits=guards.NO_LIMITS))
    assert {client.get("/api/mine", headers=bearer("x")).status_code for _ in range(200)} == {401}


def test_buckets_forget_the_longest_unused() -> None:
    clock = Clock()
    buckets = Buckets(rate_per_s=1, burst=1, max_clients=2, clock=clock)
    assert [buckets.wait_s(name) for name in ("a", "b", "c")] == [0, 0, 0]
    assert len(buckets._levels) == 2
    assert buckets.wait_s("c") == 1.0
    assert buckets.is_empty("c")
    assert not buckets.is_empty("a")
    clock.now = 1.0
    assert not buckets.is_empty("c")


def test_an_address_is_one_client_or_a_household() -> None:
    assert client_of("2001:db8::1") == client_of("2001:db8::ffff") != client_of("2001:db8:0:1::1")
    assert client_of("::ffff:192.0.2.1") == client_of("192.0.2.1")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (float("nan"), "it cannot be kept"),
        ([float("inf")], "it cannot be kept"),
        ({"a": "\ud800"}, "it cannot be kept"),
        ({"\udfff": 1}, "it cannot be kept"),
        (2**64, "it cannot be kept"),
        ("x" * 50, r"it of 52 characters\. Want 20 at most"),
        (json.loads("[" * 34 + "]" * 34), "nested 32 deep at most"),
        (json.loads("[" * 900 + "]" * 900), "it cannot be kept"),
    ],
)
def test_json_that_cannot_be_sent_back_is_not_kept(value: object, text: str) -> None:
    with pytest.raises(BadInput, match=text):
        json_text(value, what="it", max_characters=20)


def test_json_that_can_be_is() -> None:
    assert json_text({"a": ["\0", "ü"]}, what="it", max_characters=50) == '{"a":["\\u0000","\\u00fc"]}'


def test_no_failure_writes_a_secret_down(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()

    @app.get("/api/odd")
    async def odd(request: Request) -> None:
        raise sa.exc.InterfaceError("SELECT :t", {"t": "token-of-ann"}, Exception("closed"))

    client = Client(app)
    with caplog.at_level(logging.DEBUG, logger="gesta"):
        assert client.get("/api/odd", headers=bearer(TOKENS["worker"])).status_code == 503
    assert "closed" in caplog.text
    assert "token-of-ann" not in caplog.text
    caplog.clear()


def test_the_documentation_names_the_shape_of_errors() -> None:
    told = guards.responses(401, 404)
    assert {"model", "description"} <= set(told[401])
    assert told[404]["model"] is guards.ErrorBody
