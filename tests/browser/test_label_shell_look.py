"""The label page in a real Chromium over a stand-in: sizes, contrast, rest, and the tab key."""

from __future__ import annotations

import pytest
from tests.browser.fake_label import FakeLabel
from tests.browser.page_steps import press, sign_in, until, wait_for

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser
TONES = ("yes", "no", "unsure", "broken")
NAMELESS = """[...document.querySelectorAll("button, input, a, video, img")].filter((e) => e.checkVisibility() &&
  !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length || e.alt !== undefined))
  .map((e) => e.outerHTML)"""


@pytest.mark.parametrize("kind", ["clip", "suggestion", "box"])
def test_every_kind_fits_a_phone_a_laptop_and_twice_the_zoom(
    page: sync_api.Page, service: tuple[str, FakeLabel], kind: str
) -> None:
    service[1].add_task(kind, ["walking the dog in the park", "juggling"])
    service[1].gold = {"accuracy": 0.4, "is_low": False}
    sign_in(page, service)
    wait_for(page, "ask")
    until(page, "document.querySelector('video').videoWidth > 0")
    # 683 by 384 is a laptop at 200 %: there the page may be scrolled, downwards.
    for width, height in ((360, 640), (390, 844), (683, 384), (1366, 768)):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"sideways at {width}"
        stage = page.locator(".stage").bounding_box()
        assert stage is not None
        assert stage["height"] >= 96
        for button in page.query_selector_all("#answers button"):
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 44, "too small for a thumb"
            assert height == 384 or box["y"] + box["height"] <= height, f"below the fold at {width}"
    assert page.evaluate(NAMELESS) == []


def test_text_can_be_read_in_both_themes(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    sign_in(page, service)
    wait_for(page, "message")
    names = ("ground", "panel", "ink", "soft", "accent", "on-accent", "yes", "no", "unsure", "broken", "edge")
    mixed = {
        **{f"{tone}-button": f"color-mix(in srgb, var(--{tone}) 18%, var(--panel))" for tone in TONES},
        "banner": "color-mix(in srgb, var(--unsure) 16%, var(--ground))",
    }
    text_on = [(text, ground) for text in ("ink", "soft", "accent", *TONES) for ground in ("ground", "panel")]
    text_on += [("on-accent", "accent"), ("ink", "banner")]
    text_on += [(text, f"{tone}-button") for tone in TONES for text in ("ink", tone)]
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)
        colours = page.evaluate(
            """(wanted) => {
              const probe = document.body.appendChild(document.createElement("i"));
              const drawn = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
              const rgb = ([name, css]) => {
                probe.style.color = css;
                drawn.fillStyle = getComputedStyle(probe).color;
                drawn.fillRect(0, 0, 1, 1);
                return [name, [...drawn.getImageData(0, 0, 1, 1).data].slice(0, 3)];
              };
              return Object.fromEntries(wanted.map(rgb));
            }""",
            [[name, f"var(--{name})"] for name in names] + [list(pair) for pair in mixed.items()],
        )
        for text, ground in text_on:
            assert contrast(colours[text], colours[ground]) >= 4.5, f"{text} on {ground}, {theme}"
        assert contrast(colours["edge"], colours["ground"]) >= 3, f"the edge of a field, {theme}"


def contrast(one: list[int], other: list[int]) -> float:
    """Contrast ratio of two colours. Source: WCAG 2.2, definitions of contrast ratio and relative luminance."""

    def luminance(rgb: list[int]) -> float:
        parts = [c / 255 for c in rgb]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_is_computed_as_defined() -> None:
    assert contrast([0, 0, 0], [255, 255, 255]) == pytest.approx(21)
    assert contrast([118, 118, 118], [255, 255, 255]) == pytest.approx(4.54, abs=0.01)


def test_nothing_moves_for_those_who_asked_for_rest(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    service[1].add_task("clip", ["waving", "juggling"])
    sign_in(page, service)
    wait_for(page, "ask")
    durations = (
        "['.answer', '.segments i'].map((one) => getComputedStyle(document.querySelector(one)).transitionDuration)"
    )
    assert page.evaluate(durations) == ["0s", "0s"]
    page.emulate_media(reduced_motion="no-preference")
    assert "0s" not in page.evaluate(durations)


def test_the_tab_key_reaches_every_control_and_space_presses_it(
    page: sync_api.Page, service: tuple[str, FakeLabel]
) -> None:
    _, fake = service
    fake.add_task("clip", ["waving", "juggling"])
    sign_in(page, service)
    wait_for(page, "ask")
    until(page, "document.querySelector('video').currentTime > 0")
    assert page.evaluate("document.activeElement.id") == "question", "a new question does not have the focus"
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        now = "document.activeElement"
        reached.append(page.evaluate(f"{now}.dataset.action ?? {now}.id ?? {now}.tagName"))
    wanted = ["play", "back", "on", "slower", "speed", "faster", "replay", "yes", "no", "unsure", "broken", "undo"]
    assert [name for name in reached if name in wanted] == wanted
    page.focus("[data-action=unsure]")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    press(page, " ")
    assert page.inner_text("#count") == "2 of 2", "Space on a button did not press it"
    assert page.evaluate("document.activeElement.id") == "question"
