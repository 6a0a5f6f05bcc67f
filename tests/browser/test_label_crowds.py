"""Mechanical Turk and Prolific in a real Chromium: the page in another site's frame, and back with the proof.

The sites' names are Amazon's and Prolific's own; what answers behind them are the stand-ins and a service of this
machine, so the browser keeps to the policies that it would keep to there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from tests.browser.fake_label import picture
from tests.crowd_stand_in import SANDBOX, WORKER_SITE, MturkStandIn, ProlificStandIn

from gesta.label.external_crowds import (
    Mturk,
    Prolific,
    configure_external,
    external_question_xml,
    mturk_url,
    prolific_url,
)
from gesta.label.items import build_items
from gesta.label.rules import TASK_SIZES, Rules
from gesta.label.server import RunningServer, running_server
from gesta.label.sql_tables import assignments, votes, workers
from gesta.schema import Candidate, Clip, LabelClass, Video
from gesta.tables import frame_of, made_by, table_path, write_table
from gesta.video import write_video

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

SITE = "https://label.example.org"
NUM_CLIPS = 3
ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
RULES = Rules(items_per_task={**TASK_SIZES, "clip": NUM_CLIPS}, gold_per_task=0, kinds=("clip",))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """The service over six clips of two seconds: two tasks."""
    tables: dict[str, list[Any]] = {"videos": [], "clips": [], "candidates": []}
    movie = tmp_path / "movie.mp4"
    write_video(movie, [picture(1, k) for k in range(50)], fps=Fraction(25))
    for number in range(2 * NUM_CLIPS):
        video_id = f"v{number}"
        shutil.copy(movie, tmp_path / f"{video_id}.mp4")
        tables["videos"].append(
            Video(
                video_id=video_id, path=f"{video_id}.mp4", sha256=f"{number}" * 64, size_bytes=1, container="mp4",
                codec="h264", width_px=160, height_px=120, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False,
                num_frames=50, start_us=0, duration_us=2_000_000, has_audio=False,
            )
        )  # fmt: skip
        tables["clips"].append(Clip(clip_id=f"c{number}", video_id=video_id, start_us=0, end_us=2_000_000))
        tables["candidates"].append(Candidate(clip_id=f"c{number}", class_id=1, source="title", query="", score=1.0))
    tables["label_map"] = [LabelClass(class_id=1, name="juggling balls")]
    for table, rows in tables.items():
        provenance = made_by("test", arguments={}, inputs={})
        write_table(table_path(tmp_path, table), table, frame_of(table, rows), made_by=provenance)
    build_items(tmp_path)
    with running_server(tmp_path, seed=1, rules=RULES) as running:
        yield running


@dataclass
class Web:
    """A browser in which the sites of this test are at home."""

    page: sync_api.Page
    server: RunningServer
    turk: MturkStandIn = field(default_factory=MturkStandIn)
    codes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def answer(self, route: sync_api.Route) -> None:
        """Answer a request to one of the sites."""
        request, parts = route.request, urlsplit(route.request.url)
        if parts.netloc == urlsplit(SITE).netloc:
            to = f"{self.server.url}{parts.path}{'?' if parts.query else ''}{parts.query}"
            route.fulfill(response=route.fetch(url=to))
        elif parts.netloc == "app.prolific.com":
            self.codes.append(request.url)
            route.fulfill(body="<!doctype html><title>Prolific</title><h1>Thank you</h1>", content_type="text/html")
        elif parts.path == "/mturk/externalSubmit":
            status, text = self.turk.external_submit(request.post_data or "")
            moved = {"Location": text} if status == 302 else {}
            route.fulfill(status=status, headers=moved, body=text)
        else:
            route.fulfill(body=self.turk.page(parts.path, parts.query), content_type="text/html")

    def open_hit(self, assignment_id: str | None = None) -> sync_api.Frame:
        """Open the only HIT at the workers' site; the frame in it."""
        (hit_id,) = self.turk.hits
        chosen = f"&assignmentId={assignment_id}" if assignment_id else ""
        self.page.goto(f"{SANDBOX}/task?hitId={hit_id}{chosen}")
        element = self.page.wait_for_selector("#frame")
        assert element is not None
        frame = element.content_frame()
        assert frame is not None
        return frame

    def rows(self, table: sa.Table) -> list[Any]:
        with self.server.store.reading() as db:
            return list(db.execute(sa.select(table)).all())


@pytest.fixture
def web(server: RunningServer, chromium: str) -> Iterator[Web]:
    with sync_api.sync_playwright() as playwright:
        # As browsers without third-party cookies behave towards a page in another site's frame: it can keep nothing.
        # A redirect is not brought to the stand-ins: it ends in the air, but shows in `requests`.
        args = [*ARGS, "--test-third-party-cookie-phaseout", "--host-resolver-rules=MAP * ~NOTFOUND"]
        browser = playwright.chromium.launch(executable_path=chromium, args=args)
        context = browser.new_context(viewport={"width": 1100, "height": 900})
        page = context.new_page()
        page.set_default_timeout(15_000)
        web = Web(page=page, server=server)
        for site in (SITE, SANDBOX, "https://app.prolific.com", "https://evil.example"):
            context.route(f"{site}/**", web.answer)
        page.on("request", lambda request: web.requests.append(request.url))
        page.on("pageerror", lambda error: web.problems.append(str(error)))
        page.on("console", lambda message: web.problems.append(message.text) if message.type == "error" else None)
        yield web
        assert context.cookies() == []
        browser.close()
    # The dialog that asks who one is has an autofocus, which Chromium does not grant to a frame.
    assert [problem for problem in web.problems if "Blocked autofocusing" not in problem] == []


