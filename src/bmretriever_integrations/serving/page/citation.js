// Names of authors as PubMed writes them, and the citation of a record in one line.

import { inLine, listOf } from "./texts.js";

const SHOWN = 3; // authors of a hit; the rest are counted

/** "Last, First Middle" as "Last FM"; the name of a group stays. */
export function shortName(author) {
  const [last, first = ""] = inLine(author).split(/,\s*/, 2);
  const initials = first.split(/[\s.-]+/u).filter(Boolean).map((name) => [...name][0].toUpperCase());
  return initials.length ? `${last} ${initials.join("")}` : last;
}

/** The first authors and the last, and how many there are. */
export function shortAuthors(authors) {
  if (authors.length <= SHOWN + 1) return authors.map(shortName).join(", ");
  const ends = [...authors.slice(0, SHOWN).map(shortName), "…", shortName(authors.at(-1))];
  return `${ends.join(", ").replace(" …, ", " … ")} (${authors.length}\u00a0authors)`;
}

/** A citation, with what a reader must know before trusting it. */
export function citationOf(hit, doi) {
  const facts = hit.metadata ?? {};
  const sentence = (text) => (text && !/[.?!]$/.test(text) ? `${text}.` : text);
  const parts = [
    ...listOf(hit.marks).map((mark) => `[${mark}]`),
    sentence(listOf(facts.authors).map(shortName).join(", ")),
    sentence(inLine(hit.title)),
    sentence(inLine(listOf(facts.journal).join("; "))),
    sentence(inLine(hit.date ?? "")),
    doi && `doi: ${doi}.`,
    hit.pmid && `PMID: ${hit.pmid}.`,
  ];
  return inLine(parts.filter(Boolean).join(" "));
}
