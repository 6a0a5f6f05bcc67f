"""What people call about themselves, and the owner about people: joining, settings, invites, and workers' states.

| who | may |
|---|---|
| anybody with an invite | join |
| every role | see and set what is their own |
| reviewer | read the lists of workers and invites |
| owner | all of it |
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import sqlalchemy as sa
from fastapi import Depends, FastAPI, Path, Request
from pydantic import BaseModel, Field

from gesta.label.book import Book, WorkerHere
from gesta.label.clerk import gold_of
from gesta.label.guards import check_wrongs, count_wrong, json_text, require, responses, token_of
from gesta.label.service import Service
from gesta.label.sql_tables import workers
from gesta.label.worker_states import Changed, ban_worker, pause_worker, reopen_answers, resume_worker
from gesta.label.workers import (
    MAX_EXPIRY_S,
    MAX_NOTE_CHARACTERS,
    MAX_USES,
    BadInvite,
    Invite,
    invites_of,
    join,
    make_invite,
    replace_token,
    revoke_invite,
)

_T = TypeVar("_T")

MAX_PREFS_CHARACTERS = 32_768

Role = Literal["worker", "reviewer", "owner"]
State = Literal["active", "paused", "barred"]
_ALL = ("worker", "reviewer", "owner")
_READERS = ("reviewer", "owner")

Me = Annotated[WorkerHere, Depends(require(*_ALL))]
Reader = Annotated[WorkerHere, Depends(require(*_READERS))]
Owner = Annotated[WorkerHere, Depends(require("owner"))]
WorkerId = Annotated[str, Path(max_length=64, description="the worker's name")]


class JoinBody(BaseModel):
    """An invite's code and the name to go by."""

    invite: str = Field(max_length=200)
    worker_id: str = Field(max_length=64)


class JoinReply(BaseModel):
    """The token is told once: the page keeps it."""

    token: str
    worker_id: str
    role: Role


class GoldNow(BaseModel):
    """The share of known answers that the worker had right, and whether that is low."""

    accuracy: float | None
    is_low: bool


class MeReply(BaseModel):
    """What a worker may know of themselves, and which kinds of questions are asked."""

    worker_id: str
    role: Role
    state: State
    num_answers: int
    gold: GoldNow
    prefs: dict[str, Any]
    kinds: list[str]


class PrefsBody(BaseModel):
    """The page's own affair: keys, speed, favourites."""

    prefs: dict[str, Any]


class InviteBody(BaseModel):
    """An invite to make; what is left out is not limited."""

    role: Role = "worker"
    note: str = Field(default="", max_length=MAX_NOTE_CHARACTERS)
    max_uses: int | None = Field(default=None, ge=1, le=MAX_USES)
    expires_in_s: int | None = Field(default=None, ge=1, le=MAX_EXPIRY_S)


class InviteReply(BaseModel):
    """An invite; `code` only in the answer to making it."""

    id: str
    role: Role
    note: str
    max_uses: int | None
    num_used: int
    made_at_us: int
    expires_at_us: int | None
    is_revoked: bool
    code: str | None = None


class WorkerReply(BaseModel):
    """A worker as the owner sees them."""

    worker_id: str
    role: Role
    state: State
    state_reason: str
    is_held_by_owner: bool
    origin: str
    joined_at_us: int
    num_votes: int
    num_gold: int
    num_gold_right: int


class ReasonBody(BaseModel):
    """Why."""

    reason: str = Field(default="", max_length=200)


class ChangedReply(BaseModel):
    """The worker after it, the answers that it touched, and the name under which re-opened ones are kept."""

    worker_id: str
    role: Role
    state: State
    num_answers: int
    archived_as: str | None


class TokenReply(BaseModel):
    """The worker's new token; the old one is good for nothing from now on."""

    worker_id: str
    token: str


def add_worker_routes(app: FastAPI) -> None:
    """Add the routes about people."""
    _add_own_routes(app)
    _add_invite_routes(app)
    _add_owner_routes(app)


async def _run(request: Request, change: Callable[[Service, sa.Connection, Book], _T]) -> _T:
    service: Service = request.app.state.service
    return await asyncio.wrap_future(service.desk.run(lambda db, book: change(service, db, book)))


async def _read(request: Request, query: Callable[[sa.Connection], _T]) -> _T:
    service: Service = request.app.state.service

    def read() -> _T:
        with service.store.reading() as db:
            return query(db)

    return await asyncio.to_thread(read)


