// The map: a point for each file, near to what it sounds like; smooth with 20,000 as only a canvas is drawn.

import { ask } from "./api.js";
import { button, byId, counted, el, lasting, parted } from "./dom.js";
import { Deck } from "./player.js";

const canvas = byId("map-canvas");
const REACH = 14; // px within which a point is meant
const MOST_ROUND = 1000; // points; of more the pixels are set
const FARTHEST = 0.8;
const NEAREST = 400;

let points = null; // { ids, x, y, folder, folders }, x and y as typed arrays
let found = new Set();
let chosen = -1;
let view = { x: 0, y: 0, zoom: 1 }; // what lies in the middle, and how near it is
let asked = 0;
let does = null;
let isDue = false;
let picture = null; // the pixels of a map of many points

/** Open the map; `ids` are those of what is found, which are marked; `searchBy(file)` searches by a point. */
export async function openMap(ids, { searchBy }) {
  does = { searchBy };
  found = new Set(ids);
  byId("map").showModal();
  canvas.focus();
  try {
    const told = await ask("v1/map");
    points = { ...told, x: Float32Array.from(told.x), y: Float32Array.from(told.y) };
    const some = told.total > told.ids.length ? `${counted(told.ids.length, "file")} of ` : "";
    byId("map-told").textContent = points.ids.length
      ? `${some}${counted(told.total, "file")}; what sounds alike lies near to each other. Drag, zoom, and click on a point.`
      : "There is nothing to show yet.";
    byId("map-folders").replaceChildren(...told.folders.map((path, number) => legend(path, number)));
  } catch (error) {
    points = null;
    byId("map-told").textContent = error.message;
  }
  chosen = -1;
  byId("map-card").replaceChildren();
  view = { x: 0, y: 0, zoom: 1 };
  redraw();
}

function colourOf(number) {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  if (!points || number >= points.folders.length) return isDark ? "#9aa5a5" : "#777d7d";
  const hue = (number * 137.5 + 175) % 360; // turned by the golden angle, so that neighbours differ
  return `hsl(${hue} ${isDark ? "65% 65%" : "60% 40%"})`;
}

function legend(path, number) {
  const swatch = el("i", { class: "swatch" });
  swatch.style.background = colourOf(number);
  return el("li", { title: path }, swatch, path.split("/").slice(-1)[0] || path);
}

// Where a place in the map is on the canvas, in CSS pixels, and the other way round
const scale = () => (Math.min(canvas.clientWidth, canvas.clientHeight) / 2) * 0.92 * view.zoom;
const toX = (x) => canvas.clientWidth / 2 + (x - view.x) * scale();
const toY = (y) => canvas.clientHeight / 2 - (y - view.y) * scale();

function redraw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw();
  });
}

function draw() {
  const ratio = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  }
  const context = canvas.getContext("2d", { willReadFrequently: true }); // whose pixels are set where they lie
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (!points) return;
  const { ids, x, y, folder } = points;
  const by = scale();
  const [left, top] = [width / 2 - view.x * by, height / 2 + view.y * by];
  const many = Math.sqrt(2000 / (ids.length + 50));
  const size = Math.max(2, Math.min(9, 6 * many * Math.sqrt(view.zoom)));
  const isSeen = (px, py) => px > -size && py > -size && px < width + size && py < height + size;
  if (ids.length > MOST_ROUND) {
    drawMany(context, size * ratio, left * ratio, top * ratio, by * ratio);
  } else {
    for (let i = 0; i < ids.length; i += 1) {
      const [px, py] = [left + x[i] * by, top - y[i] * by];
      if (!isSeen(px, py)) continue;
      context.fillStyle = colourOf(folder[i]);
      context.beginPath();
      context.arc(px, py, size / 2, 0, 2 * Math.PI);
      context.fill();
    }
  }
  const style = getComputedStyle(document.documentElement);
  const ring = (i, radius, colour, thick) => {
    context.strokeStyle = colour;
    context.lineWidth = thick;
    context.beginPath();
    context.arc(toX(x[i]), toY(y[i]), radius, 0, 2 * Math.PI);
    context.stroke();
  };
  if (found.size) for (let i = 0; i < ids.length; i += 1) if (found.has(ids[i])) ring(i, size + 2, style.getPropertyValue("--mark"), 2);
  if (chosen >= 0) ring(chosen, size + 5, style.getPropertyValue("--ink"), 3);
}

/** Set the pixels of many points, which takes less than to fill as many shapes. */
function drawMany(context, size, left, top, by) {
  const { width, height } = context.canvas;
  if (picture?.width !== width || picture.height !== height) picture = context.createImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  pixels.fill(0);
  const side = Math.max(2, Math.round(size));
  const colours = palette();
  const { x, y, folder, ids } = points;
  for (let i = 0; i < ids.length; i += 1) {
    const [column, row] = [Math.round(left + x[i] * by - side / 2), Math.round(top - y[i] * by - side / 2)];
    if (column < 0 || row < 0 || column + side > width || row + side > height) continue;
    const colour = colours[folder[i]];
    for (let at = row * width + column, last = at + side * width; at < last; at += width) {
      for (let one = at; one < at + side; one += 1) pixels[one] = colour;
    }
  }
  context.putImageData(picture, 0, 0);
}

