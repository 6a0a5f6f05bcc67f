// "What is this person doing?" (AVA-Kinetics, 1.2, step 4): one pose, up to three actions with objects and three with
// persons, of AVA's eighty.

import { counted, el, question as heading } from "/static/dom.js";
import { CATEGORIES, canHover, createMenu, toggled } from "./action_menu.js";

const FAVOURITES = "favourites";

export function mount(root, question, ctx) {
  let page = null;
  let isOver = false;
  const player = ctx.player({ controls: true });
  const work = el("div", { class: "person-work" });
  root.append(el("div", { class: "top" }, heading("What is", "this person", "doing?")), work);

  async function start() {
    const waiting = el("p", { class: "hint", role: "status", text: "Fetching the actions…" });
    work.replaceChildren(waiting);
    try {
      const labels = await ctx.labels();
      if (isOver) return;
      page = createPage(labels, player, ctx);
      work.replaceChildren(...page.elements);
      player.show(question);
      page.start();
    } catch (error) {
      if (isOver) return;
      work.replaceChildren(el("p", { class: "problem", role: "alert", text: `The actions could not be fetched. ${error.message}` }),
        el("button", { type: "button", class: "primary", text: "Try again", onclick: start }));
    }
  }

  start();
  return {
    undo: () => page?.undo() ?? false,
    unmount() {
      isOver = true;
      page?.unmount();
    },
  };
}

function createPage(labels, player, ctx) {
  const byId = new Map(labels.map((label) => [label.id, label]));
  const known = (ids) => (Array.isArray(ids) ? ids.filter((id) => byId.has(id)) : []);
  let chosen = known(ctx.draft?.chosen ?? ctx.previous?.detail?.class_ids);
  let past = [];
  const favourites = () => known(ctx.prefs.get(FAVOURITES, []));

  ctx.actions([
    { name: "search", key: "/", label: "Search the actions", run: () => menu.focusSearch() },
    { name: "favourite", key: "1", also: ["2", "3", "4", "5", "6", "7", "8", "9"], label: "Choose the favourite of this number",
      run: (event) => menu.takeDigit(Number(event?.key) || 1) },
    { name: "done", key: "Enter", label: "Done (with Ctrl while searching)", run: finish },
    { name: "unsure", key: "Alt+u", label: "I cannot say", inText: true, run: () => ctx.done({ answer: "unsure" }) },
    { name: "broken", key: "Alt+b", label: "Does not play, no human, an image, cartoon or game", inText: true, run: () => ctx.done({ answer: "broken" }) },
  ]);
  const menu = createMenu(labels, {
    choose: (label, how) => choose(label, how),
    star: (label) => star(label),
    removeLast: () => chosen.length && choose(byId.get(chosen.at(-1))),
    togglePlay: () => player.toggle(),
  }, ctx);
  const chips = CATEGORIES.map((category) => ({ category, count: el("small"), list: el("span", { class: "picked-list" }) }));
  const problem = el("p", { class: "problem" });
  const doneText = el("span", { class: "label" });
  const done = el("button", { type: "button", class: "answer yes", id: "done", onclick: finish, data: { scope: "kind", action: "done" } },
    ctx.cap("done"), doneText);
  const chosenBox = el("div", { class: "chosen", role: "group", "aria-label": "Chosen actions" },
    ...chips.map(({ category, count, list }) => el("div", { class: "chosen-of", data: { category: category.name } },
      el("b", {}, category.title, " ", count), list)));
  const elements = [
    el("div", { class: "person-clip" }, player.element, chosenBox, problem),
    menu.element,
    el("div", { class: "answers", role: "group", "aria-labelledby": "question", id: "answers", data: { count: "3" } }, done,
      ctx.button("unsure", { tone: "unsure", label: "Unsure", more: "I cannot say" }),
      ctx.button("broken", { tone: "broken", label: "Does not play", more: "or no human in the box" })),
  ];

  function set(next) {
    past.push(chosen);
    chosen = next;
    ctx.keepDraft({ chosen });
    draw();
  }

  function choose(label, { isSearched = false } = {}) {
    if (isSearched && chosen.includes(label.id)) return tell(`“${label.name}” is chosen already.`);
    const next = toggled(chosen, label, labels);
    if (next.problem) return tell(next.problem);
    const isChosen = next.chosen.includes(label.id);
    set(next.chosen);
    problem.textContent = "";
    const { category } = chips.find((one) => one.category.name === label.category);
    ctx.say(`${label.name} ${isChosen ? "chosen" : "taken away"}. ${category.title}: ${numberOf(category)} of ${category.max}.`);
  }

  // The chip is gone, and the focus with it: it goes where the next action is named.
  function letGo(id) {
    choose(byId.get(id));
    if (canHover()) menu.focusSearch();
  }

  function star(label) {
    const own = favourites();
    const isStarred = own.includes(label.id);
    ctx.prefs.set(FAVOURITES, isStarred ? own.filter((id) => id !== label.id) : [...own, label.id]);
    ctx.say(`${label.name} is ${isStarred ? "no favourite any more" : "a favourite"}.`);
    draw();
  }

  function tell(text) {
    problem.textContent = text;
    ctx.say(text);
  }

  function numberOf(category) {
    return chosen.filter((id) => byId.get(id).category === category.name).length;
  }

  function draw() {
    menu.draw({ chosen, favourites: favourites() });
    for (const { category, count, list } of chips) {
      const mine = chosen.filter((id) => byId.get(id).category === category.name);
      count.textContent = `${mine.length} of ${category.max}`;
      const buttons = mine.map((id) => el("button", { type: "button", class: "picked", "aria-label": `Take away ${byId.get(id).name}`,
        onclick: () => letGo(id) }, byId.get(id).name, el("span", { "aria-hidden": "true", text: "✕" })));
      list.replaceChildren(...(buttons.length ? buttons : [el("span", { class: "none", text: category.name === "pose" ? "choose a pose" : "none" })]));
    }
    const hasPose = numberOf(CATEGORIES[0]) === 1;
    done.classList.toggle("is-unready", !hasPose);
    doneText.replaceChildren("Done", el("small", { text: !hasPose ? "a pose is needed" : canHover() ? "Ctrl+Enter while searching" : counted(chosen.length, "action") }));
  }

  function finish() {
    if (numberOf(CATEGORIES[0]) !== 1) {
      menu.open("pose");
      return tell("Choose the pose first: exactly one, such as stand or sit.");
    }
    ctx.done({ answer: "done", detail: { class_ids: [...chosen].sort((a, b) => a - b) } });
  }

  function onKey(event) {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.repeat || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    finish();
  }

  return {
    elements,
    start() {
      document.addEventListener("keydown", onKey);
      draw();
      // On a touch screen the keyboard would cover the clip.
      if (canHover()) menu.focusSearch();
    },
    undo() {
      if (!past.length) return false;
      chosen = past.pop();
      ctx.keepDraft({ chosen });
      draw();
      return true;
    },
    unmount: () => document.removeEventListener("keydown", onKey),
  };
}
