"""The label page's shell in a real Chromium, against a stand-in whose troubles can be ordered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
        page.wait_for_timeout(160)
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


def test_a_token_in_the_address_is_taken_over_and_taken_out(
    page: sync_api.Page, service: tuple[str, FakeLabel]
) -> None:
    sign_in(page, service)
    wait_for(page, "message")
    assert page.evaluate("[location.hash, document.cookie]") == ["", ""]
    assert page.inner_text("#worker") == "ada"
    page.click("#worker")
    page.click("#sign-out")
    wait_for(page, "start")
    assert page.evaluate("localStorage.getItem('gesta.session')") is None
    page.reload()
    wait_for(page, "start")
    press(page, "Enter")
    assert "opens with an invitation" in page.inner_text("#start-problem")
    page.fill("#start-code", f"{service[0]}/join#no-such")
    page.fill("#start-name", "bob")
    press(page, "Enter")
    until(page, "document.getElementById('start-problem').textContent.includes('no longer valid')")


def test_an_invitation_where_somebody_is_signed_in_asks_which(
    page: sync_api.Page, service: tuple[str, FakeLabel]
) -> None:
    url, fake = service
    sign_in(page, service)
    wait_for(page, "message")
    page.goto(f"{url}/join#come-in")
    until(page, "document.getElementById('message-title').textContent === 'You are signed in as ada'")
    press(page, "Enter")
    until(page, "document.getElementById('message-title').textContent === 'All done'")
    assert page.evaluate("location.pathname + location.hash") == "/"
    page.goto(f"{url}/join#come-in")
    page.click("#message-other")
    wait_for(page, "start")
    page.fill("#start-name", "bob")
    press(page, "Enter")
    until(page, "document.getElementById('worker').textContent === 'bob'")
    assert set(fake.tokens.values()) == {"ada", "bob"}


def test_the_instructions_come_once_and_again_on_a_question_mark(
    page: sync_api.Page, service: tuple[str, FakeLabel]
) -> None:
    _, fake = service
    fake.add_task("clip", ["waving"])
    sign_in(page, service, has_read=False)
    wait_for(page, "guide")
    assert page.evaluate("document.activeElement.textContent") == "Is the action in the clip?"
    assert page.inner_text("#guide-next") == "Next"
    until(page, "document.querySelector('#guide-body img').naturalWidth > 0")
    press(page, "Enter")
    assert page.inner_text("#guide-next") == "I understand; start"
    page.click("#guide-back")
    page.click("#guide-next")
    page.click("#guide-next")
    wait_for(page, "ask")
    press(page, "?")
    assert page.inner_text("#help-guide h1 >> nth=1") == "Once more, in short"
    press(page, "n")
    assert question(page).endswith("waving?"), "a key answered behind the help"
    press(page, "Escape")
    assert not page.is_visible("#help")
    until(page, "!document.querySelector('video').paused")
    page.wait_for_timeout(600)
    assert fake.prefs["ada"]["guides"] == {"clip": 1}
    page.reload()
    wait_for(page, "ask")


def test_what_is_it_instead_is_asked_where_the_run_wants_it(
    page: sync_api.Page, service: tuple[str, FakeLabel]
) -> None:
    _, fake = service
    fake.add_task("clip", ["waving", "bowing"], asks_suggestion=True)
    fake.actions = ["watering plants", "peeling apples", "eating apples"]
    sign_in(page, service)
    wait_for(page, "ask")
    press(page, "n")
    page.wait_for_selector("#instead")
    assert "What is it instead?" in question(page)
    page.keyboard.type("appl")
    page.wait_for_selector("#instead-list li")
    assert page.locator("#instead-list li").all_inner_texts() == ["eating apples", "peeling apples"]
    press(page, "ArrowDown", "ArrowDown", "Enter", "Enter")
    assert page.inner_text("#count") == "2 of 2"
    press(page, "n")
    page.wait_for_selector("#instead")
    press(page, "Enter")
    wait_for(page, "review")
    press(page, "Enter")
    wait_for(page, "message")
    assert fake.given() == [("no", None, {"suggestion": "peeling apples"}), ("no", None, None)]


def test_a_suggestion_by_keyboard_survives_a_reload(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    fake.add_task("suggestion", ["waving", "bowing", "juggling"])
    sign_in(page, service)
    wait_for(page, "ask")
    assert page.evaluate("document.activeElement.id") == "instead"
    press(page, "Enter")
    assert "a few words" in page.inner_text("#instead-problem")
    page.keyboard.type("y zu  ")
    page.reload()
    page.wait_for_selector("#instead")
    until(page, "document.activeElement.id === 'instead'")
    page.keyboard.type("n")
    press(page, "Enter", "Alt+u")
    # Out of the field the keys belong to the clip.
    press(page, "Escape", " ")
    until(page, "document.querySelector('video').paused")
    press(page, "w")
    page.keyboard.type("drinking")
    press(page, "Enter")
    wait_for(page, "review")
    press(page, "Enter")
    wait_for(page, "message")
    texts = [detail for _, _, detail in fake.given()]
    assert texts == [{"text": "y zu n"}, None, {"text": "drinking"}]


def test_the_person_asked_about_is_followed(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    fake.add_task("box", ["stand", "talk to"])
    sign_in(page, service)
    wait_for(page, "ask")
    assert question(page) == "Is the person in the box doing this: stand?"
    until(page, "document.querySelector('video').currentTime > 0.3")
    press(page, " ")
    page.wait_for_timeout(100)
    left, bottom, time_s, mark = page.evaluate(
        """(() => {
          const box = document.querySelector(".highlight").getBoundingClientRect();
          const frame = document.querySelector(".frame").getBoundingClientRect();
          const mark = document.querySelector(".key-mark").getBoundingClientRect();
          const track = document.querySelector(".track").getBoundingClientRect();
          return [(box.left - frame.left) / frame.width, (box.bottom - frame.top) / frame.height,
            document.querySelector("video").currentTime, (mark.left + mark.width / 2 - track.left) / track.width];
        })()"""
    )
    # The person's left edge is at 0.1 + t / 4, up to the last box at 1.8 s.
    assert left == pytest.approx(0.1 + min(time_s, 1.8) / 4, abs=0.01)
    assert bottom == pytest.approx(0.9, abs=0.01)
    assert mark == pytest.approx(0.5, abs=0.01)
    press(page, "h")
    assert not page.is_visible(".highlight")
    press(page, "y", "b")
    wait_for(page, "review")
    press(page, "Enter")
    wait_for(page, "message")
    assert fake.given() == [("yes", None, None), ("broken", None, None)]


def test_the_player_obeys_the_keys(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    fake.add_task("clip", ["waving", "bowing"])
    sign_in(page, service)
    wait_for(page, "ask")
    until(page, "document.querySelector('video').currentTime > 0.2")
    video = "document.querySelector('video')"
    page.evaluate(f"{video}.muted = false")
    until(page, f"{video}.muted")
    assert page.evaluate(f"[{video}.muted, {video}.loop, {video}.videoWidth, {video}.error]") == [True, True, 160, None]
    page.keyboard.press(" ")
    until(page, "document.querySelector('#play').ariaLabel === 'Play'")
    frame = int(page.evaluate(f"{video}.currentTime") * 25 + 1e-6)
    page.keyboard.press(".")
    assert page.evaluate(f"{video}.currentTime") == pytest.approx((min(frame + 1, 49) + 0.5) / 25, abs=1e-3)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press(",")
    assert page.evaluate(f"{video}.currentTime") == pytest.approx((min(frame + 1, 49) - 1.5) / 25, abs=1e-3)
    page.keyboard.press("r")
    until(page, f"!{video}.paused")
    assert page.evaluate(f"{video}.currentTime") < 1
    for _ in range(9):
        page.keyboard.press("-")
    assert page.evaluate(f"{video}.playbackRate") == 0.25
    for _ in range(9):
        page.keyboard.press("+")
    assert page.evaluate(f"{video}.playbackRate") == 3
    page.keyboard.press("-")
    press(page, "u")
    until(page, f"{video}.playbackRate === 2.5")
    assert page.inner_text("#speed") == "2.5×"
    page.wait_for_timeout(500)
    assert fake.prefs["ada"]["speed"] == 2.5


def test_the_next_clip_is_ready_before_it_is_shown(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    fake.add_task("clip", [f"action {k}" for k in range(6)])
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    sign_in(page, service)
    wait_for(page, "ask")
    until(page, "document.querySelector('video').currentTime > 0")
    for number in range(5):
        page.wait_for_timeout(200)
        shown = page.evaluate(
            """(async () => {
              const before = document.querySelector("video").src;
              document.dispatchEvent(new KeyboardEvent("keydown", { key: "n", bubbles: true }));
              // Only what is ready to run is waited for: no timer, no frame, no network.
              const now = () => document.querySelector("video");
              for (let i = 0; i < 50 && (!now() || now().src === before); i++) await null;
              const video = now();
              return [video.readyState, new URL(video.src).pathname];
            })()"""
        )
        assert shown[1] == f"/media/t0/{number + 1}.mp4"
        assert shown[0] >= 3, "the clip was shown before it could play"
    assert len([url for url in asked if "/media/t0/1.mp4" in url]) == 1


def test_a_reload_in_the_middle_loses_nothing(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    fake.add_task("clip", ["waving", "juggling", "bowing"])
    sign_in(page, service)
    wait_for(page, "ask")
    press(page, "u", "y")
    assert page.evaluate(LEAVE)
    page.reload()
    wait_for(page, "ask")
    assert question(page) == "Does the action “juggling” last for the whole clip?"
    press(page, "z")
    assert question(page).endswith("juggling?")
    press(page, "y", "y", "n")
    wait_for(page, "review")
    page.reload()
    wait_for(page, "review")
    press(page, "Enter")
    wait_for(page, "message")
    assert fake.given() == [("unsure", None, None), ("yes", True, None), ("no", None, None)]
    assert all(one["spent_ms"] >= 100 for one in fake.answers.values())
    assert page.evaluate("Object.keys(localStorage).filter((k) => /draft|outbox/.test(k))") == []
    assert not page.evaluate(LEAVE), "the guard stays when everything is sent"


LEAVE = "!window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"


def test_a_lost_connection_sends_each_answer_once(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    fake.add_task("clip", ["waving", "juggling", "bowing"])
    sign_in(page, service)
    wait_for(page, "ask")
    until(page, "document.querySelector('video').readyState === 4")
    page.wait_for_timeout(300)
    page.context.set_offline(True)
    page.wait_for_selector("#banner:not([hidden])")
    press(page, "n", "n", "n")
    wait_for(page, "review")
    press(page, "Enter")
    wait_for(page, "message")
    assert page.inner_text("#message-title") == "No connection"
    assert "3 answers kept on this device" in page.inner_text("#message-text")
    assert page.evaluate(LEAVE)
    # The first reply after the return is lost on its way: the same key goes out again.
    fake.lost_replies.append("/api/answers")
    page.context.set_offline(False)
    until(page, "document.getElementById('message-title').textContent === 'All done'")
    sent = [body for _, path, body in fake.log if path == "/api/answers"]
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert [one["status"] for one in fake.submissions[sent[0]["idempotency_key"]]["results"]] == ["accepted"] * 3
    assert not page.is_visible("#banner")


def test_a_clip_that_could_not_be_loaded_offline_plays_on_return(
    page: sync_api.Page, service: tuple[str, FakeLabel]
) -> None:
    service[1].add_task("clip", [f"action {k}" for k in range(8)])
    sign_in(page, service)
    wait_for(page, "ask")
    until(page, "document.querySelector('video').readyState === 4")
    page.wait_for_timeout(300)
    page.context.set_offline(True)
    press(page, "n", "n", "n", "n", "n")
    page.wait_for_selector(".stage-note:not([hidden])")
    assert page.inner_text("#count") == "6 of 8"
    page.context.set_offline(False)
    until(page, "document.querySelector('video').currentTime > 0")
    assert not page.is_visible(".stage-note")


def test_answers_of_a_task_that_ran_out_are_sent_all_the_same(
    page: sync_api.Page, service: tuple[str, FakeLabel]
) -> None:
    _, fake = service
    fake.add_task("clip", ["waving", "juggling"])
    sign_in(page, service)
    wait_for(page, "ask")
    press(page, "n")
    # Overnight the task went to somebody else, and nothing is free for ada.
    ended = fake.tasks.pop()
    page.reload()
    wait_for(page, "message")
    assert [answer for answer, _, _ in fake.given()] == ["no"]
    fake.tasks.append({**ended, "expires_in_s": 45.8})
    # Shortly before the end of its time, what there is of a task is sent.
    page.reload()
    wait_for(page, "ask")
    assert page.inner_text("#count") == "2 of 2"
    fake.tasks[0]["items"].append({**ended["items"][0], "slot": 2, "action": "bowing"})
    page.reload()
    wait_for(page, "ask")
    press(page, "u")
    for _ in range(60):
        if len(fake.answers) == 2:
            break
        page.wait_for_timeout(50)
    assert [answer for answer, _, _ in fake.given()] == ["no", "unsure"]
    assert page.inner_text("#count") == "3 of 3"
    press(page, "z")
    page.wait_for_selector("#editing:not([hidden])")
    assert "It was: unsure" in page.inner_text("#editing-text")
    press(page, "Escape", "b")
    wait_for(page, "review")
    press(page, "Enter")
    wait_for(page, "message")
    assert [answer for answer, _, _ in fake.given()] == ["no", "unsure", "broken"]


def test_signed_out_in_the_middle_keeps_every_answer(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    url, fake = service
    fake.add_task("clip", ["waving", "juggling"])
    sign_in(page, service)
    wait_for(page, "ask")
    press(page, "u", "y", "y")
    wait_for(page, "review")
    fake.tokens.clear()
    press(page, "Enter")
    wait_for(page, "again")
    assert "2 answers kept on this device" in page.inner_text("#again-text")
    page.reload()
    wait_for(page, "again")
    fake.tokens["new-token"] = "ada"
    press(page, "Enter")
    assert "no sign-in link" in page.inner_text("#again-problem")
    page.fill("#again-link", f"{url}/#token=new-token")
    press(page, "Enter")
    wait_for(page, "message")
    assert page.inner_text("#message-title") == "All done"
    assert fake.given() == [("unsure", None, None), ("yes", True, None)]


def test_a_new_link_in_the_same_tab_goes_on_where_it_was(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    url, fake = service
    fake.add_task("clip", ["waving", "juggling"])
    sign_in(page, service)
    wait_for(page, "ask")
    press(page, "n")
    fake.tokens.clear()
    fake.tokens["new-token"] = "ada"
    press(page, "z", "z")
    wait_for(page, "again")
    page.goto(f"{url}/#token=new-token")
    wait_for(page, "ask")
    assert page.inner_text("#count") == "1 of 2"


def test_somebody_else_signs_in_and_nothing_is_mixed(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    url, fake = service
    task = fake.add_task("clip", ["waving", "juggling"])
    sign_in(page, service)
    wait_for(page, "ask")
    press(page, "n")
    page.click("#worker")
    assert "1 answer kept on this device" in page.inner_text("#who-text")
    page.click("#sign-out")
    wait_for(page, "start")
    fake.tokens["bob-token"] = "bob"
    fake.prefs["bob"] = READ
    fake.tasks[0] = {**task, "task_id": "t9"}
    page.goto(f"{url}/#token=bob-token")
    wait_for(page, "ask")
    assert page.inner_text("#count") == "1 of 2", "bob was given ada's answers"
    fake.tasks[0] = task
    page.goto(f"{url}/#token=ada-token")
    until(page, "document.getElementById('count').textContent === '2 of 2'")
    assert fake.answers == {}


def test_a_busy_and_a_failing_service_are_waited_for(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    fake.add_task("clip", ["waving"])
    fake.fail_next("/api/me", 503)
    fake.fail_next("/api/task", 429, **{"Retry-After": "70"})
    sign_in(page, service)
    wait_for(page, "message")
    assert page.inner_text("#message-title") == "No connection"
    until(page, "document.getElementById('message-title').textContent === 'Many people at once'")
    assert page.inner_text("#message-hint") in ("Looking again in 70 s", "Looking again in 69 s")
    press(page, "Enter")
    wait_for(page, "ask")
    fake.fail_next("/api/answers", 429, **{"Retry-After": "0"})
    fake.fail_next("/api/answers", 503)
    press(page, "n")
    until(page, "document.getElementById('message-title').textContent === 'All done'")
    sent = [body for _, path, body in fake.log if path == "/api/answers"]
    assert len(sent) == 1
    assert fake.given() == [("no", None, None)]


def test_a_second_tab_says_so_and_may_take_over(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    url, fake = service
    fake.add_task("clip", ["waving", "juggling"])
    sign_in(page, service)
    wait_for(page, "ask")
    press(page, "u")
    second = page.context.new_page()
    second.goto(url)
    wait_for(second, "message")
    assert second.inner_text("#message-title") == "Open in another tab"
    second.click("#message-again")
    wait_for(second, "ask")
    assert second.inner_text("#count") == "2 of 2", "the first tab's answers are not there"
    wait_for(page, "message")
    assert page.inner_text("#message-title") == "Open in another tab"
    press(second, "n")
    wait_for(second, "review")
    press(second, "Enter")
    wait_for(second, "message")
    assert [answer for answer, _, _ in fake.given()] == ["unsure", "no"]


def test_low_accuracy_is_told_kindly_and_shown_with_the_progress(
    page: sync_api.Page, service: tuple[str, FakeLabel]
) -> None:
    _, fake = service
    for _ in range(3):
        fake.add_task("clip", ["waving", "juggling"])
    fake.gold = {"accuracy": 0.75, "is_low": False}
    fake.gold_after = [{"accuracy": 0.4, "is_low": True}, {"accuracy": 0.6, "is_low": False}]
    sign_in(page, service)
    wait_for(page, "ask")
    assert page.inner_text("#accuracy") == "Accuracy 75 %"
    press(page, "n", "n")
    wait_for(page, "review")
    press(page, "Enter")
    wait_for(page, "low")
    assert "40 %" in page.inner_text("#low-text")
    assert page.get_attribute("#accuracy", "class") == "chip is-low"
    words = page.inner_text("#screen-low").lower()
    assert "waving" not in words
    assert "gold" not in words
    page.reload()
    wait_for(page, "ask")
    press(page, "n", "n")
    wait_for(page, "review")
    press(page, "Enter")
    wait_for(page, "ask")
    assert page.inner_text("#accuracy") == "Accuracy 60 %"


def test_keys_can_be_changed_and_follow_the_worker(
    page: sync_api.Page, service: tuple[str, FakeLabel], browser: sync_api.Browser
) -> None:
    url, fake = service
    fake.add_task("clip", ["waving", "juggling", "bowing"])
    sign_in(page, service)
    wait_for(page, "ask")
    assert page.inner_text("#answers button:nth-child(1) kbd") == "Y"
    press(page, "?")
    page.click("#tab-keys")
    page.click("[data-change=yes]")
    page.keyboard.press("n")
    assert "N is already “No”" in page.inner_text("#keys-say")
    page.keyboard.press("Tab")
    assert "kept for the page" in page.inner_text("#keys-say")
    page.keyboard.press("j")
    assert page.inner_text("#keys-say") == "Yes is now J."
    page.keyboard.press("Escape")
    assert page.inner_text("#answers button:nth-child(1) kbd") == "J"
    press(page, "y")
    assert page.inner_text("#count") == "1 of 3"
    assert question(page).endswith("waving?")
    press(page, "j", "j")
    assert page.inner_text("#count") == "2 of 3"
    page.wait_for_timeout(500)
    assert fake.prefs["ada"]["keys"] == {"clip": {"yes": "j"}}
    elsewhere = browser.new_context()
    other = elsewhere.new_page()
    other.goto(f"{url}/#token=ada-token")
    wait_for(other, "ask")
    assert other.inner_text("#answers button:nth-child(1) kbd") == "J"
    press(other, "?")
    other.click("#tab-keys")
    other.click("#keys-reset")
    press(other, "Escape")
    assert other.inner_text("#answers button:nth-child(1) kbd") == "Y"
    elsewhere.close()


def test_undo_goes_back_inside_a_task_and_beyond_it(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    fake.add_task("clip", ["waving", "juggling"])
    fake.add_task("clip", ["bowing", "jumping"])
    sign_in(page, service)
    wait_for(page, "ask")
    press(page, "n", "n", "z", "u")
    wait_for(page, "review")
    press(page, "Enter")
    wait_for(page, "ask")
    press(page, "n", "z", "z")
    page.wait_for_selector("#editing:not([hidden])")
    assert "It was: unsure" in page.inner_text("#editing-text")
    press(page, "z")
    until(page, "document.getElementById('editing-text').textContent.includes('2 of 2')")
    assert question(page).endswith("waving?")
    # Somebody changes it meanwhile: what it is now is shown before it is changed.
    fake.answers["t0", 0] |= {"answer": "broken", "etag": "7"}
    press(page, "y", "y")
    until(page, "document.getElementById('editing-text').textContent.includes('changed meanwhile')")
    assert "It was: does not play" in page.inner_text("#editing-text")
    press(page, "y", "n")
    until(page, "document.getElementById('editing').hidden")
    assert question(page).endswith("bowing?")
    assert fake.given() == [("yes", False, None), ("unsure", None, None)]
    press(page, "z")
    page.wait_for_selector("#editing:not([hidden])")
    press(page, "Escape")
    assert question(page).endswith("bowing?")
    assert fake.answers["t0", 1]["etag"] == "0"


def test_each_way_of_having_no_task_is_said(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    titles = {"wait": "Nothing free just now", "done": "All done", "paused": "A short break", "barred": "No more tasks"}
    sign_in(page, service)
    for status, title in titles.items():
        fake.at_end = status
        page.reload()
        wait_for(page, "message")
        assert page.inner_text("#message-title") == title
        assert page.evaluate("document.activeElement.id") == "message-title"
        assert page.is_visible("#message-undo") == (status != "barred")
    # Told the same again, the page leaves the focus where it is.
    fake.at_end = "wait"
    page.reload()
    wait_for(page, "message")
    page.focus("#message-again")
    asked = "performance.getEntriesByName(location.origin + '/api/task').length"
    before = page.evaluate(asked)
    page.keyboard.press("Enter")
    until(page, f"{asked} > {before}")
    page.wait_for_timeout(100)
    assert page.evaluate("document.activeElement.id") == "message-again"


def test_a_clip_that_does_not_load_can_still_be_answered(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    fake.add_task("clip", ["waving"], media_url="/media/none.mp4")
    for _ in range(9):
        fake.fail_next("/media/none.mp4", 403)
    sign_in(page, service)
    wait_for(page, "ask")
    page.wait_for_selector(".stage-note:not([hidden])")
    assert "does not load" in page.inner_text(".stage-note")
    press(page, "b")
    until(page, "document.getElementById('message-title').textContent === 'All done'")
    assert fake.given() == [("broken", None, None)]


def test_a_name_with_markup_is_only_text(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    name = "<img src=x onerror=\"document.title='owned'\">"
    fake.add_task("clip", [name, name], asks_suggestion=True)
    fake.actions = [f"{name} too"]
    sign_in(page, service)
    wait_for(page, "ask")
    assert name in question(page)
    press(page, "n")
    page.wait_for_selector("#instead")
    page.keyboard.type("<img")
    page.wait_for_selector("#instead-list li")
    assert page.inner_text("#instead-list li") == f"{name} too"
    press(page, "Enter")
    assert page.inner_text("#count") == "2 of 2"
    press(page, "y")
    assert name in question(page)
    assert page.query_selector("#kind img") is None
    assert "owned" not in page.title().split(" · ")[0]


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


TONES = ("yes", "no", "unsure", "broken")


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
    moving = "[...document.querySelectorAll('*')].filter((e) => e.checkVisibility() && e.getAnimations().length).length"
    press(page, "n")
    assert page.evaluate(moving) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate("getComputedStyle(document.querySelector('.answer')).transitionDuration") != "0s"


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


def test_without_storage_the_page_still_works(page: sync_api.Page, service: tuple[str, FakeLabel]) -> None:
    _, fake = service
    fake.add_task("clip", ["waving"])
    page.add_init_script(
        "for (const name of ['getItem', 'setItem', 'removeItem'])"
        " Storage.prototype[name] = () => { throw new DOMException('refused', 'SecurityError'); };"
    )
    sign_in(page, service)
    wait_for(page, "ask")
    press(page, "n")
    until(page, "document.getElementById('message-title').textContent === 'All done'")
    assert fake.given() == [("no", None, None)]


def test_a_kind_that_breaks_says_so(page: sync_api.Page, service: tuple[str, FakeLabel], browser: Any) -> None:
    service[1].add_task("clip", ["waving"])
    own = browser.new_context()
    broken = own.new_page()
    broken.route("**/static/kinds/clip.js", lambda route: route.fulfill(
        body="export function mount() { throw new Error('oh'); }", content_type="text/javascript"))  # fmt: skip
    sign_in(broken, service)
    broken.wait_for_selector("#banner:not([hidden])")
    assert "Please reload it" in broken.inner_text("#banner")
    own.close()
