"""What the tests of the label page do again and again."""

from __future__ import annotations

from typing import Any

import pytest
from tests.browser.fake_label import FakeLabel

ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
READ = {"guides": dict.fromkeys(("clip", "suggestion", "box"), 1)}
"""Preferences of a worker who has read the instructions."""
LEAVE = "!window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
"""Whether the page would hold back somebody who leaves."""


def sign_in(page: Any, service: tuple[str, FakeLabel], *, has_read: bool = True) -> None:
    """Open the page as ada, who has read the instructions."""
    url, fake = service
    fake.tokens["ada-token"] = "ada"
    if has_read:
        fake.prefs.setdefault("ada", READ)
    page.goto(f"{url}/#token=ada-token")


def wait_for(page: Any, screen: str) -> None:
    """The screen is there."""
    page.wait_for_selector(f"#screen-{screen}:not([hidden])")


def press(page: Any, *keys: str) -> None:
    """Each key after the moment in which the page takes no second answer."""
    for key in keys:
        page.wait_for_timeout(160)
        page.keyboard.press(key)


def until(page: Any, expression: str) -> None:
    """Wait for it: Playwright's own waiting needs eval, which the page's security policy forbids."""
    for _ in range(160):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"it never came true: {expression}")


def question(page: Any) -> str:
    """The words of the question."""
    return " ".join(page.inner_text("#question").split())
