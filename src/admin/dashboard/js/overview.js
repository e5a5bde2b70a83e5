// How it goes: numbers, charts, what is used most, and what asks for attention.

import { h, fill, section, empty, buttons, tag } from "./dom.js";
import { table } from "./table.js";
import { area } from "./area.js";
import { chart } from "./chart.js";
import * as api from "./api.js";
import * as router from "./router.js";
import * as format from "./format.js";

const RANGES = [
  ["15m", "15 min"],
  ["1h", "1 h"],
  ["6h", "6 h"],
  ["24h", "24 h"],
  ["7d", "7 d"],
  ["30d", "30 d"],
];

export function mount(root, { query, signal, may }) {
  const since = RANGES.some(([value]) => value === query.since) ? query.since : "1h";
  const slow = since === "7d" || since === "30d";
  fill(
    root,
    h(
      "div",
      { class: "page-head" },
      h("h1", {}, "Overview"),
      buttons("Time range", RANGES, since, (value) => router.change({ since: value })),
    ),
    may.sees_all && attention(signal),
    area({
      signal,
      seconds: slow ? 60 : 10,
      load: () => api.get("/overview", { since }, signal),
      draw: (data) => [numbers(data), h("div", { class: "pairs" }, charts(data, signal, latency(data)))],
    }),
    h("div", { class: "columns" }, tops(may).map(([by, title]) => top(by, title, since, slow, signal))),
  );
}

/** What is not as it should be, in lines that lead to where more is said; nothing where all is well. */
function attention(signal) {
  const load = async () => {
    const [providers, alerts] = await Promise.all([api.get("/providers", {}, signal), api.get("/alerts", {}, signal)]);
    return { providers: providers.data, alerts: alerts.data };
  };
  return area({ signal, seconds: 15, load, draw: ({ providers, alerts }) => lines(providers, alerts) });
}

function lines(providers, alerts) {
  const endpoints = providers.flatMap((provider) => provider.endpoints);
  const out = endpoints.filter(({ state }) => !["good", "low_quota"].includes(state)).map(({ id, state }) => `${id} (${format.words(state)})`);
  const part = endpoints
    .filter(({ state }) => state === "good")
    .filter(({ asked_models }) => asked_models.some(({ breaker }) => breaker === "open"))
    .map(({ id }) => id);
  const found = [];
  if (out.length > 0) found.push(["#/models", `Endpoints that take no requests: ${out.join(", ")}`]);
  if (part.length > 0) found.push(["#/models", `Endpoints with a model that is cut off: ${part.join(", ")}`]);
  for (const alert of raised(alerts).slice(0, 3)) found.push(["#/alerts", `${format.time(alert.at)} ${alert.text}`]);
  if (found.length === 0) return null;
  return h(
    "section",
    { class: "box attention", "aria-label": "Needs attention" },
    h("ul", {}, found.map(([href, text]) => h("li", {}, h("a", { href }, text)))),
  );
}

/** Of each matter the last word, where that is no "resolved", and not older than a day. */
function raised(alerts) {
  const seen = new Set();
  const day_ago = Date.now() - 86_400_000;
  return alerts.filter((alert) => {
    const matter = `${alert.kind} ${alert.subject} ${alert.tenant}`;
    const first = !seen.has(matter);
    seen.add(matter);
    return first && alert.state === "raised" && alert.severity !== "info" && Date.parse(alert.at) > day_ago;
  });
}

