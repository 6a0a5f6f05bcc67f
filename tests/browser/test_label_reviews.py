"""The two review pages in a real Chromium, by keyboard alone and on a phone, on clips that really play."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gesta.curate.animations import run_animations, side_by_side, write_animation
from gesta.label.app import PAGE
from gesta.label.items import build_items
from gesta.label.rules import Rules
from gesta.label.server import RunningServer, running_server
from gesta.label.sql_tables import items, votes
from gesta.schema import Candidate, Clip, ClipLabel, Duplicate, LabelClass, Video
from gesta.tables import empty_frame, frame_of, made_by, table_path, write_table
from gesta.video import write_video

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

HERE = Path(__file__).parent
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'"
ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
NUM_FILES = 8
Ask = Callable[[dict[str, Any]], "sync_api.Page"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips of two seconds of real H.264, each of another colour, something moving in each."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(NUM_FILES):
        frames = [_picture(number, k) for k in range(50)]
        write_video(folder / f"{number}.mp4", frames, fps=Fraction(25))
    tiles = [[_picture(number, k) for k in range(0, 50, 2)] for number in range(4)]
    write_animation(folder / "all.webp", side_by_side(tiles))
    return folder


def _picture(number: int, k: int) -> np.ndarray:
    across = np.linspace(0, 90, 160, dtype=np.uint8)
    picture = np.stack([np.tile(across, (120, 1)) + shade for shade in (30 * number % 160, 70, 160 - 20 * number)], 2)
    picture[40:80, 2 * k : 2 * k + 40] = (230, 200, 60)
    return picture.astype(np.uint8)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(ARGS))
        yield launched
        launched.close()


@pytest.fixture
def ask(clips: Path, browser: sync_api.Browser) -> Iterator[Ask]:
    """Asks one question on a fresh page; the test fails when the page logged an error of its own."""
    questions: list[dict[str, Any]] = []
    problems: list[str] = []

    def page_file(name: str) -> Callable[[Request], Response]:
        return lambda _request: FileResponse(HERE / name, headers={"Content-Security-Policy": CSP})

    def question(_request: Request) -> Response:
        return JSONResponse(questions[-1])

    def clip(request: Request) -> Response:
        return FileResponse(clips / f"{int(request.path_params['number']) % NUM_FILES}.mp4", media_type="video/mp4")

    app = Starlette(
        routes=[
            Route("/", page_file("review_harness.html")),
            Route("/review_harness.js", page_file("review_harness.js")),
            Route("/favicon.ico", lambda _request: Response(status_code=204)),
            Route("/question.json", question),
            Route("/all.webp", lambda _request: FileResponse(clips / "all.webp", media_type="image/webp")),
            Route("/clip/{number:int}.mp4", clip, methods=["GET", "HEAD"]),
            Mount("/static", StaticFiles(directory=PAGE)),
        ]
    )
    with _serving(app) as url:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        opened = context.new_page()
        opened.set_default_timeout(20_000)
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)

        def asked(put: dict[str, Any]) -> sync_api.Page:
            questions.append(put)
            opened.goto(url)
            opened.wait_for_selector("body[data-is-ready]")
            return opened

        yield asked
        context.close()
    problems = [problem for problem in problems if "status of 404" not in problem]
    assert problems == []


@contextmanager
def _serving(app: Starlette) -> Iterator[str]:
    """The address of an app that is served on this machine for as long as the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


def _cluster(num_clips: int = 4) -> dict[str, Any]:
    clips = [{"n": n, "media_url": f"/clip/{n}.mp4"} for n in range(num_clips)]
    similarity = [[a, b, 0.9 + 0.02 * min(a, 3)] for a in range(num_clips) for b in range(a + 1, num_clips)]
    return {"slot": 0, "kind": "cluster", "action": "pouring milk", "clips": clips, "similarity": similarity}


