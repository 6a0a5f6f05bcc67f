// What people disagree on, playing side by side, with how they answered.

import { el } from "../dom.js";
import { get } from "./api.js";
import { stack } from "./charts.js";
import { exact } from "./format.js";

const STEP = 24;

export const disputed = { title: "Disputed", mount };

function mount(root, ctx) {
  const view = { class_id: ctx.filter.class_id ?? null, limit: STEP };
  const grid = el("ul", { class: "clips" });
  const summary = el("p", { class: "hint", role: "status" });
  const more = el("button", { type: "button", hidden: true, onclick: () => {
    view.limit = Math.min(200, view.limit + 2 * STEP);
    fetchAll();
  } }, "Show more");
  const choice = el("select", { "aria-label": "Class", onchange: (event) => {
    view.class_id = event.target.value === "" ? null : Number(event.target.value);
    view.limit = STEP;
    fetchAll();
  } }, el("option", { value: "", text: "All classes" }),
  [...ctx.board.gates].sort((a, b) => a.name.localeCompare(b.name)).map((row) => el("option", { value: row.class_id, text: row.name, selected: row.class_id === view.class_id })));
  // Only what is in sight plays: a page of videos would keep a laptop busy.
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) target.play().catch(() => {});
      else target.pause();
    }
  }, { threshold: 0.4 });
  root.append(el("div", { class: "part-head" }, el("h1", { tabindex: "-1", text: "Disputed" }),
    el("p", { class: "hint", text: "The clips whose answers differ most. Often the action's name is what divides people: split the class, or word it better." })),
  el("div", { class: "tools" }, choice, el("button", { type: "button", onclick: () => fetchAll() }, "Look again")), summary, grid, more);

  async function fetchAll() {
    const path = `/api/owner/disputed?limit=${view.limit}${view.class_id === null ? "" : `&class_id=${view.class_id}`}`;
    summary.textContent = "Fetching";
    try {
      const rows = await get(path);
      watcher.disconnect();
      grid.replaceChildren(...rows.map((row) => card(row, watcher)));
      summary.textContent = rows.length ? `${exact(rows.length)} shown, the most divided first` : "Nobody disagrees yet.";
      more.hidden = rows.length < view.limit || view.limit >= 200;
    } catch (error) {
      summary.textContent = "";
      ctx.trouble(error);
    }
  }
  fetchAll();
  return { unmount: () => watcher.disconnect() };
}

const TONES = { yes: "accepted", no: "rejected", unsure: "answering", broken: "closed" };

function card(row, watcher) {
  const name = row.class_name ?? "no class";
  const said = Object.entries(row.answers).filter(([, num]) => num).map(([answer, num]) => `${num} ${answer}`).join(" · ");
  const note = el("p", { class: "no-video", hidden: true, text: "This clip cannot be played." });
  const video = row.media_url && el("video", { src: row.media_url, muted: true, loop: true, playsinline: true, preload: "metadata", tabindex: "0", "aria-label": `Clip of ${name}. Space plays and pauses.` });
  if (video) {
    // The attribute alone mutes only what is loaded later.
    video.muted = true;
    watcher.observe(video);
    const toggle = () => (video.paused ? video.play().catch(() => {}) : video.pause());
    video.addEventListener("click", toggle);
    video.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
    video.addEventListener("error", () => {
      note.hidden = false;
    });
  } else note.hidden = false;
  return el("li", { class: "clip" }, el("div", { class: "clip-frame" }, video, note),
    el("p", {}, el("b", { text: name }), " ", el("span", { class: "chip", text: row.verdict }), row.kind === "box" && el("span", { class: "chip", text: "boxed person" })),
    stack(Object.entries(row.answers).map(([answer, value]) => ({ value, name: answer, tone: TONES[answer] })), `Answers about ${name}`),
    el("p", { class: "hint numbers", text: said }),
    el("p", { class: "hint id", text: row.clip_id }));
}
