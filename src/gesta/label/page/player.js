// Play one clip in a loop, with the next ones loading behind it, and draw the box of the person asked about.

const AHEAD = 2;

export class Player {
  constructor({ stage, frame, highlight, note, pauseMark, position, onPlaying }) {
    Object.assign(this, { stage, frame, highlight, note, pauseMark, position, onPlaying });
    this.videos = new Map();
    this.paths = new Map();
    this.video = null;
    this.item = null;
    this.isHighlightShown = true;
    new ResizeObserver(() => this.fit()).observe(stage);
    position.addEventListener("input", () => {
      if (!this.video?.duration) return;
      this.video.pause();
      this.seekFrame(Math.floor((position.value / 1000) * this.numFrames()));
    });
    const draw = () => {
      this.draw();
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  }

  /** Show items[index] from its start; the next ones are fetched, others are let go. */
  show(items, index) {
    const wanted = items.slice(index, index + 1 + AHEAD);
    for (const [id, video] of this.videos) {
      if (!wanted.some((item) => item.item_id === id)) this.drop(id, video);
    }
    this.item = items[index];
    this.video = this.load(this.item);
    for (const video of this.videos.values()) video.classList.toggle("current", video === this.video);
    this.note.hidden = !this.video.error;
    this.setHighlight(true);
    this.fit();
    this.replay();
    // The clip in view comes first; the next ones wait until it can play.
    const ahead = () => wanted.slice(1).forEach((item) => this.load(item));
    if (this.video.readyState >= 3) ahead();
    else this.video.addEventListener("canplay", ahead, { once: true });
  }

  load(item) {
    const known = this.videos.get(item.item_id);
    if (known) return known;
    const video = document.createElement("video");
    Object.assign(video, { muted: true, loop: true, playsInline: true, preload: "auto", src: item.media_url });
    video.disablePictureInPicture = true;
    video.tabIndex = -1;
    video.setAttribute("aria-label", "The clip, without sound");
    video.addEventListener("loadedmetadata", () => this.fit());
    video.addEventListener("error", () => video === this.video && this.say("This clip does not load."));
    video.addEventListener("waiting", () => video === this.video && this.stage.classList.add("is-waiting"));
    for (const event of ["playing", "canplay", "error"]) {
      video.addEventListener(event, () => video === this.video && this.stage.classList.remove("is-waiting"));
    }
    for (const event of ["play", "pause"]) {
      video.addEventListener(event, () => video === this.video && this.showPlaying());
    }
    video.addEventListener("click", () => this.toggle());
    this.videos.set(item.item_id, video);
    this.frame.prepend(video);
    if (item.path_url) this.loadPath(item);
    return video;
  }

  async loadPath(item) {
    try {
      const response = await fetch(item.path_url);
      if (response.ok) this.paths.set(item.item_id, (await response.json()).points);
    } catch {
      // The box of the key-frame is drawn instead.
    }
  }

  drop(id, video) {
    video.pause();
    video.removeAttribute("src");
    video.load();
    video.remove();
    this.videos.delete(id);
    this.paths.delete(id);
  }

  clear() {
    for (const [id, video] of this.videos) this.drop(id, video);
    this.video = null;
    this.item = null;
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

  replay() {
    if (!this.video) return;
    if (this.video.error) {
      this.note.hidden = true;
      this.video.load();
    }
    this.video.currentTime = 0;
    this.play();
    this.showPlaying();
  }

  showPlaying() {
    const isPlaying = Boolean(this.video) && !this.video.paused;
    this.pauseMark.hidden = isPlaying || Boolean(this.video?.error);
    this.onPlaying(isPlaying);
  }

  numFrames() {
    return Math.max(1, Math.round(this.video.duration * this.item.fps));
  }

  step(by) {
    if (!this.video?.duration) return;
    this.video.pause();
    const now = Math.floor(this.video.currentTime * this.item.fps + 1e-6);
    this.seekFrame(now + by);
  }

  seekFrame(number) {
    const last = this.numFrames() - 1;
    // The middle of a frame's time: its very start may show the frame before.
    this.video.currentTime = (Math.min(Math.max(number, 0), last) + 0.5) / this.item.fps;
  }

  setHighlight(isShown) {
    this.isHighlightShown = isShown;
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
    const { video, item, highlight } = this;
    if (video?.duration && document.activeElement !== this.position) {
      this.position.value = String(Math.round((1000 * video.currentTime) / video.duration));
    }
    const isShown = Boolean(item?.box && video?.videoWidth && this.isHighlightShown);
    highlight.hidden = !isShown;
    if (!isShown) return;
    const [x1, y1, x2, y2] = boxAt(this.paths.get(item.item_id), video.currentTime) ?? item.box;
    highlight.style.left = `${100 * x1}%`;
    highlight.style.top = `${100 * y1}%`;
    highlight.style.width = `${100 * (x2 - x1)}%`;
    highlight.style.height = `${100 * (y2 - y1)}%`;
  }
}

/** The box at an instant: between two known ones in proportion, before the first and after the last like those. */
function boxAt(points, time_s) {
  if (!points?.length) return null;
  const after = points.findIndex((point) => point[0] >= time_s);
  if (after === -1) return points[points.length - 1].slice(1);
  if (after === 0) return points[0].slice(1);
  const [t0, ...low] = points[after - 1];
  const [t1, ...high] = points[after];
  const share = (time_s - t0) / (t1 - t0);
  return low.map((value, i) => value + share * (high[i] - value));
}
