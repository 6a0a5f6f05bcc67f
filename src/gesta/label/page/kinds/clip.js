// "Can you see a human performing the action X?" (Kinetics-400, 3.3), and after Yes "… for the whole clip?".

import { el, question as heading } from "/static/dom.js";

const NOT_THIS = "Does not play";
const NOT_THIS_MORE = "or no human, an image, cartoon or game";

export function mount(root, question, ctx) {
  const player = ctx.player({ controls: true });
  const top = el("div", { class: "top" });
  const answers = el("div", { class: "answers", role: "group", "aria-labelledby": "question", id: "answers" });
  const state = ctx.draft ?? {};
  root.append(top, player.element, answers);

  const ask = (lead, what, after, actions, buttons) => {
    top.replaceChildren(heading(lead, what, after));
    ctx.actions(actions);
    answers.dataset.count = String(buttons.length);
    answers.replaceChildren(...buttons.map(([name, props]) => ctx.button(name, props)));
  };

  function askIfSeen() {
    ctx.keepDraft(null);
    ask("Can you see a human performing the action", `${question.action}?`, "", [
      { name: "yes", key: "y", label: "Yes", run: askIfWhole },
      { name: "no", key: "n", label: "No", run: () => (question.asks_suggestion ? askInstead() : ctx.done({ answer: "no" })) },
      { name: "unsure", key: "u", label: "Unsure", run: () => ctx.done({ answer: "unsure" }) },
      { name: "broken", key: "b", label: `${NOT_THIS}, ${NOT_THIS_MORE.slice(3)}`, run: () => ctx.done({ answer: "broken" }) },
    ], [["yes", { tone: "yes" }], ["no", { tone: "no" }], ["unsure", { tone: "unsure" }],
      ["broken", { tone: "broken", label: NOT_THIS, more: NOT_THIS_MORE }]]);
  }

  function askIfWhole() {
    ctx.keepDraft({ step: "whole" });
    const done = (lasts_whole_clip) => ctx.done({ answer: "yes", lasts_whole_clip });
    ask(`Does the action “${question.action}” last for the`, "whole clip?", "", [
      { name: "yes", key: "y", label: "Yes", run: () => done(true) },
      { name: "no", key: "n", label: "No", run: () => done(false) },
    ], [["yes", { tone: "yes", more: "from start to end" }], ["no", { tone: "no", more: "only a part of it" }]]);
    ctx.focusQuestion();
  }

  async function askInstead() {
    const { suggestionField } = await import("/static/kinds/suggestion.js");
    if (!root.isConnected) return;
    ctx.keepDraft({ step: "instead", text: state.text ?? "" });
    ctx.actions([]);
    const field = suggestionField(ctx, {
      text: state.text ?? ctx.previous?.detail?.suggestion ?? "",
      onText: (text) => ctx.keepDraft({ step: "instead", text }),
      onSend: (text) => ctx.done(text ? { answer: "no", detail: { suggestion: text } } : { answer: "no" }),
      skip: "Nothing to add",
    });
    top.replaceChildren(heading(`Not “${question.action}”.`, "What is it instead?", "(if you can say)"));
    answers.dataset.count = "1";
    answers.replaceChildren(field.element);
    field.focus();
  }

  player.show(question);
  // A reload in the middle of the follow-up comes back to the follow-up.
  askIfSeen();
  if (state.step === "whole") askIfWhole();
  if (state.step === "instead") askInstead();

  return {
    /** One step back inside the question; false where there is none. */
    undo() {
      if (!ctx.draft?.step) return false;
      askIfSeen();
      ctx.focusQuestion();
      return true;
    },
    unmount() {},
  };
}
