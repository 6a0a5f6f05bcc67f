// Build elements out of plain values. Text is always text: nothing here reads markup, so no name can become code.

/**
 * An element: `el("button", { class: "primary", type: "button", onclick: go }, "Go ", cap)`.
 * `class`, `text` and `data` (an object) are spelled so; `on…` takes a function; null and false leave a thing out;
 * the rest are attributes.
 */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A question's heading: the soft words before, then what is asked about, large. The shell puts the focus on it. */
export function question(lead, what, after = "") {
  return el("h1", { class: "question", id: "question", tabindex: "-1", "aria-describedby": "count" }, el("span", { text: lead }), " ",
    el("em", { text: what }), after && ` ${after}`);
}

/** "1 clip", "20 clips". */
export function counted(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}
