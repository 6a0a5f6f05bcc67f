// The owner's page: signs in, asks for the board every few seconds while it is looked at, and shows one part at a time.

import { el } from "../dom.js";
import { act, get, signIn, signOut, takeToken, token, Trouble } from "./api.js";
import { isBusy, say } from "./ask.js";
import { classes } from "./classes.js";
import { diary } from "./diary.js";
import { disputed } from "./disputed.js";
import { clock } from "./format.js";
import { invites } from "./invites.js";
import { overview } from "./overview.js";
import { pay } from "./pay.js";
import { suggestions } from "./suggestions.js";
import { workers } from "./workers.js";

const POLL_MS = 4_000;
const PARTS = { overview, classes, workers, disputed, suggestions, invites, pay, diary };

const content = document.getElementById("content");
const tabs = document.getElementById("tabs");
const live = document.getElementById("live");
const liveText = document.getElementById("live-text");
const banner = document.getElementById("banner");

const state = { me: null, board: null, health: {}, part: "", shown: null, timer: 0, failures: 0, isDown: false, isAsking: false };

/** What a part may use. `go` opens another part with a filter; `did` runs an action, says so, and looks again. */
const ctx = {
  get me() { return state.me; },
  get board() { return state.board; },
  get mayAct() { return state.me?.role === "owner"; },
  go(part, filter = {}) {
    ctx.filter = filter;
    if (location.hash === `#${part}`) show(part);
    else location.hash = part;
  },
  filter: {},
  async did(method, path, body, said, undo = null) {
    try {
      const result = await act(method, path, body);
      say(said, { undo });
      await look();
      return result;
    } catch (error) {
      trouble(error);
      return null;
    }
  },
  trouble,
  look: () => look(),
};

function trouble(error) {
  if (!(error instanceof Trouble)) throw error;
  if (error.status === 401) askForToken("Your sign-in has ended, or the link was not whole.");
  else say(error.message);
}

async function start() {
  takeToken();
  addEventListener("hashchange", () => {
    if (/^#token=/.test(location.hash)) location.reload();
    else if (state.me) show(location.hash.slice(1));
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(state.timer) : look()));
  // Drawing anew between press and release would take the button away under the finger.
  addEventListener("pointerdown", () => (state.isDown = true), true);
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => setTimeout(() => (state.isDown = false)), true);
  document.getElementById("owner-name").addEventListener("click", () => {
    signOut();
    location.reload();
  });
  if (token()) await enter();
  else askForToken("");
}

async function enter() {
  try {
    state.me = await get("/api/me");
    if (state.me.role === "worker") throw new Trouble(403, "not-for-you", "This token is a worker's. The dashboard opens for owners and reviewers.");
    state.board = await get("/api/owner/board");
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    if (error.status === 401 || error.status === 403) askForToken(error.message);
    else {
      offline(error);
      state.timer = setTimeout(enter, POLL_MS);
    }
    return;
  }
  const who = document.getElementById("owner-name");
  who.textContent = state.me.worker_id;
  who.hidden = false;
  tabs.hidden = false;
  tabs.replaceChildren(...Object.entries(PARTS).map(([name, part]) =>
    el("a", { href: `#${name}`, data: { part: name } }, part.title, el("span", { class: "bubble", hidden: true }))));
  show(location.hash.slice(1));
  drawState();
  schedule();
}

function askForToken(why) {
  clearTimeout(state.timer);
  state.me = null;
  tabs.hidden = true;
  const field = el("input", { id: "token", name: "token", autocomplete: "off", spellcheck: "false", required: true });
  const form = el("form", { onsubmit: (event) => {
    event.preventDefault();
    if (!field.value.trim()) return;
    signIn(field.value);
    enter();
  } },
    el("label", { for: "token" }, "Owner's link or token"),
    el("div", { class: "row" }, field, el("button", { class: "primary" }, "Open the dashboard")),
    el("p", { class: "problem", role: "alert", text: why }));
  content.replaceChildren(el("section", { class: "card" }, el("h1", { text: "This is the owner's page" }),
    el("p", { class: "hint", text: "The service printed a link to it when it was started first. A link can be made anew with `gesta label`." }), form));
  liveText.textContent = "Signed out";
  live.dataset.state = "off";
  field.focus();
}

function show(name) {
  const part = Object.hasOwn(PARTS, name) ? name : "overview";
  state.shown?.unmount?.();
  state.part = part;
  for (const tab of tabs.children) {
    if (tab.dataset.part === part) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  tabs.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  document.title = `${PARTS[part].title} · gesta dashboard`;
  const root = el("div", { class: `part part-${part}` });
  content.replaceChildren(root);
  state.shown = PARTS[part].mount(root, ctx);
  ctx.filter = {};
  draw();
}

/** Ask the service for what is shown; the very same objects come back when nothing changed, and nothing is drawn. */
async function look() {
  clearTimeout(state.timer);
  if (!state.me || state.isAsking || document.hidden) return;
  state.isAsking = true;
  try {
    const before = state.board;
    [state.board, state.health] = await Promise.all([get("/api/owner/board"), get("/api/owner/health")]);
    const changed = await state.shown?.look?.();
    state.failures = 0;
    state.waiting ||= state.board !== before || Boolean(changed);
    drawState();
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    if (error.status === 401) askForToken("Your sign-in has ended.");
    else offline(error);
  } finally {
    state.isAsking = false;
  }
  if (state.waiting && !state.isDown && !isBusy()) draw();
  schedule();
}

function schedule() {
  clearTimeout(state.timer);
  if (state.me && !document.hidden) state.timer = setTimeout(look, POLL_MS * Math.min(8, 2 ** state.failures));
}

/** Draw the part anew, and put the focus back where it was. */
function draw() {
  state.waiting = false;
  const key = document.activeElement?.dataset?.key;
  const open = new Set([...content.querySelectorAll("details[open] > summary[data-key]")].map((one) => one.dataset.key));
  state.shown?.draw?.();
  for (const summary of content.querySelectorAll("summary[data-key]")) {
    if (open.has(summary.dataset.key)) summary.parentElement.open = true;
  }
  if (key && document.activeElement?.dataset?.key !== key) content.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

function drawState() {
  const { health } = state;
  const isDown = health.is_down === true;
  live.dataset.state = isDown ? "bad" : "on";
  liveText.textContent = `Live, ${clock(Date.now() * 1000, { withDay: false })}`;
  live.title = `Requests waiting: ${health.num_waiting ?? "–"}. Last batch: ${health.last_batch_ms?.toFixed?.(1) ?? "–"} ms.`;
  banner.hidden = !isDown;
  if (isDown) banner.textContent = "The label database does not take answers just now. Workers keep theirs, and send them again by themselves.";
  for (const tab of tabs.children) {
    const count = PARTS[tab.dataset.part].bubble?.(state.board) ?? 0;
    const bubble = tab.querySelector(".bubble");
    bubble.hidden = !count;
    bubble.textContent = count;
  }
}

function offline(error) {
  state.failures += 1;
  live.dataset.state = "bad";
  liveText.textContent = "Not connected";
  banner.textContent = `${error.message} What you see is as of the last look; it goes on by itself.`;
  banner.hidden = false;
}

start();
