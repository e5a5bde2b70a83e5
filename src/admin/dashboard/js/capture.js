// Debug capture: starting and ending one, and what it kept of a request.

import { h, fill, section, beside, field, tag, problem, empty, say } from "./dom.js";
import { table } from "./table.js";
import { area } from "./area.js";
import { ask } from "./dialog.js";
import * as api from "./api.js";
import * as format from "./format.js";

/** Captures that run and ran; for those who may start one. */
export function captures(signal) {
  const all = area({
    signal,
    seconds: 15,
    load: () => api.get("/captures", {}, signal),
    draw: ({ data, has_key, bytes, max_bytes }) => [
      h("p", { class: "quiet" }, has_key ? `${format.number(bytes)} of ${format.number(max_bytes)} bytes are in use. Prompts and answers are kept encrypted.` : "telemetry.capture.key is not set: nothing can be captured."),
      data.length > 0 && list(data, () => all.reload()),
    ],
  });
  const start = h("button", { type: "button", "data-keep": "capture", onclick: () => begin(() => all.reload()) }, "Capture");
  return section("Debug capture", beside(start), all);
}

function list(data, changed) {
  const columns = [
    { title: "Of", head: true, cell: ({ tenant, key }) => key ?? tenant ?? "an earlier process" },
    { title: "State", cell: ({ state }) => tag(state, state === "running" ? "low" : undefined) },
    { title: "Until (UTC)", cell: ({ until }) => (until ? format.moment(until) : "–") },
    { title: "Taken", num: true, cell: ({ taken, most }) => (most ? `${taken} of ${most}` : "–") },
    { title: "Kept", num: true, cell: ({ requests }) => String(requests.length) },
    { title: "By", cell: ({ by }) => by ?? "–" },
    { title: "End", cell: (one) => end(one, changed) },
  ];
  return table({ caption: "Captures, the newest first", columns, rows: data });
}

function end({ id, state, tenant, key }, changed) {
  const of = key ?? tenant ?? id;
  const finish = async (keep, close) => {
    await api.send("DELETE", `/captures/${id}${keep ? "?keep=true" : ""}`);
    close?.();
    await changed();
    say(keep ? "The capture has ended" : "The capture is gone");
  };
  const stop = () => finish(true).catch((error) => say(error.message));
  const remove = () =>
    ask({ title: "Remove what was captured", body: h("p", {}, `Of ${of}. It ends, and nothing it kept can be read again.`), action: "Remove it", danger: true, run: (close) => finish(false, close) });
  return h(
    "div",
    { class: "actions" },
    state === "running" && h("button", { type: "button", "data-keep": `end ${id}`, "aria-label": `End the capture of ${of}`, onclick: stop }, "End"),
    h("button", { type: "button", "data-keep": `remove ${id}`, "aria-label": `Remove the capture of ${of}`, onclick: remove }, "Remove"),
  );
}

function begin(changed) {
  const tenant = h("input", { name: "tenant", autocomplete: "off", spellcheck: "false" });
  const key = h("input", { name: "key", autocomplete: "off", spellcheck: "false" });
  const period = h("input", { name: "for", value: "15m", autocomplete: "off" });
  const most = h("input", { name: "most", value: "100", inputmode: "numeric", autocomplete: "off" });
  const redact = h("input", { name: "redact", autocomplete: "off", spellcheck: "false" });
  ask({
    title: "Capture exchanges",
    body: [
      field("Tenant", tenant),
      field("Key id", key, "Only this key's. One of both is needed."),
      field("For", period, "At most 24h."),
      field("Exchanges, at most", most),
      field("Leave out", redact, "Besides credentials and what the configuration leaves out: /messages/*/content, emails, cards, phones"),
    ],
    action: "Capture them",
    run: async (close) => {
      const text = (input) => input.value.trim() || undefined;
      const rules = redact.value.split(/[\s,]+/).filter(Boolean);
      await api.send("POST", "/captures", { tenant: text(tenant), key: text(key), for: text(period), most: Number(most.value), redact: rules });
      close();
      await changed();
      say("The capture runs");
    },
  });
}

/** A button in a request's dialog, where something was captured of it. */
export function captured({ request_id }) {
  const root = h("div", { class: "stack" });
  const look = async () => {
    const { data } = await api.get("/captures");
    if (!data.some(({ requests }) => requests.includes(request_id))) return;
    const show = h("button", { type: "button", onclick: () => read(root, request_id) }, "Show what was captured");
    fill(root, h("h3", {}, "Captured"), show, h("p", { class: "quiet" }, "That it is read goes to the audit log."));
  };
  look().catch((error) => fill(root, problem(error)));
  return root;
}

async function read(root, id) {
  try {
    fill(root, h("h3", {}, "Captured"), exchange(await api.get(`/requests/${id}/capture`)));
  } catch (error) {
    fill(root, problem(error));
  }
}

/** The client's side and the providers' beside each other, under headings of that level. */
export function exchange({ client, format: own, attempts }, level = "h4") {
  const sides = [["Client", own, client, "client"]];
  for (const [at, one] of attempts.entries()) {
    one.rounds.forEach((round, nth) => sides.push([`${one.kind}: ${one.endpoint}`, one.format, round, `${at} ${nth}`]));
  }
  return h("div", { class: "pairs sides" }, sides.map((one) => side(one, level)));
}

function side([title, spoken, { request, answer }, keep], level) {
  return h(
    "section",
    { class: "box" },
    h(level, {}, `${title} (${spoken})`),
    h("p", {}, h("code", {}, `${request.method} ${request.path}`)),
    headers(request, `${keep} request`),
    body(request.body, `${title}: request`),
    h("p", {}, answer.status === null ? "No answer came." : `Status ${answer.status}`),
    headers(answer, `${keep} answer`),
    body(answer.body, `${title}: answer`),
  );
}

function headers({ headers: all }, keep) {
  if (all.length === 0) return null;
  const lines = all.map(({ name, value }) => `${name}: ${value ?? "[not kept]"}`);
  return h("details", { "data-keep": `headers ${keep}` }, h("summary", {}, format.plural(all.length, "header")), h("pre", {}, lines.join("\n")));
}

function body({ text, base64, left_out, bytes, truncated }, name) {
  const note = truncated && h("p", { class: "quiet" }, `Cut off: ${format.number(bytes)} bytes in all.`);
  if (left_out) return h("p", { class: "quiet" }, `Not kept: ${left_out}.`);
  return [raw(text === undefined ? base64 : pretty(text), name), note];
}

/** A text in a frame that scrolls, also with the keyboard. */
export function raw(text, name) {
  if (text === "") return empty("Empty.");
  return h("pre", { class: "raw", tabindex: "0", role: "region", "aria-label": name }, text);
}

/** JSON with its lines, anything else as it is. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
