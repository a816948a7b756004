/** Dialogs: the key, the settings of a conversation, a name, a confirmation. */

import { byId } from "../shared/dom.js";
import { forgetKey, isKey, isRemembered, readKey, saveKey } from "../shared/key.js";
import { RANGES, readNumber } from "./conversation.js";

/**
 * Request the key.
 * @param {string} reason why the page needs one
 * @returns {Promise<boolean>} whether a key was entered or forgotten
 */
export async function requestKey(reason) {
  const dialog = byId("key-dialog");
  const input = byId("key-input");
  const error = byId("key-error");
  byId("key-reason").textContent = reason;
  byId("key-remember").checked = isRemembered();
  byId("key-forget").hidden = !readKey();
  input.value = "";
  error.textContent = "";
  const result = await open(dialog, () => {
    if (isKey(input.value.trim())) return true;
    error.textContent = "A key has letters, digits and signs, without spaces.";
    input.focus();
    return false;
  });
  if (result === "save") saveKey(input.value.trim(), byId("key-remember").checked);
  if (result === "forget") forgetKey();
  input.value = "";
  return result !== "";
}

/**
 * Edit the settings of a conversation.
 * @param {import("./conversation.js").Sampling} sampling is changed
 * @returns {Promise<boolean>} whether they were saved
 */
export async function editSampling(sampling) {
  const names = /** @type {(keyof typeof RANGES)[]} */ (Object.keys(RANGES));
  byId("set-system").value = sampling.system;
  for (const name of names) {
    const field = byId(`set-${name}`);
    field.value = sampling[name] === null ? "" : String(sampling[name]);
    field.min = RANGES[name].min;
    field.max = RANGES[name].max;
    field.step = RANGES[name].whole ? 1 : "any";
  }
  const saved = (await open(byId("settings-dialog"), () => byId("settings-form").reportValidity())) === "save";
  if (saved) {
    sampling.system = byId("set-system").value;
    for (const name of names) sampling[name] = readNumber(name, byId(`set-${name}`).value);
  }
  return saved;
}

/**
 * @param {string} title
 * @returns {Promise<string | null>} null: cancelled
 */
export async function requestName(title) {
  const input = byId("name-input");
  input.value = title;
  const promise = open(byId("name-dialog"), () => input.value.trim() !== "");
  input.select();
  return (await promise) === "save" ? input.value.trim().slice(0, 200) : null;
}

/**
 * @param {string} question
 * @returns {Promise<boolean>}
 */
export async function confirmDelete(question) {
  byId("confirm-text").textContent = question;
  return (await open(byId("confirm-dialog"), () => true)) === "save";
}

/**
 * Show a dialog until it is closed. Its buttons have their result as `value`; an empty one cancels.
 * @param {HTMLDialogElement} dialog
 * @param {() => boolean} isValid whether "save" may close it
 * @returns {Promise<string>} empty if it was cancelled, also with Escape
 */
function open(dialog, isValid) {
  return new Promise((resolve) => {
    const controller = new AbortController();
    const { signal } = controller;
    dialog.returnValue = "";
    dialog.addEventListener("submit", (event) => {
      event.preventDefault();
      const result = /** @type {HTMLButtonElement | null} */ (event.submitter)?.value ?? "save";
      if (result !== "save" || isValid()) dialog.close(result);
    }, { signal });
    dialog.addEventListener("cancel", () => (dialog.returnValue = ""), { signal });
    dialog.addEventListener("close", () => {
      controller.abort();
      resolve(dialog.returnValue);
    }, { signal });
    dialog.showModal();
  });
}
