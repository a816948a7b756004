/**
 * The API key: in the session storage of this tab, or on request in the local storage of this browser.
 * All pages of one gateway share it.
 */

const NAME = "chatscale.key";

/** @returns {string} the key; empty if there is none */
export function readKey() {
  return from("sessionStorage") || from("localStorage");
}

/** @returns {boolean} whether the key is kept after the tab is closed */
export function isRemembered() {
  return from("localStorage") !== "" && unsaved === "";
}

/**
 * @param {string} key
 * @param {boolean} remember keep it after the tab is closed
 */
export function saveKey(key, remember) {
  forgetKey();
  try {
    (remember ? localStorage : sessionStorage).setItem(NAME, key);
  } catch {
    unsaved = key; // Without storage the key lasts until the page is closed.
  }
}

export function forgetKey() {
  unsaved = "";
  for (const storage of ["sessionStorage", "localStorage"]) {
    try {
      window[storage].removeItem(NAME);
    } catch {
      // no storage
    }
  }
}

/**
 * Whether a text can be sent as a key. Header values are printable ASCII. Tokens of identity providers are longer than keys.
 * @param {string} text
 */
export function isKey(text) {
  return /^[!-~]{1,4096}$/.test(text);
}

let unsaved = "";

/** @param {"sessionStorage" | "localStorage"} storage */
function from(storage) {
  try {
    return window[storage].getItem(NAME) || unsaved;
  } catch {
    return unsaved;
  }
}
