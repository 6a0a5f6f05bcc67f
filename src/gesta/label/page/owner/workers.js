// Everybody who works here, and what the owner may do about each.

import { el } from "../dom.js";
import { get } from "./api.js";
import { dialog, menu } from "./ask.js";
import { gauge } from "./charts.js";
import { ago, clock, exact, part, percent, seconds } from "./format.js";

const PAGE = 100;

/** Columns: key, heading, what sorts it, whether large comes first. */
const COLUMNS = [
  ["worker_id", "Worker", (row) => row.worker_id.toLowerCase(), false],
  ["state", "State", (row) => ["barred", "paused", "active"].indexOf(row.state), false],
  ["num_votes", "Answers", (row) => row.num_votes, true],
  ["gold_accuracy", "Gold right", (row) => row.gold_accuracy ?? 2, false],
  ["agreement", "Agrees with verdicts", (row) => row.agreement ?? 2, false],
  ["median_spent_ms", "Median time", (row) => row.median_spent_ms ?? 1e12, false],
  ["last_at_us", "Last answer", (row) => row.last_at_us ?? 0, true],
];

const SHOWN = { "": "All", active: "Active", paused: "Paused", barred: "Barred", low: "Gold under 70 %" };

export const workers = { title: "Workers", mount };

function mount(root, ctx) {
  const view = { rows: null, text: "", state: "", sort: "num_votes", isDown: true, most: PAGE };
  const set = (change) => {
    Object.assign(view, change);
    draw();
  };
  const head = el("tr", {});
  const body = el("tbody");
  const summary = el("p", { class: "hint", role: "status", text: "Fetching the workers" });
  const more = el("button", { type: "button", hidden: true, onclick: () => set({ most: view.most + 4 * PAGE }) }, "Show more");
  root.append(
    el("div", { class: "part-head" }, el("h1", { tabindex: "-1", text: "Workers" }), ctx.mayAct && el("a", { class: "button", href: "#invites" }, "Invite people")),
    el("div", { class: "tools" },
      el("input", { type: "search", placeholder: "Find a worker", "aria-label": "Find a worker", oninput: (event) => set({ text: event.target.value.trim().toLowerCase() }) }),
      el("select", { "aria-label": "Which workers", onchange: (event) => set({ state: event.target.value }) },
        Object.entries(SHOWN).map(([value, text]) => el("option", { value, text }))),
      el("select", { "aria-label": "Order", class: "narrow-only", onchange: (event) => sortBy(event.target.value) },
        COLUMNS.map(([key, text]) => el("option", { value: key, text: `By ${text.toLowerCase()}`, selected: key === view.sort })))),
    summary,
    el("div", { class: "scroll" }, el("table", { class: "workers" }, el("caption", { class: "unseen", text: "Workers" }), el("thead", {}, head), body)), more);

  function sortBy(key) {
    const column = COLUMNS.find(([name]) => name === key);
    set({ sort: key, isDown: view.sort === key ? !view.isDown : column[3] });
  }

  function draw() {
    head.replaceChildren(...COLUMNS.map(([key, text]) => el("th", { scope: "col", "aria-sort": view.sort === key ? (view.isDown ? "descending" : "ascending") : null },
      el("button", { type: "button", class: "quiet sort", data: { key: `sort ${key}` }, onclick: () => sortBy(key) }, text, el("span", { "aria-hidden": "true", text: view.sort === key ? (view.isDown ? " ↓" : " ↑") : "" })))),
    el("th", { scope: "col" }, el("span", { class: "unseen", text: "Actions" })));
    if (!view.rows) return;
    const by = COLUMNS.find(([key]) => key === view.sort)[2];
    const rows = view.rows.filter((row) => row.worker_id.toLowerCase().includes(view.text) && matches(row, view.state))
      .sort((a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0) * (view.isDown ? -1 : 1));
    const num = (state) => view.rows.filter((row) => row.state === state).length;
    summary.textContent = `${exact(rows.length)} of ${exact(view.rows.length)} · ${num("active")} active · ${num("paused")} paused · ${num("barred")} barred`;
    body.replaceChildren(...rows.slice(0, view.most).map((row) => line(row, ctx)));
    more.hidden = rows.length <= view.most;
  }

  async function look() {
    const rows = await get("/api/owner/board/workers");
    const changed = rows !== view.rows;
    view.rows = rows;
    return changed;
  }
  look().then(draw, ctx.trouble);
  return { draw, look };
}

function matches(row, state) {
  if (state === "low") return row.gold_accuracy !== null && row.gold_accuracy < 0.7;
  return !state || row.state === state;
}

function cell(text, name, ...children) {
  return el("td", { data: { name } }, text, children);
}

