"""The list of actions that the page offers."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
from fastapi import FastAPI

from gesta.formats import ava_label_map
from gesta.label.routes_labels import add_label_routes


async def _get(app: FastAPI, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.get(path)


def _listed() -> list[dict[str, object]]:
    app = FastAPI()
    add_label_routes(app)
    reply = asyncio.run(_get(app, "/api/labels"))
    assert reply.status_code == 200
    listed: list[dict[str, object]] = reply.json()
    return listed


def test_the_actions_are_those_of_ava_in_three_categories() -> None:
    listed = _listed()
    assert [(row["id"], row["name"]) for row in listed] == ava_label_map(80).select("class_id", "name").rows()
    assert Counter(row["category"] for row in listed) == {"pose": 14, "object": 49, "person": 17}
    assert {row["category"] for row in listed if row["name"] in ("stand", "sit")} == {"pose"}


def test_each_digit_chooses_one_action_and_poses_come_first() -> None:
    with_digit = sorted((row for row in _listed() if row["hotkey"]), key=lambda row: str(row["hotkey"]))
    assert [row["hotkey"] for row in with_digit] == list("123456789")
    order = ["pose", "object", "person"]
    places = [order.index(str(row["category"])) for row in with_digit]
    assert places == sorted(places)
