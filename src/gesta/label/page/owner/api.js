// Talk to the service as its owner. The token comes once, in /owner#token=…, and stays on this device.

import { keep, kept, session } from "../wire.js";

/** The service said no, or cannot be reached (status 0): `message` is a sentence for people. */
export class Trouble extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

/** Take the token out of the address, so that neither history nor a shared screen shows it. */
export function takeToken() {
  const found = /^#token=([\w.~-]+)$/.exec(location.hash);
  if (!found) return;
  keep("owner", { token: found[1] });
  history.replaceState(null, "", location.pathname);
}

export function token() {
  return kept("owner")?.token ?? session.now?.token ?? null;
}

export function signIn(text) {
  keep("owner", { token: text.trim().replace(/^.*#token=/, "") });
}

export function signOut() {
  keep("owner", null);
}

const known = new Map();

/** The service's JSON; the very same object as before when nothing changed since (ETag). Raises Trouble. */
export async function get(path) {
  const held = known.get(path);
  const response = await send("GET", path, { headers: held ? { "If-None-Match": held.etag } : {} });
  if (response.status === 304 && held) return held.data;
  const data = await response.json();
  const etag = response.headers.get("ETag");
  if (etag) known.set(path, { etag, data });
  return data;
}

/** POST, PUT or DELETE with a JSON body; the service's JSON. Raises Trouble. */
export async function act(method, path, body = {}) {
  const response = await send(method, path, method === "DELETE" ? {} : {
    headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  return response.status === 204 ? null : response.json();
}

/** A file that needs the token, saved under a name. */
export async function download(path, name) {
  const url = URL.createObjectURL(await (await send("GET", path)).blob());
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function send(method, path, { headers = {}, body } = {}) {
  let response;
  try {
    response = await fetch(path, { method, body, cache: "no-store", headers: { Authorization: `Bearer ${token()}`, ...headers } });
  } catch {
    throw new Trouble(0, "offline", "The service cannot be reached.");
  }
  if (response.ok || response.status === 304) return response;
  const { code = "failed", message = "The service failed." } = (await response.json().catch(() => null))?.error ?? {};
  throw new Trouble(response.status, code, message);
}
