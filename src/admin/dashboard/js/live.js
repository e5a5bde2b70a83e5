// Requests as they end.

import { h, fill, section, field, problem, empty } from "./dom.js";
import { framed, head, line } from "./table.js";
import { openRequest, statusTag, outcomeTag, asked, served } from "./request.js";
import { captures } from "./capture.js";
import * as api from "./api.js";
import * as router from "./router.js";
import * as format from "./format.js";

/** More are not kept: the page would only get slower. */
const MOST_ROWS = 200;
const AGAIN_MS = 3_000;
/** However many come; also while nobody looks, so that they do not pile up. */
const DRAWN_EVERY_MS = 200;
const CAPTION = "Requests, the last to end first";

export function mount(root, { query, signal, may }) {
  const wanted = { tenant: query.tenant, model: query.model, status: query.status };
  const state = h("span", { class: "quiet", role: "status" }, "Connecting");
  const pause = h("button", { type: "button", "data-keep": "pause" }, "Pause");
  const list = rows(may);
  fill(
    root,
    h("div", { class: "page-head" }, h("h1", {}, "Live"), h("div", { class: "beside" }, state, pause)),
    h("div", { class: "forms" }, filters(wanted, may), find(signal, may)),
    section("Requests", list.element),
    may.runs && captures(signal),
  );
  let paused = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    list.hold(paused, (waiting) => (pause.textContent = waiting > 0 ? `Resume (${waiting} new)` : "Resume"));
    if (!paused) pause.textContent = "Pause";
  });
  follow(wanted, signal, { state, list });
}

/** The stream from now on, and what ended before; both again after the connection was lost. */
function follow(wanted, signal, { state, list }) {
  let source, timer;
  const begin = () => {
    source = new EventSource(api.liveUrl(wanted));
    source.addEventListener("open", async () => {
      state.textContent = "Connected";
      try {
        const { data } = await api.get("/requests", { ...wanted, limit: 100 }, signal);
        list.add(data);
      } catch (error) {
        if (!signal.aborted) list.failed(error);
      }
    });
    source.addEventListener("request", (event) => list.add([JSON.parse(event.data)]));
    source.addEventListener("error", async () => {
      state.textContent = "Connection lost: trying again";
      if (source.readyState !== EventSource.CLOSED) return;
      // Refused, rather than broken: the stream itself does not say why.
      try {
        await api.get("/requests", { ...wanted, limit: 1 }, signal);
      } catch (error) {
        if (!signal.aborted) list.failed(error);
        if ([400, 401, 403].includes(error.status)) return (state.textContent = "Not connected");
      }
      if (!signal.aborted) timer = setTimeout(begin, AGAIN_MS);
    });
  };
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    source?.close();
  });
  begin();
}

function filters(wanted, may) {
  const input = (name, attributes) => h("input", { name, value: wanted[name] ?? "", autocomplete: "off", spellcheck: "false", ...attributes });
  const tenant = may.sees_all ? input("tenant") : null;
  const model = input("model");
  const status = input("status", { inputmode: "numeric", pattern: "[1-5][0-9][0-9]", size: 5 });
  const send = (event) => {
    event.preventDefault();
    if (!event.target.reportValidity()) return;
    router.change({ tenant: tenant?.value.trim(), model: model.value.trim(), status: status.value.trim() });
  };
  const clear = () => router.change({ tenant: "", model: "", status: "" });
  return h(
    "form",
    { class: "bar", onsubmit: send, "aria-label": "Filter" },
    tenant && field("Tenant", tenant),
    field("Model, as asked for", model),
    field("Status", status),
    h("button", { type: "submit", "data-keep": "filter" }, "Filter"),
    Object.values(wanted).some(Boolean) && h("button", { type: "button", class: "plain", "data-keep": "clear", onclick: clear }, "Show all"),
  );
}

