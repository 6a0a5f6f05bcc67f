// Links that let people in.

import { el } from "../dom.js";
import { get } from "./api.js";
import { dialog } from "./ask.js";
import { clock, exact, part } from "./format.js";
import { showLink } from "./workers.js";

const DAY_S = 86_400;
const ROLES = { worker: "Worker: answers questions", reviewer: "Reviewer: also reviews, and reads the dashboard", owner: "Owner: may do everything here" };

export const invites = { title: "Invites", mount };

function mount(root, ctx) {
  const view = { rows: null };
  const list = el("ul", { class: "invites" });
  const summary = el("p", { class: "hint", role: "status", text: "Fetching" });
  root.append(el("div", { class: "part-head" }, el("h1", { tabindex: "-1", text: "Invites" }),
    el("p", { class: "hint", text: "Whoever opens an invite's link chooses a name and begins. The link is shown once, when it is made." })),
  ctx.mayAct ? maker(ctx) : "", summary, list);

  function draw() {
    if (!view.rows) return;
    const open = view.rows.filter((row) => stateOf(row) === "open").length;
    summary.textContent = view.rows.length ? `${exact(open)} open, ${exact(view.rows.length)} in all` : "There is no invite yet.";
    list.replaceChildren(...view.rows.map((row) => line(row, ctx)));
  }

  async function look() {
    // This list has no ETag: compare what it says.
    const rows = await get("/api/owner/invites");
    const changed = JSON.stringify(rows) !== JSON.stringify(view.rows);
    view.rows = rows;
    return changed;
  }
  look().then(draw, ctx.trouble);
  return { draw, look };
}

function maker(ctx) {
  const role = el("select", { id: "role" }, Object.entries(ROLES).map(([value, text]) => el("option", { value, text })));
  const uses = el("input", { id: "uses", type: "number", min: 1, max: 1_000_000, step: 1, placeholder: "any number" });
  const days = el("select", { id: "days" }, [["1", "1 day"], ["7", "7 days"], ["30", "30 days"], ["", "never"]].map(([value, text]) => el("option", { value, text, selected: value === "7" })));
  const note = el("input", { id: "note", maxlength: 200, placeholder: "who it is for" });
  const problem = el("p", { class: "problem", role: "alert" });
  const field = (name, input) => el("div", {}, el("label", { for: input.id, text: name }), input);
  return el("form", { class: "panel maker", novalidate: true, onsubmit: async (event) => {
    event.preventDefault();
    problem.textContent = uses.validity.valid ? "" : "People at most: a whole number from 1, or empty.";
    if (problem.textContent) return;
    const made = await ctx.did("POST", "/api/owner/invites", {
      role: role.value, note: note.value.trim(), max_uses: uses.value ? Number(uses.value) : null, expires_in_s: days.value ? Number(days.value) * DAY_S : null,
    }, "The invite is made.");
    if (!made) return;
    note.value = "";
    await showLink("The invite's link", `${location.origin}/join#${made.code}`);
  } },
  el("h2", { text: "Make an invite" }),
  el("div", { class: "fields-row" }, field("Role", role), field("People at most", uses), field("Ends after", days), field("Note", note)),
  problem, el("button", { class: "primary" }, "Make the link"));
}

function stateOf(row) {
  if (row.is_revoked) return "withdrawn";
  if (row.expires_at_us !== null && row.expires_at_us <= Date.now() * 1000) return "expired";
  return row.max_uses !== null && row.num_used >= row.max_uses ? "used up" : "open";
}

function line(row, ctx) {
  const state = stateOf(row);
  return el("li", { class: `invite is-${state === "open" ? "open" : "over"}`, data: { invite: row.id } },
    el("span", {}, el("b", { text: row.note || "no note" }), " ", el("span", { class: "chip", text: row.role }), " ", el("span", { class: "chip", text: state })),
    el("span", { class: "hint numbers", text: `${exact(row.num_used)} of ${row.max_uses === null ? "any number" : exact(row.max_uses)} came · made ${clock(row.made_at_us)}${row.expires_at_us === null ? "" : ` · ends ${clock(row.expires_at_us)}`}` }),
    ctx.mayAct && state === "open" ? el("button", { type: "button", data: { key: `revoke ${row.id}` }, "aria-label": `Withdraw the invite ${row.note || row.id}`, onclick: () => revoke(row, ctx) }, "Withdraw…") : "");
}

async function revoke(row, ctx) {
  const said = await dialog({
    title: "Withdraw the invite?", confirm: "Withdraw", tone: "danger",
    text: ["The link lets nobody in any more. Those who came with it stay. It cannot be opened again; a new one can be made."],
  });
  if (said) await ctx.did("DELETE", `/api/owner/invites/${part(row.id)}`, {}, "The invite is withdrawn.");
}
