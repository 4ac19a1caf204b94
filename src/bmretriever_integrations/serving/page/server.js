// Requests to the server that this page came from. Addresses are relative, so the server may stand below another path.

import { ofTab } from "./storage.js";

const KEY = "bmretriever-api-key";

/** What a user is told when there is no answer. */
export class ServerError extends Error {
  /** @param status the HTTP status, 0 if the server was not reached. */
  constructor(message, status, again = "") {
    super(message);
    this.status = status;
    this.again = again;
  }
}

export const hasKey = () => ofTab.getItem(KEY) !== null;
export const useKey = (key) => ofTab.setItem(KEY, key);
export const forgetKey = () => ofTab.removeItem(KEY);

/** Send a body of JSON, or ask for a page if there is none. Answers of another status than 200 become a ServerError. */
export async function request(path, { body, signal } = {}) {
  const headers = hasKey() ? { Authorization: `Bearer ${ofTab.getItem(KEY)}` } : {};
  const options = { headers, signal, cache: "no-store", redirect: "error" };
  if (body) {
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
    headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ServerError("The server did not answer. Is it running, and is this machine connected to it?", 0);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  let message;
  try {
    message = (await response.json()).error.message;
  } catch {
    message = undefined;
  }
  if (typeof message !== "string" || !message) message = `The server answered with status ${response.status}.`;
  return new ServerError(message, response.status, response.headers.get("Retry-After") ?? "");
}
