// The campaign at a glance: big numbers, the funnel as a whole, two charts, and what wants the owner's attention.

import { el } from "../dom.js";
import { chart, stack, wilson } from "./charts.js";
import { gateButton, gateWords } from "./classes.js";
import { clock, exact, hours, KINDS, money, number, percent, seconds } from "./format.js";

/** The stages that an item goes through, in order, and how each is painted. */
export const STAGES = [
  ["num_accepted", "accepted", "accepted"],
  ["num_rejected", "rejected", "rejected"],
  ["num_answering", "being answered", "answering"],
  ["num_asked", "asked, no answer yet", "asked"],
  ["num_waiting", "waiting", "waiting"],
  ["num_gated", "waiting for another item", "gated"],
  ["num_closed", "closed", "closed"],
];

export const stages = (row) => STAGES.map(([key, name, tone]) => ({ value: row[key], name, tone }));

export const overview = { title: "Overview", mount };

function mount(root, ctx) {
  return {
    draw() {
      const board = ctx.board;
      root.replaceChildren(
        el("h1", { class: "unseen", tabindex: "-1", text: "Overview" }),
        tiles(board),
        el("section", { class: "panel", "aria-labelledby": "funnel-title" },
          el("h2", { id: "funnel-title", text: "Where the questions are" }), legend(),
          board.kinds.map((row) => kindRow(row)),
          board.kinds.length === 0 && el("p", { class: "hint", text: "There are no questions yet. The service takes them from the work folder when it starts." })),
        el("div", { class: "twins" }, hourChart(board), goldChart(board)),
        attention(board, ctx),
        board.covers.is_whole ? "" : el("p", { class: "hint", text: `The log is long: times and gold so far cover the newest ${exact(board.covers.num_votes)} answers; older ones are being read.` }));
    },
  };
}

function tile(name, value, detail, { tone = "", href = null, frac = null } = {}) {
  const bar = frac === null ? "" : el("progress", { max: 1, value: frac, "aria-hidden": "true" });
  const inner = [el("span", { class: "name", text: name }), el("span", { class: "value", text: value }), bar, el("span", { class: "detail", text: detail })];
  return href ? el("a", { class: `tile ${tone}`, href }, inner) : el("div", { class: `tile ${tone}` }, inner);
}

function tiles({ totals, kinds, gold, forecast, money: cost, gates }) {
  const decided = totals.num_accepted + totals.num_rejected;
  const asked = totals.num_items - totals.num_closed;
  const clips = kinds.find((row) => row.kind === "clip") ?? kinds.find((row) => row.agreement !== null);
  const accuracy = gold.num_seen ? gold.num_right / gold.num_seen : null;
  const byGate = gates.filter((row) => row.state === "paused" && row.state_by === "gate").length;
  return el("div", { class: "tiles" },
    tile("Decided", asked ? percent(decided / asked) : "–", `${exact(decided)} of ${exact(asked)} questions`, { frac: asked ? decided / asked : 0 }),
    tile("Answers", number(totals.num_cast), forecast.rate_per_hour ? `${number(forecast.rate_per_hour)} an hour now` : totals.num_at_work ? "no pace to tell yet" : "none in the last hour"),
    tile("At work", exact(totals.num_at_work), `people in the last 15 min · ${seconds(totals.median_spent_ms)} an answer`),
    tile("Accepted", percent(totals.accepted_frac), "of the decided questions"),
    tile("Agreement", percent(clips?.agreement), clips?.alpha === null || clips?.alpha === undefined ? "of pairs of answers" : `of pairs · Krippendorff's α ${clips.alpha.toFixed(2)}`),
    tile("Gold right", percent(accuracy), gold.num_seen ? `of ${exact(gold.num_seen)} known answers` : "no known answers asked yet", { tone: accuracy !== null && accuracy < 0.7 ? "is-low" : "" }),
    timeLeft(forecast, decided),
    cost ? tile("Cost", money(cost.so_far, cost.currency), cost.still ? `so far · about ${money(cost.still, cost.currency)} to come` : "so far", { href: "#pay" })
      : tile("Cost", "–", "no pay is set", { href: "#pay" }),
    totals.num_paused ? tile("Paused classes", exact(totals.num_paused), byGate ? `${byGate} by the gate` : "by the owner", { tone: "is-low", href: "#classes" }) : "");
}

