// Elements, and how times, names and frequencies are spelt.

export const byId = (id) => document.getElementById(id);

/** Make an element; of its attributes, `on` are listeners and `data` goes into data-…. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/** Make a button that says what it does, by its text or, for a sign, by a label. */
export function button(text, act, attributes = {}) {
  return el("button", { type: "button", on: { click: act }, ...attributes }, text);
}

/** Spell seconds as 1:02:03 or 2:03.4. */
export function clock(seconds) {
  const tenths = Math.round(Math.max(0, seconds) * 10);
  const [hours, minutes] = [Math.floor(tenths / 36000), Math.floor(tenths / 600) % 60];
  const rest = (tenths % 600) / 10;
  if (hours) return `${hours}:${String(minutes).padStart(2, "0")}:${String(Math.floor(rest)).padStart(2, "0")}`;
  return `${minutes}:${rest.toFixed(1).padStart(4, "0")}`;
}

/** Spell a length of time for a person to read. */
export function lasting(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toLocaleString("en", { maximumFractionDigits: 1 })} h`;
}

export const counted = (n, one, several = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : several}`;

/** Part a path into the folder and the name in it. */
export function parted(path) {
  const at = path.lastIndexOf("/") + 1;
  return { folder: path.slice(0, at), name: path.slice(at).replace(/\n/g, "␤") };
}

/** Where to write which frequency beside a spectrum from 0 Hz to half the sample rate: [{ text, share }]. */
export function frequencyTicks(sampleRate, most = 4) {
  const highest = sampleRate / 2;
  const decade = 10 ** Math.floor(Math.log10(highest) - 1);
  const step = [1, 2, 5, 10, 20, 50].map((one) => one * decade).find((one) => highest / one <= most);
  const ticks = [];
  for (let hertz = step; hertz < highest * 0.97; hertz += step) {
    ticks.push({ text: `${+(hertz / 1000).toFixed(1)} kHz`, hertz, share: hertz / highest });
  }
  return ticks;
}
