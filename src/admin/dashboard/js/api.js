// The admin API: the only thing this page talks to.

const ROOT = "/admin/v1";

/** An answer that is no success. `status` 0: there was none. */
export class Failure extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
    this.title = titles[status] ?? "That did not work";
  }
}

const titles = {
  0: "The gateway does not answer",
  400: "The gateway refused that",
  401: "Not signed in",
  403: "Your role may not do this",
  404: "There is no such thing",
  409: "That is in the way of something",
  503: "That is not to be had at the moment",
};

/** `get("/usage", { by: "tenant" })`; members that are empty are left out. */
export function get(path, query = {}, signal) {
  return call("GET", path + asQuery(query), undefined, signal);
}

export function send(method, path, body) {
  return call(method, path, body);
}

export function asQuery(query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

/** A request through the gateway: its answer, as it comes. */
export async function play(asked, signal) {
  const headers = { "content-type": "application/json", "x-weir-csrf": "1" };
  const body = JSON.stringify(asked);
  const response = await fetch(`${ROOT}/playground`, { method: "POST", headers, body, credentials: "same-origin", cache: "no-store", signal });
  // Any other answer is not the gateway's.
  if (response.headers.has("x-weir-playground")) return response;
  const failure = refused(response.status, await response.text());
  if (failure.status === 401) dispatchEvent(new Event("signed-out"));
  throw failure;
}

/** The live view's address. */
export function liveUrl(query) {
  return `${ROOT}/requests/live${asQuery(query)}`;
}

/** Who is signed in, or null. */
export async function session() {
  try {
    return await call("GET", "/session");
  } catch (error) {
    if (error.status === 401) return null;
    throw error;
  }
}

async function call(method, path, body, signal) {
  const headers = { accept: "application/json" };
  if (method !== "GET") headers["x-weir-csrf"] = "1";
  if (body !== undefined) headers["content-type"] = "application/json";
  // `/health` is not under the API's root.
  const url = path === "/health" ? path : ROOT + path;
  let response, text;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal,
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure(0, "unreachable", "It may be restarting, or the network is gone.");
  }
  if (response.ok) return text === "" ? null : JSON.parse(text, exact);
  const failure = refused(response.status, text);
  if (failure.status === 401 && path !== "/session") dispatchEvent(new Event("signed-out"));
  throw failure;
}

/** Sums of money can be larger than a number is exact for. */
function exact(name, value, context) {
  if (name !== "cost_pico_usd" || value === null) return value;
  return context?.source ? BigInt(context.source) : BigInt(Math.round(value));
}

function refused(status, text) {
  try {
    const { error } = JSON.parse(text);
    return new Failure(status, error.code, error.message);
  } catch {
    return new Failure(status, "unknown", `Status ${status}`);
  }
}
