// Who works here, what comes next, and what is on the screen meanwhile.

import { crowd } from "/static/crowd.js";
import { guideOf } from "/static/guide.js";
import { Keys } from "/static/keys.js";
import { MediaPool } from "/static/media.js";
import { Prefs } from "/static/prefs.js";
import { $, banner, drawAccuracy, message, say, screen, show, showLoading, toast, unsentText } from "/static/screens.js";
import { OneTab } from "/static/tabs.js";
import { Work, sentOf } from "/static/work.js";
import { Outbox, Refused, SignedOut, Unreachable, call, keep, kept, session, waitOf } from "/static/wire.js";

const GUIDE_VERSION = 1;
const keys = new Keys();
const pool = new MediaPool();
const app = { me: null, prefs: null, outbox: null, work: null, tab: null, gold: null, wakeTimer: 0, tries: 0, onEnter: null, guide: null };

// ---- who ----------------------------------------------------------------------------------------------------------

/** What a link or a pasted text says: {token}, {invite}, or {word} where it is one or the other by itself. */
function readLink(text) {
  const words = text.trim();
  const token = /[#&]token=([^&\s]+)/.exec(words);
  if (token) return { token: decodeURIComponent(token[1]) };
  const invite = /join#([^&\s]+)/.exec(words);
  if (invite) return { invite: decodeURIComponent(invite[1]) };
  return /^[\w.~-]+$/.test(words) ? { word: words } : {};
}

/** Take over a token from the address, and take it out of the address bar and the history. */
function takeTokenFromAddress() {
  const { token } = readLink(location.hash);
  if (!token || !location.hash.includes("token=")) return false;
  const before = session.now;
  session.keep({ token, worker_id: before?.worker_id ?? null, role: before?.role ?? null });
  history.replaceState(null, "", "/");
  return true;
}

async function start() {
  clearTimeout(app.wakeTimer);
  const isNew = takeTokenFromAddress();
  if (!session.now?.token) return askName(inviteInAddress());
  if (inviteInAddress() && !isNew) return askWhich();
  await signIn();
}

function inviteInAddress() {
  return location.pathname === "/join" ? readLink(`join${location.hash}`).invite ?? null : null;
}

/** An invitation in a browser where somebody is signed in: a bookmark of the same worker, or somebody new. */
function askWhich() {
  const name = session.now.worker_id ?? "before";
  message(`You are signed in as ${name}`, "This link is an invitation. Go on as you are, or use it to come in under a new name.",
    { mark: "?", again: `Go on as ${name}`, other: "Use the invitation" });
  app.onEnter = () => {
    history.replaceState(null, "", "/");
    return signIn();
  };
  app.onOther = signOut;
}

function askName(invite = null, problem = "") {
  show("start");
  app.onEnter = null;
  $("start-code-row").hidden = Boolean(invite);
  $("start-problem").textContent = problem;
  $("start-code").value = invite ?? $("start-code").value;
  $("start-name").setAttribute("aria-invalid", String(Boolean(problem)));
  $("start-name").value ||= kept("name") ?? "";
  document.title = "Welcome · gesta";
  (invite || $("start-code").value ? $("start-name") : $("start-code")).focus();
}

async function join() {
  const { token, invite: inLink, word } = readLink($("start-code").value);
  const code = inLink ?? word;
  const worker_id = $("start-name").value.trim();
  if (token) {
    session.keep({ token, worker_id: null, role: null });
    return signIn();
  }
  if (!code) return askName(null, "This page opens with an invitation: please paste the link that you were sent.");
  const invite = $("start-code-row").hidden ? code : null;
  if (!worker_id) return askName(invite, "Please give a name: your answers are kept under it.");
  $("start-go").disabled = true;
  try {
    const joined = await call("POST", "/api/join", { body: { invite: code, worker_id } });
    session.keep(joined);
    keep("name", worker_id);
    history.replaceState(null, "", "/");
    await signIn();
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreachable || error instanceof SignedOut)) throw error;
    askName(invite, error.message);
  } finally {
    $("start-go").disabled = false;
  }
}

