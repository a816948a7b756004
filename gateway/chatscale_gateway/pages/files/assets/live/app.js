/** The live page: one stream of snapshots, tables, charts and the state of the connection. */

import { byId } from "../shared/dom.js";
import { readKey } from "../shared/key.js";
import { toggleTheme } from "../shared/theme.js";
import { requestKey } from "../chat/dialogs.js";
import { Charts } from "./charts.js";
import { Feed } from "./feed.js";
import { clock } from "./format.js";
import { History, keyOf } from "./history.js";
import { ModelTable, showDetail } from "./views.js";

/** Of this tab and this address: gateways behind one host have different paths. */
const KEPT = `chatscale.live ${location.pathname}`;
/** A tab may keep about 5,000,000 characters. */
const MAX_KEPT_CHARS = 1_500_000;

const history = History.fromText(keptHistory());
const charts = new Charts(byId("charts"));
const table = new ModelTable(select);
const feed = new Feed({ snapshot: show, connected, waiting, refused });
let selected = selectedByAddress();
/** @type {any} the last snapshot */
let latest = null;
let announced = "";
let countdown = 0;

/** @returns {string} the charts before the last reload */
function keptHistory() {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}

function keepHistory() {
  try {
    sessionStorage.setItem(KEPT, history.toText(selected, MAX_KEPT_CHARS));
  } catch {
    // Without storage the charts begin empty.
  }
}

/** @returns {string} empty if the address has no model, or a malformed one */
function selectedByAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

/** @param {any} snapshot */
function show(snapshot) {
  latest = snapshot;
  history.add(snapshot);
  setConnection("live", `Live, ${clock(snapshot.time)}`);
  draw();
}

function draw() {
  const models = latest.models;
  const empty = byId("empty");
  empty.hidden = models.length > 0;
  empty.textContent = "This key opens no model, or the cluster has none.";
  byId("models").hidden = !models.length;
  if (!models.some((model) => keyOf(model) === selected)) selected = models.length ? keyOf(models[0]) : "";
  table.show(models, selected);
  const model = models.find((each) => keyOf(each) === selected);
  byId("detail").hidden = !model;
  if (!model) return;
  showDetail(model, latest, history);
  charts.draw(history, selected, Date.parse(latest.time) / 1000);
}

/** @param {string} key */
function select(key) {
  selected = key;
  window.history.replaceState(null, "", `#${encodeURIComponent(key)}`);
  draw();
  announce(`${key} is shown`);
}

function connected() {
  clearInterval(countdown);
  byId("problem").hidden = true;
  if (announced) announce("Connected");
  announced = "";
}

/**
 * @param {number} seconds
 * @param {string} message
 */
function waiting(seconds, message) {
  clearInterval(countdown);
  const until = Date.now() + seconds * 1000;
  const update = () => setConnection("waiting", `Reconnecting in ${Math.max(0, Math.ceil((until - Date.now()) / 1000))} s`);
  update();
  countdown = setInterval(update, 500);
  showProblem(`${message} The numbers below may be old. The page connects again by itself.`, "Connect now", connect);
}

/** @param {import("../shared/api.js").ApiError} error */
function refused(error) {
  clearInterval(countdown);
  setConnection("off", "Not connected");
  const message = error.code === "live_not_allowed" ? "This key may not see the live page: it needs live: true." : readKey() ? "The API key is not valid, or it has expired." : "The live page needs an API key.";
  showProblem(message, "Enter a key", () => enterKey(message));
  enterKey(message);
}

/**
 * @param {string} text
 * @param {string} action
 * @param {() => void} run
 */
function showProblem(text, action, run) {
  byId("problem-text").textContent = text;
  byId("problem-action").textContent = action;
  byId("problem-action").onclick = run;
  byId("problem").hidden = false;
  if (announced !== text) announce(text);
  announced = text;
}

/** @param {string} reason */
async function enterKey(reason) {
  if (byId("key-dialog").open) return;
  if (await requestKey(reason)) connect();
}

function connect() {
  clearInterval(countdown);
  setConnection("waiting", "Connecting");
  feed.start();
}

/**
 * @param {string} state live, waiting or off
 * @param {string} text
 */
function setConnection(state, text) {
  byId("connection").dataset.state = state;
  byId("connection-text").textContent = text;
}

/** @param {string} text for screen readers */
function announce(text) {
  byId("announcer").textContent = text;
}

byId("key").addEventListener("click", () => enterKey(""));
byId("theme").addEventListener("click", toggleTheme);
window.addEventListener("pagehide", () => {
  feed.stop();
  keepHistory();
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) connect();
});
connect();
