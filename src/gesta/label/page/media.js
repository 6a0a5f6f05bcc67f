// Videos by address, loaded before they are wanted: the next question's clips are ready when it comes.

const NEAR_FRAMES = 2;
const NUM_AHEAD_OF_MANY = 4;

/** A video that is never heard: muted, without sound tracks at the service, in a loop. */
function silent(url) {
  const video = document.createElement("video");
  Object.assign(video, { muted: true, loop: true, playsInline: true, preload: "auto", src: url });
  // A browser's own menu may offer sound: clips are judged by what is seen.
  video.addEventListener("volumechange", () => video.muted || (video.muted = true));
  video.disablePictureInPicture = true;
  video.disableRemotePlayback = true;
  video.tabIndex = -1;
  video.setAttribute("aria-label", "The clip, without sound");
  return video;
}

export class MediaPool {
  constructor() {
    this.videos = new Map();
    this.images = new Map();
    this.paths = new Map();
    window.addEventListener("online", () => this.retry());
  }

  /** Load what failed once more; what is on the page plays again by itself. */
  retry() {
    for (const video of this.videos.values()) {
      if (!video.error) continue;
      video.load();
      if (video.isConnected) video.play().catch(() => {}); // it is shown paused then
    }
  }

  /** The video at this address, the same element each time until it is let go. */
  video(url) {
    let video = this.videos.get(url);
    if (!video) this.videos.set(url, (video = silent(url)));
    return video;
  }

  /** Where a person is over time, [[seconds, x1, y1, x2, y2], …]; empty until it has come. */
  path(url) {
    if (!this.paths.has(url)) {
      this.paths.set(url, []);
      fetch(url).then((response) => (response.ok ? response.json() : { points: [] })).then(
        ({ points }) => this.paths.set(url, points),
        () => this.paths.delete(url), // the box of the key-frame is drawn instead
      );
    }
    return this.paths.get(url) ?? [];
  }

  load(question) {
    // Many clips side by side: the kind itself loads those in view, and only the first few are made ready ahead.
    for (const url of question.clips ? urlsOf(question).slice(0, NUM_AHEAD_OF_MANY) : urlsOf(question)) this.video(url);
    if (question.path_url) this.path(question.path_url);
    for (const url of framesOf(question)) {
      if (!this.images.has(url)) this.images.set(url, Object.assign(new Image(), { src: url }));
    }
  }

  /** Have these questions' media, the first one's first, and let everything else go. */
  hold(questions) {
    const wanted = new Set(questions.flatMap(urlsOf));
    for (const [url, video] of this.videos) if (!wanted.has(url)) this.drop(url, video);
    const frames = new Set(questions.flatMap(framesOf));
    for (const url of this.images.keys()) if (!frames.has(url)) this.images.delete(url);
    const paths = new Set(questions.map((one) => one.path_url));
    for (const url of this.paths.keys()) if (!paths.has(url)) this.paths.delete(url);
    if (!questions.length) return;
    this.load(questions[0]);
    // The clip in view comes first; the next ones wait until it can play.
    const [first] = urlsOf(questions[0]).map((url) => this.videos.get(url));
    const ahead = () => questions.slice(1).forEach((question) => this.load(question));
    if (!first || first.readyState >= 3 || first.error) ahead();
    else for (const event of ["canplay", "error"]) first.addEventListener(event, ahead, { once: true });
  }

  drop(url, video) {
    video.pause();
    video.removeAttribute("src");
    video.load();
    video.remove();
    this.videos.delete(url);
  }
}

/** What a question plays: its clips side by side, or its pictures, or its one clip. */
function urlsOf(question) {
  if (question.clips) return question.clips.map((clip) => clip.media_url);
  return question.frames?.length || !question.media_url ? [] : [question.media_url];
}

/** The pictures that are wanted first: the key-frame and its neighbours. */
function framesOf(question) {
  return (question.frames ?? []).filter(({ offset }) => Math.abs(offset) <= NEAR_FRAMES).map(({ url }) => url);
}
