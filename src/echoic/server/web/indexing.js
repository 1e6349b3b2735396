// Indexing: its progress as it comes, and what could not be read and why.
//
// A browser has few connections to a service, and a stream of events takes one for as long as it is open. So
// of all tabs the one that holds a lock follows, and tells the others.

import { address, ask } from "./api.js";
import { byId, clock, counted, el, parted } from "./dom.js";

const EVERY = 2000; // ms, where the browser has no locks, as it has none over plain http from elsewhere
const channel = new BroadcastChannel(`echoic ${document.baseURI}`);
let finished = null;
let last = null;

/** Follow indexing for as long as the page is open; `changed` is called once what was indexed can be found. */
export async function follow({ mayIndex, changed }) {
  const isFollowed = finished !== null; // from before a session ended
  finished = changed;
  byId("index-start").hidden = !mayIndex;
  if (isFollowed) return;
  channel.onmessage = ({ data }) => show(data);
  show(await ask("v1/index"));
  if (navigator.locks) navigator.locks.request("echoic events", () => new Promise(stream));
  else setInterval(() => document.hidden || ask("v1/index").then(show, () => {}), EVERY);
}

function stream() {
  const events = new EventSource(address("v1/index/events"));
  events.addEventListener("index", ({ data }) => {
    const state = JSON.parse(data);
    channel.postMessage(state);
    show(state);
  });
  // What answers with an error, as before somebody logs in again, is not asked again by the browser itself.
  events.addEventListener("error", () => events.readyState === EventSource.CLOSED && setTimeout(stream, EVERY));
}

function show(state) {
  const before = last;
  last = state;
  const { progress, report } = state;
  const isRunning = state.state === "running";
  // Of one that is done 99 % are told until what was found can be searched.
  const share = isRunning && progress?.total_bytes ? Math.min(0.99, progress.done_bytes / progress.total_bytes) : 0;
  byId("index-pill").textContent = isRunning ? `Indexing ${Math.floor(share * 100)} %` : "Index";
  byId("open-index").classList.toggle("busy", isRunning);
  byId("index-bar").hidden = !isRunning;
  if (progress) byId("index-bar").value = share;
  byId("index-stop").hidden = !isRunning || byId("index-start").hidden;
  byId("index-start").disabled = isRunning;
  byId("index-file").textContent = isRunning && progress ? parted(progress.path).name : "";
  const sentence = told(state);
  if (byId("index-told").textContent !== sentence) byId("index-told").textContent = sentence;
  if (report) byId("troubles").replaceChildren(...troubles(report));
  else if (isRunning) byId("troubles").replaceChildren();
  if (before?.state === "running" && !isRunning) finished(state);
}

function told({ state, progress, report, message }) {
  if (state === "idle") {
    return byId("index-start").hidden
      ? "What is indexed here, whoever serves the library decides (echoic serve --folder)."
      : "Find what is new, has changed or is gone in the folders of this library.";
  }
  if (state === "running") {
    if (!progress) return "Looking for files …";
    const left = progress.done ? (progress.elapsed / progress.done) * (progress.total - progress.done) : 0;
    const rest = left > 5 ? `, some ${clock(left).split(".")[0]} left` : "";
    return `${progress.done.toLocaleString("en")} of ${counted(progress.total, "file")}${rest}`;
  }
  if (state === "finished") {
    const names = ["added", "changed", "encoded", "moved", "removed", "unchanged"];
    const parts = names.filter((name) => report[name]).map((name) => `${report[name].toLocaleString("en")} ${name}`);
    if (report.n_partial) parts.push(`${report.n_partial} partly read`);
    if (report.n_failed) parts.push(`${report.n_failed} not read`);
    return `Done: ${parts.join(", ") || "nothing has changed"}.`;
  }
  return state === "cancelled" ? "Stopped; what was done is kept." : `Failed: ${message}`;
}

function troubles(report) {
  const listed = (title, all, n) =>
    all.length
      ? [
          el("h3", {}, `${title} (${n.toLocaleString("en")})`),
          el("ul", { class: "troubles" }, ...all.map(({ path, message }) => el("li", {}, el("b", { title: path }, parted(path).name), el("span", {}, message)))),
        ]
      : [];
  return [...listed("Not read", report.failed, report.n_failed), ...listed("Partly read", report.partial, report.n_partial)];
}

async function tell(method) {
  try {
    show(await ask("v1/index", {}, { method }));
  } catch (error) {
    byId("index-told").textContent = error.message;
  }
}

byId("index-start").addEventListener("click", () => tell("POST"));
byId("index-stop").addEventListener("click", () => tell("DELETE"));
