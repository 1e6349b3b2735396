// Results: a row for each file, with its waveform, the spans that were found, and what can be done with it.

import { address, ask } from "./api.js";
import { button, clock, el, frequencyTicks, lasting, parted } from "./dom.js";
import { Deck, player } from "./player.js";
import { Wave } from "./wave.js";

const MOST_PLACES = 60; // that a row lists before it is asked for more
const PICTURE = { width: 1200, height: 200, seconds: 60 };

/** Gather what was found by file: [{ id, uri, path, spans }], the surest span of each first in `best`. */
export function byFile(found) {
  const files = new Map();
  for (const one of found) {
    if (!files.has(one.uri)) files.set(one.uri, { ...one, spans: [] });
    files.get(one.uri).spans.push(one);
  }
  const rows = [...files.values()];
  for (const row of rows) {
    row.best = row.spans.reduce((best, one) => (one.score > best.score ? one : best));
    row.spans.sort((one, other) => one.start - other.start);
  }
  return rows.sort((one, other) => other.best.score - one.best.score);
}

// Waveforms are drawn when they come near to what is seen, and released when they are far from it.
const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) target.row.show();
      else target.row.hide();
    }
  },
  { rootMargin: "600px 0px" },
);

/** One file among the results. */
export class Row {
  /**
   * @param file a FileShape, a hit or a match, with `spans` and `best` where something was found in it
   * @param does what a row may ask for: searchBy(id, start, end), like(file), unlike(file)
   */
  constructor(file, does) {
    Object.assign(this, { file, does });
    const { folder, name } = parted(file.path);
    this.name = name;
    this.best = file.best ?? null;
    this.place = el("div", { class: "place" }, el("div", { class: "wave blank" }));
    this.more = el("div", { class: "spectrum", hidden: true });
    this.facts = el("span", { class: "facts" });
    this.player = button("", () => this.toggle(), { class: "round", "aria-label": `Play ${name}` });
    const tools = [
      button("Find like this", () => does.searchBy(file.id, null, null), { class: "quiet small" }),
      button("+ More like", () => does.like(file), { class: "quiet small", "aria-label": `More like ${name}` }),
      button("− Less like", () => does.unlike(file), { class: "quiet small", "aria-label": `Less like ${name}` }),
      (this.opener = button("Spectrum", () => this.spectrum(), { class: "quiet small", "aria-expanded": "false" })),
      (this.nearer = button("Closer", () => this.wave?.magnify(4), { class: "quiet small", hidden: true })),
      (this.farther = button("Farther", () => this.wave?.magnify(1 / 4), { class: "quiet small", hidden: true })),
    ];
    this.element = el(
      "li",
      { class: "row", tabindex: "-1" },
      this.player,
      el(
        "div",
        { class: "body" },
        el(
          "div",
          { class: "title" },
          el("h2", {}, name),
          el("span", { class: "folder", title: file.path }, folder.split("/").slice(-3).join("/")),
          this.best && el("span", { class: "when" }, `${clock(this.best.start)} – ${clock(this.best.end)}`),
          this.facts,
        ),
        this.place,
        file.spans?.length > 1 || this.best?.query_start !== undefined ? this.places() : null,
        el("div", { class: "tools" }, ...(file.id === null ? [] : tools)),
        this.more,
      ),
      this.best && score(this.best),
    );
    this.element.row = this;
    near.observe(this.element);
  }

  /** Load what is known of the file, and draw it. */
  async show() {
    this.isNear = true;
    if (this.file.id === null) return;
    if (!this.wave) {
      if (this.isLoading) return;
      this.isLoading = true;
      try {
        await this.prepare();
      } catch (error) {
        this.place.replaceChildren(el("p", { class: "fine" }, error.message));
        return;
      } finally {
        this.isLoading = false;
      }
    }
    if (this.isNear) this.wave.draw();
  }

  hide() {
    this.isNear = false;
    this.wave?.clear();
  }

