"""A stand-in for the label service: its JSON over clips made here, with troubles to order.

It keeps what the real one promises to the page (one answer per slot, replays by their key, entity tags) and nothing
else: no database, no leases, no consensus. `trouble` makes the next requests fail as told.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from gesta.video import write_video

PAGE = Path(__file__).parents[2] / "src" / "gesta" / "label" / "page"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
MESSAGES = {
    "wait": "Everything that is left is with other people right now.",
    "done": "That was all: there are no more clips for you. Thank you!",
    "paused": "The owner has paused your work for now.",
    "barred": "There are no more tasks for you. Thank you for the work you have done.",
}
SKY_PX = {"tall": 120, "wide": 160}


def picture(number: int, k: int) -> np.ndarray:
    """Frame `k` of clip `number`: a bright block that moves to the right, [120, 160, 3]."""
    frame = np.full((SKY_PX["tall"], SKY_PX["wide"], 3), (40 + 25 * number % 120, 60, 110), np.uint8)
    frame[90:] = (52, 74, 60)
    frame[40:100, 2 * k % 120 : 2 * k % 120 + 30] = (230, 200, 60)
    return frame


@dataclass(slots=True, kw_only=True)
class FakeLabel:
    """What the stand-in knows; tests change it as they like."""

    clips: list[Path]
    tasks: list[dict[str, Any]] = field(default_factory=list)
    at_end: str = "done"
    gold: dict[str, Any] = field(default_factory=lambda: {"accuracy": None, "is_low": False})
    gold_after: list[dict[str, Any]] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    prefs: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    order: list[tuple[str, int]] = field(default_factory=list)
    submissions: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: list[tuple[str, str, Any]] = field(default_factory=list)
    trouble: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    lost_replies: list[str] = field(default_factory=list)
    role: str = "worker"

    def add_task(self, kind: str, actions: list[str], **more: Any) -> dict[str, Any]:
        """A task of `kind` with one question an action; `more` goes into each question."""
        task_id = f"t{len(self.tasks)}"
        items = []
        for slot, action in enumerate(actions):
            url = f"/media/{task_id}/{slot}.mp4?e=1&s=x"
            item = {"slot": slot, "kind": kind, "action": action, "fps": 25.0, "duration_s": 2.0, "media_url": url}
            if kind in ("box", "person"):
                item |= {
                    "key_time_s": 1.0,
                    "box": [0.1, 0.3, 0.4, 0.9],
                    "path_url": f"/media/{task_id}/{slot}.json?e=1&s=x",
                }
            items.append({**item, **more})
        task = {"task_id": task_id, "kind": kind, "expires_in_s": 1800.0, "items": items}
        self.tasks.append(task)
        return task

    def answered(self, task: dict[str, Any]) -> list[int]:
        """Slots of the task that have their answer."""
        return [item["slot"] for item in task["items"] if (task["task_id"], item["slot"]) in self.answers]

    def given(self) -> list[tuple[str, Any, Any]]:
        """Answer, whole clip and detail of each slot, by task and slot."""
        return [(one["answer"], one["lasts_whole_clip"], one["detail"]) for _, one in sorted(self.answers.items())]

    def fail_next(self, path: str, status: int, **headers: str) -> None:
        """The next request whose path begins so is answered with this status."""
        self.trouble.append((path, status, headers))


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """The service's one shape of errors."""
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=headers)


def create_fake(fake: FakeLabel) -> FastAPI:
    """The stand-in's routes over `fake`."""
    app = FastAPI()

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        path = request.url.path
        for k, (start, status, headers) in enumerate(fake.trouble):
            if path.startswith(start):
                fake.trouble.pop(k)
                return error(status, {401: "signed-out", 429: "too-many"}.get(status, "failed"), "As ordered.", headers)
        if path.startswith("/api/") and path != "/api/join":
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if token not in fake.tokens:
                return error(401, "signed-out", "This token is not known.")
            request.state.worker_id = fake.tokens[token]
        response: Response = await call_next(request)
        if path in fake.lost_replies:
            fake.lost_replies.remove(path)
            return error(503, "failed", "Done, but the reply was lost.")
        response.headers["Content-Security-Policy"] = CSP
        if not path.startswith("/media"):
            response.headers["Cache-Control"] = "no-store"
        return response

    @app.get("/join")
    @app.get("/")
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    _add_worker_routes(app, fake)
    _add_answer_routes(app, fake)

    @app.get("/media/{task_id}/{slot}.mp4")
    def clip(task_id: str, slot: int) -> FileResponse:
        return FileResponse(fake.clips[slot % len(fake.clips)], headers={"Cache-Control": "private, max-age=600"})

    @app.get("/media/{task_id}/{slot}.json")
    def path_of(task_id: str, slot: int) -> dict[str, Any]:
        return {"points": [[k / 5, 0.1 + k / 20, 0.3, 0.3 + k / 20, 0.9] for k in range(10)]}

    app.mount("/static", StaticFiles(directory=PAGE))
    return app


