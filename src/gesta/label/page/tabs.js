// One tab at a time works for a worker: two would answer the same task twice and overwrite each other's draft.

const ASK_MS = 120;

export class OneTab {
  /** `onTaken` is called when another tab of this worker takes over. */
  constructor(worker, onTaken) {
    this.id = `${Date.now()}-${Math.random()}`;
    this.isMine = false;
    this.heard = null;
    this.channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(`gesta.${worker}`);
    this.channel?.addEventListener("message", ({ data }) => {
      if (data.what === "who" && this.isMine) this.channel.postMessage({ what: "here", id: this.id });
      if (data.what === "here") this.heard?.(false);
      if (data.what === "take" && this.isMine) {
        this.isMine = false;
        onTaken();
      }
    });
  }

  /** Whether no other tab of this worker is at work. */
  async claim() {
    if (this.channel) {
      const isFree = await new Promise((resolve) => {
        this.heard = resolve;
        this.channel.postMessage({ what: "who", id: this.id });
        setTimeout(() => resolve(true), ASK_MS);
      });
      this.heard = null;
      if (!isFree) return false;
    }
    this.isMine = true;
    return true;
  }

  take() {
    this.channel?.postMessage({ what: "take", id: this.id });
    this.isMine = true;
  }

  close() {
    this.isMine = false;
    this.channel?.close();
  }
}
