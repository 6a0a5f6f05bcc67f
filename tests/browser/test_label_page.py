"""The label page in a real Chromium, by keyboard alone, on clips that really play."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import httpx
import numpy as np
import pytest

from gesta.label import build_items, export_votes, running_server
from gesta.label.server import RunningServer
from gesta.schema import Candidate, Clip, ClipKeyFrame, Gold, LabelClass, TrackBox, Video
from gesta.tables import frame_of, made_by, read_table, table_path, write_table
from gesta.video import write_video

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

ACTIONS = ("waving", "juggling", "bowing")
ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Three clips of two seconds, each asked for one action, with one person in each."""
    provenance = made_by("test", arguments={}, inputs={})
    rows: dict[str, list[object]] = {name: [] for name in ("videos", "clips", "candidates", "key_frames", "tracks")}
    for number in range(3):
        video_id = f"v{number}"
        frames = [_picture(number, k) for k in range(50)]
        write_video(tmp_path / f"{video_id}.mp4", frames, fps=Fraction(25))
        clip = Clip(clip_id=f"c{number}", video_id=video_id, start_us=0, end_us=2_000_000)
        rows["videos"].append(
            Video(
                video_id=video_id, path=f"{video_id}.mp4", sha256=f"{number}" * 64, size_bytes=1, container="mp4",
                codec="h264", width_px=160, height_px=120, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False,
                num_frames=50, start_us=0, duration_us=2_000_000, has_audio=False,
            )
        )  # fmt: skip
        rows["clips"].append(clip)
        rows["candidates"].append(
            Candidate(clip_id=clip.clip_id, class_id=number + 1, source="title", query="", score=1.0)
        )
        rows["key_frames"].append(
            ClipKeyFrame(clip_id=clip.clip_id, video_id=video_id, timestamp_us=1_000_000, score=0.9, num_boxes=1)
        )
        rows["tracks"] += [
            TrackBox(
                clip_id=clip.clip_id, video_id=video_id, person_id=0, timestamp_us=t, x1=0.1 + t / 4e6, y1=0.2,
                x2=0.3 + t / 4e6, y2=0.8, score=0.9, is_interpolated=False,
            )
            for t in range(0, 2_000_000, 200_000)
        ]  # fmt: skip
    rows["label_map"] = [LabelClass(class_id=k, name=name) for k, name in enumerate(ACTIONS, start=1)]
    for table, listed in rows.items():
        write_table(table_path(tmp_path, table), table, frame_of(table, listed), made_by=provenance)
    build_items(tmp_path)
    return tmp_path


def _picture(number: int, k: int) -> np.ndarray:
    picture = np.full((120, 160, 3), 40 + 60 * number, np.uint8)
    picture[40:80, 2 * k : 2 * k + 40] = (230, 200, 60)
    return picture


@pytest.fixture
def server(work: Path) -> Iterator[RunningServer]:
    with running_server(work, seed=1) as running:
        yield running


@pytest.fixture
def page(server: RunningServer, chromium: str) -> Iterator[sync_api.Page]:
    """A page of a fresh browser; the test fails when the page logged an error of its own."""
    problems: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGS))
        opened = browser.new_page(viewport={"width": 1100, "height": 760})
        opened.set_default_timeout(20_000)
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        yield opened
        browser.close()
    offline = "net::ERR_"
    assert [problem for problem in problems if offline not in problem] == []


def _start(page: sync_api.Page, url: str, name: str) -> None:
    page.goto(url)
    page.wait_for_selector("#screen-start:not([hidden])")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    _wait_for(page, "ask")


def _wait_for(page: sync_api.Page, screen: str) -> None:
    page.wait_for_selector(f"#screen-{screen}:not([hidden])")


def _question(page: sync_api.Page) -> str:
    return " ".join(page.inner_text("#question").split())


def _press(page: sync_api.Page, key: str) -> None:
    # The page takes no second answer for a moment, so that a key struck twice by accident answers once.
    page.wait_for_timeout(200)
    page.keyboard.press(key)


def _until(page: sync_api.Page, expression: str) -> None:
    # Playwright's own waiting needs eval, which the page's security policy forbids.
    for _ in range(400):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"it never came true: {expression}")


