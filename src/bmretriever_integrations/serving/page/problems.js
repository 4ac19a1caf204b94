// What went wrong, as text, and what the user can do about it.

import { byId, button, element } from "./elements.js";
import { forgetKey, hasKey, useKey } from "./server.js";
import { inLine } from "./texts.js";

/** Show an error. `again` repeats what failed. */
export function showProblem(error, again) {
  const lines = [element("p", { dir: "auto" }, inLine(messageOf(error)))];
  if (error.status === 503 || error.status === 0) lines.push(element("p", null, button("Try again", again)));
  byId("problem").replaceChildren(...lines);
  byId("key-form").hidden = error.status !== 401;
  if (error.status === 401) {
    byId("key").value = "";
    byId("key").focus();
  }
}

/** Take the error away. */
export function clearProblem() {
  byId("problem").replaceChildren();
  byId("key-form").hidden = true;
  byId("forget-key").hidden = !hasKey();
}

/** Let the user give and forget a key. `again` repeats what failed for lack of it. */
export function startKeys(again) {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useKey(byId("key").value);
    byId("key").value = "";
    again();
  });
  byId("forget-key").addEventListener("click", () => {
    forgetKey();
    location.reload();
  });
}

function messageOf(error) {
  if (error.status === 401) { // its own message is for programs
    return hasKey() ? "The server refused the API key." : "This server asks for an API key.";
  }
  if (error.status !== 503) return error.message;
  if (/try again/i.test(error.message)) return `The server is busy: ${error.message}`;
  const wait = /^[0-9]{1,4}$/.test(error.again) ? `in ${error.again} s` : "in a moment";
  return `The server is busy: ${error.message} Try again ${wait}.`;
}
