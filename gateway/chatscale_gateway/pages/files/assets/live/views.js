/** The tables and lists. Texts of the cluster are always set as text, never as HTML. */

import { byId, h, icon } from "../shared/dom.js";
import { ago, clock, count, day, money, rate, seconds } from "./format.js";
import { keyOf } from "./history.js";

/** What a model does, in a word and a colour. @param {any} model @returns {[string, string]} */
export function stateOf(model) {
  const { wanted, ready, starting } = model.replicas;
  if (model.warnings.length) return ["Warning", "bad"];
  if (model.held > 0 && ready === 0) return ["Waking up", "busy"];
  if (starting > 0 && ready < wanted) return ["Starting", "busy"];
  if (ready > 0) return ["Ready", "good"];
  return wanted > 0 ? ["Starting", "busy"] : ["At zero", "off"];
}

/** Rows of the table beside the charts: label, value now, column of the history, format. */
const NUMBERS = [
  ["Replicas wanted", (model) => model.replicas.wanted, "wanted", count],
  ["Replicas starting", (model) => model.replicas.starting, "starting", count],
  ["Replicas ready", (model) => model.replicas.ready, "ready", count],
  ["Replicas draining", (model) => model.replicas.draining, "draining", count],
  ["Requests held", (model) => model.held, "held", count],
  ["Requests queued", (model) => model.queued, "queued", count],
  ["Requests in flight", (model) => model.in_flight, "inFlight", count],
  ["Prompt tokens/s", (model) => model.prompt_tokens_per_s, "prompt", rate],
  ["Generated tokens/s", (model) => model.generated_tokens_per_s, "generated", rate],
  ["TTFT p50", (model) => model.ttft.p50_s, "p50", seconds],
  ["TTFT p95", (model) => model.ttft.p95_s, "p95", seconds],
  ["TTFT SLO", (model) => model.ttft.slo_s, "slo", seconds],
];

/** The table of all models. Rows are kept, so that the focus stays on a button. */
export class ModelTable {
  /** @type {Map<string, {row: HTMLElement, button: HTMLElement, cells: HTMLElement[]}>} */
  #rows = new Map();

  /** @param {(key: string) => void} select */
  constructor(select) {
    this.body = /** @type {HTMLElement} */ (byId("models").tBodies[0]);
    this.select = select;
  }

  /**
   * @param {any[]} models
   * @param {string} selected
   */
  show(models, selected) {
    const keys = new Set(models.map(keyOf));
    for (const [key, { row }] of this.#rows) {
      if (!keys.has(key)) {
        row.remove();
        this.#rows.delete(key);
      }
    }
    const names = new Map();
    for (const model of models) names.set(model.name, (names.get(model.name) ?? 0) + 1);
    models.forEach((model, index) => {
      const key = keyOf(model);
      const { row, button, cells } = this.#row(key);
      if (this.body.children[index] !== row) this.body.insertBefore(row, this.body.children[index] ?? null);
      setText(button, names.get(model.name) === 1 ? model.name : key);
      row.classList.toggle("selected", key === selected);
      if (key === selected) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
      const [state, level] = stateOf(model);
      cells[0].dataset.level = level;
      const { wanted, ready } = model.replicas;
      const tokens = model.prompt_tokens_per_s + model.generated_tokens_per_s;
      const texts = [state, `${count(ready)} / ${count(wanted)}`, count(model.held), count(model.queued), count(model.in_flight), rate(tokens), seconds(model.ttft.p95_s), money(model.cost)];
      texts.forEach((text, at) => setText(at ? cells[at] : cells[0].lastElementChild, text));
      cells[6].classList.toggle("late", isLate(model));
    });
  }

  /** @param {string} key */
  #row(key) {
    let found = this.#rows.get(key);
    if (!found) {
      const button = h("button", { type: "button", class: "name", title: key, onclick: () => this.select(key) });
      const cells = [h("td", { class: "state" }, h("i", { "aria-hidden": "true" }), h("span")), ...Array.from({ length: 7 }, () => h("td", { class: "number" }))];
      const row = h("tr", {}, h("th", { scope: "row" }, button), ...cells);
      found = { row, button, cells };
      this.#rows.set(key, found);
    }
    return found;
  }
}

