// The question and the filters: filled from what an address asks, and read when the user changes them.

import { byId, element } from "./elements.js";
import { severalOf } from "./several.js";
import { filterCount, unfiltered } from "./state.js";

const LISTS = ["types", "mesh", "journals", "languages"];
const WIDE = "(min-width: 60rem)"; // as in page.css: filters stand beside the results

/** The form. `search` is called with what is asked and whether the user asked for it by Enter or a button. */
export function formOf(search) {
  const ask = byId("ask");
  const question = byId("question");
  let like = "";
  const lists = Object.fromEntries(LISTS.map((name) => [name, severalOf(byId(name), () => changed())]));

  function read() {
    const state = { question: question.value.trim(), like, mode: ask.elements.mode.value, count: Number(byId("count").value) };
    Object.assign(state, { since: byId("since").value.trim(), until: byId("until").value.trim() });
    for (const name of LISTS) {
      lists[name].take();
      state[name] = lists[name].values();
    }
    return { ...state, major: byId("major").checked, retracted: byId("retracted").checked };
  }

  function changed() {
    if (ask.reportValidity()) search(read(), false);
  }

  ask.addEventListener("submit", (event) => {
    event.preventDefault();
    search(read(), true);
  });
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask.requestSubmit();
  });
  for (const name of ["since", "until", "major", "retracted", "count"]) byId(name).addEventListener("change", changed);
  ask.elements.mode.forEach((mode) => mode.addEventListener("change", changed));
  byId("no-filters").addEventListener("click", () => search(unfiltered(read()), true));
  byId("filters").open = matchMedia(WIDE).matches;

  return {
    lists,
    /** Fill the form. */
    show(state) {
      like = state.like;
      for (const name of ["question", "since", "until"]) byId(name).value = state[name];
      for (const name of LISTS) lists[name].show(state[name]);
      for (const name of ["major", "retracted"]) byId(name).checked = state[name];
      ask.elements.mode.value = state.mode;
      showCount(byId("count"), state.count);
      const set = filterCount(state);
      byId("filters-set").textContent = set ? ` (${set})` : "";
      byId("no-filters").hidden = !set;
    },
  };
}

function showCount(select, count) {
  if (![...select.options].some((option) => Number(option.value) === count)) {
    select.append(element("option", null, String(count)));
  }
  select.value = String(count);
}
