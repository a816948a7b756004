/** The chat page: connects the parts, and has the state of the open conversation. */

import { byId, copyText, download, newId } from "../shared/dom.js";
import { readKey } from "../shared/key.js";
import { toggleTheme } from "../shared/theme.js";
import { Answers } from "./answers.js";
import { Composer } from "./composer.js";
import { UNTITLED, newConversation, titleOf } from "./conversation.js";
import { confirmDelete, editSampling, requestKey, requestName } from "./dialogs.js";
import { connectDrawer } from "./drawer.js";
import { MessageList } from "./messages.js";
import { announce, announceOnce, hideNotice, notify } from "./notices.js";
import { ModelPicker } from "./picker.js";
import { describeProblem } from "./problems.js";
import { Sidebar } from "./sidebar.js";
import { Storage } from "./storage.js";
import { fileName, fromJson, toJson, toMarkdown } from "./transfer.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./conversation.js").Message} Message */

const OPEN = "chatscale.open";
const SPOKEN_CHARS = 2000;

const storage = await Storage.open();
/** @type {Conversation[]} */
let conversations = await storage.list();
/** @type {Conversation} not stored before its first message */
let current = newConversation(newId(), "", Date.now());
/** @type {Message[]} */
let messages = [];
let keyRequested = false;
/** The question is sent when the gateway has listed its models. */
let sendLater = false;

const drawer = connectDrawer();
const picker = new ModelPicker(chooseModel, modelsRead);
const answers = new Answers(storage, (model) => picker.state(model), {
  onGrow: (run) => list.update(run.message),
  onWait: (run, reason, seconds) => {
    const text = seconds > 0 ? `${reason} (${seconds} s)` : reason;
    list.setWaiting(run.message, text);
    if (run.conversation === current) announceOnce(reason);
  },
  onEnd: answerEnded,
  onCopied: answerCopied,
  onStored: (run) => run.behind && chatChanged(run.conversation.id),
});
const list = new MessageList(byId("scroller"), byId("messages"), byId("to-end"), {
  copy: (message) => copy(message.text),
  retry: (message) => replaceFrom(messages.indexOf(message), null),
  resend: (message, text) => replaceFrom(messages.indexOf(message), text),
  rated: (message) => storage.update(current.id, messages.indexOf(message), message).catch(storageFailed),
  enterKey: () => enterKey("The gateway refused the key of this page."),
  chooseModel: () => byId("model").focus(),
});
const sidebar = new Sidebar(storage, { open, rename, remove });
const composer = new Composer(send, () => answers.stop(current.id));

/**
 * @param {string} id
 * @param {number} [position] of the message to show
 */
async function open(id, position) {
  const found = conversations.find((each) => each.id === id);
  if (!found) return;
  const run = answers.runs.get(id);
  const loaded = await messagesOf(id);
  if (!run) for (const message of loaded) markInterrupted(message);
  current = found;
  messages = loaded;
  storage.adopt(messages);
  remember(id);
  drawer.close();
  show(position);
  if (position === undefined) composer.focus();
}

function startNew() {
  current = newConversation(newId(), picker.selected, Date.now());
  messages = [];
  remember("");
  drawer.close();
  show();
  composer.focus();
}

/** @param {number} [position] */
function show(position) {
  hideNotice();
  picker.choose(current.model);
  list.open(messages, position);
  refresh();
}

/** Everything beside the messages. */
function refresh() {
  const title = current.title || UNTITLED;
  byId("title").textContent = title;
  document.title = `${title} · Chatscale`;
  byId("welcome").hidden = messages.length > 0;
  byId("more").disabled = messages.length === 0;
  composer.running = answers.runs.has(current.id);
  picker.urgent = [...answers.runs.values()].some((run) => !run.message.text);
  sidebar.show(conversations, current.id, new Set(answers.runs.keys()));
}

/** @param {string} text */
function send(text) {
  if (answers.runs.has(current.id)) return false;
  if (!current.model) current.model = picker.selected;
  if (!current.model) {
    sendLater = !picker.wasRead;
    notify(sendLater ? "The models are loading. The question is sent after that." : "The gateway lists no model for this key.");
    return false;
  }
  if (!messages.length) {
    conversations = [current, ...conversations.filter((each) => each.id !== current.id)];
    current.title ||= titleOf(text);
    remember(current.id);
  }
  hideNotice(); // An "Undo" would now remove this question, too.
  messages.push({ id: newId(), role: "user", text, createdAt: Date.now() });
  generate(messages.length - 1);
  return true;
}

