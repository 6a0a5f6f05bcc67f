"""The box editor in a real Chromium: the geometry's laws, and boxes by keyboard, mouse and touch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
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

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

WIDTH_PX, HEIGHT_PX = 320, 200
PROPOSALS = [
    {"x1": 0.5, "y1": 0.2, "x2": 0.7, "y2": 0.8, "score": 0.9},
    {"x1": 0.1, "y1": 0.25, "x2": 0.3, "y2": 0.75, "score": 0.8},
    {"x1": 0.8, "y1": 0.1, "x2": 0.9, "y2": 0.3, "score": 0.4},
]


def _jpeg(offset: int) -> bytes:
    picture = np.full((HEIGHT_PX, WIDTH_PX, 3), 60, np.uint8)
    for box in PROPOSALS[:2]:
        left, right = (int(box[side] * WIDTH_PX) + 2 * offset for side in ("x1", "x2"))
        picture[int(box["y1"] * HEIGHT_PX) : int(box["y2"] * HEIGHT_PX), max(left, 0) : right] = (60, 200, 230)
    _, data = cv2.imencode(".jpg", picture)
    return bytes(data.tobytes())


def _question(boxes: list[dict[str, float]]) -> dict[str, Any]:
    frames = [{"offset": offset, "url": f"/frame/{offset}.jpg"} for offset in range(-5, 6)]
    return {"slot": 0, "kind": "frame", "action": None, "fps": 25, "duration_s": 2, "key_time_s": 1, "boxes": boxes,
            "frames": frames}  # fmt: skip


SHAPES = "document.querySelectorAll('.box-shape').length"
DRAWING = "document.querySelector('.box-stage').classList.contains('is-drawing')"
MEDIA = {f"/frame/{offset}.jpg": _jpeg(offset) for offset in range(-5, 6)}


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(ARGS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served_question(_question(PROPOSALS), MEDIA) as address:
        yield address


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    with opened_page(browser, url) as opened:
        until(opened, "document.querySelectorAll('.box-shape').length === 3")
        yield opened


def _names(page: Any) -> list[str]:
    names: list[str] = page.evaluate(
        "[...document.querySelectorAll('[role=option]')].map((e) => e.getAttribute('aria-label'))"
    )
    return names


def _done(page: Any) -> list[dict[str, Any]]:
    page.wait_for_timeout(400)
    page.keyboard.press("Enter")
    (given,) = answers(page)
    assert given["answer"] == "done"
    boxes: list[dict[str, Any]] = given["detail"]["boxes"]
    return boxes


def _corners(box: dict[str, Any]) -> list[float]:
    return [box["x1"] * WIDTH_PX, box["y1"] * HEIGHT_PX, box["x2"] * WIDTH_PX, box["y2"] * HEIGHT_PX]


def _at(page: Any, x_frac: float, y_frac: float) -> tuple[float, float]:
    """Where a point of the picture is on the screen."""
    bounds = page.evaluate("(({x, y, width, height}) => [x, y, width, height])"
                           "(document.querySelector('.box-picture img').getBoundingClientRect())")  # fmt: skip
    return bounds[0] + x_frac * bounds[2], bounds[1] + y_frac * bounds[3]


def _drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*_at(page, *start))
    page.mouse.down()
    finish = _at(page, *end)
    page.mouse.move(*finish, steps=4)
    page.mouse.up()


LAWS = """
async () => {
  const { MIN_PX, HANDLES, between, clamp, fromFractions, hit, inside, move, resize, toFractions, under } =
    await import("/static/kinds/box_editor.js");
  const { placed, zoomedAt } = await import("/static/kinds/box_stage.js");
  let state = 20261121;
  const chance = () => {  // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const any = (low, high) => low + chance() * (high - low);
  const broken = [];
  const claim = (law, isSo, ...what) => isSo || broken.length > 9 || broken.push(`${law}: ${JSON.stringify(what)}`);
  const far = (size) => ({ x: any(-2, 3) * size.width, y: any(-2, 3) * size.height });
  const stands = (box, size) => box.x1 >= 0 && box.y1 >= 0 && box.x2 <= size.width && box.y2 <= size.height &&
    box.x2 - box.x1 >= MIN_PX - 1e-9 && box.y2 - box.y1 >= MIN_PX - 1e-9;
  for (let i = 0; i < 20000; i++) {
    const size = { width: Math.round(any(8, 4000)), height: Math.round(any(8, 4000)) };
    let box = between(far(size), far(size), size);
    claim("two corners make a box", stands(box, size), size, box);
    const [dx, dy] = [any(-1, 1) * size.width * 2, any(-1, 1) * size.height * 2];
    const moved = move(box, dx, dy, size);
    claim("a moved box stands", stands(moved, size), size, box, dx, dy, moved);
    claim("a moved box keeps its size", Math.abs(moved.x2 - moved.x1 - box.x2 + box.x1) < 1e-6 &&
      Math.abs(moved.y2 - moved.y1 - box.y2 + box.y1) < 1e-6, size, box, moved);
    const handle = HANDLES[Math.floor(chance() * 8)];
    const grown = resize(box, handle, dx, dy, size);
    claim("a resized box stands", stands(grown, size), size, box, handle, dx, dy, grown);
    for (const [side, edge] of [["x1", "w"], ["x2", "e"], ["y1", "n"], ["y2", "s"]])
      claim("only the named edges move", handle.includes(edge) || grown[side] === box[side], handle, box, grown);
    for (const step of [[dx, dy], [any(-30, 30), any(-30, 30)], [1, 0], [0, -10]])
      box = resize(box, [...HANDLES, "move"][Math.floor(chance() * 9)], ...step, size);
    claim("many drags leave a box that stands", stands(box, size), size, box);
    claim("a box that stands is left alone", JSON.stringify(inside(box, size)) === JSON.stringify(box), size, box);

    const million = () => Math.floor(chance() * 1000001) / 1e6;
    const shares = { x1: million(), y1: million(), x2: million(), y2: million() };
    const sides = ["x1", "y1", "x2", "y2"];
    const back = toFractions(fromFractions(shares, size), size);
    claim("fractions come back", sides.every((side) => back[side] === shares[side]), size, shares, back);
    const kept = fromFractions(toFractions(box, size), size);
    claim("pixels come back", sides.every((side) => Math.abs(kept[side] - box[side]) < 0.005), size, box);

    const boxes = Array.from({ length: 5 }, (_, id) => ({ id, ...between(far(size), far(size), size) }));
    const point = { x: any(0, size.width), y: any(0, size.height) };
    const ids = under(boxes, point.x, point.y);
    const area = (id) => (boxes[id].x2 - boxes[id].x1) * (boxes[id].y2 - boxes[id].y1);
    claim("the smallest comes first", ids.every((id, n) => n === 0 || area(ids[n - 1]) <= area(id)), ids);
    claim("the smallest is hit", (hit(boxes, point.x, point.y)?.id ?? undefined) === ids[0], ids, point);
    const selected = Math.floor(chance() * 5);
    const one = boxes[selected];
    const corner = hit(boxes, one.x2 + 0.4, one.y2 + 0.4, { selected, slack: 0.5 });
    claim("the chosen box is held by its corner", corner.id === selected && corner.handle === "se", one, corner);
    const middle = hit(boxes, (one.x1 + one.x2) / 2, (one.y1 + one.y2) / 2, { selected, slack: 1e9 });
    const isMoved = middle.id === selected && middle.handle === "move";
    claim("even the smallest box is moved by its middle", isMoved, one, middle);

    const room = { width: any(100, 2000), height: any(100, 2000) };
    let view = placed({ zoom: 1, x: 0, y: 0 }, room, size);
    for (let n = 0; n < 3; n++) {
      const spot = [any(0, room.width), any(0, room.height)];
      view = zoomedAt(view, Math.exp(any(-2, 2)), ...spot, room, size);
    }
    claim("zoom has its ends", view.zoom >= 1 && view.zoom <= 8, view);
    const edge = (offset, whole, length) => length <= whole + 1e-6 ? offset >= -1e-6 && offset + length <= whole + 1e-6
      : offset <= 1e-6 && offset + length >= whole - 1e-6;
    claim("the picture stays in view", edge(view.x, room.width, size.width * view.scale) &&
      edge(view.y, room.height, size.height * view.scale), room, size, view);
  }
  claim("clamp", clamp(5, 0, 3) === 3 && clamp(-5, 0, 3) === 0 && clamp(2, 0, 3) === 2);
  return broken;
}
"""


def test_no_drag_breaks_a_box(page: Any) -> None:
    assert page.evaluate(LAWS) == []


def test_three_proposals_by_keyboard_alone(page: Any) -> None:
    # From left to right: the second proposal is person 1, the first person 2.
    assert _names(page) == ["Person 1 of 3, to check", "Person 2 of 3, to check", "Person 3 of 3, to check"]
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press("Alt+Shift+ArrowUp")
    assert _names(page)[:2] == ["Person 1 of 3, accepted", "Person 2 of 3, adjusted"]
    # The focus went with the chosen box.
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Person 3 of 3, to check"
    page.keyboard.press("x")
    page.keyboard.press("n")
    page.keyboard.press("n")
    assert _names(page) == ["Person 1 of 3, accepted", "Person 2 of 3, adjusted", "Person 3 of 3, drawn"]
    boxes = _done(page)
    assert [box["proposal"] for box in boxes] == [1, 0, None]
    assert {side: boxes[0][side] for side in ("x1", "y1", "x2", "y2")} == {
        side: PROPOSALS[1][side] for side in ("x1", "y1", "x2", "y2")
    }
    assert _corners(boxes[1]) == pytest.approx([161, 40, 226, 170], abs=0.01)
    left, top, right, bottom = _corners(boxes[2])
    assert (left + right, top + bottom) == pytest.approx((WIDTH_PX, HEIGHT_PX), abs=0.01)


def test_what_nobody_looked_at_is_not_sent(page: Any) -> None:
    page.click("#done")
    assert answers(page) == []
    assert "3 boxes are not checked yet" in page.inner_text(".boxes-problem")
    page.keyboard.press("e")
    assert page.inner_text(".boxes-count") == "3 of 3 checked"
    assert page.inner_text(".boxes-problem") == ""
    assert [box["proposal"] for box in _done(page)] == [1, 0, 2]


def test_nobody_is_there_twice(page: Any) -> None:
    page.keyboard.press("o")
    for _ in range(4):
        page.keyboard.press("n")
    assert len(_names(page)) == 2
    page.keyboard.press("Enter")
    assert answers(page) == []
    assert page.inner_text(".boxes-problem") == "Boxes 1 and 2 are the same: delete one of them."
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".boxes-problem") == ""
    assert len(_done(page)) == 2


def test_an_empty_picture_has_nobody(page: Any) -> None:
    page.keyboard.press("o")
    assert "nobody here" in page.inner_text("#done")
    assert _done(page) == []


def test_a_picture_can_be_broken(page: Any) -> None:
    page.keyboard.press("b")
    assert answers(page) == [{"answer": "broken"}]


def test_boxes_by_mouse(page: Any) -> None:
    # The corner of the chosen box goes far outside: the box ends at the picture's edge.
    _drag(page, (0.1, 0.25), (-0.5, -0.5))
    assert _names(page)[0] == "Person 1 of 3, adjusted"
    # The second one is taken by its middle, and cannot be pushed out.
    _drag(page, (0.6, 0.5), (1.4, 0.5))
    page.click(".is-delete")
    page.keyboard.press("a")
    page.click(".is-draw")
    _drag(page, (0.75, 0.9), (0.6, 0.5))
    boxes = _done(page)
    assert [box["proposal"] for box in boxes] == [1, 2, None]
    assert _corners(boxes[0]) == pytest.approx([0, 0, 96, 150], abs=0.5)
    assert _corners(boxes[2]) == pytest.approx([192, 100, 240, 180], abs=0.5)


def test_a_box_that_is_pushed_out_stays_in(page: Any) -> None:
    _drag(page, (0.6, 0.5), (1.4, -0.9))
    page.keyboard.press("e")
    box = next(box for box in _done(page) if box["proposal"] == 0)
    assert _corners(box) == pytest.approx([256, 0, 320, 120], abs=0.01)


def test_zoom_is_about_the_pointer_and_boxes_follow(page: Any) -> None:
    # Wheel events carry whole pixels of the screen.
    x, y = (round(value) for value in _at(page, 0.6, 0.5))
    (left, top), (right, bottom) = _at(page, 0, 0), _at(page, 1, 1)
    spot = ((x - left) / (right - left), (y - top) / (bottom - top))
    page.mouse.move(x, y)
    page.mouse.wheel(0, -800)
    until(page, "document.querySelector('.zoom-text').textContent !== '100 %'")
    assert _at(page, *spot) == pytest.approx((x, y), abs=0.1)
    assert page.evaluate("document.querySelector('.box-picture').classList.contains('is-near')")
    shape = page.evaluate("(() => { const b = document.querySelectorAll('.box-edge')[1].getBoundingClientRect(); "
                          "return [b.x, b.y]; })()")  # fmt: skip
    assert shape == pytest.approx(_at(page, 0.5, 0.2), abs=3)
    for _ in range(20):
        page.keyboard.press("+")
    assert page.inner_text(".zoom-text") == "800 %"
    page.keyboard.press("0")
    assert page.inner_text(".zoom-text") == "100 %"


def test_space_and_drag_move_the_picture_and_no_box(page: Any) -> None:
    for _ in range(4):
        page.keyboard.press("+")
    before, names = _at(page, 0.5, 0.5), _names(page)
    page.keyboard.down(" ")
    _drag(page, (0.6, 0.5), (0.55, 0.52))
    page.keyboard.up(" ")
    after = _at(page, 0.5, 0.5)
    assert after[0] < before[0] - 20
    page.mouse.move(*after)
    page.mouse.down(button="middle")
    page.mouse.move(after[0] + 30, after[1], steps=3)
    page.mouse.up(button="middle")
    assert _at(page, 0.5, 0.5)[0] == pytest.approx(after[0] + 30, abs=0.1)
    assert _names(page) == names
    page.keyboard.press("0")
    _drag(page, (0.6, 0.5), (0.62, 0.5))
    assert _names(page)[1] == "Person 2 of 3, adjusted", "without Space a drag moves the box"


def test_the_list_beside_the_picture_does_the_same(page: Any) -> None:
    page.click(".boxes-list li:nth-child(3) .mini >> nth=1")
    page.click(".boxes-list li:nth-child(2) .mini >> nth=0")
    assert page.evaluate("[...document.querySelectorAll('.boxes-list small')].map((e) => e.textContent)") == [
        "to check", "accepted",
    ]  # fmt: skip
    page.click(".boxes-list li:nth-child(2) .pick")
    assert page.get_attribute(".boxes-list li:nth-child(2) .pick", "aria-current") == "true"
    page.keyboard.press("ArrowUp")
    assert _names(page) == ["Person 1 of 2, to check", "Person 2 of 2, adjusted"]


def test_a_second_click_takes_the_box_behind(browser: Any) -> None:
    boxes = [
        {"x1": 0.2, "y1": 0.2, "x2": 0.8, "y2": 0.8, "score": 1},
        {"x1": 0.4, "y1": 0.4, "x2": 0.6, "y2": 0.6, "score": 1},
    ]
    with served_question(_question(boxes), MEDIA) as address, opened_page(browser, address) as page:
        until(page, "document.querySelectorAll('.box-shape').length === 2")
        picked = "document.querySelector('.is-selected').getAttribute('aria-label')"
        page.keyboard.press("Escape")
        for expected in ("Person 2 of 2, to check", "Person 1 of 2, to check", "Person 2 of 2, to check"):
            page.mouse.click(*_at(page, 0.5, 0.5))
            assert page.evaluate(picked) == expected


def test_a_picture_that_does_not_load_is_said(browser: Any) -> None:
    with served_question(_question(PROPOSALS), {}) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        until(page, "document.querySelector('.boxes-problem')?.textContent.includes('does not load') ?? false")
        page.keyboard.press("Enter")
        page.keyboard.press("a")
        page.keyboard.press("b")
        assert answers(page) == [{"answer": "broken"}]
        context.close()


def test_undo_and_redo(page: Any) -> None:
    page.keyboard.press("a")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    assert len(_names(page)) == 2
    page.keyboard.press("z")
    assert _names(page)[1] == "Person 2 of 3, adjusted"
    page.keyboard.press("z")
    assert _names(page)[:2] == ["Person 1 of 3, accepted", "Person 2 of 3, to check"], "five nudges are one step"
    page.keyboard.press("Shift+z")
    page.keyboard.press("z")
    page.keyboard.press("z")
    assert _names(page)[0] == "Person 1 of 3, to check"


def test_a_reload_keeps_every_box(page: Any) -> None:
    page.keyboard.press("a")
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("n")
    page.keyboard.press("n")
    before, place = _names(page), page.evaluate("document.querySelector('.is-selected').dataset.id")
    page.reload()
    until(page, "document.querySelectorAll('.box-shape').length === 4")
    assert _names(page) == before
    assert page.evaluate("document.querySelector('.is-selected').dataset.id") == place
    page.keyboard.press("e")
    assert [box["proposal"] for box in _done(page)] == [1, 0, 2, None]


def test_an_answer_is_taken_up_again(page: Any) -> None:
    moved = {"x1": 0.4, "y1": 0.2, "x2": 0.7, "y2": 0.8, "proposal": 0}
    # The service keeps five decimals of a corner.
    same = {**{side: PROPOSALS[1][side] for side in ("x1", "y1", "x2", "y2")}, "x1": 0.100004, "proposal": 1}
    drawn = {"x1": 0.8, "y1": 0.5, "x2": 0.9, "y2": 0.9, "proposal": None}
    previous = {"answer": "done", "detail": {"boxes": [same, moved, drawn]}}
    page.evaluate("(p) => { localStorage.clear(); localStorage.setItem('previous', JSON.stringify(p)); }", previous)
    page.reload()
    until(page, "document.querySelectorAll('.box-shape').length === 3")
    assert [name.split(", ")[1] for name in _names(page)] == ["accepted", "adjusted", "drawn"]
    assert _done(page) == previous["detail"]["boxes"]


def test_other_frames_are_for_looking_only(page: Any) -> None:
    page.keyboard.press("]")
    page.keyboard.press("]")
    until(page, "document.querySelector('.box-picture img').src.endsWith('/frame/2.jpg')")
    assert page.inner_text(".when") == "+0.08 s"
    assert page.evaluate("document.querySelector('.box-layer').classList.contains('is-off')")
    # A press on the picture comes back instead of changing a box where the person is not.
    page.mouse.click(*_at(page, 0.2, 0.5))
    until(page, "document.querySelector('.box-picture img').src.endsWith('/frame/0.jpg')")
    assert _names(page)[0] == "Person 1 of 3, to check"
    page.keyboard.press("[")
    page.keyboard.press("ArrowRight")
    until(page, "!document.querySelector('.box-layer').classList.contains('is-off')")
    assert _names(page)[0] == "Person 1 of 3, adjusted"
    page.keyboard.press("h")
    assert page.evaluate("getComputedStyle(document.querySelector('.box-shape')).visibility") == "hidden"


def _touch(session: Any, kind: str, *points: tuple[float, float]) -> None:
    listed = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": listed})


def test_a_phone_draws_with_one_finger_and_zooms_with_two(browser: Any, url: str) -> None:
    with opened_page(browser, url, width=390, height=844, is_phone=True) as page:
        until(page, "document.querySelectorAll('.box-shape').length === 3")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        small = page.evaluate(
            "[...document.querySelectorAll('button')].filter((b) => b.checkVisibility()).map((b) => "
            "[b.textContent, b.getBoundingClientRect()]).filter(([, r]) => r.height < 44 || r.bottom > innerHeight)"
            ".map(([text]) => text)"
        )
        assert small == [], "too small for a thumb, or below the fold"
        tap(page, ".is-draw", until_true=DRAWING)
        session = page.context.new_cdp_session(page)
        start, end = _at(page, 0.35, 0.2), _at(page, 0.45, 0.9)
        _touch(session, "touchStart", start)
        for step in (0.3, 0.7, 1.0):
            middle = (start[0] + step * (end[0] - start[0]), start[1] + step * (end[1] - start[1]))
            _touch(session, "touchMove", middle)
        _touch(session, "touchEnd")
        assert _names(page)[3] == "Person 4 of 4, drawn"
        before = _names(page)
        x, y = _at(page, 0.6, 0.5)
        # The first finger lands on a box: what it began to move goes back when the second one comes.
        _touch(session, "touchStart", (x, y))
        _touch(session, "touchMove", (x + 15, y))
        _touch(session, "touchStart", (x + 15, y), (x + 40, y))
        for apart in (60, 80, 120):
            _touch(session, "touchMove", (x + 15 - apart / 2, y), (x + 15 + apart / 2, y))
        _touch(session, "touchEnd")
        until(page, "document.querySelector('.zoom-text').textContent !== '100 %'")
        assert _names(page) == before
        tap(page, "[data-action=all]", until_true="document.querySelector('.boxes-count').textContent.startsWith('4')")
        tap(page, "#done", until_true="window.seen.answers.length === 1")
        (given,) = answers(page)
        assert _corners(given["detail"]["boxes"][3]) == pytest.approx([112, 40, 144, 180], abs=1.5)


def test_every_text_can_be_read(browser: Any, url: str) -> None:
    with opened_page(browser, url) as page:
        until(page, f"{SHAPES} === 3")
        page.keyboard.press("a")
        page.keyboard.press("n")
        page.keyboard.press("n")
        page.click("#done")
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert faint_texts(page) == [], scheme
        assert len(faint_texts(page, least=22)) > 10, "every text is fainter than black on white"


@pytest.mark.parametrize("sizes", [[(360, 640), (844, 390)], [(820, 1180), (1920, 1080)]], ids=["phone", "desk"])
def test_nothing_covers_anything_at_any_size(browser: Any, url: str, sizes: list[tuple[int, int]]) -> None:
    with opened_page(browser, url, is_phone=sizes[0] == (360, 640)) as page:
        until(page, f"{SHAPES} === 3")
        for width, height in sizes:
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(100)
            assert covered(page) == [], f"{width} x {height}"


def test_every_control_has_a_name(page: Any) -> None:
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input, [role=option]')].filter((e) => "
        "!(e.getAttribute('aria-label') || e.textContent.trim())).map((e) => e.outerHTML)"
    )
    assert nameless == []


def test_the_real_service_gets_the_boxes_by_keyboard_after_a_reload(browser: Any, tmp_path: Path) -> None:
    with serving_boxes(tmp_path, kind="frame", num_clips=2) as server, clean_page(browser) as page:
        open_as(page, server, "ada", kind="frame")
        until(page, f"{SHAPES} === 2")
        press(page, "a", "Shift+ArrowRight", "n", "n", "Control+Shift+ArrowDown")
        before = _names(page)
        assert [name.split(", ")[1] for name in before] == ["accepted", "adjusted", "drawn"]
        page.reload()
        page.wait_for_selector("#screen-ask:not([hidden])")
        until(page, f"{SHAPES} === 3")
        assert _names(page) == before, "the reload lost boxes"
        press(page, "Enter")
        until(page, f"{SHAPES} === 2")
        assert page.inner_text("#count") == "2 of 2"
        press(page, "b")
        page.wait_for_selector("#screen-review:not([hidden])")
        press(page, "Enter")
        page.wait_for_selector("#screen-message:not([hidden])")
        (_, revision, answer, detail), broken = cast(server, "ada")
        assert (revision, answer) == (0, "done")
        assert broken[1:] == (0, "broken", None)
        accepted, adjusted, drawn = detail["boxes"]
        assert accepted == {"x1": 0.125, "y1": 0.25, "x2": 0.375, "y2": 0.75, "proposal": 0}
        assert adjusted == {"x1": 0.59375, "y1": 0.125, "x2": 0.78125, "y2": 0.875, "proposal": 1}
        assert drawn["proposal"] is None
        assert drawn["y2"] - drawn["y1"] == pytest.approx(0.5 + 10 / 240, abs=0.001)


def test_a_sent_answer_is_changed_with_the_boxes_as_they_were(browser: Any, tmp_path: Path) -> None:
    with serving_boxes(tmp_path, kind="frame") as server, clean_page(browser) as page:
        open_as(page, server, "ada", kind="frame")
        until(page, f"{SHAPES} === 2")
        press(page, "e", "Enter")
        page.wait_for_selector("#screen-message:not([hidden])")
        press(page, "z")
        until(page, f"{SHAPES} === 2")
        assert _names(page) == ["Person 1 of 2, accepted", "Person 2 of 2, accepted"]
        press(page, "Tab", "x", "Enter")
        page.wait_for_selector("#screen-message:not([hidden])")
        first, second = cast(server, "ada")
        assert [len(row[3]["boxes"]) for row in (first, second)] == [2, 1]
        assert [row[1] for row in (first, second)] == [0, 1]


def test_a_phone_draws_on_the_real_service(browser: Any, tmp_path: Path) -> None:
    phone = clean_page(browser, width=390, height=844, is_phone=True)
    with serving_boxes(tmp_path, kind="frame") as server, phone as page:
        open_as(page, server, "ada", kind="frame")
        until(page, f"{SHAPES} === 2")
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
        tap(page, "[data-action=nobody]", until_true=f"{SHAPES} === 0")
        tap(page, ".is-draw", until_true=DRAWING)
        session = page.context.new_cdp_session(page)
        start, end = _at(page, 0.25, 0.25), _at(page, 0.75, 0.75)
        _touch(session, "touchStart", start)
        for step in (0.4, 1.0):
            moved = [one + step * (other - one) for one, other in zip(start, end, strict=True)]
            _touch(session, "touchMove", (moved[0], moved[1]))
        _touch(session, "touchEnd")
        until(page, f"{SHAPES} === 1")
        tap(page, "#done", until_true="!document.getElementById('screen-message').hidden")
        ((_, _, answer, detail),) = cast(server, "ada")
        assert answer == "done"
        (box,) = detail["boxes"]
        assert [box[side] for side in ("x1", "y1", "x2", "y2")] == pytest.approx([0.25, 0.25, 0.75, 0.75], abs=0.01)
