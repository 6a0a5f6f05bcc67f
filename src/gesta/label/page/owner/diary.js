// Who did what when.

import { el } from "../dom.js";
import { get } from "./api.js";
import { clock, exact, percent } from "./format.js";

const STEP = 100;

export const diary = { title: "Diary", mount };

/** What happened, in words; an event that is not known here is told by its own name. */
const WORDS = {
  "class-paused": "paused the class", "class-resumed": "resumed the class", "class-dropped": "dropped the class",
  "class-split": "split the class", "class-merged": "merged the class", "pay-rule-set": "set what is paid:", "threshold-set": "set the threshold of", "worker-joined": "joined", "worker-barred": "barred",
  "worker-banned": "banned", "worker-paused": "paused", "worker-resumed": "resumed", "answers-reopened": "had everything asked again of",
  "token-replaced": "made a new link for", "invite-made": "made the invite", "invite-revoked": "withdrew the invite",
};
const ACTORS = { gate: "The gate", gold: "Gold" };

function mount(root, ctx) {
  const view = { newest: null, older: [], isEnd: false };
  const list = el("ol", { class: "diary" });
  const more = el("button", { type: "button", hidden: true, onclick: async () => {
    const last = [...view.newest, ...view.older].at(-1);
    try {
      const rows = await get(`/api/owner/events?limit=${STEP}&before=${last.event_id}`);
      view.older.push(...rows);
      view.isEnd = rows.length < STEP;
      draw();
    } catch (error) {
      ctx.trouble(error);
    }
  } }, "Older");
  const empty = el("p", { class: "hint", role: "status", text: "Fetching" });
  root.append(el("div", { class: "part-head" }, el("h1", { tabindex: "-1", text: "Diary" }), el("p", { class: "hint", text: "Everything that was done to classes, workers and invites, the newest first. Nothing here is ever deleted." })), empty, list, more);

  function draw() {
    if (!view.newest) return;
    empty.textContent = view.newest.length ? "" : "Nothing has happened yet.";
    const seen = new Set(view.newest.map((row) => row.event_id));
    list.replaceChildren(...[...view.newest, ...view.older.filter((row) => !seen.has(row.event_id))].map(line));
    more.hidden = view.isEnd || view.newest.length < STEP;
  }

  async function look() {
    const rows = await get(`/api/owner/events?limit=${STEP}`);
    const changed = rows !== view.newest;
    // What the newest page no longer holds stays on the screen.
    if (changed && view.newest && view.older.length) view.older.unshift(...view.newest.filter((row) => !rows.some((one) => one.event_id === row.event_id)));
    view.newest = rows;
    return changed;
  }
  look().then(draw, ctx.trouble);
  return { draw, look };
}

function line(row) {
  const subject = row.subject === "*" ? "all classes" : row.subject;
  const isOwn = row.actor === row.subject;
  return el("li", {}, el("time", { datetime: new Date(row.at_us / 1000).toISOString(), text: clock(row.at_us) }), " ",
    el("span", {}, el("b", { text: ACTORS[row.actor] ?? row.actor }), ` ${WORDS[row.what] ?? row.what} `, isOwn ? "" : el("b", { text: subject }), el("span", { class: "hint", text: detailOf(row) })));
}

function detailOf({ detail }) {
  const said = [];
  if (detail.num_decided !== undefined) said.push(`${exact(detail.num_accepted)} of ${exact(detail.num_decided)} clips accepted`);
  if (detail.threshold_frac !== undefined) said.push(`threshold ${detail.threshold_frac === null ? "as for all" : percent(detail.threshold_frac)}`);
  if (detail.num_gold !== undefined) said.push(`${detail.num_gold_right} of ${detail.num_gold} gold right`);
  if (detail.num_answers !== undefined) said.push(`${exact(detail.num_answers)} answers`);
  if (detail.into !== undefined) said.push(`into ${[detail.into].flat().map((one) => one?.name ?? one).join(", ")}`);
  if (detail.role) said.push(detail.role);
  if (detail.reason) said.push(`“${detail.reason}”`);
  return said.length ? `  ${said.join(" · ")}` : "";
}
