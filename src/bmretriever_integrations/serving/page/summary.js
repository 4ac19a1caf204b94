// What stands above the hits: what was asked, how many were found, how long it took, and what was left out.

import { byId, element } from "./elements.js";
import { counted, inLine, listOf, shortened } from "./texts.js";

const MODES = { hybrid: "by words and meaning", vector: "by meaning", text: "by words" };
const FLAG = "include_retracted"; // a note that names it is for programs; here a button says the same

/** Show it. `retracted` is called with whether retracted papers are to be shown. */
export function showSummary(answer, state, retracted) {
  const asked = shortened(answer.question);
  const quoted = ["“", element("bdi", null, asked), "”"];
  byId("results-name").replaceChildren(
    ...(state.question ? ["Results", element("span.asked", null, " for ", quoted)] : ["More like ", ...quoted]),
  );
  byId("status").textContent = statusOf(answer);
  showLeftOut(answer, state, retracted);
  const notes = listOf(answer.notes).filter((note) => !(note.includes(FLAG) && answer.retracted_left_out));
  byId("notes").replaceChildren(...notes.map((note) => element("li", { dir: "auto" }, inLine(note))));
}

/** Take it away. */
export function clearSummary() {
  byId("results-name").replaceChildren();
  byId("status").textContent = "";
  byId("notes").replaceChildren();
  byId("left-out").hidden = true;
}

function statusOf(answer) {
  const { embedding_ms: embedding, search_ms: search } = answer.timings ?? {};
  const times = [
    typeof embedding === "number" && `embedding ${duration(embedding)}`,
    typeof search === "number" && `search ${duration(search)}`,
  ].filter(Boolean);
  const found = `${counted(answer.hits.length, "result")} of ${counted(answer.records, "record")}`;
  return [`${found}, ${MODES[answer.mode] ?? answer.mode}`, times.join(", ")].filter(Boolean).join(" · ");
}

function duration(milliseconds) {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}

function showLeftOut(answer, state, retracted) {
  const [line, [text, press]] = [byId("left-out"), byId("left-out").children];
  line.hidden = !answer.retracted_left_out && !state.retracted;
  text.textContent = state.retracted
    ? "Retracted papers are among the results if they fit."
    : `${counted(answer.retracted_left_out, "retracted paper")} left out.`;
  press.textContent = state.retracted ? "Leave them out" : "Show";
  press.onclick = () => retracted(!state.retracted);
}
