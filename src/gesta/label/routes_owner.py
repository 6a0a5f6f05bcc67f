"""What the owner calls: the board, classes and their gates, what people disagree on, suggestions, skill, the diary.

Reviewers may read; owners may also act. Every action is written into the diary (`GET /api/owner/events`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

import orjson
import polars as pl
import sqlalchemy as sa
from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi import Path as PathPart
from pydantic import BaseModel, Field

from gesta.label.board import class_rows, event_rows
from gesta.label.board_cache import BoardCache, Seen, rounded, seen
from gesta.label.book import Book, WorkerHere
from gesta.label.class_edits import EditedClass, split_class
from gesta.label.class_gates import gate_rule, set_class_state, set_class_threshold, set_run_threshold
from gesta.label.edit_at_work import take_in_edit
from gesta.label.guards import refusal, require, responses
from gesta.label.items import build_items
from gesta.label.load_items import LoadedItems
from gesta.label.routes_media import item_media
from gesta.label.service import Service
from gesta.label.sql_tables import items, votes, workers
from gesta.schema import BadInput, MissingTable, Refused

MAX_CLASS_ID = 2**53
"""Class ids in addresses are whole numbers that JavaScript can hold."""

MAX_PARTS = 20
MAX_NAME_CHARACTERS = 100
_READERS = require("owner", "reviewer")
_OWNERS = require("owner")
_T = TypeVar("_T")

ClassId = Annotated[int, PathPart(ge=0, le=MAX_CLASS_ID)]


class Row(BaseModel):
    """A row, as the documentation of each route says."""

    model_config = {"extra": "allow"}


class BoardReply(BaseModel):
    """The campaign at a glance; `num_` are counts, `_frac` shares of 1, `_us` microseconds since 1970 UTC."""

    totals: Row
    kinds: list[Row]
    classes: list[Row]
    gates: list[Row]
    gate_rule: Row
    answers_by_hour: list[Row]
    gold_by_hour: list[Row]
    gold: Row
    forecast: Row
    covers: Row
    money: Row | None


class HealthReply(BaseModel):
    """How the one thread that writes is doing: requests in its queue, batches so far, how long the last one took."""

    num_waiting: int
    num_batches: int
    num_requests: int
    num_failures: int
    last_batch_ms: float
    is_down: bool


class GateReply(BaseModel):
    """The class, its gate, and who set its state."""

    class_id: int
    name: str
    state: Literal["active", "paused", "dropped"]
    state_by: Literal["gate", "owner"]
    threshold_frac: float | None
    num_decided: int
    num_accepted: int


class ClassesReply(BaseModel):
    """Every class, and the run's rule."""

    gate_rule: Row
    classes: list[Row]


class ReasonBody(BaseModel):
    """Why, for the diary."""

    reason: str = Field(default="", max_length=200)


class ThresholdBody(BaseModel):
    """The share of a class's clips that must be accepted; null = the run's again."""

    threshold_frac: float | None = Field(ge=0, le=1)


class RunThresholdBody(BaseModel):
    """The share of each class's clips that must be accepted, where a class has none of its own."""

    threshold_frac: float = Field(ge=0, le=1)


class RunThresholdReply(BaseModel):
    """Names of the classes that the gate paused or let run again."""

    threshold_frac: float
    changed: list[str]


class SplitBody(BaseModel):
    """Names of the classes in a class's place, and which of its clips are asked about anew under each of them.

    Where the class's own name is among them it stays as it is. `suggested` are the clips that workers suggested one of
    the new names for.
    """

    into: list[Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS)]] = Field(
        min_length=1, max_length=MAX_PARTS
    )
    clips: Literal["accepted", "rejected", "all", "suggested"] = "accepted"


class SplitReply(BaseModel):
    """What the class became, and how many clips are asked about under each new name."""

    old_class_id: int
    new_class_ids: list[int]
    new_names: list[str]
    num_clips: int


def add_owner_routes(app: FastAPI) -> None:
    """Give the app what the owner's page calls."""
    _add_reading(app)
    _add_classes(app)


def cache_of(request: Request) -> BoardCache:
    """The service's one cache of the board."""
    state, service = request.app.state, _service(request)
    cache: BoardCache | None = getattr(state, "board_cache", None)
    if cache is None or cache.store is not service.store:
        cache = BoardCache(store=service.store, rules=service.rules, now_us=service.now_us)
        state.board_cache = cache
    return cache


