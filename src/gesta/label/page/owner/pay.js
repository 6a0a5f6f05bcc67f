// What each worker is owed, and the file of it.

import { el } from "../dom.js";
import { download, get, Trouble } from "./api.js";
import { dialog } from "./ask.js";
import { exact, money } from "./format.js";

export const pay = { title: "Pay", mount };

function mount(root, ctx) {
  const body = el("div", { class: "pay-body" }, el("p", { class: "hint", role: "status", text: "Counting" }));
  const save = el("button", { type: "button", class: "save", onclick: () => download("/api/owner/pay.csv", "pay.csv").catch(ctx.trouble) }, "Save as csv");
  root.append(el("div", { class: "part-head" }, el("h1", { tabindex: "-1", text: "Pay" }),
    el("span", { class: "row head-actions" }, ctx.mayAct && el("button", { type: "button", data: { key: "pay rule" }, onclick: () => setRule(ctx).then((isSet) => isSet && load()) }, "What is paid…"), save)), body);

  async function load() {
    try {
      body.replaceChildren(...drawn(await get("/api/owner/pay")));
      save.hidden = false;
    } catch (error) {
      if (!(error instanceof Trouble)) throw error;
      ctx.trouble(error);
    }
  }
  // Without a rule there is nothing to ask for; pay is the owner's alone.
  save.hidden = true;
  if (ctx.mayAct && ctx.board.money) load();
  else body.replaceChildren(el("p", { class: "panel", text: ctx.mayAct ? "Nobody has said yet what is paid for. Once it is set, this page counts what each worker is owed." : "Pay is shown to owners only." }));
  return {};
}

function drawn(report) {
  const rule = report.rule;
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
    el("p", { text: `${rule.amount} ${rule.currency} for each ${rule.per}. Earned ${sum("earned")}, withheld ${sum("withheld")}, owed ${sum("owed")}.` }),
    el("div", { class: "scroll" }, el("table", { class: "pay" }, el("caption", { class: "unseen", text: "Pay by worker" }),
      el("thead", {}, el("tr", {}, columns.map(([text]) => el("th", { scope: "col", text })))),
      el("tbody", {}, rows.map((row) => el("tr", {}, columns.map(([text, key]) => el(key === "worker_id" ? "th" : "td", { scope: key === "worker_id" ? "row" : null, data: { name: text }, text: shown(row, key) }))))))),
    rows.length === 0 && el("p", { class: "hint", text: "Nobody has answered yet." }),
  ].filter(Boolean);
}

async function setRule(ctx) {
  const now = ctx.board.money;
  const amount = el("input", { id: "amount", inputmode: "decimal", value: now ? now.amount : "", placeholder: "0.15" });
  const per = el("select", { id: "per" }, ["answer", "task", "hour"].map((one) => el("option", { value: one, text: `for each ${one}`, selected: one === now?.per })));
  const currency = el("input", { id: "currency", value: now?.currency ?? "USD", maxlength: 3 });
  const field = (text, input) => el("div", {}, el("label", { for: input.id, text }), input);
  const said = await dialog({
    title: "What is paid", confirm: "Set",
    text: ["It counts for all the work so far, too. Nothing is paid from here: the report says what is owed."],
    fill: (body) => body.append(field("Amount", amount), field("Paid", per), field("Currency", currency)),
    check: () => (!/^\d{1,7}(\.\d{1,6})?$/.test(amount.value.trim()) ? "Give an amount such as 0.15." : /^[A-Z]{3}$/.test(currency.value.trim()) ? "" : "Give a currency such as USD or EUR."),
  });
  if (!said) return false;
  const done = await ctx.did("PUT", "/api/owner/pay/rule", { per: per.value, amount: amount.value.trim(), currency: currency.value.trim() }, "What is paid is set.");
  return Boolean(done);
}
