// Talk to the service, and keep on this device what it does not have yet.
//
// Kept here (localStorage, every name begins with "gesta."): `session` {token, worker_id, role}; for each worker
// `draft.<worker>`, `outbox.<worker>` and `prefs.<worker>`. No cookies.

const WAITS_S = [1, 2, 4, 8, 15, 30];

/** The service said no: `status` and `code` say how, `message` is a sentence for people. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

/** The service does not know this worker (any more): a new token is needed, and nothing else is lost. */
export class SignedOut extends Error {}

/** The service could not be reached, failed, or is busy (then `retry_after_s` is its wish): worth another try. */
export class Unreachable extends Error {
  constructor(message, { retry_after_s = null, isBusy = false } = {}) {
    super(message);
    Object.assign(this, { retry_after_s, isBusy });
  }
}

/** Who sends: `null` or {token, worker_id, role}. */
export const session = {
  get now() {
    return kept("session");
  },
  keep(value) {
    keep("session", value);
  },
};

/** The service's JSON. Raises Refused, SignedOut or Unreachable. */
export async function call(method, path, { body = null, headers = {} } = {}) {
  const sent = { Accept: "application/json", ...headers };
  const token = session.now?.token;
  if (token) sent.Authorization = `Bearer ${token}`;
  if (body !== null) sent["Content-Type"] = "application/json";
  let response;
  let data;
  try {
    response = await fetch(path, { method, headers: sent, body: body === null ? undefined : JSON.stringify(body) });
    data = response.status === 204 ? null : await response.json();
  } catch {
    if (response?.status === 401) throw new SignedOut("Your sign-in has ended.");
    throw new Unreachable("The service cannot be reached.");
  }
  if (response.ok) return data;
  const { code = "failed", message = "The service failed." } = data?.error ?? {};
  if (response.status === 401) throw new SignedOut(message);
  if (response.status === 429 || response.status >= 500) {
    const wait_s = Number.parseFloat(response.headers.get("Retry-After"));
    throw new Unreachable(message, { retry_after_s: wait_s >= 0 ? wait_s : null, isBusy: response.status === 429 });
  }
  throw new Refused(response.status, code, message);
}

export function newKey() {
  // crypto.randomUUID is absent on plain http addresses other than localhost.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Private windows, and pages in another site's frame, may be refused storage: then a reload forgets, and all else works.
const forgetful = new Map();

export function keep(name, value) {
  try {
    if (value === null) localStorage.removeItem(`gesta.${name}`);
    else localStorage.setItem(`gesta.${name}`, JSON.stringify(value));
    forgetful.delete(name);
  } catch {
    forgetful.set(name, value);
  }
}

export function kept(name) {
  if (forgetful.has(name)) return forgetful.get(name);
  try {
    return JSON.parse(localStorage.getItem(`gesta.${name}`) ?? "null");
  } catch {
    return null;
  }
}

/** Whether this device keeps nothing: a reload would lose what was not sent. */
export function isForgetful() {
  return forgetful.size > 0;
}

/** How long to wait before try number `tries` (0 = after the first failure), in seconds. */
export function waitOf(error, tries) {
  return error.retry_after_s ?? WAITS_S[Math.min(tries, WAITS_S.length - 1)];
}

/** Answers on their way: written down before they are sent, and sent, under one key each, until the service has them. */
export class Outbox {
  constructor(worker, { onTrouble, onClear, onResult }) {
    this.name = `outbox.${worker}`;
    Object.assign(this, { onTrouble, onClear, onResult });
    this.waiting = kept(this.name) ?? [];
    this.wake = null;
    this.flying = null;
    window.addEventListener("online", () => this.wake?.());
  }

  get numAnswers() {
    return this.waiting.reduce((sum, one) => sum + one.answers.length, 0);
  }

  add(task_id, answers) {
    this.waiting.push({ task_id, idempotency_key: newKey(), answers });
    keep(this.name, this.waiting);
  }

  /** Resolves when everything is with the service; raises SignedOut, and Refused where it will never take them. */
  flush() {
    this.flying ??= this.run().finally(() => (this.flying = null));
    return this.flying;
  }

  async run() {
    let tries = 0;
    while (this.waiting.length) {
      let refusal = null;
      const batch = this.waiting[0];
      try {
        this.onResult(await call("POST", "/api/answers", { body: batch }), batch);
      } catch (error) {
        if (error instanceof Unreachable) {
          const wait_s = waitOf(error, tries++);
          this.onTrouble(error, wait_s);
          await this.pause(wait_s);
          continue;
        }
        if (!(error instanceof Refused)) throw error;
        // The service has seen it and will never take it: sending it again cannot help.
        refusal = error;
      }
      if (tries) this.onClear();
      tries = 0;
      this.forget(batch);
      if (refusal) throw refusal;
    }
  }

  forget(batch) {
    const others = (list) => list.filter((one) => one.idempotency_key !== batch.idempotency_key);
    this.waiting = others(this.waiting);
    // Another tab that took over may have put its own answers there.
    const here = others(kept(this.name) ?? []);
    keep(this.name, here.length ? here : null);
  }

  /** Another tab works now, and sends what is here. */
  stop() {
    this.waiting = [];
    this.wake?.();
  }

  /** Take up what is kept on this device, after another tab may have added to it. */
  reread() {
    this.waiting = kept(this.name) ?? [];
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
