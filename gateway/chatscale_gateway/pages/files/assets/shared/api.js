/**
 * Requests to the gateway. Addresses are relative to the page, so that they work under any path prefix.
 */

import { readKey } from "./key.js";

/** A refusal, or a failure of the network. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, code?: string, retryAfterS?: number | null}} [fields] status 0: no answer came
   */
  constructor(message, { status = 0, code = "", retryAfterS = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.retryAfterS = retryAfterS;
  }
}

/** @returns {Record<string, string>} the headers with the key, if there is one */
export function keyHeaders() {
  const key = readKey();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/**
 * @param {string} path such as `v1/models`, without a slash in front
 * @param {RequestInit} [init]
 * @returns {Promise<Response>} with a status below 400. Rejects with an ApiError, or an AbortError.
 */
export async function request(path, init = {}) {
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), {
      ...init,
      headers: { ...keyHeaders(), ...init.headers },
      cache: "no-store",
      credentials: "same-origin",
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("The gateway cannot be reached.", { code: "network" });
  }
  if (!response.ok) throw await readError(response);
  return response;
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>}
 */
export async function requestJson(path, init) {
  const response = await request(path, init);
  try {
    return await response.json();
  } catch {
    throw new ApiError("The gateway sent an incomplete answer.", { status: response.status, code: "network" });
  }
}

/** @param {Response} response */
async function readError(response) {
  const retry = response.headers.get("Retry-After");
  const retryAfterS = retry !== null && /^\d+$/.test(retry) ? Number(retry) : null;
  let body;
  try {
    body = (await response.json()).error;
  } catch {
    body = null; // a proxy's page
  }
  const message = typeof body?.message === "string" ? body.message : `The server answered with status ${response.status}.`;
  const code = typeof body?.code === "string" ? body.code : "";
  return new ApiError(message, { status: response.status, code, retryAfterS });
}
