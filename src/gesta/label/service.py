"""The running service, as its routes see it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from gesta.label.book import Book
from gesta.label.desk import Desk
from gesta.label.media import Media
from gesta.label.rules import Rules
from gesta.label.store import Store

Skill = Callable[[pl.DataFrame], Sequence[Mapping[str, Any]]]
"""From votes to a row for each worker; `gesta.consensus` has it, and rooms of the line do not import one another."""


@dataclass(slots=True)
class Service:
    """What every route gets, as `request.app.state.service`."""

    store: Store
    desk: Desk
    media: Media
    rules: Rules
    now_us: Callable[[], int]
    rng: random.Random
    work: Path
    secret: bytes = field(repr=False)
    skill_of: Skill | None = None

    @property
    def book(self) -> Book:
        """What may be asked of whom; changed in `desk.run` only."""
        return self.desk.book
