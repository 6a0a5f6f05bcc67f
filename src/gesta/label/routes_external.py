"""The doors for Mechanical Turk and Prolific: their pages, and opening and finishing an assignment.

The pages are plain files; what makes a worker is a POST of the ids in their address, so that a crawler or a preview
that merely fetches the address makes nothing. The token comes in the reply's body, never in an address.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import sqlalchemy as sa
from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from gesta.label.book import Book, WorkerHere
from gesta.label.external import AssignmentTaken, Finish, Opened, Visit, finish_assignment, open_assignment
from gesta.label.external_crowds import (
    FORM_ORIGINS,
    FRAME_ORIGINS,
    BadKey,
    Crowds,
    Mturk,
    Prolific,
    check_key,
    completion_url,
    configure_external,
    crowd_addresses,
    crowds_of,
    forget_external,
    submit_form,
    submit_origin_of,
)
from gesta.label.guards import check_wrongs, count_wrong, refusal, require, responses
from gesta.label.service import Service
from gesta.label.workers import write_event

PAGE = Path(__file__).parent / "page"

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action {form_action}; frame-ancestors {ancestors}"
)
"""As everywhere, but for where forms may go and who may frame the page."""

_MTURK_HEADERS = {
    "Content-Security-Policy": CSP.format(form_action=" ".join(FORM_ORIGINS), ancestors=" ".join(FRAME_ORIGINS)),
    # Without any referrer a form is sent with `Origin: null`, which a receiver may take for a forgery.
    "Referrer-Policy": "strict-origin",
    "Cache-Control": "no-cache",
}
_MESSAGES = {
    "finished": "Your answers are with us.",
    "barred": "There are no more tasks for you: too many of your answers differed from what is known.",
    "paused": "There are no tasks for you just now.",
    "nothing": "Everything has been answered, or is with other people right now.",
    "declined": "Nothing was kept.",
    "unfinished": "There is more to answer.",
    "work": "",
}
_GO_BACK = {"mturk": " Please return the HIT.", "prolific": " Please return the submission on Prolific."}

Owner = Annotated[WorkerHere, Depends(require("owner"))]
Address = Annotated[str, Query(max_length=400, description="where the service is reached, https://…")]
Text = Annotated[str, Field(max_length=200)]
Outcome = Literal["work", "finished", "unfinished", "barred", "paused", "nothing", "declined"]


class MturkBody(BaseModel):
    """The ids that Mechanical Turk adds to the address."""

    assignment_id: Text
    hit_id: Text = ""
    worker_id: Text
    submit_to: Text
    key: Text = ""


class ProlificBody(BaseModel):
    """The ids that Prolific adds to the address."""

    participant_id: Text
    study_id: Text = ""
    session_id: Text
    key: Text = ""


class Leaving(BaseModel):
    """How a person goes back: with a form (`fields`) or with a code."""

    url: str
    fields: dict[str, str] | None = None
    code: str | None = None


class VisitReply(BaseModel):
    """What comes of opening or finishing an assignment; a token with `work`, a way back where there is one."""

    outcome: Outcome
    message: str
    num_answers: int = 0
    worker_id: str | None = None
    token: str | None = None
    leaving: Leaving | None = None


class ProlificCodes(BaseModel):
    """The completion codes that the study has; those left empty stay as they were."""

    completion_code: Text
    screened_out_code: Text = ""
    no_consent_code: Text = ""
    over_quota_code: Text = ""


class CrowdsBody(BaseModel):
    """Which crowds to switch on; what is left out stays as it was."""

    mturk: Literal[True] | None = None
    prolific: ProlificCodes | None = None


class CrowdsReply(BaseModel):
    """The crowds that are on, and what to give to them where the service's https address was told."""

    mturk: dict[str, str] | None
    prolific: dict[str, str] | None
    addresses: dict[str, str]


def add_external_routes(app: FastAPI) -> None:
    """Add the routes; they answer 404 `not-configured` until the crowd is switched on (`configure_external`)."""
    _add_pages(app)
    _add_settings(app)
    _add_visits(app)

    @app.post("/api/external/finish", response_model=VisitReply, responses=responses(401, 403), tags=["external"])
    async def finish(
        request: Request, who: Annotated[WorkerHere, Depends(require("worker", "reviewer", "owner"))]
    ) -> VisitReply:
        """End the assignment that the worker has open, if enough was answered; then their token ends too."""
        service: Service = request.app.state.service
        ended = await _finish(service, who.seq, is_no_more=False)
        if ended.outcome == "unfinished":
            given = await asyncio.wrap_future(service.desk.fetch(who.seq))
            if given.task is None:
                ended = await _finish(service, who.seq, is_no_more=True)
        return _finish_reply(await asyncio.to_thread(_crowds, service), ended, state=who.state)


