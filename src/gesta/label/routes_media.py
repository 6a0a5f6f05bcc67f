"""Clips, frames and paths over HTTP: signed links, ranges, and nothing that tells where a clip comes from.

A link names a task and a slot, which only the service can turn into a clip. `/media/item/<number>` is for pages of
the owner, who looks at items that are in no task of theirs.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import FastAPI, Query, Request, Response
from pydantic import BaseModel

from gesta.label.book import Question, WorkerHere
from gesta.label.guards import refusal, responses
from gesta.label.media import Asked, clip_ids_of, read_frame
from gesta.label.media_cuts import MediaBusy
from gesta.label.media_links import PERIOD_S, is_good_link, link_query
from gesta.label.service import Service
from gesta.label.sql_tables import tasks

ITEM = "item"
"""What stands for the task in a link to an item that is in none; task ids are hexadecimal, so it is no task's."""

WAIT_S = 60.0
"""How long a request waits for its clip to be cut. Source: ours; a long one takes seconds."""

_KEPT_TASKS = 1000
_CACHE = f"private, max-age={PERIOD_S}, immutable"
_SLOT = re.compile(r"[0-9]{1,18}\Z")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")

Expiry = Annotated[int, Query(description="when the link ends, seconds since 1970 UTC", ge=0, lt=10**12)]
Signature = Annotated[str, Query(description="the service's signature", max_length=64)]


class PersonPath(BaseModel):
    """Where the asked-for person is: points of seconds, x1, y1, x2, y2."""

    points: list[tuple[float, float, float, float, float]]


# ---- what the page is told -------------------------------------------------------------------------------------------


def question_media(service: Service, task_id: str, slot: int, question: Question) -> dict[str, Any]:
    """The part of a question's JSON that is about what it plays: times, links, box, and clips side by side.

    It touches memory only. Nothing in it names the clip or its video, and gold has the same keys as the rest.
    """
    stem = f"{task_id}/{slot}"
    query = link_query(service.secret, stem, now_us=service.now_us())
    base = f"/media/{stem}"
    timing = service.media.timing_of(question)
    told: dict[str, Any] = {
        "fps": timing.fps,
        "duration_s": timing.duration_s,
        "media_url": f"{base}.mp4{query}",
    }
    kind = question.kind
    if kind in ("frame", "person", "box"):
        told["key_time_s"] = timing.key_time_s
    if kind in ("person", "box"):
        told["box"] = None if question.box is None else list(question.box)
        told["path_url"] = f"{base}.json{query}"
    elif kind == "frame":
        told["boxes"] = question.detail.get("boxes", [])
        offsets = service.media.offsets_of(question)
        told["frames"] = [{"offset": k, "url": f"{base}/frame/{k}.jpg{query}"} for k in offsets]
    elif kind in ("cluster", "class"):
        told["clips"] = _clips_json(question, base=base, query=query)
        if kind == "cluster":
            has_animation = service.media.animation_of(question) is not None
            told["animation_url"] = f"{base}/all.webp{query}" if has_animation else None
    return told


def item_media(service: Service, question: Question) -> dict[str, Any]:
    """The same for a page of the owner, of an item that may be in no task."""
    return question_media(service, ITEM, question.seq, question)


def _clips_json(question: Question, *, base: str, query: str) -> list[dict[str, Any]]:
    clips = [
        {"n": n, "media_url": f"{base}/{n}.mp4{query}"} for n in range(len(clip_ids_of(question)))
    ]  # fmt: skip
    if question.kind == "class":
        for told, clip in zip(clips, question.detail.get("clips", []), strict=True):
            told["score"], told["near"] = clip.get("score"), clip.get("near")
            if clip.get("suggested"):
                told["suggested"] = clip["suggested"]
        return clips
    pairs: list[list[list[float]]] = [[] for _ in clips]
    for n, m, cosine in question.detail.get("similarity", []):
        if 0 <= n < len(clips) and 0 <= m < len(clips):
            pairs[n].append([m, cosine])
            pairs[m].append([n, cosine])
    for told, alike in zip(clips, pairs, strict=True):
        told["similarity"] = sorted(alike)
    return clips


# ---- which item a link stands for ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Tasks:
    """The items of tasks that ended lately, so that a clip's many ranges do not each ask the database.

    `played` are tasks of which somebody has asked for a clip: simulated crowds never do, and nothing is cut for them.
    """

    known: OrderedDict[str, list[int]] = field(default_factory=OrderedDict)
    played: OrderedDict[str, None] = field(default_factory=OrderedDict)

    async def find(self, service: Service, task_id: str) -> list[int]:
        live = service.book.tasks.get(task_id)
        if live is not None:
            return live.seqs
        found = self.known.get(task_id)
        if found is None:
            found = await asyncio.to_thread(_seqs_of, service, task_id)
            self.known[task_id] = found
            if len(self.known) > _KEPT_TASKS:
                self.known.popitem(last=False)
        return found

    def play(self, service: Service, task_id: str, slot: int) -> None:
        """Have the rest of a task cut, once its first clip is asked for: from that question on, then those before."""
        task = service.book.tasks.get(task_id)
        if task is None or task_id in self.played:
            return
        self.played[task_id] = None
        if len(self.played) > _KEPT_TASKS:
            self.played.popitem(last=False)
        book = service.book
        service.media.prefetch([book.question(seq) for seq in task.seqs[slot:] + task.seqs[:slot]])


