"""The report in a real Chromium: opens from disk, asks for nothing, fits a narrow screen, follows dark and print."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from gesta.release import run_release
from gesta.report import SECTIONS, run_report

pytestmark = pytest.mark.browser
sync_api = pytest.importorskip("playwright.sync_api")
write_work = runpy.run_path(str(Path(__file__).parents[1] / "unit" / "release" / "tables_by_hand.py"))["write_work"]
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Path:
    folder = tmp_path_factory.mktemp("report")
    files = [shared / "videos" / name for name in ("asl/again.mkv", "arm_wrestling.mp4", "part_0.mp4")]
    work = write_work(folder / "work", video_files=files)
    run_release(work)
    scores = {"mean_ap": 0.4, "chance_map": 0.05, "classes": [{"class_id": 1, "name": "archery", "ap": 0.5}]}
    (folder / "metrics.json").write_text(json.dumps(scores))
    (folder / "log.jsonl").write_text('{"epoch": 1, "loss": 2.0}\n{"epoch": 2, "loss": 1.0}\n')
    run_report(work, out=folder / "report.html", metrics=folder / "metrics.json", log=folder / "log.jsonl", max_clips=4)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(chromium: str):
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.mark.parametrize(("width_px", "scheme"), [(1200, "light"), (400, "light"), (1200, "dark")])
def test_opens_without_errors_or_requests_and_fits(browser, page_file: Path, width_px: int, scheme: str):
    page = browser.new_page(viewport={"width": width_px, "height": 900}, color_scheme=scheme)
    said: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(f"failed: {request.url[:80]}"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.locator("section").count() == len(SECTIONS)
    assert page.locator("img").count() == 4 + 2 * 3
    assert page.evaluate("document.documentElement.scrollWidth") <= width_px
    assert said == []
    assert [url for url in requests if not url.startswith("data:")] == [page_file.as_uri()]
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(20, 23, 27)" if scheme == "dark" else "rgb(251, 250, 247)")
    page.close()


def test_bars_are_as_long_as_their_numbers_say(browser, page_file: Path):
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.goto(page_file.as_uri())
    flow = page.locator("#line .flow").first
    kept, dropped = (flow.locator(f".{name}").bounding_box()["width"] for name in ("kept", "dropped"))
    assert kept / dropped == pytest.approx(29 / 2, rel=0.1)
    bar = page.locator(".ap .bar").first
    whole, part = bar.bounding_box(), bar.locator(".part").bounding_box()
    assert part["width"] / whole["width"] == pytest.approx(0.5, abs=0.01)
    line = bar.locator(".chance-line").bounding_box()
    assert (line["x"] - whole["x"]) / whole["width"] == pytest.approx(0.05, abs=0.01)
    page.close()


def test_still_pictures_where_motion_is_not_wanted(browser, page_file: Path):
    page = browser.new_page(reduced_motion="reduce")
    page.goto(page_file.as_uri())
    page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    shown, moving = page.evaluate("(image => [image.currentSrc, image.src])(document.querySelector('.clip img'))")
    assert shown != moving
    assert len(shown) < len(moving)
    page.close()
