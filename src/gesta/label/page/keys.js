// Keys: which key does what, the dialog that changes them, and the caps that show them.
//
// An action is {name, key, label, run, also?, repeats?, inText?, isFixed?}. `key` is what the browser calls it: "y", " ",
// "ArrowLeft", "Shift+ArrowLeft". `also` lists further keys that cannot be changed. Scopes are asked in the order
// kind, player, shell: a kind may take a key that the player has by default.

import { el } from "/static/dom.js";

const ORDER = ["kind", "player", "shell"];
const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Enter: "Enter", Escape: "Esc",
  Delete: "Del", Backspace: "⌫", "-": "−" };
const NEVER = new Set(["Tab", "Escape", "Enter", "Shift", "Control", "Alt", "Meta", "AltGraph", "CapsLock", "Dead", "Process",
  "Unidentified", "?"]);

/** What a keyboard event is called: a letter in lower case, by its place on the board where the letters are not Latin. */
export function keyOf(event) {
  let { key } = event;
  // On a Mac, Option and U begin an umlaut: the key is then "Dead".
  if (event.altKey && key === "Dead" && /^Key[A-Z]$/.test(event.code)) key = event.code.slice(3);
  if (key.length === 1) {
    if (key > "\u007f" && /^Key[A-Z]$/.test(event.code)) key = event.code.slice(3);
    key = key.toLowerCase();
  }
  const isNamed = key.length > 1 || /^[a-z ]$/.test(key);
  return `${event.altKey ? "Alt+" : ""}${event.shiftKey && isNamed ? "Shift+" : ""}${key}`;
}

/** What is printed on the cap. */
export function shown(key) {
  const plus = key.lastIndexOf("+", key.length - 2);
  const [before, last] = [key.slice(0, plus + 1), key.slice(plus + 1)];
  return before.replace("Shift+", "⇧") + (NAMES[last] ?? (last.length === 1 ? last.toUpperCase() : last));
}

/** Whether keys typed at this element are text. */
function isText(target) {
  return Boolean(target.closest?.("textarea, select, [contenteditable=true], input:not([type=range], [type=checkbox], [type=radio], [type=button])"));
}

function isOwn(event, key) {
  const { target } = event;
  // On a button that was reached by Tab, Space and Enter press that button; on a slider the arrows move it.
  if ([" ", "Enter"].includes(key) && target.matches?.(":is(button, a[href], summary, [role=button], input[type=checkbox], input[type=radio]):focus-visible")) return true;
  return Boolean(target.matches?.("input[type=range]") && /^(Arrow|Page|Home|End)/.test(key));
}

export class Keys {
  constructor() {
    this.scopes = {};
    this.known = new Map();
    this.chosen = {};
    this.kind = "";
    this.onChange = () => {};
    document.addEventListener("keydown", (event) => this.strike(event));
  }

  /** Take the worker's own keys: {scope: {name: key}}; `onChange` is told of each change. */
  use(chosen, onChange) {
    this.chosen = chosen ?? {};
    this.onChange = onChange;
    this.redraw();
  }

  /** Bind these actions in a scope ("kind", "player", "shell"), in place of those bound there before. */
  bind(scope, actions, kind = this.kind) {
    if (scope === "kind") this.kind = kind;
    this.scopes[scope] = actions;
    const place = this.placeOf(scope);
    const known = this.known.get(place) ?? new Map();
    for (const action of actions) known.set(action.name, action);
    this.known.set(place, known);
    this.redraw();
  }

  placeOf(scope) {
    return scope === "kind" ? this.kind : scope;
  }

  keyFor(scope, name) {
    const place = this.placeOf(scope);
    return this.chosen[place]?.[name] ?? this.known.get(place)?.get(name)?.key ?? "";
  }

  /** A <kbd> that shows the action's key, now and after a change. */
  cap(scope, name) {
    return el("kbd", { data: { scope, action: name }, text: shown(this.keyFor(scope, name)), "aria-hidden": "true" });
  }

  redraw() {
    for (const element of document.querySelectorAll("[data-action][data-scope]")) {
      const key = this.keyFor(element.dataset.scope, element.dataset.action);
      if (element.tagName === "KBD") element.textContent = shown(key);
      else if (key) element.setAttribute("aria-keyshortcuts", key === " " ? "Space" : key);
    }
  }

