"""What goes to the desk and comes back: answers, tasks, and the reasons for which one is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gesta.label.book import LiveTask
from gesta.schema import BadInput, GestaError


class KeyReused(GestaError):
    """An idempotency key came a second time with other answers."""


class WorkerBarred(GestaError):
    """A barred worker sent answers; they are not wanted."""


class Stale(GestaError):
    """An edit of an answer that was changed meanwhile."""


class NotYours(GestaError):
    """A task or slot that the worker was never given, or has not answered."""


class StoreDown(GestaError):
    """The database does not take writes now."""


class Overloaded(GestaError):
    """More requests are waiting than can be served soon."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """One answer to the question in a task's slot; nobody changes it, and frozen it would take three times as long."""

    slot: int
    answer: str
    lasts_whole_clip: bool | None = None
    detail: Mapping[str, Any] | None = None
    spent_ms: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.spent_ms < 10**12:
            raise BadInput(f"spent_ms={self.spent_ms} is no time spent", mend="Want 0 or more")
        if self.detail is not None:
            try:
                orjson.dumps(self.detail)
            except TypeError as error:
                # The desk writes it as JSON: what cannot be written there would fail with everybody's answers.
                raise BadInput(f"the detail cannot be kept ({error})", mend="Want plain numbers and text") from error


@dataclass(frozen=True, slots=True)
class Given:
    """What the service says to a worker who asks for work: `task` (with one), wait, done, paused or barred."""

    status: str
    task: LiveTask | None = None
