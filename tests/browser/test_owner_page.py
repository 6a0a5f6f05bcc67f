"""The owner's page in a real Chromium on the real service: what it shows and does, by keyboard and on a phone."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa

from gesta.label.answers import Answer
from gesta.label.guards import NO_LIMITS
from gesta.label.items import build_items
from gesta.label.rules import Rules
from gesta.label.server import RunningServer, running_server
from gesta.label.sql_tables import classes, events, tallies
from gesta.label.workers import find_worker, mint_worker
from gesta.schema import Candidate, Clip, LabelClass, Video
from gesta.tables import frame_of, made_by, table_path, write_table
from gesta.video import write_video

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser
expect = sync_api.expect

ARGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
HOSTILE = "<script>window.pwned = 1</script>"
NAMES = ("gardening", "waving", HOSTILE)
NUM_CLIPS = 30
TABS = ("overview", "classes", "workers", "disputed", "suggestions", "invites", "pay", "diary")
RULES = Rules(class_after_num_clips=4, prepared_lease_us=0)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder of thirty clips of one short video, each asked for one of three actions."""
    work = tmp_path_factory.mktemp("owner") / "work"
    work.mkdir()
    frames = []
    for k in range(25):
        frame = np.full((120, 160, 3), 60, np.uint8)
        frame[40:80, 4 * k : 4 * k + 40] = (230, 200, 60)
        frames.append(frame)
    write_video(work / "v.mp4", frames, fps=Fraction(25))
    video = Video(
        video_id="v", path="v.mp4", sha256="1" * 64, size_bytes=1, container="mp4", codec="h264", width_px=160,
        height_px=120, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=25, start_us=0,
        duration_us=1_000_000, has_audio=False,
    )  # fmt: skip
    ids = [f"c{number:02d}" for number in range(NUM_CLIPS)]
    rows: dict[str, list[Any]] = {
        "videos": [video],
        "clips": [Clip(clip_id=clip_id, video_id="v", start_us=0, end_us=1_000_000) for clip_id in ids],
        "candidates": [
            Candidate(clip_id=clip_id, class_id=number % 3 + 1, source="title", query="", score=1.0)
            for number, clip_id in enumerate(ids)
        ],
        "label_map": [LabelClass(class_id=number, name=name) for number, name in enumerate(NAMES, start=1)],
    }
    for table, listed in rows.items():
        provenance = made_by("test", arguments={}, inputs={})
        write_table(table_path(work, table), table, frame_of(table, listed), made_by=provenance)
    build_items(work)
    return work


@pytest.fixture
def server(filled: Path, tmp_path: Path) -> Iterator[RunningServer]:
    """The service on a copy of the folder, nothing answered yet."""
    shutil.copytree(filled, tmp_path / "work")
    with running_server(tmp_path / "work", seed=1, rules=RULES, limits=NO_LIMITS) as running:
        yield running


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[sync_api.Browser]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(ARGS))
        yield launched
        launched.close()


Open = Callable[..., sync_api.Page]


@pytest.fixture
def open_page(browser: sync_api.Browser, server: RunningServer) -> Iterator[Open]:
    """Opens the owner's page; the test fails when a page logged an error of its own, or ran what somebody wrote."""
    problems: list[str] = []
    contexts: list[sync_api.BrowserContext] = []

    def open_one(part: str = "overview", *, width: int = 1280, link: str | None = None, theme: str = "dark") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, reduced_motion="reduce", color_scheme=theme
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(link or server.owner_link or "")
        page.wait_for_selector("#tabs a, #token")
        if page.query_selector("#tabs a"):
            go(page, part)
        return page

    yield open_one
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.pwned") is None
        context.close()
    assert [problem for problem in problems if "status of 401" not in problem and "status of 403" not in problem] == []


def go(page: sync_api.Page, part: str) -> None:
    """Open a part of the page."""
    page.click(f"#tabs a[data-part={part}]")
    page.wait_for_selector(f".part-{part}")


def tile(page: sync_api.Page, name: str) -> sync_api.Locator:
    """The big number of that name."""
    return page.locator(".tile").filter(has=page.locator(".name", has_text=re.compile(f"^{name}$")))


def hire(server: RunningServer, worker_id: str, *, role: str = "worker") -> int:
    """The number of a worker, who is made where there is none."""

    def work(db: sa.Connection, book: Any) -> int:
        if worker_id not in book.by_name:
            mint_worker(db, worker_id=worker_id, role=role, now_us=1)
            book.reload_worker(db, find_worker(db, worker_id).seq)
        return int(book.by_name[worker_id].seq)

    return server.service.desk.run(work).result()


