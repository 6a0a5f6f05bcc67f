// Final filter: the clips of a class, ranked by the classifier, to be kept or removed in bulk (Kinetics-400, 3.4).

import { counted, el } from "/static/dom.js";
import { Loops, columnsOf, moved } from "/static/kinds/loops.js";

const MAX_UNDO = 100;

export function mount(root, question, ctx) {
  const clips = question.clips;
  const first = ctx.draft ?? { remove: ctx.previous?.detail?.remove ?? [], at: 0 };
  const state = { remove: new Set(first.remove), at: Math.min(first.at ?? 0, clips.length - 1), anchor: null, undo: [] };
  const loops = new Loops(ctx);
  const groups = groupsOf(clips);
  const firstRank = question.first_rank ?? 1;
  // Before the buttons: a cap shows the key of an action that is known.
  const arrows = ["", "Shift+"].flatMap((shift) => ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].map((key) => ({
    name: `${shift ? "choose" : "move"}-${key.replace("Arrow", "").toLowerCase()}`, key: shift + key, repeats: true,
    label: `${shift ? "Choose" : "Move"} ${{ Home: "to the first", End: "to the last" }[key] ?? key.slice(5).toLowerCase()}`,
    run: () => move(shift + key),
  })));
  ctx.actions([
    ...arrows,
    { name: "toggle", key: "x", also: [" "], label: "Remove or keep", run: toggle },
    { name: "below", key: "b", label: "Remove from here down", run: removeBelow },
    { name: "undo-change", key: "Backspace", label: "Undo the last change here", run: undoChange },
    { name: "pause", key: "p", label: "Pause or play all", run: togglePause },
    { name: "unsure", key: "u", label: "Unsure", run: () => ctx.done({ answer: "unsure" }) },
    { name: "done", key: "Enter", label: "Done", run: finish },
  ]);

  const tiles = clips.map((clip, place) => tileOf(clip, place));
  const grid = el("div", { class: "class-grid", role: "group", "aria-label": "Clips, from the surest to the least sure" },
    ...tiles.map((tile) => tile.button));
  const count = el("p", { class: "class-count", id: "class-count" });
  const undo = button("undo-change", "Undo", undoChange);
  const below = button("below", "Remove from here down", removeBelow);
  const done = button("done", "Done", finish, "primary");

  function button(name, label, run, look = "") {
    return el("button", { type: "button", class: look, data: { action: name }, onclick: run }, `${label} `, ctx.cap(name));
  }

  function tileOf(clip, place) {
    const screen = el("span", { class: "loop-screen" });
    const score = clip.score ?? null;
    const bar = el("i", { class: "class-bar" });
    bar.style.setProperty("--share", String(Math.max(0, Math.min(1, score ?? 0))));
    const tile = el("button", { type: "button", class: "class-tile", tabindex: "-1" }, screen,
      el("span", { class: "class-foot" },
        el("b", { text: `#${firstRank + place}` }), score === null ? null : el("span", { class: "class-score", text: score.toFixed(2) }),
        groups[place] === null ? null : el("span", { class: "class-near", text: "≈ alike" }),
        clip.suggested ? el("span", { class: "class-suggested", text: `${clip.suggested}?` }) : null, bar),
      el("span", { class: "class-cross", "aria-hidden": "true", text: "✕" }));
    if (groups[place] !== null) {
      const isFirst = groups[place - 1] !== groups[place];
      const isLast = groups[place + 1] !== groups[place];
      tile.dataset.near = isFirst ? "first" : isLast ? "last" : "middle";
      tile.dataset.hue = String(groups[place] % 3);
    }
    tile.addEventListener("click", (event) => {
      if (event.shiftKey) return select(place);
      state.anchor = null;
      state.at = place;
      toggle();
    });
    tile.addEventListener("focus", () => { if (state.at !== place && state.anchor === null) state.at = place; drawCursor(); });
    loops.add(screen, clip.media_url);
    return { button: tile };
  }

  function chosen() {
    const [from, to] = [state.at, state.anchor ?? state.at].sort((a, b) => a - b);
    return clips.slice(from, to + 1).map((clip) => clip.n);
  }

  function change(remove, said) {
    state.undo.push([...state.remove]);
    if (state.undo.length > MAX_UNDO) state.undo.shift();
    state.remove = remove;
    keepDraft();
    draw();
    ctx.say(said);
  }

  function keepDraft() {
    ctx.keepDraft({ remove: sorted(), at: state.at });
  }

  function sorted() {
    return clips.map((clip) => clip.n).filter((n) => state.remove.has(n));
  }

  function toggle() {
    const numbers = chosen();
    const isRemoving = numbers.some((n) => !state.remove.has(n));
    const remove = new Set(state.remove);
    for (const n of numbers) {
      if (isRemoving) remove.add(n);
      else remove.delete(n);
    }
    change(remove, `${counted(numbers.length, "clip")} ${isRemoving ? "to be removed" : "kept"}.`);
  }

  function removeBelow() {
    const numbers = clips.slice(state.at).map((clip) => clip.n);
    state.anchor = null;
    change(new Set([...state.remove, ...numbers]), `${counted(numbers.length, "clip")} from rank ${firstRank + state.at} down to be removed. Undo brings them back.`);
  }

  function undoChange() {
    if (!state.undo.length) return false;
    state.remove = new Set(state.undo.pop());
    keepDraft();
    draw();
    ctx.say("Taken back.");
    return true;
  }

  function focusOn(place) {
    state.at = place;
    tiles[place].button.focus({ preventScroll: true });
    tiles[place].button.scrollIntoView({ block: "nearest" });
    drawCursor();
  }

  function move(key) {
    if (key.startsWith("Shift+")) state.anchor ??= state.at;
    else state.anchor = null;
    focusOn(moved(state.at, key, { columns: columnsOf(grid), length: clips.length }));
    if (state.anchor !== null) ctx.say(`${counted(chosen().length, "clip")} chosen.`);
  }

  function select(place) {
    state.anchor ??= state.at;
    focusOn(place);
  }

  function togglePause() {
    ctx.say(loops.toggle() ? "Paused." : "Playing.");
  }

  function finish() {
    ctx.done({ answer: "done", detail: { remove: sorted() } });
  }

  function drawCursor() {
    const [from, to] = [state.at, state.anchor ?? state.at].sort((a, b) => a - b);
    tiles.forEach((tile, place) => {
      tile.button.tabIndex = place === state.at ? 0 : -1;
      tile.button.classList.toggle("is-chosen", state.anchor !== null && place >= from && place <= to);
      tile.button.classList.toggle("is-here", place === state.at);
    });
  }

  function draw() {
    clips.forEach((clip, place) => {
      const isRemoved = state.remove.has(clip.n);
      const tile = tiles[place].button;
      tile.setAttribute("aria-pressed", String(isRemoved));
      const near = groups[place] === null ? "" : ", near-duplicate of its neighbour";
      const score = clip.score === undefined || clip.score === null ? "" : `, score ${clip.score.toFixed(2)}`;
      tile.setAttribute("aria-label", `Rank ${firstRank + place}${score}${near}${clip.suggested ? `, may show ${clip.suggested}` : ""}: ${isRemoved ? "remove" : "keep"}`);
    });
    const removed = sorted().length;
    count.replaceChildren(el("b", { text: String(clips.length - removed) }), " kept",
      el("span", { class: "class-removed" }, el("b", { text: String(removed) }), " to be removed"));
    undo.disabled = !state.undo.length;
    drawCursor();
  }

  // A tile that has the focus is a button: Space would press it, and Enter too. Both do here what they do elsewhere.
  grid.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    if (event.repeat) return;
    if (event.key === " ") toggle();
    else finish();
  });

  root.append(el("section", { class: "class-filter" },
    el("h1", { class: "question", id: "question", tabindex: "-1" }, el("span", { text: "Which of these do not show " }),
      el("em", { text: question.action ?? "the action" }), "?"),
    el("div", { class: "class-keys" },
      el("span", {}, ctx.cap("move-left"), ctx.cap("move-right"), ctx.cap("move-up"), ctx.cap("move-down"), " move"),
      el("span", {}, ctx.cap("toggle"), " remove or keep"),
      el("span", {}, ctx.cap("choose-right"), " choose a range"),
      el("span", {}, ctx.cap("pause"), " pause")),
    grid,
    el("div", { class: "class-actions" }, count, undo, below,
      button("unsure", "Unsure", () => ctx.done({ answer: "unsure" })), done)));
  draw();
  return { unmount: () => loops.close(), undo: undoChange };
}

/** The number of each clip's group of near-duplicates, or null: neighbours in the ranking, joined by `near`. */
export function groupsOf(clips) {
  const groups = clips.map(() => null);
  let last = -1;
  clips.forEach((clip, place) => {
    if (clip.near === null || clip.near === undefined) return;
    const other = clips.findIndex((one) => one.n === clip.near);
    if (other < 0 || other === place) return;
    const group = groups[other] ?? groups[place] ?? (last += 1);
    groups[other] = group;
    groups[place] = group;
  });
  return groups;
}
