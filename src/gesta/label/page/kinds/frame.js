// "Where are the persons?" (AVA-Kinetics, 1.2, step 3): proposals on the key-frame are accepted, adjusted or deleted,
// and missing persons are drawn.

import { counted } from "/static/dom.js";
import { MAX_BOXES, createEditor, fromFractions, inside, snapshotOfAnswer, toFractions } from "./box_editor.js";
import { createStage } from "./box_stage.js";
import { createStrip } from "./frame_strip.js";
import { createView } from "./frame_view.js";

const SHIFTS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ARROWS = Object.keys(SHIFTS);
const FAR_PX = 10;
const ZOOM_STEP = 1.4;
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
    zoomed: (zoom) => view.setZoom(zoom),
  });
  const strip = createStrip(question, ctx, {
    onPicture: (image) => stage.setPicture(image),
    onMove: () => refresh(),
    onTrouble: (text) => view.setProblem(text),
  });
  const view = createView({
    stage, strip, ctx,
    does: { accept, remove, pick, draw, acceptAll, nobody, redo, toggleHidden, zoom, finish, fit: () => stage.fit() },
  });

  // ---- what can be done -------------------------------------------------------------------------------------------------

  const selected = () => editor?.find(editor.selected) ?? null;
  const numberOf = (id) => editor.indexOf(id) + 1;

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
    if (id !== null) editor?.select(id);
    withBox((box) => {
      const number = numberOf(box.id);
      if (!editor.accept(box.id)) return ctx.say("This box is accepted already.");
      settledAt = performance.now();
      ctx.say(`Person ${number} accepted. ${leftText()}`);
      follow();
    });
  }

  function remove(id = editor?.selected) {
    if (id !== null) editor?.select(id);
    withBox((box) => {
      const number = numberOf(box.id);
      editor.remove(box.id);
      ctx.say(`Box ${number} deleted. ${leftText()}`);
      follow();
    });
  }

  function pick(id) {
    editor.select(id);
    follow(false);
  }

  // Where the focus is on nothing that is used by keys, it goes with the chosen box.
  const isLoose = () => stage.hasFocus() || [document.body, null].includes(document.activeElement) || document.activeElement.matches("h1");

  function follow(isFollowed = isLoose()) {
    const box = selected();
    if (!box) return;
    stage.reveal(box);
    if (isFollowed) stage.focus(box.id);
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

  function zoom(direction) {
    stage.zoomBy(ZOOM_STEP ** direction);
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
    view.setProblem(text);
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
      { name: "nearer", key: "+", also: ["="], label: "Zoom in (also the wheel)", repeats: true, run: () => zoom(1) },
      { name: "farther", key: "-", label: "Zoom out", repeats: true, run: () => zoom(-1) },
      { name: "fit", key: "0", label: "The whole picture", run: () => stage.fit() },
      { name: "pan", key: " ", label: "Hold and drag: move the picture", repeats: true, run: () => stage.holdSpace(true) },
      { name: "hide", key: "h", label: "Hide or show the boxes", run: toggleHidden },
      { name: "redo", key: "Shift+z", label: "Do again what was undone", run: redo },
    ];
  }

  function refresh() {
    if (editor) view.draw({ editor, isDrawing, isHidden, isLive });
  }

  function changed() {
    view.setProblem("");
    refresh();
    if (!isLive) ctx.keepDraft(editor.snapshot());
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

  return { elements: view.elements, start, undo, unmount };
}

/** A detector's box as it is, unless it could not stand on the picture. */
function repaired(box, size) {
  const px = fromFractions(box, size);
  const kept = inside(px, size);
  return ["x1", "y1", "x2", "y2"].every((side) => Math.abs(px[side] - kept[side]) < 1e-6) ? box : toFractions(kept, size);
}