def _class(num_clips: int = 48) -> dict[str, Any]:
    clips = [
        {
            "n": n, "media_url": f"/clip/{n}.mp4", "score": 0.99 - n / 60,
            "near": {4: 5, 5: 4, 10: 11, 11: 12, 12: 11}.get(n),
        }
        for n in range(num_clips)
    ]  # fmt: skip
    return {"slot": 0, "kind": "class", "action": "juggling balls", "clips": clips}


def _until(page: sync_api.Page, expression: str) -> None:
    # Playwright's own waiting needs eval, which the page's security policy forbids.
    for _ in range(400):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"it never came true: {expression}")


def _pressed(page: sync_api.Page, tile: str) -> list[int]:
    return page.evaluate(
        f"[...document.querySelectorAll('{tile}')].flatMap((e, n) => e.ariaPressed === 'true' ? [n] : [])"
    )


def _results(page: sync_api.Page) -> list[dict[str, Any]]:
    return page.evaluate("harness.results")


def test_a_cluster_plays_in_step(ask: Ask) -> None:
    page = ask(_cluster())
    playing = (
        "[...document.querySelectorAll('video')].filter((v) => v.currentTime > 0.3 && !v.paused && v.muted).length"
    )
    _until(page, f"{playing} === 4")
    # A stall of the machine may put one out of step for a moment; the page brings it back.
    apart = (
        "((t) => Math.max(...t) - Math.min(...t))([...document.querySelectorAll('video')].map((v) => v.currentTime))"
    )
    _until(page, f"{apart} < 0.15")
    page.keyboard.press("p")
    _until(page, "[...document.querySelectorAll('video')].every((v) => v.paused)")


def test_a_cluster_by_keyboard_alone_with_a_reload(ask: Ask) -> None:
    page = ask(_cluster())
    # Clips 3 and 4 are most like the others, and equally so; the first of them is kept.
    assert _pressed(page, ".cluster-tile") == [2], "the most typical clip is kept unless somebody says otherwise"
    page.keyboard.press("2")
    assert _pressed(page, ".cluster-tile") == [1]
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    assert _pressed(page, ".cluster-tile") == [1, 2]
    assert page.inner_text("#cluster-count") == "2 kept, 2 duplicates"
    page.reload()
    page.wait_for_selector("body[data-is-ready]")
    assert _pressed(page, ".cluster-tile") == [1, 2], "the reload lost the choice"
    page.keyboard.press("Enter")
    assert _results(page) == [{"answer": "done", "detail": {"keep": [1, 2]}}]


def test_a_cluster_without_any_clip_kept_is_not_sent(ask: Ask) -> None:
    page = ask(_cluster())
    page.keyboard.press("1")
    page.keyboard.press(" ")
    assert _pressed(page, ".cluster-tile") == []
    page.keyboard.press("Enter")
    assert _results(page) == []
    assert page.inner_text("#said") == "Keep at least one clip."
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    page.keyboard.press("u")
    assert _results(page) == [{"answer": "done", "detail": {"keep": [0, 1, 2, 3]}}, {"answer": "unsure"}]


def test_each_duplicate_says_which_kept_clip_it_resembles(ask: Ask) -> None:
    page = ask(_cluster())
    page.keyboard.press("1")
    assert page.inner_text(".cluster-tile:nth-child(2) .cluster-like") == "90 % like 1"
    page.keyboard.press("2")
    assert page.inner_text(".cluster-tile:nth-child(3) .cluster-like") == "92 % like 2"
    label = page.get_attribute(".cluster-tile:nth-child(3)", "aria-label")
    assert label == "Clip 3: Duplicate, 92 % like 2"


def test_a_cluster_on_a_phone(ask: Ask) -> None:
    page = ask(_cluster(6))
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    page.click(".cluster-tile:nth-child(6)")
    assert 5 in _pressed(page, ".cluster-tile")
    for button in page.query_selector_all(".cluster-bar button"):
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 44, "too small for a thumb"
        assert box["y"] + box["height"] <= 844, "below the fold"
    page.click("button[data-action=done]")
    assert _results(page)[0]["answer"] == "done"


