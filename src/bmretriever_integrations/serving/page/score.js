// How good a hit is, and how much of that came from the vectors and how much from the words.

import { element } from "./elements.js";

const KINDS = { vector: "inner product", text: "BM25", hybrid: "" };

const rounded = (number) => number.toFixed(2);

/** The score of a hit: a number, and for a hybrid one a bar of two parts with their numbers. */
export function scoreOf(hit, mode) {
  const total = Number(hit.score);
  const number = element("p.total", null, element("span.unseen", null, "Score "), rounded(total));
  if (typeof hit.from_vectors !== "number" || typeof hit.from_words !== "number") {
    return element("div.score", null, number, element("p.part", null, KINDS[mode] ?? ""));
  }
  const meaning = rounded(hit.from_vectors);
  const words = rounded(hit.from_words);
  return element(
    "div.score",
    { title: `Score ${rounded(total)} of at most 1: ${meaning} from meaning (vectors), ${words} from words` },
    number,
    element("div.bar", { "aria-hidden": "true" }, part("meaning", hit.from_vectors), part("words", hit.from_words)),
    element("p.part.meaning", null, `meaning ${meaning}`),
    element("p.part.words", null, `words ${words}`),
  );
}

function part(name, share) {
  const made = element(`span.${name}`);
  made.style.inlineSize = `${100 * Math.min(Math.max(share, 0), 1)}%`;
  return made;
}
