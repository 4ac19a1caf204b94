// What the hits have in common: values that the filters offer, with the number of hits that have each.

import { listOf } from "./texts.js";

// filter -> the fact of a record, and how many hits must have a value; most journals and many MeSH terms are those of one hit
const FACTS = { types: ["publication_types", 1], mesh: ["mesh", 2], journals: ["journal", 2] };

/** Filter -> its values in the hits, as [value, number of hits], the most frequent first. */
export function facetsOf(hits) {
  return Object.fromEntries(Object.entries(FACTS).map(([filter, [fact, least]]) => [filter, countsOf(hits, fact, least)]));
}

function countsOf(hits, fact, least) {
  const counts = new Map();
  for (const hit of hits) {
    for (const value of new Set(listOf(hit.metadata?.[fact]))) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  const frequent = [...counts].filter(([, count]) => count >= least);
  return frequent.sort(([a, many], [b, more]) => more - many || (a < b ? -1 : 1));
}
