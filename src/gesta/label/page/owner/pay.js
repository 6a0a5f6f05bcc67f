// What each worker is owed, and the file of it.

import { el } from "../dom.js";
import { download, get, Trouble } from "./api.js";
import { exact, money } from "./format.js";

export const pay = { title: "Pay", mount };

function mount(root, ctx) {
  const body = el("div", {}, el("p", { class: "hint", role: "status", text: "Counting" }));
  root.append(el("div", { class: "part-head" }, el("h1", { tabindex: "-1", text: "Pay" }),
    el("button", { type: "button", onclick: () => download("/api/owner/pay.csv", "pay.csv").catch(ctx.trouble) }, "Save as csv")), body);
  get("/api/owner/pay").then((report) => body.replaceChildren(...drawn(report)), (error) => {
    if (!(error instanceof Trouble)) throw error;
    if (error.status === 401) ctx.trouble(error);
    else body.replaceChildren(el("p", { class: "hint", text: error.message }));
  });
  return {};
}

function drawn(report) {
  const rule = report.rule;
  if (!rule) {
    return [el("p", { class: "panel", text: "No pay is set. Say what is paid when the service is started, and this page counts what each worker is owed." })];
  }
  const rows = report.workers ?? [];
  const sum = (name) => money(Number(report[name] ?? 0), rule.currency);
  const columns = [["Worker", "worker_id"], ["Answers", "num_answers"], ["Hours", "hours"], ["Gold", "gold"], ["Earned", "earned"], ["Withheld", "withheld"], ["Owed", "owed"], ["Why withheld", "reason"]];
  const shown = (row, key) => {
    if (key === "gold") return row.num_gold ? `${row.num_gold_right}/${row.num_gold}` : "–";
    if (key === "num_answers") return exact(row[key]);
    if (["earned", "withheld", "owed"].includes(key)) return money(Number(row[key]), rule.currency);
    return row[key] || "";
  };
  return [
    el("p", { text: `${money(Number(rule.amount), rule.currency)} for each ${rule.per}. Earned ${sum("earned")}, withheld ${sum("withheld")}, owed ${sum("owed")}.` }),
    el("div", { class: "scroll" }, el("table", { class: "pay" }, el("caption", { class: "unseen", text: "Pay by worker" }),
      el("thead", {}, el("tr", {}, columns.map(([text]) => el("th", { scope: "col", text })))),
      el("tbody", {}, rows.map((row) => el("tr", {}, columns.map(([text, key]) => el(key === "worker_id" ? "th" : "td", { scope: key === "worker_id" ? "row" : null, data: { name: text }, text: shown(row, key) }))))))),
    rows.length === 0 && el("p", { class: "hint", text: "Nobody has answered yet." }),
  ].filter(Boolean);
}
