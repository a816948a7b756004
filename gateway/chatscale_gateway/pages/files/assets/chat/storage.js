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

export class Storage {
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

  /**
   * @param {Conversation} conversation
   * @param {Message[]} messages all of them
   * @param {number} from position of the first changed message; what was stored behind the last one is removed
   * @param {number} [to] position after the last changed message
   */
  async save(conversation, messages, from, to = messages.length) {
    const transaction = this.database.transaction(["conversations", "messages"], "readwrite");
    transaction.objectStore("conversations").put(conversation);
    const store = transaction.objectStore("messages");
    for (let position = from; position < to; position++) {
      store.put({ conversation: conversation.id, position, message: messages[position] });
    }
    store.delete(IDBKeyRange.bound([conversation.id, messages.length], [conversation.id, Infinity]));
    await committed(transaction);
    this.channel.postMessage(conversation.id);
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
   */
  async save(conversation, messages) {
    this.#all.set(conversation.id, { conversation, messages: [...messages] });
  }

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
