"""What workers call: a task, answers, edits of their last answers, and giving a task back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import orjson
import sqlalchemy as sa
from fastapi import FastAPI, Header, Request, Response
from pydantic import BaseModel, Field

from gesta.label.answers import Answer, Given
from gesta.label.book import LiveTask, WorkerHere
from gesta.label.clerk import gold_of
from gesta.label.guards import refusal, responses
from gesta.label.lean_route import Anybody, LeanRoute
from gesta.label.routes_media import cut_next_task, question_media
from gesta.label.service import Service
from gesta.label.sql_tables import tasks, votes

RETRY_AFTER_S = 5
"""When a worker for whom nothing is free should ask again. Source: ours."""

NUM_RECENT = 10
"""Answers that can be taken back. Source: Prodigy keeps as many."""

_MESSAGES = {
    "wait": "Everything that is left is with other people right now. More may come back in a moment.",
    "done": "That was all: there are no more questions for you. Thank you!",
    "paused": "Your work is paused. Whoever invited you can tell you why.",
    "barred": "There are no more tasks for you. Thank you for the work you have done.",
}


TaskId = Annotated[str, Field(min_length=1, max_length=32, pattern="^[0-9A-Za-z]*$")]
"""A NUL among them would not be one answer's trouble: PostgreSQL refuses the statement, and the whole batch with it."""


class GoldNow(BaseModel):
    """The share of known answers that the worker had right, and whether that is low."""

    accuracy: float | None
    is_low: bool


class TaskNow(BaseModel):
    """The questions of a task, in the order of asking, and the slots that were answered already."""

    task_id: str
    kind: str
    expires_in_s: float
    items: list[dict[str, Any]]
    answered: list[int]


class TaskReply(BaseModel):
    """A task, or why there is none."""

    status: Literal["task", "wait", "done", "paused", "barred"]
    task: TaskNow | None = None
    message: str | None = None
    retry_after_s: int | None = None
    gold: GoldNow


class AnswerBody(BaseModel):
    """One answer."""

    slot: int = Field(ge=0, lt=1000)
    answer: str = Field(max_length=8)
    lasts_whole_clip: bool | None = None
    detail: dict[str, Any] | None = None
    spent_ms: int = Field(default=0, ge=0, lt=10**12)


class AnswersBody(BaseModel):
    """Answers to questions of one task; `idempotency_key` is new for each send and the same for its repeats."""

    task_id: TaskId
    idempotency_key: str = Field(min_length=8, max_length=64, pattern=r"^[ -~]*$")
    answers: list[AnswerBody] = Field(min_length=1, max_length=200)


class AnswerStatus(BaseModel):
    """What became of one answer."""

    slot: int
    status: Literal["accepted", "already", "late", "not-asked"]


class AnswersReply(BaseModel):
    """What became of each answer, in order."""

    results: list[AnswerStatus]
    num_accepted: int
    gold: GoldNow


class RecentAnswer(BaseModel):
    """An answer that can still be changed; `etag` goes into If-Match."""

    task_id: str
    slot: int
    etag: str
    question: dict[str, Any]
    answer: str
    lasts_whole_clip: bool | None
    detail: dict[str, Any] | None


class Etag(BaseModel):
    """The answer's new revision."""

    etag: str


class TaskBody(BaseModel):
    """Which task."""

    task_id: TaskId


class Returned(BaseModel):
    """Whether the worker held the task."""

    is_returned: bool


