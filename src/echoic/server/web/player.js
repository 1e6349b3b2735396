// One media element for the whole page. A Deck stands for a file in it; wavesurfer.js takes it for an element.

import { address } from "./api.js";
import { byId, clock } from "./dom.js";

// Seconds: longer files are played in parts of this length, cut to the very sample, where the browser would
// have to guess the place, as in MP3, or where all of it would have to be converted first.
const PART = 600;
const EXACT = /^(pcm_|flac|vorbis|opus|aac)/;
const audio = byId("audio");

/** A file that can be played, whether or not it is the one that is. */
export class Deck extends EventTarget {
  constructor({ id, name, duration, codec = "", source = null }) {
    super();
    Object.assign(this, { id, name, duration, codec, source });
    Object.assign(this, { muted: false, volume: 1, playbackRate: 1, src: "", readyState: 4, seeking: false, ended: false });
    this.place = 0;
  }

  get paused() {
    return player.deck !== this || audio.paused;
  }

  get currentTime() {
    return player.deck === this ? player.time : this.place;
  }

  set currentTime(seconds) {
    this.place = seconds;
    if (player.deck === this) player.seek(seconds);
    this.tell("seeking");
    this.tell("timeupdate");
    this.tell("seeked");
  }

  play() {
    return player.play(this, this.currentTime);
  }

  pause() {
    if (player.deck === this) audio.pause();
  }

  tell(event) {
    this.dispatchEvent(new Event(event));
  }

  // What else wavesurfer.js asks of a media element.
  load() {}
  remove() {}
  removeAttribute() {}
  canPlayType() {
    return "";
  }

  /** Choose what to load so that a place in the file can be played: its address, its begin and its end. */
  at(seconds) {
    if (this.source) return { url: this.source, begin: 0, end: this.duration };
    const route = `v1/files/${this.id}/audio`;
    const isExact = EXACT.test(this.codec);
    if (this.duration <= PART || (isExact && /\.(flac|wav|og[ga]|opus|webm|m4a)$/i.test(this.name))) {
      return { url: address(route, isExact ? {} : { start: 0 }).href, begin: 0, end: this.duration };
    }
    const [begin, end] = [Math.max(0, seconds), Math.min(this.duration, seconds + PART)];
    return { url: address(route, { start: begin.toFixed(3), end: end.toFixed(3) }).href, begin, end };
  }
}

class Player {
  deck = null;
  loaded = { url: "", begin: 0, end: 0 };

  get time() {
    return this.loaded.begin + audio.currentTime;
  }

  async play(deck, seconds) {
    if (this.deck !== deck) {
      const before = this.deck;
      if (before) before.place = this.time;
      this.deck = deck;
      this.loaded = { url: "", begin: 0, end: 0 };
      before?.tell("pause");
    }
    byId("player").hidden = false;
    byId("playing").textContent = deck.name;
    this.seek(seconds);
    try {
      await audio.play();
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error);
    }
  }

  seek(seconds) {
    const { begin, end, url } = this.loaded;
    if (!url || seconds < begin || seconds >= end) {
      this.loaded = this.deck.at(seconds);
      audio.src = this.loaded.url;
    }
    audio.currentTime = seconds - this.loaded.begin;
  }

  toggle() {
    if (!this.deck) return;
    if (audio.paused) this.play(this.deck, this.time);
    else audio.pause();
  }

  fail() {
    byId("at").textContent = "cannot be played";
    this.deck?.tell("pause");
  }
}

export const player = new Player();

for (const event of ["play", "pause", "timeupdate", "ended"]) {
  audio.addEventListener(event, () => {
    const { deck, loaded } = player;
    if (!deck || !loaded.url) return;
    if (event === "ended" && loaded.end < deck.duration - 0.05) {
      player.play(deck, loaded.end);
      return;
    }
    deck.tell(event);
    byId("at").textContent = `${clock(player.time)} of ${clock(deck.duration)}`;
    byId("toggle").setAttribute("aria-label", audio.paused ? "Play" : "Pause");
    byId("toggle").classList.toggle("on", !audio.paused);
    document.dispatchEvent(new Event("played"));
  });
}
audio.addEventListener("error", () => audio.getAttribute("src") && player.fail());
byId("toggle").addEventListener("click", () => player.toggle());
