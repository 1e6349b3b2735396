// The page: what is asked, what is found, and how one comes from the one to the other.

import { ask } from "./api.js";
import { find, hasQuery, hasSound, idOf, nFilters, read, save, spell } from "./asked.js";
import { concepts } from "./concepts.js";
import { button, byId, counted, el, parted } from "./dom.js";
import { showExample } from "./example.js";
import { follow } from "./indexing.js";
import { listenToKeys } from "./keys.js";
import { openMap } from "./map.js";
import { record, whyNone } from "./microphone.js";
import { player } from "./player.js";
import { Row, byFile } from "./rows.js";
import { uploads } from "./uploads.js";

const AT_ONCE = 100; // rows that are made before more are asked for
const NEEDS = {
  // What a library must be able to do for each wish, and how it learns to.
  phrase: ["phrases", "words that are said", "phonemes"],
  spoken: ["spoken", "phrases that are spoken", "speech"],
  voice: ["voices", "voices", "voice"],
  recording: ["recordings", "recordings", "fingerprint"],
  version: ["versions", "versions of music", "harmony"],
  every: ["occurrences", "every place where a sound is heard", "events"],
};
const IDEAS = ["rain on a roof", "a bird singing", "church bells", "somebody laughing", "an engine starting"];
const FIELDS = { text: "words", path: "path", tag: "tag", min: "min-duration", max: "max-duration", k: "k" };

let asked = read(location.search);
let purposes = null;
let session = { max_upload: Infinity };
let running = null;
let recording = null;
let rows = [];
let pending = []; // files that have no row yet
const results = new Map(); // by history entry: what was found then
const names = new Map(); // of files, by id

// What is asked

function whyNot(wish = asked) {
  const { find: what } = wish;
  if (what === "concept") return concepts.whyNot(wish.concept);
  if (["voice", "recording", "version"].includes(what) && !hasSound(wish)) {
    if (!hasQuery(wish) && what === "recording") return "Drop or record a few seconds of a recording to learn which it is.";
    return { voice: "Drop or record a sound in which one person speaks.", recording: "A recording is identified by a sound; drop or record one.", version: "Drop or record some of a piece of music." }[what];
  }
  if (what === "phrase" && !hasSound(wish) && !wish.text) return "Type the words that are said, or drop or record somebody who says them.";
  const kind = what === "phrase" && hasSound(wish) ? "spoken" : what === "sound" && wish.every ? "every" : what;
  const need = NEEDS[kind];
  if (need && purposes && !purposes.has(need[0])) {
    return `This library does not know ${need[1]} yet: echoic index FOLDER --encoder ${need[2]}`;
  }
  if (wish.every && what === "sound" && !hasQuery(wish)) return "Every place of what? Type words, or drop or record a sound.";
  return "";
}

/** Take what the controls say into what is asked. */
function readControls() {
  const next = { ...asked, find: document.querySelector("input[name=find]:checked").value, every: byId("every").checked };
  for (const [name, id] of Object.entries(FIELDS)) next[name] = byId(id).value.trim();
  if (["recording", "version"].includes(next.find)) next.every = false;
  next.concept = next.find === "concept" ? concepts.chosen() : "";
  asked = next;
}

function showControls() {
  for (const [name, id] of Object.entries(FIELDS)) byId(id).value = asked[name] ?? "";
  document.querySelector(`input[name=find][value=${asked.find}]`).checked = true;
  byId("every").checked = Boolean(asked.every);
  concepts.show(asked);
  tellWish();
  showFeedback();
  showExample(asked, {
    searchBy: (start, end) => go({ ...asked, start: start.toFixed(3), end: end.toFixed(3) }),
    drop: () => go({ ...asked, file: "", upload: "", start: "", end: "" }),
  });
}

function tellWish() {
  const hasNone = ["recording", "version"].includes(asked.find);
  byId("every").disabled = hasNone;
  byId("every-label").classList.toggle("off", hasNone);
  byId("hint").textContent = whyNot();
  byId("hint").classList.remove("bad");
  const n = nFilters(asked);
  byId("n-filters").textContent = n ? ` · ${n}` : "";
}

async function nameOf(id) {
  if (!names.has(id)) names.set(id, ask(`v1/files/${id}`).then(({ path }) => parted(path).name, () => `file ${id}`));
  return names.get(id);
}

