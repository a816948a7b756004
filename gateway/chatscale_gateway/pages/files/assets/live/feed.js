/** The stream of snapshots: connects, watches for silence, and connects again. */

import { ApiError, request } from "../shared/api.js";
import { SseParser } from "../chat/sse.js";

/** A stream that is silent for this long is taken for broken. The gateway sends something every 5 s at least. */
const SILENCE_MS = 12_000;
const WAITS_S = [1, 2, 4, 8, 15];
/** Codes of refusals that only another key can change. */
const KEY_CODES = new Set(["invalid_api_key", "live_not_allowed"]);

/**
 * Seconds to wait before the next attempt.
 * @param {number} failures attempts that have failed since the last snapshot, from 1
 * @param {number | null} retryAfterS what the gateway requires
 * @param {number} random from 0 to 1: so that viewers do not return together
 */
export function waitBefore(failures, retryAfterS, random) {
  const longest = WAITS_S[Math.min(failures, WAITS_S.length) - 1];
  return Math.max(retryAfterS ?? 0, longest * (0.75 + random / 2));
}

export class Feed {
  /** @type {AbortController | null} */
  #controller = null;
  #timer = 0;
  #failures = 0;

  /**
   * @param {{
   *   snapshot: (snapshot: any) => void,
   *   connected: () => void,
   *   waiting: (seconds: number, message: string) => void,
   *   refused: (error: ApiError) => void,
   * }} events
   */
  constructor(events) {
    this.events = events;
  }

  /** Connect now, also during a wait. */
  start() {
    this.stop();
    const controller = new AbortController();
    this.#controller = controller;
    this.#read(controller).catch((error) => {
      if (this.#controller === controller) this.#failed(error);
    });
  }

  stop() {
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.#controller = null;
  }

  /** @param {AbortController} controller */
  async #read(controller) {
    let watchdog = setTimeout(() => controller.abort(), SILENCE_MS);
    try {
      const response = await request("live/stream", { signal: controller.signal });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new SseParser();
      this.events.connected();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) throw new ApiError("The gateway ended the stream.", { code: "network" });
        clearTimeout(watchdog);
        watchdog = setTimeout(() => controller.abort(), SILENCE_MS);
        for (const event of parser.feed(value)) if (event.type === "event") this.#event(JSON.parse(event.data));
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  /** @param {any} data */
  #event(data) {
    if (data.error) throw new ApiError(data.error.message, { code: data.error.code });
    this.#failures = 0;
    this.events.snapshot(data);
  }

  /** @param {unknown} error */
  #failed(error) {
    this.#controller?.abort();
    if (error instanceof ApiError && (KEY_CODES.has(error.code) || error.status === 401)) {
      this.events.refused(error);
      return;
    }
    this.#failures += 1;
    const retryAfterS = error instanceof ApiError ? error.retryAfterS : null;
    const seconds = waitBefore(this.#failures, retryAfterS, Math.random());
    this.#timer = setTimeout(() => this.start(), seconds * 1000);
    this.events.waiting(seconds, error instanceof ApiError ? error.message : "The connection was lost.");
  }
}
