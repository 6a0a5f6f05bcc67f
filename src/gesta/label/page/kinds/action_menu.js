// AVA's actions in their three categories: what may be chosen together, how they are found, and the menu of them.

import { el } from "/static/dom.js";

/** How many of each category one person may have. Source: AVA-Kinetics paper, 1.2, step 4. */
export const CATEGORIES = [
  { name: "pose", title: "Pose", short: "Pose", max: 1, hint: "exactly one" },
  { name: "object", title: "With an object", short: "Object", max: 3, hint: "up to three" },
  { name: "person", title: "With a person", short: "Person", max: 3, hint: "up to three" },
];
const NUM_DIGITS = 9;
/** Whether a pointer can rest on things, as it cannot on a touch screen, which then has no keys either. */
export const canHover = () => matchMedia("(hover: hover)").matches;

const shortOf = (name) => name.replace(/ \(e\.g\..*\)$/, "");
const categoryOf = (name) => CATEGORIES.find((category) => category.name === name);
const wordsOf = (text) => text.toLowerCase().split(/[^a-z0-9]+/).filter(Boolean);

/** The labels that fit what was typed, best first: its beginning, then beginnings of words, then any part. */
export function found(labels, typed) {
  const text = typed.trim().toLowerCase();
  const asked = wordsOf(text);
  if (!asked.length) return [];
  const rank = (label) => {
    const name = label.name.toLowerCase();
    const words = wordsOf(name);
    if (name.startsWith(text)) return 0;
    if (asked.every((one) => words.some((word) => word.startsWith(one)))) return 1;
    return asked.every((one) => name.includes(one)) ? 2 : null;
  };
  return labels
    .map((label) => ({ label, rank: rank(label) }))
    .filter((one) => one.rank !== null)
    .sort((a, b) => a.rank - b.rank || a.label.id - b.label.id)
    .map((one) => one.label);
}

/** `{chosen, problem}` after the label is chosen, or let go where it was chosen: another pose takes the first one's place. */
export function toggled(chosen, label, labels) {
  if (chosen.includes(label.id)) return { chosen: chosen.filter((id) => id !== label.id), problem: "" };
  const { max, title } = categoryOf(label.category);
  const mine = chosen.filter((id) => labels.find((one) => one.id === id)?.category === label.category);
  if (max === 1) return { chosen: [...chosen.filter((id) => !mine.includes(id)), label.id], problem: "" };
  if (mine.length >= max) {
    return { chosen, problem: `“${title}” has ${max} of ${max}. Take one away before choosing “${label.name}”.` };
  }
  return { chosen: [...chosen, label.id], problem: "" };
}

/** Nine labels at most for the digits: the worker's own in her order, then those that most people need. */
export function digitLabels(labels, favourites) {
  const own = favourites.map((id) => labels.find((label) => label.id === id)).filter(Boolean);
  const usual = labels.filter((label) => label.hotkey && !favourites.includes(label.id)).sort((a, b) => a.hotkey.localeCompare(b.hotkey));
  return [...own, ...usual].slice(0, Math.max(NUM_DIGITS, own.length));
}

/**
 * The menu: a search, a row of favourites, a list a category. `on` is told: `choose(label)`, `star(label)`, `removeLast()`,
 * `togglePlay()`. `draw({chosen, favourites})` shows what is so.
 */
