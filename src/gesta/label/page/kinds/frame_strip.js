// The key-frame and the frames around it: one is shown, the others are fetched when somebody looks for them.

import { el } from "/static/dom.js";

const AHEAD = 2; // frames either side that are fetched unasked, so that the first step does not wait

/** `on`: `onPicture(image)` when a frame is there to be shown, `onMove()` when another is chosen, `onTrouble(text)`. */
export function createStrip(question, ctx, on) {
  const frames = [...question.frames].sort((a, b) => a.offset - b.offset);
  const key = Math.max(0, frames.findIndex((frame) => frame.offset === 0));
  const images = new Map();
  let index = key;
  let isOver = false;

  const slider = el("input", { type: "range", min: 0, max: frames.length - 1, value: key, "aria-label": "Frame",
    oninput: () => show(Number(slider.value)) });
  const when = el("button", { type: "button", class: "when", data: { scope: "kind", action: "key" }, onclick: () => show(key) });
  const step = (by) => show(Math.min(Math.max(index + by, 0), frames.length - 1));
  const element = el("div", { class: "strip", role: "group", "aria-label": "Frames around the key-frame" },
    el("button", { type: "button", "aria-label": "The frame before", data: { scope: "kind", action: "earlier" }, onclick: () => step(-1) },
      el("span", { "aria-hidden": "true", text: "‹" }), ctx.cap("earlier")),
    slider,
    el("button", { type: "button", "aria-label": "The frame after", data: { scope: "kind", action: "later" }, onclick: () => step(1) },
      ctx.cap("later"), el("span", { "aria-hidden": "true", text: "›" })),
    when);
  element.hidden = frames.length < 2;

  const textOf = (place) => {
    const { offset } = frames[place] ?? { offset: 0 };
    if (offset === 0) return "Key-frame";
    return `${offset < 0 ? "−" : "+"}${Math.abs(offset / (question.fps || 25)).toFixed(2)} s`;
  };

  async function load(place) {
    if (!frames[place]) throw new Error("there is no such frame");
    if (!images.has(place)) {
      const image = el("img", { alt: place === key ? "The key-frame" : `The frame at ${textOf(place)}`, draggable: "false" });
      image.decoding = "async";
      image.src = frames[place].url;
      const loading = image.decode().then(() => image);
      images.set(place, loading);
      // What failed is asked for again the next time.
      loading.catch(() => images.delete(place));
    }
    return images.get(place);
  }

  async function show(place) {
    index = place;
    slider.value = String(place);
    const text = textOf(place);
    slider.setAttribute("aria-valuetext", text);
    when.textContent = text;
    when.classList.toggle("is-key", place === key);
    when.setAttribute("aria-label", place === key ? "On the key-frame" : `${text} from the key-frame; back to it`);
    on.onMove();
    try {
      const image = await load(place);
      if (isOver || index !== place) return;
      on.onPicture(image);
      for (let by = 1; by <= AHEAD; by++) for (const near of [place - by, place + by]) load(near).catch(() => {});
    } catch {
      if (!isOver && index === place) on.onTrouble("This frame does not load. Try another, or come back to it.");
    }
  }

  return {
    element, key, step, show,
    get isKey() { return index === key; },
    /** Fetch the key-frame; `onSize` is called once, with its image. */
    async start(onSize) {
      show(key);
      try {
        const image = await load(key);
        if (!isOver) onSize(image);
      } catch {
        if (!isOver) on.onTrouble("The picture does not load. If it stays so, answer “does not play”.");
      }
    },
    unmount: () => (isOver = true),
  };
}
