// All that is known of a record: its whole text and its facts, shown when a reader opens them.

import { element } from "./elements.js";
import { marked } from "./marking.js";
import { inLine, inLines, listOf, shortened } from "./texts.js";

const NAMES = {
  journal: "Journal", authors: "Authors", publication_types: "Publication types", mesh: "MeSH terms",
  mesh_major: "MeSH, major topics", keywords: "Keywords", languages: "Languages", doi: "DOI", pmcid: "PMCID",
  version: "Version", revised: "Revised", retracted: "Retracted", retraction_notice: "Notice of the retraction",
  expression_of_concern: "Expression of concern", date: "Date",
};

/** What opens to the whole record. It is made at its first opening, since texts may be long. */
export function wholeRecord(hit, pattern) {
  const made = element("details.whole", null, element("summary", null, "Whole record"));
  made.addEventListener("toggle", () => made.childElementCount > 1 || made.append(contentOf(hit, pattern)), { once: true });
  return made;
}

function contentOf(hit, pattern) {
  const facts = Object.entries(hit.metadata ?? {}).map(([name, value]) => [NAMES[name] ?? name, listOf(value).join("; ")]);
  const title = shortened(hit.title) === inLine(hit.title) ? [] : [["Title", hit.title]]; // it stands above if it is not cut
  const rows = [...title, ...facts, ["Id", hit.id]].filter(([, value]) => value !== "");
  return element(
    "div",
    null,
    element("p.text", { dir: "auto" }, marked(inLines(hit.text), pattern)),
    element("dl", null, rows.flatMap(([name, value]) => [
      element("dt", { dir: "auto" }, inLine(name)),
      element("dd", { dir: "auto" }, inLine(value)),
    ])),
  );
}
