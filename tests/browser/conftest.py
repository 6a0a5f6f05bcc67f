"""Chromium for the browser tests, and the label page over a stand-in for its service."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser.fake_label import FakeLabel, running_fake
from tests.browser.page_steps import ARGS


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program; skips the test where there is none, or fails under REQUIRE_SHARED=1 (as CI runs)."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        message = "there is no chromium (on Debian: apt-get install chromium)"
        if os.environ.get("REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stand-in keeps its clips."""
    return tmp_path_factory.mktemp("clips")


@pytest.fixture
def service(folder: Path) -> Iterator[tuple[str, FakeLabel]]:
    """A stand-in for the label service: its address, and what it knows."""
    with running_fake(folder) as running:
        yield running


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    """A running Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(ARGS))
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
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
