// The page inside a HIT of Mechanical Turk: a preview, or one task and the form that submits the assignment.

import { el } from "/static/dom.js";
import { guideOf } from "/static/guide.js";
import { page, primary, visit } from "/static/visit.js";
import { call } from "/static/wire.js";

const PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE";
const query = new URLSearchParams(location.search);
const asked = (name) => query.get(name) ?? "";

async function preview() {
  const screens = await guideOf("clip");
  page("Watch short clips, say what people do", [
    el("p", { class: "visit-note" }, el("b", { text: "This is a preview. " }), "Accept the HIT to begin: then the clips are shown here."),
    sample(),
    ...screens.map((draw) => demoted(draw())),
  ]);
}

/** A question as it will look, whose buttons do nothing. */
function sample() {
  const answers = ["Yes", "No", "Unsure", "Does not play"].map((text) => el("button", { type: "button", disabled: true, text }));
  return el("section", { class: "visit-sample", "aria-label": "A sample question; it takes no answers" },
    el("h2", {}, "Can you see a human performing the action ", el("em", { text: "juggling balls" }), "?"),
    el("div", { class: "row" }, ...answers));
}

function demoted(guide) {
  for (const heading of guide.querySelectorAll("h1")) heading.replaceWith(el("h2", {}, ...heading.childNodes));
  return guide;
}

const open = () => call("POST", "/api/external/mturk", {
  body: { assignment_id: asked("assignmentId"), hit_id: asked("hitId"), worker_id: asked("workerId"), submit_to: asked("turkSubmitTo"), key: asked("key") },
});

function leave({ outcome, message, leaving }, { isNew }) {
  if (!leaving) return page(outcome === "nothing" ? "Nothing to do just now" : "No more tasks", [el("p", { text: message })]);
  const form = el("form", { method: "post", action: leaving.url, id: "submit-form" },
    ...Object.entries(leaving.fields).map(([name, value]) => el("input", { type: "hidden", name, value })));
  page("All done: thank you", [el("p", { text: message }), form], [primary("Submit the HIT", () => form.submit())]);
  // The worker has just said "send": the HIT is submitted with it. After a reload the button does it.
  if (isNew) form.submit();
  return undefined;
}

if ([PREVIEW, ""].includes(asked("assignmentId"))) preview();
else visit({ source: "mturk", open, leave });
