"""What everybody is owed, for the owner alone: as JSON, as CSV, and the rule that it follows."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from gesta.label.book import WorkerHere
from gesta.label.guards import refusal, require, responses
from gesta.label.pay import (
    AssignmentPay,
    PayReport,
    PayRule,
    WorkerPay,
    configure_pay,
    pay_csv,
    pay_report,
    pay_rule,
    pay_rule_of,
    plain,
)
from gesta.label.service import Service
from gesta.label.workers import write_event

Owner = Annotated[WorkerHere, Depends(require("owner"))]
Money = Annotated[str, Field(max_length=24, description="an exact number as text, such as 0.15")]


class PayRuleBody(BaseModel):
    """What is paid for and how much; pay is withheld only where a minimum gold accuracy is set."""

    per: Literal["task", "answer", "hour"]
    amount: Money
    currency: str = Field(default="USD", max_length=3)
    cap_ms: int | None = Field(default=None, ge=0, le=3_600_000, description="longest time an answer is paid for")
    min_gold_accuracy: Money | None = None
    min_gold: int | None = Field(default=None, ge=0, le=10_000)


class PayReply(BaseModel):
    """The report; amounts are text."""

    rule: dict[str, Any]
    workers: list[dict[str, Any]]
    assignments: list[dict[str, Any]]
    earned: str
    withheld: str
    owed: str
    cost: dict[str, Any]


_AS_CSV: dict[int | str, dict[str, Any]] = {
    200: {"description": "a header and a line for each", "content": {"text/csv": {"schema": {"type": "string"}}}},
    **responses(401, 403, 404),
}


def add_pay_routes(app: FastAPI) -> None:
    """Add the routes."""

    @app.get("/api/owner/pay", response_model=PayReply, responses=responses(401, 403, 404), tags=["owner"])
    def pay(request: Request, _who: Owner) -> Response:
        """What each worker and each outside assignment is owed, and what an accepted clip costs."""
        return JSONResponse(plain(_report(request)))

    @app.get("/api/owner/pay.csv", response_class=Response, responses=_AS_CSV, tags=["owner"])
    def workers_csv(request: Request, _who: Owner) -> Response:
        """A line for each worker."""
        return _as_csv("pay.csv", pay_csv(_report(request).workers, kind=WorkerPay))

    @app.get("/api/owner/pay/assignments.csv", response_class=Response, responses=_AS_CSV, tags=["owner"])
    def assignments_csv(request: Request, _who: Owner) -> Response:
        """A line for each assignment of an outside crowd."""
        return _as_csv("assignments.csv", pay_csv(_report(request).assignments, kind=AssignmentPay))

    @app.put("/api/owner/pay/rule", response_model=PayRuleBody, responses=responses(401, 403), tags=["owner"])
    async def set_rule(request: Request, body: PayRuleBody, who: Owner) -> Response:
        """Set what is paid for; the change is written into the diary."""
        rule = pay_rule_of(body.model_dump(exclude_none=True))
        service: Service = request.app.state.service

        def change(db: Any, _book: Any) -> None:
            configure_pay(db, rule)
            write_event(
                db, at_us=service.now_us(), actor=who.worker_id, what="pay-rule-set", subject="pay", detail=plain(rule)
            )

        await asyncio.wrap_future(service.desk.run(change))
        return JSONResponse(plain(rule))


def _report(request: Request) -> PayReport:
    service: Service = request.app.state.service
    with service.store.reading() as db:
        rule: PayRule | None = pay_rule(db)
        if rule is None:
            raise refusal(
                404, "no-pay-rule", "Nobody has said yet what is paid for. Set it with PUT /api/owner/pay/rule."
            )
        return pay_report(db, rule)


def _as_csv(name: str, text: str) -> Response:
    return Response(
        text, media_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
