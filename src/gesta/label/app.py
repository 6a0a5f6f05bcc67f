"""The HTTP service: its routes, its pages, its guards, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from gesta.label.answers import KeyReused, NotYours, Overloaded, Stale, StoreDown, WorkerBarred
from gesta.label.external_crowds import FRAMED_BY
from gesta.label.guards import Limits, add_guards
from gesta.label.routes_actions import add_action_routes
from gesta.label.routes_external import add_external_routes
from gesta.label.routes_labels import add_label_routes
from gesta.label.routes_media import add_media_routes
from gesta.label.routes_owner import add_owner_routes
from gesta.label.routes_pay import add_pay_routes
from gesta.label.routes_worker import add_task_routes
from gesta.label.routes_workers import add_worker_routes
from gesta.label.service import Service
from gesta.schema import GestaError

PAGE = Path(__file__).parent / "page"

_ERRORS: Mapping[type[GestaError], tuple[int, str]] = {
    WorkerBarred: (403, "barred"),
    NotYours: (404, "not-found"),
    KeyReused: (409, "key-reused"),
    Stale: (409, "stale"),
    StoreDown: (503, "store-down"),
    Overloaded: (503, "overloaded"),
}


def create_app(
    service: Service, *, limits: Limits | None = None, framed_by: Mapping[str, Sequence[str]] | None = None
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        limits: of requests; None = the usual ones.
        framed_by: path of a page, and the hosts that may show it inside theirs; None = Mechanical Turk its own.
    """
    app = FastAPI(title="gesta label", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.service = service
    add_guards(app, limits=limits, framed_by=FRAMED_BY if framed_by is None else framed_by, errors=_ERRORS)
    add_task_routes(app)  # first, since routes are tried in order and most requests are for these
    add_worker_routes(app)
    add_label_routes(app)
    add_action_routes(app)
    add_media_routes(app)
    add_owner_routes(app)
    add_pay_routes(app)
    add_external_routes(app)
    _add_pages(app)
    return app


def _add_pages(app: FastAPI) -> None:
    def page(name: str) -> FileResponse:
        return FileResponse(PAGE / name, headers={"Cache-Control": "no-cache"})

    @app.get("/", include_in_schema=False)
    @app.get("/join", include_in_schema=False)
    def worker_page() -> FileResponse:
        return page("index.html")

    @app.get("/owner", include_in_schema=False)
    def owner_page() -> FileResponse:
        return page("owner.html")

    app.mount("/static", StaticFiles(directory=PAGE), name="static")