/** Learn who this is, then go on with what was left, or with the next task. */
async function signIn() {
  showLoading();
  let me;
  try {
    me = await call("GET", "/api/me");
  } catch (error) {
    return trouble(error, signIn);
  }
  recovered();
  const isSame = app.me?.worker_id === me.worker_id;
  session.keep({ ...session.now, worker_id: me.worker_id, role: me.role });
  app.me = me;
  app.gold = me.gold;
  drawWho();
  if (!isSame) {
    app.work?.close();
    app.tab?.close();
    app.tab = new OneTab(me.worker_id, elsewhere);
    app.prefs = new Prefs(me.worker_id, me.prefs ?? {});
    keys.use(app.prefs.get("keys", {}), (chosen) => app.prefs.set("keys", chosen));
    app.outbox = new Outbox(me.worker_id, { onTrouble: lost, onClear: recovered, onResult: received });
    app.work = new Work({ worker: me.worker_id, keys, pool, prefs: app.prefs, outbox: app.outbox, onSend: send, onTrouble: trouble });
    app.work.player.setSpeed(app.prefs.get("speed", 1), { isKept: false });
  }
  if (!(await app.tab.claim())) return elsewhere();
  if (isSame && app.work.task && screen() === "again") return app.work.ask();
  await nextTask();
}

function drawWho() {
  $("worker").hidden = false;
  $("worker").textContent = app.me.worker_id;
  $("worker").setAttribute("aria-label", `Signed in as ${app.me.worker_id}; sign out`);
  $("owner-link").hidden = !["owner", "reviewer"].includes(app.me.role);
  $("help-button").hidden = false;
  drawAccuracy(app.gold);
}

function askAgain(text) {
  clearTimeout(app.wakeTimer);
  app.work?.leave();
  const numKept = (app.outbox?.numAnswers ?? 0) + (app.work?.answers.filter((one) => !one.isSent).length ?? 0);
  $("again-text").textContent = `${text} ${unsentText(numKept)}`;
  $("again-problem").textContent = "";
  $("again-link").value = "";
  document.title = "Sign in again · gesta";
  banner("");
  app.onEnter = null;
  show("again");
  $("again-link").focus();
}

async function signOut() {
  const numUnsent = (app.outbox?.numAnswers ?? 0) + (app.work?.answers.filter((one) => !one.isSent).length ?? 0);
  session.keep(null);
  app.work?.close();
  app.tab?.close();
  Object.assign(app, { me: null, work: null, outbox: null, prefs: null, tab: null });
  for (const id of ["worker", "owner-link", "help-button", "accuracy"]) $(id).hidden = true;
  pool.hold([]);
  askName(inviteInAddress(), numUnsent ? "You are signed out. Your unsent answers wait on this device for your return." : "");
}

function elsewhere() {
  app.work?.leave();
  app.outbox?.stop();
  clearTimeout(app.wakeTimer);
  message("Open in another tab", "You are already at work in another tab of this browser. One tab at a time keeps your answers in order.",
    { mark: "⧉", again: "Work here instead" });
  app.onEnter = async () => {
    app.tab.take();
    // The other tab may have answered since: what it kept is the truth.
    app.outbox.reread();
    Object.assign(app.work, { task: null, answers: [] });
    await nextTask();
  };
}

// ---- what comes next ----------------------------------------------------------------------------------------------

async function nextTask() {
  clearTimeout(app.wakeTimer);
  app.onEnter = null;
  showLoading();
  try {
    await app.outbox.flush();
    if (await crowd.beforeTask?.()) return;
    const found = await call("POST", "/api/task", { body: {} });
    recovered();
    if (found.gold) app.gold = found.gold;
    drawAccuracy(app.gold);
    if (sendStray(found.task?.task_id)) return nextTask();
    const goOn = () => (found.status === "task" ? startTask(found.task) : showStatus(found));
    const isToWarn = app.gold?.is_low && app.prefs.get("warned") !== app.gold.accuracy && found.status !== "barred";
    if (isToWarn) return warn(goOn);
    await goOn();
  } catch (error) {
    trouble(error, nextTask);
  }
}

/** The low-accuracy warning: each time the accuracy has moved while it is low, not on every task. */
function warn(goOn) {
  app.prefs.set("warned", app.gold.accuracy);
  const share = Math.round(100 * app.gold.accuracy);
  $("low-text").textContent = `Now and then we ask about a clip that is already known. Of those, ${share} % of your answers were right so far. `
    + "That happens to everybody at first, and it goes up again with the next rounds.";
  document.title = "Low accuracy · gesta";
  show("low");
  keys.redraw();
  app.onEnter = goOn;
}

/** Send what is kept of an earlier task whose time ran out: the service still takes what it can use. */
function sendStray(task_id) {
  const stray = Work.strayDraft(app.me.worker_id, task_id);
  if (!stray) return false;
  keep(app.work.draftName, null);
  const left = stray.answers.filter((answer) => !answer.isSent);
  if (left.length) app.outbox.add(stray.task_id, left.map(sentOf));
  return left.length > 0;
}