def _add_worker_routes(app: FastAPI, fake: FakeLabel) -> None:
    @app.post("/api/join")
    async def join(request: Request) -> Any:
        body = await request.json()
        fake.log.append(("POST", "/api/join", body))
        if body["invite"] != "come-in":
            return error(403, "bad-invite", "This invitation is not known, or no longer valid.")
        token = f"token-{len(fake.tokens)}"
        fake.tokens[token] = body["worker_id"]
        return {"token": token, "worker_id": body["worker_id"], "role": fake.role}

    @app.get("/api/me")
    def me(request: Request) -> Any:
        worker_id = request.state.worker_id
        return {
            "worker_id": worker_id, "role": fake.role, "state": "active", "num_answers": len(fake.answers),
            "gold": fake.gold, "prefs": fake.prefs.get(worker_id, {}), "kinds": ["clip"],
        }  # fmt: skip

    @app.put("/api/me/prefs")
    async def keep(request: Request) -> Any:
        fake.prefs[request.state.worker_id] = (await request.json())["prefs"]
        return {}

    @app.get("/api/actions")
    def actions() -> Any:
        return {"actions": fake.actions}

    @app.post("/api/task")
    async def task() -> Any:
        for one in fake.tasks:
            answered = fake.answered(one)
            if len(answered) < len(one["items"]):
                return {"status": "task", "task": {**one, "answered": answered}, "gold": fake.gold}
        more = {"retry_after_s": 5} if fake.at_end == "wait" else {}
        return {"status": fake.at_end, "message": MESSAGES[fake.at_end], **more}


def _add_answer_routes(app: FastAPI, fake: FakeLabel) -> None:
    @app.post("/api/answers")
    async def answers(request: Request) -> Any:
        body = await request.json()
        fake.log.append(("POST", "/api/answers", body))
        if body["idempotency_key"] in fake.submissions:
            return fake.submissions[body["idempotency_key"]]
        results = []
        for one in body["answers"]:
            place = (body["task_id"], one["slot"])
            status = "already" if place in fake.answers else "accepted"
            if status == "accepted":
                fake.answers[place] = {"lasts_whole_clip": None, "detail": None, **one, "etag": "0"}
                fake.order.append(place)
            results.append({"slot": one["slot"], "status": status})
        if fake.gold_after:
            fake.gold = fake.gold_after.pop(0)
        fake.submissions[body["idempotency_key"]] = {
            "results": results, "num_accepted": sum(one["status"] == "accepted" for one in results), "gold": fake.gold,
        }  # fmt: skip
        return fake.submissions[body["idempotency_key"]]

    @app.get("/api/answers/recent")
    def recent() -> Any:
        questions = {(task["task_id"], item["slot"]): item for task in fake.tasks for item in task["items"]}
        return [
            {
                "task_id": place[0], "slot": place[1], "question": questions[place],
                **{name: fake.answers[place][name] for name in ("etag", "answer", "lasts_whole_clip", "detail")},
            }
            for place in reversed(fake.order[-10:])
        ]  # fmt: skip

    @app.put("/api/answers/{task_id}/{slot}")
    async def change(task_id: str, slot: int, request: Request) -> Any:
        body = await request.json()
        fake.log.append(("PUT", request.url.path, body))
        standing = fake.answers[(task_id, slot)]
        if "if-match" not in request.headers:
            return error(428, "no-etag", "Say which answer is meant, with If-Match.")
        if request.headers["if-match"] != f'"{standing["etag"]}"':
            return error(409, "stale", "The answer was changed meanwhile.")
        cleared = {"lasts_whole_clip": None, "detail": None}
        standing |= {**cleared, **body, "etag": str(int(standing["etag"]) + 1)}
        return {"etag": standing["etag"]}


@contextmanager
def running_fake(folder: Path, *, num_clips: int = 3) -> Iterator[tuple[str, FakeLabel]]:
    """The stand-in's address and its state, over clips of two seconds written into `folder`."""
    clips = []
    for number in range(num_clips):
        clips.append(folder / f"clip-{number}.mp4")
        if not clips[-1].exists():
            write_video(clips[-1], [picture(number, k) for k in range(50)], fps=Fraction(25))
    fake = FakeLabel(clips=clips)
    server = uvicorn.Server(uvicorn.Config(create_fake(fake), port=0, log_level="error", ws="none", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    (socket,) = server.servers[0].sockets
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}", fake
    finally:
        server.should_exit = True
        thread.join(10)
