/** The list of conversations, and the search over all messages. */

import { byId, h, iconButton } from "../shared/dom.js";
import { UNTITLED, excerpt, findText } from "./conversation.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

const MAX_HITS = 50;
const MAX_HITS_EACH = 3;
const SEARCH_DELAY_MS = 150;
const LIST_STEP = 200;

/**
 * @typedef {object} SidebarActions
 * @property {(id: string, position?: number) => void} open
 * @property {(conversation: Conversation) => void} rename
 * @property {(conversation: Conversation) => void} remove
 */

export class Sidebar {
  /** @type {Conversation[]} */
  #conversations = [];
  #current = "";
  /** @type {ReadonlySet<string>} */
  #running = new Set();
  #search = 0;
  #shown = LIST_STEP;

  /**
   * @param {import("./storage.js").Storage | import("./storage.js").MemoryStorage} storage
   * @param {SidebarActions} actions
   */
  constructor(storage, actions) {
    this.storage = storage;
    this.actions = actions;
    this.list = byId("conversations");
    this.input = byId("search");
    let timer = 0;
    this.input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => this.#find(), SEARCH_DELAY_MS);
    });
    this.input.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "Escape" || !this.input.value) return;
      event.stopPropagation();
      this.input.value = "";
      this.#find();
    });
  }

  /**
   * @param {Conversation[]} conversations
   * @param {string} current id of the open one
   * @param {ReadonlySet<string>} running ids of those with an answer on its way
   */
  show(conversations, current, running) {
    const isOther = conversations.length !== this.#conversations.length;
    this.#conversations = conversations;
    this.#current = current;
    this.#running = running;
    if (!this.#query()) this.#showAll();
    else if (isOther) this.#find();
  }

  #query() {
    return this.input.value.trim();
  }

  #showAll() {
    const items = this.#conversations.slice(0, this.#shown).map((conversation) => this.#item(conversation));
    const rest = this.#conversations.length - items.length;
    if (rest > 0) {
      const more = () => {
        this.#shown += LIST_STEP;
        this.#showAll();
      };
      items.push(h("li", {}, h("button", { type: "button", class: "more", text: `Show ${rest} older chats`, onclick: more })));
    }
    this.#replace(items);
  }

  /**
   * Show other items. A button that had the focus keeps it, if its chat is still in the list.
   * @param {HTMLElement[]} items
   */
  #replace(items) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    const before = focused?.closest("li");
    const position = before ? [...before.children].indexOf(/** @type {Element} */ (focused)) : -1;
    this.list.replaceChildren(...items);
    const after = before?.dataset.id ? items.find((item) => item.dataset.id === before.dataset.id) : null;
    /** @type {HTMLElement | undefined} */ (after?.children[position])?.focus({ preventScroll: true });
  }

  /** @param {Conversation} conversation */
  #item(conversation) {
    const { id } = conversation;
    const title = conversation.title || UNTITLED;
    const open = h(
      "button", { type: "button", class: "open", title, onclick: () => this.actions.open(id) }, h("span", { text: title }),
    );
    if (id === this.#current) open.setAttribute("aria-current", "true");
    if (this.#running.has(id)) open.append(h("span", { class: "running", title: "An answer is being generated" }));
    return h(
      "li", { class: id === this.#current ? "conversation current" : "conversation", "data-id": id }, open,
      iconButton("edit", `Rename ${title}`, () => this.actions.rename(conversation)),
      iconButton("trash", `Delete ${title}`, () => this.actions.remove(conversation)),
    );
  }

  async #find() {
    const query = this.#query();
    const search = ++this.#search;
    if (!query) {
      this.#showAll();
      byId("search-state").textContent = "";
      return;
    }
    const titles = new Map(this.#conversations.map((each) => [each.id, each]));
    /** @type {Map<string, HTMLElement[]>} */
    const hits = new Map();
    for (const { id, title } of this.#conversations) {
      if (findText(title, query) >= 0) hits.set(id, []);
    }
    let count = hits.size;
    await this.storage.scan((id, message, position) => {
      const at = findText(message.text, query);
      const found = hits.get(id) ?? [];
      if (at >= 0 && titles.has(id) && found.length < MAX_HITS_EACH) {
        found.push(this.#hit(id, position, excerpt(message.text, at, query.length)));
        hits.set(id, found);
        count++;
      }
      return search === this.#search && count < MAX_HITS;
    });
    if (search !== this.#search) return;
    const items = [...hits].flatMap(([id, found]) => [this.#item(/** @type {Conversation} */ (titles.get(id))), ...found]);
    this.#replace(items);
    byId("search-state").textContent = count ? `${count}${count >= MAX_HITS ? " or more" : ""} found` : "Nothing found";
  }

  /**
   * @param {string} id
   * @param {number} position
   * @param {[string, string, string]} parts
   */
  #hit(id, position, [before, hit, after]) {
    const button = h("button", { type: "button", class: "hit", onclick: () => this.actions.open(id, position) });
    button.append(before, h("mark", { text: hit }), after);
    return h("li", {}, button);
  }
}