async function startTask(task) {
  pool.hold(task.items.slice(0, 3));
  if (app.prefs.get("guides", {})[task.kind] !== GUIDE_VERSION) {
    const screens = await guideOf(task.kind);
    if (screens.length) return showGuide(task, screens, 0);
  }
  app.onEnter = null;
  try {
    await app.work.begin(task);
  } catch (error) {
    if (error instanceof TypeError && /import|fetch|module/i.test(error.message)) {
      return trouble(new Unreachable("A part of the page could not be loaded."), nextTask);
    }
    throw error;
  }
}

function showGuide(task, screens, index) {
  const isLast = index === screens.length - 1;
  $("guide-step").textContent = `Instructions, ${index + 1} of ${screens.length}`;
  $("guide-body").replaceChildren(screens[index]());
  $("guide-back").hidden = index === 0;
  $("guide-next").textContent = isLast ? "I understand; start" : "Next";
  app.guide = {
    back: () => index > 0 && showGuide(task, screens, index - 1),
    next: () => {
      if (!isLast) return showGuide(task, screens, index + 1);
      app.prefs.set("guides", { ...app.prefs.get("guides", {}), [task.kind]: GUIDE_VERSION });
      return startTask(task);
    },
  };
  app.onEnter = app.guide.next;
  document.title = "Instructions · gesta";
  show("guide");
  $("screen-guide").scrollIntoView({ block: "start" });
}

function showStatus({ status, message: text, retry_after_s }) {
  const canUndo = app.me.state !== "barred" && status !== "barred";
  if (status === "wait") return tryLater(retry_after_s ?? 5, "Nothing free just now", text, "…", nextTask, canUndo);
  if (status === "paused") return tryLater(retry_after_s ?? 60, "A short break", text, "❚❚", nextTask, canUndo);
  pool.hold([]);
  if (status === "done") return message("All done", text, { mark: "✓", canUndo });
  return message("No more tasks", text, { mark: "–" });
}

function tryLater(seconds, title, text, mark, again, canUndo = false) {
  message(title, text, { mark, again: "Try again", canUndo });
  app.onEnter = again;
  let left_s = Math.ceil(seconds);
  const tick = () => {
    $("message-hint").textContent = `Looking again in ${left_s} s`;
    if (left_s-- <= 0) again();
    else app.wakeTimer = setTimeout(tick, 1000);
  };
  tick();
}

async function send() {
  if (app.work.task) app.work.finish();
  await nextTask();
}

/** What the service made of sent answers. */
function received({ results = [], gold }, _batch) {
  if (gold) app.gold = gold;
  drawAccuracy(app.gold);
  const numLate = results.filter(({ status }) => status === "late").length;
  if (numLate) toast(`${numLate === 1 ? "One answer" : `${numLate} answers`} came after others had decided, or after the time was up.`);
}

// ---- when something fails -----------------------------------------------------------------------------------------

function lost(error, wait_s) {
  const what = error.isBusy ? "The service is busy" : "No connection";
  banner(`${what}. Your answers are kept on this device; trying again in ${Math.ceil(wait_s)} s.`);
  if (screen() === "ask" && app.work.task) return; // answering goes on
  message(error.isBusy ? "Many people at once" : "No connection", unsentText(app.outbox.numAnswers), { mark: "⌁", again: "Try now" });
  app.onEnter = () => app.outbox.wake?.();
}

function recovered() {
  app.tries = 0;
  if (!$("banner").hidden) {
    banner("");
    toast("Connected again.");
  }
}

function trouble(error, again = nextTask) {
  if (error instanceof SignedOut) return crowd.onSignedOut ? crowd.onSignedOut() : askAgain("Your sign-in has ended.");
  if (error instanceof Unreachable) {
    const wait_s = waitOf(error, app.tries++);
    const title = error.isBusy ? "Many people at once" : "No connection";
    const why = error.isBusy ? "The service asks for a moment." : "The service cannot be reached.";
    return tryLater(wait_s, title, `${why} ${unsentText(app.outbox?.numAnswers ?? 0)}`, "⌁", again);
  }
  if (error instanceof Refused && ["barred", "paused"].includes(error.code)) return showStatus({ status: error.code, message: error.message });
  if (error instanceof Refused) {
    message("That did not work", error.message, { mark: "!", again: "Go on" });
    app.onEnter = again;
    return undefined;
  }
  throw error;
}

window.addEventListener("offline", () => banner("No connection. Go on: your answers are kept on this device and sent when it is back."));
window.addEventListener("online", () => {
  recovered();
  banner("");
});
for (const event of ["error", "unhandledrejection"]) {
  window.addEventListener(event, ({ message: what = "" }) => /ResizeObserver/.test(what) || banner("Something on this page went wrong. Please reload it: your answers are kept on this device."));
}
window.addEventListener("beforeunload", (event) => {
  if (app.work?.hasUnsent || app.outbox?.waiting.length) event.preventDefault();
});
window.addEventListener("hashchange", () => {
  if (takeTokenFromAddress()) signIn();
  else if (inviteInAddress()) start();
});
window.addEventListener("storage", (event) => {
  // Signed out, or signed in as somebody else, in another tab.
  if (event.key === "gesta.session" && app.me && session.now?.worker_id !== app.me.worker_id && session.now?.worker_id !== null) location.reload();
});

