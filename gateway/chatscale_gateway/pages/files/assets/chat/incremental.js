/**
 * Renders Markdown while it arrives. Blocks that are complete are rendered once; only the last one is rendered again.
 * So an answer of 100,000 characters costs about as much as its blocks, and text that a reader selects stays.
 */

import { renderMarkdown, splitBlocks } from "./markdown.js";

/** Text with definitions of links must be rendered as a whole. */
const DEFINITION = /^ {0,3}\[[^\]]+\]:/m;
/** A long block may take at most a fifth of the time of the main thread. */
const IDLE_FACTOR = 4;
/** Text that one frame renders, if it has more than one block. */
const SLICE_CHARS = 8000;

export class IncrementalMarkdown {
  #text = "";
  #committed = 0;
  #tailNodes = 0;
  #frame = 0;
  #notBefore = 0;
  #hasBegun = false;
  #onRender;

  /**
   * @param {HTMLElement} target its content is replaced
   * @param {(change: () => void) => void} onRender calls `change`, which changes the page
   */
  constructor(target, onRender) {
    this.target = target;
    this.#onRender = onRender;
    target.replaceChildren();
  }

  /** @param {string} text the whole text so far; it only grows */
  update(text) {
    this.#text = text.replaceAll("\r", "");
    if (this.#frame) return;
    if (this.#text && !this.#hasBegun) {
      // The next frame can be 16 ms away, and much more on a busy machine.
      this.#hasBegun = true;
      this.#tick();
    } else {
      this.#frame = requestAnimationFrame(() => this.#tick());
    }
  }

  /** No update follows. Renders what is missing: a little at once, much in the next frames. */
  finish() {
    if (this.#text.length - this.#committed > SLICE_CHARS && !DEFINITION.test(this.#text)) return;
    cancelAnimationFrame(this.#frame);
    this.#onRender(() => {
      if (DEFINITION.test(this.#text)) this.target.replaceChildren(decorate(renderMarkdown(this.#text)));
      else this.#render();
    });
  }

  #tick() {
    const begin = performance.now();
    if (begin < this.#notBefore) {
      this.#frame = requestAnimationFrame(() => this.#tick());
      return;
    }
    this.#frame = 0;
    let isComplete = true;
    this.#onRender(() => (isComplete = this.#render()));
    const end = performance.now();
    this.#notBefore = isComplete ? end + (end - begin) * IDLE_FACTOR : end;
    if (!isComplete) this.#frame = requestAnimationFrame(() => this.#tick());
  }

  /** @returns {boolean} whether all text is rendered */
  #render() {
    const rest = this.#text.length - this.#committed;
    if (rest <= SLICE_CHARS || !this.#append(this.#text.slice(this.#committed, this.#committed + SLICE_CHARS))) {
      this.#append(this.#text.slice(this.#committed));
    } else {
      return false;
    }
    const tail = decorate(renderMarkdown(this.#text.slice(this.#committed)));
    this.#tailNodes = tail.childNodes.length;
    this.target.append(tail);
    return true;
  }

  /**
   * Render the complete blocks: all but the last one.
   * @param {string} text the next part
   * @returns {boolean} whether there is one
   */
  #append(text) {
    const blocks = splitBlocks(text);
    let open = blocks.length - 1;
    while (open > 0 && blocks[open].isSpace) open--;
    const complete = blocks.slice(0, Math.max(0, open)).map((block) => block.raw).join("");
    for (; this.#tailNodes > 0; this.#tailNodes--) this.target.lastChild?.remove();
    if (complete) {
      this.target.append(decorate(renderMarkdown(complete)));
      this.#committed += complete.length;
    }
    return complete !== "";
  }
}

/**
 * Put a bar with the language and a copy button above each block of code, and let wide tables scroll.
 * @param {DocumentFragment} fragment
 */
export function decorate(fragment) {
  for (const pre of fragment.querySelectorAll("pre")) {
    const language = pre.querySelector("code")?.className.replace("language-", "") ?? "";
    const box = document.createElement("div");
    box.className = "code";
    const bar = document.createElement("div");
    bar.className = "code-bar";
    const name = document.createElement("span");
    name.textContent = language || "code";
    const copy = document.createElement("button");
    copy.type = "button";
    copy.className = "quiet copy-code";
    copy.textContent = "Copy";
    bar.append(name, copy);
    pre.replaceWith(box);
    pre.tabIndex = 0;
    box.append(bar, pre);
  }
  for (const table of fragment.querySelectorAll("table")) {
    const box = document.createElement("div");
    box.className = "table";
    box.tabIndex = 0;
    table.replaceWith(box);
    box.append(table);
  }
  return fragment;
}
