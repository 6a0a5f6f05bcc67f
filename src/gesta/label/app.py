"""The HTTP service: tasks out, answers in, clips with ranges, and the page. JSON, with one shape of errors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gesta.label.answers import Answer, KeyReused, WorkerBarred, cast_votes
from gesta.label.media import Media
from gesta.label.store import Store, items
from gesta.label.supply import Question, Task, next_task, progress_of, question_of
from gesta.label.tally import Rules
from gesta.schema import BadInput, BadVideo, GestaError

PAGE = Path(__file__).parent / "page"
RETRY_AFTER_S = 5
"""When a worker for whom nothing is free should ask again. Source: ours."""

_MESSAGES = {
    "wait": "Everything that is left is with other people right now. More may come back in a moment.",
    "done": "That was all: there are no more clips for you. Thank you!",
    "barred": "There are no more tasks for you. Thank you for the work you have done.",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class TaskRequest(BaseModel):
    """Who asks for work."""

    worker_id: str


class AnswerBody(BaseModel):
    """One answer."""

    item_id: str
    answer: str
    lasts_whole_clip: bool | None = None
    spent_ms: int = 0


class VotesRequest(BaseModel):
    """Answers of one worker; `idempotency_key` is new for each send and the same for its repeats."""

    worker_id: str
    idempotency_key: str
    answers: list[AnswerBody] = Field(min_length=1, max_length=200)


def create_app(store: Store, media: Media, *, rules: Rules, now_us: Callable[[], int], rng: random.Random) -> FastAPI:
    """The service over an open database and a work folder's media; `now_us` is the clock, `rng` all chance."""
    app = FastAPI(title="gesta label", docs_url=None, redoc_url=None)
    cutters = ThreadPoolExecutor(2, thread_name_prefix="gesta-cut")
    app.state.close = lambda: cutters.shutdown(cancel_futures=True)
    _add_errors(app)
    _add_api(app, store, media, rules=rules, now_us=now_us, rng=rng)
    _add_media(app, store, media, cutters=cutters)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/static", StaticFiles(directory=PAGE), name="static")

    app.add_middleware(_AddHeaders)
    return app


class _AddHeaders:
    """Say to browsers what the page may load, and what they may keep."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store" if scope["path"].startswith("/api") else "no-cache")
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def _add_api(
    app: FastAPI, store: Store, media: Media, *, rules: Rules, now_us: Callable[[], int], rng: random.Random
) -> None:
    @app.post("/api/task")
    def task(body: TaskRequest) -> JSONResponse:
        """A task for the worker: the unfinished one, or a new one; or why there is none."""
        found = next_task(store, worker_id=body.worker_id, now_us=now_us(), rng=rng, rules=rules)
        return JSONResponse(_task_json(found, media))

    @app.post("/api/votes")
    def cast(body: VotesRequest) -> JSONResponse:
        """What became of each answer; a repeated idempotency key gives the first result again."""
        answers = [Answer(**answer.model_dump()) for answer in body.answers]
        outcome = cast_votes(
            store,
            worker_id=body.worker_id,
            idempotency_key=body.idempotency_key,
            answers=answers,
            now_us=now_us(),
            rules=rules,
        )
        return JSONResponse(outcome)

    @app.get("/api/progress")
    def progress(worker: str | None = None) -> JSONResponse:
        """How far the work is, and how much of it the worker did."""
        return JSONResponse(dict(progress_of(store, worker_id=worker)))


def _task_json(task: Task, media: Media) -> dict[str, Any]:
    if task.status != "task":
        answer: dict[str, Any] = {"status": task.status, "message": _MESSAGES[task.status]}
        return {**answer, "retry_after_s": RETRY_AFTER_S} if task.status == "wait" else answer
    questions = [_question_json(question, media) for question in task.questions]
    return {"status": "task", "task": {"task_id": task.task_id, "kind": task.kind, "items": questions}}


def _question_json(question: Question, media: Media) -> dict[str, Any]:
    address = f"/media/{quote(question.item_id, safe='')}"
    try:
        fps = float(media.stretch_of(question).fps)
    except BadVideo:
        fps = 25.0  # the page will be told by the media address that there is nothing to play
    return {
        "item_id": question.item_id,
        "kind": question.kind,
        "action": question.action,
        "media_url": f"{address}.mp4",
        "path_url": f"{address}.json" if question.box else None,
        "box": list(question.box) if question.box else None,
        "fps": fps,
    }


def _add_media(app: FastAPI, store: Store, media: Media, *, cutters: ThreadPoolExecutor) -> None:
    def find(item_id: str) -> Question:
        with store.reading() as db:
            row = db.execute(sa.select(items).where(items.c.item_id == item_id)).first()
        if row is None:
            raise HTTPException(404, f"no item {item_id!r}")
        return question_of(row)

    @app.head("/media/{item_id:path}.mp4", include_in_schema=False)
    @app.get("/media/{item_id:path}.mp4", response_class=FileResponse)
    async def clip(item_id: str) -> FileResponse:
        """The item's clip: muted H.264, with HTTP ranges."""
        # Cutting takes seconds: it has threads of its own, so that tasks and answers never wait for it.
        loop = asyncio.get_running_loop()
        path = await loop.run_in_executor(cutters, lambda: media.file_of(find(item_id)))
        return FileResponse(path, media_type="video/mp4", headers={"Cache-Control": "private, max-age=3600"})

    @app.get("/media/{item_id:path}.json")
    def path_of(item_id: str) -> JSONResponse:
        """Where the asked-for person is: points of seconds, x1, y1, x2, y2."""
        return JSONResponse({"points": [list(point) for point in media.path_of(find(item_id))]})


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(GestaError)
    def mendable(_request: Request, error: GestaError) -> JSONResponse:
        kinds: dict[type[GestaError], tuple[int, str]] = {
            WorkerBarred: (403, "barred"),
            KeyReused: (409, "key-reused"),
            BadVideo: (404, "no-media"),
            BadInput: (422, "bad-input"),
        }
        status, code = next((found for kind, found in kinds.items() if isinstance(error, kind)), (500, "failed"))
        return _error(status, code, str(error))

    @app.exception_handler(RequestValidationError)
    def unreadable(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return _error(422, "bad-input", f"{place}: {first['msg']}")

    @app.exception_handler(HTTPException)
    def refused(_request: Request, error: HTTPException) -> JSONResponse:
        codes = {404: "not-found", 405: "method-not-allowed"}
        return _error(error.status_code, codes.get(error.status_code, "refused"), str(error.detail))

    @app.exception_handler(Exception)
    def broken(_request: Request, _error_raised: Exception) -> JSONResponse:
        return _error(500, "defect", "The service failed on this request; its log says why.")
