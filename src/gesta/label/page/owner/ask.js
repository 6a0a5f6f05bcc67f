// Dialogs that say what will happen, and a note at the bottom that lets it be undone.

import { el } from "../dom.js";

const toast = document.getElementById("toast");
let hiding = 0;

/** Show a dialog with a form; resolves to the button's value, or "" when it was closed. `fill(body)` adds fields. */
export function dialog({ title, text = [], confirm, tone = "", fill = null, check = null }) {
  return new Promise((resolve) => {
    const body = el("div", { class: "fields" });
    const problem = el("p", { class: "problem", role: "alert" });
    const cancel = el("button", { type: "button", onclick: () => box.close("") }, confirm ? "Cancel" : "Close");
    const form = el("form", { method: "dialog", novalidate: true, onsubmit: (event) => {
      const said = check?.() ?? "";
      problem.textContent = said;
      if (said) event.preventDefault();
    } },
      el("h2", { text: title, id: "dialog-title" }),
      [text].flat().map((line) => el("p", { text: line })), body, problem,
      el("div", { class: "row ends" }, cancel,
        confirm && el("button", { class: `primary ${tone}`, value: "yes" }, confirm)));
    const box = el("dialog", { class: "owner-dialog", "aria-labelledby": "dialog-title" }, form);
    fill?.(body);
    box.addEventListener("close", () => {
      box.remove();
      resolve(box.returnValue);
    });
    document.body.append(box);
    const before = document.activeElement;
    box.addEventListener("close", () => before?.isConnected && before.focus({ preventScroll: true }));
    box.showModal();
    (body.querySelector("input, textarea, select") ?? (tone === "danger" ? cancel : form.querySelector(".primary")) ?? cancel).focus();
  });
}

/** A note for some seconds; `undo` adds a button that calls it. */
export function say(text, { undo = null } = {}) {
  clearTimeout(hiding);
  toast.replaceChildren(el("span", { text }));
  if (undo) {
    toast.append(el("button", { type: "button", class: "undo", onclick: () => {
      toast.hidden = true;
      undo();
    } }, "Undo"));
  }
  toast.hidden = false;
  hiding = setTimeout(() => (toast.hidden = true), undo ? 15_000 : 6_000);
}

/** A menu under a button: `entries` are [label, action, tone]. Closes on Escape, on a choice, and when focus leaves. */
export function menu(label, key, entries) {
  const list = el("div", { class: "menu", role: "menu", hidden: true });
  const button = el("button", { type: "button", class: "quiet more", "aria-haspopup": "menu", "aria-expanded": "false",
    "aria-label": label, data: { key }, onclick: () => toggle(list.hidden) }, "⋯");
  const toggle = (open) => {
    list.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open) list.firstElementChild.focus();
  };
  for (const [text, action, tone = ""] of entries) {
    list.append(el("button", { type: "button", role: "menuitem", class: `quiet ${tone}`, tabindex: "-1", onclick: () => {
      toggle(false);
      button.focus();
      action();
    } }, text));
  }
  const wrap = el("span", { class: "menu-wrap" }, button, list);
  wrap.addEventListener("keydown", (event) => {
    if (list.hidden) return;
    const all = [...list.children];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) all.at(to % all.length).focus();
    else if (event.key === "Escape") {
      toggle(false);
      button.focus();
    } else return;
    event.preventDefault();
  });
  wrap.addEventListener("focusout", (event) => wrap.contains(event.relatedTarget) || list.hidden || toggle(false));
  return wrap;
}

/** Whether something is open that drawing anew would close. */
export function isBusy() {
  return Boolean(document.querySelector(".menu:not([hidden])"));
}
