// Tasks and their questions: what is answered, what is kept, what can be undone, and what the kinds may use.
//
// A kind is a module `kinds/<kind>.js` with `mount(root, question, ctx)`, which builds the question into `root` and
// returns {unmount(), undo?()}. What `ctx` offers is written at `context` below.

import { el } from "/static/dom.js";
import { flash } from "/static/keys.js";
import { Player } from "/static/player.js";
import { $, drawProgress, drawReview, say, show, toast } from "/static/screens.js";
import { Refused, SignedOut, Unreachable, call, isForgetful, keep, kept } from "/static/wire.js";

const AHEAD = 3;
const GUARD_MS = 150; // a key struck twice by accident must not answer the next question too
const SEND_BEFORE_END_S = 45; // answers of a task whose time runs out are sent a little before it does
const NAMES = {
  yes: "yes", no: "no", done: "done", unsure: "unsure", broken: "does not play",
};
const STYLED = new Set(["clip", "suggestion", "box"]); // these need no style sheet of their own
const modules = new Map();

async function moduleOf(kind) {
  if (!modules.has(kind)) {
    if (!STYLED.has(kind)) document.head.append(el("link", { rel: "stylesheet", href: `/static/kinds/${kind}.css` }));
    modules.set(kind, import(`/static/kinds/${kind}.js`));
    modules.get(kind).catch(() => modules.delete(kind));
  }
  return modules.get(kind);
}

export class Work {
  /** `onAnswered()` is called when every question of the task has its answer and they may be sent. */
  constructor({ worker, keys, pool, prefs, outbox, onSend, onTrouble }) {
    Object.assign(this, { worker, keys, pool, prefs, outbox, onSend, onTrouble });
    this.player = new Player({ pool, keys, prefs, onBroken: (question) => this.mediaFailed(question) });
    this.task = null;
    this.answers = [];
    this.half = {};
    this.undone = {};
    this.edit = null;
    this.mounted = null;
    this.shown = null;
    this.guardUntil = 0;
    this.sendTimer = 0;
    this.renewedAt = -Infinity;
    document.addEventListener("visibilitychange", () => this.countTime());
  }

  get draftName() {
    return `draft.${this.worker}`;
  }

  get hasUnsent() {
    return this.answers.some((answer) => !answer.isSent);
  }

  // ---- the task ---------------------------------------------------------------------------------------------------

  /** The draft kept on this device, when it belongs to another task than this one. */
  static strayDraft(worker, task_id) {
    const draft = kept(`draft.${worker}`);
    return draft && draft.task_id !== task_id ? draft : null;
  }

  async begin(task) {
    const draft = kept(this.draftName);
    const isSame = draft?.task_id === task.task_id;
    const slots = new Set(task.items.map((item) => item.slot));
    this.task = task;
    this.answers = isSame ? draft.answers.filter((answer) => slots.has(answer.slot)) : [];
    for (const slot of task.answered ?? []) {
      const mine = this.answers.find((answer) => answer.slot === slot);
      if (mine) mine.isSent = true;
      else this.answers.unshift({ slot, isSent: true, isElsewhere: true });
    }
    this.half = (isSame && draft.half) || {};
    this.undone = (isSame && draft.undone) || {};
    this.edit = null;
    await moduleOf(task.kind);
    this.setSendTimer();
    if (isSame && this.answers.length) toast("Welcome back. You are where you left off.");
    this.ask();
  }

  saveDraft() {
    const { task, answers, half, undone } = this;
    keep(this.draftName, task ? { task_id: task.task_id, answers, half, undone } : null);
    $("kept").textContent = this.hasUnsent || Object.keys(half).length ? "Kept on this device" : "";
  }

  setSendTimer() {
    clearTimeout(this.sendTimer);
    const left_s = (this.task.expires_in_s ?? 0) - SEND_BEFORE_END_S;
    if (left_s > 0 && left_s < 2 ** 31 / 1000) this.sendTimer = setTimeout(() => this.sendPart(), left_s * 1000);
  }

