// What the library was taught to find: chosen to search by, and taught by the rows that were marked.

import { ask } from "./api.js";
import { button, byId, counted, el } from "./dom.js";

let known = []; // [{ name, yes, no }]
let keep = null; // what the dialog keeps: { yes, no, done }

export const concepts = {
  /** Ask which there are: none, where what they were taught by cannot be used any more. */
  async load() {
    known = await ask("v1/concepts").catch(() => []);
    byId("keep-names").replaceChildren(...known.map(({ name }) => el("option", { value: name })));
  },

  /** Show which there are, and which one is searched by, where one is. */
  show({ find, concept }) {
    const select = byId("concept");
    select.hidden = find !== "concept" || !known.length;
    select.replaceChildren(...known.map(({ name, yes, no }) => el("option", { value: name }, `${name} · ${yes} yes, ${no} no`)));
    if (concept) select.value = concept;
  },

  /** The one that is chosen; at first the first. */
  chosen: () => byId("concept").value || known[0]?.name || "",

  whyNot(name) {
    if (!known.length) return "This library was taught nothing yet: mark results as more or less like what you want, and keep them as a concept.";
    return name ? "" : "Choose what to find.";
  },

  /** Make the button that keeps what was marked; `done` is called with the name. */
  keeper({ find, concept, like, unlike }, done) {
    const open = () => {
      keep = { yes: like, no: unlike, done };
      byId("keep-name").value = find === "concept" ? concept : "";
      byId("keep-what").textContent = `${counted(like.length, "example")} of it, ${unlike.length} of what it is not.`;
      byId("keep-told").textContent = "";
      byId("keep").showModal();
    };
    return button(find === "concept" ? `Teach it to ${concept}` : "Keep as a concept", open, { class: "chip keep", "aria-haspopup": "dialog" });
  },
};

byId("keep-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = byId("keep-name").value.trim();
  const { yes, no, done } = keep;
  try {
    const { concept } = await ask("v1/concepts", { name, yes, no }, { method: "POST" });
    await concepts.load();
    byId("keep").close();
    done(concept.name);
  } catch (error) {
    byId("keep-told").textContent = error.message;
  }
});
