"""The label page's shell in a real Chromium, against a stand-in whose troubles can be ordered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.browser.fake_label import FakeLabel, running_fake

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
READ = {"guides": dict.fromkeys(("clip", "suggestion", "box"), 1)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def service(folder: Path) -> Iterator[tuple[str, FakeLabel]]:
    with running_fake(folder) as running:
        yield running


@pytest.fixture
def fake(service: tuple[str, FakeLabel]) -> FakeLabel:
    return service[1]


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(ARGS))
        yield launched
        launched.close()


@pytest.fixture
def page(browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    """A fresh page; the test fails when it logged an error that nobody ordered, or broke its own security policy."""
    problems: list[str] = []
    context = browser.new_context(viewport={"width": 1366, "height": 768}, reduced_motion="reduce")
    opened = context.new_page()
    opened.set_default_timeout(8_000)
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    yield opened
    context.close()
    ordered = ("net::ERR_", "status of 401", "status of 403", "status of 409", "status of 429", "status of 503")
    assert [problem for problem in problems if not any(known in problem for known in ordered)] == []


def sign_in(page: sync_api.Page, service: tuple[str, FakeLabel], *, has_read: bool = True) -> None:
    """Open the page as ada, who has read the instructions."""
    url, fake = service
    fake.tokens["ada-token"] = "ada"
    if has_read:
        fake.prefs.setdefault("ada", READ)
    page.goto(f"{url}/#token=ada-token")


def wait_for(page: sync_api.Page, screen: str) -> None:
    page.wait_for_selector(f"#screen-{screen}:not([hidden])")


def press(page: sync_api.Page, *keys: str) -> None:
    """Each key after the moment in which the page takes no second answer."""
    for key in keys:
        page.wait_for_timeout(170)
        page.keyboard.press(key)


def until(page: sync_api.Page, expression: str) -> None:
    """Wait for it: Playwright's own waiting needs eval, which the page's security policy forbids."""
    for _ in range(160):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"it never came true: {expression}")


def question(page: sync_api.Page) -> str:
    return " ".join(page.inner_text("#question").split())


def test_a_clip_task_by_keyboard_from_the_invitation_to_the_end(
    page: sync_api.Page, service: tuple[str, FakeLabel]
) -> None:
    url, fake = service
    fake.add_task("clip", ["waving", "juggling", "bowing"])
    page.goto(f"{url}/join#come-in")
    wait_for(page, "start")
    page.keyboard.type("ada")
    page.keyboard.press("Enter")
    wait_for(page, "guide")
    page.keyboard.press("Enter")
    assert page.inner_text("#guide-step") == "Instructions, 2 of 2"
    page.keyboard.press("Enter")
    wait_for(page, "ask")
    assert question(page) == "Can you see a human performing the action waving?"
    until(page, "document.querySelector('video').currentTime > 0.2")
    press(page, "y")
    assert question(page) == "Does the action “waving” last for the whole clip?"
    press(page, "n", "u", "b")
    wait_for(page, "review")
    assert fake.answers == {}, "sent before the worker said so"
    press(page, "Enter")
    wait_for(page, "message")
    assert page.inner_text("#message-title") == "All done"
    assert fake.given() == [("yes", False, None), ("unsure", None, None), ("broken", None, None)]
