/** Requests one answer, and reports it while it is generated. */

import { ApiError, request } from "../shared/api.js";
import { SseParser } from "./sse.js";

/**
 * @typedef {object} Progress
 * @property {(text: string, reasoning: string) => void} onText further text of the answer
 * @property {() => void} onWaiting the gateway holds the request: no replica has a free place yet
 */

/**
 * @typedef {object} Outcome
 * @property {string} finishReason empty if the server sent none
 * @property {{prompt_tokens: number, completion_tokens: number} | null} usage
 */

/**
 * @param {Record<string, unknown>} body of the request, without `stream`
 * @param {AbortSignal} signal ends the request, and with it the work of the replica
 * @param {Progress} progress
 * @returns {Promise<Outcome>} Rejects with an ApiError, or with an AbortError.
 */
export async function streamAnswer(body, signal, progress) {
  const response = await request("v1/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
    signal,
  });
  if (!response.headers.get("Content-Type")?.startsWith("text/event-stream") || !response.body) {
    response.body?.cancel().catch(() => {});
    throw new ApiError("The server did not stream its answer.", { status: response.status, code: "broken" });
  }
  const reader = response.body.getReader();
  try {
    return await readEvents(reader, progress);
  } catch (error) {
    // After an event that the page cannot read, the replica must not go on.
    reader.cancel().catch(() => {});
    throw error;
  }
}

/**
 * @param {ReadableStreamDefaultReader<Uint8Array>} reader
 * @param {Progress} progress
 * @returns {Promise<Outcome>}
 */
async function readEvents(reader, progress) {
  const decoder = new TextDecoder();
  const parser = new SseParser();
  /** @type {Outcome} */
  const outcome = { finishReason: "", usage: null };
  for (;;) {
    const part = await readPart(reader);
    if (part.done) throw incomplete();
    for (const { type, data } of parser.feed(decoder.decode(part.value, { stream: true }))) {
      if (type === "comment") progress.onWaiting();
      else if (data === "[DONE]") return outcome;
      else readChunk(data, outcome, progress);
    }
  }
}

/** @param {ReadableStreamDefaultReader<Uint8Array>} reader */
async function readPart(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw incomplete();
  }
}

/**
 * @param {string} data
 * @param {Outcome} outcome is changed
 * @param {Progress} progress
 */
function readChunk(data, outcome, progress) {
  let chunk;
  try {
    chunk = JSON.parse(data);
  } catch {
    throw incomplete();
  }
  if (chunk?.error) {
    const { message, code } = chunk.error;
    throw new ApiError(typeof message === "string" ? message : "The answer failed.", { status: 200, code: code || "broken" });
  }
  const choice = chunk?.choices?.[0];
  const text = choice?.delta?.content;
  const reasoning = choice?.delta?.reasoning_content ?? choice?.delta?.reasoning;
  if (isText(text) || isText(reasoning)) progress.onText(isText(text) ? text : "", isText(reasoning) ? reasoning : "");
  // Keep-alives that look like chunks have no finish reason and no text.
  else if (choice && !choice.finish_reason && !choice.delta?.role) progress.onWaiting();
  if (choice?.finish_reason) outcome.finishReason = String(choice.finish_reason);
  if (chunk?.usage) outcome.usage = chunk.usage;
}

/** @param {unknown} value */
function isText(value) {
  return typeof value === "string" && value !== "";
}

function incomplete() {
  return new ApiError("The connection ended before the answer was complete.", { status: 200, code: "broken" });
}