export function createMenu(labels, on, ctx) {
  const rows = new Map();
  const columns = CATEGORIES.map((category) => newColumn(category));
  let matches = [];
  let place = 0;
  let digits = [];
  let taken = [];

  const input = el("input", { type: "text", id: "action-search", autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    enterkeyhint: "done", placeholder: canHover() ? "Type a few letters, then Enter; ☆ makes a favourite" : "Search the actions", "aria-label": "Search the actions; Enter chooses the first found",
    "aria-describedby": "action-found", oninput: () => search(), onkeydown: (event) => onSearchKey(event) });
  const foundText = el("span", { id: "action-found", class: "found" });
  const favouriteRow = el("div", { class: "favourites", role: "group", "aria-label": "Favourites" });
  const definition = el("p", { class: "definition", "aria-live": "polite" });
  const tabs = el("div", { class: "action-tabs", role: "group", "aria-label": "Categories" },
    ...columns.map(({ category, tab }) => {
      tab.addEventListener("click", () => open(category.name));
      return tab;
    }));
  const element = el("section", { class: "menu", "aria-label": "Actions" },
    el("div", { class: "search" }, input, ctx.cap("search"), foundText), favouriteRow, tabs,
    el("div", { class: "columns" }, ...columns.map((column) => column.element)), definition);

  function newColumn(category) {
    const count = el("span", { class: "count-of" });
    const list = el("div", { class: "acts", role: category.max === 1 ? "radiogroup" : "group",
      "aria-label": `${category.title}: ${category.hint}`, onkeydown: (event) => onListKey(event, list) });
    const mine = labels.filter((label) => label.category === category.name);
    for (const [number, label] of mine.entries()) list.append(newRow(label, category, number === 0));
    const tab = el("button", { type: "button", data: { tab: category.name } }, category.short, el("small"));
    return { category, count, list, tab, element: el("div", { class: "column", data: { category: category.name } },
      el("h2", {}, category.title, " ", count), list) };
  }

  function newRow(label, category, isFirst) {
    const digit = el("kbd", { hidden: true, "aria-hidden": "true" });
    const act = el("button", { type: "button", class: "act", role: category.max === 1 ? "radio" : "checkbox", tabindex: isFirst ? "0" : "-1",
      onclick: () => on.choose(label), onfocus: () => define(label), onpointerenter: () => define(label) },
      el("span", { text: label.name }), digit);
    const star = el("button", { type: "button", class: "star", tabindex: "-1", "aria-label": `Favourite: ${label.name}`,
      onclick: () => on.star(label) });
    const row = el("div", { class: "row-of", role: "presentation", data: { id: label.id } }, act, star);
    rows.set(label.id, { row, act, star, digit, label });
    return row;
  }

  function define(label) {
    definition.textContent = label.definition ? `${label.name}: ${label.definition}` : "";
  }

  // One stop of the Tab key a column; the arrows go through it.
  function onListKey(event, list) {
    const acts = [...list.querySelectorAll(".row-of:not([hidden]) .act")];
    const now = acts.indexOf(document.activeElement);
    if (now === -1 || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = acts.length - 1;
    const next = { ArrowDown: Math.min(now + 1, last), ArrowUp: Math.max(now - 1, 0), Home: 0, End: last }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      for (const act of list.querySelectorAll(".act")) act.tabIndex = -1;
      acts[next].tabIndex = 0;
      acts[next].focus();
    } else if (event.key === "f") {
      event.preventDefault();
      on.star(rows.get(Number(acts[now].parentElement.dataset.id)).label);
    }
  }

  function onSearchKey(event) {
    const isEmpty = input.value === "";
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const digit = isEmpty && /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
    if (event.key === "Enter") takeFound();
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") shift(event.key === "ArrowDown" ? 1 : -1);
    else if (event.key === "Escape" && isEmpty) input.blur();
    else if (event.key === "Escape") clear();
    else if (digit) takeDigit(digit);
    else if (isEmpty && event.key === " ") on.togglePlay();
    else if (isEmpty && event.key === "Backspace") on.removeLast();
    else return;
    event.preventDefault();
  }

  function search() {
    matches = found(labels, input.value);
    place = Math.max(0, matches.findIndex((label) => !taken.includes(label.id)));
    const isAsked = input.value.trim() !== "";
    element.classList.toggle("is-searching", isAsked);
    for (const { row, label } of rows.values()) row.hidden = isAsked && !matches.includes(label);
    for (const { list, element: column } of columns) {
      column.classList.toggle("is-empty", isAsked && !list.querySelector(".row-of:not([hidden])"));
    }
    fixTabStops();
    point();
  }

  // Of the rows that are seen in a column, one can be reached by Tab.
  function fixTabStops() {
    for (const { list } of columns) {
      const acts = [...list.querySelectorAll(".row-of:not([hidden]) .act")];
      if (!acts.some((act) => act.tabIndex === 0) && acts.length) {
        for (const act of list.querySelectorAll(".act")) act.tabIndex = -1;
        acts[0].tabIndex = 0;
      }
    }
  }

  function shift(by) {
    if (!matches.length) return;
    place = (place + by + matches.length) % matches.length;
    point();
  }

  function point() {
    for (const { row, label } of rows.values()) row.classList.toggle("is-next", matches[place] === label);
    const next = matches[place];
    if (next) {
      rows.get(next.id).row.scrollIntoView({ block: "nearest" });
      define(next);
    }
    const isAsked = input.value.trim() !== "";
    foundText.textContent = !isAsked ? "" : matches.length ? `${place + 1} of ${matches.length}` : "none found";
    if (isAsked) ctx.say(next ? `${next.name}, ${place + 1} of ${matches.length}` : "No action found");
  }

  function takeFound() {
    const label = matches[place];
    if (!label) return;
    clear();
    on.choose(label, { isSearched: true });
  }

  function takeDigit(number) {
    const label = digits[number - 1];
    if (label) on.choose(label);
  }

  function clear() {
    input.value = "";
    search();
  }

  function open(name) {
    element.dataset.tab = name;
    for (const { category, tab } of columns) tab.setAttribute("aria-pressed", String(category.name === name));
  }

  function draw({ chosen, favourites }) {
    digits = digitLabels(labels, favourites);
    taken = chosen;
    const isFull = {};
    for (const { category, count, tab, list } of columns) {
      const number = chosen.filter((id) => rows.get(id)?.label.category === category.name).length;
      isFull[category.name] = category.max > 1 && number >= category.max;
      count.textContent = `${number} of ${category.max}${isFull[category.name] ? ", full" : ""}`;
      tab.querySelector("small").textContent = `${number}/${category.max}`;
      list.classList.toggle("is-full", isFull[category.name]);
    }
    for (const { act, star, digit, label } of rows.values()) {
      const isChosen = chosen.includes(label.id);
      act.setAttribute("aria-checked", String(isChosen));
      act.setAttribute("aria-disabled", String(isFull[label.category] && !isChosen));
      const isStarred = favourites.includes(label.id);
      star.setAttribute("aria-pressed", String(isStarred));
      star.textContent = isStarred ? "★" : "☆";
      const number = digits.indexOf(label) + 1;
      digit.hidden = !number || number > NUM_DIGITS;
      digit.textContent = String(number);
    }
    drawFavourites(chosen, favourites);
  }

  function drawFavourites(chosen, favourites) {
    const held = document.activeElement?.dataset?.favourite;
    favouriteRow.replaceChildren(...digits.map((label, number) => el("button", { type: "button", class: "favourite",
      data: { favourite: label.id }, "aria-pressed": String(chosen.includes(label.id)), onclick: () => on.choose(label),
      onpointerenter: () => define(label) },
      number < NUM_DIGITS && el("kbd", { text: String(number + 1), "aria-hidden": "true" }), shortOf(label.name),
      favourites.includes(label.id) && el("span", { class: "starred", text: "★", "aria-hidden": "true" }))));
    if (held) favouriteRow.querySelector(`[data-favourite="${held}"]`)?.focus();
  }

  open("pose");
  return {
    element, draw, open, takeDigit,
    focusSearch: () => input.focus(),
    get hasText() { return input.value !== ""; },
  };
}