def _make_hit(web: Web) -> str:
    with web.server.store.writing() as db:
        crowd = configure_external(db, mturk=Mturk()).mturk
    assert crowd is not None
    return web.turk.create_hit(external_question_xml(mturk_url(SITE, crowd)))


def _until(where: sync_api.Frame | sync_api.Page, expression: str) -> None:
    # Playwright's own waiting needs eval, which the page's security policy forbids.
    for _ in range(300):
        if where.evaluate(expression):
            return
        where.page.wait_for_timeout(50) if hasattr(where, "page") else where.wait_for_timeout(50)
    pytest.fail(f"it never came true: {expression}")


def _read_guide(where: sync_api.Frame | sync_api.Page, page: sync_api.Page) -> None:
    where.wait_for_selector("#screen-guide:not([hidden])")
    where.evaluate("window.focus()")
    for _ in range(2):
        where.click("#guide-next")
    where.wait_for_selector("#screen-ask:not([hidden])")
    page.wait_for_timeout(200)


def _answer_all(where: sync_api.Frame | sync_api.Page, page: sync_api.Page, *, num: int = NUM_CLIPS) -> None:
    _until(where, "[...document.querySelectorAll('video')].some((video) => video.currentTime > 0.3)")
    for _ in range(num):
        page.wait_for_timeout(200)
        page.keyboard.press("n")


def test_a_hit_in_its_frame_from_preview_to_submission(web: Web) -> None:
    hit_id = _make_hit(web)
    frame = web.open_hit()
    frame.wait_for_selector("#screen-crowd")
    assert "This is a preview" in frame.inner_text("#screen-crowd")
    assert frame.evaluate("[...document.querySelectorAll('.visit-sample button')].every((one) => one.disabled)")
    assert [row.origin for row in web.rows(workers)] == ["local"], "the preview made a worker"

    assignment_id = web.turk.accept(hit_id, "A1WORKER")
    frame = web.open_hit(assignment_id)
    _read_guide(frame, web.page)
    assert not frame.is_visible("#worker")
    _answer_all(frame, web.page, num=1)
    # A reload of the site in the middle: the frame opens the assignment again and goes on.
    frame = web.open_hit(assignment_id)
    frame.wait_for_selector("#screen-ask:not([hidden])")
    assert "token" not in frame.url
    frame.click("#question")
    _answer_all(frame, web.page, num=NUM_CLIPS - 1)
    frame.wait_for_selector("#screen-review:not([hidden])")
    web.page.keyboard.press("Enter")
    for _ in range(100):
        if web.requests[-1] == f"{WORKER_SITE}/thank-you":
            break
        web.page.wait_for_timeout(50)
    assert web.requests[-1] == f"{WORKER_SITE}/thank-you", "the policy stopped the redirect after the form"
    assert web.turk.assignments[assignment_id].status == "submitted"
    assert web.turk.assignments[assignment_id].answer == {"num_answers": str(NUM_CLIPS)}
    (row,) = web.rows(assignments)
    assert (row.num_answers, row.finished_at_us is None) == (NUM_CLIPS, False)
    assert [vote.answer for vote in web.rows(votes)] == ["no"] * NUM_CLIPS
    frame = web.open_hit(assignment_id)
    frame.wait_for_selector("#submit-form", state="attached")
    assert "All done" in frame.inner_text("#screen-crowd h1")


def test_no_other_site_may_frame_the_page(web: Web) -> None:
    hit_id = _make_hit(web)
    web.page.goto(f"https://evil.example/task?hitId={hit_id}")
    element = web.page.wait_for_selector("#frame")
    assert element is not None
    frame = element.content_frame()
    assert frame is not None
    for _ in range(100):
        if web.problems:
            break
        web.page.wait_for_timeout(50)
    assert "frame-ancestors" in web.problems.pop()
    assert frame.query_selector("#screen-crowd") is None


def test_the_form_goes_to_nobody_else(web: Web) -> None:
    _make_hit(web)
    frame = web.open_hit()
    frame.wait_for_selector("#screen-crowd")
    frame.evaluate(
        """() => {
          const form = document.createElement("form");
          Object.assign(form, { method: "post", action: "https://evil.example/mturk/externalSubmit" });
          document.body.append(form);
          form.submit();
        }"""
    )
    web.page.wait_for_timeout(500)
    assert frame.query_selector("#screen-crowd") is not None, "the form was sent"
    assert "form-action" in web.problems.pop()


def test_a_prolific_study_from_consent_to_its_code(web: Web) -> None:
    with web.server.store.writing() as db:
        crowd = configure_external(db, prolific=Prolific(completion_code="DONE1", no_consent_code="NO1")).prolific
    assert crowd is not None
    study = ProlificStandIn(prolific_url(SITE, crowd), {"DONE1": "done", "NO1": "declined"})
    page = web.page
    page.goto(study.study_url("5f3pid", "65sess"))
    page.wait_for_selector("#screen-crowd")
    assert [row.origin for row in web.rows(workers)] == ["local"], "nobody has agreed yet"
    page.keyboard.press("Enter")
    _read_guide(page, page)
    _answer_all(page, page)
    page.wait_for_selector("#screen-review:not([hidden])")
    page.keyboard.press("Enter")
    page.wait_for_selector("#completion-link")
    assert page.inner_text("#completion-code") == "DONE1"
    page.reload()
    page.wait_for_selector("#completion-link")
    page.keyboard.press("Enter")
    page.wait_for_url("https://app.prolific.com/**")
    assert study.complete("65sess", web.codes[-1]) == "done"

    page.goto(study.study_url("5f3other", "65next"))
    page.click("text=I do not want to take part")
    page.click("#completion-link")
    page.wait_for_url("https://app.prolific.com/**")
    assert study.complete("65next", web.codes[-1]) == "declined"
    assert len(web.rows(assignments)) == 1
