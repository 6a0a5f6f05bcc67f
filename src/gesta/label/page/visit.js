// What the pages of Mechanical Turk and Prolific share: come in, do one task, go back with the proof of it.

import { crowd } from "/static/crowd.js";
import { el } from "/static/dom.js";
import { $, show } from "/static/screens.js";
import { Refused, SignedOut, Unreachable, call, session, waitOf } from "/static/wire.js";

let tries = 0;
document.head.append(el("link", { rel: "stylesheet", href: "/static/visit.css" }));

/** Show a page of our own: a heading, whatever stands below it, and buttons; the first primary one gets the focus. */
export function page(title, body, buttons = []) {
  let section = $("screen-crowd");
  if (!section) {
    section = el("section", { id: "screen-crowd", class: "card wide-card" });
    document.querySelector("main").append(section);
  }
  section.replaceChildren(el("h1", { tabindex: "-1", text: title }), ...body, el("div", { class: "row ends visit-buttons" }, ...buttons));
  document.title = `${title} · gesta`;
  show("crowd");
  section.querySelector(".primary")?.focus({ preventScroll: true });
}

export function primary(text, run) {
  return el("button", { type: "button", class: "primary", onclick: run }, `${text} `, el("kbd", { text: "Enter", "aria-hidden": "true" }));
}

/**
 * Come in with `open()`, which gives the service's reply, and work until the assignment is done. `leave(reply)` shows
 * what comes then.
 */
export async function visit({ source, open, leave }) {
  const before = session.now;
  const again = () => visit({ source, open, leave });
  const left = (reply, how) => {
    // Who is signed in on this device besides stays so.
    session.keep(before);
    leave(reply, how);
  };
  let reply;
  try {
    reply = await open();
  } catch (error) {
    return failed(error, again);
  }
  if (reply.outcome !== "work") return left(reply, { isNew: false });
  session.keep({ token: reply.token, worker_id: reply.worker_id, role: "worker" });
  document.body.dataset.crowd = source;
  crowd.beforeTask = async () => {
    let state;
    try {
      state = await call("POST", "/api/external/finish", { body: {} });
    } catch (error) {
      // The reply that ended the token may have been lost on the way: opening again tells.
      if (!(error instanceof SignedOut)) throw error;
      state = await open();
      if (state.outcome === "work") throw error;
    }
    if (["unfinished", "work"].includes(state.outcome)) return false;
    left(state, { isNew: true });
    return true;
  };
  crowd.onSignedOut = () => page("This assignment is open elsewhere",
    [el("p", { text: "It was opened again, or it has ended. What you sent is safe." })],
    [primary("Open it here", () => location.reload())]);
  await import("/static/app.js");
  return undefined;
}

function failed(error, again) {
  if (error instanceof Unreachable) {
    const wait_s = waitOf(error, tries++);
    page("No connection", [el("p", { text: `The service cannot be reached. Trying again in ${Math.ceil(wait_s)} s.` })], [primary("Try now", again)]);
    setTimeout(() => $("screen-crowd").querySelector("h1")?.textContent === "No connection" && again(), wait_s * 1000);
    return;
  }
  if (!(error instanceof Refused)) throw error;
  page("This cannot be opened", [el("p", { text: error.message })]);
}
