// Save the hits as a file: the server answers the same question in another format.

import { request } from "./server.js";
import { bodyOf } from "./state.js";

/** Ask in a format, and give the answer to the user as a file. */
export async function save(state, format) {
  const response = await request("search", { body: bodyOf(state, format) });
  const address = URL.createObjectURL(await response.blob());
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = `hits.${format}`;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // browsers read it after the click
}
