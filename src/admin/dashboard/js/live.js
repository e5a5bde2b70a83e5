// Requests as they run and as they end.

import { h, fill, section, field, problem, empty, tag } from "./dom.js";
import { framed, head, line } from "./table.js";
import { openRequest, statusTag, outcomeTag, asked, served } from "./request.js";
import { captures } from "./capture.js";
import * as api from "./api.js";
import * as router from "./router.js";
import * as format from "./format.js";

/** More are not kept: the page would only get slower. */
const MOST_ROWS = 200;
/** Of these, so that one still sees what ends. */
const MOST_RUNNING = 100;
const AGAIN_MS = 3_000;
/** However many come; also while nobody looks, so that they do not pile up. */
const DRAWN_EVERY_MS = 200;
const TICK_MS = 1_000;
const CAPTION = "Requests: those that run, then the last to end first";

export function mount(root, { query, signal, may }) {
  const wanted = { tenant: query.tenant, model: query.model, status: query.status };
  const state = h("span", { class: "quiet", role: "status" }, "Connecting");
  const pause = h("button", { type: "button", "data-keep": "pause" }, "Pause");
  const list = rows(may, signal);
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
      // What runs is told anew.
      list.restart();
      try {
        const { data } = await api.get("/requests", { ...wanted, limit: 100 }, signal);
        list.add(data);
      } catch (error) {
        if (!signal.aborted) list.failed(error);
      }
    });
    source.addEventListener("started", (event) => list.begin(JSON.parse(event.data)));
    source.addEventListener("gone", (event) => list.end(JSON.parse(event.data).request_id));
    source.addEventListener("lost", () => list.lost());
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

/** The rows shown, each once: what runs, and what ended last, however long ago it began. */
function rows(may, signal) {
  const columns = [
    {
      title: "Began (UTC)",
      head: true,
      cell: (one) => (runs(one) ? h("span", { "data-runs": one.request_id }, format.time(one.started_at)) : opener(one, may)),
    },
    may.sees_all && { title: "Tenant", cell: (one) => format.name(one.tenant) },
    { title: "Key", cell: (one) => format.name(one.key_id) },
    { title: "Asked for", cell: asked },
    { title: "Served by", cell: (one) => (runs(one) && !one.provider ? "" : served(one)) },
    { title: "Status", cell: (one) => (runs(one) ? tag("running") : statusTag(one.status)) },
    { title: "Outcome", cell: (one) => (runs(one) ? "" : outcomeTag(one.outcome)) },
    { title: "Attempts", num: true, cell: (one) => String(one.attempts) },
    { title: "In", num: true, cell: (one) => format.tokens(one.input_tokens) },
    { title: "Out", num: true, cell: (one) => format.tokens(one.output_tokens) },
    { title: "Cost", num: true, cell: (one) => format.usd(one.cost_usd) },
    { title: "First token", num: true, cell: (one) => format.ms(one.ttft_ms) },
    { title: "Took", num: true, cell: (one) => (runs(one) ? h("span", { class: "took" }, took(one)) : format.ms(one.duration_ms)) },
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
  const nothing = empty("No requests yet. They appear here as they begin.");
  const element = h("div", { class: "stack" }, note, nothing);
  let known = new Map();
  let held = null;
  let told = () => {};
  let timer = 0;

  const put = () => {
    timer = 0;
    const all = [...known.values()];
    // Of too many that run the oldest are shown: they are the ones to look for.
    const running = all.filter((one) => runs(one.record)).sort((a, b) => a.record.since - b.record.since);
    const over = all.filter((one) => !runs(one.record)).sort((a, b) => b.ended - a.ended);
    const newest = [...running.slice(0, MOST_RUNNING).reverse(), ...over].slice(0, MOST_ROWS);
    known = new Map([...newest, ...running].map((one) => [one.record.request_id, one]));
    // Only what is new is made and moved: a row that has the focus stays in its place.
    newest.forEach((one, at) => {
      one.row ??= line(columns, one.record, (row) => clickable(row, one.record, may));
      if (body.children[at] !== one.row) body.insertBefore(one.row, body.children[at] ?? null);
    });
    while (body.children.length > newest.length) body.lastElementChild.remove();
    if (newest.length > 0 && nothing.isConnected) nothing.replaceWith(shown);
  };
  const draw = () => held || (timer ||= setTimeout(put, DRAWN_EVERY_MS));
  const isOver = (id) => known.has(id) && !runs(known.get(id).record);
  const end = (id) => {
    if (isOver(id) || !known.delete(id)) return;
    draw();
  };
  const begin = (record) => {
    const id = record.request_id;
    if (isOver(id) || held?.has(id)) return;
    // By this clock: the gateway's may be another.
    const since = known.get(id)?.record.since ?? performance.now() - record.running_ms;
    known.set(id, { record: { ...record, since } });
    draw();
  };
  const tick = setInterval(() => {
    if (held) return;
    known.forEach(({ record, row }) => runs(record) && row && (row.querySelector(".took").textContent = took(record)));
  }, TICK_MS);
  signal.addEventListener("abort", () => clearInterval(tick));
  const restart = () => {
    [...known.keys()].forEach(end);
    fill(note);
  };
  const lost = () => fill(note, h("p", { class: "quiet" }, "More requests come than can be shown: some are left out."));
  const add = (records) => {
    records = records.filter((record) => !isOver(record.request_id));
    if (held) {
      records.forEach((record) => {
        end(record.request_id);
        held.set(record.request_id, record);
      });
      for (const first of held.keys()) held.size > MOST_ROWS && held.delete(first);
      return told(held.size);
    }
    fill(note);
    records.forEach((record) => known.set(record.request_id, { record, ended: ended(record) }));
    draw();
  };
  const hold = (paused, tell) => {
    const waiting = held;
    held = paused ? new Map() : null;
    told = paused ? tell : () => {};
    if (paused) tell(0);
    else if (waiting) add([...waiting.values()]);
  };
  return { element, add, begin, end, restart, lost, hold, failed: (error) => fill(note, problem(error)) };
}

const ended = ({ started_at, duration_ms }) => Date.parse(started_at) + duration_ms;

/** What runs has no record yet. */
const runs = (one) => one.status === undefined;

function took({ since }) {
  const seconds = Math.max(0, Math.floor((performance.now() - since) / 1_000));
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

function opener(record, may) {
  const click = (event) => (event.stopPropagation(), openRequest(record, may));
  return h("button", { type: "button", class: "plain", "data-keep": record.request_id, onclick: click }, format.time(record.started_at));
}

/** What runs has nothing behind it yet. */
function clickable(row, record, may) {
  if (runs(record)) row.classList.add("runs");
  else row.addEventListener("click", () => chosen(record, may));
}

/** A click that ends a selection of text is no click. */
function chosen(record, may) {
  if (String(getSelection()) === "") openRequest(record, may);
}
