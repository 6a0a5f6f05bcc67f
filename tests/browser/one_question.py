"""One question of a kind on a bare page, with a context that remembers what the kind does: no service needed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "src" / "gesta" / "label" / "page"
HERE = Path(__file__).parent
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml",
         ".jpg": "image/jpeg", ".mp4": "video/mp4", ".json": "application/json"}  # fmt: skip

ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def served_question(question: Mapping[str, Any], media: Mapping[str, bytes], *, labels: object = ()) -> Iterator[str]:
    """The address of a page that asks `question`; `media` are the files it names, by path."""
    asked = json.dumps({"question": question, "labels": labels}).encode()
    files = {"/question.json": asked, **media}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = files.get(path)
            if body is None:
                body = _page_file(path)
            if body is None:
                self._send(404, b"", "text/plain", {})
                return
            kind = TYPES.get(Path(path).suffix, "text/html")
            asked_range = self.headers.get("Range", "")
            if asked_range.startswith("bytes="):
                first, _, last = asked_range[6:].partition("-")
                start, end = int(first), min(int(last or len(body)), len(body) - 1)
                self._send(206, body[start : end + 1], kind, {"Content-Range": f"bytes {start}-{end}/{len(body)}"})
            else:
                self._send(200, body, kind, {})

        def _send(self, status: int, body: bytes, kind: str, more: Mapping[str, str]) -> None:
            self.send_response(status)
            heads = {"Content-Type": kind, "Content-Length": str(len(body)), "Accept-Ranges": "bytes",
                     "Content-Security-Policy": POLICY, "Cache-Control": "no-store", **more}  # fmt: skip
            for name, value in heads.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    # A page that is closed lets go of what it was fetching.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def opened_page(
    browser: Any, url: str, *, width: int = 1366, height: int = 768, is_phone: bool = False
) -> Iterator[Any]:
    """A page on the question, ready to be answered; the block fails if the page has complained in the console."""
    with clean_page(browser, width=width, height=height, is_phone=is_phone) as page:
        page.goto(url)
        until(page, "window.seen?.isReady === true")
        yield page


@contextmanager
def clean_page(
    browser: Any, *, width: int = 1366, height: int = 768, is_phone: bool = False, ordered: str = ""
) -> Iterator[Any]:
    """An empty page of its own; the block fails if it has complained in the console, as of a broken security policy.

    What holds the words of `ordered` may be complained of.
    """
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=is_phone, is_mobile=is_phone, reduced_motion="reduce"
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type in ("error", "warning") else None)
    page.set_default_timeout(20_000)
    try:
        yield page
    finally:
        context.close()
        # Said first, since it may be why something else never came true.
        assert [problem for problem in problems if not ordered or ordered not in problem] == []


def until(page: Any, expression: str) -> None:
    """Return once the expression is true in the page; its security policy forbids Playwright's own way of waiting."""
    for _ in range(800):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"it never came true: {expression}")


def tap(page: Any, selector: str, *, until_true: str) -> None:
    """Tap until it has its effect: on a busy machine one may last so long that it is taken for a long press."""
    for _ in range(5):
        page.tap(selector)
        for _ in range(120):
            if page.evaluate(until_true):
                return
            page.wait_for_timeout(25)
    raise AssertionError(f"no tap on {selector} made it true: {until_true}")


def covered(page: Any) -> list[str]:
    """Controls whose middle a pointer would not reach: covered by another, or outside of the window.

    Those that a list or row scrolls into view do not count.
    """
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll("button, input")].filter((control) => {
          if (!control.checkVisibility({ visibilityProperty: true, opacityProperty: true })) return false;
          const { left, right, top, bottom } = control.getBoundingClientRect();
          const [x, y] = [(left + right) / 2, (top + bottom) / 2];
          for (let at = control.parentElement; at !== document.body; at = at.parentElement) {
            const { overflowX, overflowY } = getComputedStyle(at);
            const box = at.getBoundingClientRect();
            const isOut = x < box.left || x > box.right || y < box.top || y > box.bottom;
            if (isOut && [overflowX, overflowY].includes("auto")) return false;
          }
          const seen = document.elementFromPoint(x, y);
          return !seen || !control.contains(seen);
        }).map((control) => control.getAttribute("aria-label") ?? control.textContent)"""
    )
    return found


def faint_texts(page: Any, *, least: float = 4.5) -> list[str]:
    """Texts of the page whose contrast is less than that, each with what it has; disabled controls aside."""
    found: list[str] = page.evaluate((HERE / "contrast.js").read_text(), least)
    return found


def answers(page: Any) -> list[Any]:
    """What the kind has handed to `ctx.done` so far."""
    given: list[Any] = page.evaluate("window.seen.answers")
    return given


def _page_file(path: str) -> bytes | None:
    if path == "/":
        found = HERE / "kind_harness.html"
    elif path == "/kind_harness.js":
        found = HERE / "kind_harness.js"
    elif path.startswith("/static/") and ".." not in path:
        found = PAGE / path.removeprefix("/static/")
    else:
        return None
    return found.read_bytes() if found.is_file() else None
