/** The field for a question, with its button to send or stop. */

import { byId } from "../shared/dom.js";

const MAX_LINES_PX = 240;

export class Composer {
  /**
   * @param {(text: string) => boolean} onSend whether the text was taken
   * @param {() => void} onStop
   */
  constructor(onSend, onStop) {
    this.area = byId("question");
    this.send = byId("send");
    this.stop = byId("stop");
    this.onSend = onSend;
    byId("composer").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.submit();
    });
    this.stop.addEventListener("click", onStop);
    this.area.addEventListener("input", () => this.#fit());
    this.area.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      // isComposing: Enter that ends the input of a Japanese or Chinese word.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.submit();
    });
  }

  /** Send the text, if there is one. */
  submit() {
    if (this.area.value.trim() && this.onSend(this.area.value)) this.text = "";
  }

  /** @param {string} text */
  set text(text) {
    this.area.value = text;
    this.#fit();
  }

  /** @param {boolean} running an answer of the open conversation is on its way */
  set running(running) {
    const focused = document.activeElement === this.send || document.activeElement === this.stop;
    this.send.hidden = running;
    this.stop.hidden = !running;
    if (focused) this.area.focus();
  }

  focus() {
    this.area.focus();
  }

  #fit() {
    this.area.style.height = "auto";
    this.area.style.height = `${Math.min(this.area.scrollHeight + 2, MAX_LINES_PX)}px`;
  }
}
