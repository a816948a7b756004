/** The last ten minutes of each model, as columns for charts, and as text for the next load of the page. Pure. */

export const SPAN_S = 600;
/** A longer pause between two snapshots is a gap in the charts. */
const GAP_S = 5;

/** What is kept of a model: name of the column, and how to read it. */
export const COLUMNS = {
  wanted: (model) => model.replicas.wanted,
  starting: (model) => model.replicas.starting,
  ready: (model) => model.replicas.ready,
  draining: (model) => model.replicas.draining,
  held: (model) => model.held,
  queued: (model) => model.queued,
  inFlight: (model) => model.in_flight,
  prompt: (model) => model.prompt_tokens_per_s,
  generated: (model) => model.generated_tokens_per_s,
  p50: (model) => model.ttft.p50_s,
  p95: (model) => model.ttft.p95_s,
  slo: (model) => model.ttft.slo_s,
};

const NAMES = /** @type {(keyof typeof COLUMNS)[]} */ (Object.keys(COLUMNS));

/** @param {any} model of a snapshot */
export function keyOf(model) {
  return `${model.namespace}/${model.name}`;
}

export class History {
  /** @type {Map<string, Record<string, (number | null)[]>>} */
  #models = new Map();

  /**
   * @param {string} text that `toText` has written; another text is an empty history
   */
  static fromText(text) {
    const history = new History();
    try {
      for (const [key, series] of JSON.parse(text)) if (isSeries(series)) history.#models.set(String(key), series);
    } catch {
      // An earlier version of the page has written it.
    }
    return history;
  }

  /**
   * @param {string} first key of the model that is kept in any case
   * @param {number} maxChars further models are left out above it
   */
  toText(first, maxChars) {
    const entries = [...this.#models].sort(([a], [b]) => Number(b === first) - Number(a === first));
    const parts = [];
    let chars = 2;
    for (const entry of entries) {
      const part = JSON.stringify(entry);
      chars += part.length + 1;
      if (parts.length && chars > maxChars) break;
      parts.push(part);
    }
    return `[${parts.join(",")}]`;
  }

  /**
   * Add one snapshot. Models that are not in it any more are forgotten.
   * @param {any} snapshot
   */
  add(snapshot) {
    const at = Date.parse(snapshot.time) / 1000;
    const keys = new Set(snapshot.models.map(keyOf));
    for (const key of this.#models.keys()) if (!keys.has(key)) this.#models.delete(key);
    for (const model of snapshot.models) {
      const key = keyOf(model);
      let series = this.#models.get(key);
      if (!series) this.#models.set(key, (series = empty()));
      let last = series.time.at(-1) ?? null;
      // The clock of another gateway can be behind. Charts need times that grow.
      if (last !== null && at <= last - GAP_S) {
        this.#models.set(key, (series = empty()));
        last = null;
      }
      if (last !== null && at <= last) continue;
      if (last !== null && at - last > GAP_S) push(series, last + 0.001, () => null);
      push(series, at, (name) => COLUMNS[name](model));
      while (series.time[0] !== null && series.time[0] < at - SPAN_S) for (const column of Object.values(series)) column.shift();
    }
  }

  /**
   * @param {string} key
   * @param {string[]} names
   * @returns {(number | null)[][]} the times, seconds since 1970, and one array for each name
   */
  columns(key, names) {
    const series = this.#models.get(key) ?? empty();
    return [series.time, ...names.map((name) => series[name])];
  }

  /**
   * @param {string} key
   * @param {string} name
   * @returns {number | null} the highest value in the last ten minutes
   */
  peak(key, name) {
    let highest = null;
    for (const value of this.#models.get(key)?.[name] ?? []) if (value !== null && (highest === null || value > highest)) highest = value;
    return highest;
  }
}

/**
 * Whether a value has the columns of a series, all of the same length.
 * @param {any} value
 */
function isSeries(value) {
  const length = value?.time?.length;
  const isValue = (/** @type {unknown} */ each) => each === null || typeof each === "number";
  return ["time", ...NAMES].every((name) => Array.isArray(value[name]) && value[name].length === length && value[name].every(isValue));
}

/** @returns {Record<string, (number | null)[]>} */
function empty() {
  return Object.fromEntries(["time", ...NAMES].map((name) => [name, []]));
}

/**
 * @param {Record<string, (number | null)[]>} series
 * @param {number} at
 * @param {(name: keyof typeof COLUMNS) => number | null} read
 */
function push(series, at, read) {
  series.time.push(at);
  for (const name of NAMES) series[name].push(read(name));
}