async function showFeedback() {
  const held = byId("feedback");
  const all = [["like", "+", "More like"], ["unlike", "−", "Less like"]];
  const chips = [];
  for (const [list, sign, says] of all) {
    for (const mark of asked[list]) {
      const name = await nameOf(idOf(mark));
      const drop = () => go({ ...asked, [list]: asked[list].filter((one) => one !== mark) });
      chips.push(button(`${sign} ${name} ✕`, drop, { class: `chip ${list}`, "aria-label": `${says} ${name}; leave it out` }));
    }
  }
  if (chips.length && session.role === "admin") chips.push(concepts.keeper(asked, kept));
  held.hidden = !chips.length;
  held.replaceChildren(...chips);
}

/** Search by what was kept. */
function kept(name) {
  go({ ...read(""), find: "concept", concept: name, every: asked.every });
}

/** Ask for something else: a new entry in the browser's history. */
function go(next) {
  remember();
  asked = next;
  history.pushState({ entry: Date.now(), y: 0 }, "", spell(asked) || location.pathname);
  showControls();
  run();
}

function remember() {
  history.replaceState({ ...(history.state ?? { entry: Date.now() }), y: scrollY }, "");
}

async function searchBySound(blob, name) {
  if (blob.size > session.max_upload) {
    refuse(`${name} has more than the ${Math.floor(session.max_upload / 1e6)} MB that are taken; cut out a part of it.`);
    return;
  }
  const upload = await uploads.add(blob, name);
  readControls();
  const sought = { upload, file: "", start: "", end: "" };
  if (blob.type.startsWith("image/")) go({ ...asked, ...sought, find: "sound", text: "", every: false, like: [], unlike: [] });
  else go({ ...asked, ...sought, text: asked.find === "phrase" ? "" : asked.text, find: asked.find === "concept" ? "sound" : asked.find });
}

function refuse(sentence) {
  byId("hint").textContent = sentence;
  byId("hint").classList.add("bad");
}

// What is found

async function run() {
  running?.abort();
  const mine = (running = new AbortController());
  if (whyNot()) return show(null);
  const begun = performance.now();
  document.body.classList.add("busy");
  byId("results").setAttribute("aria-busy", "true");
  try {
    const entry = history.state?.entry;
    const told = await find(asked, mine.signal);
    told.seconds = (performance.now() - begun) / 1000;
    results.set(entry, told);
    show(told);
  } catch (error) {
    if (error.name === "AbortError") return;
    show({ error: error.message });
  } finally {
    if (running === mine) {
      document.body.classList.remove("busy");
      byId("results").removeAttribute("aria-busy");
    }
  }
}

function show(told) {
  for (const row of rows) row.remove();
  rows = [];
  pending = [];
  byId("rows").dataset.find = asked.find;
  byId("notes").replaceChildren(...(told?.notes ?? []).map(({ sentence }) => el("p", {}, sentence)));
  byId("notes").classList.toggle("bad", Boolean(told?.error));
  byId("save").hidden = !told?.found?.length;
  document.querySelectorAll("#formats [data-format]").forEach((one) => {
    one.hidden = asked.find === "recording" && one.dataset.format !== "json";
  });
  byId("start").hidden = Boolean(told?.found || told?.error) || !told;
  if (!told) {
    heading("Find what you hear in your head", "");
  } else if (told.error) {
    heading("That did not work", "");
    byId("notes").replaceChildren(el("p", { role: "alert" }, told.error));
  } else if (told.files) {
    const isAll = !nFilters(asked);
    heading(isAll ? "Find what you hear in your head" : counted(told.total, "file"), isAll ? `${counted(told.total, "file")} to look through` : "that fit the filters");
    pending = told.files.filter((file) => file.state !== "failed");
    byId("start").hidden = !isAll;
  } else {
    const files = byFile(told.found);
    heading(told.found.length ? title(told.found.length, files.length) : "Nothing found", `${told.seconds.toFixed(2)} s`);
    if (!told.found.length) byId("notes").append(el("p", {}, nothing()));
    pending = files;
  }
  addRows(told?.next ?? null);
}

function title(nFound, nFiles) {
  if (asked.find === "recording") return counted(nFound, "match", "matches");
  return asked.every ? `${counted(nFound, "place")} in ${counted(nFiles, "file")}` : counted(nFiles, "file");
}

