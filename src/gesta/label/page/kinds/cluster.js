// Duplicate review: the clips of a cluster side by side, in step; which to keep (Kinetics-700-2020, section 2).

import { counted, el } from "/static/dom.js";
import { Loops, columnsOf, moved } from "/static/kinds/loops.js";

const MAX_DIGIT = 9;
const COLUMNS = [1, 1, 2, 3, 2, 3, 3, 4, 4, 3, 5, 4, 4];

export function mount(root, question, ctx) {
  const clips = question.clips;
  const first = ctx.draft?.keep ?? ctx.previous?.detail?.keep ?? [mostTypical(question)];
  const state = { keep: new Set(first), at: Math.max(0, clips.findIndex((clip) => clip.n === first[0])), undo: [] };
  const loops = new Loops(ctx, { isTogether: true });
  // Before the buttons: a cap shows the key of an action that is known.
  const digits = clips.slice(0, MAX_DIGIT).map((_clip, place) => ({
    name: `only-${place + 1}`, key: String(place + 1), label: `Keep only clip ${place + 1}`, run: () => keepOnly(place),
  }));
  const arrows = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].map((key) => ({
    name: `move-${key.slice(5).toLowerCase()}`, key, label: `Move ${key.slice(5).toLowerCase()}`, repeats: true, run: () => move(key),
  }));
  ctx.actions([
    ...digits, ...arrows,
    { name: "toggle", key: " ", label: "Keep it, or not", run: () => toggle(state.at) },
    { name: "all", key: "a", label: "Keep all: no duplicates", run: keepAll },
    { name: "pause", key: "p", label: "Pause or play all", run: togglePause },
    ...(question.animation_url ? [{ name: "picture", key: "v", label: "One picture of all, or the clips", run: togglePicture }] : []),
    { name: "unsure", key: "u", label: "Unsure", run: () => ctx.done({ answer: "unsure" }) },
    { name: "done", key: "Enter", label: "Done", run: finish },
  ]);

  const tiles = clips.map((clip, place) => tileOf(clip, place));
  const grid = el("div", { class: "cluster-grid", role: "group", "aria-label": "The clips of this group" },
    ...tiles.map((tile) => tile.button));
  grid.style.setProperty("--columns", String(COLUMNS[clips.length] ?? 5));
  const count = el("p", { class: "cluster-count", id: "cluster-count" });
  const pause = el("button", { type: "button", class: "quiet", data: { action: "pause" }, onclick: () => togglePause() },
    el("span", { text: "Pause" }), ctx.cap("pause"));
  // One small file with all clips in step, for slow lines and machines; what is kept is marked by the same keys.
  const picture = el("img", { class: "cluster-picture", alt: "All clips side by side, numbered, in step", hidden: true });
  picture.addEventListener("error", () => { if (!picture.hidden) togglePicture(); ctx.say("The picture is lost. Here are the clips."); });
  const see = question.animation_url
    ? el("button", { type: "button", class: "quiet", data: { action: "picture" }, "aria-pressed": "false", onclick: () => togglePicture() },
      el("span", { text: "One picture" }), ctx.cap("picture"))
    : "";
  const done = el("button", { type: "button", class: "primary", data: { action: "done" }, onclick: () => finish() },
    "Done ", ctx.cap("done"));

  function tileOf(clip, place) {
    const screen = el("span", { class: "loop-screen" });
    const mark = el("span", { class: "cluster-mark" });
    const like = el("span", { class: "cluster-like" });
    const button = el("button", { type: "button", class: "cluster-tile", tabindex: "-1",
      onclick: () => { state.at = place; toggle(place); } },
      screen,
      el("span", { class: "cluster-foot" },
        el("b", { class: "cluster-number", text: String(place + 1), "aria-hidden": "true" }), mark, like));
    button.addEventListener("focus", () => { state.at = place; drawCursor(); });
    loops.add(screen, clip.media_url);
    return { button, mark, like };
  }

  function undoChange() {
    if (!state.undo.length) return false;
    state.keep = new Set(state.undo.pop());
    changed("Taken back.");
    return true;
  }

  function changed(said) {
    ctx.keepDraft({ keep: sorted() });
    draw();
    if (said) ctx.say(said);
  }

  function sorted() {
    return clips.map((clip) => clip.n).filter((n) => state.keep.has(n));
  }

  function keepOnly(place) {
    if (!clips[place]) return;
    state.undo.push([...state.keep]);
    state.keep = new Set([clips[place].n]);
    focusOn(place);
    changed(`Only clip ${place + 1} is kept.`);
  }

  function toggle(place) {
    const { n } = clips[place];
    state.undo.push([...state.keep]);
    if (state.keep.has(n)) state.keep.delete(n);
    else state.keep.add(n);
    changed(`Clip ${place + 1} is ${state.keep.has(n) ? "kept" : "a duplicate"}.`);
  }

  function keepAll() {
    state.undo.push([...state.keep]);
    state.keep = new Set(clips.map((clip) => clip.n));
    changed("All are kept: no duplicates.");
  }

  function focusOn(place) {
    state.at = place;
    tiles[place].button.focus({ preventScroll: true });
    tiles[place].button.scrollIntoView({ block: "nearest" });
    drawCursor();
  }

  function move(key) {
    focusOn(moved(state.at, key, { columns: columnsOf(grid), length: clips.length }));
  }

  function togglePause() {
    const isPaused = loops.toggle();
    pause.firstChild.textContent = isPaused ? "Play" : "Pause";
    pause.setAttribute("aria-pressed", String(isPaused));
    ctx.say(isPaused ? "Paused." : "Playing.");
  }

  function togglePicture() {
    const isPicture = picture.hidden;
    if (isPicture && !picture.hasAttribute("src")) picture.src = question.animation_url;
    picture.hidden = !isPicture;
    grid.classList.toggle("is-list", isPicture);
    if (loops.isPaused !== isPicture) togglePause();
    see.firstChild.textContent = isPicture ? "The clips" : "One picture";
    see.setAttribute("aria-pressed", String(isPicture));
    ctx.say(isPicture ? "One picture of all clips." : "The clips.");
  }

  function finish() {
    if (state.keep.size) ctx.done({ answer: "done", detail: { keep: sorted() } });
    else ctx.say("Keep at least one clip.");
  }

  function drawCursor() {
    tiles.forEach((tile, place) => { tile.button.tabIndex = place === state.at ? 0 : -1; });
  }

  function draw() {
    clips.forEach((clip, place) => {
      const isKept = state.keep.has(clip.n);
      const { button, mark, like } = tiles[place];
      button.setAttribute("aria-pressed", String(isKept));
      mark.textContent = isKept ? "Keep" : "Duplicate";
      like.textContent = isKept ? "" : likeness(question, clips, clip, state.keep);
      button.setAttribute("aria-label", `Clip ${place + 1}: ${mark.textContent}${like.textContent ? `, ${like.textContent}` : ""}`);
    });
    const { size } = state.keep;
    count.textContent = size ? `${size} kept, ${counted(clips.length - size, "duplicate")}` : "Keep at least one clip.";
    count.classList.toggle("problem", !size);
    done.disabled = !size;
    drawCursor();
  }

  // On a tile that has the focus Space presses the button, which is the same toggle; Enter must finish instead.
  grid.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.repeat) return;
    event.preventDefault();
    event.stopPropagation();
    finish();
  });

  root.append(el("section", { class: "cluster" },
    el("h1", { class: "question", id: "question", tabindex: "-1" }, el("span", { text: "These look like the same footage. " }),
      el("em", { text: "Which to keep?" })),
    el("p", { class: "hint cluster-hint" }, ...(question.action ? ["All were found for ", el("b", { text: question.action }), ". "] : []),
      "Keep one of each; keep more only where they really differ."),
    picture, grid,
    el("div", { class: "cluster-bar" }, count, see, pause,
      el("button", { type: "button", data: { action: "all" }, onclick: keepAll }, "Keep all ", ctx.cap("all")),
      el("button", { type: "button", data: { action: "unsure" }, onclick: () => ctx.done({ answer: "unsure" }) }, "Unsure ", ctx.cap("unsure")),
      done)));
  draw();
  return { unmount: () => loops.close(), undo: undoChange };
}

