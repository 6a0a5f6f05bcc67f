"""The two busiest routes answer as FastAPI's own would, though they read their requests themselves."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gesta.label.guards import NO_LIMITS, add_guards
from gesta.label.lean_route import Anybody, LeanRoute


class Body(BaseModel):
    """Something to send."""

    number: int = Field(ge=0)


class _Service:
    def __init__(self) -> None:
        self.book = self

    def worker_of_token(self, _hash: str) -> Any:
        return type("Worker", (), {"role": "worker", "seq": 7})


@pytest.fixture
def client() -> TestClient:
    app = FastAPI()
    app.state.service = _Service()
    add_guards(app, limits=NO_LIMITS)

    async def double(request: Request, body: Body, who: Anybody) -> Response:
        return JSONResponse({"seq": who.seq, "doubled": 2 * body.number})

    async def bare(request: Request, who: Anybody) -> Response:
        return JSONResponse({"seq": who.seq})

    for name, route in (("lean", LeanRoute), ("usual", None)):
        app.router.add_api_route(f"/api/{name}", double, methods=["POST"], route_class_override=route)
        app.router.add_api_route(f"/api/{name}/bare", bare, methods=["POST"], route_class_override=route)
    return TestClient(app)


SIGNED = {"Authorization": "Bearer x", "Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("", b'{"number": 4}', SIGNED, 200),
        ("/bare", b"{}", SIGNED, 200),
        ("/bare", b"", SIGNED, 200),
        ("", b'{"number": -1}', SIGNED, 422),
        ("", b'{"number": "x"}', SIGNED, 422),
        ("", b"{}", SIGNED, 422),
        ("", b"[]", SIGNED, 422),
        ("", b"null", SIGNED, 422),
        ("", b"{", SIGNED, 422),
        ("", b"", SIGNED, 422),
        ("", b"\xff", SIGNED, 422),
        ("", b'{"number": 4}', {"Content-Type": "application/json"}, 401),
        ("", b'{"number": 4}', {"Authorization": "Bearer x"}, 415),
    ],
)
def test_it_answers_as_the_usual_route(
    client: TestClient, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    lean = client.post(f"/api/lean{path}", content=body, headers=headers)
    usual = client.post(f"/api/usual{path}", content=body, headers=headers)
    assert lean.status_code == status
    if body != b"\xff":  # FastAPI calls bytes that are no text a bad request, 400
        assert usual.status_code == status
    if status == 200:
        assert lean.json() == usual.json()
    else:
        assert set(lean.json()["error"]) == {"code", "message"}


def test_where_the_body_is_wrong_is_told(client: TestClient) -> None:
    answer = client.post("/api/lean", content=b'{"number": -1}', headers=SIGNED)
    assert answer.json()["error"]["message"] == "Body.number: Input should be greater than or equal to 0"


def test_another_method_is_refused(client: TestClient) -> None:
    assert client.get("/api/lean", headers=SIGNED).status_code == 405


def test_it_is_documented_as_the_usual_route(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    lean, usual = paths["/api/lean"]["post"], paths["/api/usual"]["post"]
    assert lean["requestBody"] == usual["requestBody"]
    assert lean["security"] == usual["security"]