/** Whether the p95 misses the SLO. @param {any} model */
function isLate(model) {
  return model.ttft.p95_s !== null && model.ttft.p95_s > model.ttft.slo_s;
}

/**
 * The selected model, without its charts.
 * @param {any} model
 * @param {any} snapshot
 * @param {import("./history.js").History} history
 */
export function showDetail(model, snapshot, history) {
  const key = keyOf(model);
  setText(byId("detail-title"), model.name);
  const reason = model.phase && model.phase !== stateOf(model)[0] ? `, ${model.phase}` : "";
  setText(byId("detail-state"), `Namespace ${model.namespace}, mode ${model.mode || "unknown"}${reason}`);
  const rows = byId("numbers").tBodies[0];
  const peaks = NUMBERS.map(([label, read, column, format]) => [label, format(read(model)), format(history.peak(key, column))]);
  if (model.cost) peaks.push(["Cost per hour", money(model.cost), ""]);
  fill(rows, peaks, ([label]) => h("tr", {}, h("th", { scope: "row", text: label }), h("td", { class: "number" }), h("td", { class: "number soft" })), (row, [label, now, peak]) => {
    setText(row.children[0], label);
    setText(row.children[1], now);
    setText(row.children[2], peak);
    if (label === "TTFT p95") row.classList.toggle("late", isLate(model));
  });
  const gateways = snapshot.gateways === 1 ? "1 gateway" : `${snapshot.gateways} gateways`;
  const answers = model.ttft.samples === 1 ? "1 streamed answer" : `${count(model.ttft.samples)} streamed answers`;
  setText(byId("numbers-note"), `Sum of ${gateways}. TTFT: ${answers} of the last ${model.ttft.window_s} s. Tokens/s: mean of ${snapshot.rate_window_s} s. Peak: since this page was opened, at most 10 minutes.`);
  showLists(model, Date.parse(snapshot.time));
}

/**
 * @param {any} model
 * @param {number} now milliseconds since 1970
 */
function showLists(model, now) {
  const warning = () => h("li", {}, icon("warning"), h("div", {}, h("strong"), h("span", { class: "soft" }), h("p")));
  fill(byId("warnings"), model.warnings, warning, (item, each) => {
    const [title, since, text] = item.lastElementChild.children;
    setText(title, each.reason);
    setText(since, ` ${each.type} is False${each.since ? `, changed ${ago(each.since, now)}` : ""}`);
    setText(text, each.message);
  });
  byId("warnings").hidden = !model.warnings.length;
  const decision = () => h("li", {}, h("span", { class: "change" }), h("div", {}, h("p"), h("time", { class: "soft" })));
  const decisions = model.decisions.map((each) => ({ change: `${each.from_replicas} → ${each.to_replicas}`, text: each.reason, time: each.time, when: `${clock(each.time)}, ${ago(each.time, now)}` }));
  fill(byId("decisions"), decisions.length ? decisions : [{ change: "", text: "The replica count has not changed.", time: "", when: "" }], decision, put);
  const events = model.events.map((each) => ({ change: `≥ ${each.min_replicas}`, text: each.active ? `${each.name}: active, it sets the minimum` : each.name, time: each.start, when: `${day(each.start)} to ${day(each.end)}` }));
  fill(byId("events"), events.length ? events : [{ change: "", text: "No event is announced.", time: "", when: "" }], decision, put);
}

/**
 * @param {any} item
 * @param {{change: string, text: string, time: string, when: string}} each
 */
function put(item, each) {
  const [change, body] = item.children;
  setText(change, each.change);
  change.hidden = !each.change;
  setText(body.children[0], each.text);
  setText(body.children[1], each.when);
  if (each.time) body.children[1].setAttribute("datetime", each.time);
}

/**
 * Show a list of entries in the children of an element, which are kept.
 * @param {HTMLElement} parent
 * @param {any[]} entries
 * @param {(entry: any) => HTMLElement} create
 * @param {(child: any, entry: any) => void} update
 */
function fill(parent, entries, create, update) {
  while (parent.children.length > entries.length) parent.lastElementChild.remove();
  entries.forEach((entry, index) => {
    if (!parent.children[index]) parent.append(create(entry));
    update(parent.children[index], entry);
  });
}

/**
 * Change a text only if it differs: a screen reader that reads it is not interrupted.
 * @param {any} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

