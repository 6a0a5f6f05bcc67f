// What people say that clips show instead: the raw material of new classes.

import { el } from "../dom.js";
import { get } from "./api.js";
import { exact } from "./format.js";
import { splitClass } from "./split.js";

export const suggestions = { title: "Suggestions", mount };

function mount(root, ctx) {
  const view = { rows: null, text: "" };
  const list = el("div", { class: "suggested" });
  const summary = el("p", { class: "hint", role: "status", text: "Fetching" });
  root.append(el("div", { class: "part-head" }, el("h1", { tabindex: "-1", text: "Suggestions" }),
    el("p", { class: "hint", text: "What workers wrote when a clip showed another action, counted as they wrote it." })),
  el("div", { class: "tools" }, el("input", { type: "search", placeholder: "Find an action", "aria-label": "Find an action", oninput: (event) => {
    view.text = event.target.value.trim().toLowerCase();
    draw();
  } })), summary, list);

  function draw() {
    if (!view.rows) return;
    const groups = new Map();
    for (const row of view.rows) {
      if (!`${row.text} ${row.class_name ?? ""}`.toLowerCase().includes(view.text)) continue;
      if (!groups.has(row.class_id)) groups.set(row.class_id, []);
      groups.get(row.class_id).push(row);
    }
    summary.textContent = view.rows.length ? `${exact(view.rows.length)} different suggestions` : "Nobody has suggested another action yet.";
    list.replaceChildren(...[...groups.values()].map((rows) => group(rows, ctx)));
  }

  async function look() {
    const rows = await get("/api/owner/suggestions");
    const changed = rows !== view.rows;
    view.rows = rows;
    return changed;
  }
  look().then(draw, ctx.trouble);
  return { draw, look };
}

function group(rows, ctx) {
  const { class_id, class_name } = rows[0];
  const most = Math.max(...rows.map((row) => row.num_votes));
  const known = new Set(ctx.board.gates.map((row) => row.name.toLowerCase()));
  const title = class_name ?? "No class";
  const fresh = rows.filter((row) => row.num_votes > 1 && !known.has(row.text)).slice(0, 3).map((row) => row.text);
  const maySplit = ctx.mayAct && class_id !== null;
  return el("section", { class: "panel" },
    el("div", { class: "row ends" }, el("h2", {}, el("span", { class: "hint", text: "Instead of " }), title),
      maySplit && el("button", { type: "button", data: { key: `split ${class_id}` }, onclick: () => splitClass({ class_id, name: title }, fresh, ctx, { clips: "suggested" }) }, "Split the class…")),
    el("ol", { class: "counts" }, rows.slice(0, 12).map((row) => {
      const bar = el("i", { class: "accepted" });
      bar.style.width = `${(100 * row.num_votes) / most}%`;
      return el("li", {}, el("span", { class: "text", text: row.text }), el("span", { class: "track" }, bar),
        el("span", { class: "numbers", text: `${exact(row.num_votes)}×`, title: `on ${exact(row.num_items)} clips` }),
        known.has(row.text) ? el("span", { class: "chip", text: "is a class" })
          : maySplit ? el("button", { type: "button", class: "quiet", "aria-label": `Make a class of ${row.text}`, data: { key: `make ${class_id} ${row.text}` }, onclick: () => splitClass({ class_id, name: title }, [title, row.text], ctx, { clips: "suggested" }) }, "Make a class…") : "");
    })),
    rows.length > 12 && el("p", { class: "hint", text: `and ${exact(rows.length - 12)} more` }));
}