function nothing() {
  if (nFilters(asked)) return "Of the files that fit the filters none is like it, or there are none. Try it without them.";
  if (asked.find === "recording") return "It is none of the recordings of this library, as far as can be heard.";
  return asked.find === "sound" && !asked.every
    ? "Nothing in this library could be compared with it."
    : "It is not heard in this library, or not clearly enough.";
}

function heading(text, more) {
  byId("heading").textContent = text;
  byId("told").textContent = more;
  document.title = hasQuery(asked) ? `${asked.text || asked.concept || "A sound"} · Echoic` : "Echoic";
}

function addRows(next) {
  const made = pending.splice(0, AT_ONCE).map((file) => new Row(file, does));
  rows.push(...made);
  byId("rows").append(...made.map((row) => row.element));
  byId("more").hidden = !pending.length && next === null;
  byId("more").onclick = async () => {
    let after = next;
    if (!pending.length) {
      const page = await find(asked, undefined, next);
      pending = page.files.filter((file) => file.state !== "failed");
      after = page.next;
    }
    const first = rows.length;
    addRows(after);
    rows[first]?.element.focus();
  };
}

const does = {
  searchBy(id, start, end) {
    readControls();
    const isOfSound = ["sound", "voice", "recording", "version"].includes(asked.find);
    const part = start === null ? { start: "", end: "" } : { start: start.toFixed(3), end: end.toFixed(3) };
    go({ ...asked, find: isOfSound ? asked.find : "sound", text: "", upload: "", file: String(id), ...part, like: [], unlike: [] });
    scrollTo(0, 0);
  },
  like: (file) => judge(file, "like", "unlike"),
  unlike: (file) => judge(file, "unlike", "like"),
};

function judge(file, list, other) {
  const id = String(file.id);
  names.set(id, parted(file.path).name);
  readControls();
  const mark = file.best ? `${id}@${file.best.start.toFixed(3)}-${file.best.end.toFixed(3)}` : id;
  const others = (marks) => marks.filter((one) => idOf(one) !== id);
  const what = asked.find === "concept" ? "concept" : "sound";
  go({ ...asked, find: what, [list]: [...others(asked[list]), mark], [other]: others(asked[other]) });
}

// Wiring

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  readControls();
  byId("filters").open = false;
  go({ ...asked });
});
byId("ask").addEventListener("change", (event) => {
  if (event.target.type === "file") return;
  if (event.target.id === "words" && asked.find === "concept") {
    document.querySelector("input[name=find][value=sound]").checked = true; // which words look for
  }
  readControls();
  tellWish();
  concepts.show(asked);
  if (["find", "every", "concept"].includes(event.target.name || event.target.id) && hasQuery(asked)) go({ ...asked });
});
byId("clear-filters").addEventListener("click", () => go({ ...asked, path: "", tag: "", min: "", max: "", k: "" }));
byId("home").addEventListener("click", (event) => {
  event.preventDefault();
  go(read(""));
});
byId("choose").addEventListener("click", () => byId("picker").click());
byId("picker").addEventListener("change", () => {
  const [file] = byId("picker").files;
  if (file) searchBySound(file, file.name);
  byId("picker").value = "";
});

let depth = 0; // of elements that are dragged over
addEventListener("dragenter", (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  depth += 1;
  byId("drop").hidden = false;
});
addEventListener("dragleave", () => {
  depth = Math.max(0, depth - 1);
  byId("drop").hidden = depth === 0;
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  byId("drop").hidden = true;
  const [file] = event.dataTransfer.files;
  if (file) searchBySound(file, file.name);
});

async function toggleRecording() {
  if (recording) {
    recording.stop();
    return;
  }
  const why = whyNone();
  if (why) {
    refuse(why);
    return;
  }
  try {
    recording = await record((seconds) => (byId("record-label").textContent = `Stop ${seconds.toFixed(1)} s`));
    byId("record").setAttribute("aria-pressed", "true");
    const blob = await recording.over;
    await searchBySound(blob, `recorded.${blob.type.includes("mp4") ? "m4a" : blob.type.includes("ogg") ? "ogg" : "webm"}`);
  } catch (error) {
    refuse(error.message);
  } finally {
    recording = null;
    byId("record-label").textContent = "Record";
    byId("record").setAttribute("aria-pressed", "false");
  }
}
byId("record").addEventListener("click", toggleRecording);

