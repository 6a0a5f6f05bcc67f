"""The label page in a real Chromium over the real service: what is answered by keyboard stands in the database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from tests.browser.fake_label import picture
from tests.browser.page_steps import READ, press, question, until, wait_for

from gesta.label.items import build_items
from gesta.label.rules import Rules
from gesta.label.server import RunningServer, running_server
from gesta.label.sql_tables import items, votes, workers
from gesta.schema import Candidate, Clip, ClipKeyFrame, ClipLabel, Gold, LabelClass, TrackBox, Video
from gesta.tables import frame_of, made_by, table_path, write_table
from gesta.video import write_video

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

ACTIONS = ("waving", "juggling", "bowing")


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three videos of two seconds, written once."""
    folder = tmp_path_factory.mktemp("movies")
    paths = [folder / f"v{number}.mp4" for number in range(3)]
    for number, path in enumerate(paths):
        write_video(path, [picture(number, k) for k in range(50)], fps=Fraction(25))
    return paths


@pytest.fixture
def work(tmp_path: Path, movies: list[Path]) -> Path:
    """Three clips of two seconds, each asked for one action, with one person in each."""
    rows: dict[str, list[Any]] = {name: [] for name in ("videos", "clips", "candidates", "key_frames", "tracks")}
    for number, movie in enumerate(movies):
        video_id = f"v{number}"
        shutil.copy(movie, tmp_path)
        clip = Clip(clip_id=f"c{number}", video_id=video_id, start_us=0, end_us=2_000_000)
        rows["videos"].append(
            Video(
                video_id=video_id, path=movie.name, sha256=f"{number}" * 64, size_bytes=1, container="mp4",
                codec="h264", width_px=160, height_px=120, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False,
                num_frames=50, start_us=0, duration_us=2_000_000, has_audio=False,
            )
        )  # fmt: skip
        rows["clips"].append(clip)
        asked = Candidate(clip_id=clip.clip_id, class_id=number + 1, source="title", query="", score=1.0)
        rows["candidates"].append(asked)
        frame = ClipKeyFrame(clip_id=clip.clip_id, video_id=video_id, timestamp_us=1_000_000, score=0.9, num_boxes=1)
        rows["key_frames"].append(frame)
        rows["tracks"] += [
            TrackBox(
                clip_id=clip.clip_id, video_id=video_id, person_id=0, timestamp_us=t, x1=0.1 + t / 4e6, y1=0.2,
                x2=0.3 + t / 4e6, y2=0.8, score=0.9, is_interpolated=False,
            )
            for t in range(0, 2_000_000, 200_000)
        ]  # fmt: skip
    rows["label_map"] = [LabelClass(class_id=k, name=name) for k, name in enumerate(ACTIONS, start=1)]
    for table, listed in rows.items():
        put(tmp_path, table, listed)
    build_items(tmp_path)
    return tmp_path


def put(work: Path, table: str, rows: list[Any]) -> None:
    """Write a hand-made table."""
    write_table(table_path(work, table), table, frame_of(table, rows), made_by=made_by("test", arguments={}, inputs={}))


@contextmanager
def serving(work: Path, **rules: Any) -> Iterator[RunningServer]:
    """The service over the folder; ada has read the instructions."""
    with running_server(work, seed=1, rules=Rules(**rules)) as server:
        yield server


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    """A fresh page; the test fails when it logged an error of its own, or broke the service's security policy."""
    problems: list[str] = []
    context = browser.new_context(viewport={"width": 1100, "height": 760})
    opened = context.new_page()
    opened.set_default_timeout(8_000)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    ordered = ("net::ERR_", "status of 401", "status of 409")
    assert [problem for problem in problems if not any(known in problem for known in ordered)] == []


def sign_in(page: sync_api.Page, server: RunningServer, worker_id: str = "ada", *, has_read: bool = True) -> str:
    """Open the page as this worker; the token."""
    token = server.token_of(worker_id)
    if has_read:
        with api(server, token) as client:
            client.put("/api/me/prefs", json={"prefs": READ}).raise_for_status()
    page.goto(f"{server.url}/#token={token}")
    return token


def api(server: RunningServer, token: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)


def cast(server: RunningServer, worker_id: str = "ada") -> list[tuple[Any, ...]]:
    """Item, revision, answer, whole clip and detail of the worker's votes, in the order of their arrival."""
    query = (
        sa.select(items.c.item_id, votes.c.revision, votes.c.answer, votes.c.lasts_whole_clip, votes.c.detail)
        .join(items, items.c.seq == votes.c.seq)
        .join(workers, workers.c.seq == votes.c.worker_seq)
        .where(workers.c.worker_id == worker_id)
        .order_by(votes.c.vote_id)
    )
    with server.store.reading() as db:
        return [tuple(row) for row in db.execute(query)]


