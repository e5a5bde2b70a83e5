// What was used and what it cost, by whom and when.

import { h, fill, section, beside, choice, field, empty, problem } from "./dom.js";
import { table } from "./table.js";
import { area } from "./area.js";
import { chart } from "./chart.js";
import * as api from "./api.js";
import * as router from "./router.js";
import * as format from "./format.js";

const BY = ["tenant", "key", "user", "tag", "model", "provider", "upstream_model", "route"];
const SINCE = [["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"], ["90d", "90 days"], ["365d", "a year"]];
const STEPS = { hour: 3_600, day: 86_400 };
const SHOWN = {
  cost_usd: ["Cost", format.usd],
  requests: ["Requests", format.number],
  input_tokens: ["Input tokens", format.tokens],
  output_tokens: ["Output tokens", format.tokens],
};
/** Groups with a colour of their own; the others are one. */
const MOST_COLORS = 7;
const MOST_ROWS = 1_000;
const PAGE = 10_000;
const MOST_PAGES = 50;

export function mount(root, { query, signal, may }) {
  const wanted = {
    by: BY.includes(query.by) ? query.by : may.sees_all ? "tenant" : "key",
    step: Object.hasOwn(STEPS, query.step) ? query.step : query.since && query.since !== "24h" ? "day" : "hour",
    since: SINCE.some(([value]) => value === query.since) ? query.since : "24h",
    show: Object.hasOwn(SHOWN, query.show) ? query.show : "cost_usd",
    only: BY.includes(query.only) ? query.only : "",
    is: query.is ?? "",
  };
  const only = wanted.only && wanted.is ? { [wanted.only]: wanted.is } : {};
  const asked = { since: wanted.since, ...only };
  const load = async () => {
    const [sum, groups, series] = await Promise.all([
      api.get("/usage", asked, signal),
      api.get("/usage", { ...asked, by: wanted.by, limit: MOST_ROWS }, signal),
      api.get("/usage", { ...asked, by: `${wanted.by},${wanted.step}`, limit: PAGE }, signal),
    ]);
    return { sum: sum.data, groups, series };
  };
  fill(
    root,
    h("h1", {}, "Usage"),
    controls(wanted, may),
    area({ signal, seconds: 60, load, draw: (data) => drawn(data, wanted, asked, signal) }),
  );
}

function controls(wanted, may) {
  const pick = (name, label, options) => {
    const changed = (event) => router.change(name === "since" ? { since: event.target.value, step: "" } : { [name]: event.target.value });
    return field(label, choice(options, wanted[name], { name, "data-keep": `usage ${name}`, onchange: changed }));
  };
  const named = BY.map((by) => [by, format.words(by)]);
  const only = choice([["", "everything"], ...(may.sees_all ? named : named.filter(([by]) => by !== "tenant"))], wanted.only, { name: "only" });
  const is = h("input", { name: "is", value: wanted.is, autocomplete: "off", spellcheck: "false" });
  const send = (event) => {
    event.preventDefault();
    router.change({ only: is.value.trim() === "" ? "" : only.value, is: only.value === "" ? "" : is.value.trim() });
  };
  return h(
    "form",
    { class: "bar", onsubmit: send, "aria-label": "What is shown" },
    pick("by", "Group by", named),
    pick("step", "Per", [["hour", "hour"], ["day", "day"]]),
    pick("since", "Of the last", SINCE),
    pick("show", "Chart of", Object.entries(SHOWN).map(([name, [title]]) => [name, title])),
    field("Only of", only),
    field("whose name is", is),
    h("button", { type: "submit", "data-keep": "only" }, "Narrow"),
  );
}

function drawn({ sum, groups, series }, wanted, asked, signal) {
  const { by } = wanted;
  const columns = [
    { title: format.words(by), head: true, cell: (row) => format.name(row[by]), sort: (row) => row[by] ?? "" },
    ...[
      ["Requests", "requests", format.number],
      ["Failed", "failed", format.number],
      ["Without price", "unpriced", format.number],
      ["Input tokens", "input_tokens", format.number],
      ["of it cached", "cached_tokens", format.number],
      ["of it written", "cache_write_tokens", format.number],
      ["Output tokens", "output_tokens", format.number],
      ["of it reasoning", "reasoning_tokens", format.number],
    ].map(([title, member, show]) => ({ title, num: true, cell: (row) => show(row[member]), sort: (row) => row[member] })),
    { title: "Cost", num: true, cell: (row) => format.usd(row.cost_usd), sort: (row) => row.cost_pico_usd },
  ];
  const none = "Nothing was used in this time.";
  const note = by === "tag" ? "A request with several tags counts for each of them, one without tags for none." : null;
  return [
    total(sum[0]),
    h("section", { class: "box", "aria-label": "Over time" }, series.data.length === 0 ? empty(none) : overTime(series, groups.data, wanted, signal)),
    section(
      `By ${format.words(by)}`,
      beside(download(wanted, asked, signal)),
      note && h("p", { class: "quiet" }, note),
      groups.next_cursor && h("p", { class: "quiet" }, `The ${format.number(MOST_ROWS)} dearest; the CSV file has all.`),
      table({ caption: `Usage by ${format.words(by)}`, columns, rows: groups.data, none }),
    ),
  ];
}

