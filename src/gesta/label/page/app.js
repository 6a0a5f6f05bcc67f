// The flow: a name, then tasks; a task is questions answered one by one, a look back, and a send.

import { Outbox, Refused, Unreachable, keep, kept, post } from "/static/wire.js";
import { Player } from "/static/player.js";

const $ = (id) => document.getElementById(id);
const GUARD_MS = 150; // a key struck twice by accident must not answer the follow-up question too
const QUESTIONS = {
  clip: "Can you see a human performing the action",
  box: "Is the highlighted person performing",
};
const CHOICES = {
  clip: [
    { key: "y", answer: "yes", label: "Yes" },
    { key: "n", answer: "no", label: "No" },
    { key: "u", answer: "unsure", label: "Unsure" },
    { key: "b", answer: "broken", label: "Does not play", more: "or no human, image, cartoon, game" },
  ],
  box: [
    { key: "y", answer: "yes", label: "Yes" },
    { key: "n", answer: "no", label: "No" },
    { key: "u", answer: "unsure", label: "Unsure" },
    { key: "b", answer: "broken", label: "Does not play", more: "or no human in the box" },
  ],
  whole: [
    { key: "y", lasts: true, answer: "yes", label: "Yes", more: "from start to end" },
    { key: "n", lasts: false, answer: "no", label: "No", more: "only a part of it" },
  ],
};
const NAMES = { yes: "yes", no: "no", unsure: "unsure", broken: "does not play" };

const given = new URLSearchParams(location.search).get("worker");
const state = {
  screen: "loading", worker: null, task: null, answers: [], isFollowUp: false, shownAt: 0, guardUntil: 0, wakeTimer: 0,
};
let outbox = null;
const player = new Player({
  stage: $("stage"), frame: $("frame"), highlight: $("highlight"), note: $("stage-note"), pauseMark: $("pause-mark"),
  position: $("position"),
  onPlaying: (isPlaying) => {
    $("play").setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    $("play-icon").textContent = isPlaying ? "❚❚" : "▶";
  },
});

function show(screen) {
  state.screen = screen;
  document.body.dataset.screen = screen;
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== `screen-${screen}`;
  if (screen !== "ask") player.clear();
  $("progress").hidden = !["ask", "review"].includes(screen);
  $("worker").hidden = !state.worker;
  $(`screen-${screen}`).querySelector("h1")?.focus({ preventScroll: true });
}

function toast(text, { stays = false } = {}) {
  clearTimeout(toast.timer);
  $("toast").textContent = text;
  $("toast").hidden = !text;
  if (text && !stays) toast.timer = setTimeout(() => ($("toast").hidden = true), 2500);
}

// ---- who ----------------------------------------------------------------------------------------------------------

function askName(problem = "") {
  state.worker = null;
  show("start");
  $("start-problem").textContent = problem;
  $("start-name").setAttribute("aria-invalid", String(Boolean(problem)));
  $("start-name").value = given ?? kept("worker") ?? "";
  $("start-name").focus();
}

async function begin(worker) {
  state.worker = worker;
  $("worker").textContent = worker;
  outbox = new Outbox(worker, {
    onTrouble: (wait_s) => toast(`No connection. Your answers are kept here; trying again in ${wait_s} s.`, { stays: true }),
    onClear: () => toast("Connected again. Your answers are sent."),
  });
  await nextTask();
}

// ---- tasks --------------------------------------------------------------------------------------------------------

const draftName = () => `draft.${state.worker}`;

function saveDraft() {
  const { task, answers, isFollowUp } = state;
  keep(draftName(), task ? { task_id: task.task_id, answers, isFollowUp } : null);
  $("kept").textContent = answers.length ? "Kept on this device" : "";
}

async function nextTask() {
  clearTimeout(state.wakeTimer);
  show("loading");
  try {
    await outbox.flush();
    const found = await post("/api/task", { worker_id: state.worker });
    keep("worker", state.worker);
    if (found.status === "task") return await startTask(found.task);
    return showStatus(found);
  } catch (error) {
    if (error instanceof Unreachable) return tryLater(5, "No connection", "The service cannot be reached. Your answers are safe on this device.", "⌁");
    if (error instanceof Refused && error.code === "barred") return showStatus({ status: "barred", message: error.message });
    if (error instanceof Refused && error.status === 422 && !state.task) return askName(error.message);
    if (error instanceof Refused) return showMessage("That did not work", error.message, { mark: "!", again: true });
    throw error;
  }
}