def page_of(script: str) -> str:
    """The label page, begun by another script."""
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    changed = text.replace('src="/static/app.js"', f'src="/static/{script}"')
    return changed.replace('<meta name="referrer" content="no-referrer">', "")


def _add_pages(app: FastAPI) -> None:
    mturk_page, prolific_page = page_of("mturk.js"), page_of("prolific.js")

    @app.get("/mturk", include_in_schema=False)
    def mturk(request: Request) -> HTMLResponse:
        _switched_on(_crowds(request.app.state.service).mturk)
        return HTMLResponse(mturk_page, headers=_MTURK_HEADERS)

    @app.get("/prolific", include_in_schema=False)
    def prolific(request: Request) -> HTMLResponse:
        _switched_on(_crowds(request.app.state.service).prolific)
        return HTMLResponse(prolific_page, headers={"Cache-Control": "no-cache"})


def _add_settings(app: FastAPI) -> None:
    @app.get("/api/owner/crowds", response_model=CrowdsReply, responses=responses(401, 403), tags=["owner"])
    def crowds_on(request: Request, _who: Owner, service_url: Address = "") -> CrowdsReply:
        """The outside crowds that are on; with `service_url` also the addresses and the HIT's XML."""
        return _crowds_reply(_crowds(request.app.state.service), service_url)

    @app.put("/api/owner/crowds", response_model=CrowdsReply, responses=responses(401, 403), tags=["owner"])
    async def switch_on(request: Request, body: CrowdsBody, who: Owner, service_url: Address = "") -> CrowdsReply:
        """Switch crowds on, or change their codes; the change is written into the diary."""
        mturk = Mturk() if body.mturk else None
        prolific = Prolific(**body.prolific.model_dump()) if body.prolific else None
        service: Service = request.app.state.service

        def change(db: sa.Connection, _book: Book) -> Crowds:
            crowds = configure_external(db, mturk=mturk, prolific=prolific)
            on = {"mturk": crowds.mturk is not None, "prolific": crowds.prolific is not None}
            write_event(db, at_us=service.now_us(), actor=who.worker_id, what="crowds-set", subject="crowds", detail=on)
            return crowds

        return _crowds_reply(await asyncio.wrap_future(service.desk.run(change)), service_url)

    @app.delete("/api/owner/crowds", response_model=CrowdsReply, responses=responses(401, 403), tags=["owner"])
    async def switch_off(request: Request, who: Owner) -> CrowdsReply:
        """Switch every outside crowd off, once nobody of it is at work: codes are not given any more."""
        service: Service = request.app.state.service

        def change(db: sa.Connection, _book: Book) -> None:
            forget_external(db)
            write_event(db, at_us=service.now_us(), actor=who.worker_id, what="crowds-set", subject="crowds", detail={})

        await asyncio.wrap_future(service.desk.run(change))
        return _crowds_reply(Crowds(), "")


def _crowds_reply(crowds: Crowds, service_url: str) -> CrowdsReply:
    return CrowdsReply(
        mturk=asdict(crowds.mturk) if crowds.mturk else None,
        prolific=asdict(crowds.prolific) if crowds.prolific else None,
        addresses=crowd_addresses(crowds, service_url=service_url) if service_url else {},
    )


