// Each class: its funnel, its gate, and what the owner may do about it.

import { el } from "../dom.js";
import { dialog, menu } from "./ask.js";
import { gauge, stack } from "./charts.js";
import { exact, KINDS, percent } from "./format.js";
import { legend, stages } from "./overview.js";
import { splitClass } from "./split.js";

const PAGE = 60;

const ORDERS = {
  state: ["Paused first", (a, b) => stateRank(a) - stateRank(b) || a.name.localeCompare(b.name)],
  name: ["Name", (a, b) => a.name.localeCompare(b.name)],
  accuracy: ["Accuracy, lowest first", (a, b) => (a.accuracy ?? 2) - (b.accuracy ?? 2)],
  left: ["Most left to ask", (a, b) => left(b) - left(a)],
  agreement: ["Agreement, lowest first", (a, b) => (a.funnel?.agreement ?? 2) - (b.funnel?.agreement ?? 2)],
};

const stateRank = (row) => ["paused", "active", "dropped"].indexOf(row.state);
const left = (row) => (row.funnel ? row.funnel.num_waiting + row.funnel.num_asked + row.funnel.num_answering + row.funnel.num_gated : 0);

export const classes = { title: "Classes", mount, bubble: (board) => board.totals.num_paused };

function mount(root, ctx) {
  const view = { text: "", order: "state", kind: "", most: PAGE };
  const list = el("ul", { class: "class-list" });
  const summary = el("p", { class: "hint", role: "status" });
  const kinds = el("select", { "aria-label": "Kind of question", onchange: (event) => set({ kind: event.target.value }) });
  const rule = el("p", { class: "hint rule" });
  const more = el("button", { type: "button", onclick: () => set({ most: view.most + 4 * PAGE }) }, "Show more");
  const set = (change) => {
    Object.assign(view, change);
    draw();
  };
  root.append(
    el("div", { class: "part-head" }, el("h1", { tabindex: "-1", text: "Classes" }), rule),
    el("div", { class: "tools" },
      el("input", { type: "search", placeholder: "Find a class", "aria-label": "Find a class", oninput: (event) => set({ text: event.target.value.trim().toLowerCase() }) }),
      el("select", { "aria-label": "Order", onchange: (event) => set({ order: event.target.value }) },
        Object.entries(ORDERS).map(([name, [text]]) => el("option", { value: name, text }))), kinds),
    legend(), summary, list, more);

  function draw() {
    const { gates, classes: funnels, kinds: all, gate_rule } = ctx.board;
    const offered = all.map((row) => row.kind);
    if (!offered.includes(view.kind)) view.kind = offered.includes("clip") ? "clip" : offered[0] ?? "";
    if (kinds.children.length !== offered.length) {
      kinds.replaceChildren(...offered.map((kind) => el("option", { value: kind, text: KINDS[kind] ?? kind, selected: kind === view.kind })));
      kinds.hidden = offered.length < 2;
    }
    drawRule(rule, gate_rule, ctx);
    const byClass = new Map(funnels.filter((row) => row.kind === view.kind).map((row) => [row.class_id, row]));
    const rows = gates.map((row) => ({ ...row, funnel: byClass.get(row.class_id) }))
      .filter((row) => row.name.toLowerCase().includes(view.text) || String(row.class_id) === view.text)
      .sort(ORDERS[view.order][1]);
    const num = (state) => gates.filter((row) => row.state === state).length;
    summary.textContent = gates.length === 0 ? "There are no classes here: no question names one."
      : `${exact(rows.length)} of ${exact(gates.length)} classes · ${num("active")} active · ${num("paused")} paused · ${num("dropped")} dropped`;
    list.replaceChildren(...rows.slice(0, view.most).map((row) => item(row, ctx)));
    more.hidden = rows.length <= view.most;
  }
  return { draw };
}

function drawRule(place, rule, ctx) {
  const words = rule.after_num_clips && rule.threshold_frac
    ? `A class pauses by itself when, after ${rule.after_num_clips} decided clips, fewer than ${percent(rule.threshold_frac)} were accepted.`
    : "No class pauses by itself.";
  place.replaceChildren(words, " ", ctx.mayAct ? el("button", { type: "button", class: "quiet inline", data: { key: "rule" }, onclick: () => changeRule(rule, ctx) }, "Change") : "");
}

/** "9 of 25 clips accepted, 36 %; the gate asks for 50 %". */
export function gateWords(row) {
  return `${exact(row.num_accepted)} of ${exact(row.num_decided)} clips accepted, ${percent(row.accuracy)}; the gate asks for ${percent(row.threshold_frac)}`;
}

/** The one button that a class's state asks for: pause while it is active, else resume. */
export function gateButton(row, ctx) {
  if (!ctx.mayAct) return "";
  const isActive = row.state === "active";
  return el("button", { type: "button", class: isActive ? "" : "resume", data: { key: `gate ${row.class_id}` },
    "aria-label": `${isActive ? "Pause" : "Resume"} ${row.name}`, onclick: () => change(row, isActive ? "pause" : "resume", ctx) },
  isActive ? "Pause" : "Resume");
}

