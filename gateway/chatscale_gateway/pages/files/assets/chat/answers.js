/** Generates answers. Several conversations can have one at the same time; each goes on when another one is opened. */

import { ApiError } from "../shared/api.js";
import { newId } from "../shared/dom.js";
import { streamAnswer } from "./completion.js";
import { requestBody } from "./conversation.js";
import { describeProblem } from "./problems.js";
import { waitingReason } from "./model_state.js";

const SAVE_EVERY_MS = 2000;
const TICK_MS = 1000;

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */

/**
 * @typedef {object} Run one answer on its way
 * @property {Conversation} conversation
 * @property {Message[]} messages
 * @property {Message} message
 * @property {AbortController} controller
 * @property {boolean} held the gateway has said that it holds the request
 * @property {number} startedAt
 * @property {boolean} behind another tab has stored messages behind the answer
 */

/**
 * @typedef {object} AnswerEvents
 * @property {(run: Run) => void} onGrow the text of the answer has grown
 * @property {(run: Run, reason: string, seconds: number) => void} onWait there is no text yet
 * @property {(run: Run) => void} onEnd
 * @property {(run: Run) => void} onCopied another tab has changed the conversation: this one is a copy of it now
 * @property {(run: Run) => void} onStored the last state of the answer is stored, or cannot be stored
 */

export class Answers {
  /** @type {Map<string, Run>} by id of the conversation */
  runs = new Map();
  /** @type {Map<string, Run>} ended answers that the browser could not store, by id of the conversation */
  unstored = new Map();

  /**
   * @param {import("./storage.js").Storage | import("./storage.js").MemoryStorage} storage
   * @param {(model: string) => import("./model_state.js").ModelState | undefined} stateOf
   * @param {AnswerEvents} events
   */
  constructor(storage, stateOf, events) {
    this.storage = storage;
    this.stateOf = stateOf;
    this.events = events;
    this.leaving = false;
    addEventListener("pagehide", () => (this.leaving = true));
    addEventListener("pageshow", () => (this.leaving = false));
  }

  /** @param {string} id of the conversation */
  stop(id) {
    this.runs.get(id)?.controller.abort();
  }

  /**
   * Add an answer to the messages, and generate it.
   * @param {Conversation} conversation
   * @param {Message[]} messages
   * @param {number} changedFrom position of the first message that is not stored
   * @returns {Run}
   */
  start(conversation, messages, changedFrom) {
    const now = Date.now();
    /** @type {Message} */
    const message = {
      id: newId(), role: "assistant", text: "", createdAt: now, model: conversation.model, state: "streaming",
    };
    const body = requestBody(conversation, messages);
    messages.push(message);
    conversation.updatedAt = now;
    const run = {
      conversation, messages, message, controller: new AbortController(), held: false, startedAt: now, behind: false,
    };
    this.runs.set(conversation.id, run);
    // The request first: it does not wait for the storage.
    this.#generate(run, body);
    this.#save(run, changedFrom);
    return run;
  }

  /**
   * @param {Run} run
   * @param {Record<string, unknown>} body
   */
  async #generate(run, body) {
    const { message, controller } = run;
    let savedAt = Date.now();
    const wait = () => {
      if (message.text || message.reasoning) return;
      const seconds = Math.floor((Date.now() - run.startedAt) / 1000);
      this.events.onWait(run, waitingReason(this.stateOf(run.conversation.model), run.held), seconds);
    };
    const timer = setInterval(wait, TICK_MS);
    // Not in this turn of the loop: the caller has to show the message first.
    queueMicrotask(wait);
    try {
      const outcome = await streamAnswer(body, controller.signal, {
        onText: (text, reasoning) => {
          message.text += text;
          if (reasoning) message.reasoning = (message.reasoning ?? "") + reasoning;
          this.events.onGrow(run);
          if (Date.now() - savedAt < SAVE_EVERY_MS) return;
          savedAt = Date.now();
          this.#save(run, run.messages.length - 1);
        },
        onWaiting: () => {
          run.held = true;
          wait();
        },
      });
      Object.assign(message, { state: "done", ...outcome });
    } catch (error) {
      this.#failed(message, error);
    }
    clearInterval(timer);
    this.runs.delete(run.conversation.id);
    run.conversation.updatedAt = Date.now();
    try {
      this.events.onEnd(run);
    } finally {
      // Also if the page cannot show the answer.
      await this.#save(run, run.messages.length - 1);
      this.events.onStored(run);
    }
  }

  /**
   * @param {Message} message
   * @param {unknown} error
   */
  #failed(message, error) {
    if (error instanceof DOMException && error.name === "AbortError") {
      message.state = "stopped";
      return;
    }
    message.state = "failed";
    const known = error instanceof ApiError ? error : new ApiError(String(error), { status: 200, code: "broken" });
    // The browser ends the requests of a page that is closed: that is no fault of the network or of the replica.
    const closed = { status: 0, code: "interrupted", message: "", retryAfterS: null };
    message.problem = describeProblem(this.leaving ? closed : known, Date.now());
  }

  /**
   * @param {Run} run
   * @param {number} from
   */
  async #save(run, from) {
    const { conversation, messages } = run;
    const { id } = conversation;
    try {
      const isUnstored = this.unstored.has(id);
      const saved = await this.storage.save(conversation, messages, isUnstored ? 0 : from);
      if (saved === "behind") run.behind = true;
      // An earlier save may have made the copy already.
      if (saved === "conflict" && conversation.id === id) await this.#copy(run);
      this.unstored.delete(id);
    } catch (error) {
      this.unstored.set(conversation.id, run);
      document.dispatchEvent(new CustomEvent("storagefailed", { detail: error }));
    }
  }

  /**
   * Another tab has stored messages in the same places: both are kept, the ones of this tab in a copy of the conversation.
   * @param {Run} run
   */
  async #copy(run) {
    const { conversation, messages } = run;
    const isRunning = this.runs.delete(conversation.id);
    conversation.id = newId();
    conversation.title = `${conversation.title} (copy)`;
    if (isRunning) this.runs.set(conversation.id, run);
    this.events.onCopied(run);
    await this.storage.save(conversation, messages, 0);
  }
}
