/** One message as elements. */

import { h, icon, iconButton } from "../shared/dom.js";
import { IncrementalMarkdown, decorate } from "./incremental.js";
import { renderMarkdown } from "./markdown.js";
import { secondsUntil } from "./problems.js";

/** @typedef {import("./conversation.js").Message} Message */

/**
 * What a message can request of the page.
 * @typedef {object} MessageActions
 * @property {(message: Message) => void} copy
 * @property {(message: Message, text: string) => void} resend an edited question
 * @property {(message: Message) => void} retry
 * @property {(message: Message) => void} rated
 * @property {() => void} enterKey
 * @property {() => void} chooseModel
 * @property {(change: () => void) => void} changePage keeps the reader's place
 */

export class MessageView {
  /** @type {IncrementalMarkdown | null} */
  #stream = null;
  #timer = 0;
  /** Characters of the reasoning that are in the page. */
  #reasoningShown = 0;

  /**
   * @param {Message} message
   * @param {MessageActions} actions
   */
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.body = h("div", { class: "body" });
    this.foot = h("div", { class: "foot" });
    const mine = message.role === "user";
    const who = mine ? "You" : message.model || "Machine";
    const label = h("h2", { class: "who" }, h("span", { class: "name", text: who }));
    if (!mine) label.append(h("span", { class: "badge", text: "AI", title: "A machine wrote this answer" }));
    this.element = h("article", { class: `message ${message.role}`, "data-id": message.id }, label, this.body, this.foot);
    this.show();
  }

  /** Show the message as it is now. */
  show() {
    const { message } = this;
    clearInterval(this.#timer);
    if (message.role === "user") {
      this.body.replaceChildren(h("div", { class: "plain", text: message.text }));
      this.foot.replaceChildren(this.#questionButtons());
    } else if (message.state === "streaming") {
      this.stream();
    } else {
      this.#stream?.finish();
      if (!this.#stream) this.body.replaceChildren(decorate(renderMarkdown(message.text)));
      this.#stream = null;
      this.#showReasoning();
      this.#showEnd();
    }
  }

  /** Show the text of an answer that still grows. */
  stream() {
    if (!this.#stream) {
      this.body.replaceChildren();
      this.foot.replaceChildren();
      this.#stream = new IncrementalMarkdown(this.body, this.actions.changePage);
    }
    if (this.message.text) this.setWaiting("");
    else if (this.message.reasoning) this.setWaiting("The model is reasoning");
    this.#showReasoning();
    this.#stream.update(this.message.text);
  }

  /** @param {string} text why there is no answer yet; empty: it has begun */
  setWaiting(text) {
    let line = this.element.querySelector(".waiting");
    if (!text) {
      line?.remove();
      return;
    }
    if (!line) {
      const dots = h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
      line = h("p", { class: "waiting" }, dots, h("span", { class: "waiting-text" }));
      this.body.after(line);
    }
    const target = line.querySelector(".waiting-text");
    if (target && target.textContent !== text) target.textContent = text;
  }

  /** Stop timers of a message that is no longer shown. */
  dispose() {
    clearInterval(this.#timer);
  }

  #showReasoning() {
    const { reasoning } = this.message;
    if (!reasoning) return;
    let details = this.element.querySelector("details.reasoning");
    if (!details) {
      details = h("details", { class: "reasoning" }, h("summary", { text: "Reasoning" }), h("div", { class: "plain" }));
      this.body.before(details);
    }
    const target = details.querySelector("div");
    if (!target || this.#reasoningShown === reasoning.length) return;
    // Only the new part: a long reasoning would otherwise be drawn again with every chunk.
    const node = /** @type {Text} */ (target.firstChild ?? target.appendChild(new Text()));
    node.appendData(reasoning.slice(this.#reasoningShown));
    this.#reasoningShown = reasoning.length;
  }

  #questionButtons() {
    const { message, actions } = this;
    return h(
      "div", { class: "buttons" },
      iconButton("copy", "Copy question", () => actions.copy(message)),
      iconButton("edit", "Edit and resend", () => this.#edit()),
    );
  }

  #showEnd() {
    const { message, actions } = this;
    this.setWaiting("");
    const parts = [];
    if (message.state === "failed") parts.push(this.#problem());
    if (message.state === "stopped") parts.push(h("p", { class: "note", text: "Stopped. This answer is not complete." }));
    if (message.finishReason === "length") parts.push(h("p", { class: "note", text: "Cut off: the limit of tokens was reached." }));
    const buttons = h(
      "div", { class: "buttons" },
      message.text ? iconButton("copy", "Copy answer", () => actions.copy(message)) : null,
      iconButton("retry", "Generate another answer", () => actions.retry(message)),
      message.text ? this.#thumb("up", "Good answer") : null,
      message.text ? this.#thumb("down", "Bad answer") : null,
    );
    if (message.usage) {
      const { prompt_tokens: asked, completion_tokens: answered } = message.usage;
      buttons.append(h("span", { class: "usage", text: `${answered} tokens`, title: `${asked} tokens of input` }));
    }
    this.foot.replaceChildren(...parts, buttons, ...(message.rating ? [this.#comment()] : []));
  }

  #problem() {
    const { message, actions } = this;
    const problem = message.problem ?? { title: "The answer failed", detail: "", action: "retry", retryAt: null };
    const box = h("div", { class: "problem", role: "group", "aria-label": problem.title }, icon("warning"));
    const text = h("div", {}, h("strong", { text: problem.title }), h("p", { text: problem.detail }));
    box.append(text);
    if (problem.action === "key") text.append(h("button", { type: "button", text: "Enter key", onclick: actions.enterKey }));
    if (problem.action === "model") text.append(h("button", { type: "button", text: "Choose a model", onclick: actions.chooseModel }));
    if (problem.action === "retry") text.append(this.#retryButton(problem.retryAt));
    return box;
  }

  /** @param {number | null} retryAt */
  #retryButton(retryAt) {
    const button = h("button", { type: "button", onclick: () => this.actions.retry(this.message) });
    const count = () => {
      const seconds = secondsUntil(retryAt, Date.now());
      button.textContent = seconds ? `Try again in ${seconds} s` : "Try again";
      button.toggleAttribute("disabled", seconds > 0);
      if (!seconds) clearInterval(this.#timer);
    };
    if (secondsUntil(retryAt, Date.now())) this.#timer = window.setInterval(count, 250);
    count();
    return button;
  }

  /**
   * @param {"up" | "down"} rating
   * @param {string} label
   */
  #thumb(rating, label) {
    const { message } = this;
    const onclick = () => {
      message.rating = message.rating === rating ? null : rating;
      this.actions.rated(message);
      this.actions.changePage(() => this.#showEnd());
      const next = message.rating ? ".comment input" : `[data-rating="${rating}"]`;
      /** @type {HTMLElement | null} */ (this.foot.querySelector(next))?.focus({ preventScroll: true });
    };
    return iconButton(`thumb-${rating}`, label, onclick, { "aria-pressed": String(message.rating === rating), "data-rating": rating });
  }

  #comment() {
    const { message } = this;
    const input = /** @type {HTMLInputElement} */ (
      h("input", { type: "text", maxlength: 2000, "aria-label": "Comment on the answer", placeholder: "Comment (kept in this browser)" })
    );
    input.value = message.comment ?? "";
    input.addEventListener("change", () => {
      message.comment = input.value;
      this.actions.rated(message);
    });
    return h("div", { class: "comment" }, input);
  }

  #edit() {
    const { message, actions } = this;
    const area = /** @type {HTMLTextAreaElement} */ (h("textarea", { rows: 3, "aria-label": "Edit your question" }));
    area.value = message.text;
    const form = h(
      "form", { class: "edit" }, area,
      h("div", { class: "buttons" },
        h("button", { type: "submit", class: "primary", text: "Resend" }),
        h("button", { type: "button", text: "Cancel", onclick: () => this.show() }),
        h("span", { class: "note", text: "Later messages are replaced." })),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (area.value.trim()) actions.resend(message, area.value);
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        this.show();
      } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === area) {
        event.preventDefault();
        form.requestSubmit?.();
      }
    });
    this.body.replaceChildren(form);
    this.foot.replaceChildren();
    area.focus();
  }
}