function find(signal, may) {
  const id = h("input", { name: "request_id", autocomplete: "off", spellcheck: "false", size: 36 });
  const wrong = h("div");
  const send = async (event) => {
    event.preventDefault();
    fill(wrong);
    const wanted = id.value.trim();
    if (wanted === "") return id.focus();
    try {
      openRequest(await api.get(`/requests/${encodeURIComponent(wanted)}`, {}, signal), may);
    } catch (error) {
      if (!signal.aborted) fill(wrong, problem(error));
    }
  };
  return h(
    "form",
    { class: "bar", onsubmit: send, "aria-label": "Find a request" },
    field("Request id (the answer's header x-request-id)", id),
    h("button", { type: "submit" }, "Find"),
    wrong,
  );
}

/** The rows shown, each once; what ended last comes first, however long ago it began. */
function rows(may) {
  const columns = [
    {
      title: "Began (UTC)",
      head: true,
      cell: (one) =>
        h(
          "button",
          { type: "button", class: "plain", "data-keep": one.request_id, onclick: (event) => (event.stopPropagation(), openRequest(one, may)) },
          format.time(one.started_at),
        ),
    },
    may.sees_all && { title: "Tenant", cell: (one) => format.name(one.tenant) },
    { title: "Key", cell: (one) => format.name(one.key_id) },
    { title: "Asked for", cell: asked },
    { title: "Served by", cell: served },
    { title: "Status", cell: (one) => statusTag(one.status) },
    { title: "Outcome", cell: (one) => outcomeTag(one.outcome) },
    { title: "Attempts", num: true, cell: (one) => String(one.attempts) },
    { title: "In", num: true, cell: (one) => format.tokens(one.input_tokens) },
    { title: "Out", num: true, cell: (one) => format.tokens(one.output_tokens) },
    { title: "Cost", num: true, cell: (one) => format.usd(one.cost_usd) },
    { title: "First token", num: true, cell: (one) => format.ms(one.ttft_ms) },
    { title: "Took", num: true, cell: (one) => format.ms(one.duration_ms) },
  ].filter(Boolean);
  const body = h("tbody");
  const shown = framed(
    CAPTION,
    undefined,
    h(
      "table",
      { class: "rows" },
      h("caption", { class: "unseen" }, CAPTION),
      h("thead", {}, h("tr", {}, columns.map(head))),
      body,
    ),
  );
  const note = h("div");
  const nothing = empty("No requests yet. They appear here as they end.");
  const element = h("div", { class: "stack" }, note, nothing);
  let known = new Map();
  let held = null;
  let told = () => {};
  let timer = 0;

  const put = () => {
    timer = 0;
    const newest = [...known.values()].sort((a, b) => b.ended - a.ended).slice(0, MOST_ROWS);
    known = new Map(newest.map((one) => [one.record.request_id, one]));
    // Only what is new is made and moved: a row that has the focus stays in its place.
    newest.forEach((one, at) => {
      one.row ??= line(columns, one.record, (row) => row.addEventListener("click", () => chosen(one.record, may)));
      if (body.children[at] !== one.row) body.insertBefore(one.row, body.children[at] ?? null);
    });
    while (body.children.length > newest.length) body.lastElementChild.remove();
    if (newest.length > 0 && nothing.isConnected) nothing.replaceWith(shown);
  };
  const add = (records) => {
    if (held) {
      records.forEach((record) => known.has(record.request_id) || held.set(record.request_id, record));
      for (const first of held.keys()) held.size > MOST_ROWS && held.delete(first);
      return told(held.size);
    }
    fill(note);
    records.forEach((record) => known.has(record.request_id) || known.set(record.request_id, { record, ended: ended(record) }));
    timer ||= setTimeout(put, DRAWN_EVERY_MS);
  };
  const hold = (paused, tell) => {
    const waiting = held;
    held = paused ? new Map() : null;
    told = paused ? tell : () => {};
    if (paused) tell(0);
    else if (waiting) add([...waiting.values()]);
  };
  return { element, add, hold, failed: (error) => fill(note, problem(error)) };
}

const ended = ({ started_at, duration_ms }) => Date.parse(started_at) + duration_ms;

/** A click that ends a selection of text is no click. */
function chosen(record, may) {
  if (String(getSelection()) === "") openRequest(record, may);
}