def answer(server: RunningServer, worker_id: str, choose: Callable[[int], tuple[str, Any]], *, tasks: int = 9) -> int:
    """The worker answers tasks; `choose` gives answer and detail for a class."""
    desk, seq, num = server.service.desk, hire(server, worker_id), 0
    for number in range(tasks):
        task = desk.fetch(seq).result().task
        if task is None:
            break
        answers = []
        for slot, item in enumerate(task.seqs):
            said, detail = choose(server.service.book.question(item).class_id or 0)
            lasts = True if said == "yes" else None
            answers.append(Answer(slot=slot, answer=said, lasts_whole_clip=lasts, detail=detail, spent_ms=3000))
        desk.submit(seq, key=f"{worker_id}-{number:06d}", task_id=task.task_id, answers=answers).result()
        num += len(answers)
    return num


def busy(server: RunningServer) -> int:
    """Answers given: gardening is accepted, waving is divided, what is hostile is rejected, with suggestions."""
    num = 0
    for worker, waving in (("ann", "yes"), ("bob", "no"), ("cat", "yes")):
        said = {1: ("yes", None), 2: (waving, None), 3: ("no", {"suggestion": f"trimming {HOSTILE}"})}
        num += answer(server, worker, said.__getitem__)
    return num


def row_of(server: RunningServer, class_id: int) -> Any:
    """The class as the database has it."""
    with server.store.reading() as db:
        return db.execute(sa.select(classes).where(classes.c.class_id == class_id)).one()


def press_until(page: sync_api.Page, key: str, target: sync_api.Locator) -> None:
    """Press the key until the target has the focus, as somebody without a mouse would."""
    for _ in range(60):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press(key)
    pytest.fail(f"{key} never led to it")


def test_the_overview_tells_what_the_tables_hold(open_page: Open, server: RunningServer) -> None:
    num = busy(server)
    page = open_page()
    with server.store.reading() as db:
        num_decided = db.execute(sa.select(sa.func.count()).where(tallies.c.state.in_((2, 3)))).scalar_one()
    expect(tile(page, "Decided")).to_contain_text(f"{num_decided} of {NUM_CLIPS} questions")
    expect(tile(page, "Answers")).to_contain_text(f"Answers{num}")
    expect(page.locator(".attention")).to_contain_text(HOSTILE)
    page.locator("summary", has_text="As a table").first.click()
    expect(page.locator(".as-table").first).to_contain_text(f"{num} answers so far")
    assert page.url.endswith("/owner#overview"), "the token stays in the address"
    answer(server, "dan", lambda _: ("yes", None), tasks=1)
    expect(tile(page, "Answers")).not_to_contain_text(f"Answers{num}")
    expect(page.locator(".as-table").first).to_have_attribute("open", "")


def test_a_class_is_paused_and_resumed_by_keyboard(open_page: Open, server: RunningServer) -> None:
    page = open_page()
    press_until(page, "Tab", page.locator("#tabs a[data-part=classes]"))
    page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Pause gardening")
    press_until(page, "Tab", button)
    page.keyboard.press("Enter")
    expect(page.locator("[data-class='1']")).to_contain_text("paused by the owner")
    assert (row_of(server, 1).state, row_of(server, 1).state_by) == ("paused", "owner")
    again = page.get_by_role("button", name="Resume gardening")
    expect(again).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-class='1']")).to_contain_text("kept on by the owner")
    assert row_of(server, 1).state == "active"
    go(page, "diary")
    expect(page.locator(".diary li").first).to_contain_text("owner resumed the class gardening")


def test_a_class_that_the_gate_paused_is_resumed_with_one_click_and_the_click_undone(
    open_page: Open, server: RunningServer
) -> None:
    busy(server)
    assert (row_of(server, 3).state, row_of(server, 3).state_by) == ("paused", "gate")
    page = open_page()
    expect(page.locator("#tabs [data-part=classes] .bubble")).to_be_visible()
    page.locator(".attention li", has_text="window.pwned").get_by_role("button").click()
    expect(page.locator("#toast")).to_contain_text(f"{HOSTILE} is asked about again.")
    assert row_of(server, 3).state == "active"
    page.click("#toast .undo")
    expect(page.locator("#toast")).to_contain_text("is as it was")
    assert row_of(server, 3).state == "paused"