  /** Send what there is of the task; the service gives it as much time again. */
  sendPart() {
    if (this.task) this.setSendTimer();
    const part = this.answers.filter((answer) => !answer.isSent);
    if (!this.task || !part.length) return;
    this.outbox.add(this.task.task_id, part.map(sentOf));
    for (const answer of part) answer.isSent = true;
    this.saveDraft();
    this.outbox.flush().catch((error) => this.onTrouble(error));
  }

  /** Hand the answers over to the outbox: from here on a reload sends them, and never twice. */
  finish() {
    clearTimeout(this.sendTimer);
    const part = this.answers.filter((answer) => !answer.isSent);
    if (part.length) this.outbox.add(this.task.task_id, part.map(sentOf));
    this.leave();
    Object.assign(this, { task: null, answers: [], half: {}, undone: {} });
    this.saveDraft();
  }

  /** Somebody else works here now: nothing of this worker is sent or shown any more. */
  close() {
    clearTimeout(this.sendTimer);
    this.leave();
    Object.assign(this, { task: null, answers: [], edit: null });
    this.outbox.stop();
  }

  get left() {
    const answered = new Set(this.answers.map((answer) => answer.slot));
    return this.task ? this.task.items.filter((item) => !answered.has(item.slot)) : [];
  }

  // ---- the question -----------------------------------------------------------------------------------------------

  async ask() {
    this.edit = null;
    this.saveDraft();
    const { left, task } = this;
    drawProgress(this.answers.length, task.items.length);
    if (!left.length) return this.answered();
    this.pool.hold(left.slice(0, AHEAD + 1));
    $("editing").hidden = true;
    const { slot } = left[0];
    await this.mount(left[0], { previous: this.undone[slot] ?? null, draft: this.half[slot] ?? null });
    const place = `${Math.min(this.answers.length + 1, task.items.length)} of ${task.items.length}`;
    document.title = [place, left[0].action, "gesta"].filter(Boolean).join(" · ");
  }

  answered() {
    this.leave();
    // A single question needs no look back at a list: undo brings it back from the service.
    if (this.task.items.length === 1) return this.onSend();
    drawReview(this.answers.filter((one) => !one.isElsewhere), this.namesOf(this.task.kind));
  }

  namesOf(kind) {
    const asked = { clip: ["yes", "no", "unsure", "broken"], box: ["yes", "no", "unsure", "broken"], frame: ["done", "broken"],
      cluster: ["done", "unsure"], class: ["done", "unsure"] }[kind] ?? ["done", "unsure", "broken"];
    return Object.fromEntries(asked.map((answer) => [answer, NAMES[answer]]));
  }

  async mount(item, { previous, draft }) {
    const module = await moduleOf(item.kind ?? this.task.kind);
    this.leave();
    show("ask");
    const root = $("kind");
    root.dataset.kind = item.kind ?? this.task.kind;
    this.shown = { item, since: document.hidden ? null : performance.now(), spent_ms: 0, previous, draft };
    this.guardUntil = performance.now() + GUARD_MS;
    this.keys.bind("player", []);
    this.mounted = module.mount(root, item, this.context(item, root));
    this.focusQuestion();
  }

  leave() {
    this.mounted?.unmount?.();
    this.mounted = null;
    this.shown = null;
    this.player.leave();
    this.keys.bind("kind", []);
    this.keys.bind("player", []);
    $("kind").replaceChildren();
  }

  focusQuestion() {
    // A kind that put the focus somewhere itself knows better.
    if (!$("kind").contains(document.activeElement)) $("kind").querySelector("h1")?.focus({ preventScroll: true });
  }

  countTime() {
    const { shown } = this;
    if (!shown) return;
    if (shown.since !== null) shown.spent_ms += performance.now() - shown.since;
    shown.since = document.hidden ? null : performance.now();
  }

