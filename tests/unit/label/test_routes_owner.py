"""What the owner's routes answer, on the running service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from gesta.label.answers import Answer
from gesta.label.guards import NO_LIMITS
from gesta.label.routes_owner import standing_votes
from gesta.label.server import RunningServer, running_server
from gesta.tables import read_table, table_path

from .conftest import WorkFolder
from .desk_trial import PLAIN

RULES = replace(PLAIN, class_after_num_clips=2)


@pytest.fixture
def work(work_folder: WorkFolder) -> Path:
    """Six clips, each asked for one of two actions."""
    return work_folder(num_clips=6, num_classes=2)


@pytest.fixture
def server(work: Path) -> Iterator[RunningServer]:
    """The service at work on it; its skill is the number of votes."""

    def skill_of(votes: pl.DataFrame) -> list[dict[str, Any]]:
        return votes.group_by("worker_id").len().sort("worker_id").to_dicts()

    with running_server(work, rules=RULES, limits=NO_LIMITS, skill_of=skill_of) as running:
        yield running


@pytest.fixture
def owner(server: RunningServer) -> Iterator[httpx.Client]:
    """Somebody who may do everything."""
    headers = {"Authorization": f"Bearer {server.token_of('owner', role='owner')}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=60) as client:
        yield client


def answer(server: RunningServer, worker_id: str, said: str, *, detail: dict[str, str] | None = None) -> None:
    """The worker gives one answer to everything in a task."""
    server.token_of(worker_id)
    desk = server.service.desk
    seq = desk.book.by_name[worker_id].seq
    task = desk.fetch(seq).result().task
    assert task is not None
    answers = [
        Answer(slot=slot, answer=said, lasts_whole_clip=True if said == "yes" else None, detail=detail, spent_ms=900)
        for slot in range(len(task.seqs))
    ]
    desk.submit(seq, key=f"key-of-{worker_id}", task_id=task.task_id, answers=answers).result()


def test_the_board_stays_the_same_until_something_happens(server: RunningServer, owner: httpx.Client) -> None:
    first = owner.get("/api/owner/board")
    assert first.headers["cache-control"] == "private, no-cache"
    etag = first.headers["etag"]
    for told in (etag, f'W/{etag}, "other"'):
        again = owner.get("/api/owner/board", headers={"If-None-Match": told})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    owner.post("/api/owner/classes/1/pause", json={})
    changed = owner.get("/api/owner/board", headers={"If-None-Match": etag})
    assert changed.status_code == 200, "what was done is seen at once"
    assert changed.json()["totals"]["num_paused"] == 1


def test_a_class_is_paused_resumed_and_dropped_and_the_diary_tells(owner: httpx.Client) -> None:
    for action, state in (("pause", "paused"), ("resume", "active"), ("drop", "dropped")):
        found = owner.post(f"/api/owner/classes/2/{action}", json={"reason": "a <b>reason</b>"}).json()
        assert (found["class_id"], found["state"], found["state_by"]) == (2, state, "owner")
    diary = owner.get("/api/owner/events").json()[:3]
    assert [row["what"] for row in diary] == ["class-dropped", "class-resumed", "class-paused"]
    assert {(row["actor"], row["subject"], row["detail"]["reason"]) for row in diary} == {
        ("owner", "action 2", "a <b>reason</b>")
    }
    older = owner.get("/api/owner/events", params={"before": diary[0]["event_id"], "limit": 1}).json()
    assert [row["what"] for row in older] == ["class-resumed"]


def test_thresholds_hold_for_one_class_or_for_the_run(server: RunningServer, owner: httpx.Client) -> None:
    for worker in ("ann", "bob", "cat"):
        answer(server, worker, "no")
    states = {row["class_id"]: row["state"] for row in owner.get("/api/owner/classes").json()["classes"]}
    assert states == {1: "paused", 2: "paused"}
    assert owner.put("/api/owner/classes/1/threshold", json={"threshold_frac": 0}).json()["state"] == "active"
    found = owner.put("/api/owner/threshold", json={"threshold_frac": 0.0}).json()
    assert found == {"threshold_frac": 0.0, "changed": ["action 2"]}
    listed = owner.get("/api/owner/classes").json()
    assert listed["gate_rule"] == {"threshold_frac": 0.0, "after_num_clips": 2}
    assert [row["has_own_threshold"] for row in listed["classes"]] == [True, False]
    assert server.service.desk.clerk.gate.threshold_frac == 0.0


def test_a_class_is_split_and_its_clips_are_asked_under_the_new_names(
    server: RunningServer, owner: httpx.Client, work: Path
) -> None:
    answer(server, "ann", "no", detail={"suggestion": "Trimming  trees"})
    refused = owner.post("/api/owner/classes/1/split", json={"into": ["x"], "clips": "accepted"})
    assert refused.status_code == 422
    assert refused.json()["error"]["message"].startswith("The class has no accepted clips. Send others")
    body = {"into": ["trimming trees", "action 1"], "clips": "suggested"}
    split = owner.post("/api/owner/classes/1/split", json=body).json()
    assert (split["old_class_id"], split["new_names"], split["num_clips"]) == (1, body["into"], 3)
    new_id = split["new_class_ids"][0]
    funnel = {row["class_id"]: row for row in owner.get("/api/owner/board").json()["classes"] if row["kind"] == "clip"}
    assert (funnel[new_id]["name"], funnel[new_id]["num_items"]) == ("trimming trees", 3)
    asked = read_table(work, "items").filter(pl.col("class_id") == new_id)["clip_id"].to_list()
    assert sorted(asked) == ["c00", "c02", "c04"]
    assert server.service.book.classes[1]["state"] == "active", "its own name is among them"


def test_a_folder_without_candidates_cannot_have_its_classes_split(
    server: RunningServer, owner: httpx.Client, work: Path
) -> None:
    table_path(work, "candidates").unlink()
    refused = owner.post("/api/owner/classes/1/split", json={"into": ["x"], "clips": "all"})
    assert refused.status_code == 409
    assert "Serve the folder that `gesta mine` wrote" in refused.json()["error"]["message"]
    assert str(work) not in refused.text


def test_what_is_disputed_comes_with_links_that_play_for_nobody_else(
    server: RunningServer, owner: httpx.Client
) -> None:
    answer(server, "ann", "yes")
    answer(server, "bob", "no")
    rows = owner.get("/api/owner/disputed", params={"class_id": 2, "limit": 2}).json()
    assert [row["class_id"] for row in rows] == [2, 2]
    assert rows[0]["answers"] == {"yes": 1, "no": 1, "unsure": 0, "broken": 0}
    forged = rows[0]["media_url"].replace("s=", "s=A")
    assert httpx.get(f"{server.url}{forged}").status_code == 403


def test_skill_is_told_of_standing_answers(server: RunningServer, owner: httpx.Client) -> None:
    assert owner.get("/api/owner/skill").json() == []
    answer(server, "ann", "yes")
    answer(server, "bob", "no")
    assert owner.get("/api/owner/skill").json() == [{"worker_id": "ann", "len": 6}, {"worker_id": "bob", "len": 6}]
    with server.store.reading() as db:
        frame = standing_votes(db, kind="clip")
    assert frame.columns == ["item_id", "worker_id", "answer", "gold_answer"]
    server.service.skill_of = None
    without = owner.get("/api/owner/skill")
    assert (without.status_code, without.json()["error"]["code"]) == (503, "no-skill")


def test_health_is_the_desk_s(server: RunningServer, owner: httpx.Client) -> None:
    found = owner.get("/api/owner/health").json()
    assert found["is_down"] is False
    assert found["num_batches"] >= 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/owner/classes/99/pause", {}, 404),
        ("POST", "/api/owner/classes/1/stop", {}, 422),
        ("POST", "/api/owner/classes/-1/pause", {}, 422),
        ("PUT", "/api/owner/classes/99/threshold", {"threshold_frac": 0.5}, 404),
        ("PUT", "/api/owner/classes/1/threshold", {"threshold_frac": 1.5}, 422),
        ("PUT", "/api/owner/threshold", {"threshold_frac": None}, 422),
        ("POST", "/api/owner/classes/1/split", {"into": []}, 422),
        ("POST", "/api/owner/classes/1/split", {"into": ["a", "a"], "clips": "all"}, 422),
        ("GET", "/api/owner/disputed?limit=0", None, 422),
    ],
)
def test_what_cannot_be_is_refused_in_the_one_shape(
    owner: httpx.Client, method: str, path: str, body: object, status: int
) -> None:
    refused = owner.request(method, path, json=body)
    assert refused.status_code == status
    assert set(refused.json()["error"]) == {"code", "message"}
