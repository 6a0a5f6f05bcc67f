// Numbers, times and states as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

/** 12,345; from a hundred thousand on 123K. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 100_000 ? short.format(value) : whole.format(value);
}

export function exact(value) {
  return value === null || value === undefined ? "–" : whole.format(value);
}

/** 0.4567 → "46 %"; under a tenth or above nine tenths with a decimal, where it matters. */
export function percent(frac) {
  if (frac === null || frac === undefined) return "–";
  const value = frac * 100;
  const decimals = value === 0 || value === 100 || (value >= 10 && value <= 90) ? 0 : 1;
  return `${value.toFixed(decimals)} %`;
}

export function seconds(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 1000)} s`;
}

/** 3.4 hours → "3 h 24 min"; days from two days on. */
export function hours(value) {
  if (value === null || value === undefined) return "–";
  const minutes = Math.round(value * 60);
  if (minutes < 1) return "under a minute";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${whole.format(minutes / 1440)} days`;
}

export function money(value, currency) {
  if (value === null || value === undefined) return "–";
  try {
    return new Intl.NumberFormat("en", { style: "currency", currency: currency || "USD" }).format(value);
  } catch {
    return `${value.toFixed(2)} ${currency}`;
  }
}

/** "14:05"; with the day where it is not today. */
export function clock(us, { withDay = true } = {}) {
  if (!us) return "–";
  const date = new Date(us / 1000);
  const time = `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
  if (!withDay || date.toDateString() === new Date().toDateString()) return time;
  return `${date.toLocaleDateString("en", { day: "numeric", month: "short" })} ${time}`;
}

/** "just now", "5 min ago", "3 h ago", "2 days ago". */
export function ago(us) {
  if (!us) return "never";
  const minutes = (Date.now() - us / 1000) / 60_000;
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${Math.floor(minutes)} min ago`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ago`;
  return `${Math.floor(minutes / 1440)} days ago`;
}

/** A file's worth of a name: for addresses. */
export const part = encodeURIComponent;

export const KINDS = {
  clip: "Clips", box: "Boxed persons", frame: "Key-frames", person: "Actions proposed",
  suggestion: "Suggestions asked", cluster: "Duplicates", class: "Final filter",
};
