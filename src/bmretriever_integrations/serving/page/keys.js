// Single keys: "/" goes to the question, "j" and "k" to the next and the previous hit. They can be turned off.

import { byId } from "./elements.js";
import { ofBrowser } from "./storage.js";

const OFF = "bmretriever-no-single-keys";

/** Listen to them. */
export function startSingleKeys() {
  const box = byId("single-keys");
  box.checked = ofBrowser.getItem(OFF) === null;
  box.addEventListener("change", () => (box.checked ? ofBrowser.removeItem(OFF) : ofBrowser.setItem(OFF, "yes")));
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("textarea, select, input:not([type=checkbox], [type=radio])");
    if (!box.checked || typing || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (press(event.key)) event.preventDefault();
  });
}

function press(key) {
  if (key === "/") byId("question").focus();
  else if (key === "j" || key === "k") goFrom(key === "j" ? 1 : -1);
  else return false;
  return true;
}

function goFrom(step) {
  const items = [...byId("hits").children];
  const now = items.findIndex((item) => item.contains(document.activeElement));
  const next = now < 0 ? (step > 0 ? 0 : -1) : now + step;
  items[next]?.querySelector("h3").focus();
}
