// Split a class into others, whose clips are then asked about anew.

import { el } from "../dom.js";
import { dialog } from "./ask.js";

/** Ask for the names; `names` are put in to begin with. */
export async function splitClass(row, names, ctx) {
  const field = el("textarea", { id: "names", rows: 5, spellcheck: "true" });
  field.value = names.join("\n");
  const listed = () => [...new Set(field.value.split("\n").map((name) => name.trim().replace(/\s+/g, " ")).filter(Boolean))];
  const said = await dialog({
    title: `Split ${row.name}`, confirm: "Split the class", tone: "danger",
    text: [
      `Each of the clips of ${row.name} is asked about again, once under each of the names below. ${row.name} itself is dropped; the answers so far are kept.`,
      "This cannot be taken back with one click: the new classes can be paused or dropped one by one.",
    ],
    fill: (body) => body.append(el("label", { for: "names", text: "New classes, one a line" }), field),
    check: () => {
      if (!listed().length) return "Give at least one name.";
      return listed().some((name) => name.length > 100) ? "A name has 100 characters at most." : "";
    },
  });
  if (!said) return;
  const into = listed();
  await ctx.did("POST", `/api/owner/classes/${row.class_id}/split`, { into }, `${row.name} is now ${into.join(", ")}.`);
}
