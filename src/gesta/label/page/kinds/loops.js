// Looping clips in a grid: loaded when they come near, played while they are seen, let go when they are far.

// Source: ours. A screen above and below is loaded ahead; further away a clip gives its decoder back, since browsers
// allow a page some dozens of them.
const NEAR = "100% 0px";
const TICK_MS = 200;
const IN_STEP_S = 0.06;
const JUMP_S = 0.4;

export class Loops {
  /**
   * `ctx.video(url)` makes the videos. `isTogether`: all show the same instant of their clips at once, and begin again
   * together when the longest ends.
   */
  constructor(ctx, { isTogether = false } = {}) {
    Object.assign(this, { ctx, isTogether, isPaused: false });
    this.tiles = new Map();
    this.near = new IntersectionObserver((seen) => this.notice(seen, "isNear"), { rootMargin: NEAR });
    this.inView = new IntersectionObserver((seen) => this.notice(seen, "isInView"), { threshold: 0.15 });
    this.timer = isTogether ? setInterval(() => this.keepStep(), TICK_MS) : 0;
    this.lastLead_s = 0;
  }

  /** Show the clip at `url` inside the element `screen`, which has its size before the clip is there. */
  add(screen, url) {
    this.tiles.set(screen, { screen, url, video: null, isNear: false, isInView: false });
    this.near.observe(screen);
    this.inView.observe(screen);
  }

  notice(seen, what) {
    for (const { target, isIntersecting } of seen) {
      const tile = this.tiles.get(target);
      if (!tile) continue;
      tile[what] = isIntersecting;
      this.settle(tile);
    }
  }

  settle(tile) {
    if (tile.isNear || tile.isInView) this.load(tile);
    else this.drop(tile);
    if (!tile.video) return;
    if (tile.isInView && !this.isPaused) tile.video.play().catch(() => {});
    else tile.video.pause();
  }

  load(tile) {
    if (tile.video) return;
    const { screen } = tile;
    const video = this.ctx.video(tile.url);
    tile.video = video;
    // The page may hand out the element that was let go before.
    if (!video.hasAttribute("src")) video.src = tile.url;
    video.tabIndex = -1;
    video.setAttribute("aria-hidden", "true");
    const isSeen = () => screen.classList.add("is-seen");
    if (video.readyState >= 2) isSeen();
    video.addEventListener("loadeddata", isSeen);
    video.addEventListener("error", () => screen.classList.add("is-lost"));
    screen.prepend(video);
  }

  drop(tile) {
    if (!tile.video) return;
    tile.video.pause();
    tile.video.removeAttribute("src");
    tile.video.load();
    tile.video.remove();
    tile.video = null;
    tile.screen.classList.remove("is-seen", "is-lost");
  }

  /** Pause all, or play again what is in view; gives whether it is paused now. */
  toggle() {
    this.isPaused = !this.isPaused;
    for (const tile of this.tiles.values()) this.settle(tile);
    return this.isPaused;
  }

  replay() {
    this.isPaused = false;
    for (const tile of this.tiles.values()) {
      if (tile.video) tile.video.currentTime = 0;
      this.settle(tile);
    }
  }

  keepStep() {
    const videos = [...this.tiles.values()].filter((tile) => tile.isInView && tile.video?.duration).map((tile) => tile.video);
    if (videos.length < 2 || this.isPaused) return;
    const lead = videos.reduce((longest, video) => (video.duration > longest.duration ? video : longest));
    const hasBegunAgain = lead.currentTime < this.lastLead_s;
    this.lastLead_s = lead.currentTime;
    for (const video of videos) {
      video.loop = video === lead;
      if (video === lead) continue;
      const wanted_s = Math.min(lead.currentTime, video.duration);
      const late_s = wanted_s - video.currentTime;
      if (hasBegunAgain || Math.abs(late_s) > JUMP_S) {
        video.currentTime = wanted_s;
        if (wanted_s < video.duration) video.play().catch(() => {});
      }
      // A small lead or lag is run off: a jump would be seen.
      video.playbackRate = Math.abs(late_s) > IN_STEP_S && Math.abs(late_s) <= JUMP_S ? (late_s > 0 ? 1.12 : 0.88) : 1;
    }
  }

  close() {
    clearInterval(this.timer);
    this.near.disconnect();
    this.inView.disconnect();
    for (const { video } of this.tiles.values()) {
      video?.pause();
      if (video) Object.assign(video, { loop: true, playbackRate: 1 });
      video?.remove();
    }
    this.tiles.clear();
  }
}

/** How many tiles stand in one row of the grid as it is laid out now. */
export function columnsOf(grid) {
  return Math.max(1, getComputedStyle(grid).gridTemplateColumns.split(" ").length);
}

/** The place that an arrow key leads to; the ends of the list are not crossed. */
export function moved(place, key, { columns, length }) {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key.replace("Shift+", "")];
  if (key.endsWith("Home")) return 0;
  if (key.endsWith("End")) return length - 1;
  const next = place + by;
  if (next >= 0 && next < length) return next;
  // From the last whole row down to a shorter one.
  return by === columns && Math.floor(place / columns) < Math.floor((length - 1) / columns) ? length - 1 : place;
}
