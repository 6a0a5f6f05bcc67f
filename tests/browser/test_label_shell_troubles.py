"""The label page in a real Chromium over a stand-in whose troubles can be ordered: no answer is lost."""

from __future__ import annotations

from typing import Any

import pytest
from tests.browser.fake_label import FakeLabel
from tests.browser.page_steps import LEAVE, READ, press, question, sign_in, until, wait_for

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser


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