/** The clip that the classifier is surest of; without scores the one most like all others; else the first. */
export function mostTypical(question) {
  const { clips } = question;
  const worth = (clip) => clip.score ?? meanLikeness(question, clip);
  return clips.reduce((best, clip) => (worth(clip) > worth(best) ? clip : best)).n;
}

function pairs(question, n) {
  const own = question.clips.find((clip) => clip.n === n)?.similarity;
  const listed = Array.isArray(own) ? own : [];
  const all = (question.similarity ?? []).filter(([a, b]) => a === n || b === n).map(([a, b, cosine]) => [a === n ? b : a, cosine]);
  return [...listed, ...all];
}

function meanLikeness(question, clip) {
  if (typeof clip.similarity === "number") return clip.similarity;
  const known = pairs(question, clip.n);
  return known.length ? known.reduce((sum, [, cosine]) => sum + cosine, 0) / known.length : 0;
}

/** "97 % like 1": the likeness to the kept clip that it resembles most. */
function likeness(question, clips, clip, keep) {
  const percent = (cosine) => `${Math.floor(100 * cosine)} %`;
  const [best] = pairs(question, clip.n).filter(([other]) => keep.has(other)).sort((a, b) => b[1] - a[1]);
  if (best) return `${percent(best[1])} like ${1 + clips.findIndex((one) => one.n === best[0])}`;
  return typeof clip.similarity === "number" ? `${percent(clip.similarity)} alike` : "";
}