const DONE = { pause: "is paused: nobody is asked about it", resume: "is asked about again", drop: "is dropped" };
const BACK = { paused: "pause", active: "resume", dropped: "drop" };

async function change(row, action, ctx) {
  const path = `/api/owner/classes/${row.class_id}`;
  await ctx.did("POST", `${path}/${action}`, {}, `${row.name} ${DONE[action]}.`,
    () => ctx.did("POST", `${path}/${BACK[row.state]}`, {}, `${row.name} is as it was.`));
}

function item(row, ctx) {
  const { funnel } = row;
  const isLow = row.is_judged && row.accuracy < row.threshold_frac;
  const entries = [
    ["Threshold…", () => changeThreshold(row, ctx)],
    ["Split into others…", () => splitClass(row, [], ctx)],
    ["See what is disputed", () => ctx.go("disputed", { class_id: row.class_id })],
    row.state !== "dropped" && ["Drop the class…", () => drop(row, ctx), "danger"],
  ].filter(Boolean);
  return el("li", { class: `class-row is-${row.state}`, data: { class: row.class_id } },
    el("div", { class: "class-name" }, el("b", { text: row.name }), " ", badge(row)),
    el("div", { class: "class-bar" }, funnel ? stack(stages(funnel), row.name) : el("p", { class: "hint", text: "no questions of this kind" }),
      funnel && el("p", { class: "hint numbers", text: funnelWords(funnel) })),
    el("div", { class: "class-gate" },
      gauge({ value: row.accuracy, low: row.accuracy_low, high: row.accuracy_high, mark: row.threshold_frac, isLow, label: gateWords(row) }),
      el("p", { class: `hint numbers${isLow ? " low" : ""}`, text: row.num_decided ? `${percent(row.accuracy)} of ${exact(row.num_decided)} accepted${row.is_judged ? "" : ", too few to judge"}` : "nothing decided yet" })),
    el("div", { class: "class-actions" }, gateButton(row, ctx), ctx.mayAct && menu(`More about ${row.name}`, `menu ${row.class_id}`, entries)));
}

function funnelWords(funnel) {
  const open = funnel.num_items - funnel.num_accepted - funnel.num_rejected - funnel.num_closed;
  const parts = [`${exact(funnel.num_accepted)} accepted`, `${exact(funnel.num_rejected)} rejected`, `${exact(open)} open`];
  if (funnel.agreement !== null) parts.push(`agreement ${percent(funnel.agreement)}`);
  if (funnel.num_answers) parts.push(`unsure ${percent(funnel.answers.unsure / funnel.num_answers)}`, `broken ${percent(funnel.answers.broken / funnel.num_answers)}`);
  return parts.join(" · ");
}

function badge(row) {
  if (row.state === "active") return row.state_by === "owner" ? el("span", { class: "chip", text: "kept on by the owner", title: "The gate does not pause it until a threshold is changed." }) : "";
  const who = row.state_by === "gate" ? "by the gate" : "by the owner";
  return el("span", { class: `chip ${row.state === "paused" ? "is-low" : ""}`, text: row.state === "paused" ? `paused ${who}` : "dropped" });
}

async function drop(row, ctx) {
  const said = await dialog({
    title: `Drop ${row.name}?`, confirm: "Drop the class", tone: "danger",
    text: ["Nobody is asked about it any more. The answers so far are kept, and the class is left out of what is exported as accepted.", "Resume takes it back."],
  });
  if (said) await change(row, "drop", ctx);
}

async function changeThreshold(row, ctx) {
  const field = shareField(row.has_own_threshold ? row.threshold_frac : null);
  const said = await dialog({
    title: `Threshold of ${row.name}`, confirm: "Set",
    text: ["The class pauses when a smaller share of its decided clips is accepted. Empty: as for all classes."],
    fill: (body) => body.append(field.label, field.input), check: field.check,
  });
  if (said) await ctx.did("PUT", `/api/owner/classes/${row.class_id}/threshold`, { threshold_frac: field.value() }, `The threshold of ${row.name} is set.`);
}

async function changeRule(rule, ctx) {
  const field = shareField(rule.threshold_frac);
  const said = await dialog({
    title: "Threshold of all classes", confirm: "Set",
    text: ["A class without a threshold of its own pauses when a smaller share of its decided clips is accepted. Classes that you resumed are looked at again; those that you paused or dropped stay so."],
    fill: (body) => body.append(field.label, field.input), check: () => (field.value() === null ? "Give a number from 0 to 100." : field.check()),
  });
  if (said) await ctx.did("PUT", "/api/owner/threshold", { threshold_frac: field.value() }, "The threshold is set.");
}

function shareField(frac) {
  const input = el("input", { id: "share", type: "number", min: 0, max: 100, step: "any", inputmode: "decimal", value: frac === null ? null : Math.round(frac * 1000) / 10 });
  const value = () => (input.value.trim() === "" ? null : Number(input.value) / 100);
  return { input, value, label: el("label", { for: "share", text: "Percent accepted, at least" }),
    check: () => (input.validity.badInput || (value() !== null && !(value() >= 0 && value() <= 1)) ? "Give a number from 0 to 100." : "") };
}
