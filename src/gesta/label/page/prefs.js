// What a worker likes: keys, speed, favourites, guides read. Kept on this device at once, and with the service a
// moment later, so that it follows the worker to another machine.

import { call, keep, kept } from "/static/wire.js";

const SAVE_AFTER_MS = 400;

export class Prefs {
  constructor(worker, fromService) {
    this.name = `prefs.${worker}`;
    const here = kept(this.name);
    // What was changed here and never reached the service is newer than what the service has.
    this.values = here?.isUnsent ? { ...fromService, ...here.values } : { ...fromService };
    this.isUnsent = Boolean(here?.isUnsent);
    this.timer = 0;
    this.store();
    if (this.isUnsent) this.send();
    window.addEventListener("online", () => this.isUnsent && this.send());
  }

  get(name, otherwise = null) {
    return this.values[name] ?? otherwise;
  }

  set(name, value) {
    this.values = { ...this.values, [name]: value };
    this.isUnsent = true;
    this.store();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.send(), SAVE_AFTER_MS);
  }

  store() {
    keep(this.name, { values: this.values, isUnsent: this.isUnsent });
  }

  async send() {
    const sent = this.values;
    try {
      await call("PUT", "/api/me/prefs", { body: { prefs: sent } });
    } catch {
      return; // it stays marked as unsent: the next start, or the return of the connection, sends it
    }
    if (sent === this.values) {
      this.isUnsent = false;
      this.store();
    }
  }
}
