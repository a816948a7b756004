/**
 * Keeps conversations in the browser's IndexedDB. Messages are records of their own, so that a conversation with
 * thousands of them is not written again with every answer, and the list needs none of them in memory.
 *
 * Where the browser has no IndexedDB (some private windows), everything lasts until the page is closed.
 */

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */

const NAME = "chatscale";
const VERSION = 1;

/**
 * What `save` did. `conflict`: another tab has stored other messages in these places, and nothing was written.
 * `behind`: everything was written, and another tab has stored further messages behind it.
 * @typedef {"saved" | "conflict" | "behind"} Saved
 */

export class Storage {
  /** Ids of the messages that this tab has shown or written. It may replace these, and no others. */
  #seen = new Set();

  /** @param {IDBDatabase} database */
  constructor(database) {
    this.database = database;
    this.channel = new BroadcastChannel(NAME);
  }

  /** @returns {Promise<Storage | MemoryStorage>} */
  static async open() {
    try {
      const opening = indexedDB.open(NAME, VERSION);
      opening.onupgradeneeded = () => {
        opening.result.createObjectStore("conversations", { keyPath: "id" });
        opening.result.createObjectStore("messages", { keyPath: ["conversation", "position"] });
      };
      return new Storage(await finished(opening));
    } catch {
      return new MemoryStorage();
    }
  }

  get lasts() {
    return true;
  }

  /** @returns {Promise<Conversation[]>} the latest first */
  async list() {
    const found = await finished(this.#read("conversations").getAll());
    return found.sort((/** @type {Conversation} */ a, /** @type {Conversation} */ b) => b.updatedAt - a.updatedAt);
  }

  /**
   * @param {string} id of the conversation
   * @returns {Promise<Message[]>} in order
   */
  async messages(id) {
    const records = await finished(this.#read("messages").getAll(ofConversation(id)));
    return records.map((/** @type {{message: Message}} */ record) => record.message);
  }

  /** @param {Message[]} messages that this tab shows now */
  adopt(messages) {
    for (const message of messages) this.#seen.add(message.id);
  }

  /**
   * Write the messages from a position on, and remove what this tab has stored behind the last one. Messages of another
   * tab are never replaced or removed.
   * @param {Conversation} conversation
   * @param {Message[]} messages all of them
   * @param {number} from position of the first changed message
   * @returns {Promise<Saved>}
   */
  async save(conversation, messages, from) {
    const { id } = conversation;
    const transaction = this.database.transaction(["conversations", "messages"], "readwrite");
    const store = transaction.objectStore("messages");
    const stored = await finished(store.getAll(IDBKeyRange.bound([id, from], [id, Infinity])));
    const isForeign = (/** @type {{message: Message}} */ record) => !this.#seen.has(record.message.id);
    const foreign = stored.filter(isForeign);
    const replaced = stored.filter((/** @type {any} */ record) => (record.position < messages.length) === isForeign(record));
    if (foreign.length && replaced.length) {
      transaction.abort();
      return "conflict";
    }
    transaction.objectStore("conversations").put(conversation);
    for (let position = from; position < messages.length; position++) {
      store.put({ conversation: id, position, message: messages[position] });
      this.#seen.add(messages[position].id);
    }
    if (!foreign.length) store.delete(IDBKeyRange.bound([id, messages.length], [id, Infinity]));
    await committed(transaction);
    this.channel.postMessage(id);
    return foreign.length ? "behind" : "saved";
  }

  /**
   * Write one message that is stored already, at once: the page may be about to close.
   * @param {string} id of the conversation
   * @param {number} position
   * @param {Message} message
   */
  async update(id, position, message) {
    const transaction = this.database.transaction("messages", "readwrite");
    transaction.objectStore("messages").put({ conversation: id, position, message });
    await committed(transaction);
    this.channel.postMessage(id);
  }

  /** @param {Conversation} conversation */
  async saveSettings(conversation) {
    const transaction = this.database.transaction("conversations", "readwrite");
    transaction.objectStore("conversations").put(conversation);
    await committed(transaction);
    this.channel.postMessage(conversation.id);
  }

  /** @param {string} id */
  async remove(id) {
    const transaction = this.database.transaction(["conversations", "messages"], "readwrite");
    transaction.objectStore("conversations").delete(id);
    transaction.objectStore("messages").delete(ofConversation(id));
    await committed(transaction);
    this.channel.postMessage(id);
  }

  /**
   * Call `visit` with every message of all conversations, until it returns false.
   * @param {(conversation: string, message: Message, position: number) => boolean} visit
   */
  async scan(visit) {
    const request = this.#read("messages").openCursor();
    await new Promise((resolve, reject) => {
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        const cursor = request.result;
        if (!cursor || !visit(cursor.value.conversation, cursor.value.message, cursor.value.position)) resolve(null);
        else cursor.continue();
      };
    });
  }

  /**
   * @param {(conversation: string) => void} react another tab of this browser changed a conversation
   */
  onChange(react) {
    this.channel.onmessage = (event) => react(String(event.data));
  }

  /** @param {string} store */
  #read(store) {
    return this.database.transaction(store).objectStore(store);
  }
}

/** The same without a database. */
export class MemoryStorage {
  /** @type {Map<string, {conversation: Conversation, messages: Message[]}>} */
  #all = new Map();

  get lasts() {
    return false;
  }

  async list() {
    return [...this.#all.values()].map((each) => each.conversation).sort((a, b) => b.updatedAt - a.updatedAt);
  }

  /** @param {string} id */
  async messages(id) {
    return [...(this.#all.get(id)?.messages ?? [])];
  }

  /**
   * @param {Conversation} conversation
   * @param {Message[]} messages
   * @returns {Promise<Saved>}
   */
  async save(conversation, messages) {
    this.#all.set(conversation.id, { conversation, messages: [...messages] });
    return "saved";
  }

  /** The message is in memory. */
  async update() {}

  adopt() {}

  /** @param {Conversation} conversation */
  async saveSettings(conversation) {
    this.#all.set(conversation.id, { messages: [], ...this.#all.get(conversation.id), conversation });
  }

  /** @param {string} id */
  async remove(id) {
    this.#all.delete(id);
  }

  /** @param {(conversation: string, message: Message, position: number) => boolean} visit */
  async scan(visit) {
    for (const { conversation, messages } of this.#all.values()) {
      for (const [position, message] of messages.entries()) if (!visit(conversation.id, message, position)) return;
    }
  }

  onChange() {}
}

/** @param {string} id */
function ofConversation(id) {
  return IDBKeyRange.bound([id, 0], [id, Infinity]);
}

/**
 * @param {IDBRequest | IDBOpenDBRequest} request
 * @returns {Promise<any>}
 */
function finished(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * Commit at once. Otherwise a transaction waits for a turn of this page's loop, and a page that is closed loses it.
 * @param {IDBTransaction} transaction
 */
function committed(transaction) {
  transaction.commit();
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(null);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}
