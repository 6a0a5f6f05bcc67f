// The page of a Prolific study: consent, one task, and the completion code.

import { el } from "/static/dom.js";
import { page, primary, visit } from "/static/visit.js";
import { Refused, Unreachable, call } from "/static/wire.js";

const query = new URLSearchParams(location.search);
const asked = (name) => query.get(name) ?? "";
const who = () => ({ participant_id: asked("PROLIFIC_PID"), study_id: asked("STUDY_ID"), session_id: asked("SESSION_ID"), key: asked("key") });
const CONSENT = "prolific-consent";

function consent() {
  page("Watch short clips, say what people do", [
    el("p", { text: "You will watch short, silent clips of people and answer a question about each. It takes some minutes; you can stop at any time." }),
    el("p", { class: "visit-note" }, "We keep your answers, how long each took, and your Prolific ID, so that you can be paid. ",
      "Other participants never see any of it. We ask for nothing else about you."),
  ], [el("button", { type: "button", class: "quiet", onclick: decline, text: "I do not want to take part" }), primary("I agree; start", start)]);
}

function start() {
  agreed(true);
  visit({ source: "prolific", open: () => call("POST", "/api/external/prolific", { body: who() }), leave });
}

/** Whether this session agreed before a reload; where nothing can be kept, it is asked again. */
function agreed(isNow = false) {
  try {
    if (isNow) sessionStorage.setItem(CONSENT, asked("SESSION_ID"));
    return sessionStorage.getItem(CONSENT) === asked("SESSION_ID");
  } catch {
    return false;
  }
}

async function decline() {
  try {
    leave(await call("POST", "/api/external/prolific/decline", { body: who() }));
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    page("You can close this page", [el("p", { text: "Please return the submission on Prolific. Nothing was kept." })]);
  }
}

const TITLES = { finished: "All done: thank you", declined: "That is fine", nothing: "Nothing to do just now" };

function leave({ outcome, message, leaving }) {
  const title = TITLES[outcome] ?? "No more tasks";
  if (!leaving) return page(title, [el("p", { text: message })]);
  page(title, [
    el("p", { text: message }),
    el("p", { class: "visit-code" }, "Your completion code: ", el("code", { id: "completion-code", text: leaving.code })),
  ], [el("a", { class: "button primary", id: "completion-link", href: leaving.url }, "Back to Prolific ", el("kbd", { text: "Enter", "aria-hidden": "true" }))]);
  return undefined;
}

if (!asked("PROLIFIC_PID") || !asked("SESSION_ID")) page("Please come from Prolific", [el("p", { text: "Open this study from your Prolific page: its address tells us where to send you back." })]);
else if (agreed()) start();
else consent();
