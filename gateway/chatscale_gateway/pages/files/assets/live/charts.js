/** The charts of one model. They are pictures for the eye: the table beside them has the same numbers. */

import { h } from "../shared/dom.js";
import { count, rate, seconds } from "./format.js";
import { SPAN_S } from "./history.js";

/**
 * @typedef {{column: string, label: string, colour: string, dash?: number[], fill?: boolean, stepped?: boolean}} Line
 * @typedef {{title: string, format: (value: number | null) => string, whole?: boolean, lines: Line[]}} Chart
 */

/** @type {Chart[]} colours are custom properties of the style sheet. */
export const CHARTS = [
  {
    title: "Replicas",
    format: count,
    whole: true,
    lines: [
      { column: "ready", label: "Ready", colour: "--line-a", fill: true, stepped: true },
      { column: "starting", label: "Starting", colour: "--line-d", stepped: true },
      { column: "draining", label: "Draining", colour: "--line-c", stepped: true },
      { column: "wanted", label: "Wanted", colour: "--line-b", dash: [6, 4], stepped: true },
    ],
  },
  {
    title: "Requests",
    format: count,
    whole: true,
    lines: [
      { column: "inFlight", label: "In flight", colour: "--line-a", fill: true },
      { column: "queued", label: "Queued in replicas", colour: "--line-d" },
      { column: "held", label: "Held at gateways", colour: "--line-b" },
    ],
  },
  {
    title: "Tokens per second",
    format: rate,
    lines: [
      { column: "generated", label: "Generated", colour: "--line-a", fill: true },
      { column: "prompt", label: "Prompt", colour: "--line-d" },
    ],
  },
  {
    title: "Time to first token",
    format: seconds,
    lines: [
      { column: "p95", label: "p95", colour: "--line-a", fill: true },
      { column: "p50", label: "p50", colour: "--line-d" },
      { column: "slo", label: "SLO", colour: "--line-b", dash: [6, 4] },
    ],
  },
];

const HEIGHT_PX = 205;
/** The time axis of a page that was just opened. It grows to `SPAN_S`. */
const SHORTEST_SPAN_S = 120;
/** Steps of an axis with whole numbers. */
const WHOLE_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

/** Draws the charts of the selected model. */
export class Charts {
  /** @type {{plot: any, box: HTMLElement, chart: Chart}[]} */
  #plots = [];

  /** @param {HTMLElement} root */
  constructor(root) {
    for (const chart of CHARTS) {
      const box = h("div", { class: "plot" });
      const legend = chart.lines.map((line) => h("span", { class: "key", "data-colour": line.colour.slice(2), "data-dashed": Boolean(line.dash) }, h("i"), line.label));
      root.append(
        h("figure", { class: "chart" }, h("figcaption", { text: chart.title }), h("div", { class: "legend", "aria-hidden": "true" }, ...legend), h("div", { "aria-hidden": "true" }, box)),
      );
      this.#plots.push({ plot: null, box, chart });
    }
    new ResizeObserver(() => this.#resize()).observe(root);
    document.addEventListener("themechange", () => this.#rebuild());
  }

  /**
   * @param {import("./history.js").History} history
   * @param {string} key of the model
   * @param {number} now seconds since 1970
   */
  draw(history, key, now) {
    const first = history.columns(key, [])[0][0] ?? now;
    const span = Math.min(SPAN_S, Math.max(SHORTEST_SPAN_S, now - first));
    for (const each of this.#plots) {
      each.plot ??= build(each.chart, each.box);
      const data = history.columns(key, each.chart.lines.map((line) => line.column));
      each.plot.batch(() => {
        each.plot.setData(data, false);
        each.plot.setScale("x", { min: now - span, max: now });
      });
    }
  }

  #resize() {
    for (const { plot, box } of this.#plots) {
      if (plot && box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: HEIGHT_PX });
    }
  }

  #rebuild() {
    for (const each of this.#plots) {
      if (!each.plot) continue;
      const { data, scales } = each.plot;
      const { min, max } = scales.x;
      each.plot.destroy();
      each.plot = build(each.chart, each.box);
      each.plot.setData(data, false);
      each.plot.setScale("x", { min, max });
    }
  }
}

/**
 * @param {Chart} chart
 * @param {HTMLElement} box
 */
function build(chart, box) {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--text-soft"), font: `12px ${colour("--sans")}`, ticks: { show: false }, grid: { stroke: colour("--line"), width: 1 } };
  const stepped = uPlot.paths.stepped({ align: 1 });
  const options = {
    width: Math.max(200, box.clientWidth),
    height: HEIGHT_PX,
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: true, range: (_plot, min, max) => [min, max] }, y: { range: (_plot, _min, max) => [0, top(max, chart.whole)] } },
    axes: [
      { ...axis, grid: { show: false }, size: 28, space: 70, values: (plot, ticks) => ticks.map((at) => timeLabel(at, plot.scales.x.max - plot.scales.x.min)) },
      { ...axis, size: 58, space: 34, ...(chart.whole ? { incrs: WHOLE_STEPS } : {}), values: (_plot, ticks) => ticks.map(chart.format) },
    ],
    series: [
      {},
      ...chart.lines.map((line) => ({
        label: line.label,
        stroke: colour(line.colour),
        width: 2,
        dash: line.dash,
        fill: line.fill ? colour(`${line.colour}-fill`) : undefined,
        paths: line.stepped ? stepped : undefined,
        points: { show: false },
      })),
    ],
  };
  return new uPlot(options, [[], ...chart.lines.map(() => [])], box);
}

/**
 * @param {number} at seconds since 1970
 * @param {number} span seconds
 */
function timeLabel(at, span) {
  const text = new Date(at * 1000).toLocaleTimeString("en-GB");
  return span < 300 ? text : text.slice(0, -3);
}

/**
 * The upper end of an axis: a round number above the highest value.
 * @param {number | null} max
 * @param {boolean} [whole]
 */
function top(max, whole) {
  if (!max || max <= 0) return whole ? 4 : 1;
  if (whole && max < 4) return 4;
  return max * 1.15;
}
