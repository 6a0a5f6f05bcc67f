"""A route that FastAPI documents and does not serve: for the two requests that make nearly all of the load.

FastAPI resolves a route's parameters anew for every request, which costs as much as all else that is done in Python to
hand out a task. Such a route's endpoint takes the request, the worker who sends it and, if it says so, a body: no more.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

from gesta.label.book import WorkerHere
from gesta.label.guards import require

_SENDER = require("worker", "reviewer", "owner")

Anybody = Annotated[WorkerHere, Depends(_SENDER)]
"""A worker of any role, as a parameter of a route."""


class LeanRoute(APIRoute):
    """A route of an endpoint `(request, who: Anybody)` or `(request, body, who: Anybody)` that gives a response."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request.

        Raises:
            RequestValidationError: the body is not what the endpoint wants.
            HTTPException: nobody known sends it, or the method is another.
        """
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        request = Request(scope, receive)
        who = await _SENDER(request)
        given: dict[str, Any] = {}
        if self.body_field is not None:
            model = cast(type[BaseModel], self.body_field.field_info.annotation)
            given["body"] = _read(model, await request.body())
        response = await self.endpoint(request=request, who=who, **given)
        await response(scope, receive, send)


def _read(model: type[BaseModel], body: bytes) -> BaseModel:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from error