def _add_own_routes(app: FastAPI) -> None:
    @app.post("/api/join", responses=responses(403, 409), tags=["worker"])
    async def come_in(request: Request, body: JoinBody) -> JoinReply:
        """A token for whoever has an invite; with the name's own token in the header, the same worker again."""
        check_wrongs(request)
        own_token = token_of(request)

        def change(service: Service, db: sa.Connection, book: Book) -> JoinReply:
            joined, is_new = join(
                db, code=body.invite, worker_id=body.worker_id, now_us=service.now_us(), own_token=own_token
            )
            if is_new:
                book.reload_worker(db, joined.seq)
            return JoinReply(token=joined.token, worker_id=joined.worker_id, role=joined.role)  # type: ignore[arg-type]

        try:
            return await _run(request, change)
        except BadInvite:
            count_wrong(request)
            raise

    @app.get("/api/me", responses=responses(401, 403), tags=["worker"])
    async def me(request: Request, who: Me) -> MeReply:
        """Who the token is of, how they are doing, and their settings."""
        service: Service = request.app.state.service
        text = await _read(
            request, lambda db: db.execute(sa.select(workers.c.prefs).where(workers.c.seq == who.seq)).scalar()
        )
        return MeReply(
            worker_id=who.worker_id,
            role=who.role,  # type: ignore[arg-type]
            state=who.state,  # type: ignore[arg-type]
            num_answers=who.num_votes,
            gold=GoldNow(**gold_of(who, rules=service.rules)),
            prefs={} if text is None else json.loads(text),
            kinds=list(service.rules.kinds),
        )

    @app.put("/api/me/prefs", responses=responses(401, 403), tags=["worker"])
    async def keep_prefs(request: Request, body: PrefsBody, who: Me) -> PrefsBody:
        """The worker's settings, kept as they are for the next browser."""
        text = json_text(body.prefs, what="settings", max_characters=MAX_PREFS_CHARACTERS)

        def change(_service: Service, db: sa.Connection, _book: Book) -> None:
            db.execute(sa.update(workers).where(workers.c.seq == who.seq).values(prefs=text))

        await _run(request, change)
        return body


def _invite_reply(invite: Invite) -> InviteReply:
    return InviteReply(
        id=invite.invite_id,
        role=invite.role,  # type: ignore[arg-type]
        note=invite.note,
        max_uses=invite.max_uses,
        num_used=invite.num_used,
        made_at_us=invite.made_at_us,
        expires_at_us=invite.expires_at_us,
        is_revoked=invite.is_revoked,
        code=invite.code,
    )


def _add_invite_routes(app: FastAPI) -> None:
    @app.get("/api/owner/invites", responses=responses(401, 403), tags=["owner"])
    async def all_invites(request: Request, _who: Reader) -> list[InviteReply]:
        """Every invite, the newest first; their codes are not kept."""
        return [_invite_reply(invite) for invite in await _read(request, invites_of)]

    @app.post("/api/owner/invites", status_code=201, responses=responses(401, 403), tags=["owner"])
    async def new_invite(request: Request, body: InviteBody, who: Owner) -> InviteReply:
        """A new invite; its code is told here and never again."""

        def change(service: Service, db: sa.Connection, _book: Book) -> Invite:
            return make_invite(
                db,
                actor=who.worker_id,
                now_us=service.now_us(),
                role=body.role,
                note=body.note,
                max_uses=body.max_uses,
                expires_in_s=body.expires_in_s,
            )

        return _invite_reply(await _run(request, change))

    @app.delete("/api/owner/invites/{invite_id}", responses=responses(401, 403, 404), tags=["owner"])
    async def withdraw(request: Request, invite_id: Annotated[str, Path(max_length=64)], who: Owner) -> InviteReply:
        """The invite, which lets nobody in any more; those who came with it stay."""

        def change(service: Service, db: sa.Connection, _book: Book) -> Invite:
            return revoke_invite(db, invite_id=invite_id, actor=who.worker_id, now_us=service.now_us())

        return _invite_reply(await _run(request, change))


_ACTIONS = {"pause": pause_worker, "resume": resume_worker, "ban": ban_worker, "reopen": reopen_answers}


def _add_owner_routes(app: FastAPI) -> None:
    @app.get("/api/owner/workers", responses=responses(401, 403), tags=["owner"])
    async def all_workers(request: Request, _who: Reader) -> list[WorkerReply]:
        """Everybody who ever joined, in that order, with how many answers they gave and how gold went."""
        names = list(WorkerReply.model_fields)
        query = sa.select(*(workers.c[name] for name in names)).order_by(workers.c.seq)
        rows = await _read(request, lambda db: db.execute(query).all())
        return [WorkerReply(**row._mapping) for row in rows]

    @app.post("/api/owner/workers/{worker_id}/token", responses=responses(401, 403, 404, 409), tags=["owner"])
    async def new_token(request: Request, worker_id: WorkerId, who: Owner) -> TokenReply:
        """A new token for somebody who lost theirs, or whose token was seen by others."""

        def change(service: Service, db: sa.Connection, book: Book) -> TokenReply:
            joined = replace_token(db, worker_id=worker_id, actor=who.worker_id, now_us=service.now_us())
            book.reload_worker(db, joined.seq)
            return TokenReply(worker_id=joined.worker_id, token=joined.token)

        return await _run(request, change)

    @app.post("/api/owner/workers/{worker_id}/{action}", responses=responses(401, 403, 404, 409), tags=["owner"])
    async def act(
        request: Request,
        worker_id: WorkerId,
        action: Literal["pause", "resume", "ban", "reopen"],
        body: ReasonBody,
        who: Owner,
    ) -> ChangedReply:
        """Pause: no tasks. Resume: tasks again, all votes count. Ban: no tasks, votes set aside and asked again.
        Reopen: the answers so far are set aside and asked again, and the worker goes on as before."""

        def change(service: Service, db: sa.Connection, book: Book) -> Changed:
            return _ACTIONS[action](
                db, book, worker_id=worker_id, reason=body.reason, actor=who.worker_id, now_us=service.now_us()
            )

        changed = await _run(request, change)
        return ChangedReply(
            worker_id=changed.worker.worker_id,
            role=changed.worker.role,  # type: ignore[arg-type]
            state=changed.worker.state,  # type: ignore[arg-type]
            num_answers=changed.num_answers,
            archived_as=changed.archived_as,
        )
