"use strict";

// One encoder at a time; without scripts all are shown, one below the other.
const tabs = [...document.querySelectorAll(".tabs a")];
function show(id) {
  for (const tab of tabs) {
    const chosen = tab.hash === `#${id}`;
    document.getElementById(tab.hash.slice(1)).hidden = !chosen;
    if (chosen) tab.setAttribute("aria-current", "true");
    else tab.removeAttribute("aria-current");
  }
}
for (const tab of tabs) {
  tab.addEventListener("click", (event) => {
    event.preventDefault();
    show(tab.hash.slice(1));
  });
}
if (tabs.length) show(tabs[0].hash.slice(1));

// One sound at a time.
document.addEventListener("play", (event) => {
  for (const audio of document.querySelectorAll("audio")) if (audio !== event.target) audio.pause();
}, true);

// In the lists of neighbours a round button instead of the browser's controls, which need more room.
for (const audio of document.querySelectorAll(".query li audio")) {
  const button = document.createElement("button");
  const pressed = (on) => () => button.setAttribute("aria-pressed", String(on));
  button.type = "button";
  button.className = "play";
  button.setAttribute("aria-label", "play");
  button.addEventListener("click", () => {
    if (audio.paused) audio.play().catch(() => { /* the error event says it */ });
    else audio.pause();
  });
  audio.addEventListener("play", pressed(true));
  audio.addEventListener("pause", pressed(false));
  audio.addEventListener("error", () => {
    button.disabled = true;
    button.title = "this browser cannot play it, or the file is gone";
    pressed(false)();
  });
  pressed(false)();
  audio.controls = false;
  audio.before(button);
}

for (const map of document.querySelectorAll(".map")) {
  const player = map.querySelector("audio");
  const heard = map.querySelector(".heard");
  map.addEventListener("click", (event) => {
    const dot = event.target.closest("circle[data-src]");
    if (!dot) return;
    const title = dot.querySelector("title").textContent;
    heard.textContent = title;
    player.src = dot.dataset.src;
    player.hidden = false;
    player.play().catch(() => { heard.textContent = `${title}: this browser cannot play it`; });
  });
  const buttons = [...map.querySelectorAll(".legend button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      const picked = buttons.filter((other) => other.getAttribute("aria-pressed") === "true");
      const classes = new Set(picked.map((other) => other.dataset.class));
      map.classList.toggle("picked", classes.size > 0);
      for (const dots of map.querySelectorAll(".dots")) {
        dots.classList.toggle("chosen", classes.has(dots.dataset.class));
      }
    });
  }
}
