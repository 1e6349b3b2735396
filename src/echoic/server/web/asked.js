// What is asked, as a value that the page's address holds, and as the service is asked it.

import { Refusal, ask, fetched } from "./api.js";
import { uploads } from "./uploads.js";

const LISTS = ["like", "unlike"];
const WORDS = ["text", "file", "upload", "start", "end", "find", "concept", "path", "tag", "min", "max", "k"];
export const FEW = 20;
const KINDS = ["sound", "phrase", "voice", "recording", "version", "concept"];
const FLAGS = { phrase: "spoken", voice: "voice", version: "versions" };

/** Read what is asked from the page's address. */
export function read(search) {
  const given = new URLSearchParams(search);
  const asked = { find: "sound" };
  for (const name of WORDS) if (given.get(name)) asked[name] = given.get(name);
  if (!KINDS.includes(asked.find)) asked.find = "sound";
  for (const name of LISTS) asked[name] = given.getAll(name);
  asked.every = given.get("every") === "1";
  return asked;
}

/** Spell it as the page's address has it. */
export function spell(asked) {
  const spelt = new URLSearchParams();
  for (const name of WORDS) if (asked[name] && !(name === "find" && asked[name] === "sound")) spelt.set(name, asked[name]);
  for (const name of LISTS) for (const one of asked[name] ?? []) spelt.append(name, one);
  if (asked.every) spelt.set("every", "1");
  const text = spelt.toString();
  return text ? `?${text}` : "";
}

export const hasSound = (asked) => Boolean(asked.file || asked.upload);
export const hasQuery = (asked) =>
  asked.find === "concept" ? Boolean(asked.concept) : hasSound(asked) || Boolean(asked.text) || asked.like?.length > 0;
/** Of a mark, which is ID or ID@START-END, the file's id. */
export const idOf = (mark) => mark.split("@")[0];
export const nFilters = (asked) => ["path", "tag", "min", "max", "k"].filter((name) => asked[name]).length;

function filters(asked) {
  return {
    path: asked.path,
    tag: asked.tag?.split(",").map((one) => one.trim()),
    min_duration: asked.min,
    max_duration: asked.max,
  };
}

/** Say by which route, parameters and body the service is asked. */
async function request(asked) {
  const common = { ...filters(asked), k: asked.k || (asked.every ? undefined : FEW), every: asked.every };
  if (asked.find === "concept") return ["v1/search", { ...common, concept: asked.concept }, {}];
  const sound = { file: asked.file, start: asked.start, end: asked.end };
  let body = null;
  if (asked.upload) {
    const upload = await uploads.get(asked.upload);
    if (!upload) throw new Refusal(0, "The sound that you searched by is not here any more; drop it once more.");
    Object.assign(sound, { file: undefined, name: upload.name });
    body = upload.blob;
  }
  const options = { method: body ? "POST" : "GET", body };
  const isPicture = body?.type.startsWith("image/");
  if (isPicture) return ["v1/search", { ...common, name: sound.name, by: "picture" }, options];
  if (asked.find === "recording") {
    const { path, tag } = filters(asked);
    return ["v1/identify", { ...sound, path, tag }, options];
  }
  const isTyped = asked.find === "phrase" && !hasSound(asked);
  if (isTyped) return ["v1/search", { ...common, phrase: asked.text }, options];
  const flag = FLAGS[asked.find];
  if (flag) return ["v1/search", { ...common, ...sound, [flag]: true }, options];
  const [like, unlike] = LISTS.map((name) => [...new Set(asked[name].map(idOf))]);
  return ["v1/search", { ...common, ...(hasSound(asked) ? sound : {}), text: asked.text, like, unlike }, options];
}

/** Ask for it: { found, notes }, of files without a query { files, total, next }. */
export async function find(asked, signal, after = 0) {
  if (!hasQuery(asked)) {
    const page = await ask("v1/files", { ...filters(asked), limit: asked.k || FEW, after }, { signal });
    return { files: page.files, total: page.total, next: page.next };
  }
  const [route, parameters, options] = await request(asked);
  const told = await ask(route, parameters, { ...options, signal });
  return { found: told.hits ?? told.matches, notes: told.notes };
}

/** Fetch what is found as a file for another program. */
export async function save(asked, format) {
  const [route, parameters, options] = await request(asked);
  const response = await fetched(route, { ...parameters, format }, options);
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1] ?? "echoic.json";
  return { blob: await response.blob(), name };
}
