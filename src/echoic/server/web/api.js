// The service, asked by addresses relative to the page, so that it may lie under a path of its own.

const LONGEST_PAUSE = 5; // s that are waited where the service has too much to do at the moment

/** What the service refuses, in its own sentence. */
export class Refusal extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/** Spell the address of a route; what is undefined, empty or false is left out. */
export function address(route, asked = {}) {
  const url = new URL(route, document.baseURI);
  for (const [name, value] of Object.entries(asked)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "" && one !== false) url.searchParams.append(name, one);
    }
  }
  return url;
}

/** Ask, and return the response; a Refusal is thrown for what is refused. */
export async function fetched(route, asked, { method = "GET", body, headers = {}, signal, patience = 3 } = {}) {
  const sent = body ? { "Content-Type": "application/octet-stream", ...headers } : headers;
  let response;
  try {
    response = await fetch(address(route, asked), { method, body, headers: sent, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "The service does not answer. Is it still running?");
  }
  if (response.ok) return response;
  const pause = Number(response.headers.get("retry-after") ?? Infinity);
  if (response.status === 429 && pause <= LONGEST_PAUSE && patience > 0) {
    await new Promise((resolve) => setTimeout(resolve, pause * 1000));
    return fetched(route, asked, { method, body, headers, signal, patience: patience - 1 });
  }
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401) document.dispatchEvent(new Event("locked"));
  throw new Refusal(response.status, sentence(problem.detail || `the service answered ${response.status}`));
}

export async function ask(route, asked, options) {
  return (await fetched(route, asked, options)).json();
}

function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(whole) ? whole : `${whole}.`;
}
