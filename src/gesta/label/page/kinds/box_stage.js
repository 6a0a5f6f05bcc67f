// The picture with its boxes: zoom and pan, and what pointers do. Boxes are drawn in SVG, so that each has a name.

import { el } from "/static/dom.js";
import { HANDLES, between, clamp, fromFractions, hit, resize, under } from "./box_editor.js";

const MAX_ZOOM = 8;
const SVG = "http://www.w3.org/2000/svg";
const MOVED_PX = { mouse: 3, pen: 5, touch: 8 }; // less is a click, not a drag
const SLACK_PX = { mouse: 8, pen: 12, touch: 22 };
const PIXELS_SHOW_FROM = 3; // screen pixels to one of the picture, from which they are drawn as squares

/** Where the picture lies when it is shown whole in a stage, or `zoom` times larger about its old centre. */
export function placed(view, stage, size) {
  const fit = Math.min(stage.width / size.width, stage.height / size.height);
  const zoom = clamp(view.zoom, 1, MAX_ZOOM);
  const scale = fit * zoom;
  const along = (offset, room, length) => (length <= room ? (room - length) / 2 : clamp(offset, room - length, 0));
  return {
    zoom, scale,
    x: along(view.x, stage.width, size.width * scale),
    y: along(view.y, stage.height, size.height * scale),
  };
}

/** The view `factor` times nearer, with the point (x, y) of the stage staying where it is. */
export function zoomedAt(view, factor, x, y, stage, size) {
  const zoom = clamp(view.zoom * factor, 1, MAX_ZOOM);
  const grown = zoom / view.zoom;
  return placed({ zoom, x: x - (x - view.x) * grown, y: y - (y - view.y) * grown }, stage, size);
}

const svg = (tag, props = {}) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, value);
  return element;
};

const lay = (element, x, y, width, height) => {
  for (const [name, value] of Object.entries({ x, y, width, height })) element.setAttribute(name, value);
};

/**
 * The stage. `on` is told what pointers do: `select(id)`, `put(id, corners_px, tag)`, `cancel(tag)`, `end()`,
 * `drawn(corners_px)`, `touchedElsewhere()` (a press while another frame is shown; true = it is dealt with), `zoomed(zoom)`.
 */
