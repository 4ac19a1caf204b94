// Texts of records are shown as text. What could hide or reorder other text is replaced, as the command line does it.

const BREAKS = /[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]/gu;
const CONTROLS = /[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f]|\p{Cs}/gu;
const TITLE = 400; // PubMed's longest titles have about as many characters

/** A text in one line. Line breaks became spaces; other controls and marks of direction became U+FFFD. */
export const inLine = (text) => String(text).replace(BREAKS, " ").replace(CONTROLS, "\ufffd");

/** The same, but lines stay lines. */
export const inLines = (text) => String(text).split(/\r\n|[\n\r\u2028\u2029]/u).map(inLine).join("\n");

/** A text in one line, cut where it would fill the screen. */
export function shortened(text, most = TITLE) {
  const whole = String(text);
  if (whole.length <= most) return inLine(whole);
  return `${inLine(whole.slice(0, most).replace(/[\ud800-\udbff]$/, ""))} …`;
}

/** A fact of a record as a list of texts. */
export function listOf(value) {
  if (value === null || value === undefined || value === "") return [];
  const values = Array.isArray(value) ? value : [value];
  return values.map((one) => (typeof one === "object" ? JSON.stringify(one) : String(one)));
}

/** A number with commas, and a word in singular or plural. */
export const counted = (number, one, more = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : more}`;
