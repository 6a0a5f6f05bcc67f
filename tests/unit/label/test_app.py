"""The HTTP interface, against a real server: shapes, errors, ranges, and nothing that tells gold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from gesta.label import running_server
from gesta.label.media import open_media
from gesta.label.supply import Question
from gesta.schema import BadVideo, Gold, TrustRule
from gesta.tables import read_table, rows_of
from gesta.video import probe, write_video

from .conftest import WorkFolder, write

GOLD = [f"clip:c{n:02d}:{1 + n % 3}" for n in range(10)]


def _cut(source: Path, target: Path, **_: Any) -> Path:
    if source.name == "vc29.mp4":
        raise BadVideo("no frame can be decoded", where=source)
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(bytes(range(256)) * 8)
    return target


@pytest.fixture
def client(work_folder: WorkFolder) -> Iterator[httpx.Client]:
    work = work_folder(num_clips=30, num_persons=1)
    write(work, "gold", [Gold(item_id=item_id, answer="yes") for item_id in GOLD])
    with running_server(work, cut=_cut) as server, httpx.Client(base_url=server.url, trust_env=False) as opened:
        yield opened


def test_a_task_tells_what_the_page_needs_and_nothing_of_gold(client: httpx.Client) -> None:
    response = client.post("/api/task", json={"worker_id": "ann"})
    task = response.json()["task"]
    assert response.headers["cache-control"] == "no-store"
    assert set(task) == {"task_id", "kind", "items"}
    keys = {"item_id", "kind", "action", "media_url", "path_url", "box", "fps"}
    assert {frozenset(item) for item in task["items"]} == {frozenset(keys)}
    shapes = {
        (item["item_id"] in GOLD): {name: type(item[name]) for name in sorted(keys)} for item in task["items"]
    }  # fmt: skip
    assert shapes[True] == shapes[False], "a gold question looks unlike the others"


def test_no_answer_or_page_of_the_service_speaks_of_gold(client: httpx.Client) -> None:
    task = client.post("/api/task", json={"worker_id": "ann"}).json()["task"]
    texts = [
        client.post("/api/task", json={"worker_id": "ann"}).text,
        client.get("/api/progress?worker=ann").text,
        client.get("/openapi.json").text,
        *(client.get(path).text for path in ("/", "/static/app.js", "/static/player.js", "/static/wire.js")),
    ]
    answers = [{"item_id": item["item_id"], "answer": "no"} for item in task["items"]]
    sent = client.post("/api/votes", json={"worker_id": "ann", "idempotency_key": "k" * 8, "answers": answers})
    assert {result["status"] for result in sent.json()["results"]} == {"accepted"}
    for text in [*texts, sent.text]:
        assert "gold" not in text.lower()
    for url in (task["items"][0]["media_url"],):
        assert not any("gold" in f"{name}{value}".lower() for name, value in client.get(url).headers.items())


def test_progress_counts_real_questions(client: httpx.Client) -> None:
    task = client.post("/api/task", json={"worker_id": "ann"}).json()["task"]
    answers = [{"item_id": item["item_id"], "answer": "no"} for item in task["items"]]
    client.post("/api/votes", json={"worker_id": "ann", "idempotency_key": "k" * 8, "answers": answers})
    progress = client.get("/api/progress?worker=ann").json()
    assert progress["kinds"]["clip"] == {"num_items": 20, "num_decided": 0, "num_votes": 18}
    assert progress["worker"] == {"worker_id": "ann", "num_answers": 20}


def test_sends_are_idempotent_and_keys_are_not_reused(client: httpx.Client) -> None:
    item = client.post("/api/task", json={"worker_id": "ann"}).json()["task"]["items"][0]["item_id"]
    body = {"worker_id": "ann", "idempotency_key": "k" * 8, "answers": [{"item_id": item, "answer": "no"}]}
    first, second = (client.post("/api/votes", json=body) for _ in range(2))
    assert first.json() == second.json() == {"results": [{"item_id": item, "status": "accepted"}], "num_accepted": 1}
    body["answers"] = [{"item_id": item, "answer": "yes"}]
    reused = client.post("/api/votes", json=body)
    assert (reused.status_code, reused.json()["error"]["code"]) == (409, "key-reused")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/task", {}, 422, "bad-input"),
        ("POST", "/api/task", {"worker_id": "a b"}, 422, "bad-input"),
        ("POST", "/api/task", "{", 422, "bad-input"),
        ("GET", "/api/task", None, 405, "method-not-allowed"),
        ("POST", "/api/votes", {"worker_id": "a", "idempotency_key": "k" * 8, "answers": []}, 422, "bad-input"),
        (
            "POST",
            "/api/votes",
            {"worker_id": "a", "idempotency_key": "k" * 8, "answers": [{"item_id": "x", "answer": "?"}]},
            422,
            "bad-input",
        ),
        ("GET", "/api/progress?worker=a%20b", None, 422, "bad-input"),
        ("GET", "/api/nothing", None, 404, "not-found"),
        ("GET", "/nothing", None, 404, "not-found"),
        ("GET", "/static/nothing.js", None, 404, "not-found"),
        ("GET", "/static/..%2f..%2fapp.py", None, 404, "not-found"),
        ("GET", "/media/clip:nowhere:1.mp4", None, 404, "not-found"),
        ("GET", "/media/..%2f..%2flabels.sqlite.mp4", None, 404, "not-found"),
        ("GET", "/media/clip:c29:3.mp4", None, 404, "no-media"),
    ],
)
def test_errors_have_one_shape(
    client: httpx.Client, method: str, path: str, body: object, status: int, code: str
) -> None:
    content = body if isinstance(body, str) else None if body is None else json.dumps(body)
    response = client.request(method, path, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    error = response.json()
    assert set(error) == {"error"}
    assert set(error["error"]) == {"code", "message"}
    assert error["error"]["code"] == code
    assert len(error["error"]["message"]) > 5


def test_a_barred_worker_is_told_so(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=30)
    write(work, "gold", [Gold(item_id=item_id, answer="yes") for item_id in GOLD])
    trust = TrustRule(min_gold=2)
    with running_server(work, cut=_cut, trust=trust) as server:
        task = httpx.post(f"{server.url}/api/task", json={"worker_id": "spam"}, trust_env=False).json()["task"]
        answers = [{"item_id": item["item_id"], "answer": "no"} for item in task["items"]]
        body = {"worker_id": "spam", "idempotency_key": "k" * 8, "answers": answers}
        httpx.post(f"{server.url}/api/votes", json=body, trust_env=False)
        found = httpx.post(f"{server.url}/api/task", json={"worker_id": "spam"}, trust_env=False).json()
        assert found == {
            "status": "barred",
            "message": "There are no more tasks for you. Thank you for the work you have done.",
        }
        refused = httpx.post(f"{server.url}/api/votes", json={**body, "idempotency_key": "l" * 8}, trust_env=False)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "barred")
        assert httpx.post(f"{server.url}/api/votes", json=body, trust_env=False).status_code == 200, "a replay"


def test_clips_come_in_ranges(client: httpx.Client) -> None:
    url = "/media/clip%3Ac03%3A1.mp4"
    whole = client.get(url)
    assert (whole.status_code, whole.headers["content-type"], len(whole.content)) == (200, "video/mp4", 2048)
    assert whole.headers["accept-ranges"] == "bytes"
    part = client.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.headers["content-range"]) == (206, "bytes 100-199/2048")
    assert part.content == whole.content[100:200]
    assert client.get(url, headers={"Range": "bytes=5000-"}).status_code == 416
    head = client.head(url)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "2048", b"")


def test_the_page_loads_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for path in ("/", "/static/app.js", "/static/player.js", "/static/wire.js", "/static/style.css"):
        text = client.get(path).text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text


def test_cuts_are_muted_h264_of_the_right_length(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=1, num_persons=1)
    frames = [np.full((48, 64, 3), 2 * k, np.uint8) for k in range(100)]
    write_video(work / "vc00.mp4", frames, fps=Fraction(25))
    write(work, "gold", [Gold(item_id="clip:c00:1", answer="yes")])
    urls = {"clip:c00:1": 4_000_000, "box:c00:0001500000:0:1": 2_000_000}
    with running_server(work) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        for item_id, duration_us in urls.items():
            response = client.get(f"/media/{item_id}.mp4")
            assert response.status_code == 200, response.text
            (work / "served.mp4").write_bytes(response.content)
            facts = probe(work / "served.mp4")
            assert (facts.codec, facts.has_audio, facts.fps, facts.is_vfr) == ("h264", False, 25, False)
            assert facts.duration_us == duration_us
        path = client.get("/media/box:c00:0001500000:0:1.json").json()
        # 2 s centred on the key-frame at 1.5 s begin at 0.5 s.
        assert path == {"points": [[1.0, 0.2, 0.1, 0.5, 0.9]]}
        assert client.get("/media/clip:c00:1.json").json() == {"points": []}
    assert len(list((work / "cuts").glob("*.mp4"))) == 2


@pytest.mark.parametrize(("timestamp_us", "expected"), [(100_000, (0, 2_000_000)), (3_900_000, (2_000_000, 4_000_000))])
def test_a_box_clip_stays_inside_its_video(
    work_folder: WorkFolder, timestamp_us: int, expected: tuple[int, int]
) -> None:
    media = open_media(work_folder(), cut=_cut)
    question = Question(
        item_id="b", kind="box", clip_id="c00", action="wave", timestamp_us=timestamp_us, person_id=0,
        box=(0.1, 0.1, 0.2, 0.2),
    )  # fmt: skip
    stretch = media.stretch_of(question)
    assert (stretch.start_us, stretch.end_us) == expected


def test_large_and_fast_videos_are_served_smaller(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=2)
    small, large = rows_of("videos", read_table(work, "videos"))
    write(work, "videos", [small, replace(large, width_px=1920, height_px=1080, fps_num=60)])
    media = open_media(work, cut=_cut)
    facts = {}
    for clip_id in ("c00", "c01"):
        question = Question(
            item_id="i", kind="clip", clip_id=clip_id, action="wave", timestamp_us=None, person_id=None, box=None
        )
        stretch = media.stretch_of(question)
        facts[clip_id] = (stretch.short_side_px, stretch.fps)
    assert facts == {"c00": (None, 25), "c01": (480, 30)}


def test_a_video_that_is_gone_is_said_to_be(work_folder: WorkFolder) -> None:
    work = work_folder(num_clips=1)
    with running_server(work) as server:
        response = httpx.get(f"{server.url}/media/clip:c00:1.mp4", trust_env=False)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "no-media")
