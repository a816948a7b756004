/**
 * Parses a stream of server-sent events. Pure.
 *
 * Accepts every line end of the specification, and parts that end anywhere in a line.
 */

export class SseParser {
  #rest = "";
  /** @type {string[]} */
  #data = [];
  #afterCr = false;

  /**
   * @param {string} text the next part of the stream
   * @returns {{type: "event" | "comment", data: string}[]} what is complete
   */
  feed(text) {
    const found = [];
    if (this.#afterCr && text.startsWith("\n")) text = text.slice(1);
    if (text) this.#afterCr = text.endsWith("\r");
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length) found.push({ type: /** @type {const} */ ("event"), data: this.#data.join("\n") });
        this.#data = [];
      } else if (line.startsWith(":")) {
        found.push({ type: /** @type {const} */ ("comment"), data: line.slice(1).trim() });
      } else if (line === "data" || line.startsWith("data:")) {
        this.#data.push(line.slice(5).replace(/^ /, ""));
      }
    }
    return found;
  }
}
