/**
 * Markdown to safe elements: marked parses, DOMPurify removes everything that is not on its list.
 *
 * Models and files write this text, so it is hostile. HTML in it is shown as text, apart from a few tags without
 * behaviour; images become links; links open a new tab without a reference to this page.
 */

import "../vendor/purify.js";
import { Lexer, Marked } from "../vendor/marked.js";
import { h } from "../shared/dom.js";

/** @type {any} */
const purify = /** @type {any} */ (globalThis).DOMPurify;

const INLINE_HTML = /^<\/?(?:br|sub|sup|kbd|u|mark|del|ins)\s*\/?>$/i;
const LINK = /^(?:https?:|mailto:)/i;
const LANGUAGE = /^language-[A-Za-z0-9_+#.-]{1,30}$/;
/** marked takes a time that grows with the square of the length of a word: 100,000 characters would take a minute. */
const MAX_WORD_CHARS = 2000;
const PURIFY = {
  RETURN_DOM_FRAGMENT: true,
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ins", "kbd", "li", "mark",
    "ol", "p", "pre", "s", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
  ],
  ALLOWED_ATTR: ["align", "class", "href", "start", "title"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
};

const marked = new Marked({
  gfm: true,
  async: false,
  renderer: {
    html(token) {
      if (INLINE_HTML.test(token.text.trim())) return token.text;
      const escaped = escapeHtml(token.text);
      return "block" in token && token.block ? `<p>${escaped}</p>` : escaped;
    },
    image({ href, text }) {
      return `<a href="${escapeHtml(href)}">${escapeHtml(text || "image")}</a>`;
    },
    checkbox({ checked }) {
      return checked ? "☑ " : "☐ ";
    },
  },
});

purify.addHook("afterSanitizeAttributes", (/** @type {Element} */ node) => {
  if (node.tagName === "A") {
    if (LINK.test(node.getAttribute("href") ?? "")) {
      node.setAttribute("target", "_blank");
      node.setAttribute("rel", "noopener noreferrer nofollow");
    } else {
      node.removeAttribute("href");
    }
  }
  const name = node.getAttribute("class");
  if (name !== null && !(node.tagName === "CODE" && LANGUAGE.test(name))) node.removeAttribute("class");
});

/**
 * Blocks that marked cannot parse in a short time are shown as plain text: those with very long words, and those that
 * are nested too deeply for it.
 * @param {string} text
 * @returns {DocumentFragment} safe to insert
 */
export function renderMarkdown(text) {
  if (!hasLongWord(text)) return parse(text);
  const fragment = document.createDocumentFragment();
  for (const { raw, isCode } of splitBlocks(text)) fragment.append(!isCode && hasLongWord(raw) ? plain(raw) : parse(raw));
  return fragment;
}

/**
 * The blocks of a text: their Markdown, in order. Their concatenation is the text, apart from line ends.
 * @param {string} text
 * @returns {{raw: string, isSpace: boolean, isCode: boolean}[]}
 */
export function splitBlocks(text) {
  try {
    // Without the content of the blocks, which is not needed here.
    const tokens = new Lexer({ ...marked.defaults }).blockTokens(text, []);
    return tokens.map(({ raw, type }) => ({ raw, isSpace: type === "space", isCode: type === "code" }));
  } catch {
    return [{ raw: text, isSpace: false, isCode: false }];
  }
}

/**
 * @param {string} text
 */
export function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}

/**
 * @param {string} text
 * @returns {DocumentFragment}
 */
function parse(text) {
  try {
    return purify.sanitize(/** @type {string} */ (marked.parse(text)), PURIFY);
  } catch {
    return plain(text);
  }
}

/** @param {string} text */
function plain(text) {
  const fragment = document.createDocumentFragment();
  fragment.append(h("p", { class: "plain", text: text.trim() }));
  return fragment;
}

/** @param {string} text */
function hasLongWord(text) {
  return text.length > MAX_WORD_CHARS && text.split(/\s+/).some((word) => word.length > MAX_WORD_CHARS);
}
