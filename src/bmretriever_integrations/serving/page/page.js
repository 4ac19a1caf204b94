// The page: the address says what is asked; when it changes, the server is asked and the answer is shown.

import { byId } from "./elements.js";
import { facetsOf } from "./facets.js";
import { formOf } from "./form.js";
import { hitOf } from "./hit.js";
import { startSingleKeys } from "./keys.js";
import { patternOf } from "./marking.js";
import { clearProblem, showProblem, startKeys } from "./problems.js";
import { save } from "./saving.js";
import { ServerError, request } from "./server.js";
import { asks, bodyOf, hashOf, stateOf } from "./state.js";
import { clearSummary, showSummary } from "./summary.js";
import { counted, inLine } from "./texts.js";

const NO_FACETS = { types: [], mesh: [], journals: [] };
let running = new AbortController();
let planned = 0;
let focusWanted = false;
let indexName = "Search";

const form = formOf(go);

/** Ask something new: it becomes the address, and `run` reads it from there. `focus` leads the keyboard to the results. */
function go(state, focus) {
  const hash = hashOf(state);
  if (location.hash.slice(1) !== hash) history.pushState(null, "", `#${hash}`);
  form.show(state);
  plan(focus);
}

/** Ask what the address says, which the user opened or went back to. */
function follow() {
  form.show(stateOf(location.hash));
  plan(false);
}

/** Run soon, and once: Enter in a field of the filters both changes the field and sends the form. */
function plan(focus) {
  focusWanted ||= focus;
  clearTimeout(planned);
  planned = setTimeout(run);
}

/** Do what the address says. A former search that is still running is given up. */
async function run() {
  const focus = focusWanted;
  focusWanted = false;
  running.abort();
  const { signal } = (running = new AbortController());
  const state = stateOf(location.hash);
  setTitle(state.question);
  byId("start").hidden = asks(state);
  if (!asks(state)) {
    clear();
    return;
  }
  byId("results").setAttribute("aria-busy", "true");
  try {
    const answer = await answerOf(state, signal);
    if (signal.aborted) return;
    show(answer, state);
    if (focus && byId("question").value.trim() === state.question) byId("results-name").focus(); // else the user types on
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
}

async function answerOf(state, signal) {
  const answer = await (await request("search", { body: bodyOf(state, "json"), signal })).json();
  if (!Array.isArray(answer?.hits)) throw new ServerError("The answer is none of this server's search.", 200);
  return answer;
}

function show(answer, state) {
  clearProblem();
  setTitle(answer.question);
  showSummary(answer, state, (retracted) => go({ ...stateOf(location.hash), retracted }, true));
  const pattern = patternOf(answer.question);
  const like = (hit) => go({ ...stateOf(location.hash), question: "", like: hit.id }, true);
  byId("hits").replaceChildren(...answer.hits.map((hit) => hitOf(hit, { mode: answer.mode, pattern, like })));
  byId("save").hidden = !answer.hits.length;
  byId("results").setAttribute("aria-busy", "false");
  suggest(facetsOf(answer.hits));
}

function clear() {
  clearProblem();
  clearSummary();
  byId("results").setAttribute("aria-busy", "false");
  byId("hits").replaceChildren();
  byId("save").hidden = true;
  suggest(NO_FACETS);
}

function fail(error) {
  clear();
  if (error instanceof ServerError) {
    showProblem(error, start);
    return;
  }
  console.error(error);
  showProblem(new ServerError(`The page could not show the answer: ${error.message}`, 200), start);
}

function suggest(facets) {
  for (const [name, counts] of Object.entries(facets)) {
    form.lists[name].suggest(counts, (values) => go({ ...stateOf(location.hash), [name]: values }, true));
  }
}

function setTitle(question) {
  document.title = question ? `${inLine(question)} – ${indexName}` : indexName;
}

async function describeIndex() {
  const about = await (await request("index")).json();
  indexName = inLine(about.name);
  byId("index-name").textContent = indexName;
  const years = about.years && about.years[0] !== about.years[1] ? about.years.join("–") : about.years?.[0];
  const facts = [counted(about.records, "record"), years, about.retracted && `${counted(about.retracted, "paper")} retracted`];
  byId("index-facts").textContent = [...facts, `model ${inLine(about.model)}`].filter(Boolean).join(" · ");
  setTitle(stateOf(location.hash).question);
}

/** Ask for all that the page shows, at its start and when a key or a busy server hindered it. */
function start() {
  clearProblem();
  describeIndex().catch((error) => showProblem(error, start));
  follow();
}

byId("save").addEventListener("click", async ({ target }) => {
  if (!target.dataset.format) return;
  try {
    await save(stateOf(location.hash), target.dataset.format);
  } catch (error) {
    showProblem(error, () => target.click());
  }
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // what stands behind "#" is the question
  byId("results").focus();
});
startKeys(start);
startSingleKeys();
addEventListener("hashchange", follow);
start();