def _add_reading(app: FastAPI) -> None:
    tags: list[str | Any] = ["owner"]

    @app.get(
        "/api/owner/board", response_model=BoardReply, responses=_READ, tags=tags, dependencies=[Depends(_READERS)]
    )
    def board(request: Request, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        """The campaign at a glance: funnel, agreement, gold, pace, cost, forecast; 304 when it is as it was."""
        return _answer(cache_of(request).board(), if_none_match)

    @app.get("/api/owner/health", responses=_READ, tags=tags, dependencies=[Depends(_READERS)])
    def health(request: Request) -> HealthReply:
        """How the service is doing now; not part of the board, which would then never stay the same."""
        return HealthReply(**asdict(_service(request).desk.health))

    @app.get(
        "/api/owner/board/workers",
        response_model=list[Row],
        responses=_READ,
        tags=tags,
        dependencies=[Depends(_READERS)],
    )
    def worker_table(request: Request, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        """Every worker: answers, gold with a 95 % interval, agreement with verdicts, pace, state, last answer."""
        return _answer(cache_of(request).workers(), if_none_match)

    @app.get(
        "/api/owner/disputed", response_model=list[Row], responses=_READ, tags=tags, dependencies=[Depends(_READERS)]
    )
    def disputed_items(
        request: Request,
        class_id: Annotated[int | None, Query(ge=0, le=MAX_CLASS_ID)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 24,
    ) -> Response:
        """What people disagree on most, the most divided first, each with a link that plays it for some hours."""
        service = _service(request)
        rows = cache_of(request).disputed(class_id=class_id, limit=limit)
        for row in rows:
            # An item that came after the last look into the database is not in the book yet.
            if row["seq"] < len(service.book.kind):
                row.update(item_media(service, service.book.question(row["seq"])))
        return _answer(seen(rounded(rows)), None)

    @app.get(
        "/api/owner/suggestions", response_model=list[Row], responses=_READ, tags=tags, dependencies=[Depends(_READERS)]
    )
    def suggestions(request: Request, limit: Annotated[int, Query(ge=1, le=5000)] = 500) -> Response:
        """What people say that clips show instead, counted by class, the commonest first."""
        return _answer(seen(cache_of(request).suggestions()[:limit]), None)

    @app.get("/api/owner/skill", response_model=list[Row], responses=_READ, tags=tags, dependencies=[Depends(_READERS)])
    def skill(request: Request, kind: Literal["clip", "box"] = "clip") -> Response:
        """Every worker's skill and confusions by the model of Dawid and Skene, fitted to all answers of a kind.

        Raises:
            HTTPException: 503 where the service was started without it.
        """
        service = _service(request)
        if service.skill_of is None:
            raise refusal(503, "no-skill", "This service was started without the estimate of skill.")
        with service.store.reading() as db:
            frame = standing_votes(db, kind=kind)
        return _answer(seen(rounded([dict(row) for row in service.skill_of(frame)] if len(frame) else [])), None)

    @app.get(
        "/api/owner/events", response_model=list[Row], responses=_READ, tags=tags, dependencies=[Depends(_READERS)]
    )
    def diary(
        request: Request,
        before: Annotated[int | None, Query(ge=1, le=MAX_CLASS_ID)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        if_none_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Who did what when, the newest first; `before` an event's id = older ones than that."""
        with _service(request).store.reading() as db:
            return _answer(seen(event_rows(db, limit=limit, before=before)), if_none_match)


def _add_classes(app: FastAPI) -> None:
    tags: list[str | Any] = ["owner"]
    splitting = asyncio.Lock()

    @app.get(
        "/api/owner/classes", response_model=ClassesReply, responses=_READ, tags=tags, dependencies=[Depends(_READERS)]
    )
    def all_classes(request: Request, if_none_match: Annotated[str | None, Header()] = None) -> Response:
        """Every class: accuracy of its decided clips with a 95 % interval, threshold, state and who set it."""
        with _service(request).store.reading() as db:
            rule = gate_rule(db, otherwise=cache_of(request).otherwise_gate)
            listed = rounded(class_rows(db, rule=rule))
        return _answer(seen({"gate_rule": asdict(rule), "classes": listed}), if_none_match)

    @app.post("/api/owner/classes/{class_id}/split", response_model=SplitReply, responses=_ACT, tags=tags)
    async def split(
        request: Request, class_id: ClassId, body: SplitBody, who: Annotated[WorkerHere, Depends(_OWNERS)]
    ) -> Response:
        """The classes in the class's place; its clips are asked about anew, and the answers so far are kept."""
        service = _service(request)
        # One edit at a time: each is made on the work folder's tables before the desk takes it in.
        async with splitting:
            edited = await asyncio.to_thread(_make_split, service, cache_of(request), class_id, body)
            return await _act(
                request,
                lambda db, book: _taken_in(
                    take_in_edit(db, book, service.work, edited=edited, actor=who.worker_id, now_us=service.now_us()),
                    edited,
                ),
            )

    @app.post("/api/owner/classes/{class_id}/{action}", response_model=GateReply, responses=_ACT, tags=tags)
    async def set_state(
        request: Request,
        class_id: ClassId,
        action: Literal["pause", "resume", "drop"],
        body: ReasonBody,
        who: Annotated[WorkerHere, Depends(_OWNERS)],
    ) -> Response:
        """The class, paused, resumed or dropped; the gate leaves it so until a threshold is changed."""
        service = _service(request)

        def change(db: sa.Connection, book: Book) -> dict[str, Any]:
            found = set_class_state(
                db, class_id=class_id, action=action, actor=who.worker_id, now_us=service.now_us(), reason=body.reason
            )
            book.reload_classes(db)
            return found

        return await _act(request, change)

    @app.put("/api/owner/classes/{class_id}/threshold", response_model=GateReply, responses=_ACT, tags=tags)
    async def set_threshold(
        request: Request, class_id: ClassId, body: ThresholdBody, who: Annotated[WorkerHere, Depends(_OWNERS)]
    ) -> Response:
        """The class under its own threshold; if it runs, the gate looks at it again at once."""
        service, otherwise = _service(request), cache_of(request).otherwise_gate

        def change(db: sa.Connection, book: Book) -> dict[str, Any]:
            found = set_class_threshold(
                db,
                class_id=class_id,
                threshold_frac=body.threshold_frac,
                rule=gate_rule(db, otherwise=otherwise),
                actor=who.worker_id,
                now_us=service.now_us(),
            )
            book.reload_classes(db)
            return found

        return await _act(request, change)

    @app.put("/api/owner/threshold", response_model=RunThresholdReply, responses=_ACT, tags=tags)
    async def set_run(
        request: Request, body: RunThresholdBody, who: Annotated[WorkerHere, Depends(_OWNERS)]
    ) -> Response:
        """The classes that the run's new threshold paused or let run again."""
        service, otherwise = _service(request), cache_of(request).otherwise_gate

        def change(db: sa.Connection, book: Book) -> dict[str, Any]:
            changed = set_run_threshold(
                db,
                threshold_frac=body.threshold_frac,
                otherwise=otherwise,
                actor=who.worker_id,
                now_us=service.now_us(),
            )
            book.reload_classes(db)
            return {"threshold_frac": body.threshold_frac, "changed": changed}

        return await _act(request, change)


def standing_votes(db: sa.Connection, *, kind: str) -> pl.DataFrame:
    """Standing answers to items of a yes-or-no kind: item_id, worker_id, answer, and gold_answer where it is known."""
    query = (
        sa.select(items.c.item_id, workers.c.worker_id, votes.c.answer, items.c.gold_answer)
        .join_from(votes, items, items.c.seq == votes.c.seq)
        .join(workers, workers.c.seq == votes.c.worker_seq)
        .where(items.c.kind == kind)
        .order_by(votes.c.vote_id)
    )
    names = ("item_id", "worker_id", "answer", "gold_answer")
    columns = list(zip(*db.execute(query).all(), strict=True)) or [()] * len(names)
    frame = pl.DataFrame(dict(zip(names, columns, strict=True)), schema=dict.fromkeys(names, pl.String))
    # An answer that was taken back stands further up in the log than the one that replaced it.
    return frame.unique(["item_id", "worker_id"], keep="last", maintain_order=True)


def _make_split(service: Service, cache: BoardCache, class_id: int, body: SplitBody) -> EditedClass:
    clip_ids = cache.clips_of(class_id, which=body.clips, texts=body.into)
    if not clip_ids:
        raise BadInput(f"the class has no {body.clips} clips", mend="Send others: accepted, rejected, all or suggested")
    try:
        edited = split_class(service.work, old=class_id, into=body.into, clip_ids=clip_ids)
        build_items(service.work)
    except MissingTable as error:
        raise Refused(
            "the service's work folder lacks the tables that items are made of, so no class can be split here",
            where=error.where,
            mend="Serve the folder that `gesta mine` wrote",
        ) from error
    return edited


def _taken_in(_loaded: LoadedItems, edited: EditedClass) -> dict[str, Any]:
    return {
        "old_class_id": edited.old_class_id,
        "new_class_ids": list(edited.new_class_ids),
        "new_names": list(edited.new_names),
        "num_clips": edited.num_clips,
    }


_READ = {**responses(401, 403, 503), 304: {"description": "as it was"}}
_ACT = responses(401, 403, 404, 409, 503)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _act(request: Request, change: Callable[[sa.Connection, Book], Any]) -> Response:
    found = await asyncio.wrap_future(_service(request).desk.run(change))
    return Response(orjson.dumps(found), media_type="application/json")


def _answer(found: Seen, if_none_match: str | None) -> Response:
    headers = {"ETag": found.etag, "Cache-Control": "private, no-cache"}
    wanted = {each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")}
    if found.etag in wanted:
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type="application/json", headers=headers)
