// What the box editor shows around the picture: the list of boxes, the tools, the bar of frames and zoom, the answers.

import { counted, el, question as heading } from "/static/dom.js";

const STATES = { proposed: "to check", accepted: "accepted", adjusted: "adjusted", drawn: "drawn" };
const TAGS = { proposed: "?", accepted: "✓", adjusted: "✓", drawn: "+" };
const touchGlyph = (text) => el("span", { class: "touch-glyph", "aria-hidden": "true", text });

/**
 * The view. `does` is told what is pressed: `accept(id?)`, `remove(id?)`, `pick(id)`, `draw()`, `acceptAll()`, `nobody()`,
 * `redo()`, `toggleHidden()`, `zoom(direction)`, `fit()`, `finish()`. The keys of the same names are bound by the caller.
 */
export function createView({ stage, strip, does, ctx }) {
  const button = (name, run, props, ...inner) =>
    el("button", { type: "button", data: { scope: "kind", action: name }, onclick: () => run(), ...props }, ...inner, ctx.cap(name));

  const zoomText = el("span", { class: "zoom-text", text: "100 %" });
  const problem = el("p", { class: "problem boxes-problem" });
  const count = el("p", { class: "boxes-count" });
  const rows = el("ol", { class: "boxes-list", "aria-label": "Boxes" });
  const tools = {
    accept: button("accept", does.accept, { class: "tool is-accept" }, "Accept"),
    delete: button("delete", does.remove, { class: "tool is-delete" }, "Delete"),
    draw: button("draw", does.draw, { class: "tool is-draw", "aria-pressed": "false" }, "Draw"),
    all: button("all", does.acceptAll, { class: "tool" }, "Accept all"),
    nobody: button("nobody", does.nobody, { class: "tool" }, "Nobody"),
    redo: button("redo", does.redo, { class: "tool is-redo", disabled: true }, "Redo"),
  };
  const hide = button("hide", does.toggleHidden, { "aria-pressed": "true" }, "Boxes");
  const zoom = el("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
    button("farther", () => does.zoom(-1), { "aria-label": "Zoom out" }, touchGlyph("−")), zoomText,
    button("nearer", () => does.zoom(1), { "aria-label": "Zoom in" }, touchGlyph("+")),
    button("fit", does.fit, {}, "Fit"));
  const doneText = el("span", { class: "label" });
  const done = el("button", { type: "button", class: "answer yes", id: "done", onclick: () => does.finish(),
    data: { scope: "kind", action: "done" } }, ctx.cap("done"), doneText);
  const elements = [
    el("div", { class: "top" }, heading("Put a tight box around", "every person")),
    el("div", { class: "boxes-work" }, stage.element, el("div", { class: "boxes-bar" }, strip.element, zoom, hide),
      el("section", { class: "boxes-side", "aria-label": "Persons" }, count, rows, el("div", { class: "boxes-tools" }, ...Object.values(tools)))),
    problem,
    el("div", { class: "answers", role: "group", "aria-labelledby": "question", id: "answers", data: { count: "2" } }, done,
      ctx.button("broken", { tone: "broken", label: "Does not play", more: "or an image, cartoon or game" })),
  ];

  function draw({ editor, isDrawing, isHidden, isLive }) {
    const { boxes, selected } = editor;
    const left = editor.open().length;
    stage.setBoxes({
      boxes, selected, isHidden, isOff: !strip.isKey,
      nameOf: (box, place) => `Person ${place + 1} of ${boxes.length}, ${STATES[box.state]}`,
      tagOf: (box, place) => `${place + 1} ${TAGS[box.state]}`,
    });
    count.textContent = boxes.length ? `${boxes.length - left} of ${boxes.length} checked` : "No boxes";
    const who = boxes.length ? counted(boxes.length, "person", "persons") : "nobody here";
    doneText.replaceChildren("Done", el("small", { text: left ? `${left} to check` : who }));
    done.classList.toggle("is-unready", left > 0);
    tools.accept.disabled = editor.find(selected)?.state !== "proposed";
    tools.delete.disabled = selected === null;
    tools.draw.setAttribute("aria-pressed", String(isDrawing));
    tools.all.disabled = !left;
    tools.nobody.disabled = !boxes.length;
    tools.redo.disabled = !editor.canRedo;
    hide.setAttribute("aria-pressed", String(!isHidden));
    if (!isLive) drawRows(boxes, selected);
  }

  function drawRows(boxes, selected) {
    const known = new Map([...rows.children].map((row) => [row.dataset.id, row]));
    const wanted = boxes.map((box) => known.get(String(box.id)) ?? newRow(box.id));
    // Rows that stay where they are keep the focus.
    if (wanted.length !== rows.children.length || wanted.some((row, place) => rows.children[place] !== row)) rows.replaceChildren(...wanted);
    boxes.forEach((box, place) => {
      const row = wanted[place];
      const [pick, take, drop] = row.children;
      row.className = `is-${box.state}`;
      pick.querySelector("b").textContent = `Person ${place + 1}`;
      pick.querySelector("small").textContent = STATES[box.state];
      pick.setAttribute("aria-current", String(box.id === selected));
      take.setAttribute("aria-label", `Accept person ${place + 1}`);
      take.disabled = box.state !== "proposed";
      drop.setAttribute("aria-label", `Delete person ${place + 1}`);
      if (box.id === selected) row.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
  }

  function newRow(id) {
    return el("li", { data: { id } },
      el("button", { type: "button", class: "pick", onclick: () => does.pick(id) }, el("i", { "aria-hidden": "true" }), el("b"), el("small")),
      el("button", { type: "button", class: "mini", text: "✓", onclick: () => does.accept(id) }),
      el("button", { type: "button", class: "mini", text: "✕", onclick: () => does.remove(id) }));
  }

  return {
    elements, draw,
    setZoom: (value) => (zoomText.textContent = `${Math.round(100 * value)} %`),
    setProblem: (text) => (problem.textContent = text),
  };
}
