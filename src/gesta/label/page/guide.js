// The instructions: two screens before the first task of a kind, the second saying the first once more in short
// (Kinetics-400, 3.3), and the same text on `?` at any time. The words stand in guide/<kind>.md.

import { el } from "/static/dom.js";

const fetched = new Map();

/** The screens of a kind, each a function that builds it anew; [] where there are no instructions. */
export async function guideOf(kind) {
  if (!fetched.has(kind)) {
    const found = fetch(`/static/guide/${kind}.md`).then((response) => (response.ok ? response.text() : "")).then(
      (text) => text.split(/^---$/m).map((part) => part.trim()).filter(Boolean),
    );
    fetched.set(kind, found.catch(() => { fetched.delete(kind); return []; }));
  }
  return (await fetched.get(kind)).map((text) => () => drawn(text));
}

/** The little of Markdown that the guides use: # and ## headings, lists, pictures, paragraphs, **strong** words. */
export function drawn(text) {
  const box = el("div", { class: "guide" });
  for (const block of text.split(/\n\s*\n/)) {
    const lines = block.split("\n").map((line) => line.trim()).filter(Boolean);
    if (!lines.length) continue;
    const picture = /^!\[(.*)\]\(([a-z0-9-]+\.svg)\)$/.exec(lines[0]);
    if (picture) box.append(el("img", { class: "picture", src: `/static/guide/${picture[2]}`, alt: picture[1], width: 640, height: 240 }));
    else if (lines[0].startsWith("## ")) box.append(el("h2", { tabindex: "-1" }, spans(lines[0].slice(3))));
    else if (lines[0].startsWith("# ")) box.append(el("h1", { tabindex: "-1" }, spans(lines[0].slice(2))));
    else if (/^[-*] /.test(lines[0])) box.append(el("ul", {}, ...items(lines).map((item) => el("li", {}, spans(item)))));
    else box.append(el("p", {}, spans(lines.join(" "))));
  }
  return box;
}

function items(lines) {
  const found = [];
  for (const line of lines) {
    if (/^[-*] /.test(line)) found.push(line.slice(2));
    else found.push(`${found.pop()} ${line}`);
  }
  return found;
}

function spans(text) {
  return text.split("**").map((part, i) => (i % 2 ? el("b", { text: part }) : part));
}