function total(row) {
  if (!row) return null;
  const parts = [
    ["requests", "Requests", format.number],
    ["failed", "Failed", format.number],
    ["input_tokens", "Input tokens", format.number],
    ["output_tokens", "Output tokens", format.number],
    ["cost_usd", "Cost", format.usd],
  ];
  return h(
    "dl",
    { class: "tiles" },
    parts.map(([member, title, show]) => h("div", { class: "tile", "data-name": member }, h("dt", {}, title), h("dd", {}, h("span", { class: "value" }, show(row[member]))))),
  );
}

/** The groups with the most, and all others as one. */
function overTime({ data: rows, next_cursor }, groups, { by, step, since, show }, signal) {
  const at = (row) => Date.parse(step === "day" ? `${row.day}T00:00:00Z` : row.hour) / 1_000;
  const [title, format_it] = SHOWN[show];
  const seconds = STEPS[step];
  const span = Number.parseInt(since, 10) * STEPS[since.endsWith("d") ? "day" : "hour"];
  const starts = rows.map(at);
  // All of the time that was asked for; the two clocks need not agree to the second.
  const last = starts.reduce((a, b) => Math.max(a, b), Math.floor(Date.now() / 1_000 / seconds) * seconds);
  const first = starts.reduce((a, b) => Math.min(a, b), last - span + seconds);
  const times = Array.from({ length: Math.round((last - first) / seconds) + 1 }, (_, index) => first + index * seconds);
  const most = [...groups].sort((a, b) => b[show] - a[show]).slice(0, MOST_COLORS).map((row) => row[by]);
  const named = new Map(most.map((name, index) => [name, { title: format.name(name), color: index + 1, values: times.map(() => 0) }]));
  const others = { title: "others", color: 8, values: times.map(() => 0) };
  let has_others = false;
  for (const row of rows) {
    const one = named.get(row[by]);
    has_others ||= !one;
    (one ?? others).values[Math.round((at(row) - first) / seconds)] += row[show];
  }
  const series = [...named.values(), ...(has_others ? [others] : [])];
  const drawn = chart({ title: `${title} by ${format.words(by)} and ${step}`, times, step: seconds, series, show: format_it, stacked: true, signal });
  const cut = next_cursor && h("p", { class: "quiet" }, `Of the ${format.number(PAGE)} dearest lines; choose a shorter time, or days, to see all.`);
  return [cut, drawn];
}

function download(wanted, asked, signal) {
  const said = h("span", { class: "quiet", role: "status" });
  const run = async () => {
    button.disabled = true;
    fill(said, "Fetching");
    try {
      const rows = await everything(wanted, asked, signal);
      save(`weir-usage-by-${wanted.by}-${wanted.step}.csv`, csv(rows, [wanted.by, wanted.step]));
      fill(said, format.plural(rows.length, "line"));
    } catch (error) {
      if (!signal.aborted) fill(said, problem(error));
    }
    button.disabled = false;
  };
  const button = h("button", { type: "button", "data-keep": "csv", onclick: run }, "Download CSV");
  return [said, button];
}

async function everything({ by, step }, asked, signal) {
  const rows = [];
  let cursor;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { data, next_cursor } = await api.get("/usage", { ...asked, by: `${by},${step}`, limit: PAGE, cursor }, signal);
    rows.push(...data);
    cursor = next_cursor;
    if (!cursor) return rows;
  }
  throw new Error(`There are more than ${format.number(PAGE * MOST_PAGES)} lines: choose a shorter time, or use \`weir usage\`.`);
}

const FIGURES = ["requests", "failed", "unpriced", "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens"];

function csv(rows, names) {
  const lines = rows.map((row) => [...names.map((name) => quoted(row[name])), ...FIGURES.map((name) => row[name]), format.exactUsd(row.cost_pico_usd)].join(","));
  return `${[[...names, ...FIGURES, "cost_usd"].join(","), ...lines].join("\r\n")}\r\n`;
}

/** Names come from clients: what a spreadsheet would take for a formula is made text. */
function quoted(value) {
  const text = String(value ?? "");
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function save(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