  strike(event) {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.metaKey || (event.ctrlKey && !event.getModifierState?.("AltGraph"))) return;
    const key = keyOf(event);
    if (isOwn(event, key)) return;
    const found = this.find(key) ?? (key.length > 1 && /^Shift\+.$/.test(key) ? this.find(key.slice(6)) : null);
    if (!found || (isText(event.target) && !found.inText)) return;
    event.preventDefault();
    if (event.repeat && !found.repeats) return;
    flash(document.querySelector(`button[data-action="${CSS.escape(found.name)}"]`));
    found.run(event);
  }

  find(key) {
    for (const scope of ORDER) {
      for (const action of this.scopes[scope] ?? []) {
        if (this.keyFor(scope, action.name) === key || action.also?.includes(key)) return action;
      }
    }
    return null;
  }

  /** Why this key cannot be had, or "". Source: ours; one key never does two things at once. */
  problemWith(place, name, key) {
    if (NEVER.has(key.replace(/^(Alt\+|Shift\+)+/, ""))) return `${shown(key)} is kept for the page itself.`;
    for (const other of new Set([place, this.kind, "player", "shell"])) {
      for (const action of this.known.get(other)?.values() ?? []) {
        if (other === place && action.name === name) continue;
        const own = this.chosen[other]?.[action.name] ?? action.key;
        if (own === key || action.also?.includes(key)) return `${shown(key)} is already “${action.label}”.`;
      }
    }
    return "";
  }

  change(place, name, key) {
    const normal = this.known.get(place)?.get(name)?.key;
    const own = { ...this.chosen[place] };
    if (key === normal) delete own[name];
    else own[name] = key;
    this.chosen = { ...this.chosen, [place]: own };
    this.redraw();
    this.onChange(this.chosen);
  }

  reset() {
    this.chosen = {};
    this.redraw();
    this.onChange(this.chosen);
  }

  /** The list of keys with a button to change each, for the help. */
  list(say) {
    const groups = [[this.kind, "Answers"], ["player", "Clip"], ["shell", "Page"]]
      .filter(([place]) => this.known.get(place)?.size);
    const draw = () => box.replaceChildren(...groups.flatMap(([place, title]) => [
      el("h3", { text: title }),
      el("ul", { class: "keys" }, ...[...this.known.get(place).values()].map((action) => this.row(place, action, say))),
    ]), el("button", { type: "button", class: "quiet", id: "keys-reset", text: "Back to the usual keys",
      onclick: () => { this.reset(); draw(); say("The usual keys are back."); } }));
    const box = el("div", { class: "keys-box" });
    draw();
    return box;
  }

  row(place, action, say) {
    const key = () => this.chosen[place]?.[action.name] ?? action.key;
    const cap = el("kbd", { text: shown(key()) });
    const also = (action.also ?? []).map((other) => el("kbd", { class: "also", text: shown(other) }));
    const button = el("button", { type: "button", class: "quiet", text: "Change", data: { place, change: action.name },
      "aria-label": `Change the key of ${action.label}, now ${shown(key())}` });
    button.addEventListener("click", () => {
      button.textContent = "Press a key…";
      say(`Press the new key for ${action.label}. Escape leaves it as it is.`);
      const finish = (text) => {
        button.removeEventListener("keydown", take);
        button.removeEventListener("blur", leave);
        button.textContent = "Change";
        cap.textContent = shown(key());
        button.setAttribute("aria-label", `Change the key of ${action.label}, now ${shown(key())}`);
        say(text);
      };
      const leave = () => finish("");
      const take = (event) => {
        if (["Shift", "Control", "Alt", "Meta", "AltGraph", "CapsLock"].includes(event.key)) return;
        event.preventDefault();
        event.stopPropagation();
        if (event.key === "Escape") return finish("Left as it was.");
        const wanted = keyOf(event);
        const problem = event.ctrlKey || event.metaKey ? "Keys with Ctrl belong to the browser." : this.problemWith(place, action.name, wanted);
        if (problem) return say(`${problem} Press another key, or Escape.`, { isProblem: true });
        this.change(place, action.name, wanted);
        finish(`${action.label} is now ${shown(wanted)}.`);
      };
      button.addEventListener("keydown", take);
      button.addEventListener("blur", leave);
    });
    return el("li", {}, el("span", { text: action.label }), el("span", { class: "caps" }, cap, ...also), !action.isFixed && button);
  }
}

export function flash(button) {
  button?.classList.add("struck");
  setTimeout(() => button?.classList.remove("struck"), 160);
}
