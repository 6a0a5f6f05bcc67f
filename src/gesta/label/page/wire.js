// Talk to the service, and keep on this device what it does not have yet.

const WAITS_S = [1, 2, 4, 8, 15, 30];

/** The service said no: `status` and `code` say how, `message` is a sentence for people. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The service could not be reached, or failed: worth another try. */
export class Unreachable extends Error {}

export async function post(path, body) {
  let response;
  let data;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    data = await response.json();
  } catch {
    throw new Unreachable("The service cannot be reached.");
  }
  if (response.ok) return data;
  const { code = "failed", message = "The service failed." } = data?.error ?? {};
  if (response.status >= 500) throw new Unreachable(message);
  throw new Refused(response.status, code, message);
}

export function newKey() {
  // crypto.randomUUID is absent on plain http addresses other than localhost.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Private windows may refuse storage: then a reload forgets, and all else works.
export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(`gesta.${name}`);
    else localStorage.setItem(`gesta.${name}`, JSON.stringify(value));
  } catch {
    /* nothing to be done */
  }
}

export function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(`gesta.${name}`) ?? "null");
  } catch {
    return null;
  }
}

/** Answers on their way: written down before they are sent, and sent until the service has them. */
export class Outbox {
  constructor(worker, { onTrouble, onClear }) {
    this.worker = worker;
    this.name = `outbox.${worker}`;
    this.onTrouble = onTrouble;
    this.onClear = onClear;
    this.waiting = kept(this.name) ?? [];
    this.wake = null;
    window.addEventListener("online", () => this.wake?.());
  }

  add(answers) {
    this.waiting.push({ worker_id: this.worker, idempotency_key: newKey(), answers });
    keep(this.name, this.waiting);
  }

  /** Resolves when everything is with the service; throws Refused when it says that the worker is barred. */
  async flush() {
    let tries = 0;
    while (this.waiting.length) {
      let refusal = null;
      try {
        await post("/api/votes", this.waiting[0]);
      } catch (error) {
        if (error instanceof Unreachable) {
          const wait_s = WAITS_S[Math.min(tries++, WAITS_S.length - 1)];
          this.onTrouble(wait_s);
          await this.pause(wait_s);
          continue;
        }
        // The service has seen it and will never take it: sending it again cannot help.
        refusal = error;
      }
      if (tries) this.onClear();
      tries = 0;
      this.waiting.shift();
      keep(this.name, this.waiting.length ? this.waiting : null);
      if (refusal) throw refusal;
    }
  }

  pause(wait_s) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, wait_s * 1000);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
