/** Conversations as files: export as JSON and Markdown, import of JSON. Pure. */

import { RANGES, defaultSampling, readNumber } from "./conversation.js";

export const FORMAT = "chatscale-conversations";
const VERSION = 1;
const STATES = ["done", "stopped", "failed"];

/**
 * @typedef {{conversation: import("./conversation.js").Conversation, messages: import("./conversation.js").Message[]}} Whole
 */

/**
 * @param {Whole[]} conversations
 * @param {number} now
 */
export function toJson(conversations, now) {
  const entries = conversations.map(({ conversation, messages }) => ({ ...conversation, messages }));
  const file = { format: FORMAT, version: VERSION, exportedAt: new Date(now).toISOString(), conversations: entries };
  return `${JSON.stringify(file, null, 2)}\n`;
}

/**
 * Answers are kept as Markdown. A title cannot break out of its line.
 * @param {Whole} whole
 */
export function toMarkdown({ conversation, messages }) {
  const parts = [`# ${oneLine(conversation.title || "Chat")}`, "The answers in this file were written by a machine."];
  if (conversation.sampling.system.trim()) parts.push("## System prompt", conversation.sampling.system.trim());
  for (const message of messages) {
    const who = message.role === "user" ? "You" : `Machine (${oneLine(message.model ?? "")})`;
    parts.push(`## ${who}, ${new Date(message.createdAt).toISOString()}`, message.text.trim());
    if (message.state === "stopped" || message.state === "failed") parts.push("*This answer is not complete.*");
    if (message.rating) parts.push(`*Rating: ${message.rating}${message.comment ? `. ${oneLine(message.comment)}` : ""}*`);
  }
  return `${parts.join("\n\n")}\n`;
}

/**
 * @param {string} text of a file
 * @param {() => string} newId every imported conversation and message gets a new id
 * @returns {Whole[]} Throws an Error with a message for the user.
 */
export function fromJson(text, newId) {
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error("The file is not JSON.");
  }
  if (file?.format !== FORMAT || !Array.isArray(file.conversations)) {
    throw new Error("The file is not an export of this page.");
  }
  if (file.version !== VERSION) throw new Error(`The file has version ${file.version}; this page reads version ${VERSION}.`);
  return file.conversations.map((/** @type {any} */ entry, /** @type {number} */ index) => readEntry(entry, index, newId));
}

/**
 * @param {string} title
 * @param {string} extension
 */
export function fileName(title, extension) {
  const name = title.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40).toLowerCase();
  return `${name || "chat"}.${extension}`;
}

/**
 * @param {any} entry
 * @param {number} index
 * @param {() => string} newId
 * @returns {Whole}
 */
function readEntry(entry, index, newId) {
  if (typeof entry !== "object" || entry === null || !Array.isArray(entry.messages)) {
    throw new Error(`Conversation ${index + 1} of the file has no messages.`);
  }
  const sampling = defaultSampling();
  sampling.system = asText(entry.sampling?.system);
  for (const name of /** @type {(keyof typeof RANGES)[]} */ (Object.keys(RANGES))) {
    sampling[name] = readNumber(name, entry.sampling?.[name]);
  }
  const conversation = {
    id: newId(), title: asText(entry.title).slice(0, 200), createdAt: asTime(entry.createdAt),
    updatedAt: asTime(entry.updatedAt), model: asText(entry.model), sampling,
  };
  return { conversation, messages: entry.messages.map((/** @type {any} */ message) => readMessage(message, index, newId)) };
}

/**
 * @param {any} found
 * @param {number} index of the conversation
 * @param {() => string} newId
 * @returns {import("./conversation.js").Message}
 */
function readMessage(found, index, newId) {
  if ((found?.role !== "user" && found?.role !== "assistant") || typeof found.text !== "string") {
    throw new Error(`Conversation ${index + 1} of the file has a message without role or text.`);
  }
  const base = { id: newId(), text: found.text, createdAt: asTime(found.createdAt) };
  if (found.role === "user") return { ...base, role: "user" };
  return {
    ...base,
    role: "assistant",
    model: asText(found.model),
    reasoning: asText(found.reasoning),
    state: STATES.includes(found.state) ? found.state : "stopped",
    finishReason: asText(found.finishReason),
    rating: found.rating === "up" || found.rating === "down" ? found.rating : null,
    comment: asText(found.comment),
  };
}

/** @param {unknown} value */
function asText(value) {
  return typeof value === "string" ? value : "";
}

/** @param {unknown} value */
function asTime(value) {
  return typeof value === "number" && Number.isFinite(value) && Math.abs(value) <= 8.64e15 ? value : 0;
}

/** @param {string} text */
function oneLine(text) {
  return text.replace(/\s+/g, " ").trim();
}