PLAYS = "document.querySelector('video')?.currentTime > 0.3"


def test_clips_by_keyboard_from_the_invitation_on_with_a_reload_in_the_middle(page: sync_api.Page, work: Path) -> None:
    with serving(work) as server:
        assert server.invite_link is not None
        page.goto(server.invite_link)
        wait_for(page, "start")
        page.keyboard.type("ada")
        page.keyboard.press("Enter")
        wait_for(page, "guide")
        press(page, "Enter", "Enter")
        wait_for(page, "ask")
        until(page, PLAYS)
        video = "document.querySelector('video')"
        assert page.evaluate(f"[{video}.muted, {video}.loop, {video}.videoWidth]") == [True, True, 160]
        assert page.inner_text("#count") == "1 of 3"
        assert question(page).startswith("Can you see a human performing the action")
        press(page, "y", "n", "u")
        page.reload()
        wait_for(page, "ask")
        assert page.inner_text("#count") == "3 of 3", "the reload lost answers"
        until(page, PLAYS)
        press(page, "y", "y")
        wait_for(page, "review")
        assert cast(server) == [], "sent before the worker said so"
        press(page, "Enter")
        wait_for(page, "message")
        assert sorted((row[2], row[3]) for row in cast(server)) == [("unsure", None), ("yes", False), ("yes", True)]
        assert len({row[0] for row in cast(server)}) == 3
        assert page.evaluate("Object.keys(localStorage).filter((k) => /draft|outbox/.test(k))") == []
        assert page.evaluate("document.cookie") == ""


def test_the_next_clip_is_ready_on_the_real_service(page: sync_api.Page, work: Path) -> None:
    with serving(work) as server:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        sign_in(page, server)
        wait_for(page, "ask")
        until(page, PLAYS)
        page.wait_for_timeout(500)
        asked.clear()
        press(page, "n")
        assert page.inner_text("#count") == "2 of 3"
        assert page.evaluate("document.querySelector('video').readyState") >= 3
        assert not [url for url in asked if ".mp4" in url], "the clip was fetched only when it was shown"


def test_boxes_by_keyboard_after_the_clips_were_accepted(page: sync_api.Page, work: Path) -> None:
    with serving(work) as server:
        for worker in ("x", "y", "z"):
            with api(server, server.token_of(worker)) as client:
                task = client.post("/api/task", json={}).json()["task"]
                answers = [{"slot": item["slot"], "answer": "yes", "lasts_whole_clip": True} for item in task["items"]]
                body = {"task_id": task["task_id"], "idempotency_key": f"key-{worker:08}", "answers": answers}
                assert client.post("/api/answers", json=body).json()["num_accepted"] == 3
        sign_in(page, server)
        wait_for(page, "ask")
        assert question(page).startswith("Is the person in the box doing this:")
        until(page, PLAYS)
        press(page, " ")
        page.wait_for_timeout(100)
        left, time_s = page.evaluate(
            """(() => {
              const box = document.querySelector(".highlight").getBoundingClientRect();
              const frame = document.querySelector(".frame").getBoundingClientRect();
              return [(box.left - frame.left) / frame.width, document.querySelector("video").currentTime];
            })()"""
        )
        # The person's left edge is at 0.1 + t / 4, up to the last box at 1.8 s.
        assert left == pytest.approx(0.1 + min(time_s, 1.8) / 4, abs=0.02)
        press(page, "y", "n", "b")
        wait_for(page, "review")
        press(page, "Enter")
        wait_for(page, "message")
        assert page.inner_text("#message-title") == "All done"
        assert sorted((row[2], row[3]) for row in cast(server)) == [("broken", None), ("no", None), ("yes", None)]


def test_suggestions_by_keyboard(page: sync_api.Page, work: Path) -> None:
    refused = ClipLabel(clip_id="c1", class_id=2, verdict="rejected", num_yes=0, num_no=3, num_unsure=0, num_broken=0)
    put(work, "clip_labels", [refused])
    build_items(work, kinds=("suggestion",))
    with serving(work, kinds=("suggestion",)) as server:
        sign_in(page, server)
        page.wait_for_selector("#instead")
        assert "juggling" in question(page)
        page.keyboard.type("wav")
        page.wait_for_selector("#instead-list li")
        press(page, "ArrowDown", "Enter", "Enter")
        wait_for(page, "message")
        (row,) = cast(server)
        assert row[2:] == ("done", None, '{"text":"waving"}')


def test_what_is_it_instead_after_no(page: sync_api.Page, work: Path) -> None:
    with serving(work, asks_suggestion_after_no=True) as server:
        sign_in(page, server)
        wait_for(page, "ask")
        press(page, "n")
        page.wait_for_selector("#instead")
        page.keyboard.type("peeling apples")
        press(page, "Enter", "u", "u")
        wait_for(page, "review")
        press(page, "Enter")
        wait_for(page, "message")
        assert [row[4] for row in cast(server)] == ['{"suggestion":"peeling apples"}', None, None]


