// "Where are the persons?" (AVA-Kinetics, 1.2, step 3): proposals on the key-frame are accepted, adjusted or deleted,
// and missing persons are drawn.

import { counted, el, question as heading } from "/static/dom.js";
import { MAX_BOXES, createEditor, inside, fromFractions, snapshotOfAnswer, toFractions } from "./box_editor.js";
import { createStage } from "./box_stage.js";
import { createStrip } from "./frame_strip.js";

const STATES = { proposed: "to check", accepted: "accepted", adjusted: "adjusted", drawn: "drawn" };
const TAGS = { proposed: "?", accepted: "✓", adjusted: "✓", drawn: "+" };
const SHIFTS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ARROWS = Object.keys(SHIFTS);
const FAR_PX = 10;
const ZOOM_STEP = 1.4;
const touchGlyph = (text) => el("span", { class: "touch-glyph", "aria-hidden": "true", text });
const SETTLE_MS = 350; // an Enter struck twice on the last proposal must not also finish the picture

export function mount(root, question, ctx) {
  const page = createPage(question, ctx);
  root.append(...page.elements);
  page.start();
  return { undo: page.undo, unmount: page.unmount };
}

function createPage(question, ctx) {
  let editor = null;
  let isDrawing = false;
  let isHidden = false;
  let isLive = false;
  let settledAt = 0;
  ctx.actions(allActions());

  const stage = createStage({
    select: (id) => editor?.select(id),
    put: (id, corners, tag) => {
      isLive = true;
      editor.put(id, corners, tag);
    },
    cancel: (tag) => {
      isLive = false;
      editor.cancel(tag);
    },
    end: () => {
      isLive = false;
      changed();
    },
    drawn: (corners) => add(corners),
    touchedElsewhere: () => {
      strip.show(strip.key);
      ctx.say("Back on the key-frame, where boxes are changed.");
      return true;
    },
    zoomed: (zoom) => (zoomText.textContent = `${Math.round(100 * zoom)} %`),
  });
  const strip = createStrip(question, ctx, {
    onPicture: (image) => stage.setPicture(image),
    onMove: () => refresh(),
    onTrouble: (text) => (problem.textContent = text),
  });

  // ---- what can be done -------------------------------------------------------------------------------------------------

  const selected = () => editor?.find(editor.selected) ?? null;
  const numberOf = (id) => editor.indexOf(id) + 1;
  const nameOf = (box, place) => `Person ${place + 1} of ${editor.boxes.length}, ${STATES[box.state]}`;

  /** Whether boxes can be changed now; if another frame or no boxes are shown, that is put right first. */
  function ready() {
    if (!editor) return false;
    if (!strip.isKey) strip.show(strip.key);
    if (isHidden) toggleHidden();
    return true;
  }

  function withBox(change) {
    if (!ready()) return;
    const box = selected();
    if (box) change(box);
    else ctx.say(editor.boxes.length ? "No box is chosen. Press Tab, or touch one." : "There is no box. Press N to draw one.");
  }

  const leftText = () => {
    const number = editor.open().length;
    return number ? `${counted(number, "box", "boxes")} left to check.` : "All are checked. Is anybody missing?";
  };

  function accept(id = editor?.selected) {
    withBox(() => {
      const number = numberOf(id);
      if (editor.accept(id)) {
        settledAt = performance.now();
        ctx.say(`Person ${number} accepted. ${leftText()}`);
        follow();
      } else ctx.say("This box is accepted already.");
    });
  }

  function remove(id = editor?.selected) {
    withBox(() => {
      const number = numberOf(id);
      const hadFocus = stage.hasFocus();
      editor.remove(id);
      ctx.say(`Box ${number} deleted. ${leftText()}`);
      follow(hadFocus);
    });
  }

  function follow(isFocus = stage.hasFocus() || document.activeElement === document.body) {
    const box = selected();
    if (!box) return;
    stage.reveal(box);
    if (isFocus) stage.focus(box.id);
  }

  function acceptAll() {
    if (!ready()) return;
    if (editor.acceptAll()) settledAt = performance.now();
    ctx.say(leftText());
  }

  function nobody() {
    if (!ready()) return;
    editor.removeAll();
    ctx.say("No boxes: nobody here. Press Enter when that is so.");
  }

  function setDrawing(value) {
    if (value && !ready()) return;
    isDrawing = value;
    stage.setDrawing(value);
    refresh();
  }

  function draw() {
    if (isDrawing) return add(stage.middleBox());
    setDrawing(true);
    ctx.say("Drag over the person. Or press again for a box in the middle, and move it with the arrows.");
  }

  function add(corners) {
    setDrawing(false);
    const id = editor.add(corners);
    if (id === null) return tell(`A picture takes ${MAX_BOXES} boxes at most: draw the persons who are largest.`);
    stage.focus(id);
    ctx.say(`Person ${numberOf(id)} drawn.`);
  }

  function nudge(event, edges) {
    const [dx, dy] = SHIFTS[event.key];
    const by = event.shiftKey ? FAR_PX : 1;
    withBox((box) => {
      const handle = edges === "all" ? "move" : edges === "end" ? (dx ? "e" : "s") : dx ? "w" : "n";
      editor.nudge(box.id, handle, dx * by, dy * by);
      stage.reveal(selected());
    });
  }

  function toggleHidden() {
    isHidden = !isHidden;
    refresh();
  }

  function undo() {
    if (isDrawing) {
      setDrawing(false);
      return true;
    }
    const isDone = Boolean(editor?.undo());
    if (isDone) ctx.say(`Undone. ${counted(editor.boxes.length, "box", "boxes")}.`);
    return isDone;
  }

  function redo() {
    if (editor?.redo()) ctx.say(`Done again. ${counted(editor.boxes.length, "box", "boxes")}.`);
  }

  function enter() {
    if (isDrawing) return add(stage.middleBox());
    if (selected()?.state === "proposed") return accept();
    if (performance.now() - settledAt > SETTLE_MS) finish();
  }

  function finish() {
    if (!editor) return;
    const [first, ...more] = editor.open();
    const [twin, other] = editor.twins() ?? [];
    if (!first && !twin) return ctx.done({ answer: "done", detail: { boxes: editor.result() } });
    editor.select((first ?? other).id);
    follow();
    const count = 1 + more.length;
    if (first) tell(`${counted(count, "box is", "boxes are")} not checked yet: accept or delete ${count === 1 ? "it" : "each"}.`);
    else tell(`Boxes ${numberOf(twin.id)} and ${numberOf(other.id)} are the same: delete one of them.`);
  }

  function tell(text) {
    problem.textContent = text;
    ctx.say(text);
  }

  function broken() {
    ctx.done({ answer: "broken" });
  }

  function allActions() {
    const far = (before) => ARROWS.flatMap((key) => [`${before}${key}`, `${before}Shift+${key}`]);
    return [
      { name: "accept", key: "a", label: "Accept the box", run: () => accept() },
      { name: "delete", key: "x", also: ["Delete", "Backspace"], label: "Delete the box", run: () => remove() },
      { name: "draw", key: "n", label: "Draw a missing person; twice: a box in the middle", run: draw },
      { name: "all", key: "e", label: "Accept all that are left", run: acceptAll },
      { name: "nobody", key: "o", label: "Delete all: nobody here", run: nobody },
      { name: "done", key: "Enter", label: "Accept the chosen box; when all are checked: done", run: enter },
      { name: "broken", key: "b", label: "No picture, an image, cartoon or game", run: broken },
      { name: "move", key: "ArrowLeft", also: far("").slice(1), label: "Move the box a pixel, with Shift ten", repeats: true,
        run: (event) => nudge(event, "all") },
      { name: "size", key: "Alt+ArrowLeft", also: far("Alt+").slice(1), repeats: true,
        label: "Move its left or top edge; with Ctrl the right or bottom one", run: (event) => nudge(event, "start") },
      { name: "earlier", key: "[", label: "The frame before", repeats: true, run: () => strip.step(-1) },
      { name: "later", key: "]", label: "The frame after", repeats: true, run: () => strip.step(1) },
      { name: "key", key: "k", label: "Back to the key-frame", run: () => strip.show(strip.key) },
      { name: "nearer", key: "+", also: ["="], label: "Zoom in (also the wheel)", repeats: true, run: () => stage.zoomBy(ZOOM_STEP) },
      { name: "farther", key: "-", label: "Zoom out", repeats: true, run: () => stage.zoomBy(1 / ZOOM_STEP) },
      { name: "fit", key: "0", label: "The whole picture", run: () => stage.fit() },
      { name: "pan", key: " ", label: "Hold and drag: move the picture", repeats: true, run: () => stage.holdSpace(true) },
      { name: "hide", key: "h", label: "Hide or show the boxes", run: toggleHidden },
      { name: "redo", key: "Shift+z", label: "Do again what was undone", run: redo },
    ];
  }

  // ---- what is seen -----------------------------------------------------------------------------------------------------

  const button = (name, run, props, ...inner) =>
    el("button", { type: "button", data: { scope: "kind", action: name }, onclick: run, ...props }, ...inner, ctx.cap(name));

  const zoomText = el("span", { class: "zoom-text", text: "100 %" });
  const problem = el("p", { class: "problem boxes-problem" });
  const count = el("p", { class: "boxes-count" });
  const rows = el("ol", { class: "boxes-list", "aria-label": "Boxes" });
  const tools = {
    accept: button("accept", () => accept(), { class: "tool is-accept" }, "Accept"),
    delete: button("delete", () => remove(), { class: "tool is-delete" }, "Delete"),
    draw: button("draw", draw, { class: "tool is-draw", "aria-pressed": "false" }, "Draw"),
    all: button("all", acceptAll, { class: "tool" }, "Accept all"),
    nobody: button("nobody", nobody, { class: "tool" }, "Nobody"),
    redo: button("redo", redo, { class: "tool is-redo", disabled: true }, "Redo"),
    hide: button("hide", toggleHidden, { "aria-pressed": "true" }, "Boxes"),
  };
  const bar = el("div", { class: "boxes-bar" }, strip.element,
    el("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
      button("farther", () => stage.zoomBy(1 / ZOOM_STEP), { "aria-label": "Zoom out" }, touchGlyph("−")), zoomText,
      button("nearer", () => stage.zoomBy(ZOOM_STEP), { "aria-label": "Zoom in" }, touchGlyph("+")),
      button("fit", () => stage.fit(), {}, "Fit")),
    tools.hide);
  const doneText = el("span", { class: "label" });
  const doneButton = el("button", { type: "button", class: "answer yes", id: "done", onclick: finish,
    data: { scope: "kind", action: "done" } }, ctx.cap("done"), doneText);
  const elements = [
    el("div", { class: "top" }, heading("Put a tight box around", "every person")),
    el("div", { class: "boxes-work" }, stage.element, bar,
      el("section", { class: "boxes-side", "aria-label": "Persons" }, count, rows,
        el("div", { class: "boxes-tools" }, ...["accept", "delete", "draw", "all", "nobody", "redo"].map((name) => tools[name])))),
    problem,
    el("div", { class: "answers", role: "group", "aria-labelledby": "question", id: "answers", data: { count: "2" } },
      doneButton, ctx.button("broken", { tone: "broken", label: "Does not play", more: "or an image, cartoon or game" })),
  ];

  function refresh() {
    if (!editor) return;
    const { boxes } = editor;
    const box = selected();
    stage.setBoxes({ boxes, selected: editor.selected, isOff: !strip.isKey, isHidden, nameOf,
      tagOf: (one, place) => `${place + 1} ${TAGS[one.state]}` });
    const left = editor.open().length;
    count.textContent = boxes.length ? `${boxes.length - left} of ${boxes.length} checked` : "No boxes";
    doneText.replaceChildren("Done", el("small", { text: left ? `${left} to check` : boxes.length ? counted(boxes.length, "person", "persons") : "nobody here" }));
    doneButton.classList.toggle("is-unready", left > 0);
    tools.accept.disabled = box?.state !== "proposed";
    tools.delete.disabled = !box;
    tools.draw.setAttribute("aria-pressed", String(isDrawing));
    tools.all.disabled = !left;
    tools.nobody.disabled = !boxes.length;
    tools.redo.disabled = !editor.canRedo;
    tools.hide.setAttribute("aria-pressed", String(!isHidden));
    if (isLive) return;
    drawRows();
  }

  function changed() {
    problem.textContent = "";
    refresh();
    if (!isLive) ctx.keepDraft(editor.snapshot());
  }

  function drawRows() {
    const { boxes } = editor;
    const known = new Map([...rows.children].map((row) => [row.dataset.id, row]));
    const wanted = boxes.map((box) => known.get(String(box.id)) ?? newRow(box.id));
    if (wanted.length !== rows.children.length || wanted.some((row, place) => rows.children[place] !== row)) rows.replaceChildren(...wanted);
    boxes.forEach((box, place) => {
      const row = wanted[place];
      const [pick, take, drop] = row.children;
      row.className = `is-${box.state}`;
      pick.querySelector("b").textContent = `Person ${place + 1}`;
      pick.querySelector("small").textContent = STATES[box.state];
      pick.setAttribute("aria-current", String(box.id === editor.selected));
      take.setAttribute("aria-label", `Accept person ${place + 1}`);
      take.disabled = box.state !== "proposed";
      drop.setAttribute("aria-label", `Delete person ${place + 1}`);
      if (box.id === editor.selected) row.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
  }

  function newRow(id) {
    const act = (change) => () => {
      editor.select(id);
      change();
    };
    return el("li", { data: { id } },
      el("button", { type: "button", class: "pick", onclick: act(() => follow(false)) }, el("i", { "aria-hidden": "true" }), el("b"), el("small")),
      el("button", { type: "button", class: "mini", text: "✓", onclick: act(() => accept(id)) }),
      el("button", { type: "button", class: "mini", text: "✕", onclick: act(() => remove(id)) }));
  }

  // ---- keys that the page's own key map does not carry -------------------------------------------------------------------

  function onKey(event) {
    if (event.defaultPrevented || document.querySelector("dialog[open]") || event.target.closest?.("input, textarea, select")) return;
    if (event.key === "Escape" && isDrawing) {
      event.preventDefault();
      setDrawing(false);
    } else if ((event.ctrlKey || event.metaKey) && ARROWS.includes(event.key)) {
      event.preventDefault();
      nudge(event, "end");
    } else if (event.key === "Tab" && document.activeElement === document.body && selected()) {
      // From nowhere Tab goes on from the chosen box.
      stage.focus(editor.selected);
    }
  }

  const onKeyUp = (event) => event.key === " " && stage.holdSpace(false);
  const onBlur = () => stage.holdSpace(false);

  function start() {
    document.addEventListener("keydown", onKey);
    document.addEventListener("keyup", onKeyUp);
    window.addEventListener("blur", onBlur);
    strip.start((image) => {
      const size = { width: image.naturalWidth, height: image.naturalHeight };
      const proposals = question.boxes.map((box) => repaired(box, size));
      const answered = ctx.previous?.answer === "done" ? snapshotOfAnswer(ctx.previous.detail?.boxes ?? [], proposals) : null;
      editor = createEditor({ proposals, size, kept: ctx.draft ?? answered, onChange: changed });
      stage.setPicture(image, size);
      refresh();
    });
  }

  function unmount() {
    document.removeEventListener("keydown", onKey);
    document.removeEventListener("keyup", onKeyUp);
    window.removeEventListener("blur", onBlur);
    strip.unmount();
    stage.unmount();
  }

  return { elements, start, undo, unmount };
}

/** A detector's box as it is, unless it could not stand on the picture. */
function repaired(box, size) {
  const px = fromFractions(box, size);
  const kept = inside(px, size);
  return ["x1", "y1", "x2", "y2"].every((side) => Math.abs(px[side] - kept[side]) < 1e-6) ? box : toFractions(kept, size);
}
