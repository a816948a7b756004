/**
 * What went wrong, in words, and what the user can do. Pure.
 *
 * @typedef {object} Problem
 * @property {string} title
 * @property {string} detail
 * @property {"retry" | "key" | "model" | "none"} action
 * @property {number | null} retryAt milliseconds since 1970; null: at once
 */

/** Codes of the gateway for a full queue or bound. */
const FULL = new Set(["held_requests", "held_bytes", "held_prompt_tokens", "gateway_held_bytes", "displaced", "hold_disabled"]);

/**
 * @param {{message: string, status: number, code: string, retryAfterS: number | null}} error
 * @param {number} now
 * @returns {Problem}
 */
export function describeProblem(error, now) {
  const { status, code, message, retryAfterS } = error;
  const retryAt = retryAfterS === null ? null : now + retryAfterS * 1000;
  const problem = (/** @type {string} */ title, /** @type {Problem["action"]} */ action, detail = message) => ({
    title, detail, action, retryAt: action === "retry" ? retryAt : null,
  });
  if (code === "network") {
    return problem("No connection to the gateway", "retry", "Check your network, and try again. Nothing is lost.");
  }
  if (code === "interrupted") return problem("The page was closed during this answer", "retry", "The answer is not complete.");
  if (status === 401) return problem("The API key was refused", "key");
  if (code === "model_not_found") return problem("The gateway has no such model for your key", "model");
  if (code === "model_stopped" || code === "model_asleep") return problem("The model is switched off", "model");
  if (code === "hold_timeout") return problem("The model did not get ready in time", "retry");
  if (code === "rate_limit_exceeded") return problem("Your key has reached its limit", "retry");
  if (FULL.has(code)) return problem("The queue is full", "retry");
  if (code === "body_too_large" || status === 413) return problem("The conversation is too large to send", "none");
  if (status === 429) return problem("Too many requests", "retry");
  if (status === 200) return problem("The answer is not complete", "retry");
  if (status >= 500) return problem("The server failed", "retry");
  return problem("The request was refused", "retry");
}

/**
 * @param {number | null} retryAt
 * @param {number} now
 * @returns {number} seconds to wait, rounded up; 0: none
 */
export function secondsUntil(retryAt, now) {
  return retryAt === null ? 0 : Math.max(0, Math.ceil((retryAt - now) / 1000));
}
