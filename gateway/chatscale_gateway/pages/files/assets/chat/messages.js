/**
 * The list of messages of the open conversation.
 *
 * Only a window of a long conversation is in the page; it grows when the reader comes near its ends. The list follows
 * a growing answer only while the reader is at its end, and never scrolls away from a reader.
 */

import { h } from "../shared/dom.js";
import { MessageView } from "./message.js";

const WINDOW = 40;
const AT_END_PX = 24;

/** @typedef {import("./conversation.js").Message} Message */

export class MessageList {
  /** @type {Message[]} */
  #messages = [];
  /** @type {Map<string, MessageView>} */
  #views = new Map();
  #first = 0;
  #last = 0;
  #following = true;
  #top = 0;

  /**
   * @param {HTMLElement} scroller
   * @param {HTMLElement} list
   * @param {HTMLElement} toEnd the button that leads to the end
   * @param {Omit<import("./message.js").MessageActions, "changePage">} actions
   */
  constructor(scroller, list, toEnd, actions) {
    this.scroller = scroller;
    this.list = list;
    this.toEnd = toEnd;
    this.actions = { ...actions, changePage: (/** @type {() => void} */ change) => this.#change(change) };
    this.earlier = h("button", { type: "button", class: "more", text: "Show earlier messages", onclick: () => this.#showEarlier() });
    this.later = h("button", { type: "button", class: "more", text: "Show later messages", onclick: () => this.#showLater() });
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    toEnd.addEventListener("click", () => this.goToEnd());
    const observer = new IntersectionObserver((entries) => entries.forEach((entry) => this.#reached(entry)), {
      root: scroller, rootMargin: "400px",
    });
    observer.observe(this.earlier);
    observer.observe(this.later);
    new ResizeObserver(() => this.#change(() => {})).observe(list);
  }

  /**
   * Show a conversation, at its end or around one message.
   * @param {Message[]} messages
   * @param {number} [position] of the message to show
   */
  open(messages, position) {
    this.#messages = messages;
    const end = messages.length;
    const middle = position ?? end;
    this.#first = Math.max(0, Math.min(middle - WINDOW / 2, end - WINDOW));
    this.#last = Math.min(end, this.#first + WINDOW);
    this.#draw();
    const view = position === undefined ? null : this.#views.get(messages[position]?.id ?? "");
    if (view) {
      this.#following = false;
      view.element.scrollIntoView({ block: "center" });
      view.element.classList.add("found");
      view.element.tabIndex = -1;
      view.element.focus({ preventScroll: true });
    } else {
      this.goToEnd();
    }
  }

  /**
   * Show the messages as another tab has stored them. A reader keeps the place.
   * @param {Message[]} messages
   */
  replace(messages) {
    const wasWhole = this.#last === this.#messages.length;
    this.#messages = messages;
    this.#last = wasWhole ? messages.length : Math.min(this.#last, messages.length);
    this.#first = Math.max(0, Math.min(this.#first, this.#last - 1));
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    this.#change(() => this.#draw());
    if (this.list.contains(focused)) focused?.focus({ preventScroll: true });
  }

  /** Messages were added at the end or removed there. Goes to the end: the user did it. */
  changed() {
    this.#first = Math.min(this.#first, Math.max(0, this.#messages.length - WINDOW));
    this.#first = Math.max(this.#first, this.#messages.length - 4 * WINDOW, 0);
    this.#last = this.#messages.length;
    this.#draw();
    this.goToEnd();
  }

  /** @param {Message} message that has changed */
  update(message) {
    const view = this.#views.get(message.id);
    if (!view) return;
    if (message.state === "streaming") view.stream();
    else this.#change(() => view.show());
  }

  /**
   * @param {Message} message
   * @param {string} text
   */
  setWaiting(message, text) {
    const view = this.#views.get(message.id);
    if (view) this.#change(() => view.setWaiting(text));
  }

  goToEnd() {
    if (this.#last < this.#messages.length) {
      this.#first = Math.max(0, this.#messages.length - WINDOW);
      this.#last = this.#messages.length;
      this.#draw();
    }
    this.#following = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#showToEnd();
  }

  #draw() {
    const shown = this.#messages.slice(this.#first, this.#last);
    const kept = new Set(shown.map((message) => message.id));
    for (const [id, view] of this.#views) {
      if (kept.has(id) && shown.some((message) => message === view.message)) continue;
      view.dispose();
      this.#views.delete(id);
    }
    const elements = shown.map((message) => this.#view(message).element);
    this.list.replaceChildren(
      ...(this.#first > 0 ? [this.earlier] : []), ...elements, ...(this.#last < this.#messages.length ? [this.later] : []),
    );
  }

  /** @param {Message} message */
  #view(message) {
    let view = this.#views.get(message.id);
    if (!view) {
      view = new MessageView(message, this.actions);
      this.#views.set(message.id, view);
    }
    return view;
  }

  /** @param {IntersectionObserverEntry} entry */
  #reached(entry) {
    if (!entry.isIntersecting) return;
    if (entry.target === this.earlier) this.#showEarlier();
    else this.#showLater();
  }

  #showEarlier() {
    const anchor = this.list.querySelector("article");
    const before = anchor?.getBoundingClientRect().top ?? 0;
    const from = Math.max(0, this.#first - WINDOW);
    this.scroller.style.overflowAnchor = "none"; // or browsers with scroll anchoring would correct twice
    const added = this.#messages.slice(from, this.#first).map((message) => this.#view(message).element);
    this.#first = from;
    this.earlier.after(...added);
    if (from === 0) this.earlier.remove();
    this.scroller.scrollTop += (anchor?.getBoundingClientRect().top ?? 0) - before;
    requestAnimationFrame(() => (this.scroller.style.overflowAnchor = ""));
  }

  #showLater() {
    const to = Math.min(this.#messages.length, this.#last + WINDOW);
    this.later.before(...this.#messages.slice(this.#last, to).map((message) => this.#view(message).element));
    this.#last = to;
    if (to === this.#messages.length) this.later.remove();
  }

  /** @param {() => void} change */
  #change(change) {
    change();
    if (this.#following) this.scroller.scrollTop = this.scroller.scrollHeight;
    else this.#showToEnd();
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    // Only a reader moves up. A list that grows below the view is no reason to stop following.
    if (this.#last === this.#messages.length && scrollHeight - scrollTop - clientHeight <= AT_END_PX) this.#following = true;
    else if (scrollTop < this.#top - 1 || this.#last < this.#messages.length) this.#following = false;
    this.#top = scrollTop;
    this.#showToEnd();
  }

  #showToEnd() {
    this.toEnd.hidden = this.#following;
  }
}
