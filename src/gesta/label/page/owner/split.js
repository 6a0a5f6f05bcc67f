// Split a class into others, whose clips are then asked about anew.

import { el } from "../dom.js";
import { dialog } from "./ask.js";

const CLIPS = {
  accepted: "the clips that were accepted", rejected: "the clips that were rejected", all: "all its clips",
  suggested: "the clips for which these names were suggested",
};

/** Ask for the names; `names` are put in to begin with, `clips` says which clips are sent out again. */
export async function splitClass(row, names, ctx, { clips = "accepted" } = {}) {
  const choice = el("select", { id: "clips" }, Object.entries(CLIPS).map(([value, text]) => el("option", { value, text, selected: value === clips })));
  const field = el("textarea", { id: "names", rows: 5, spellcheck: "true" });
  field.value = names.join("\n");
  const listed = () => [...new Set(field.value.split("\n").map((name) => name.trim().replace(/\s+/g, " ")).filter(Boolean))];
  const said = await dialog({
    title: `Split ${row.name}`, confirm: "Split the class", tone: "danger",
    text: [
      `Clips of ${row.name} are asked about again, once under each of the names below. ${row.name} is dropped, unless its own name is among them; the answers so far are kept.`,
      "There is no undo: the new classes can be paused or dropped one by one.",
    ],
    fill: (body) => body.append(el("label", { for: "names", text: "New classes, one a line" }), field, el("label", { for: "clips", text: "Send out again" }), choice),
    check: () => {
      if (!listed().length) return "Give at least one name.";
      return listed().some((name) => name.length > 100) ? "A name has 100 characters at most." : "";
    },
  });
  if (!said) return;
  const into = listed();
  await ctx.did("POST", `/api/owner/classes/${row.class_id}/split`, { into, clips: choice.value }, `${row.name} is now ${into.join(", ")}.`);
}
