// The least of a page that a kind of question needs: what the real one gives it, without a service behind it.

import { Keys } from "/static/keys.js";

const question = await (await fetch("/question.json")).json();
const keys = new Keys();
const kind = await import(`/static/kinds/${question.kind}.js`);
const style = document.createElement("link");
style.rel = "stylesheet";
style.href = `/static/kinds/${question.kind}.css`;
const isStyled = new Promise((resolve) => style.addEventListener("load", resolve));
document.head.append(style);
await isStyled;

const results = [];
const said = document.getElementById("said");
const ctx = {
  done: (answer) => results.push(answer),
  actions: (list) => keys.bind("kind", list, question.kind),
  cap: (name) => keys.cap("kind", name),
  video: (url) => {
    const video = document.createElement("video");
    Object.assign(video, { muted: true, loop: true, playsInline: true, preload: "auto", src: url });
    return video;
  },
  draft: JSON.parse(localStorage.getItem("draft") ?? "null"),
  keepDraft: (draft) => localStorage.setItem("draft", JSON.stringify(draft)),
  previous: question.previous ?? null,
  say: (text) => { said.textContent = text; },
};
const mounted = kind.mount(document.getElementById("screen-ask"), question, ctx);
document.body.dataset.isReady = "true";
Object.assign(window, { harness: { results, mounted } });
