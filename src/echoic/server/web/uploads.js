// Sounds that were dropped, chosen or recorded, kept in the browser so that Back and a reload find them again.

const KEPT = 8;
const held = new Map();

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("echoic", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("uploads");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function stored(mode, act) {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction("uploads", mode);
      const request = act(transaction.objectStore("uploads"));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

export const uploads = {
  /** Keep a sound; return the key that it is found by. */
  async add(blob, name) {
    const key = `${Date.now()}-${Math.random().toString(36).slice(2, 8)}`;
    held.set(key, { blob, name });
    try {
      await stored("readwrite", (store) => store.put({ blob, name }, key));
      const keys = await stored("readonly", (store) => store.getAllKeys());
      for (const old of keys.sort().slice(0, -KEPT)) await stored("readwrite", (store) => store.delete(old));
    } catch {
      // A private window keeps nothing: it is there until the page is left.
    }
    return key;
  },

  async get(key) {
    if (!held.has(key)) {
      const found = await stored("readonly", (store) => store.get(key)).catch(() => null);
      if (found) held.set(key, found);
    }
    return held.get(key) ?? null;
  },
};
