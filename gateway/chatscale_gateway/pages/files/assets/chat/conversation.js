/**
 * Conversations and their messages. Pure: time and ids are arguments.
 *
 * @typedef {object} Sampling settings of a conversation; null: the model's default
 * @property {string} system
 * @property {number | null} maxTokens
 * @property {number | null} temperature
 * @property {number | null} topK
 * @property {number | null} topP
 *
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} title
 * @property {number} createdAt milliseconds since 1970
 * @property {number} updatedAt
 * @property {string} model
 * @property {Sampling} sampling
 *
 * @typedef {object} Message
 * @property {string} id
 * @property {"user" | "assistant"} role
 * @property {string} text
 * @property {number} createdAt
 * @property {string} [model] of an answer
 * @property {string} [reasoning] of an answer; it is not part of later requests
 * @property {"streaming" | "done" | "stopped" | "failed"} [state] of an answer
 * @property {import("./problems.js").Problem} [problem] of a failed answer
 * @property {string} [finishReason]
 * @property {{prompt_tokens: number, completion_tokens: number} | null} [usage]
 * @property {"up" | "down" | null} [rating]
 * @property {string} [comment] with the rating
 */

const TITLE_CHARS = 60;
export const UNTITLED = "New chat";

/** Ranges of the numbers in `Sampling`, for the form and for imports. */
export const RANGES = {
  maxTokens: { min: 1, max: 1_000_000, whole: true },
  temperature: { min: 0, max: 2, whole: false },
  topK: { min: 0, max: 100_000, whole: true },
  topP: { min: 0.01, max: 1, whole: false },
};

/** @returns {Sampling} */
export function defaultSampling() {
  return { system: "", maxTokens: null, temperature: null, topK: null, topP: null };
}

/**
 * @param {string} id
 * @param {string} model
 * @param {number} now
 * @param {Sampling} [sampling]
 * @returns {Conversation}
 */
export function newConversation(id, model, now, sampling = defaultSampling()) {
  return { id, title: "", createdAt: now, updatedAt: now, model, sampling: { ...sampling } };
}

/**
 * The first line of the first question.
 * @param {string} text
 */
export function titleOf(text) {
  const line = text.trim().split("\n", 1)[0].replace(/\s+/g, " ");
  const chars = Array.from(line);
  return chars.length <= TITLE_CHARS ? line : `${chars.slice(0, TITLE_CHARS).join("")}…`;
}

/**
 * The body of a chat completion request for the messages so far. Failed and empty answers are left out, with their
 * question: models expect questions and answers in turn.
 * @param {Conversation} conversation
 * @param {Message[]} messages
 */
export function requestBody(conversation, messages) {
  const { system, maxTokens, temperature, topK, topP } = conversation.sampling;
  const turns = [];
  for (const message of messages) {
    if (message.role === "assistant" && !message.text) continue;
    if (message.role === "user" && turns.at(-1)?.role === "user") turns.pop();
    turns.push({ role: message.role, content: message.text });
  }
  if (system.trim()) turns.unshift({ role: "system", content: system });
  /** @type {Record<string, unknown>} */
  const body = { model: conversation.model, messages: turns };
  if (maxTokens !== null) body.max_tokens = maxTokens;
  if (temperature !== null) body.temperature = temperature;
  if (topK !== null) body.top_k = topK;
  if (topP !== null) body.top_p = topP;
  return body;
}

/**
 * A number of a form or file; null if it is empty or out of range.
 * @param {keyof typeof RANGES} name
 * @param {unknown} value
 */
export function readNumber(name, value) {
  if (value === null || value === undefined || value === "") return null;
  const number = Number(value);
  const { min, max, whole } = RANGES[name];
  return Number.isFinite(number) && number >= min && number <= max && (!whole || Number.isInteger(number)) ? number : null;
}

/**
 * Where a text is found, without regard to case; -1 if it is not.
 * @param {string} text
 * @param {string} query
 */
export function findText(text, query) {
  return text.toLowerCase().indexOf(query.toLowerCase());
}

/**
 * The text around a hit, on one line.
 * @param {string} text
 * @param {number} at
 * @param {number} length of the hit
 * @returns {[string, string, string]} before, hit, after
 */
export function excerpt(text, at, length) {
  const flat = (/** @type {string} */ part) => part.replace(/\s+/g, " ");
  const begin = Math.max(0, at - 24);
  const end = at + length;
  return [(begin ? "…" : "") + flat(text.slice(begin, at)), flat(text.slice(at, end)), flat(text.slice(end, end + 60))];
}