byId("formats").addEventListener("click", async (event) => {
  const { format } = event.target.dataset;
  if (!format) return;
  byId("save").open = false;
  try {
    const { blob, name } = await save(asked, asked.find === "recording" ? undefined : format);
    const link = el("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) {
    refuse(error.message);
  }
});
for (const details of document.querySelectorAll("details")) {
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    details.open = false;
    details.firstElementChild.focus();
  });
}
addEventListener("click", (event) => {
  for (const details of document.querySelectorAll("details[open]")) if (!details.contains(event.target)) details.open = false;
});
for (const [opener, dialog] of [["open-index", "indexing"], ["open-help", "help"]]) {
  byId(opener).addEventListener("click", () => byId(dialog).showModal());
}
byId("open-map").addEventListener("click", () => {
  const ids = results.get(history.state?.entry)?.found?.map((one) => one.id) ?? [];
  openMap(ids, { searchBy: (file) => does.searchBy(file.id, null, null) });
});
document.querySelectorAll("[data-close]").forEach((one) => one.addEventListener("click", () => one.closest("dialog").close()));

history.scrollRestoration = "manual";
let scrolled = 0;
addEventListener("scroll", () => {
  clearTimeout(scrolled);
  scrolled = setTimeout(remember, 150);
});
addEventListener("popstate", async () => {
  clearTimeout(scrolled);
  running?.abort(); // or what was asked last would be shown here
  asked = read(location.search);
  const y = history.state?.y ?? 0;
  showControls();
  const told = results.get(history.state?.entry);
  if (told) show(told);
  else await run();
  scrollTo(0, y);
});

document.addEventListener("locked", () => byId("login").open || byId("login").showModal());
byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = byId("key").value.trim();
  try {
    await ask("v1/session", {}, { method: "POST", headers: { Authorization: `Bearer ${key}` } });
    byId("key").value = "";
    byId("login").close();
    begin();
  } catch (error) {
    byId("login-told").textContent = error.status === 401 ? "This key is none of this library." : error.message;
  }
});
byId("login").addEventListener("cancel", (event) => event.preventDefault());

listenToKeys({
  rows: () => rows,
  record: toggleRecording,
  like: does.like,
  unlike: does.unlike,
  searchBy: (file) => does.searchBy(file.id, null, null),
  toggle: () => player.toggle(),
});

async function countFiles() {
  const { total } = await ask("v1/files", { limit: 1 });
  byId("facts").textContent = counted(total, "file");
  return total;
}

/** After indexing: what is shown may be other files by now. */
function findAnew({ report }) {
  countFiles();
  const { added = 0, changed = 0, encoded = 0, moved = 0, removed = 0 } = report ?? {};
  if (added + changed + encoded + moved + removed) run();
}

function showIdeas() {
  byId("start").replaceChildren(
    el("p", {}, "Type words, drop a sound anywhere on this page, or record one. For instance:"),
    el("div", { class: "ideas" }, ...IDEAS.map((words) => button(words, () => go({ ...read(""), text: words }), { class: "chip" }))),
    el("p", { class: "fine" }, "Or begin with one of these:"),
  );
}

/** Begin, or begin again once a key has opened the library. */
async function begin() {
  try {
    session = await ask("v1/session");
    const encoders = await ask("v1/encoders");
    purposes = new Set(encoders.flatMap((encoder) => encoder.purposes));
    const sees = encoders.some(({ inputs }) => inputs.includes("picture"));
    byId("picker").accept = sees ? "audio/*,video/*,image/*" : "audio/*,video/*";
    const loading = concepts.load().then(() => concepts.show(asked));
    if (asked.find === "concept") await loading; // which takes a while where much was taught
  } catch (error) {
    if (error.status !== 401) show({ error: error.message });
    return;
  }
  if (!history.state) history.replaceState({ entry: Date.now(), y: 0 }, "");
  showIdeas();
  showControls();
  const { y } = history.state;
  await Promise.all([run(), countFiles(), follow({ mayIndex: session.may_index, changed: findAnew })]);
  scrollTo(0, y);
}

begin();
