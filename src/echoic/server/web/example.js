// The sound that is searched by, above the results: a file of the library, or one that was brought.

import { ask } from "./api.js";
import { button, byId, clock, el, parted } from "./dom.js";
import { Deck } from "./player.js";
import { uploads } from "./uploads.js";
import { Wave } from "./wave.js";

const RATE = 8000; // Hz, that brought sounds are drawn at
const MOST_BYTES = 24e6; // of a brought sound that is drawn: the browser unpacks all of it
const STRETCHES = 1000;
let shownFor = "";
let wave = null;

/** Show what is searched by; `searchBy(start, end)` searches by a part of it, `drop()` by none. */
export async function showExample(asked, { searchBy, drop }) {
  const held = byId("example");
  const key = asked.upload || asked.file || "";
  if (key !== shownFor) {
    shownFor = key;
    wave?.clear();
    wave = null;
    held.hidden = !key;
    held.replaceChildren();
    if (!key) return;
    const loaded = await (asked.upload ? ofUpload(key) : ofFile(key)).catch((error) => ({ name: error.message }));
    if (key !== shownFor) return; // another one was chosen meanwhile
    const { name, deck, peaks } = loaded;
    const play = button("", () => (deck.paused ? deck.play() : deck.pause()), { class: "round", "aria-label": "Play what is searched by" });
    if (deck) {
      for (const event of ["play", "pause", "ended"]) deck.addEventListener(event, () => play.classList.toggle("on", !deck.paused));
      wave = new Wave(deck, { search: searchBy, peaks });
    }
    held.replaceChildren(
      deck ? play : "",
      el(
        "div",
        { class: "body" },
        el("p", { class: "title" }, el("b", {}, name), el("span", { class: "when" })),
        wave?.element ?? (deck || asked.file ? "" : el("p", { class: "fine" }, "It is searched by, and cannot be drawn here.")),
      ),
      button("✕", drop, { class: "quiet square", "aria-label": "Search by no sound" }),
    );
    wave?.draw();
  }
  const part = asked.start || asked.end ? [Number(asked.start ?? 0), Number(asked.end ?? wave?.deck.duration ?? 0)] : null;
  const when = held.querySelector(".when");
  if (when) when.textContent = part ? `${clock(part[0])} – ${clock(part[1])}` : "";
  if (wave) {
    wave.spans = part ? [{ start: part[0], end: part[1], score: 1 }] : [];
    wave.part = null;
    wave.bar.hidden = true;
    wave.highlight();
  }
}

async function ofFile(id) {
  const record = await ask(`v1/files/${id}`);
  const { name } = parted(record.path);
  return { name, deck: new Deck({ id: record.id, name, duration: record.duration, codec: record.codec }) };
}

async function ofUpload(key) {
  const upload = await uploads.get(key);
  if (!upload) return { name: "a sound that is not here any more" };
  const { blob, name } = upload;
  try {
    if (blob.size > MOST_BYTES) return { name };
    const context = new OfflineAudioContext(1, 1, RATE);
    const sound = await context.decodeAudioData(await blob.arrayBuffer());
    const deck = new Deck({ id: null, name, duration: sound.duration, source: URL.createObjectURL(blob) });
    return { name, deck, peaks: peaksOf(sound.getChannelData(0)) };
  } catch {
    return { name }; // of a format that this browser does not know, and the service may
  }
}

function peaksOf(samples) {
  const n = Math.min(STRETCHES, samples.length);
  const lows = new Array(n).fill(0);
  const highs = new Array(n).fill(0);
  for (let i = 0; i < samples.length; i += 1) {
    const at = Math.min(n - 1, Math.floor((i * n) / samples.length));
    if (samples[i] < lows[at]) lows[at] = samples[i];
    if (samples[i] > highs[at]) highs[at] = samples[i];
  }
  return { lows, highs };
}
