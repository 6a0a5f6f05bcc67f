"""The route that lists the actions a person may be doing: AVA's 80, each in its category."""

from __future__ import annotations

from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

from gesta.formats import ava_label_map
from gesta.label.kinds import ava_categories

HOTKEYS: dict[int, str] = {12: "1", 11: "2", 14: "3", 1: "4", 17: "5", 59: "6", 79: "7", 74: "8", 80: "9"}
"""Digits of the actions that a worker needs most, until she has favourites of her own.

Source: ours; poses, then objects, then persons, of the commonest classes of the validation lists of AVA v2.1 and
AVA-Kinetics v1.0.
"""


class LabelBody(BaseModel):
    """One action that a person may be doing, and the digit that chooses it unless the worker has favourites."""

    id: int
    name: str
    category: Literal["pose", "object", "person"]
    hotkey: str | None


def labels() -> list[LabelBody]:
    """AVA's 80 actions in the order of their ids.

    >>> labels()[11]
    LabelBody(id=12, name='stand', category='pose', hotkey='1')
    """
    categories = ava_categories()
    rows = [
        {"id": class_id, "name": name, "category": categories[class_id], "hotkey": HOTKEYS.get(class_id)}
        for class_id, name in ava_label_map(80).select("class_id", "name").iter_rows()
    ]
    return [LabelBody.model_validate(row) for row in rows]


def add_label_routes(app: FastAPI) -> None:
    """Give the app `GET /api/labels`; the list is public, the same for everybody, so it asks for no token."""
    listed = labels()

    @app.get("/api/labels")
    def ava_labels() -> list[LabelBody]:
        """AVA's 80 actions, each a pose, something done with an object, or something done with a person."""
        return listed