def cut_next_task(request: Request, who: WorkerHere, *, after: str) -> None:
    """Have the worker's next task cut while the page fetches it, if the one before was looked at."""
    found: _Tasks = request.app.state.media_tasks
    if who.task is not None and who.task.task_id != after and after in found.played:
        found.play(request.app.state.service, who.task.task_id, 0)


def _seqs_of(service: Service, task_id: str) -> list[int]:
    with service.store.reading() as db:
        text = db.execute(sa.select(tasks.c.seqs).where(tasks.c.task_id == task_id)).scalar()
    return [] if text is None else [int(seq) for seq in json.loads(text)]


async def _asked(request: Request, task_id: str, slot: str, *, expires_s: int, signed: str) -> Question:
    """The question that a link stands for.

    Raises:
        HTTPException: 403 for a link that the service did not make or that has ended, 404 for one without a question.
    """
    service: Service = request.app.state.service
    stem = f"{task_id}/{slot}"
    if not is_good_link(service.secret, stem, expires_s=expires_s, signed=signed, now_us=service.now_us()):
        raise refusal(403, "bad-link", "This link has ended. Fetch your task again.")
    book = service.book
    number = int(slot) if _SLOT.match(slot) else -1
    if task_id == ITEM:
        seqs, number = [number], 0
    else:
        seqs = await request.app.state.media_tasks.find(service, task_id)
        request.app.state.media_tasks.play(service, task_id, max(number, 0))
    if not 0 <= number < len(seqs) or not 0 < seqs[number] < len(book.kind):
        raise refusal(404, "not-found", "There is no such question.")
    return book.question(seqs[number])


# ---- files -----------------------------------------------------------------------------------------------------------


async def _content(
    service: Service, ask: Callable[[], Future[Path]], read: Callable[[Path], bytes]
) -> tuple[str, bytes]:
    """The file's name and what `read` finds in it; cut again where it was dropped from the folder just now."""
    for _ in range(3):
        try:
            path = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(ask())), WAIT_S)
        except TimeoutError as error:
            raise MediaBusy("the clip is still being cut", mend="Try again in a moment") from error
        try:
            return path.name, await asyncio.to_thread(read, path)
        except FileNotFoundError:
            service.media.cuts.forget(path.name)
    raise MediaBusy("the clip was dropped again and again", mend="Let the cuts take more of the disk")


def _served(request: Request, content: bytes, *, name: str, media_type: str, secret: bytes) -> Response:
    """The content, or the part of it that is asked for, or word that the browser has it already."""
    # The cut's own name is made of the source's hash: it is not for workers, who might compare it.
    etag = f'"{hmac.digest(secret, name.encode(), "sha256")[:12].hex()}"'
    headers = {"ETag": etag, "Cache-Control": _CACHE, "Accept-Ranges": "bytes"}
    asked = request.headers
    known = [tag.strip().removeprefix("W/") for tag in asked.get("if-none-match", "").split(",")]
    if etag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    span = asked.get("range") if asked.get("if-range") in (None, etag) else None
    part = None if span is None else part_of(span, len(content))
    if part is None:
        return Response(content, media_type=media_type, headers=headers)
    start, stop = part
    if start >= stop:
        raise refusal(
            416, "no-such-range", "The clip has no such part.", headers={"Content-Range": f"bytes */{len(content)}"}
        )
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
    return Response(content[start:stop], status_code=206, media_type=media_type, headers=headers)


def part_of(span: str, num_bytes: int) -> tuple[int, int] | None:
    """Where the part begins and ends that a Range header asks for, half-open; None = all: it is none, or several parts.

    A part that lies outside begins where it ends. Source: RFC 9110, sections 14.1.2 and 14.2, which lets a server
    pass over a header that it does not care for.

    >>> part_of("bytes=2-4", 10), part_of("bytes=7-", 10), part_of("bytes=-3", 10), part_of("bytes=10-", 10)
    ((2, 5), (7, 10), (7, 10), (10, 10))
    >>> part_of("bytes=0-1,3-4", 10), part_of("lines=1-2", 10), part_of("bytes=4-2", 10)
    (None, None, None)
    """
    found = _RANGE.match(span.replace(" ", ""))
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        length = int(last)
        return (max(0, num_bytes - length), num_bytes) if length else (num_bytes, num_bytes)
    if last and int(last) < int(first):
        return None
    start = min(int(first), num_bytes)
    return start, max(start, min(num_bytes, int(last) + 1 if last else num_bytes))


# ---- the routes ------------------------------------------------------------------------------------------------------

