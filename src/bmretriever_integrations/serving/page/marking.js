// The words of a question in the texts of its hits: those, and words that begin with one of them.

import { element } from "./elements.js";

// words of English that say nothing of a question's subject; as the snippets of the package
const COMMON = new Set(
  (
    "about after also among and are been between both but can cause could did does during each for from had has have how " +
    "into its may more most not other over should some such than that the their them then there these they this those " +
    "through was were what when where whether which while who why will with within without would you your"
  ).split(" "),
);
const MOST_WORDS = 200; // of a question that is an abstract
const LONGEST = 100; // characters of a word; what is longer is none, and a pattern of it would be refused

/** The pattern of a question's words, or null if none says what it is about. */
export function patternOf(question) {
  const words = question.toLowerCase().match(/[\p{L}\p{N}\p{M}_]+/gu) ?? [];
  const subject = [...new Set(words)].filter(isSubject).slice(0, MOST_WORDS);
  subject.sort((one, other) => other.length - one.length);
  const inWord = "[\\p{L}\\p{N}\\p{M}_]";
  return subject.length ? new RegExp(`(?<!${inWord})(?:${subject.join("|")})${inWord}*`, "giu") : null;
}

function isSubject(word) {
  return word.length <= LONGEST && [...word].length > 2 && !COMMON.has(word);
}

/** A text as nodes, with the words that a pattern finds in <mark>. */
export function marked(text, pattern) {
  if (!pattern) return [text];
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(pattern)) {
    nodes.push(text.slice(at, found.index), element("mark", null, found[0]));
    at = found.index + found[0].length;
  }
  return [...nodes, text.slice(at)].filter((node) => node !== "");
}
