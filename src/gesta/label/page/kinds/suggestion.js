// "What action is it instead?" (Kinetics-400, 3.1): free words, with the known actions to choose from.

import { el, question as heading } from "/static/dom.js";

const MAX_CHARS = 100;
const MAX_SHOWN = 6;

export function mount(root, question, ctx) {
  const player = ctx.player({ controls: true });
  ctx.actions([
    { name: "write", key: "w", label: "Write in the field (Escape leaves it)", run: () => field.focus() },
    { name: "unsure", key: "Alt+u", label: "I cannot say", inText: true, run: () => ctx.done({ answer: "unsure" }) },
    { name: "broken", key: "Alt+b", label: "Does not play, no human, an image, cartoon or game", inText: true,
      run: () => ctx.done({ answer: "broken" }) },
  ]);
  const field = suggestionField(ctx, {
    text: ctx.draft?.text ?? ctx.previous?.detail?.text ?? "",
    onText: (text) => ctx.keepDraft({ text }),
    onSend: (text) => ctx.done({ answer: "done", detail: { text } }),
  });
  const not = question.action ? `It is not “${question.action}”.` : "";
  root.append(
    el("div", { class: "top" }, heading(not, "What action is it instead?")),
    player.element,
    field.element,
    el("div", { class: "answers", role: "group", "aria-labelledby": "question", id: "answers", data: { count: "2" } },
      ctx.button("unsure", { tone: "unsure" }),
      ctx.button("broken", { tone: "broken", label: "Does not play", more: "or no human, an image, cartoon or game" })),
  );
  player.show(question);
  field.focus();
  return { unmount() {} };
}

/**
 * A text field with the known actions under it: arrows choose, Enter takes the chosen one and sends, Escape closes.
 * `skip` is the words of a button that sends nothing; without it an empty field is not sent.
 */
export function suggestionField(ctx, { text, onText, onSend, skip = "" }) {
  let names = [];
  let chosen = -1;
  let hasTyped = false;
  const input = el("input", { id: "instead", type: "text", maxlength: MAX_CHARS, autocomplete: "off", autocapitalize: "off",
    role: "combobox", "aria-expanded": "false", "aria-autocomplete": "list", "aria-controls": "instead-list",
    "aria-label": "The action, in a few words", placeholder: "for example: pruning a tree", "aria-describedby": "instead-problem" });
  const list = el("ul", { id: "instead-list", class: "options", role: "listbox", "aria-label": "Known actions", hidden: true });
  const problem = el("p", { class: "problem", id: "instead-problem", role: "alert" });
  const send = el("button", { type: "submit", class: "primary" }, "Send ", el("kbd", { text: "Enter", "aria-hidden": "true" }));
  const none = skip && el("button", { type: "button", text: skip, onclick: () => onSend("") });
  const element = el("form", { class: "suggest", novalidate: true }, el("div", { class: "combo" }, input, list), el("div", { class: "row" }, send, none), problem);
  input.value = text;

  const options = () => [...list.children];
  const close = () => {
    list.hidden = true;
    chosen = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const choose = (index) => {
    chosen = index;
    for (const [i, option] of options().entries()) option.setAttribute("aria-selected", String(i === index));
    if (index >= 0) input.setAttribute("aria-activedescendant", `instead-${index}`);
    else input.removeAttribute("aria-activedescendant");
  };
  const take = (name) => {
    input.value = name;
    onText(name);
    close();
  };
  const open = () => {
    const found = matching(names, input.value);
    list.replaceChildren(...found.map((name, i) => el("li", { id: `instead-${i}`, role: "option", "aria-selected": "false", text: name,
      onpointerdown: (event) => { event.preventDefault(); take(name); } })));
    chosen = -1;
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(!list.hidden));
    input.removeAttribute("aria-activedescendant");
  };

  input.addEventListener("input", () => {
    hasTyped = true;
    problem.textContent = "";
    onText(input.value);
    if (input.value.trim()) open();
    else close();
  });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const num = options().length;
    if (["ArrowDown", "ArrowUp"].includes(event.key)) {
      event.preventDefault();
      if (list.hidden) return open();
      choose(event.key === "ArrowDown" ? (chosen + 1) % num : (chosen <= 0 ? num : chosen) - 1);
    } else if (event.key === "Escape") {
      // First the list closes; then the field gives the keys back to the clip.
      event.preventDefault();
      if (list.hidden) input.blur();
      else close();
    } else if (event.key === "Enter" && chosen >= 0) {
      event.preventDefault();
      take(options()[chosen].textContent);
    }
  });
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    const words = input.value.trim().replace(/\s+/g, " ");
    if (words || skip) return onSend(words);
    problem.textContent = "Please write the action in a few words, or say that you cannot.";
    input.focus();
  });
  ctx.actionNames().then((found) => {
    names = found;
    if (hasTyped && input.value.trim() && document.activeElement === input) open();
  });
  return { element, focus: () => input.focus({ preventScroll: true }) };
}

/** The known names for what is typed: those that begin so, then those with a word that does, then any that hold it. */
function matching(names, typed) {
  const wanted = typed.trim().toLowerCase();
  const rank = (name) => {
    const low = name.toLowerCase();
    if (low.startsWith(wanted)) return 0;
    return low.includes(` ${wanted}`) ? 1 : low.includes(wanted) ? 2 : 3;
  };
  return names.filter((name) => rank(name) < 3 && name.toLowerCase() !== wanted)
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b)).slice(0, MAX_SHOWN);
}