def _add_visits(app: FastAPI) -> None:
    @app.post("/api/external/mturk", response_model=VisitReply, responses=responses(403, 404, 409), tags=["external"])
    async def open_mturk(request: Request, body: MturkBody) -> VisitReply:
        """Open an accepted assignment of Mechanical Turk; twice is as good as once."""
        crowds = await asyncio.to_thread(_crowds, request.app.state.service)
        _check_key(request, body.key, _switched_on(crowds.mturk))
        visit = Visit(
            source="mturk",
            assignment_id=body.assignment_id,
            external_id=body.worker_id,
            group_id=body.hit_id,
            submit_to=body.submit_to,
        )
        return await _open(request, crowds, visit)

    @app.post(
        "/api/external/prolific", response_model=VisitReply, responses=responses(403, 404, 409), tags=["external"]
    )
    async def open_prolific(request: Request, body: ProlificBody) -> VisitReply:
        """Open a session of a Prolific study; twice is as good as once."""
        crowds = await asyncio.to_thread(_crowds, request.app.state.service)
        _check_key(request, body.key, _switched_on(crowds.prolific))
        visit = Visit(
            source="prolific",
            assignment_id=body.session_id,
            external_id=body.participant_id,
            group_id=body.study_id,
        )
        return await _open(request, crowds, visit)

    @app.post(
        "/api/external/prolific/decline", response_model=VisitReply, responses=responses(403, 404), tags=["external"]
    )
    async def decline(request: Request, body: ProlificBody) -> VisitReply:
        """Where a person goes who does not agree to take part; nothing is kept of them."""
        crowds = await asyncio.to_thread(_crowds, request.app.state.service)
        _check_key(request, body.key, _switched_on(crowds.prolific))
        return _reply(crowds, "prolific", "declined")


def _crowds(service: Service) -> Crowds:
    with service.store.reading() as db:
        return crowds_of(db)


_T = TypeVar("_T")


def _switched_on(crowd: _T | None) -> _T:
    if crowd is None:
        raise refusal(404, "not-configured", "This crowd is not switched on here.")
    return crowd


def _check_key(request: Request, key: str, crowd: Mturk | Prolific) -> None:
    check_wrongs(request)
    try:
        check_key(key, wanted=crowd.key)
    except BadKey as error:
        count_wrong(request)
        raise refusal(403, "bad-key", str(error)) from error


async def _open(request: Request, crowds: Crowds, visit: Visit) -> VisitReply:
    service: Service = request.app.state.service
    opening = service.desk.run(
        lambda db, book: open_assignment(db, book, visit, secret=service.secret, now_us=service.now_us())
    )
    try:
        opened = await asyncio.wrap_future(opening)
    except AssignmentTaken as error:
        raise refusal(409, "assignment-taken", str(error)) from error
    return _open_reply(crowds, visit, opened)


async def _finish(service: Service, worker_seq: int, *, is_no_more: bool) -> Finish:
    return await asyncio.wrap_future(
        service.desk.run(
            lambda db, book: finish_assignment(db, book, worker_seq, is_no_more=is_no_more, now_us=service.now_us())
        )
    )


def _open_reply(crowds: Crowds, visit: Visit, opened: Opened) -> VisitReply:
    reply = _reply(
        crowds,
        visit.source,
        opened.outcome,
        assignment_id=visit.assignment_id,
        num_answers=opened.num_answers,
        submit_to=visit.submit_to,
    )
    if opened.token is None:
        return reply
    return reply.model_copy(update={"token": opened.token, "worker_id": opened.worker_id})


def _finish_reply(crowds: Crowds, ended: Finish, *, state: str) -> VisitReply:
    # A worker who may not go on is told that, not that there is nothing.
    outcome = state if ended.outcome == "nothing" and state != "active" else ended.outcome
    return _reply(
        crowds,
        ended.source,
        outcome,
        assignment_id=ended.assignment_id,
        num_answers=ended.num_answers,
        submit_to=ended.submit_to,
    )


def _reply(
    crowds: Crowds, source: str, outcome: str, *, assignment_id: str = "", num_answers: int = 0, submit_to: str = ""
) -> VisitReply:
    leaving = None
    if source == "mturk" and outcome == "finished":
        url, fields = submit_form(submit_origin_of(submit_to), assignment_id=assignment_id, num_answers=num_answers)
        leaving = Leaving(url=url, fields=fields)
    elif source == "prolific":
        leaving = _code_of(crowds.prolific, outcome)
    message = _MESSAGES[outcome]
    if leaving is None and outcome not in ("work", "unfinished"):
        message += _GO_BACK[source]
    return VisitReply.model_validate(
        {"outcome": outcome, "message": message, "num_answers": num_answers, "leaving": leaving}
    )


def _code_of(crowd: Prolific | None, outcome: str) -> Leaving | None:
    if crowd is None:
        return None
    codes = {
        "finished": crowd.completion_code,
        "barred": crowd.screened_out_code,
        "nothing": crowd.over_quota_code,
        "paused": crowd.over_quota_code,
        "declined": crowd.no_consent_code,
    }
    code = codes.get(outcome)
    return Leaving(url=completion_url(code), code=code) if code else None