/**
 * Generate the answer to the messages.
 * @param {number} changedFrom position of the first one that is not stored
 */
function generate(changedFrom) {
  picker.choose(current.model);
  answers.start(current, messages, changedFrom);
  conversations = [current, ...conversations.filter((each) => each.id !== current.id)];
  list.changed();
  refresh();
}

/**
 * Replace the messages from a position on: by another answer, or by another question and its answer.
 * @param {number} position
 * @param {string | null} text of the question
 */
function replaceFrom(position, text) {
  if (position < 0 || answers.runs.has(current.id)) return;
  const removed = messages.slice(position);
  const before = [...messages];
  messages.length = position;
  if (text !== null) messages.push({ id: newId(), role: "user", text, createdAt: Date.now() });
  generate(position);
  if (removed.length === 1 && !removed[0].text) return;
  const { id } = current;
  notify(removed.length > 1 ? `${removed.length} messages were replaced.` : "The message was replaced.", "Undo", async () => {
    answers.stop(id);
    await answerStored(id);
    if (current.id !== id) return;
    messages = before;
    list.open(messages);
    saveAll();
    refresh();
  });
}

/** @param {import("./answers.js").Run} run */
function answerEnded(run) {
  const { message, conversation } = run;
  list.update(message);
  refresh();
  if (conversation !== current) return;
  if (message.state === "failed") announce(`${message.problem?.title}. ${message.problem?.detail}`);
  else if (message.state === "stopped") announce("Stopped.");
  else {
    const more = message.text.length > SPOKEN_CHARS ? " The answer goes on in the list of messages." : "";
    announce(`Answer: ${message.text.slice(0, SPOKEN_CHARS)}${more}`);
  }
}

/** @param {import("./answers.js").Run} run */
function answerCopied(run) {
  conversations = [run.conversation, ...conversations.filter((each) => each !== run.conversation)];
  if (run.conversation === current) {
    remember(current.id);
    notify("Another tab changed this chat at the same time. Your messages are in a copy of it.");
  }
  refresh();
}

/** @param {string} model */
function chooseModel(model) {
  current.model = model;
  if (messages.length) storage.saveSettings(current).catch(storageFailed);
}

/** @param {import("../shared/api.js").ApiError | null} error */
function modelsRead(error) {
  const offline = error !== null && error.status !== 401;
  byId("banner").hidden = !offline;
  if (offline) byId("banner").textContent = `${describeProblem(error, Date.now()).title}. The page tries again.`;
  if (!error && sendLater) {
    sendLater = false;
    hideNotice();
    composer.submit();
  }
  if (error?.status === 401 && !keyRequested && !document.querySelector("dialog[open]")) {
    enterKey(readKey() ? "The gateway refused the key. Enter a valid one." : "The gateway needs a key for its models.");
  }
}

/** @param {string} reason */
async function enterKey(reason) {
  keyRequested = true;
  const changed = await requestKey(reason);
  // A cancelled dialog does not come back by itself.
  keyRequested = !changed;
  if (changed) await picker.read();
  composer.focus();
}

/** @param {Conversation} conversation */
async function rename(conversation) {
  const title = await requestName(conversation.title);
  if (title === null) return;
  conversation.title = title;
  await storage.saveSettings(conversation).catch(storageFailed);
  refresh();
}

/** @param {Conversation} conversation */
async function remove(conversation) {
  if (!(await confirmDelete(`“${conversation.title || UNTITLED}” is deleted from this browser. This cannot be undone.`))) return;
  answers.stop(conversation.id);
  conversations = conversations.filter((each) => each.id !== conversation.id);
  await answerStored(conversation.id);
  answers.unstored.delete(conversation.id);
  await storage.remove(conversation.id).catch(storageFailed);
  if (conversation.id === current.id) startNew();
  else refresh();
}

/**
 * Wait until a stopped answer is stored, so that its record does not overwrite a later one.
 * @param {string} id
 */