_REFUSALS = responses(403, 404, 416)


def _documented(media_type: str) -> dict[int | str, dict[str, Any]]:
    kind: Mapping[str, Any] = {"content": {media_type: {"schema": {"type": "string", "format": "binary"}}}}
    return {
        200: {"description": "all of it", **kind},
        206: {"description": "the part that Range asks for", **kind},
        304: {"description": "the browser has it: If-None-Match"},
        **_REFUSALS,
    }


def add_media_routes(app: FastAPI) -> None:
    """Add the routes of clips, frames and paths."""
    app.state.media_tasks = _Tasks()

    async def clip(request: Request, task_id: str, slot: str, e: Expiry = 0, s: Signature = "") -> Response:
        """The question's clip: muted H.264, with HTTP ranges."""
        return await _clip(request, task_id, slot, n=None, expires_s=e, signed=s)

    async def clip_of_several(
        request: Request, task_id: str, slot: str, n: int, e: Expiry = 0, s: Signature = ""
    ) -> Response:
        """One of the clips that the question shows side by side, counted from 0."""
        return await _clip(request, task_id, slot, n=n, expires_s=e, signed=s)

    async def frame(
        request: Request, task_id: str, slot: str, offset: int, e: Expiry = 0, s: Signature = ""
    ) -> Response:
        """The question's key-frame (offset 0) or a frame beside it, as JPEG."""
        return await _frame(request, task_id, slot, offset=offset, expires_s=e, signed=s)

    async def animation(request: Request, task_id: str, slot: str, e: Expiry = 0, s: Signature = "") -> Response:
        """The clips of a cluster side by side and in step, as one animation; 404 where none was drawn."""
        return await _animation(request, task_id, slot, expires_s=e, signed=s)

    async def path_of(request: Request, task_id: str, slot: str, e: Expiry = 0, s: Signature = "") -> PersonPath:
        """Where the asked-for person is while the clip plays."""
        asked = await _asked(request, task_id, slot, expires_s=e, signed=s)
        return PersonPath(points=request.app.state.service.media.path_of(asked))

    for path, serve, media_type in (
        ("/media/{task_id}/{slot}.mp4", clip, "video/mp4"),
        ("/media/{task_id}/{slot}/{n}.mp4", clip_of_several, "video/mp4"),
        ("/media/{task_id}/{slot}/frame/{offset}.jpg", frame, "image/jpeg"),
        ("/media/{task_id}/{slot}/all.webp", animation, "image/webp"),
    ):
        # A response class with a media type of its own would have refusals documented as pictures.
        told = _documented(media_type)
        app.add_api_route(path, serve, methods=["GET"], response_class=Response, responses=told, tags=["media"])
        app.add_api_route(path, serve, methods=["HEAD"], response_class=Response, include_in_schema=False)
    app.add_api_route(
        "/media/{task_id}/{slot}.json",
        path_of,
        methods=["GET"],
        response_model=PersonPath,
        responses=_REFUSALS,
        tags=["media"],
    )


async def _clip(request: Request, task_id: str, slot: str, *, n: int | None, expires_s: int, signed: str) -> Response:
    asked: Asked = await _asked(request, task_id, slot, expires_s=expires_s, signed=signed)
    service: Service = request.app.state.service
    if n is not None and (asked.kind not in ("cluster", "class") or not 0 <= n < len(clip_ids_of(asked))):
        raise refusal(404, "not-found", "There is no such clip.")
    name, content = await _content(service, lambda: service.media.clip_file(asked, n), Path.read_bytes)
    return _served(request, content, name=name, media_type="video/mp4", secret=service.secret)


async def _frame(request: Request, task_id: str, slot: str, *, offset: int, expires_s: int, signed: str) -> Response:
    asked = await _asked(request, task_id, slot, expires_s=expires_s, signed=signed)
    service: Service = request.app.state.service
    if asked.kind != "frame" or offset not in service.media.offsets_of(asked):
        raise refusal(404, "not-found", "There is no such frame.")
    name, picture = await _content(
        service,
        lambda: service.media.frames_file(asked, has_neighbours=offset != 0),
        lambda path: read_frame(path, offset),
    )
    name = f"{name}/{offset}"
    return _served(request, picture, name=name, media_type="image/jpeg", secret=service.secret)


async def _animation(request: Request, task_id: str, slot: str, *, expires_s: int, signed: str) -> Response:
    asked = await _asked(request, task_id, slot, expires_s=expires_s, signed=signed)
    service: Service = request.app.state.service
    path = service.media.animation_of(asked)
    if path is None:
        raise refusal(404, "not-found", "There is no animation of it.")
    try:
        content = await asyncio.to_thread(path.read_bytes)
    except FileNotFoundError as error:
        raise refusal(404, "not-found", "There is no animation of it.") from error
    media_type = "image/gif" if path.suffix == ".gif" else "image/webp"
    return _served(request, content, name=path.name, media_type=media_type, secret=service.secret)
