// Play one clip in a loop at the speed the worker likes, step through its frames, and follow the person asked about.
//
// A kind gets the one Player from `ctx.player()`, puts `player.element` on the page and calls `player.show(question)`.

import { el } from "/static/dom.js";

export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3];
const NO_CLIP = "This clip does not load. If it stays so, answer “does not play”.";

export class Player {
  constructor({ pool, keys, prefs, onBroken }) {
    Object.assign(this, { pool, keys, onBroken, prefs });
    this.video = null;
    this.question = null;
    this.isHighlightShown = true;
    this.numReplays = 0;
    this.listening = new Map();
    this.build();
    new ResizeObserver(() => this.fit()).observe(this.stage);
    const draw = () => {
      if (this.element.isConnected) this.draw();
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  }

  build() {
    const button = (name, props, ...inner) => el("button", { type: "button", data: { scope: "player", action: name }, ...props }, ...inner, this.keys.cap("player", name));
    const glyph = (text) => el("span", { class: "glyph", "aria-hidden": "true", text });
    this.keys.bind("player", this.actions());
    this.highlight = el("div", { class: "highlight", "aria-hidden": "true", hidden: true });
    this.frame = el("div", { class: "frame" }, this.highlight);
    this.note = el("div", { class: "stage-note", role: "alert", hidden: true });
    this.pauseMark = el("div", { class: "pause-mark", "aria-hidden": "true", hidden: true, text: "Paused" });
    this.stage = el("div", { class: "stage" }, this.frame, this.note, this.pauseMark);
    this.position = el("input", { type: "range", min: 0, max: 1000, value: 0, "aria-label": "Position in the clip",
      oninput: () => this.seekShare(this.position.value / 1000) });
    this.keyMark = el("i", { class: "key-mark", hidden: true, title: "The moment asked about" });
    this.replayCount = el("span", { class: "replays" });
    this.playIcon = el("span", { class: "play-icon", "aria-hidden": "true", text: "❚❚" });
    this.playButton = button("play", { id: "play", "aria-label": "Pause", onclick: () => this.toggle() }, this.playIcon);
    this.speedButton = el("button", { type: "button", id: "speed", onclick: () => this.setSpeed(1) });
    this.boxButton = button("box", { id: "toggle-highlight", "aria-pressed": "true", onclick: () => this.toggleHighlight() }, "Box");
    this.transport = el("div", { class: "transport", role: "group", "aria-label": "Playback" },
      this.playButton,
      button("back", { "aria-label": "One frame back", onclick: () => this.step(-1) }, glyph("‹")),
      el("span", { class: "track" }, this.position, this.keyMark),
      button("on", { "aria-label": "One frame on", onclick: () => this.step(1) }, glyph("›")),
      el("span", { class: "speeds" },
        button("slower", { "aria-label": "Slower", onclick: () => this.changeSpeed(-1) }, glyph("«")),
        this.speedButton,
        button("faster", { "aria-label": "Faster", onclick: () => this.changeSpeed(1) }, glyph("»"))),
      button("replay", { "aria-label": "Replay", onclick: () => this.replay() }, glyph("↻"), el("span", { class: "wide", text: "Replay" }), this.replayCount),
      this.boxButton);
    this.element = el("div", { class: "player" }, this.stage, this.transport);
  }

  actions() {
    return [
      { name: "play", key: " ", label: "Play or pause", run: () => this.toggle() },
      { name: "replay", key: "r", label: "Replay from the start", run: () => this.replay() },
      { name: "back", key: ",", also: ["ArrowLeft"], label: "One frame back", repeats: true, run: () => this.step(-1) },
      { name: "on", key: ".", also: ["ArrowRight"], label: "One frame on", repeats: true, run: () => this.step(1) },
      { name: "slower", key: "-", label: "Slower", repeats: true, run: () => this.changeSpeed(-1) },
      { name: "faster", key: "+", also: ["="], label: "Faster", repeats: true, run: () => this.changeSpeed(1) },
      { name: "box", key: "h", label: "Hide or show the box", run: () => this.toggleHighlight() },
    ];
  }

  /** Show a question's clip from its start; its box, where it has one, follows the person. */
  show(question, { isQuiet = false } = {}) {
    if (this.video && this.question?.media_url !== question.media_url) this.leave();
    const isSame = this.video === this.pool.video(question.media_url) && this.question === question;
    this.question = question;
    this.video = this.pool.video(question.media_url);
    this.listen();
    this.frame.prepend(this.video);
    this.note.hidden = true;
    this.boxButton.hidden = !question.box;
    this.setHighlight(true);
    this.keyMark.hidden = !(question.key_time_s >= 0);
    this.setSpeed(this.prefs.get("speed", 1), { isKept: false });
    this.fit();
    if (isSame && isQuiet) return this.play();
    this.setReplays(0);
    if (this.video.error) this.video.load();
    this.start();
  }

  listen() {
    if (this.listening.has(this.video)) return;
    const { video } = this;
    const on = {
      loadedmetadata: () => this.fit(),
      error: () => this.failed(),
      waiting: () => this.stage.classList.add("is-waiting"),
      playing: () => this.settled(),
      canplay: () => this.settled(),
      play: () => this.showPlaying(),
      pause: () => this.showPlaying(),
      click: () => this.toggle(),
    };
    for (const [event, run] of Object.entries(on)) video.addEventListener(event, run);
    this.listening.set(video, on);
    this.stage.classList.toggle("is-waiting", video.readyState < 2 && !video.error);
  }

  leave() {
    const { video } = this;
    if (!video) return;
    for (const [event, run] of Object.entries(this.listening.get(video) ?? {})) video.removeEventListener(event, run);
    this.listening.delete(video);
    video.pause();
    video.remove();
    this.video = null;
    this.question = null;
  }

  settled() {
    this.stage.classList.remove("is-waiting");
    this.note.hidden = true;
  }

  failed() {
    this.stage.classList.remove("is-waiting");
    this.say(NO_CLIP);
    this.showPlaying();
    this.onBroken?.(this.question);
  }

  say(text) {
    this.note.textContent = text;
    this.note.hidden = false;
  }

  play() {
    // A browser may refuse to start by itself; the play button is then the way.
    this.video?.play().catch(() => this.showPlaying());
  }

  toggle() {
    if (!this.video) return;
    if (this.video.paused) this.play();
    else this.video.pause();
  }

  start() {
    // A seek to where it stands would throw away the picture that is ready.
    if (this.video.currentTime > 0) this.video.currentTime = 0;
    this.play();
    this.showPlaying();
  }

  replay() {
    if (!this.video) return;
    this.setReplays(this.numReplays + 1);
    if (this.video.error) {
      this.note.hidden = true;
      this.video.load();
    }
    this.start();
  }

  setReplays(number) {
    this.numReplays = number;
    this.replayCount.textContent = number ? String(number) : "";
    this.replayCount.parentElement?.setAttribute("aria-label", number ? `Replay, ${number} so far` : "Replay");
  }

  showPlaying() {
    const isPlaying = Boolean(this.video) && !this.video.paused;
    this.pauseMark.hidden = isPlaying || Boolean(this.video?.error);
    this.playButton.setAttribute("aria-label", isPlaying ? "Pause" : "Play");
    this.playIcon.textContent = isPlaying ? "❚❚" : "▶";
  }

  changeSpeed(by) {
    const nearest = SPEEDS.findIndex((speed) => speed >= this.speed - 1e-9);
    this.setSpeed(SPEEDS[Math.min(Math.max(nearest + by, 0), SPEEDS.length - 1)]);
  }

  setSpeed(speed, { isKept = true } = {}) {
    this.speed = SPEEDS.includes(speed) ? speed : 1;
    if (this.video) {
      this.video.defaultPlaybackRate = this.speed;
      this.video.playbackRate = this.speed;
    }
    this.speedButton.textContent = `${this.speed}×`;
    this.speedButton.setAttribute("aria-label", `Speed ${this.speed} times; press for normal speed`);
    if (isKept) this.prefs.set("speed", this.speed);
  }

  get fps() {
    return this.question?.fps || 25;
  }

  numFrames() {
    return Math.max(1, Math.round(this.video.duration * this.fps));
  }

  step(by) {
    if (!this.video?.duration) return;
    this.video.pause();
    this.seekFrame(Math.floor(this.video.currentTime * this.fps + 1e-6) + by);
  }

  seekShare(share) {
    if (!this.video?.duration) return;
    this.video.pause();
    this.seekFrame(Math.floor(share * this.numFrames()));
  }

  seekFrame(number) {
    const last = this.numFrames() - 1;
    // The middle of a frame's time: its very start may show the frame before.
    this.video.currentTime = (Math.min(Math.max(number, 0), last) + 0.5) / this.fps;
  }

  toggleHighlight() {
    if (this.question?.box) this.setHighlight(!this.isHighlightShown);
  }

  setHighlight(isShown) {
    this.isHighlightShown = isShown;
    this.boxButton.setAttribute("aria-pressed", String(isShown));
    this.draw();
  }

  /** Make the frame as large as the stage allows at the clip's own shape, so that fractions of it are the clip's. */
  fit() {
    const { clientWidth, clientHeight } = this.stage;
    const width = this.video?.videoWidth || 16;
    const height = this.video?.videoHeight || 9;
    const scale = Math.min(clientWidth / width, clientHeight / height);
    this.frame.style.width = `${width * scale}px`;
    this.frame.style.height = `${height * scale}px`;
  }

  draw() {
    const { video, question, highlight } = this;
    if (video?.duration) {
      if (document.activeElement !== this.position) this.position.value = String(Math.round((1000 * video.currentTime) / video.duration));
      const text = `${video.currentTime.toFixed(1)} of ${video.duration.toFixed(1)} seconds`;
      if (this.position.getAttribute("aria-valuetext") !== text) this.position.setAttribute("aria-valuetext", text);
      if (!this.keyMark.hidden) this.keyMark.style.left = `${100 * Math.min(question.key_time_s / video.duration, 1)}%`;
    }
    const isShown = Boolean(question?.box && video?.videoWidth && this.isHighlightShown);
    highlight.hidden = !isShown;
    if (!isShown) return;
    const points = question.path_url ? this.pool.path(question.path_url) : [];
    const [x1, y1, x2, y2] = boxAt(points, video.currentTime) ?? question.box;
    highlight.style.left = `${100 * x1}%`;
    highlight.style.top = `${100 * y1}%`;
    highlight.style.width = `${100 * (x2 - x1)}%`;
    highlight.style.height = `${100 * (y2 - y1)}%`;
  }
}

/** The box at an instant: between two known ones in proportion, before the first and after the last like those. */
export function boxAt(points, time_s) {
  if (!points?.length) return null;
  const after = points.findIndex((point) => point[0] >= time_s);
  if (after === -1) return points[points.length - 1].slice(1);
  if (after === 0) return points[0].slice(1);
  const [t0, ...low] = points[after - 1];
  const [t1, ...high] = points[after];
  const share = (time_s - t0) / (t1 - t0);
  return low.map((value, i) => value + share * (high[i] - value));
}
