"""The live page in a real Chromium: the picture, who is in it, the timeline, its keys; and who may open it."""

from __future__ import annotations

import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.unit.predict.persons_stand_in import SQUARES, TimedSource, scorer_of

from gesta.predict.streams.drive import Eyes
from gesta.predict.streams.live import PacedSource, live_moments
from gesta.predict.viewers.page_server import PageViewer, served_page
from gesta.schema import BadInput, GestaError

pytestmark = pytest.mark.browser
sync_api = pytest.importorskip("playwright.sync_api")

NUM_RED = """() => {
  const canvas = document.getElementById("picture")
  const values = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data
  let found = 0
  for (let k = 0; k < values.length; k += 4) found += values[k] > 120 && values[k + 2] < 90
  return found
}"""


@contextmanager
def watched(*, seconds: int = 60) -> Iterator[tuple[str, PageViewer, threading.Event]]:
    """The page over two squares that move for so long; its link."""
    source = TimedSource([round(n * 1e6 / 10) for n in range(10 * seconds)], seconds * 1_000_000, name="squares.mp4")
    stop, stride_us = threading.Event(), 500_000
    viewer = PageViewer(facts=source.facts(), min_score=0.0, stride_us=stride_us)
    eyes = Eyes(detector=SQUARES, min_score=0.5, stride_us=stride_us)

    def watch() -> None:
        played = PacedSource(played=source, stop=stop)
        for moment in live_moments(played, scorer=scorer_of(), eyes=eyes, stop=stop, on_shot=viewer.shot):
            viewer.moment(moment)
        viewer.close()

    thread = threading.Thread(target=watch, daemon=True)
    with served_page(viewer, address="127.0.0.1:0") as link:
        thread.start()
        try:
            yield link, viewer, stop
        finally:
            stop.set()
            thread.join(20)


def test_the_page_shows_the_picture_the_people_and_what_they_did(page):
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    with watched() as (link, _, stop):
        page.goto(link)
        page.wait_for_selector("#people li:nth-child(2)")
        page.wait_for_selector("#timeline .row:nth-child(2) .bar span", timeout=30_000)
        assert page.inner_text("#source") == page.title() == "squares.mp4"
        assert page.inner_text("#state") == "live"
        assert page.evaluate("(({ width, height }) => [width, height])(document.getElementById('picture'))") == [48, 32]
        sync_api.expect(page.locator("#latency")).to_have_text(re.compile(r"^\d+\.\d\d s$"))
        assert {item.get_attribute("data-person") for item in page.query_selector_all("#timeline .row")} == {"0", "1"}
        names = {span.inner_text() for span in page.query_selector_all("#timeline .bar span")}
        assert names <= {"bright", "red"}
        page.keyboard.press("Space")
        assert page.inner_text("#state") == "paused"
        stopped = page.inner_text("#clock")
        page.wait_for_timeout(1500)
        assert page.inner_text("#clock") == stopped
        page.keyboard.press("Space")
        sync_api.expect(page.locator("#clock")).not_to_have_text(stopped)
        page.keyboard.press("-")
        assert page.inner_text("#span") == "120"
        page.keyboard.press("+")
        page.keyboard.press("+")
        assert page.inner_text("#span") == "30"
        page.keyboard.press("b")
        assert page.get_attribute("#boxes", "aria-pressed") == "false"
        # Without the texts, which are as large as this picture, the red square is seen.
        assert page.evaluate(NUM_RED) > 20
        stop.set()
        sync_api.expect(page.locator("#state")).to_have_text("over", timeout=20_000)
    assert all(url.startswith(link) for url in requests)


def test_the_theme_follows_the_system_and_a_key_changes_it(page):
    with watched() as (link, _, _stop):
        page.emulate_media(color_scheme="dark")
        page.goto(link)
        ground = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(ground) == "rgb(16, 21, 27)"
        page.emulate_media(color_scheme="light")
        assert page.evaluate(ground) == "rgb(243, 245, 247)"
        page.keyboard.press("t")
        assert page.evaluate(ground) == "rgb(16, 21, 27)"
        assert page.inner_text("#theme-name") == "theme: dark"
        page.set_viewport_size({"width": 360, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def status_of(url: str, **headers: str) -> int:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_a_page_elsewhere_cannot_reach_it_by_a_name_of_its_own():
    viewer = PageViewer(facts={"file": "x"}, min_score=0.3, stride_us=10**6)
    with served_page(viewer, address="127.0.0.1:0") as link:
        assert "#" not in link
        assert status_of(f"{link}api/news") == 200
        assert status_of(f"{link}api/news", Host="evil.example") == 403
        assert status_of(link, Host="evil.example:80") == 403


def test_another_address_wants_the_token_of_the_link(page):
    viewer = PageViewer(facts={"file": "x.mp4"}, min_score=0.3, stride_us=10**6)
    with served_page(viewer, address="0.0.0.0:0") as link:
        place, _, token = link.replace("0.0.0.0", "127.0.0.1").partition("#token=")
        assert len(token) > 20
        assert status_of(f"{place}api/news") == 401
        assert status_of(f"{place}api/news", Authorization="Bearer wrong") == 401
        assert status_of(f"{place}api/news", Authorization=f"Bearer {token}") == 200
        page.goto(f"{place}#token={token}")
        sync_api.expect(page.locator("#source")).to_have_text("x.mp4")
        page.goto("about:blank")
        page.goto(place)
        sync_api.expect(page.locator("#problem")).to_have_text("Open the link that was printed.")


def test_an_address_that_is_taken_or_none_is_said():
    viewer = PageViewer(facts={}, min_score=0.3, stride_us=10**6)
    with served_page(viewer, address="127.0.0.1:0") as link:
        port = link.rstrip("/").rpartition(":")[2]
        with pytest.raises(GestaError, match=r"cannot listen there .*--serve"), served_page(viewer, address=port):
            pass
    with pytest.raises(BadInput, match="is no address"), served_page(viewer, address="here"):
        pass