def _wait_until_it_plays(page: sync_api.Page) -> None:
    _until(page, "document.querySelector('video.current')?.currentTime > 0.3")


def test_three_clips_by_keyboard_with_a_reload_in_the_middle(
    page: sync_api.Page, server: RunningServer, work: Path
) -> None:
    _start(page, server.url, "ada")
    _wait_until_it_plays(page)
    video = "document.querySelector('video.current')"
    assert page.evaluate(f"[{video}.muted, {video}.loop, {video}.videoWidth, {video}.error]") == [True, True, 160, None]
    assert page.inner_text("#count") == "1 of 3"
    first = _question(page)
    assert first.startswith("Can you see a human performing the action")
    assert page.inner_text("#answers button:nth-child(1) kbd") == "Y"

    _press(page, "y")
    assert _question(page).endswith("last for the whole clip?")
    _press(page, "n")
    assert page.inner_text("#count") == "2 of 3"

    _press(page, "u")
    assert page.inner_text("#count") == "3 of 3"
    _press(page, "z")
    assert page.inner_text("#count") == "2 of 3"
    _press(page, "b")

    page.reload()
    _wait_for(page, "ask")
    assert page.inner_text("#count") == "3 of 3", "the reload lost answers"
    _wait_until_it_plays(page)
    _press(page, "y")
    page.reload()
    _wait_for(page, "ask")
    assert _question(page).endswith("last for the whole clip?"), "the reload lost the follow-up question"
    _press(page, "y")

    _wait_for(page, "review")
    export_votes(work)
    assert len(read_table(work, "votes")) == 0, "sent before the worker said so"
    page.keyboard.press("Enter")
    _wait_for(page, "message")
    # Others have not answered yet, so what is behind these clips is still shut.
    assert page.inner_text("#message-title") == "Nothing free just now"

    export_votes(work)
    votes = read_table(work, "votes")
    assert sorted(zip(votes["answer"], votes["lasts_whole_clip"], strict=True), key=str) == [
        ("broken", None), ("yes", False), ("yes", True),
    ]  # fmt: skip
    assert set(votes["worker_id"]) == {"ada"}
    assert votes["item_id"].n_unique() == 3
    assert min(votes["spent_ms"]) > 100
    assert page.evaluate("Object.keys(localStorage).filter((k) => /draft|outbox/.test(k))") == []


def test_the_player_obeys_the_keys(page: sync_api.Page, server: RunningServer) -> None:
    _start(page, server.url, "bob")
    _wait_until_it_plays(page)
    state = "(() => { const v = document.querySelector('video.current'); return [v.paused, v.currentTime] })()"
    page.keyboard.press(" ")
    paused, time_s = page.evaluate(state)
    assert paused
    # The button follows the video's own events, which come a moment later.
    _until(page, "document.querySelector('#play').ariaLabel === 'Play'")
    frame = int(time_s * 25 + 1e-6)
    page.keyboard.press(".")
    assert page.evaluate(state)[1] == pytest.approx((min(frame + 1, 49) + 0.5) / 25, abs=1e-3)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press(",")
    assert page.evaluate(state)[1] == pytest.approx((min(frame + 1, 49) - 2 + 0.5) / 25, abs=1e-3)
    page.keyboard.press("r")
    _until(page, "!document.querySelector('video.current').paused")
    assert page.evaluate(state)[1] < 1
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("y")
    assert page.inner_text("#count") == "1 of 3", "a key answered behind the help"
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")


def test_the_next_clip_is_loaded_before_it_is_shown(page: sync_api.Page, server: RunningServer) -> None:
    _start(page, server.url, "cat")
    _until(page, "[...document.querySelectorAll('#frame video')].filter((v) => v.readyState >= 3).length === 3")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    _press(page, "n")
    assert page.inner_text("#count") == "2 of 3"
    _wait_until_it_plays(page)
    assert not [url for url in requests if url.endswith(".mp4")], "the clip was fetched only when it was shown"


def test_a_lost_connection_loses_no_answer(page: sync_api.Page, server: RunningServer, work: Path) -> None:
    _start(page, f"{server.url}/", "dan")
    for _ in range(3):
        _press(page, "n")
    _wait_for(page, "review")
    page.context.set_offline(True)
    page.keyboard.press("Enter")
    page.wait_for_selector("#toast:not([hidden])")
    assert "Your answers are kept here" in page.inner_text("#toast")
    page.context.set_offline(False)
    _wait_for(page, "message")
    export_votes(work)
    assert read_table(work, "votes")["answer"].to_list() == ["no"] * 3


