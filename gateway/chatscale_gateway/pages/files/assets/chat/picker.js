/** The model picker. It reads the states of models every few seconds while the page is visible. */

import { ApiError, requestJson } from "../shared/api.js";
import { byId, h } from "../shared/dom.js";
import { level, shortState } from "./model_state.js";

/** @typedef {import("./model_state.js").ModelState} ModelState */

const POLL_MS = 5000;
const POLL_WAITING_MS = 1500;
/** Most answers begin earlier: reading the states at once would compete with them. */
const FIRST_POLL_WAITING_MS = 400;

export class ModelPicker {
  /** @type {ModelState[]} */
  models = [];
  #selected = "";
  #timer = 0;
  #urgent = false;
  #wasRead = false;

  /**
   * @param {(model: string) => void} onChoose
   * @param {(error: ApiError | null) => void} onRead with null after a successful reading
   */
  constructor(onChoose, onRead) {
    this.onRead = onRead;
    this.select = byId("model");
    this.select.addEventListener("change", () => {
      this.#selected = this.select.value;
      this.#show();
      onChoose(this.#selected);
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.read();
    });
    addEventListener("online", () => this.read());
  }

  /** @param {string} id also one that the gateway does not list */
  choose(id) {
    this.#selected = id;
    this.#show();
  }

  /** @returns {string} the chosen model, or one that answers at once; empty if there is none */
  get selected() {
    const found = this.models.find((model) => model.state === "ready") ?? this.models[0];
    return this.#selected || found?.id || "";
  }

  /** @param {string} id */
  state(id) {
    return this.models.find((model) => model.id === id);
  }

  /** @param {boolean} urgent read more often: a request waits */
  set urgent(urgent) {
    const begins = urgent && !this.#urgent;
    this.#urgent = urgent;
    if (begins) this.#readIn(FIRST_POLL_WAITING_MS);
  }

  /** Whether the gateway has listed the models. */
  get wasRead() {
    return this.#wasRead;
  }

  /** Read now, and again later. */
  async read() {
    clearTimeout(this.#timer);
    try {
      const found = await requestJson("pages/models", { signal: AbortSignal.timeout(10_000) });
      this.#wasRead = true;
      this.models = Array.isArray(found?.data) ? found.data : [];
      this.#show();
      this.onRead(null);
    } catch (error) {
      const failure = error instanceof ApiError ? error : new ApiError("The gateway does not answer.", { code: "network" });
      this.onRead(failure);
    }
    this.#readIn(this.#urgent ? POLL_WAITING_MS : POLL_MS);
  }

  /** @param {number} delayMs */
  #readIn(delayMs) {
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => !document.hidden && this.read(), delayMs);
  }

  #show() {
    const { selected } = this;
    const entries = this.models.map((model) => ({ id: model.id, text: `${model.id} (${shortState(model)})` }));
    if (selected && !this.state(selected)) entries.unshift({ id: selected, text: `${selected} (not available)` });
    if (!entries.length) entries.push({ id: "", text: this.#wasRead ? "No models" : "Loading models" });
    const { options } = this.select;
    const same = options.length === entries.length && entries.every((entry, index) => options[index].value === entry.id);
    // An open list must not be replaced under the user's pointer.
    if (!same) this.select.replaceChildren(...entries.map((entry) => h("option", { value: entry.id, text: entry.text })));
    else entries.forEach((entry, index) => options[index].text !== entry.text && (options[index].text = entry.text));
    this.select.value = selected;
    byId("model-dot").dataset.level = level(this.state(selected));
  }
}
