/**
 * States of models, in words. Pure.
 *
 * @typedef {object} ModelState as `GET /pages/models` gives it
 * @property {string} id
 * @property {"ready" | "starting" | "asleep" | "stopped"} state
 * @property {number} replicas wanted
 * @property {number} ready replicas that accept requests
 * @property {number} slots requests that they run at the same time; 0: not reported
 * @property {number} in_flight
 * @property {number} held requests that wait
 * @property {number | null} start_seconds how long the last start took
 */

/**
 * A few words for the model picker.
 * @param {ModelState} model
 */
export function shortState(model) {
  switch (model.state) {
    case "ready":
      if (model.held > 0) return `busy, ${model.held} waiting`;
      return model.slots > 0 ? `ready, ${loadPercent(model)} % load` : "ready";
    case "starting":
      return "starting";
    case "asleep":
      return model.start_seconds === null ? "asleep" : `asleep, starts in about ${duration(model.start_seconds)}`;
    case "stopped":
      return "switched off";
    default:
      return "";
  }
}

/**
 * The level for the coloured dot.
 * @param {ModelState | undefined} model
 * @returns {"good" | "busy" | "asleep" | "off"}
 */
export function level(model) {
  if (!model || model.state === "stopped") return "off";
  if (model.state !== "ready") return "asleep";
  return model.held > 0 || (model.slots > 0 && loadPercent(model) >= 90) ? "busy" : "good";
}

/**
 * Why a request has no answer yet.
 * @param {ModelState | undefined} model
 * @param {boolean} held the gateway has said that it holds the request
 */
export function waitingReason(model, held) {
  if (model && (model.state === "asleep" || model.state === "starting")) {
    const usual = model.start_seconds === null ? "" : ` This usually takes about ${duration(model.start_seconds)}.`;
    return `The model is waking up.${usual}`;
  }
  if (held || (model && model.held > 0)) {
    const others = model && model.held > 1 ? ` ${model.held} requests are waiting.` : "";
    return `All replicas are busy. Your request is in the queue.${others}`;
  }
  return "Waiting for the answer";
}

/** @param {ModelState} model */
function loadPercent(model) {
  return Math.min(100, Math.round((100 * model.in_flight) / model.slots));
}

/** @param {number} seconds */
export function duration(seconds) {
  if (seconds < 1) return "1 s";
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}
