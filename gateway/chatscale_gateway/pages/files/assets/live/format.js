/** Numbers and times as texts. Pure. */

export const NOTHING = "–";

/** @param {number | null} value */
export function count(value) {
  return value === null ? NOTHING : value.toLocaleString("en");
}

/** @param {number | null} value */
export function rate(value) {
  if (value === null) return NOTHING;
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}

/** @param {number | null} value seconds */
export function seconds(value) {
  if (value === null) return NOTHING;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return `${value.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: value < 10 ? 2 : 1 })} s`;
}

/** @param {{currency: string, per_hour: string} | null} cost */
export function money(cost) {
  if (!cost) return NOTHING;
  const amount = Number(cost.per_hour).toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 4 });
  return `${amount} ${cost.currency}`;
}

/** @param {string} text RFC 3339 */
export function clock(text) {
  return new Date(text).toLocaleTimeString("en-GB");
}

/** @param {string} text RFC 3339 */
export function day(text) {
  return new Date(text).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

/**
 * @param {string} text RFC 3339
 * @param {number} now milliseconds since 1970
 */
export function ago(text, now) {
  const passed = Math.max(0, Math.round((now - Date.parse(text)) / 1000));
  if (passed < 60) return `${passed} s ago`;
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 86_400) return `${Math.floor(passed / 3600)} h ago`;
  return day(text);
}
