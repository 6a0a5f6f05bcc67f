// "Is the person in the box doing X?" (AVA-Kinetics, 1.2, step 5): one proposed label of one person, checked.

import { el, question as heading } from "/static/dom.js";

export function mount(root, question, ctx) {
  const player = ctx.player({ controls: true });
  const done = (answer) => () => ctx.done({ answer });
  ctx.actions([
    { name: "yes", key: "y", label: "Yes", run: done("yes") },
    { name: "no", key: "n", label: "No", run: done("no") },
    { name: "unsure", key: "u", label: "Unsure", run: done("unsure") },
    { name: "broken", key: "b", label: "Does not play, or no human in the box", run: done("broken") },
  ]);
  root.append(
    el("div", { class: "top" }, heading("Is the person in the box doing this:", `${question.action}?`)),
    player.element,
    el("div", { class: "answers", role: "group", "aria-labelledby": "question", id: "answers", data: { count: "4" } },
      ctx.button("yes", { tone: "yes" }), ctx.button("no", { tone: "no" }), ctx.button("unsure", { tone: "unsure" }),
      ctx.button("broken", { tone: "broken", label: "Does not play", more: "or no human in the box" })),
  );
  player.show(question);
  return { unmount() {} };
}