function timeLeft({ num_answers, num_answers_held, hours: left }, decided) {
  const held = num_answers_held ? `about ${number(num_answers_held)} answers wait in paused classes` : "";
  if (num_answers) return tile("Time left", hours(left), `${left === null ? "" : "at this pace · "}about ${number(num_answers)} more answers`);
  return held ? tile("Time left", "held", held, { tone: "is-low", href: "#classes" }) : tile("Time left", decided ? "done" : "–", "nothing is left to ask");
}

export function legend() {
  return el("ul", { class: "legend" }, STAGES.map(([, name, tone]) => el("li", {}, el("i", { class: tone }), name)));
}

function kindRow(row) {
  const name = KINDS[row.kind] ?? row.kind;
  return el("div", { class: "kind-row" },
    el("div", { class: "row ends" }, el("b", { text: name }),
      el("span", { class: "hint", text: `${exact(row.num_items)} questions · ${exact(row.num_answers)} answers that count${row.answers_per_decided ? ` · ${row.answers_per_decided.toFixed(1)} for each decided` : ""}` })),
    stack(stages(row), name),
    el("p", { class: "hint numbers", text: STAGES.filter(([key]) => row[key]).map(([key, said]) => `${exact(row[key])} ${said}`).join(" · ") }));
}

function label(start_us, place) {
  return place % 4 === 3 ? clock(start_us, { withDay: false }) : "";
}

function hourChart(board) {
  const rows = board.answers_by_hour;
  return el("section", { class: "panel" }, chart({
    title: "Answers", unit: "per hour, last 24 hours",
    empty: "No answers in the last 24 hours.", format: number,
    points: rows.map((row, place) => ({
      label: label(row.start_us, place), when: clock(row.start_us), value: row.num, isRunning: place === rows.length - 1,
      tip: `${clock(row.start_us)}: ${exact(row.num)} answers${place === rows.length - 1 ? " so far" : ""}`,
    })),
  }));
}

function goldChart(board) {
  return el("section", { class: "panel" }, chart({
    title: "Known answers given right", unit: "percent by hour, with 95 % intervals", kind: "line", top: 1,
    empty: "No known answers were asked in the last 24 hours.", format: (value) => `${Math.round(100 * value)} %`, mark: 0.5,
    points: board.gold_by_hour.map((row, place) => {
      const [low, high] = wilson(row.num_right, row.num_seen);
      return { label: label(row.start_us, place), when: clock(row.start_us), low, high, value: row.num_seen ? row.num_right / row.num_seen : null,
        tip: `${clock(row.start_us)}: ${row.num_right} of ${row.num_seen} right, ${percent(row.num_seen ? row.num_right / row.num_seen : null)}` };
    }),
  }));
}

function attention(board, ctx) {
  const paused = board.gates.filter((row) => row.state === "paused" && row.state_by === "gate");
  if (!paused.length) return "";
  return el("section", { class: "panel", "aria-labelledby": "attention-title" },
    el("h2", { id: "attention-title", text: "Paused by the gate" }),
    el("p", { class: "hint", text: "Fewer of their clips were accepted than the threshold asks for. Nobody is asked about them until you resume them." }),
    el("ul", { class: "attention" }, paused.slice(0, 8).map((row) =>
      el("li", {}, el("b", { text: row.name }), el("span", { class: "hint", text: gateWords(row) }), gateButton(row, ctx)))),
    paused.length > 8 && el("a", { href: "#classes", text: `and ${paused.length - 8} more` }));
}
