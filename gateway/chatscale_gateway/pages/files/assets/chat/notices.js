/** Short messages above the question field, and what screen readers announce. */

import { byId, h } from "../shared/dom.js";

const NOTICE_MS = 10_000;
let timer = 0;

/**
 * @param {string} text
 * @param {string} [action]
 * @param {() => void} [react]
 */
export function notify(text, action, react) {
  const notice = byId("notice");
  clearTimeout(timer);
  notice.replaceChildren(h("span", { text }));
  if (action && react) {
    const onclick = () => {
      hideNotice();
      react();
    };
    notice.append(h("button", { type: "button", text: action, onclick }));
  }
  notice.hidden = false;
  announce(text);
  timer = window.setTimeout(hideNotice, NOTICE_MS);
}

export function hideNotice() {
  clearTimeout(timer);
  byId("notice").hidden = true;
}

/** @param {string} text for screen readers */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** @param {string} text */
export function announceOnce(text) {
  if (byId("announcer").textContent !== text) announce(text);
}