function numbers(data) {
  const minutes = Math.max((Date.parse(data.until) - Date.parse(data.since)) / 60_000, 1);
  const rate = data.requests / minutes;
  const tiles = [
    ["requests", "Requests", format.number(data.requests), `${rate < 10 ? rate.toFixed(1) : format.number(rate)} per minute`],
    ["failed", "Failed", format.number(data.failed), `${format.percent(data.failed, data.requests)} of requests`, data.failed > 0 && "bad"],
    ["throttled", "Throttled", format.number(data.throttled), "by limits, since the start", data.throttled > 0 && "low"],
    ["in_flight", "In flight", format.number(data.in_flight), "now"],
    ["input_tokens", "Input tokens", format.tokens(data.input_tokens), `${format.percent(data.cached_tokens, data.input_tokens)} from caches`],
    ["output_tokens", "Output tokens", format.tokens(data.output_tokens), ""],
    ["cost_usd", "Spend", format.usd(data.cost_usd), ""],
  ];
  const made = tiles.map(([name, title, value, note, tone]) =>
    h(
      "div",
      { class: "tile", "data-name": name },
      h("dt", {}, title),
      h("dd", {}, h("span", { class: tone ? `value ${tone}` : "value" }, value), note && h("span", { class: "quiet" }, note)),
    ),
  );
  return h("dl", { class: "tiles" }, made);
}

function latency(data) {
  const rows = [
    ["Time to first token", data.ttft_ms],
    ["Whole request", data.duration_ms],
    ["Added by the gateway", data.overhead_ms],
  ];
  const part = (name) => ({ title: name, num: true, cell: ([, of]) => format.ms(of?.[name]) });
  const columns = [{ title: "Latency", head: true, cell: ([title]) => title }, part("p50"), part("p95"), part("p99")];
  return h("section", { class: "box", "aria-label": "Latency" }, table({ caption: "Latency", columns, rows }));
}

/** Where nothing was asked there is nothing to draw. */
function charts({ series, step_s: step }, signal, latency_box) {
  if (series.every(({ requests }) => requests === 0)) {
    return [section("Over time", empty("No requests in this time. Send one, or choose a longer time.")), latency_box];
  }
  const times = series.map(({ at }) => at);
  const of = (member) => series.map((one) => one[member]);
  const good = series.map(({ requests, failed }) => requests - failed);
  const box = (of) => h("section", { class: "box", "aria-label": of.title }, chart({ times, step, stacked: true, signal, ...of }));
  return [
    box({
      title: "Requests",
      show: format.number,
      series: [
        { title: "Good", values: good, color: 1 },
        { title: "Failed", values: of("failed"), color: 7 },
      ],
    }),
    latency_box,
    box({
      title: "Tokens",
      show: format.tokens,
      series: [
        { title: "Input", values: of("input_tokens"), color: 1 },
        { title: "Output", values: of("output_tokens"), color: 2 },
      ],
    }),
    box({ title: "Spend", show: format.usd, series: [{ title: "Cost", values: of("cost_usd"), color: 3 }] }),
  ];
}

/** Leads to the usage of just that: of a model by tenants, of others by model. */
function narrowed(by, name, since) {
  if (name === null) return format.name(name);
  const long = since === "7d" || since === "30d";
  const href = router.write("usage", { by: by === "model" ? "tenant" : "model", since: long ? since : "24h", only: by, is: name });
  return h("a", { href, "data-keep": `top ${by} ${name}` }, name);
}

const tops = (may) => [may.sees_all ? ["tenant", "Tenants"] : ["key", "Keys"], ["model", "Models"], ["provider", "Providers"]];

function top(by, title, since, slow, signal) {
  const columns = [
    { title: title.slice(0, -1), head: true, cell: (row) => narrowed(by, row[by], since) },
    { title: "Requests", num: true, cell: (row) => format.number(row.requests) },
    { title: "Failed", num: true, cell: (row) => (row.failed > 0 ? tag(format.number(row.failed), "bad") : "0") },
    { title: "Tokens", num: true, cell: (row) => format.tokens(row.input_tokens + row.output_tokens) },
    { title: "Cost", num: true, cell: (row) => format.usd(row.cost_usd) },
  ];
  return section(
    `${title} by cost`,
    area({
      signal,
      seconds: slow ? 60 : 15,
      load: () => api.get("/usage", { by, since, limit: 6 }, signal),
      draw: ({ data }) => table({ caption: `${title} by cost`, columns, rows: data, none: "Nothing was used in this time." }),
    }),
  );
}