export function createStage(on) {
  const picture = el("div", { class: "box-picture" });
  const layer = svg("svg", { class: "box-layer" });
  const list = svg("g", { role: "listbox", "aria-label": "Persons on the key-frame" });
  const grips = svg("g", { class: "box-grips", "aria-hidden": "true" });
  const rubber = svg("rect", { class: "box-rubber" });
  layer.append(list, grips, rubber);
  for (const handle of HANDLES) grips.append(svg("rect", { class: "box-grip", "data-handle": handle, rx: 2 }));
  const element = el("div", { class: "box-stage" }, picture, layer);
  const shapes = new Map();
  let size = { width: 16, height: 9 };
  let room = { width: 160, height: 90 };
  let view = placed({ zoom: 1, x: 0, y: 0 }, room, size);
  let shown = { boxes: [], selected: null, isOff: false, isHidden: false, nameOf: () => "" };
  let isDrawing = false;
  let isSpaceHeld = false;
  let rubberBox = null;

  const toScreen = (box) => {
    const { x1, y1, x2, y2 } = fromFractions(box, size);
    return { x1: view.x + x1 * view.scale, y1: view.y + y1 * view.scale, x2: view.x + x2 * view.scale, y2: view.y + y2 * view.scale };
  };
  const toPicture = (point) => ({ x: (point.x - view.x) / view.scale, y: (point.y - view.y) / view.scale });

  function look(next) {
    view = next;
    for (const image of picture.children) {
      Object.assign(image.style, {
        left: `${view.x}px`, top: `${view.y}px`, width: `${size.width * view.scale}px`, height: `${size.height * view.scale}px`,
      });
    }
    picture.classList.toggle("is-near", view.scale >= PIXELS_SHOW_FROM);
    draw();
    on.zoomed(view.zoom);
  }

  function shapeOf(box) {
    let shape = shapes.get(box.id);
    if (!shape) {
      const g = svg("g", { role: "option", tabindex: "0", "data-id": box.id });
      const parts = { g, under: svg("rect", { class: "box-under" }), edge: svg("rect", { class: "box-edge" }),
        plate: svg("rect", { class: "box-plate", rx: 4 }), text: svg("text", { class: "box-number" }) };
      g.append(parts.under, parts.edge, parts.plate, parts.text);
      g.addEventListener("focus", () => on.select(box.id));
      g.addEventListener("click", () => on.select(box.id));
      shape = parts;
      shapes.set(box.id, shape);
    }
    return shape;
  }

  function draw() {
    const { boxes, selected, isOff, isHidden, nameOf, tagOf } = shown;
    for (const [id, { g }] of shapes) {
      if (boxes.some((box) => box.id === id)) continue;
      g.remove();
      shapes.delete(id);
    }
    boxes.forEach((box, place) => {
      const { g, under: below, edge, plate, text } = shapeOf(box);
      if (list.children[place] !== g) list.insertBefore(g, list.children[place] ?? null);
      const { x1, y1, x2, y2 } = toScreen(box);
      for (const rect of [below, edge]) lay(rect, x1, y1, x2 - x1, y2 - y1);
      const isOutside = x2 < 0 || y2 < 0 || x1 > room.width || y1 > room.height;
      const marks = [box.id === selected && "is-selected", isOutside && "is-outside"].filter(Boolean);
      g.setAttribute("class", ["box-shape", `is-${box.state}`, ...marks].join(" "));
      g.setAttribute("aria-label", nameOf(box, place));
      g.setAttribute("aria-selected", String(box.id === selected));
      text.textContent = tagOf(box, place);
      const width = 10 + 8 * text.textContent.length;
      const left = clamp(x1 - 1, 2, Math.max(2, room.width - width - 2));
      const top = y1 >= 24 ? y1 - 22 : Math.max(2, y1 + 3);
      lay(plate, left, top, width, 19);
      text.setAttribute("x", left + width / 2);
      text.setAttribute("y", top + 14);
    });
    layer.setAttribute("class", `box-layer${isOff ? " is-off" : ""}${isHidden ? " is-hidden" : ""}`);
    element.classList.toggle("is-drawing", isDrawing);
    drawGrips(boxes.find((box) => box.id === selected), isOff);
  }

  function drawGrips(box, isOff) {
    grips.setAttribute("class", `box-grips${box && !isOff && !isDrawing ? "" : " is-hidden"}`);
    rubber.setAttribute("class", `box-rubber${rubberBox ? "" : " is-hidden"}`);
    if (rubberBox) {
      const { x1, y1, x2, y2 } = rubberBox;
      lay(rubber, view.x + x1 * view.scale, view.y + y1 * view.scale, (x2 - x1) * view.scale, (y2 - y1) * view.scale);
    }
    if (!box) return;
    const { x1, y1, x2, y2 } = toScreen(box);
    const isSmall = { x: x2 - x1 < 44, y: y2 - y1 < 44 };
    for (const grip of grips.children) {
      const { handle } = grip.dataset;
      const x = handle.includes("w") ? x1 : handle.includes("e") ? x2 : (x1 + x2) / 2;
      const y = handle.includes("n") ? y1 : handle.includes("s") ? y2 : (y1 + y2) / 2;
      const isMiddle = handle.length === 1;
      grip.classList.toggle("is-hidden", isMiddle && (["n", "s"].includes(handle) ? isSmall.x : isSmall.y));
      grip.setAttribute("transform", `translate(${x} ${y})`);
    }
  }

  // ---- pointers -----------------------------------------------------------------------------------------------------

  const pointers = new Map();
  let gesture = null;
  let numGestures = 0;

  const at = (event) => {
    const bounds = element.getBoundingClientRect();
    return { x: event.clientX - bounds.left, y: event.clientY - bounds.top };
  };

  const hitAt = (point, kind) => {
    const { x, y } = toPicture(point);
    const boxes = shown.boxes.map((box) => ({ id: box.id, ...fromFractions(box, size) }));
    return hit(boxes, x, y, { selected: shown.selected, slack: (SLACK_PX[kind] ?? 8) / view.scale });
  };

  function begin(event) {
    const point = at(event);
    const from = toPicture(point);
    const base = { point, from, view, moved: false, kind: event.pointerType, tag: `drag ${++numGestures}` };
    if (event.button === 1 || isSpaceHeld) return { ...base, what: "pan" };
    if (isDrawing) return { ...base, what: "draw" };
    if (shown.isOff && on.touchedElsewhere()) return null;
    const found = shown.isHidden ? null : hitAt(point, event.pointerType);
    if (!found) return { ...base, what: "pan", isGround: true };
    const wasSelected = shown.selected === found.id;
    on.select(found.id);
    focus(found.id);
    const box = fromFractions(shown.boxes.find((one) => one.id === found.id), size);
    return { ...base, what: "edit", wasSelected, box, ...found };
  }

  function pinch() {
    const [one, other] = [...pointers.values()];
    return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, apart: Math.max(1, Math.hypot(one.x - other.x, one.y - other.y)) };
  }

  function drop() {
    if (gesture?.what === "edit" && gesture.moved) on.cancel(gesture.tag);
    rubberBox = null;
    gesture = null;
    draw();
  }

  function onDown(event) {
    if (![0, 1].includes(event.button)) return;
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    if (pointers.size === 1) gesture = begin(event);
    else if (pointers.size === 2) {
      drop();
      gesture = { what: "pinch", last: pinch() };
    }
  }

  function onMove(event) {
    const point = at(event);
    if (!pointers.has(event.pointerId)) {
      const found = shown.isOff || shown.isHidden || isDrawing ? null : hitAt(point, event.pointerType);
      element.dataset.cursor = isSpaceHeld ? "pan" : found?.handle ?? "";
      return;
    }
    pointers.set(event.pointerId, point);
    if (!gesture) return;
    if (gesture.what === "pinch") {
      const now = pinch();
      const { last } = gesture;
      const shifted = { ...view, x: view.x + now.x - last.x, y: view.y + now.y - last.y };
      look(zoomedAt(shifted, now.apart / last.apart, now.x, now.y, room, size));
      gesture.last = now;
      return;
    }
    const dx = point.x - gesture.point.x;
    const dy = point.y - gesture.point.y;
    if (!gesture.moved && Math.hypot(dx, dy) < (MOVED_PX[gesture.kind] ?? 3)) return;
    gesture.moved = true;
    if (gesture.what === "pan") look(placed({ ...gesture.view, x: gesture.view.x + dx, y: gesture.view.y + dy }, room, size));
    else if (gesture.what === "draw") {
      rubberBox = between(gesture.from, toPicture(point), size);
      draw();
    } else {
      on.put(gesture.id, resize(gesture.box, gesture.handle, dx / view.scale, dy / view.scale, size), gesture.tag);
    }
  }

  function onUp(event) {
    pointers.delete(event.pointerId);
    const done = gesture;
    gesture = null;
    if (!done || done.what === "pinch") return;
    if (done.what === "draw" && done.moved && rubberBox) {
      const corners = rubberBox;
      rubberBox = null;
      on.drawn(corners);
    } else if (done.what === "edit" && done.moved) on.end();
    else if (done.what === "edit" && done.wasSelected) pickNext(done);
    else if (done.what === "pan" && done.isGround && !done.moved) on.select(null);
  }

  // A second click on a box takes the one behind it.
  function pickNext({ from, id }) {
    const ids = under(shown.boxes.map((box) => ({ id: box.id, ...fromFractions(box, size) })), from.x, from.y);
    const next = ids[(ids.indexOf(id) + 1) % ids.length];
    if (next === undefined || next === id) return;
    on.select(next);
    focus(next);
  }

  function onCancel(event) {
    pointers.delete(event.pointerId);
    drop();
  }

  function onWheel(event) {
    event.preventDefault();
    const { x, y } = at(event);
    const unit = event.deltaMode === 1 ? 16 : 1;
    const speed = event.ctrlKey ? 0.01 : 0.0016; // a pinch on a touchpad comes as small steps with Ctrl
    look(zoomedAt(view, Math.exp(-event.deltaY * unit * speed), x, y, room, size));
  }

  function focus(id) {
    shapes.get(id)?.g.focus({ preventScroll: true });
  }

  element.addEventListener("pointerdown", onDown);
  element.addEventListener("pointermove", onMove);
  element.addEventListener("pointerup", onUp);
  element.addEventListener("pointercancel", onCancel);
  element.addEventListener("wheel", onWheel, { passive: false });
  element.addEventListener("auxclick", (event) => event.preventDefault());

  const observer = new ResizeObserver(() => {
    const { clientWidth: width, clientHeight: height } = element;
    if (!width || !height) return;
    const middle = toPicture({ x: room.width / 2, y: room.height / 2 });
    room = { width, height };
    const { zoom, scale } = placed(view, room, size);
    look(placed({ zoom, x: width / 2 - middle.x * scale, y: height / 2 - middle.y * scale }, room, size));
  });
  observer.observe(element);

  return {
    element,
    focus,
    hasFocus: () => list.contains(document.activeElement),
    /** Show an <img> that has loaded; the first one sets the size that boxes are measured in. */
    setPicture(image, measured = null) {
      if (measured) size = measured;
      picture.replaceChildren(image);
      look(placed(view, room, size));
    },
    setBoxes(next) {
      shown = { ...shown, ...next };
      draw();
    },
    setDrawing(value) {
      isDrawing = value;
      if (!value) rubberBox = null;
      draw();
    },
    holdSpace(isHeld) {
      isSpaceHeld = isHeld;
      if (isHeld) element.dataset.cursor = "pan";
      else delete element.dataset.cursor;
    },
    zoomBy: (factor) => look(zoomedAt(view, factor, room.width / 2, room.height / 2, room, size)),
    fit: () => look(placed({ zoom: 1, x: 0, y: 0 }, room, size)),
    /** Bring a box into view where it is outside. */
    reveal(box) {
      const { x1, y1, x2, y2 } = toScreen(box);
      const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
      if (x >= 0 && x <= room.width && y >= 0 && y <= room.height) return;
      look(placed({ ...view, x: view.x + room.width / 2 - x, y: view.y + room.height / 2 - y }, room, size));
    },
    /** A box in the middle of what is seen, a fifth of it wide and half as high, in pixels of the picture. */
    middleBox() {
      const across = Math.min(room.width, size.width * view.scale);
      const down = Math.min(room.height, size.height * view.scale);
      const [x, y] = [room.width / 2, room.height / 2];
      const one = toPicture({ x: x - across / 10, y: y - down / 4 });
      return between(one, toPicture({ x: x + across / 10, y: y + down / 4 }), size);
    },
    unmount: () => observer.disconnect(),
  };
}
