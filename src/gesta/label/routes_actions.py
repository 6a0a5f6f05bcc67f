"""The route that lists the run's own actions: what the page completes while a worker types."""

from __future__ import annotations

from typing import Annotated

import sqlalchemy as sa
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel

from gesta.label.book import WorkerHere
from gesta.label.guards import require, responses
from gesta.label.service import Service
from gesta.label.sql_tables import classes

Reader = Annotated[WorkerHere, Depends(require("worker", "reviewer", "owner"))]


class Actions(BaseModel):
    """The names of the run's actions in alphabetical order, without those that were dropped."""

    actions: list[str]


def add_action_routes(app: FastAPI) -> None:
    """Add the route."""

    @app.get("/api/actions", responses=responses(401, 403), tags=["worker"])
    def actions(request: Request, _who: Reader) -> Actions:
        """The names of the run's actions, for completion; which of them is asked where is not told."""
        service: Service = request.app.state.service
        query = sa.select(classes.c.name).where(classes.c.state != "dropped").distinct().order_by(classes.c.name)
        with service.store.reading() as db:
            return Actions(actions=list(db.execute(query).scalars()))