  context(item, root) {
    const { keys, pool, prefs } = this;
    const kind = item.kind ?? this.task.kind;
    const work = this;
    const isHere = () => work.shown?.item === item && root.isConnected;
    let runs = new Map();
    const guarded = (action) => (event) => {
      if (!isHere() || (!action.repeats && performance.now() < work.guardUntil)) return;
      action.run(event);
    };
    return {
      /** The answer: {answer, lasts_whole_clip?, detail?}. The shell stamps the time spent and goes on. */
      done: (answer) => isHere() && work.done(answer),
      /** Bind [{name, key, label, run, also?, repeats?, inText?}]; in place of those bound before. */
      actions(list) {
        const bound = list.map((action) => ({ ...action, run: guarded(action) }));
        runs = new Map(bound.map((action) => [action.name, action]));
        work.guardUntil = performance.now() + GUARD_MS;
        keys.bind("kind", bound, kind);
      },
      /** A <kbd> with the action's key, for a button. */
      cap: (name) => keys.cap("kind", name),
      /** A button that does a bound action: `tone` yes, no, unsure, broken or ""; `label`, `more` its words. */
      button(name, { tone = "", label = null, more = "" } = {}) {
        const words = el("span", { class: "label" }, label ?? runs.get(name).label, more && " ", more && el("small", { text: more }));
        const button = el("button", { type: "button", class: `answer ${tone}`, data: { scope: "kind", action: name } }, keys.cap("kind", name), words);
        button.addEventListener("click", (event) => runs.get(name)?.run(event));
        queueMicrotask(() => keys.redraw());
        return button;
      },
      /** The player: put `player.element` on the page, then `player.show(question)`. `controls: false` binds no keys. */
      player({ controls = true } = {}) {
        work.player.transport.hidden = !controls;
        keys.bind("player", controls ? work.player.actions() : []);
        return work.player;
      },
      /** A silent looping <video>, loaded before it is wanted; the same element for the same address. */
      video: (url) => pool.video(url),
      /** Half-done work on this question, or null; `keepDraft(null)` forgets it. Survives reload and lost connections. */
      get draft() {
        return work.shown?.draft ?? null;
      },
      keepDraft(draft) {
        if (isHere()) work.keepHalf(item, draft);
      },
      /** The answer {answer, lasts_whole_clip, detail} being changed after an undo, or null. */
      get previous() {
        return work.shown?.previous ?? null;
      },
      /** AVA's 80 actions [{id, name, category}], fetched once. */
      labels: () => once("/api/labels"),
      /** The names of the run's actions, for completion; [] where the service has none to give. */
      actionNames: () => once("/api/actions").then((found) => found.actions ?? found, () => []),
      /** Said to those who listen to the page. */
      say,
      toast,
      flash,
      focusQuestion: () => work.focusQuestion(),
      /** `get(name, otherwise)`, `set(name, value)`: kept per worker, here and with the service. */
      prefs: { get: (name, otherwise) => prefs.get(name, otherwise), set: (name, value) => prefs.set(name, value) },
    };
  }

  keepHalf(item, draft) {
    this.shown.draft = draft;
    if (this.edit) return;
    if (draft === null) delete this.half[item.slot];
    else this.half[item.slot] = draft;
    this.saveDraft();
  }

  done({ answer, lasts_whole_clip = null, detail = null }) {
    this.countTime();
    const { item, spent_ms } = this.shown;
    const made = { slot: item.slot, answer, lasts_whole_clip, detail, spent_ms: Math.round(spent_ms) };
    if (this.edit) return this.sendEdit(made);
    delete this.half[item.slot];
    delete this.undone[item.slot];
    this.answers.push(made);
    if (isForgetful()) this.sendPart();
    this.ask();
  }

  // ---- undo -------------------------------------------------------------------------------------------------------

  /** One step back: inside the question, then inside the task, then among the last ten that the service has. */
  async undo() {
    if (this.mounted?.undo?.()) return;
    const last = this.answers.at(-1);
    if (!this.edit && last && !last.isSent) {
      this.answers.pop();
      this.undone[last.slot] = last;
      say("Undone.");
      return this.ask();
    }
    await this.openEdit(this.edit ? this.edit.index + 1 : 0);
  }

