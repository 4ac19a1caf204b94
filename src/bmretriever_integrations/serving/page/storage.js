// What the browser keeps: for this tab, or for later visits. Where it is told to keep nothing, the page remembers for itself.

function storeOf(name) {
  try {
    return globalThis[name]; // throws where storage is blocked
  } catch {
    const kept = new Map();
    return {
      getItem: (key) => kept.get(key) ?? null,
      setItem: (key, value) => kept.set(key, value),
      removeItem: (key) => kept.delete(key),
    };
  }
}

export const ofTab = storeOf("sessionStorage");
export const ofBrowser = storeOf("localStorage");