async function answerStored(id) {
  while (answers.runs.has(id)) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function importFile() {
  const input = byId("import-file");
  const file = input.files[0];
  input.value = "";
  if (!file) return;
  try {
    const found = fromJson(await file.text(), newId);
    for (const whole of found) await storage.save(whole.conversation, whole.messages, 0);
    await readList();
    if (found.length) await open(found[0].conversation.id);
    notify(`${found.length} ${found.length === 1 ? "chat was" : "chats were"} imported.`);
  } catch (error) {
    if (error instanceof DOMException) storageFailed(error);
    else notify(error instanceof Error ? error.message : "The file cannot be read.");
  }
}

async function exportAll() {
  const all = [];
  for (const conversation of conversations) all.push({ conversation, messages: await messagesOf(conversation.id) });
  download("chats.json", "application/json", toJson(all, Date.now()));
}

/**
 * The messages of a chat, also those that are not stored yet or cannot be stored.
 * @param {string} id
 */
async function messagesOf(id) {
  const run = answers.runs.get(id) ?? answers.unstored.get(id);
  if (run) return run.messages;
  return id === current.id && messages.length ? messages : await storage.messages(id);
}

/** Store all messages of the open chat. */
async function saveAll() {
  try {
    if ((await storage.save(current, messages, 0)) === "saved") return;
    notify("Another tab changed this chat at the same time. Its messages were kept.");
    await chatChanged(current.id);
  } catch (error) {
    storageFailed(error);
  }
}

/**
 * Read the list of chats. The open chat and those with an answer on its way keep their objects: a copy of one would miss
 * later changes, or undo them.
 */
async function readList() {
  const found = await storage.list();
  const stored = new Set(found.map((each) => each.id));
  const others = [...answers.runs.values(), ...answers.unstored.values()].map((run) => run.conversation);
  conversations = [...new Set(others)].filter((each) => !stored.has(each.id));
  for (const each of found) conversations.push(answers.runs.get(each.id)?.conversation ?? (each.id === current.id ? current : each));
}

/**
 * Another tab changed a chat.
 * @param {string} id
 */
async function chatChanged(id) {
  if (answers.unstored.has(id)) return;
  const found = (await storage.list()).find((each) => each.id === id);
  const stored = await storage.messages(id);
  if (id === current.id && !answers.runs.has(id)) {
    if (found) {
      Object.assign(current, found);
      storage.adopt(stored);
      const same = (/** @type {Message} */ old, /** @type {Message} */ each) => JSON.stringify(old) === JSON.stringify(each);
      messages = stored.map((each, position) => (same(messages[position], each) ? messages[position] : each));
      list.replace(messages);
    } else startNew();
  }
  await readList();
  refresh();
}

/** @param {unknown} error */
function storageFailed(error) {
  const full = error instanceof DOMException && error.name === "QuotaExceededError";
  notify(full ? "The browser's storage is full: export and delete old chats." : "The browser cannot store this chat.");
}

/** @param {string} text */
async function copy(text) {
  notify((await copyText(text)) ? "Copied." : "The browser did not allow to copy.");
}

/** @param {Message} message */
function markInterrupted(message) {
  if (message.state !== "streaming") return;
  message.state = "failed";
  message.problem = describeProblem({ status: 0, code: "interrupted", message: "", retryAfterS: null }, Date.now());
}

/** @param {string} id */
function remember(id) {
  try {
    sessionStorage.setItem(OPEN, id);
  } catch {
    // A reload then opens a new chat.
  }
}

function reopen() {
  let id = "";
  try {
    id = sessionStorage.getItem(OPEN) ?? "";
  } catch {
    // no storage
  }
  if (conversations.some((each) => each.id === id)) open(id);
  else startNew();
}

byId("new").addEventListener("click", startNew);
byId("theme").addEventListener("click", toggleTheme);
byId("key").addEventListener("click", () => enterKey("The key opens the models of the gateway."));
byId("settings").addEventListener("click", async () => {
  if ((await editSampling(current.sampling)) && messages.length) await storage.saveSettings(current).catch(storageFailed);
});
byId("import").addEventListener("click", () => byId("import-file").click());
byId("import-file").addEventListener("change", importFile);
byId("export-all").addEventListener("click", exportAll);
byId("export-json").addEventListener("click", () => {
  byId("export-menu").hidePopover();
  download(fileName(current.title, "json"), "application/json", toJson([{ conversation: current, messages }], Date.now()));
});
byId("export-markdown").addEventListener("click", () => {
  byId("export-menu").hidePopover();
  download(fileName(current.title, "md"), "text/markdown", toMarkdown({ conversation: current, messages }));
});
byId("messages").addEventListener("click", (/** @type {Event} */ event) => {
  const button = /** @type {Element} */ (event.target).closest(".copy-code");
  if (button) copy(button.closest(".code")?.querySelector("pre")?.textContent ?? "");
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]") || drawer.close()) return;
  answers.stop(current.id);
});
document.addEventListener("storagefailed", (event) => storageFailed(/** @type {CustomEvent} */ (event).detail));
storage.onChange(chatChanged);

reopen();
await picker.read();
if (!current.model) current.model = picker.selected;
if (!storage.lasts) notify("This browser window keeps no data: chats are lost when it is closed.");