  async openEdit(index, { notice = "" } = {}) {
    let recent;
    try {
      if (this.outbox.waiting.length) throw new Unreachable("");
      recent = await call("GET", "/api/answers/recent");
    } catch (error) {
      if (error instanceof Unreachable) return toast("Sent answers can be changed once the connection is back.");
      if (error instanceof Refused) return toast(error.message);
      return this.onTrouble(error);
    }
    recent = recent.answers ?? recent;
    if (index >= recent.length) return toast(recent.length ? "That is as far back as it goes." : "There is nothing to undo.");
    const entry = recent[index];
    this.edit = { entry, index };
    this.pool.hold([entry.question, ...this.left.slice(0, AHEAD)]);
    await this.mount({ slot: entry.slot, ...entry.question }, { previous: entry, draft: null });
    $("editing").hidden = false;
    $("editing-text").textContent = `${notice}Changing an earlier answer (${index + 1} of ${recent.length}). It was: ${wordsOf(entry)}.`;
    $("kept").textContent = "";
    document.title = "Changing an answer · gesta";
    say($("editing-text").textContent);
  }

  async sendEdit({ answer, lasts_whole_clip, detail, spent_ms }) {
    const { entry, index } = this.edit;
    try {
      await call("PUT", `/api/answers/${encodeURIComponent(entry.task_id)}/${entry.slot}`, {
        body: sentOf({ slot: entry.slot, answer, lasts_whole_clip, detail, spent_ms }), headers: { "If-Match": `"${String(entry.etag).replaceAll('"', "")}"` },
      });
    } catch (error) {
      if (error instanceof Unreachable) return toast("No connection just now: the answer is as it was. Try again in a moment.");
      if (error instanceof SignedOut) return this.onTrouble(error);
      if (error.code === "stale") return this.openEdit(index, { notice: "It has been changed meanwhile. " });
      toast(error.message);
      return this.closeEdit();
    }
    toast("Changed.");
    this.closeEdit();
  }

  closeEdit() {
    this.edit = null;
    $("editing").hidden = true;
    if (this.task) return this.ask();
    this.leave();
    return this.onSend();
  }

  // ---- media ------------------------------------------------------------------------------------------------------

  /** A signed address may have run out overnight: ask for the task anew, which signs them again. */
  async mediaFailed(question) {
    if (this.edit || !this.task || performance.now() - this.renewedAt < 10_000) return;
    this.renewedAt = performance.now();
    try {
      const response = await fetch(question.media_url, { headers: { Range: "bytes=0-0" } });
      if (response.status !== 403) return;
      const found = await call("POST", "/api/task", { body: {} });
      if (found.task?.task_id !== this.task?.task_id) return;
      this.task = found.task;
      this.ask();
    } catch (error) {
      // Without a connection there is nothing to be done: the pool loads it again when there is one.
      if (error instanceof SignedOut) this.onTrouble(error);
    }
  }
}

const fetched = new Map();

/** A GET that is made once; a failure is not kept. */
function once(path) {
  if (!fetched.has(path)) fetched.set(path, call("GET", path).catch((error) => { fetched.delete(path); throw error; }));
  return fetched.get(path);
}

/** An answer as the service takes it. */
export function sentOf({ slot, answer, lasts_whole_clip, detail, spent_ms }) {
  const sent = { slot, answer, spent_ms };
  if (lasts_whole_clip !== null && lasts_whole_clip !== undefined) sent.lasts_whole_clip = lasts_whole_clip;
  if (detail) sent.detail = detail;
  return sent;
}

function wordsOf({ answer, lasts_whole_clip, detail }) {
  const text = detail?.text ?? detail?.suggestion;
  const whole = { true: ", for the whole clip", false: ", a part of the clip" }[String(lasts_whole_clip)] ?? "";
  return `${NAMES[answer] ?? answer}${whole}${text ? `, “${text}”` : ""}`;
}