class _Json(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def add_task_routes(app: FastAPI) -> None:
    """Add the routes."""

    async def task(request: Request, who: Anybody) -> Response:
        """The worker's task: the unfinished one, or a new one; or why there is none."""
        service: Service = request.app.state.service
        asked = service.desk.fetch(who.seq)
        given = asked.result() if asked.done() else await asyncio.wrap_future(asked)
        return _Json(_task_json(service, who, given))

    async def answer(request: Request, body: AnswersBody, who: Anybody) -> Response:
        """What became of each answer; a repeated idempotency key gives the first result again."""
        service: Service = request.app.state.service
        answers = [
            Answer(
                slot=a.slot, answer=a.answer, lasts_whole_clip=a.lasts_whole_clip, detail=a.detail, spent_ms=a.spent_ms
            )
            for a in body.answers
        ]
        outcome = await asyncio.wrap_future(
            service.desk.submit(who.seq, key=body.idempotency_key, task_id=body.task_id, answers=answers)
        )
        cut_next_task(request, who, after=body.task_id)
        return _Json(outcome)

    for path, endpoint, model, refusals in (
        ("/api/task", task, TaskReply, (401, 403)),
        ("/api/answers", answer, AnswersReply, (401, 403, 409)),
    ):
        app.router.add_api_route(
            path, endpoint, methods=["POST"], response_model=model, responses=responses(*refusals), tags=["worker"],
            route_class_override=LeanRoute,
        )  # fmt: skip

    @app.post("/api/return", response_model=Returned, responses=responses(401, 403), tags=["worker"])
    async def give_back(request: Request, body: TaskBody, who: Anybody) -> Response:
        """Give an unfinished task back, so that others are asked at once; answers that were sent stay."""
        service: Service = request.app.state.service
        is_returned = await asyncio.wrap_future(service.desk.give_back(who.seq, task_id=body.task_id))
        return _Json({"is_returned": is_returned})

    _add_edit_routes(app)


def _add_edit_routes(app: FastAPI) -> None:
    @app.get("/api/answers/recent", response_model=list[RecentAnswer], responses=responses(401, 403), tags=["worker"])
    def recent(request: Request, who: Anybody) -> Response:
        """The worker's last ten answers, the newest first."""
        return _Json(_recent(request.app.state.service, who))

    @app.put(
        "/api/answers/{task_id}/{slot}",
        response_model=Etag,
        responses=responses(401, 403, 404, 409, 428),
        tags=["worker"],
    )
    async def revise(
        request: Request,
        task_id: TaskId,
        slot: int,
        body: AnswerBody,
        who: Anybody,
        if_match: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Change an answer given before; If-Match says which revision was looked at, 409 that it has changed since.

        Raises:
            HTTPException: 428 without If-Match, 422 where it is no etag or the slots differ.
        """
        if if_match is None:
            raise refusal(428, "no-if-match", "Say with If-Match which revision of the answer you change.")
        seen = if_match.strip().removeprefix("W/").strip('"')
        if not seen.isdigit() or len(seen) > 4:
            raise refusal(422, "bad-input", "If-Match is the etag of the answer as it was given.")
        if body.slot != slot:
            raise refusal(422, "bad-input", "The slot of the address and that of the body differ.")
        service: Service = request.app.state.service
        changed = Answer(
            slot=slot, answer=body.answer, lasts_whole_clip=body.lasts_whole_clip, detail=body.detail,
            spent_ms=body.spent_ms,
        )  # fmt: skip
        outcome = await asyncio.wrap_future(
            service.desk.revise(who.seq, task_id=task_id, slot=slot, answer=changed, if_match=int(seen))
        )
        return _Json(outcome)


def _task_json(service: Service, who: WorkerHere, given: Given) -> dict[str, Any]:
    gold = gold_of(who, rules=service.rules)
    if given.task is None:
        reply: dict[str, Any] = {"status": given.status, "message": _MESSAGES[given.status], "gold": gold}
        return {**reply, "retry_after_s": RETRY_AFTER_S} if given.status == "wait" else reply
    task = given.task
    return {
        "status": "task",
        "task": {
            "task_id": task.task_id,
            "kind": task.kind,
            "expires_in_s": service.rules.lease_us / 1e6,
            "items": [_question_json(service, task, slot) for slot in range(len(task.seqs))],
            "answered": sorted(task.answered),
        },
        "gold": gold,
    }


def _question_json(service: Service, task: LiveTask, slot: int) -> dict[str, Any]:
    question = service.book.question(task.seqs[slot])
    told: dict[str, Any] = {"slot": slot, "kind": question.kind, "action": question.action}
    if question.box is not None:
        told["box"] = question.box
    if question.kind == "frame":
        told["boxes"] = question.detail.get("boxes", [])
    if question.kind == "clip":
        told["asks_suggestion"] = service.rules.asks_suggestion_after_no
    told.update(question_media(service, task.task_id, slot, question))
    return told


def _recent(service: Service, who: WorkerHere) -> list[dict[str, Any]]:
    with service.store.reading() as db:
        rows = db.execute(
            sa.select(tasks.c.task_id, tasks.c.seqs, tasks.c.kind, tasks.c.expires_at_us)
            .where(tasks.c.worker_seq == who.seq)
            .order_by(tasks.c.given_at_us.desc())
            .limit(NUM_RECENT + 1)
        ).all()
        places: dict[int, tuple[LiveTask, int]] = {}
        for row in rows:
            task = LiveTask(row.task_id, who.seq, row.kind, orjson.loads(row.seqs), row.expires_at_us)
            for slot, seq in enumerate(task.seqs):
                places.setdefault(seq, (task, slot))
        found: dict[int, Mapping[str, Any]] = {}
        query = (
            sa.select(votes)
            .where(votes.c.worker_seq == who.seq, votes.c.seq.in_(list(places)))
            .order_by(votes.c.seq, votes.c.revision)
        )
        first: dict[int, int] = {}
        for vote in db.execute(query):
            first.setdefault(vote.seq, vote.vote_id)
            found[vote.seq] = dict(vote._mapping)
    newest = sorted(found, key=lambda seq: -first[seq])[:NUM_RECENT]
    return [_recent_json(service, *places[seq], found[seq]) for seq in newest]


def _recent_json(service: Service, task: LiveTask, slot: int, vote: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "slot": slot,
        "etag": str(vote["revision"]),
        "question": _question_json(service, task, slot),
        "answer": vote["answer"],
        "lasts_whole_clip": vote["lasts_whole_clip"],
        "detail": orjson.loads(vote["detail"]) if vote["detail"] else None,
    }