// ---- help ---------------------------------------------------------------------------------------------------------

async function openHelp(tab = "guide") {
  if ($("help").open) return;
  const kind = app.work?.shown?.item.kind ?? app.work?.task?.kind ?? app.me?.kinds?.[0] ?? "clip";
  const screens = await guideOf(kind);
  $("help-guide").replaceChildren(...screens.map((draw) => draw()));
  const speak = (text, { isProblem = false } = {}) => {
    $("keys-say").textContent = text;
    $("keys-say").classList.toggle("problem", isProblem);
  };
  speak("");
  $("keys-list").replaceChildren(keys.list(speak));
  openTab(tab);
  const video = app.work?.player.video;
  app.isPlaying = Boolean(video && !video.paused);
  video?.pause();
  $("help").showModal();
  $(`tab-${tab}`).focus();
}

function openTab(tab) {
  for (const one of ["guide", "keys"]) {
    $(`tab-${one}`).setAttribute("aria-selected", String(one === tab));
    $(`tab-${one}`).tabIndex = one === tab ? 0 : -1;
    $(`help-${one}`).hidden = one !== tab;
  }
  $("keys-say").textContent = "";
}

// ---- keys and buttons ---------------------------------------------------------------------------------------------

function undo() {
  const isUndoable = ["ask", "review"].includes(screen()) || (screen() === "message" && !$("message-undo").hidden);
  if (app.work && isUndoable) {
    clearTimeout(app.wakeTimer);
    app.work.undo();
  }
}

function enter() {
  if (screen() === "review") return send();
  if (["message", "low", "guide"].includes(screen())) return app.onEnter?.();
  return undefined;
}

keys.bind("shell", [
  { name: "undo", key: "z", label: "Undo: one answer back, up to ten that are sent", run: undo },
  { name: "send", key: "Enter", label: "Send, or go on", isFixed: true, run: enter },
  { name: "leave", key: "Escape", label: "Leave an earlier answer as it is", isFixed: true, run: () => app.work?.edit && app.work.closeEdit() },
  { name: "help", key: "?", label: "Instructions and keys", isFixed: true, run: () => app.me && openHelp() },
]);

// After a click the keys belong to the clip again, not to the button.
document.addEventListener("pointerup", () => setTimeout(() => {
  if (document.activeElement?.matches(".answer, .transport button, .transport input, .under button")) document.activeElement.blur();
}));
$("start-form").addEventListener("submit", (event) => {
  event.preventDefault();
  join();
});
$("again-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const found = readLink($("again-link").value);
  const token = found.token ?? found.word;
  if (!token) return ($("again-problem").textContent = "This is no sign-in link: it ends with #token=…");
  session.keep({ ...session.now, token });
  return signIn();
});
$("again-other").addEventListener("click", signOut);
$("send").addEventListener("click", send);
$("undo").addEventListener("click", undo);
$("review-undo").addEventListener("click", undo);
$("message-undo").addEventListener("click", undo);
$("message-again").addEventListener("click", () => app.onEnter?.());
$("message-other").addEventListener("click", () => app.onOther?.());
$("low-go").addEventListener("click", () => app.onEnter?.());
$("low-guide").addEventListener("click", () => openHelp());
$("guide-next").addEventListener("click", () => app.guide.next());
$("guide-back").addEventListener("click", () => app.guide.back());
$("editing-leave").addEventListener("click", () => app.work.closeEdit());
$("help-button").addEventListener("click", () => openHelp());
for (const tab of ["guide", "keys"]) $(`tab-${tab}`).addEventListener("click", () => openTab(tab));
document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const other = $("help-guide").hidden ? "guide" : "keys";
  openTab(other);
  $(`tab-${other}`).focus();
});
$("help").addEventListener("close", () => {
  if (app.isPlaying) app.work?.player.play();
  if (app.work?.mounted) app.work.focusQuestion();
});
$("worker").addEventListener("click", () => {
  $("who-title").textContent = app.me.worker_id;
  $("who-text").textContent = `You are signed in on this device. ${unsentText(app.outbox.numAnswers + app.work.answers.filter((one) => !one.isSent).length)}`;
  $("who").showModal();
});
$("who").addEventListener("close", () => $("who").returnValue === "out" && signOut());

say("");
start();