async function startTask(task) {
  const draft = kept(draftName());
  if (draft && draft.task_id !== task.task_id && draft.answers.length) {
    // The lease on an earlier task ran out before it was sent: the service still takes what it can use.
    keep(draftName(), null);
    outbox.add(draft.answers);
    return nextTask();
  }
  state.task = task;
  state.answers = [];
  state.isFollowUp = false;
  if (draft?.task_id === task.task_id) restore(draft);
  ask();
}

function restore(draft) {
  for (const item of state.task.items) {
    const answer = draft.answers.find((one) => one.item_id === item.item_id);
    if (!answer) break;
    state.answers.push(answer);
  }
  state.isFollowUp = draft.isFollowUp && state.answers.length < state.task.items.length;
  if (state.answers.length) toast("Welcome back. You are where you left off.");
}

function showStatus({ status, message, retry_after_s }) {
  if (status === "wait") return tryLater(retry_after_s, "Nothing free just now", message, "…");
  const title = status === "done" ? "All done" : "No more tasks";
  showMessage(title, message, { mark: status === "done" ? "✓" : "–" });
}

function tryLater(seconds, title, text, mark) {
  showMessage(title, text, { mark, again: true });
  let left = seconds;
  const tick = () => {
    $("message-hint").textContent = `Looking again in ${left} s`;
    if (left-- <= 0) nextTask();
    else state.wakeTimer = setTimeout(tick, 1000);
  };
  tick();
}

function showMessage(title, text, { mark = "", again = false } = {}) {
  state.task = null;
  $("message-mark").textContent = mark;
  $("message-title").textContent = title;
  $("message-text").textContent = text;
  $("message-hint").textContent = "";
  $("message-again").hidden = !again;
  show("message");
}

// ---- questions ----------------------------------------------------------------------------------------------------

function ask() {
  const { task, answers } = state;
  drawProgress();
  saveDraft();
  if (answers.length === task.items.length) return review();
  const item = task.items[answers.length];
  const isNew = player.item?.item_id !== item.item_id;
  if (state.screen !== "ask") show("ask");
  if (isNew) {
    player.show(task.items, answers.length);
    state.shownAt = performance.now();
  }
  $("toggle-highlight").hidden = !item.box;
  $("toggle-highlight").setAttribute("aria-pressed", "true");
  const place = `${answers.length + 1} of ${task.items.length}`;
  document.title = `${place} · ${item.action} · gesta`;
  if (state.isFollowUp) {
    $("question-lead").textContent = `Does the action “${item.action}” last for the`;
    $("question-action").textContent = "whole clip?";
    drawChoices(CHOICES.whole);
  } else {
    $("question-lead").textContent = QUESTIONS[item.kind];
    $("question-action").textContent = `${item.action}?`;
    drawChoices(CHOICES[item.kind]);
  }
  $("undo").disabled = !answers.length && !state.isFollowUp;
}

function drawProgress() {
  const { task, answers } = state;
  const segments = task.items.map((_, i) => {
    const segment = document.createElement("i");
    segment.className = i < answers.length ? "full" : i === answers.length ? "now" : "";
    return segment;
  });
  $("segments").replaceChildren(...segments);
  $("count").textContent = `${Math.min(answers.length + 1, task.items.length)} of ${task.items.length}`;
}

function drawChoices(choices) {
  const buttons = choices.map((choice) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `answer ${choice.answer}`;
    button.dataset.key = choice.key;
    button.setAttribute("aria-keyshortcuts", choice.key.toUpperCase());
    const cap = document.createElement("kbd");
    cap.textContent = choice.key.toUpperCase();
    const label = document.createElement("span");
    label.className = "label";
    label.textContent = choice.label;
    button.append(cap, label);
    if (choice.more) {
      const more = document.createElement("small");
      more.textContent = choice.more;
      label.append(" ", more);
    }
    button.addEventListener("click", () => choose(choice));
    return button;
  });
  $("answers").replaceChildren(...buttons);
  $("answers").dataset.count = String(choices.length);
}

function choose(choice) {
  const now = performance.now();
  if (now < state.guardUntil) return;
  state.guardUntil = now + GUARD_MS;
  const item = state.task.items[state.answers.length];
  if (choice.answer === "yes" && item.kind === "clip" && choice.lasts === undefined) {
    state.isFollowUp = true;
    return ask();
  }
  state.isFollowUp = false;
  state.answers.push({
    item_id: item.item_id,
    answer: choice.lasts === undefined ? choice.answer : "yes",
    lasts_whole_clip: choice.lasts ?? null,
    spent_ms: Math.round(now - state.shownAt),
  });
  ask();
}