/** The folders' colours as the pixels of a canvas hold them. */
function palette() {
  const n = points.folders.length + 1;
  const context = Object.assign(document.createElement("canvas"), { width: n, height: 1 }).getContext("2d");
  for (let number = 0; number < n; number += 1) {
    context.fillStyle = colourOf(number);
    context.fillRect(number, 0, 1, 1);
  }
  return new Uint32Array(context.getImageData(0, 0, n, 1).data.buffer);
}

function nearest(px, py, reach = REACH) {
  let [best, least] = [-1, reach * reach];
  for (let i = 0; i < (points?.ids.length ?? 0); i += 1) {
    const far = (toX(points.x[i]) - px) ** 2 + (toY(points.y[i]) - py) ** 2;
    if (far < least) [best, least] = [i, far];
  }
  return best;
}

/** Choose a point: it is told what it is, and played if it is asked for. */
async function choose(i, isPlayed) {
  chosen = i;
  redraw();
  const mine = (asked += 1);
  let file;
  try {
    file = await ask(`v1/files/${points.ids[i]}`);
  } catch (error) {
    byId("map-card").replaceChildren(el("p", { class: "fine" }, error.message));
    return;
  }
  if (mine !== asked) return;
  const { name } = parted(file.path);
  const deck = new Deck({ id: file.id, name, duration: file.duration, codec: file.codec });
  const search = () => {
    byId("map").close();
    does.searchBy(file);
  };
  byId("map-card").replaceChildren(
    el("b", {}, name),
    el("span", { class: "fine" }, [lasting(file.duration), ...Object.keys(file.heard).slice(0, 2)].join(" · ")),
    button("Play", () => deck.play(), { class: "quiet small" }),
    button("Find like this", search, { class: "go small" }),
  );
  byId("map-card").deck = deck;
  byId("map-card").search = search;
  if (isPlayed) deck.play();
}

function zoomAt(px, py, factor) {
  const by = scale();
  const [x, y] = [view.x + (px - canvas.clientWidth / 2) / by, view.y - (py - canvas.clientHeight / 2) / by];
  const zoom = Math.max(FARTHEST, Math.min(NEAREST, view.zoom * factor));
  const rest = view.zoom / zoom;
  view = { x: x + (view.x - x) * rest, y: y + (view.y - y) * rest, zoom };
  redraw();
}

/** Go on to the nearest point that lies in a direction. */
function step(dx, dy) {
  if (!points?.ids.length) return;
  const [fromX, fromY] = chosen >= 0 ? [points.x[chosen], points.y[chosen]] : [view.x, view.y];
  let [best, least] = [-1, Infinity];
  for (let i = 0; i < points.ids.length; i += 1) {
    const [x, y] = [points.x[i] - fromX, points.y[i] - fromY];
    const along = x * dx + y * dy;
    const aside = Math.abs(x * dy - y * dx);
    const far = along + 2 * aside;
    if (i !== chosen && along > 1e-6 && aside <= along && far < least) [best, least] = [i, far];
  }
  if (best < 0) return;
  const [px, py] = [toX(points.x[best]), toY(points.y[best])];
  if (px < 0 || py < 0 || px > canvas.clientWidth || py > canvas.clientHeight) {
    view = { ...view, x: points.x[best], y: points.y[best] };
  }
  choose(best, false);
}

const held = new Map(); // pointers that are down
let moved = 0;
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  held.set(event.pointerId, [event.offsetX, event.offsetY]);
  moved = 0;
});
canvas.addEventListener("pointermove", (event) => {
  const before = held.get(event.pointerId);
  if (!before) {
    canvas.classList.toggle("on", nearest(event.offsetX, event.offsetY) >= 0);
    return;
  }
  const now = [event.offsetX, event.offsetY];
  const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
  if (other) {
    const far = ([x, y]) => Math.hypot(x - other[0], y - other[1]) || 1;
    zoomAt(other[0], other[1], far(now) / far(before));
  } else {
    view = { ...view, x: view.x - (now[0] - before[0]) / scale(), y: view.y + (now[1] - before[1]) / scale() };
    redraw();
  }
  moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
  held.set(event.pointerId, now);
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, (event) => {
    held.delete(event.pointerId);
    if (end === "pointercancel" || moved > 4) return;
    const i = nearest(event.offsetX, event.offsetY);
    if (i >= 0) choose(i, true);
  });
}
canvas.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    zoomAt(event.offsetX, event.offsetY, Math.exp(-event.deltaY / 400));
  },
  { passive: false },
);
canvas.addEventListener("keydown", (event) => {
  const [middleX, middleY] = [canvas.clientWidth / 2, canvas.clientHeight / 2];
  const acts = {
    ArrowLeft: () => step(-1, 0),
    ArrowRight: () => step(1, 0),
    ArrowUp: () => step(0, 1),
    ArrowDown: () => step(0, -1),
    "+": () => zoomAt(middleX, middleY, 1.4),
    "-": () => zoomAt(middleX, middleY, 1 / 1.4),
    " ": () => byId("map-card").deck?.play(),
    Enter: () => byId("map-card").search?.(),
  };
  if (!acts[event.key] || event.ctrlKey || event.metaKey) return;
  acts[event.key]();
  event.preventDefault();
});
byId("map-near").addEventListener("click", () => zoomAt(canvas.clientWidth / 2, canvas.clientHeight / 2, 1.6));
byId("map-far").addEventListener("click", () => zoomAt(canvas.clientWidth / 2, canvas.clientHeight / 2, 1 / 1.6));
new ResizeObserver(redraw).observe(canvas);
