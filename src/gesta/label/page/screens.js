// One screen at a time, and the short words around it: toast, banner, live region.

import { counted, el } from "/static/dom.js";

export const $ = (id) => document.getElementById(id);
const TOAST_MS = 3000;
const now = { screen: "loading", toastTimer: 0, loadingTimer: 0 };

export function screen() {
  return now.screen;
}

export function show(name) {
  clearTimeout(now.loadingTimer);
  now.screen = name;
  document.body.dataset.screen = name;
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== `screen-${name}`;
  $("progress").hidden = !["ask", "review"].includes(name);
  if (name !== "ask") $(`screen-${name}`).querySelector("h1")?.focus({ preventScroll: true });
}

/** The loading screen, but only if it takes long enough to be seen: a flash between clips would only tire the eyes. */
export function showLoading() {
  clearTimeout(now.loadingTimer);
  now.loadingTimer = setTimeout(() => show("loading"), 250);
}

export function toast(text) {
  clearTimeout(now.toastTimer);
  $("toast").textContent = text;
  $("toast").hidden = !text;
  if (text) now.toastTimer = setTimeout(() => ($("toast").hidden = true), TOAST_MS);
}

/** A line under the header that stays until it is taken away with "". */
export function banner(text) {
  if ($("banner").textContent !== text) $("banner").textContent = text;
  $("banner").hidden = !text;
}

/** Say it to those who listen to the page; nothing is shown. */
export function say(text) {
  $("live").textContent = "";
  setTimeout(() => ($("live").textContent = text), 50);
}

export function message(title, text, { mark = "", again = "", other = "", canUndo = false } = {}) {
  // Asked again and told the same: whoever reads it, or stands on a button, is left in peace.
  const isNew = now.screen !== "message" || $("message-title").textContent !== title || $("message-text").textContent !== text;
  if (isNew) {
    $("message-mark").textContent = mark;
    $("message-title").textContent = title;
    $("message-text").textContent = text;
  }
  $("message-hint").textContent = "";
  $("message-again").hidden = !again;
  $("message-again-label").textContent = again;
  $("message-other").hidden = !other;
  $("message-other").textContent = other;
  $("message-undo").hidden = !canUndo;
  document.title = `${title} · gesta`;
  clearTimeout(now.loadingTimer);
  if (isNew) show("message");
}

export function drawProgress(numDone, numAll) {
  $("segments").replaceChildren(
    ...Array.from({ length: numAll }, (_, i) => el("i", { class: i < numDone ? "full" : i === numDone ? "now" : "" })),
  );
  $("count").textContent = `${Math.min(numDone + 1, numAll)} of ${numAll}`;
}

/** The share of known answers given right, beside the progress; nothing is said of which clips those were. */
export function drawAccuracy(gold) {
  const isKnown = gold?.accuracy !== null && gold?.accuracy !== undefined;
  $("accuracy").hidden = !isKnown;
  if (!isKnown) return;
  $("accuracy").replaceChildren(el("span", { class: "wide", text: "Accuracy " }), el("span", { class: "narrow", text: gold.is_low ? "! " : "✓ " }), `${Math.round(100 * gold.accuracy)} %`);
  $("accuracy").setAttribute("aria-label", `Your accuracy so far: ${Math.round(100 * gold.accuracy)} percent`);
  $("accuracy").classList.toggle("is-low", gold.is_low);
}

export function drawReview(answers, names) {
  $("review-title").textContent = answers.length === 1 ? "One answer, ready to send" : `All ${answers.length} answered`;
  const rows = Object.entries(names).map(([answer, name]) => {
    const number = answers.filter((one) => one.answer === answer).length;
    return el("li", { class: answer }, el("b", { text: String(number) }), name);
  });
  $("review-tally").dataset.count = String(rows.length);
  $("review-tally").replaceChildren(...rows);
  document.title = "Send · gesta";
  show("review");
}

export function unsentText(numAnswers) {
  return numAnswers ? `${counted(numAnswers, "answer")} kept on this device, and sent when it can be.` : "Your answers are safe.";
}
