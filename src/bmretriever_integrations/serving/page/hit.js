// One hit: what a reader needs to judge it, and what can be done with it.

import { doiAddress, doiOf, pmc, pubmed } from "./addresses.js";
import { citationOf, shortAuthors } from "./citation.js";
import { button, element, link } from "./elements.js";
import { marked } from "./marking.js";
import { wholeRecord } from "./record.js";
import { scoreOf } from "./score.js";
import { listOf, shortened } from "./texts.js";

const PASSAGE = 1000; // characters; the server's passages are shorter
const TYPES = 8; // publication types that are shown; the rest are counted
const DATE = /^[0-9]{4}(-[0-9]{2}){0,2}$/;
const ID = 200; // characters of an id, as the table of the command line

/** A hit as an item of the list. `like` is called with the hit when more of its kind are asked for. */
export function hitOf(hit, { mode, pattern, like }) {
  const name = `hit-${hit.rank}`;
  return element(
    "li.hit",
    null,
    element(
      "article",
      { "aria-labelledby": name },
      element("p.rank", null, element("span.unseen", null, "Result "), String(hit.rank)),
      element(
        "div.record",
        null,
        marksOf(hit),
        titleOf(hit, name, pattern),
        sourceOf(hit),
        passageOf(hit, pattern),
        factsOf(hit),
        element("div.actions", null, wholeRecord(hit, pattern), buttonsOf(hit, name, like)),
      ),
      scoreOf(hit, mode),
    ),
  );
}

function marksOf(hit) {
  const marks = listOf(hit.marks).map((mark) => {
    const kind = mark.startsWith("RETRACTED") ? "retracted" : "concern";
    const [, before, notice, after] = /^(.*notice: )([1-9][0-9]{0,8})(\).*)$/.exec(mark) ?? [];
    const text = notice ? [before, link(pubmed(notice), notice), after] : [shortened(mark)];
    return element(`li.${kind}`, null, element("span.sign", { "aria-hidden": "true" }, "!"), element("span", null, text));
  });
  return marks.length ? element("ul.marks", null, marks) : null;
}

function titleOf(hit, name, pattern) {
  const words = hit.title.trim() ? marked(shortened(hit.title), pattern) : ["(no title)"];
  const address = pubmed(hit.pmid);
  return element("h3", { id: name, tabindex: "-1", dir: "auto" }, address ? link(address, ...words) : words);
}

function sourceOf(hit) {
  const facts = hit.metadata ?? {};
  const parts = [
    [shortAuthors(listOf(facts.authors)), "bdi.authors"],
    [listOf(facts.journal).join("; "), "cite"],
    [listOf(facts.section).join("; "), "bdi.section"],
    [hit.date ?? "", DATE.test(hit.date) ? "time" : "bdi"],
  ].filter(([text]) => text);
  return element("p.source", null, parts.map(([text, kind]) => element(kind, { dir: "auto" }, shortened(text))));
}

function passageOf(hit, pattern) {
  if (!hit.text.trim()) return element("p.passage.none", null, "No abstract.");
  return element("p.passage", { dir: "auto" }, marked(shortened(hit.passage || hit.text, PASSAGE), pattern));
}

function factsOf(hit) {
  const types = listOf(hit.metadata?.publication_types);
  const shown = types.slice(0, TYPES).map((type) => element("li.type", { dir: "auto" }, shortened(type, ID)));
  if (types.length > TYPES) shown.push(element("li", null, `and ${types.length - TYPES} more`));
  const ids = [
    [pubmed(hit.pmid), "PMID", hit.pmid],
    [pmc(hit.metadata?.pmcid), "Full text", hit.metadata?.pmcid],
    [doiOf(hit) && doiAddress(doiOf(hit)), "DOI", doiOf(hit)],
  ].filter(([address]) => address);
  shown.push(...ids.map(([address, kind, id]) => element("li.id", null, `${kind} `, link(address, shortened(id, ID)))));
  if (!ids.length) shown.push(element("li.id", null, "id ", element("bdi", null, shortened(hit.id, ID))));
  return element("ul.facts", null, shown);
}

function buttonsOf(hit, name, like) {
  const buttons = [button("More like this", () => like(hit), { "aria-describedby": name })];
  if (navigator.clipboard) { // browsers give it to https and to this machine alone
    buttons.push(button("Copy citation", (pressed) => copy(hit, pressed), { "aria-describedby": name }));
  }
  return element("div.buttons", null, buttons);
}

async function copy(hit, pressed) {
  try {
    await navigator.clipboard.writeText(citationOf(hit, doiOf(hit)));
    pressed.textContent = "Copied";
  } catch {
    pressed.textContent = "The browser refused to copy";
  }
}