def test_a_lost_connection_and_a_lost_sign_in_lose_no_answer(page: sync_api.Page, work: Path) -> None:
    with serving(work) as server:
        sign_in(page, server)
        wait_for(page, "ask")
        until(page, PLAYS)
        page.wait_for_timeout(300)
        page.context.set_offline(True)
        press(page, "n", "n", "n")
        wait_for(page, "review")
        press(page, "Enter")
        wait_for(page, "message")
        assert "3 answers kept on this device" in page.inner_text("#message-text")
        token = server.token_of("ada")
        page.context.set_offline(False)
        wait_for(page, "again")
        assert cast(server) == []
        page.fill("#again-link", f"{server.url}/#token={token}")
        press(page, "Enter")
        wait_for(page, "message")
        assert [row[1:3] for row in cast(server)] == [(0, "no")] * 3


def test_undo_across_tasks_changes_the_answer_and_a_stale_one_says_so(page: sync_api.Page, work: Path) -> None:
    with serving(work) as server:
        token = sign_in(page, server)
        wait_for(page, "ask")
        press(page, "n", "n", "n")
        wait_for(page, "review")
        press(page, "Enter")
        wait_for(page, "message")
        press(page, "z")
        page.wait_for_selector("#editing:not([hidden])")
        until(page, PLAYS)
        with api(server, token) as client:
            newest = client.get("/api/answers/recent").json()[0]
            address = f"/api/answers/{newest['task_id']}/{newest['slot']}"
            body = {"slot": newest["slot"], "answer": "unsure", "spent_ms": 1}
            client.put(address, json=body, headers={"If-Match": f'"{newest["etag"]}"'}).raise_for_status()
        press(page, "y", "y")
        until(page, "document.getElementById('editing-text').textContent.includes('changed meanwhile')")
        assert "It was: unsure" in page.inner_text("#editing-text")
        press(page, "b")
        wait_for(page, "message")
        assert [row[1:3] for row in cast(server)] == [(0, "no")] * 3 + [(1, "unsure"), (2, "broken")]


# Every element of the answer page, without the two classes that come and go with the moment: a clip that still loads,
# a button just pressed.
LOOKS = """[...document.querySelectorAll('#screen-ask *:not(video)')].map((e) =>
    `${e.tagName} ${e.id} ${[...e.classList].filter((name) => !['is-waiting', 'struck'].includes(name)).join(' ')}`
).join()"""


def test_gold_looks_like_everything_else_and_low_accuracy_is_told(page: sync_api.Page, work: Path) -> None:
    put(work, "gold", [Gold(item_id="clip:c0:1", answer="no")])
    with serving(work, items_per_task={**Rules().items_per_task, "clip": 3}, gold_per_task=1) as server:
        sign_in(page, server, "gus")
        wait_for(page, "ask")
        pages = []
        num_items = int(page.inner_text("#count").split()[-1])
        for _ in range(num_items):
            pages.append(page.evaluate(LOOKS))
            press(page, "y", "y")
        wait_for(page, "review")
        assert len(set(pages)) == 1
        assert "gold" not in page.content().lower()
        press(page, "Enter")
        wait_for(page, "low")
        assert "0 % of your answers were right" in page.inner_text("#low-text")
        assert page.inner_text("#accuracy") == "Accuracy 0 %"
        assert "is-low" in str(page.get_attribute("#accuracy", "class"))
        press(page, "Enter")
        wait_for(page, "message")


def test_a_changed_key_follows_the_worker_to_a_phone(
    page: sync_api.Page, browser: sync_api.Browser, work: Path
) -> None:
    with serving(work) as server:
        token = sign_in(page, server)
        wait_for(page, "ask")
        press(page, "?")
        page.click("#tab-keys")
        page.click("[data-change=no]")
        page.keyboard.press("x")
        press(page, "Escape", "x")
        assert page.inner_text("#count") == "2 of 3"
        page.wait_for_timeout(600)
        with api(server, token) as client:
            assert client.get("/api/me").json()["prefs"]["keys"] == {"clip": {"no": "x"}}
        page.close()
        phone = browser.new_context(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
        small = phone.new_page()
        small.goto(f"{server.url}/#token={token}")
        wait_for(small, "ask")
        until(small, PLAYS)
        assert small.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        # On the phone the task begins anew: the first answer was on the other device's draft only.
        for _ in range(3):
            small.wait_for_timeout(160)
            small.tap("[data-action=unsure]")
        wait_for(small, "review")
        small.tap("#send")
        wait_for(small, "message")
        assert [row[2] for row in cast(server)] == ["unsure"] * 3
        phone.close()
