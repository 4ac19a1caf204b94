// What is asked, and its two forms: the part of the address behind "#", and the body of POST /search.

export const USUAL_MODE = "hybrid";
const MODES = [USUAL_MODE, "vector", "text"];
const USUAL_COUNT = 10; // as the server's
const LISTS = { types: "type", mesh: "mesh", journals: "journal", languages: "language" };

/** What an address asks. Whatever it lacks, or has in a way that cannot be, is as usual. */
export function stateOf(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const text = (name) => given.get(name) ?? "";
  const state = { question: text("q"), like: text("like"), since: text("since"), until: text("until") };
  for (const [name, key] of Object.entries(LISTS)) {
    state[name] = [...new Set(given.getAll(key).filter(Boolean))];
  }
  state.major = text("major") === "yes";
  state.retracted = text("retracted") === "yes";
  state.mode = MODES.includes(text("mode")) ? text("mode") : USUAL_MODE;
  state.count = /^[1-9][0-9]{0,5}$/.test(text("top")) ? Number(text("top")) : USUAL_COUNT;
  return state;
}

/** The address of what is asked, without "#". What is as usual is not written. */
export function hashOf(state) {
  const parts = new URLSearchParams();
  const add = (key, value) => value && parts.append(key, value);
  add("q", state.question);
  if (!state.question) add("like", state.like);
  add("since", state.since);
  add("until", state.until);
  for (const [name, key] of Object.entries(LISTS)) state[name].forEach((value) => add(key, value));
  if (state.major) add("major", "yes");
  if (state.retracted) add("retracted", "yes");
  if (state.mode !== USUAL_MODE) add("mode", state.mode);
  if (state.count !== USUAL_COUNT) add("top", String(state.count));
  return parts.toString();
}

/** Whether anything is asked. */
export const asks = (state) => Boolean(state.question.trim() || state.like);

/** What is asked, without its filters. */
export function unfiltered(state) {
  return { ...state, since: "", until: "", types: [], mesh: [], journals: [], languages: [], major: false };
}

/** How many filters there are. */
export function filterCount(state) {
  const lists = Object.keys(LISTS).reduce((sum, name) => sum + state[name].length, 0);
  return lists + Boolean(state.since) + Boolean(state.until);
}

/** The body of POST /search. */
export function bodyOf(state, format) {
  const wanted = {
    since: state.since,
    until: state.until,
    publication_types: state.types,
    [state.major ? "mesh_major" : "mesh"]: state.mesh,
    journal: state.journals,
    languages: state.languages,
  };
  const filters = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value.length));
  return {
    ...(state.question ? { question: state.question } : { like: state.like }),
    top_k: state.count,
    mode: state.mode,
    filters: filterCount(state) ? filters : null,
    include_retracted: state.retracted,
    format,
  };
}
