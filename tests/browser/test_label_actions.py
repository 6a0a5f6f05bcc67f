"""The page that proposes a person's actions, in a real Chromium: by keyboard, by finger, and within its limits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.browser.boxed_world import cast, open_as, press, serving_boxes
from tests.browser.one_question import (
    ARGS,
    answers,
    clean_page,
    covered,
    faint_texts,
    opened_page,
    served_question,
    tap,
    until,
)

from gesta.label.routes_labels import labels
from gesta.video import write_video

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

QUESTION = {
    "slot": 0, "kind": "person", "action": None, "fps": 25, "duration_s": 2, "key_time_s": 1, "media_url": "/clip.mp4",
    "box": [0.1, 0.2, 0.4, 0.8], "path_url": "/path.json",
}  # fmt: skip
PATH = {"points": [[0, 0.1, 0.2, 0.4, 0.8], [2, 0.5, 0.2, 0.8, 0.8]]}
PICKED = "document.querySelectorAll('.picked').length === {}"
STAND, SIT, CARRY, DRINK, EAT, READ, WATCH = 12, 11, 17, 27, 29, 48, 80


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(ARGS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    video: Path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = [np.full((120, 160, 3), 40 + 3 * k, np.uint8) for k in range(50)]
    write_video(video, frames, fps=Fraction(25))
    media = {"/clip.mp4": video.read_bytes(), "/path.json": json.dumps(PATH).encode()}
    with served_question(QUESTION, media, labels=[label.model_dump() for label in labels()]) as address:
        yield address


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    with opened_page(browser, url) as opened:
        until(opened, "document.querySelectorAll('.act').length === 80")
        yield opened


def _chosen(page: Any) -> list[str]:
    names: list[str] = page.evaluate("[...document.querySelectorAll('.picked')].map((e) => e.firstChild.textContent)")
    return names


def _counts(page: Any) -> list[str]:
    counts: list[str] = page.evaluate("[...document.querySelectorAll('.chosen-of small')].map((e) => e.textContent)")
    return counts


def _take(page: Any, *words: str) -> None:
    for word in words:
        page.keyboard.type(word)
        page.keyboard.press("Enter")


def _class_ids(page: Any) -> list[int]:
    (given,) = answers(page)
    assert given["answer"] == "done"
    ids: list[int] = given["detail"]["class_ids"]
    return ids


def test_three_letters_and_enter_for_each_action(page: Any) -> None:
    assert page.evaluate("document.activeElement.id") == "action-search"
    _take(page, "sta", "dri", "wat per")
    assert _chosen(page) == ["stand", "drink", "watch (a person)"]
    assert _counts(page) == ["1 of 1", "1 of 3", "1 of 3"]
    page.keyboard.press("Control+Enter")
    assert _class_ids(page) == [STAND, DRINK, WATCH]


def test_the_clip_plays_and_the_person_is_followed(page: Any) -> None:
    until(page, "document.querySelector('video').currentTime > 0.3")
    page.keyboard.press(" ")
    until(page, "document.querySelector('video').paused")
    page.wait_for_timeout(100)
    left, time_s = page.evaluate(
        """(() => {
          const box = document.querySelector(".highlight").getBoundingClientRect();
          const frame = document.querySelector(".frame").getBoundingClientRect();
          return [(box.left - frame.left) / frame.width, document.querySelector("video").currentTime];
        })()"""
    )
    assert left == pytest.approx(0.1 + 0.2 * time_s, abs=0.01)


def test_the_arrows_choose_among_what_was_found(page: Any) -> None:
    page.keyboard.type("wat")
    assert page.inner_text("#action-found") == "1 of 2"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert _chosen(page) == ["watch (a person)"]
    # The beginning of a name goes before beginnings of its words: "listen (e.g., to music)" has the lower id.
    _take(page, "listen to")
    assert _chosen(page)[1] == "listen to (a person)"
    page.keyboard.type("zzz")
    page.keyboard.press("Enter")
    assert page.inner_text("#action-found") == "none found"
    page.keyboard.press("Escape")
    assert page.input_value("#action-search") == ""
    assert page.evaluate("document.activeElement.id") == "action-search"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement === document.body")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "action-search"
    assert page.input_value("#action-search") == ""


def test_a_pose_is_needed_and_there_is_one(page: Any) -> None:
    _take(page, "drink")
    page.keyboard.press("Control+Enter")
    assert answers(page) == []
    assert "Choose the pose first" in page.inner_text(".person-clip .problem")
    _take(page, "sit", "stand")
    assert _chosen(page) == ["stand", "drink"], "another pose takes the first one's place"
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    assert _class_ids(page) == [STAND, DRINK]


def test_the_limit_of_three_is_explained(page: Any) -> None:
    _take(page, "carry", "drink", "eat", "read")
    assert _chosen(page) == ["carry/hold (an object)", "drink", "eat"]
    assert "“With an object” has 3 of 3. Take one away before choosing “read”." in page.inner_text(".person-work")
    assert page.get_attribute(f".row-of[data-id='{READ}'] .act", "aria-disabled") == "true"
    page.click(".picked >> text=drink")
    _take(page, "read", "sit")
    page.click("#done")
    assert _class_ids(page) == [SIT, CARRY, EAT, READ]


def test_digits_choose_favourites_and_a_star_makes_one(page: Any) -> None:
    page.keyboard.press("1")
    assert _chosen(page) == ["stand"]
    page.keyboard.press("Backspace")
    assert _chosen(page) == []
    page.keyboard.press("Escape")
    page.click(f".row-of[data-id='{READ}'] .star")
    assert page.evaluate("document.querySelector('.favourite').textContent") == "1read★"
    page.keyboard.press("1")
    page.keyboard.press("2")
    assert _chosen(page) == ["stand", "read"]
    page.reload()
    until(page, "document.querySelectorAll('.act').length === 80")
    assert page.evaluate("document.querySelector('.favourite').textContent") == "1read★"
    assert page.get_attribute(f".row-of[data-id='{READ}'] .star", "aria-pressed") == "true"


def test_columns_are_walked_by_arrows_and_starred_by_f(page: Any) -> None:
    page.focus(".column[data-category=pose] .act")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.textContent").startswith("crouch/kneel")
    page.keyboard.press("f")
    assert page.evaluate("document.querySelector('.favourite').textContent") == "1crouch/kneel★"
    page.keyboard.press("Enter")
    assert _chosen(page) == ["crouch/kneel"]
    assert answers(page) == [], "Enter on a row chooses it and does not send"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.column').dataset.category") == "object"


def test_a_reload_keeps_what_was_chosen_and_undo_takes_it_back(page: Any) -> None:
    _take(page, "sit", "read")
    page.reload()
    until(page, "document.querySelectorAll('.picked').length === 2")
    assert _chosen(page) == ["sit", "read"]
    _take(page, "eat")
    page.keyboard.press("Escape")
    page.keyboard.press("z")
    assert _chosen(page) == ["sit", "read"]


def test_an_answer_is_taken_up_again(page: Any) -> None:
    previous = {"answer": "done", "detail": {"class_ids": [STAND, WATCH]}}
    page.evaluate("(p) => { localStorage.clear(); localStorage.setItem('previous', JSON.stringify(p)); }", previous)
    page.reload()
    until(page, "document.querySelectorAll('.picked').length === 2")
    page.keyboard.press("Control+Enter")
    assert _class_ids(page) == [STAND, WATCH]


@pytest.mark.parametrize(("key", "answer"), [("Alt+u", "unsure"), ("Alt+b", "broken")])
def test_unsure_and_broken_work_from_within_the_search(page: Any, key: str, answer: str) -> None:
    page.keyboard.type("st")
    page.keyboard.press(key)
    assert answers(page) == [{"answer": answer}]


def test_option_and_u_of_a_mac_mean_unsure(page: Any) -> None:
    page.evaluate(
        """document.activeElement.dispatchEvent(new KeyboardEvent("keydown",
          { key: "Dead", code: "KeyU", altKey: true, bubbles: true, cancelable: true }))"""
    )
    assert answers(page) == [{"answer": "unsure"}]


def test_every_text_can_be_read(browser: Any, url: str) -> None:
    with opened_page(browser, url) as page:
        until(page, "document.querySelectorAll('.act').length === 80")
        _take(page, "drink", "eat", "read")
        page.keyboard.press("Control+Enter")
        page.click(f".row-of[data-id='{READ}'] .star")
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert faint_texts(page) == [], scheme
        assert len(faint_texts(page, least=22)) > 10, "every text is fainter than black on white"


@pytest.mark.parametrize("sizes", [[(360, 640), (844, 390)], [(820, 1180), (1920, 1080)]], ids=["phone", "desk"])
def test_nothing_covers_anything_at_any_size(browser: Any, url: str, sizes: list[tuple[int, int]]) -> None:
    with opened_page(browser, url, is_phone=sizes[0] == (360, 640)) as page:
        until(page, "document.querySelectorAll('.act').length === 80")
        for width, height in sizes:
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(100)
            assert covered(page) == [], f"{width} x {height}"


def test_every_control_has_a_name(page: Any) -> None:
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input')].filter((e) => "
        "!(e.getAttribute('aria-label') || e.textContent.trim())).map((e) => e.outerHTML)"
    )
    assert nameless == []
    assert page.evaluate("document.querySelectorAll('.act[tabindex=\"0\"]').length") == 3, "one stop of Tab a column"


def test_a_phone_shows_a_category_at_a_time_with_big_targets(browser: Any, url: str) -> None:
    with opened_page(browser, url, width=390, height=844, is_phone=True) as page:
        until(page, "document.querySelectorAll('.act').length === 80")
        assert page.evaluate("document.activeElement.id") != "action-search", "the keyboard would cover the clip"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        tap(page, f".row-of[data-id='{SIT}'] .act", until_true=PICKED.format(1))
        assert not page.is_visible(f".row-of[data-id='{READ}'] .act")
        tap(page, "button[data-tab=object]", until_true="document.querySelector('.menu').dataset.tab === 'object'")
        row = page.query_selector(f".row-of[data-id='{READ}'] .act")
        row.scroll_into_view_if_needed()
        assert row.bounding_box()["height"] >= 44
        tap(page, f".row-of[data-id='{READ}'] .act", until_true=PICKED.format(2))
        done = page.query_selector("#done").bounding_box()
        assert done["height"] >= 44
        assert done["y"] + done["height"] <= 844, "below the fold"
        tap(page, "#done", until_true="window.seen.answers.length === 1")
        assert _class_ids(page) == [SIT, READ]


def test_the_real_service_gets_the_actions_by_keyboard_after_a_reload(browser: Any, tmp_path: Path) -> None:
    with serving_boxes(tmp_path, kind="person", num_clips=2) as server, clean_page(browser) as page:
        open_as(page, server, "ada", kind="person")
        until(page, "document.activeElement.id === 'action-search'")
        until(page, "document.querySelector('video')?.currentTime > 0.3")
        _take(page, "walk", "carry")
        page.reload()
        page.wait_for_selector("#screen-ask:not([hidden])")
        until(page, "document.querySelectorAll('.picked').length === 2")
        until(page, "document.activeElement.id === 'action-search'")
        _take(page, "talk")
        press(page, "Control+Enter")
        until(page, "document.getElementById('count').textContent === '2 of 2'")
        until(page, "document.querySelectorAll('.act').length === 80")
        assert _chosen(page) == [], "the next person begins with nothing"
        press(page, "Alt+u")
        page.wait_for_selector("#screen-review:not([hidden])")
        press(page, "Enter")
        page.wait_for_selector("#screen-message:not([hidden])")
        done, unsure = cast(server, "ada")
        assert done[1:] == (0, "done", {"class_ids": [14, 17, 79]})
        assert unsure[1:] == (0, "unsure", None)
        press(page, "z")
        until(page, "document.activeElement.id === 'action-search'")
        # In the search a Z is a letter.
        press(page, "Escape", "z")
        until(page, "document.querySelectorAll('.picked').length === 3")
        press(page, "Backspace", "Control+Enter")
        page.wait_for_selector("#screen-message:not([hidden])")
        assert cast(server, "ada")[-1][1:] == (1, "done", {"class_ids": [14, 17]})


def test_a_phone_answers_the_real_service(browser: Any, tmp_path: Path) -> None:
    phone = clean_page(browser, width=390, height=844, is_phone=True)
    with serving_boxes(tmp_path, kind="person") as server, phone as page:
        open_as(page, server, "ada", kind="person")
        until(page, "document.querySelectorAll('.act').length === 80")
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        tap(page, f".row-of[data-id='{SIT}'] .act", until_true=PICKED.format(1))
        tap(page, "button[data-tab=person]", until_true="document.querySelector('.menu').dataset.tab === 'person'")
        tap(page, ".row-of[data-id='67'] .act", until_true=PICKED.format(2))
        tap(page, "#done", until_true="!document.getElementById('screen-message').hidden")
        assert [row[2:] for row in cast(server, "ada")] == [("done", {"class_ids": [SIT, 67]})]


def test_a_list_that_does_not_come_is_asked_for_again(browser: Any, tmp_path: Path) -> None:
    with (
        serving_boxes(tmp_path, kind="person") as server,
        clean_page(browser, ordered="net::ERR_FAILED") as page,
    ):
        page.route("**/api/labels", lambda route: route.abort())
        open_as(page, server, "ada", kind="person")
        page.wait_for_selector(".person-work [role=alert]")
        assert "The actions could not be fetched." in page.inner_text(".person-work")
        page.unroute("**/api/labels")
        page.click(".person-work .primary")
        until(page, "document.querySelectorAll('.act').length === 80")
        _take(page, "sit")
        press(page, "Control+Enter")
        page.wait_for_selector("#screen-message:not([hidden])")
        assert cast(server, "ada")[0][3] == {"class_ids": [SIT]}
