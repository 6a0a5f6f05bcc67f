"""Schemathesis over the service's own OpenAPI: whatever is sent, no defect, and answers as they are documented."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gesta.label.app import create_app
from gesta.label.guards import NO_LIMITS
from gesta.label.server import RunningServer, running_server

from .label_world import Person, client_of, make_work

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip

SCHEMA = schemathesis.openapi.from_dict(create_app(SimpleNamespace()).openapi())  # type: ignore[arg-type]

FEW = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
MANY = settings(FEW, max_examples=80)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    work = make_work(tmp_path_factory.mktemp("label"))
    with running_server(work, limits=NO_LIMITS, skill_of=lambda votes: []) as running:
        with client_of(running.url) as client:
            ann = Person(client, running.token_of("ann"))
            ann.send(ann.task()["task"]).raise_for_status()
        yield running


@pytest.fixture(scope="module")
def headers(server: RunningServer) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token_of('olga', role='owner')}"}


def _try(case: Any, server: RunningServer, headers: dict[str, str]) -> None:
    response = case.call(base_url=server.url, headers=headers)
    case.validate_response(response, checks=CHECKS)
    if response.status_code >= 400:
        assert set(response.json()) == {"error"}
        assert set(response.json()["error"]) == {"code", "message"}


@SCHEMA.parametrize()
@FEW
def test_whatever_is_sent_the_answer_is_as_documented(
    case: Any, server: RunningServer, headers: dict[str, str]
) -> None:
    _try(case, server, headers)


@pytest.mark.slow
@SCHEMA.parametrize()
@MANY
def test_whatever_is_sent_at_length(case: Any, server: RunningServer, headers: dict[str, str]) -> None:
    _try(case, server, headers)


def test_every_route_under_api_and_media_is_documented() -> None:
    told = create_app(SimpleNamespace()).openapi()  # type: ignore[arg-type]
    assert len(told["paths"]) > 25
    for path, methods in told["paths"].items():
        assert path.startswith(("/api/", "/media/"))
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation.get("description"), where
            refusals = {status for status in operation["responses"] if status[0] in "45"}
            assert {"422", "429", "503"} <= refusals or path == "/api/labels", where
            for status in refusals:
                content = operation["responses"][status]["content"]["application/json"]["schema"]
                assert content == {"$ref": "#/components/schemas/ErrorBody"}, f"{where} {status}"