function undo() {
  if (!state.task) return;
  if (state.isFollowUp) state.isFollowUp = false;
  else if (state.answers.length) state.answers.pop();
  else return;
  ask();
}

// ---- the end of a task --------------------------------------------------------------------------------------------

function review() {
  const { answers } = state;
  $("review-title").textContent = answers.length === 1 ? "One answer, ready to send" : `All ${answers.length} answered`;
  const tally = Object.entries(NAMES).map(([answer, name]) => {
    const row = document.createElement("li");
    const number = document.createElement("b");
    number.textContent = String(answers.filter((one) => one.answer === answer).length);
    row.className = answer;
    row.append(number, ` ${name}`);
    return row;
  });
  $("review-tally").replaceChildren(...tally);
  document.title = "Send · gesta";
  show("review");
}

async function send() {
  if (state.screen !== "review") return;
  // From here on the answers belong to the outbox: a reload sends them, and never twice.
  outbox.add(state.answers);
  state.task = null;
  state.answers = [];
  saveDraft();
  await nextTask();
}

// ---- keys and buttons ---------------------------------------------------------------------------------------------

const KEYS = {
  " ": () => player.toggle(),
  r: () => player.replay(),
  ",": () => player.step(-1),
  ".": () => player.step(1),
  ArrowLeft: () => player.step(-1),
  ArrowRight: () => player.step(1),
  h: () => toggleHighlight(),
  z: () => undo(),
};
const REPEATABLE = new Set([",", ".", "ArrowLeft", "ArrowRight"]);

function toggleHighlight() {
  player.setHighlight(!player.isHighlightShown);
  $("toggle-highlight").setAttribute("aria-pressed", String(player.isHighlightShown));
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const isTyping = event.target.matches?.("input:not([type=range])");
  if (event.key === "?" && !isTyping) return openHelp(event);
  // On a button that was reached by Tab, Space and Enter press that button.
  const isOnButton = event.target.matches?.("button:focus-visible");
  if (isTyping || (isOnButton && [" ", "Enter"].includes(event.key))) return;
  if (state.screen === "review") {
    if (event.key === "Enter" && !event.repeat) run(event, send);
    else if (event.key.toLowerCase() === "z" && !event.repeat) run(event, undo);
  } else if (state.screen === "message") {
    if (event.key === "Enter" && !$("message-again").hidden) run(event, nextTask);
  } else if (state.screen === "ask") {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.repeat && !REPEATABLE.has(key)) return event.preventDefault();
    const button = $("answers").querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (button) {
      flash(button);
      run(event, () => button.click());
    } else if (Object.hasOwn(KEYS, key)) run(event, KEYS[key]);
  }
}

function run(event, action) {
  event.preventDefault();
  action();
}

function flash(button) {
  button.classList.add("struck");
  setTimeout(() => button.classList.remove("struck"), 160);
}

function openHelp(event) {
  event?.preventDefault();
  $("help").showModal();
}

document.addEventListener("keydown", onKey);
// After a click the keys belong to the clip again, not to the button.
document.addEventListener("pointerup", () => setTimeout(() => document.activeElement?.matches("button, [type=range]") && document.activeElement.blur()));
$("play").addEventListener("click", () => player.toggle());
$("replay").addEventListener("click", () => player.replay());
$("step-back").addEventListener("click", () => player.step(-1));
$("step-on").addEventListener("click", () => player.step(1));
$("toggle-highlight").addEventListener("click", toggleHighlight);
$("undo").addEventListener("click", undo);
$("review-undo").addEventListener("click", undo);
$("send").addEventListener("click", send);
$("message-again").addEventListener("click", nextTask);
$("help-button").addEventListener("click", openHelp);
$("worker").addEventListener("click", () => {
  clearTimeout(state.wakeTimer);
  Object.assign(state, { worker: null, task: null, answers: [] });
  history.replaceState(null, "", "/");
  askName();
});
$("start-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("start-name").value.trim();
  if (name) begin(name);
  else askName("Please give a name: your answers are kept under it.");
});

const known = given ?? kept("worker");
if (known) begin(known);
else askName();