def test_the_highlighted_person_is_drawn_and_followed(page: sync_api.Page, server: RunningServer, work: Path) -> None:
    for worker in ("x", "y", "z"):
        task = httpx.post(f"{server.url}/api/task", json={"worker_id": worker}, trust_env=False).json()["task"]
        answers = [{"item_id": item["item_id"], "answer": "yes"} for item in task["items"]]
        body = {"worker_id": worker, "idempotency_key": f"key-{worker:08}", "answers": answers}
        assert httpx.post(f"{server.url}/api/votes", json=body, trust_env=False).json()["num_accepted"] == 3
    page.goto(f"{server.url}/?worker=eve")
    _wait_for(page, "ask")
    assert _question(page).startswith("Is the highlighted person performing")
    _wait_until_it_plays(page)
    page.keyboard.press(" ")
    page.wait_for_timeout(100)
    share = page.evaluate(
        """(() => {
          const box = document.getElementById("highlight").getBoundingClientRect();
          const frame = document.getElementById("frame").getBoundingClientRect();
          const video = document.querySelector("video.current");
          return [(box.left - frame.left) / frame.width, (box.bottom - frame.top) / frame.height, video.currentTime];
        })()"""
    )
    # The person's left edge is at 0.1 + t / 4, up to the last box at 1.8 s.
    assert share[0] == pytest.approx(0.1 + min(share[2], 1.8) / 4, abs=0.01)
    assert share[1] == pytest.approx(0.8, abs=0.01)
    page.keyboard.press("h")
    assert not page.is_visible("#highlight")
    for _ in range(3):
        _press(page, "y")
    _wait_for(page, "review")
    page.keyboard.press("Enter")
    _wait_for(page, "message")
    assert page.inner_text("#message-title") == "All done"
    export_votes(work)
    votes = read_table(work, "votes").filter(worker_id="eve")
    assert votes["answer"].to_list() == ["yes"] * 3
    assert votes["lasts_whole_clip"].null_count() == 3, "a box question has no follow-up"


def test_a_wrong_name_is_explained_and_asked_again(server: RunningServer, page: sync_api.Page) -> None:
    page.goto(server.url)
    _wait_for(page, "start")
    page.keyboard.press("Enter")
    assert "Please give a name" in page.inner_text("#start-problem")
    page.keyboard.type("ada")
    page.keyboard.press("Enter")
    _wait_for(page, "ask")
    page.click("#worker")
    _wait_for(page, "start")
    assert page.input_value("#start-name") == "ada"


def test_every_control_has_a_name_and_the_page_fits_a_phone(page: sync_api.Page, server: RunningServer) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    _start(page, server.url, "fay")
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input")].filter((e) =>
          !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length)).map((e) => e.id)"""
    )
    assert nameless == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    boxes = [button.bounding_box() for button in page.query_selector_all("#answers button")]
    assert len(boxes) == 4
    for box in boxes:
        assert box is not None
        assert box["height"] >= 44, "too small for a thumb"
        assert box["y"] + box["height"] <= 640, "below the fold"


def test_gold_looks_like_everything_else(page: sync_api.Page, work: Path) -> None:
    provenance = made_by("test", arguments={}, inputs={})
    gold = [Gold(item_id="clip:c0:1", answer="no")]
    write_table(table_path(work, "gold"), "gold", frame_of("gold", gold), made_by=provenance)
    with running_server(work) as server:
        _start(page, server.url, "gus")
        pages = []
        for number in (1, 2, 3):
            assert page.inner_text("#count") == f"{number} of 3"
            elements = "[...document.querySelectorAll('#screen-ask *:not(video, #stage)')]"
            pages.append(page.evaluate(f"{elements}.map((e) => `${{e.tagName}} ${{e.id}} ${{e.className}}`).join()"))
            _press(page, "n")
        _wait_for(page, "review")
        assert pages[0] == pages[1] == pages[2]
        assert "gold" not in page.content().lower()