def test_a_cluster_as_one_picture_is_marked_by_the_same_keys(ask: Ask) -> None:
    page = ask(_cluster() | {"animation_url": "/all.webp"})
    page.keyboard.press("v")
    _until(page, "document.querySelector('.cluster-picture').naturalWidth > 300")
    assert page.is_visible(".cluster-picture")
    _until(page, "[...document.querySelectorAll('video')].every((v) => v.paused)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.get_attribute("button[data-action=picture]", "aria-pressed") == "true"
    page.keyboard.press("2")
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    assert _pressed(page, ".cluster-tile") == [1, 2]
    page.keyboard.press("v")
    assert not page.is_visible(".cluster-picture")
    _until(page, "[...document.querySelectorAll('video')].some((v) => !v.paused && v.currentTime > 0.1)")
    page.keyboard.press("Enter")
    assert _results(page) == [{"answer": "done", "detail": {"keep": [1, 2]}}]


def test_a_cluster_without_a_picture_offers_none_and_a_lost_one_shows_the_clips(ask: Ask) -> None:
    page = ask(_cluster() | {"animation_url": None})
    assert page.query_selector("button[data-action=picture]") is None
    page = ask(_cluster() | {"animation_url": "/nothing.webp"})
    page.keyboard.press("v")
    _until(page, "document.querySelector('#said').textContent.startsWith('The picture is lost')")
    assert not page.is_visible(".cluster-picture")
    assert page.is_visible(".cluster-tile .loop-screen")


def test_a_class_by_keyboard_alone_with_a_reload(ask: Ask) -> None:
    page = ask(_class())
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    assert _pressed(page, ".class-tile") == [1]
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    assert _pressed(page, ".class-tile") == [1, 2], "Space on the tile does what X does, once"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("x")
    assert _pressed(page, ".class-tile") == [1, 2, 3, 4, 5]
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("b")
    assert _pressed(page, ".class-tile") == [1, 2, 3, 4, 5, 46, 47]
    assert page.inner_text("#class-count") == "41 kept7 to be removed"
    page.reload()
    page.wait_for_selector("body[data-is-ready]")
    assert _pressed(page, ".class-tile") == [1, 2, 3, 4, 5, 46, 47], "the reload lost the choice"
    page.keyboard.press("Enter")
    assert _results(page) == [{"answer": "done", "detail": {"remove": [1, 2, 3, 4, 5, 46, 47]}}]


def test_removing_all_below_is_taken_back_without_a_question(ask: Ask) -> None:
    page = ask(_class())
    page.keyboard.press("x")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("b")
    assert len(_pressed(page, ".class-tile")) > 30
    page.keyboard.press("Backspace")
    assert _pressed(page, ".class-tile") == [0]
    page.keyboard.press("Backspace")
    assert _pressed(page, ".class-tile") == []
    assert page.is_disabled("button[data-action=undo-change]")


def test_a_class_plays_only_what_is_seen(ask: Ask) -> None:
    page = ask(_class())
    _until(page, "[...document.querySelectorAll('video')].some((v) => v.currentTime > 0.3)")
    seen = """[...document.querySelectorAll('.class-tile')].map((tile) => {
      const grid = document.querySelector('.class-grid').getBoundingClientRect();
      const box = tile.getBoundingClientRect();
      const video = tile.querySelector('video');
      return [box.top < grid.bottom && box.bottom > grid.top, Boolean(video && !video.paused)];
    })"""
    tiles = page.evaluate(seen)
    assert any(is_seen and plays for is_seen, plays in tiles)
    assert not any(plays for is_seen, plays in tiles if not is_seen), "a clip plays that nobody sees"
    assert any(not is_seen for is_seen, _ in tiles), "the page is too small for this test"
    page.keyboard.press("End")
    last, first = (f"document.querySelector('.class-tile:{place}-child video')" for place in ("last", "first"))
    _until(page, f"{last}?.currentTime > 0.3 && !{last}.paused")
    _until(page, f"!{first} || {first}.paused")


def test_near_duplicates_stand_together_and_are_marked(ask: Ask) -> None:
    page = ask(_class())
    marks = page.evaluate("[...document.querySelectorAll('.class-tile')].map((tile) => tile.dataset.near ?? null)")
    found = {place: mark for place, mark in enumerate(marks) if mark}
    assert found == {4: "first", 5: "last", 10: "first", 11: "middle", 12: "last"}
    label = page.get_attribute(".class-tile:nth-child(5)", "aria-label")
    assert label == "Rank 5, score 0.92, near-duplicate of its neighbour: keep"


def test_a_class_on_a_phone(ask: Ask) -> None:
    page = ask(_class())
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    page.click(".class-tile:nth-child(2)")
    assert _pressed(page, ".class-tile") == [1]
    page.click("button[data-action=undo-change]")
    assert _pressed(page, ".class-tile") == []
    box = page.query_selector("button[data-action=done]").bounding_box()
    assert box["height"] >= 44
    assert box["y"] + box["height"] <= 844, "below the fold"


def test_a_cluster_s_picture_is_served_by_its_link_alone(service: RunningServer) -> None:
    with httpx.Client(base_url=service.url) as client:
        token = service.token_of("rita", role="reviewer")
        told = client.post("/api/task", json={}, headers={"Authorization": f"Bearer {token}"}).json()
        (cluster,) = told["task"]["items"]
        found = client.get(cluster["animation_url"])
        assert (found.status_code, found.headers["content-type"]) == (200, "image/webp")
        assert found.content[:4] == b"RIFF"
        assert client.get(cluster["animation_url"], headers={"Range": "bytes=0-9"}).status_code == 206
        assert client.get(cluster["animation_url"].replace("&s=", "&s=0")).status_code == 403
        (first,) = {clip["media_url"].split("/")[-2] for clip in cluster["clips"]}
        assert first.isdecimal()


@pytest.mark.parametrize("question", [_cluster(), _class()], ids=["cluster", "class"])
def test_every_control_has_a_name_and_a_clip_that_is_lost_says_so(ask: Ask, question: dict[str, Any]) -> None:
    question["clips"][1]["media_url"] = "/clip/none.mp4"
    page = ask(question)
    nameless = """[...document.querySelectorAll("button")].filter(
      (one) => !(one.getAttribute("aria-label") || one.innerText.trim())).length"""
    assert page.evaluate(nameless) == 0
    assert page.evaluate("[...document.querySelectorAll('video')].every((one) => one.ariaHidden === 'true')")
    _until(page, "document.querySelectorAll('.loop-screen.is-lost').length === 1")
    page.keyboard.press("Enter")
    assert len(_results(page)) == 1, "one lost clip stops the review"


@pytest.mark.parametrize("question", [_cluster(), _class()], ids=["cluster", "class"])
def test_an_answer_that_is_edited_begins_as_it_was(ask: Ask, question: dict[str, Any]) -> None:
    detail = {"keep": [0, 2]} if question["kind"] == "cluster" else {"remove": [0, 2]}
    page = ask({**question, "previous": {"answer": "done", "detail": detail}})
    page.keyboard.press("Enter")
    assert _results(page) == [{"answer": "done", "detail": detail}]


# ---- on the real service -------------------------------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path, clips: Path) -> Iterator[RunningServer]:
    """Six clips of one action, three of them alike: a cluster to review, and a class to clean up."""
    ids = [f"c{number}" for number in range(6)]
    for number, c in enumerate(ids):
        shutil.copy(clips / f"{number}.mp4", tmp_path / f"v{c}.mp4")
    tables: dict[str, list[Any]] = {
        "videos": [
            Video(
                video_id=f"v{c}", path=f"v{c}.mp4", sha256=c[-1] * 64, size_bytes=1, container="mp4", codec="h264",
                width_px=160, height_px=120, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=50,
                start_us=0, duration_us=2_000_000, has_audio=False,
            )
            for c in ids
        ],
        "clips": [Clip(clip_id=c, video_id=f"v{c}", start_us=0, end_us=2_000_000) for c in ids],
        "candidates": [Candidate(clip_id=c, class_id=1, source="title", query="", score=1.0) for c in ids],
        "label_map": [LabelClass(class_id=1, name="juggling balls")],
        "duplicates": [
            Duplicate(clip_id_a=a, clip_id_b=b, cosine=cosine, num_inliers=9, cluster=0, kept_clip_id="c0")
            for a, b, cosine in (("c0", "c1", 0.97), ("c1", "c2", 0.93))
        ],
        "clip_labels": [
            ClipLabel(
                clip_id=c, class_id=1, verdict="accepted", num_yes=3, num_no=number % 3, num_unsure=0, num_broken=0
            )
            for number, c in enumerate(ids)
        ],
    }  # fmt: skip
    for table, rows in tables.items():
        provenance = made_by("test", arguments={}, inputs={})
        write_table(table_path(tmp_path, table), table, frame_of(table, rows), made_by=provenance)
    provenance = made_by("test", arguments={}, inputs={})
    write_table(table_path(tmp_path, "components"), "components", empty_frame("components"), made_by=provenance)
    run_animations(tmp_path, workers=1)
    build_items(tmp_path, kinds=("cluster", "class"))
    with running_server(tmp_path, seed=1, rules=Rules(kinds=("cluster", "class"))) as running:
        yield running


_FIRST_PIXELS = """[...document.querySelectorAll("video")].filter((video) => video.videoWidth).map((video) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 8, 8, 0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data.join();
})"""


def test_a_reviewer_reviews_by_keyboard_with_a_reload_and_an_undo(
    service: RunningServer, browser: sync_api.Browser
) -> None:
    problems: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(f"{service.url}/#token={service.token_of('rita', role='reviewer')}")
    for grid in (".cluster-grid", ".class-grid"):
        page.wait_for_selector("#screen-guide:not([hidden])")
        for _ in range(2):
            page.wait_for_timeout(200)
            page.keyboard.press("Enter")
        page.wait_for_selector(grid)
        _until(page, "[...document.querySelectorAll('video')].some((v) => v.currentTime > 0.3 && !v.paused)")
        page.wait_for_timeout(200)
        if grid == ".cluster-grid":
            page.keyboard.press("v")
            _until(page, "document.querySelector('.cluster-picture').naturalWidth > 300")
            page.keyboard.press("v")
        page.keyboard.press("2" if grid == ".cluster-grid" else "x")
        page.keyboard.press("ArrowRight")
        page.keyboard.press(" ")
        page.keyboard.press("z")
        page.reload()
        page.wait_for_selector(grid)
        _until(page, "[...document.querySelectorAll('video')].some((v) => v.currentTime > 0.3 && !v.paused)")
        assert len(set(page.evaluate(_FIRST_PIXELS))) >= 3, "one clip is shown for several"
        pressed = _pressed(page, f"{grid} button")
        assert pressed == ([1] if grid == ".cluster-grid" else [0]), "the reload or the undo lost the choice"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.wait_for_timeout(200)
        page.keyboard.press("Enter")
    page.wait_for_selector("#screen-message:not([hidden])")
    context.close()
    assert problems == []
    with service.store.reading() as db:
        query = sa.select(items.c.kind, votes.c.answer, votes.c.detail).join(items, items.c.seq == votes.c.seq)
        found = {row.kind: (row.answer, json.loads(row.detail)) for row in db.execute(query)}
    assert found == {"cluster": ("done", {"keep": [1]}), "class": ("done", {"remove": [0]})}
