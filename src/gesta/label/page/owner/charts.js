// Charts as SVG: axes with units, a tooltip for each point, and the same numbers as a table.

import { el } from "../dom.js";

const SPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 180;
const LEFT = 46;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 24;

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Round steps for an axis from 0 to at least `top`: 1, 2 or 5 times a power of ten, four of them or fewer. */
export function ticks(top) {
  if (!(top > 0)) return [0, 1];
  const rough = top / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  return Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, place) => place * step);
}

/**
 * A figure with a chart of `points`: [{label, value|null, low?, high?, tip}].
 * `kind` is "bars" or "line"; `top` fixes the axis; `format` writes a value; `mark` draws a dashed line at a value.
 */
export function chart({ title, unit, points, kind = "bars", top = null, format, mark = null, empty, width = 560 }) {
  const figure = el("figure", { class: "chart" }, el("figcaption", {}, el("b", { text: title }), " ", el("span", { class: "hint", text: unit })));
  const values = points.map((point) => point.value);
  if (!values.some((value) => value !== null && (value > 0 || kind === "line"))) {
    figure.append(el("p", { class: "hint empty", text: empty }));
    return figure;
  }
  const steps = ticks(top ?? Math.max(...values.filter((value) => value !== null)));
  const most = top ?? steps.at(-1);
  const x = (place) => LEFT + ((width - LEFT - RIGHT) * (place + 0.5)) / points.length;
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
  const known = points.filter((point) => point.value !== null);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label":
    `${title}, ${unit}. ${known.length ? `Last: ${known.at(-1).tip}.` : ""} The numbers are in the table below.` });
  for (const step of steps.filter((value) => value <= most + 1e-9)) {
    drawing.append(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(step), y2: y(step) }));
    const text = svg("text", { class: "axis", x: LEFT - 6, y: y(step) + 4, "text-anchor": "end" });
    text.textContent = format(step);
    drawing.append(text);
  }
  points.forEach((point, place) => {
    if (!point.label) return;
    const text = svg("text", { class: "axis", x: x(place), y: HEIGHT - 6, "text-anchor": "middle" });
    text.textContent = point.label;
    drawing.append(text);
  });
  (kind === "bars" ? drawBars : drawLine)(drawing, points, { x, y, step: (width - LEFT - RIGHT) / points.length });
  if (mark !== null && mark <= most) drawing.append(svg("line", { class: "mark", x1: LEFT, x2: width - RIGHT, y1: y(mark), y2: y(mark) }));
  const tip = el("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  const frame = el("div", { class: "frame-of-chart" }, drawing, tip);
  points.forEach((point, place) => {
    const half = (width - LEFT - RIGHT) / points.length / 2;
    const zone = svg("rect", { class: "zone", x: x(place) - half, y: TOP, width: 2 * half, height: HEIGHT - TOP - BOTTOM });
    zone.addEventListener("pointerenter", () => {
      tip.textContent = point.tip;
      tip.hidden = false;
      tip.style.left = `${Math.min(82, Math.max(18, (x(place) / width) * 100))}%`;
    });
    zone.addEventListener("pointerleave", () => (tip.hidden = true));
    drawing.append(zone);
  });
  figure.append(frame, tableOf({ title, unit, points }));
  return figure;
}

function drawBars(drawing, points, { x, y, step }) {
  const wide = Math.max(2, step * 0.72);
  points.forEach((point, place) => {
    if (!point.value) return;
    drawing.append(svg("rect", { class: point.isRunning ? "bar is-running" : "bar", x: x(place) - wide / 2, y: y(point.value), width: wide,
      height: Math.max(1, y(0) - y(point.value)), rx: Math.min(3, wide / 4) }));
  });
}

function drawLine(drawing, points, { x, y }) {
  let path = "";
  points.forEach((point, place) => {
    if (point.value === null) return;
    path += `${path ? "L" : "M"}${x(place).toFixed(1)},${y(point.value).toFixed(1)}`;
    drawing.append(svg("line", { class: "whisker", x1: x(place), x2: x(place), y1: y(point.high), y2: y(point.low) }));
  });
  drawing.append(svg("path", { class: "curve", d: path }));
  points.forEach((point, place) => {
    if (point.value !== null) drawing.append(svg("circle", { class: "dot", cx: x(place), cy: y(point.value), r: 3.2 }));
  });
}

function tableOf({ title, unit, points }) {
  const rows = points.filter((point) => point.value !== null).map((point) =>
    el("tr", {}, el("th", { scope: "row", text: point.when }), el("td", { text: point.tip })));
  return el("details", { class: "as-table" }, el("summary", { data: { key: `table ${title}` } }, "As a table"),
    el("div", { class: "scroll" }, el("table", {}, el("caption", { class: "unseen", text: `${title}, ${unit}` }), el("tbody", {}, rows))));
}

/** A bar of segments whose widths are in proportion: [{value, name, tone}]; nought is left out. */
export function stack(segments, label) {
  const total = segments.reduce((sum, segment) => sum + segment.value, 0);
  const bar = el("div", { class: "stack", role: "img", "aria-label": `${label}: ${segments.filter((one) => one.value).map((one) => `${one.value} ${one.name}`).join(", ") || "nothing"}` });
  for (const { value, name, tone } of segments) {
    if (!value) continue;
    const part = el("i", { class: tone, title: `${value.toLocaleString("en")} ${name} (${((100 * value) / total).toFixed(1)} %)` });
    part.style.flexGrow = value;
    bar.append(part);
  }
  return bar;
}

/** A share with its 95 % interval and, where there is one, the threshold that it is held against. */
export function gauge({ value, low, high, mark = null, isLow = false, label }) {
  const drawing = svg("svg", { class: isLow ? "gauge is-low" : "gauge", viewBox: "0 0 100 14", preserveAspectRatio: "none", role: "img", "aria-label": label });
  drawing.append(svg("rect", { class: "track", x: 0, y: 5, width: 100, height: 4, rx: 2 }));
  if (value !== null) {
    drawing.append(svg("rect", { class: "range", x: low * 100, y: 3.5, width: Math.max(0.8, (high - low) * 100), height: 7, rx: 2 }));
    drawing.append(svg("rect", { class: "at", x: Math.min(98, Math.max(0, value * 100 - 1)), y: 1, width: 2, height: 12 }));
  }
  if (mark !== null) drawing.append(svg("line", { class: "mark", x1: mark * 100, x2: mark * 100, y1: 0, y2: 14 }));
  return drawing;
}

/** The half-width of the 95 % interval is not the same to both sides. Source: Wilson (1927), as in the service. */
export function wilson(numRight, numSeen, z = 1.96) {
  if (!numSeen) return [0, 1];
  const share = numRight / numSeen;
  const shrink = 1 + z ** 2 / numSeen;
  const middle = (share + z ** 2 / (2 * numSeen)) / shrink;
  const reach = (z * Math.sqrt((share * (1 - share)) / numSeen + z ** 2 / (4 * numSeen ** 2))) / shrink;
  return [Math.max(0, middle - reach), Math.min(1, middle + reach)];
}
