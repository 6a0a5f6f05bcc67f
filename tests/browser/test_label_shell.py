"""The label page in a real Chromium over a stand-in: what a worker does on a good day."""

from __future__ import annotations

import pytest
from tests.browser.fake_label import FakeLabel
from tests.browser.page_steps import press, question, sign_in, until, wait_for

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser


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
    replay = "button[data-action=replay]"
    assert page.get_attribute(replay, "aria-label") == "Replay, 1 so far"
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
    assert page.get_attribute(replay, "aria-label") == "Replay", "the next clip was not replayed yet"
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