function line(row, ctx) {
  const gold = row.num_gold
    ? [gauge({ value: row.gold_accuracy, low: row.gold_low, high: row.gold_high, isLow: row.gold_accuracy < 0.7, label: `gold ${percent(row.gold_accuracy)}` }),
      el("span", { class: "numbers", text: `${percent(row.gold_accuracy)}  ${row.num_gold_right}/${row.num_gold}`, title: `True share between ${percent(row.gold_low)} and ${percent(row.gold_high)}, with 95 % confidence` })]
    : [el("span", { class: "hint", text: "none yet" })];
  return el("tr", { class: `is-${row.state}`, data: { worker: row.worker_id } },
    el("th", { scope: "row" }, el("b", { text: row.worker_id }), row.role === "worker" ? "" : el("span", { class: "chip", text: row.role }), row.origin === "invite" || row.origin === "local" ? "" : el("span", { class: "chip", text: row.origin })),
    cell("", "State", el("span", { class: `state is-${row.state}`, text: stateWords(row), title: row.state_reason })),
    cell(exact(row.num_votes), "Answers"),
    el("td", { class: "gold", data: { name: "Gold right" } }, gold),
    cell(percent(row.agreement), "Agrees with verdicts", row.agreement === null ? "" : el("span", { class: "hint", text: ` of ${exact(row.num_judged)}` })),
    cell(seconds(row.median_spent_ms), "Median time"),
    el("td", { data: { name: "Last answer" }, title: clock(row.last_at_us) }, ago(row.last_at_us)),
    el("td", { class: "actions" }, ctx.mayAct && row.role !== "owner" && !row.worker_id.includes("~") ? actions(row, ctx) : ""));
}

function stateWords(row) {
  if (row.state === "active") return row.is_held_by_owner ? "active, kept by the owner" : "active";
  if (row.state === "paused") return "paused";
  return row.is_held_by_owner ? "barred by the owner" : "barred by gold";
}

function actions(row, ctx) {
  const path = `/api/owner/workers/${part(row.worker_id)}`;
  const resume = () => ctx.did("POST", `${path}/resume`, {}, `${row.worker_id} may go on, and all their answers count.`);
  const entries = [
    row.state === "active" ? ["Pause", () => ctx.did("POST", `${path}/pause`, {}, `${row.worker_id} gets no more tasks. The answers count.`, resume)] : ["Resume", resume],
    row.state !== "barred" && ["Ban…", () => ban(row, path, resume, ctx), "danger"],
    ["Ask all of it again…", () => reopen(row, path, ctx), "danger"],
    ["New sign-in link…", () => newLink(row, path, ctx)],
  ].filter(Boolean);
  return menu(`What to do about ${row.worker_id}`, `menu ${row.worker_id}`, entries);
}

async function ban(row, path, resume, ctx) {
  const reason = el("input", { id: "reason", maxlength: 200 });
  const said = await dialog({
    title: `Ban ${row.worker_id}?`, confirm: "Ban the worker", tone: "danger",
    text: [`${row.worker_id} gets no more tasks. Their ${exact(row.num_votes)} answers are set aside, and what they had decided is asked of others again.`, "Resume takes it back: then the answers count again."],
    fill: (body) => body.append(el("label", { for: "reason", text: "Why (for the diary; may be empty)" }), reason),
  });
  if (said) await ctx.did("POST", `${path}/ban`, { reason: reason.value }, `${row.worker_id} is banned, and the answers are set aside.`, resume);
}

async function reopen(row, path, ctx) {
  const said = await dialog({
    title: `Ask everything of ${row.worker_id} again?`, confirm: "Set the answers aside", tone: "danger",
    text: [`All ${exact(row.num_votes)} answers so far are set aside for good, and the questions are asked again, of others or of ${row.worker_id}. ${row.worker_id} may go on, with gold counted from the start.`, "This cannot be undone. Pay reports still show the work."],
  });
  if (said) await ctx.did("POST", `${path}/reopen`, {}, `The answers of ${row.worker_id} are set aside and asked again.`);
}

async function newLink(row, path, ctx) {
  const said = await dialog({
    title: `A new link for ${row.worker_id}?`, confirm: "Make a new link",
    text: ["The worker can sign in with it on another device. The old sign-in ends at once."],
  });
  if (!said) return;
  const made = await ctx.did("POST", `${path}/token`, {}, "The link is made.");
  if (made) await showLink(`The link of ${row.worker_id}`, `${location.origin}/#token=${made.token}`);
}

/** Show a link that cannot be shown again, with a button that copies it. */
export async function showLink(title, link) {
  const field = el("input", { id: "link", readonly: true, value: link, onfocus: (event) => event.target.select() });
  const copied = el("span", { class: "hint", role: "status" });
  await dialog({
    title, text: ["Send it to the person over a channel that you trust. It is shown only now."],
    fill: (body) => body.append(el("label", { for: "link", text: "Link" }), field,
      el("div", { class: "row" }, el("button", { type: "button", class: "primary", onclick: () => copy(field, copied) }, "Copy"), copied)),
  });
}

async function copy(field, copied) {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    copied.textContent = "Copied.";
  } catch {
    copied.textContent = "Press Ctrl+C to copy it.";
  }
}
