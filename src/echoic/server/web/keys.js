// Single keys, which may be turned off, as somebody may dictate to the browser.

import { byId, el } from "./dom.js";

const STORED = "echoic single keys";
const KEYS = [
  ["/", "type words"],
  ["↓ ↑ or j k", "next and previous result"],
  ["Space", "play from the match, pause"],
  ["n p", "next and previous place in it"],
  ["s", "spectrum"],
  ["Enter", "find what is like it"],
  ["+ −", "more like it, less like it"],
  ["r", "record, stop"],
  ["?", "these keys"],
];

/** Listen to keys; `does` says what rows there are and what is done. */
export function listenToKeys(does) {
  byId("keys").replaceChildren(...KEYS.flatMap(([keys, what]) => [el("dt", {}, el("kbd", {}, keys)), el("dd", {}, what)]));
  const use = byId("use-keys");
  use.checked = localStorage.getItem(STORED) !== "off";
  use.addEventListener("change", () => localStorage.setItem(STORED, use.checked ? "on" : "off"));

  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const isTyping = target.matches("input:not([type=radio]):not([type=checkbox]), textarea, select");
    const rows = does.rows();
    const now = rows.findIndex((row) => row.element.contains(document.activeElement));
    if (key === "ArrowDown" && target.id === "words" && rows.length) {
      focus(rows[0]);
    } else if (isTyping || target.matches("input")) {
      return;
    } else if (["ArrowDown", "ArrowUp"].includes(key) && now >= 0) {
      focus(rows[now + (key === "ArrowDown" ? 1 : -1)]);
    } else if (!use.checked || !act(event, rows, now, does)) {
      return;
    }
    event.preventDefault();
  });
}

function act({ key, target }, rows, now, does) {
  const row = rows[now];
  const isOnRow = row && target === row.element;
  if (key === "/") byId("words").focus();
  else if (key === "?") byId("help").showModal();
  else if (key === "r") does.record();
  else if (key === "j") focus(rows[now + 1]);
  else if (key === "k") focus(rows[now - 1]);
  else if (key === " " && isOnRow) row.toggle();
  else if (key === "Enter" && isOnRow && row.file.id !== null) does.searchBy(row.file);
  else if (key === " " && target === document.body) does.toggle();
  else if (key === "s" && row) row.spectrum();
  else if (key === "n" && row) row.step(1);
  else if (key === "p" && row) row.step(-1);
  else if (key === "+" && row && row.file.id !== null) does.like(row.file);
  else if ((key === "-" || key === "−") && row && row.file.id !== null) does.unlike(row.file);
  else return false;
  return true;
}

function focus(row) {
  row?.element.focus();
  row?.element.scrollIntoView({ block: "nearest" });
}
