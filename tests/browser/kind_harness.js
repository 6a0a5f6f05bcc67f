// One question on a bare page: the keys and the player are the real ones, the rest of `ctx` only remembers.

import { el } from "/static/dom.js";
import { Keys } from "/static/keys.js";
import { MediaPool } from "/static/media.js";
import { Player } from "/static/player.js";

const read = (name) => JSON.parse(localStorage.getItem(name) ?? "null");
const write = (name, value) => localStorage.setItem(name, JSON.stringify(value));
const { question, labels } = await (await fetch("/question.json")).json();

const keys = new Keys();
const pool = new MediaPool();
const prefs = { get: (name, otherwise = null) => (read("prefs") ?? {})[name] ?? otherwise,
  set: (name, value) => write("prefs", { ...read("prefs"), [name]: value }) };
const player = new Player({ pool, keys, prefs, onBroken: () => {} });
const root = document.getElementById("kind");
let runs = new Map();
let mounted = null;
window.seen = { answers: [], said: [] };

const ctx = {
  done: (answer) => window.seen.answers.push(answer),
  actions: (list) => {
    runs = new Map(list.map((action) => [action.name, action]));
    keys.bind("kind", list, question.kind);
  },
  cap: (name) => keys.cap("kind", name),
  button: (name, { tone = "", label = null, more = "" } = {}) => el("button", { type: "button", class: `answer ${tone}`, data: { scope: "kind", action: name }, onclick: (event) => runs.get(name).run(event) },
    keys.cap("kind", name), el("span", { class: "label" }, label ?? runs.get(name).label, more && " ", more && el("small", { text: more }))),
  player: () => {
    keys.bind("player", player.actions());
    return player;
  },
  video: (url) => pool.video(url),
  get draft() { return read("draft"); },
  keepDraft: (draft) => write("draft", draft),
  get previous() { return read("previous"); },
  labels: async () => labels,
  say: (text) => window.seen.said.push(text),
  toast: (text) => window.seen.said.push(text),
  focusQuestion: () => {},
  prefs,
};
keys.bind("shell", [{ name: "undo", key: "z", label: "Undo", run: () => mounted.undo?.() }]);
document.head.append(el("link", { rel: "stylesheet", href: `/static/kinds/${question.kind}.css` }));
mounted = (await import(`/static/kinds/${question.kind}.js`)).mount(root, question, ctx);
if (!root.contains(document.activeElement)) root.querySelector("h1")?.focus();
window.seen.isReady = true;