def test_a_threshold_is_set_for_one_class_and_for_all(open_page: Open, server: RunningServer) -> None:
    busy(server)
    page = open_page("classes")
    page.get_by_role("button", name="Change").click()
    page.fill("#share", "120")
    page.keyboard.press("Enter")
    expect(page.locator("dialog .problem")).to_have_text("Give a number from 0 to 100.")
    page.fill("#share", "0")
    page.keyboard.press("Enter")
    expect(page.locator(".part-classes")).to_contain_text("No class pauses by itself.")
    assert row_of(server, 3).state == "active"
    page.get_by_role("button", name="More about gardening").click()
    page.keyboard.press("Enter")
    page.fill("#share", "100")
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("The threshold of gardening is set.")
    assert row_of(server, 1).threshold_frac == 1


def test_a_banned_worker_s_answers_are_asked_again_and_the_ban_undone(open_page: Open, server: RunningServer) -> None:
    busy(server)
    before = counts(server)
    num = server.service.book.by_name["cat"].num_votes
    page = open_page("workers")
    more = page.get_by_role("button", name="What to do about cat")
    more.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Pause")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    dialog = page.locator("dialog")
    expect(dialog).to_contain_text(f"Their {num} answers are set aside")
    page.keyboard.type("answers without looking <img src=x onerror=window.pwned=1>")
    page.keyboard.press("Enter")
    row = page.locator("tr[data-worker=cat]")
    expect(row).to_contain_text("barred by the owner")
    assert sum(counts(server)) == sum(before) - num
    assert server.service.desk.fetch(hire(server, "cat")).result().status == "barred"
    with server.store.reading() as db:
        reopened = db.execute(sa.select(sa.func.count()).where(tallies.c.state == 1)).scalar_one()
    assert reopened == NUM_CLIPS, "two answers decide nothing"
    page.click("#toast .undo")
    expect(row).to_contain_text("active")
    assert counts(server) == before


def counts(server: RunningServer) -> list[int]:
    """Standing answers of each item."""
    with server.store.reading() as db:
        total = tallies.c.num_yes + tallies.c.num_no + tallies.c.num_unsure + tallies.c.num_broken
        return list(db.execute(sa.select(total).order_by(tallies.c.seq)).scalars())


def test_workers_are_sorted_and_found(open_page: Open, server: RunningServer) -> None:
    answer(server, "ann", lambda _: ("yes", None), tasks=9)
    answer(server, "bob", lambda _: ("no", None), tasks=1)
    page = open_page("workers")
    names = page.locator("tbody th b")
    expect(names.first).to_have_text("ann")
    page.get_by_role("button", name="Answers").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Answers")
    expect(names.last).to_have_text("ann")
    page.fill("input[type=search]", "bo")
    expect(names).to_have_text(["bob"])


def test_an_invite_is_made_used_and_withdrawn(open_page: Open, server: RunningServer) -> None:
    page = open_page("invites")
    page.fill("#note", HOSTILE)
    page.fill("#uses", "2")
    page.get_by_role("button", name="Make the link").click()
    link = page.input_value("#link")
    assert re.fullmatch(rf"{re.escape(server.url)}/join#[\w-]{{20,}}", link)
    joined = httpx.post(f"{server.url}/api/join", json={"invite": link.split("#", 1)[1], "worker_id": "newcomer"})
    assert joined.status_code == 200
    page.keyboard.press("Escape")
    line = page.locator(".invite", has_text=HOSTILE)
    expect(line).to_contain_text("1 of 2 came")
    line.get_by_role("button").click()
    page.get_by_role("button", name="Withdraw", exact=True).click()
    expect(line).to_contain_text("withdrawn")
    refused = httpx.post(f"{server.url}/api/join", json={"invite": link.split("#", 1)[1], "worker_id": "another"})
    assert refused.status_code == 403


def test_disputed_clips_play_muted_and_can_be_stopped(open_page: Open, server: RunningServer) -> None:
    answer(server, "ann", lambda _: ("yes", None))
    answer(server, "bob", lambda _: ("no", None))
    page = open_page("disputed")
    video = page.locator(".clip video").first
    expect(page.locator(".clip")).to_have_count(24)
    expect(page.locator(".clip").first).to_contain_text("1 yes · 1 no")
    until(page, "document.querySelector('.clip video').currentTime > 0.1")
    assert video.evaluate("video => video.muted && video.loop")
    video.focus()
    page.keyboard.press(" ")
    assert video.evaluate("video => video.paused")
    page.select_option("select", label="waving")
    expect(page.locator(".clip")).to_have_count(10)
    expect(page.locator(".clip b").first).to_have_text("waving")


