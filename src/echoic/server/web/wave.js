// A waveform: drawn from peaks that the service gives, with the spans that were found, and a part to search by.

import Regions from "./vendor/regions.esm.js";
import WaveSurfer from "./vendor/wavesurfer.esm.js";
import { ask } from "./api.js";
import { clock, el } from "./dom.js";

const MOST_SPANS = 400; // that are drawn on one waveform: the surest
const HEIGHT = 64;
const STRETCHES = 1000;
const MOST_STRETCHES = 20000; // that the service draws
const NONCE = document.querySelector("meta[name=style-nonce]").content;
const shown = new Set();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colours = (isPlayed) => ({
  waveColor: colour("--wave"),
  progressColor: colour(isPlayed ? "--played" : "--wave"),
  cursorColor: colour("--ink"),
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => shown.forEach((wave) => wave.recolour()));

/** The waveform of a deck within an element. It draws itself once `draw` is called, and can be cleared. */
export class Wave {
  /**
   * @param deck what is drawn and played
   * @param spans [{ start, end, score }] that are highlighted
   * @param search called with the begin and end of a part that is to be searched by; without it none can be
   * @param peaks { lows, highs } if they are at hand
   */
  constructor(deck, { spans = [], search = null, peaks = null } = {}) {
    Object.assign(this, { deck, spans, search, peaks });
    this.part = null;
    this.zoom = 1;
    this.held = el("div", {
      class: "wave",
      role: "slider",
      tabindex: "0",
      "aria-label": `Place in ${deck.name}`,
      "aria-valuemin": "0",
      "aria-valuemax": deck.duration.toFixed(1),
      on: { keydown: (event) => this.steer(event) },
    });
    this.bar = el("div", { class: "part", hidden: true });
    this.element = el("div", { class: "wave-of" }, this.held, this.bar);
    deck.addEventListener("timeupdate", () => this.tellPlace());
    deck.addEventListener("play", () => {
      this.isPlayed = true; // before, what lies before the match has not been heard
      this.surfer?.setOptions(colours(true));
    });
    this.tellPlace();
  }

  async draw() {
    if (this.surfer || this.isDrawing) return;
    this.isDrawing = true;
    try {
      const n = Math.min(MOST_STRETCHES, STRETCHES * this.zoom);
      const peaks = this.peaks ?? (await ask(`v1/files/${this.deck.id}/peaks`, { n }));
      if (this.isDrawing) this.make(peaks);
    } catch (error) {
      if (!this.held.childElementCount) this.held.replaceChildren(el("p", { class: "fine" }, error.message));
    } finally {
      this.isDrawing = false;
    }
  }

  make({ lows, highs }) {
    this.held.replaceChildren();
    // Of what is louder than full scale wavesurfer.js would draw all of it smaller.
    const drawn = [highs, lows].map((side) => side.map((value) => Math.max(-1, Math.min(1, value))));
    this.surfer = WaveSurfer.create({
      container: this.held,
      height: HEIGHT,
      peaks: drawn,
      duration: this.deck.duration,
      media: this.deck,
      cursorWidth: 2,
      cspNonce: NONCE,
      hideScrollbar: this.zoom === 1,
      minPxPerSec: this.zoom === 1 ? 0 : (this.zoom * this.held.clientWidth) / this.deck.duration,
      ...colours(this.isPlayed),
    });
    shown.add(this);
    this.regions = this.surfer.registerPlugin(Regions.create());
    this.surfer.on("ready", () => {
      this.deck.tell("timeupdate"); // so that the cursor stands where it would begin to play
      this.highlight();
      if (this.search) {
        this.regions.enableDragSelection({ id: "chosen", color: colour("--chosen") }, 4);
      }
      if (this.zoom > 1) this.surfer.setScrollTime(Math.max(0, (this.spans[0]?.start ?? 0) - 1));
    });
    this.regions.on("region-created", (region) => region.id === "chosen" && this.choose(region.start, region.end, region));
    this.regions.on("region-updated", (region) => region.id === "chosen" && this.choose(region.start, region.end, region));
    this.regions.on("region-clicked", (region, event) => {
      event.stopPropagation();
      this.deck.currentTime = region.start;
      this.deck.play();
    });
  }

  /** Release what is drawn; the spans and the part that is chosen stay known. */
  clear() {
    this.isDrawing = false;
    shown.delete(this);
    this.surfer?.destroy();
    this.surfer = null;
    this.held.replaceChildren();
  }

  recolour() {
    this.surfer?.setOptions(colours(this.isPlayed));
    this.highlight();
  }

  /** Draw more or less of it at once. */
  magnify(factor) {
    this.zoom = Math.max(1, Math.min(20, this.zoom * factor));
    this.clear();
    return this.draw();
  }

  highlight() {
    this.regions?.clearRegions();
    const surest = [...this.spans].sort((one, other) => other.score - one.score).slice(0, MOST_SPANS);
    for (const { start, end } of surest) {
      this.regions?.addRegion({ start, end, drag: false, resize: false, color: colour("--span") });
    }
    if (this.part) this.choose(...this.part);
  }

  /** Choose a part to search by, as is drawn already or not. */
  choose(start, end, region = null) {
    const others = this.regions?.getRegions().filter((one) => one.id === "chosen" && one !== region) ?? [];
    for (const one of others) one.remove();
    this.part = [Math.max(0, start), Math.min(this.deck.duration, end)];
    if (!region && this.regions) {
      this.regions.addRegion({ id: "chosen", start: this.part[0], end: this.part[1], color: colour("--chosen") });
      return; // and is told of that
    }
    const [from, to] = this.part.map(clock);
    this.bar.hidden = false;
    this.bar.replaceChildren(
      el("span", {}, `${from} – ${to}`),
      el("button", { type: "button", class: "go small", on: { click: () => this.searchPart() } }, "Find this part"),
      el("button", { type: "button", class: "quiet small", on: { click: () => this.playPart() } }, "Play"),
      el("button", { type: "button", class: "quiet small square", "aria-label": "Choose none", on: { click: () => this.chooseNone() } }, "✕"),
    );
  }

  chooseNone() {
    this.part = null;
    this.bar.hidden = true;
    this.regions?.getRegions().filter((one) => one.id === "chosen").forEach((one) => one.remove());
    this.held.focus({ preventScroll: true });
  }

  searchPart() {
    if (this.part && this.search) this.search(...this.part);
  }

  playPart() {
    this.deck.currentTime = this.part[0];
    this.deck.play();
  }

  /** Move by keys; with Shift, what is passed over is chosen. */
  steer(event) {
    const step = Math.max(0.1, Math.min(5, this.deck.duration / 50));
    const now = this.deck.currentTime;
    const to = { ArrowLeft: now - step, ArrowRight: now + step, Home: 0, End: this.deck.duration }[event.key];
    if (to !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const place = Math.max(0, Math.min(this.deck.duration, to));
      this.deck.currentTime = place;
      if (event.shiftKey && this.search) {
        this.anchor ??= now;
        const [start, end] = [Math.min(this.anchor, place), Math.max(this.anchor, place)];
        if (end - start >= 0.05) this.choose(start, end);
      } else {
        this.anchor = null;
      }
    } else if (event.key === "Enter" && this.part) {
      this.searchPart();
    } else if (event.key === "Escape" && this.part) {
      this.chooseNone();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  tellPlace() {
    const place = this.deck.currentTime;
    this.held.setAttribute("aria-valuenow", place.toFixed(1));
    this.held.setAttribute("aria-valuetext", `${clock(place)} of ${clock(this.deck.duration)}`);
  }
}