  async prepare() {
    const record = this.file.codec === undefined ? await ask(`v1/files/${this.file.id}`) : this.file;
    const { id, duration, codec } = record;
    this.record = record;
    const [heard] = Object.keys(record.heard);
    this.facts.textContent = heard ? `${lasting(duration)} · ${heard}` : lasting(duration);
    const isPlaying = player.deck?.id === id && player.deck.duration === duration; // since before it was found anew
    this.deck = isPlaying ? player.deck : new Deck({ id, name: this.name, duration, codec });
    if (!isPlaying) this.deck.place = this.best?.start ?? 0;
    this.player.classList.toggle("on", !this.deck.paused);
    for (const event of ["play", "pause", "ended"]) {
      this.deck.addEventListener(event, () => {
        this.player.classList.toggle("on", !this.deck.paused);
        this.player.setAttribute("aria-label", `${this.deck.paused ? "Play" : "Pause"} ${this.name}`);
      });
    }
    const search = (start, end) => this.does.searchBy(id, start, end);
    this.wave = new Wave(this.deck, { spans: this.file.spans, search });
    this.place.replaceChildren(this.wave.element);
    const isLong = duration > 30;
    this.nearer.hidden = this.farther.hidden = !isLong;
  }

  /** Play from the match, or where it was stopped. */
  async toggle() {
    await this.show();
    if (!this.deck) return;
    if (this.deck.paused) await this.deck.play();
    else this.deck.pause();
  }

  async playAt(seconds) {
    await this.show();
    if (!this.deck) return;
    this.deck.currentTime = seconds;
    await this.deck.play();
  }

  /** Go to the next span, or the one before. */
  step(by) {
    const { spans = [] } = this.file;
    const now = this.deck?.currentTime ?? 0;
    const next = by > 0 ? spans.find((one) => one.start > now + 0.01) : spans.findLast((one) => one.start < now - 0.5);
    if (next) this.playAt(next.start);
  }

  /** List the spans, as buttons that play each. */
  places() {
    const list = el("ul", { class: "places", "aria-label": `Places in ${this.name}` });
    const add = (from, to) => {
      for (const one of this.file.spans.slice(from, to)) {
        const of = one.query_start === undefined ? "" : ` · at ${clock(one.query_start)} of yours`;
        const text = `${clock(one.start)}${of}`;
        const says = `Play from ${clock(one.start)} to ${clock(one.end)}, ${one.score.toFixed(2)}`;
        list.append(el("li", {}, button(text, () => this.playAt(one.start), { class: "chip", title: says })));
      }
    };
    add(0, MOST_PLACES);
    const n = this.file.spans.length;
    if (n > MOST_PLACES) {
      const rest = button(`${n - MOST_PLACES} more`, () => (rest.remove(), add(MOST_PLACES, n)), { class: "chip" });
      list.append(el("li", {}, rest));
    }
    return list;
  }

  /** Show or hide the spectrum: of all of a short file, of a minute around the match of a long one. */
  async spectrum() {
    await this.show();
    if (!this.record) return;
    const isOpen = this.more.hidden;
    this.more.hidden = !isOpen;
    this.opener.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen || this.more.childElementCount) return;
    const { id, duration, sample_rate: rate } = this.record;
    const middle = this.best ? (this.best.start + this.best.end) / 2 : 0;
    const start = Math.max(0, Math.min(middle - PICTURE.seconds / 2, duration - PICTURE.seconds));
    const end = Math.min(duration, start + PICTURE.seconds);
    const part = duration > PICTURE.seconds ? { start: start.toFixed(2), end: end.toFixed(2) } : {};
    const { width, height } = PICTURE;
    const picture = el("img", {
      alt: `Spectrum of ${this.name} from ${clock(start)} to ${clock(end)}, 0 to ${rate / 2000} kHz`,
      src: address(`v1/files/${id}/spectrogram.png`, { width, height, ...part }),
      on: { error: () => this.more.replaceChildren(el("p", { class: "fine" }, "The spectrum cannot be drawn.")) },
    });
    const ticks = frequencyTicks(rate).map(({ text, share }) => {
      const tick = el("span", { class: "tick" }, text);
      tick.style.bottom = `${share * 100}%`;
      return tick;
    });
    const times = el("p", { class: "times" }, el("span", {}, clock(start)), el("span", {}, clock(end)));
    this.more.replaceChildren(el("div", { class: "picture" }, picture, ...ticks), times);
  }

  remove() {
    near.unobserve(this.element);
    this.wave?.clear();
    this.element.remove();
  }
}

function score({ score: value }) {
  const bar = el("span", { class: "bar-of" }, el("i"));
  bar.firstChild.style.width = `${Math.max(0, Math.min(1, value)) * 100}%`;
  return el("div", { class: "score", title: "How good the match is: 1 is the best" }, el("b", {}, value.toFixed(2)), bar);
}