def test_a_suggestion_becomes_a_class_whose_clips_are_asked(open_page: Open, server: RunningServer) -> None:
    busy(server)
    page = open_page("suggestions")
    expect(page.locator(".counts li")).to_contain_text(f"trimming {HOSTILE}".lower())
    page.get_by_role("button", name="Make a class").click()
    assert page.input_value("#clips") == "suggested"
    page.fill("#names", f"{HOSTILE}\ntrimming trees\ntrimming {HOSTILE}")
    page.get_by_role("button", name="Split the class", exact=True).click()
    expect(page.locator("#toast")).to_contain_text("trimming trees")
    go(page, "classes")
    new = page.locator("li.class-row", has_text="trimming trees")
    expect(new).to_contain_text("10 open")
    expect(page.locator("[data-class='3']")).not_to_contain_text("dropped")


def test_what_is_paid_is_set_and_counted(open_page: Open, server: RunningServer) -> None:
    answer(server, "ann", lambda _: ("yes", None), tasks=1)
    page = open_page("pay")
    expect(page.locator(".part-pay")).to_contain_text("Nobody has said yet what is paid for.")
    page.get_by_role("button", name="What is paid…").click()
    page.fill("#amount", "0.25")
    page.keyboard.press("Enter")
    expect(page.locator("table.pay")).to_contain_text("$5.00")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as csv").click()
    assert "ann" in Path(saved.value.path()).read_text()
    go(page, "overview")
    expect(tile(page, "Cost")).to_contain_text("$5.00")


def test_asking_again_costs_little_when_nothing_changed_and_stops_when_nobody_looks(
    open_page: Open, server: RunningServer
) -> None:
    page = open_page()
    seen: list[int] = []
    page.on("response", lambda got: seen.append(got.status) if got.url.endswith("/api/owner/board") else None)
    page.wait_for_timeout(9_500)
    assert len(seen) >= 2
    assert set(seen) == {304}
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {get: () => true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_timeout(500)
    seen.clear()
    page.wait_for_timeout(5_000)
    assert seen == []


def test_a_reviewer_reads_and_has_no_buttons(open_page: Open, server: RunningServer) -> None:
    busy(server)
    token = server.token_of("rita", role="reviewer")
    page = open_page("classes", link=f"{server.url}/owner#token={token}")
    expect(page.locator(".class-row")).to_have_count(3)
    for part in TABS:
        go(page, part)
        page.wait_for_timeout(300)
        buttons = page.locator("main button:visible").all_inner_texts()
        allowed = ("Look again", "Show more", "Older", "Worker", "State", "Answers", "Gold", "Agrees", "Median", "Last")
        assert [text for text in buttons if not text.startswith(allowed)] == [], part


def test_who_has_no_good_token_is_asked_for_one(open_page: Open, server: RunningServer) -> None:
    page = open_page(link=f"{server.url}/owner#token={'x' * 43}")
    expect(page.locator(".problem")).to_contain_text("token")
    worker = open_page(link=f"{server.url}/owner#token={server.token_of('ann')}")
    expect(worker.locator(".problem")).to_contain_text("The dashboard opens for owners and reviewers.")
    worker.fill("#token", server.owner_link or "")
    worker.keyboard.press("Enter")
    expect(worker.locator("#owner-name")).to_have_text("owner")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_part_fits_a_phone_and_reads_well(open_page: Open, server: RunningServer, theme: str) -> None:
    busy(server)
    page = open_page(width=360, theme=theme)
    for part in TABS:
        go(page, part)
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, part
        assert json.loads(page.evaluate(FAINT)) == [], part


FAINT = """JSON.stringify((() => {
  const numbers = (colour) => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, place) => sum + v * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const rgb = numbers(getComputedStyle(at).backgroundColor);
      if (getComputedStyle(at).backgroundColor !== "rgba(0, 0, 0, 0)" && rgb[3] === 255) return rgb;
    }
    return numbers(getComputedStyle(document.body).backgroundColor);
  };
  const faint = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    if (!text || !element.checkVisibility() || element.closest("svg, .unseen, .skip, noscript, select")) continue;
    const [a, b] = [light(numbers(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(`${text.slice(0, 30)}: ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  }
  return faint;
})())"""
"""Text whose contrast with its ground is below 4.5. Source: WCAG 2.2, success criterion 1.4.3."""


def until(page: sync_api.Page, expression: str) -> None:
    """Wait for it: Playwright's own waiting needs eval, which the page's security policy forbids."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"it never came true: {expression}")


def test_the_diary_is_the_database_s(open_page: Open, server: RunningServer) -> None:
    busy(server)
    page = open_page("diary")
    with server.store.reading() as db:
        num = db.execute(sa.select(sa.func.count()).select_from(events)).scalar_one()
    expect(page.locator(".diary li")).to_have_count(num)
    expect(page.locator(".diary")).to_contain_text(f"The gate paused the class {HOSTILE}")
