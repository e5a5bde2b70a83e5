// One request: the dialog that says all that is known of it, and words that lists share.

import { h, facts, tag, empty } from "./dom.js";
import { table } from "./table.js";
import { open } from "./dialog.js";
import { captured } from "./capture.js";
import * as format from "./format.js";

export function statusTag(status) {
  const tone = status < 400 ? "good" : status === 429 ? "low" : "bad";
  return tag(String(status), tone);
}

export function outcomeTag(outcome) {
  const tone = { finished: undefined, failed: "bad", upstream_cut: "bad", client_cut: "low", recovered: "low" }[outcome];
  return tag(format.words(outcome), tone);
}

/** What was asked for, and who answered where that has another name. */
export function asked(record) {
  return format.name(record.model);
}

export function served(record) {
  return record.provider ? `${record.provider}/${record.upstream_model ?? "?"}` : "nobody";
}

/** `may.runs`: also what was captured of it. */
export function openRequest(record, may) {
  open({ title: "Request", wide: true, body: () => [parts(record), may.runs && captured(record)] });
}

function parts(record) {
  return [
    h("p", {}, statusTag(record.status), " ", outcomeTag(record.outcome), " ", h("code", {}, record.request_id)),
    record.error && h("p", { class: "problem" }, h("strong", {}, "Error: "), h("code", {}, record.error)),
    facts([
      ["Began (UTC)", format.moment(record.started_at)],
      ["Took", format.ms(record.duration_ms)],
      ["First token after", record.ttft_ms === null ? null : format.ms(record.ttft_ms)],
      ["Added by the gateway", format.ms(record.overhead_ms)],
      ["Cost", cost(record)],
      ["Asked for", asked(record)],
      ["Served by", served(record)],
      ["Route", record.route],
      ["Why there", record.route_reason],
      ["Tokens saved by compression", record.compression_saved_tokens],
      ["Cache", record.cache],
      ["Fallback", record.fallback ? "yes" : "no"],
      ["Tenant", record.tenant],
      ["Key", record.key_id],
      ["User", record.user],
      ["Tags", (record.tags ?? []).join(", ")],
      ["Format", `${record.format}${record.stream ? ", streamed" : ""}`],
      ["Client's own id", record.client_request_id],
      ["Trace", record.trace_id],
      ["Service tier", record.service_tier],
      ["Prices of", record.price_version],
    ]),
    record.attempts === 0 ? empty("No provider was asked.") : exchange(record),
  ];
}

function cost(record) {
  if (!record.provider || record.input_tokens === null) return "nothing";
  return record.cost_usd === null ? "no price is known" : format.usd(record.cost_usd);
}

/** What went on with providers. */
function exchange(record) {
  return [
    h("h3", {}, `Attempts (${record.attempts})`),
    timeline(record),
    h("h3", {}, "Tokens"),
    tokenClasses(record),
    h("h3", {}, "Left out in translation"),
    (record.dropped ?? []).length === 0
      ? empty("Nothing: the provider was asked for all that the client asked for.")
      : h("ul", {}, record.dropped.map((path) => h("li", {}, h("code", {}, path)))),
  ];
}

/** The attempts against the time of the whole request. */
function timeline(record) {
  const attempts = record.timeline ?? [];
  if (attempts.length === 0) return empty("They are not recorded.");
  const whole = Math.max(record.duration_ms, ...attempts.map(({ at_ms, duration_ms }) => at_ms + duration_ms), 0.001);
  const columns = [
    { title: "Endpoint", head: true, cell: (one) => one.endpoint },
    { title: "Model", cell: (one) => one.model },
    { title: "Kind", cell: (one) => one.kind },
    { title: "When", class: "wide", cell: (one) => bar(one, whole, record.ttft_ms) },
    { title: "Began at", num: true, cell: (one) => format.ms(one.at_ms) },
    { title: "Took", num: true, cell: (one) => format.ms(one.duration_ms) },
    { title: "Status", num: true, cell: (one) => (one.status === null ? "–" : String(one.status)) },
    { title: "Outcome", cell: (one) => tag(format.words(one.outcome), one.outcome === "ok" ? "good" : "bad") },
    { title: "Error", cell: (one) => one.error ?? "" },
  ];
  if (attempts.some((one) => one.input_tokens !== undefined)) {
    columns.push({ title: "Used as well", num: true, cell: usedAsWell });
  }
  return table({ caption: "Attempts", columns, rows: attempts });
}

/** What an attempt used that did not answer. */
function usedAsWell(one) {
  if (one.input_tokens === undefined) return "";
  const cost = one.cost_pico_usd === null || one.cost_pico_usd === undefined ? "" : `, ${format.usd(Number(one.cost_pico_usd) / 1e12)}`;
  return `${format.tokens(one.input_tokens)} in, ${format.tokens(one.output_tokens)} out${cost}`;
}

function bar(one, whole, first_token_ms) {
  const share = (value) => `${Math.min(100, (100 * value) / whole)}%`;
  const piece = h("span", { class: one.outcome === "ok" ? "good" : "bad" });
  piece.style.left = share(one.at_ms);
  piece.style.width = share(one.duration_ms);
  const track = h("span", { class: "track", "aria-hidden": "true" }, piece);
  if (first_token_ms !== null && first_token_ms !== undefined && one.outcome === "ok") {
    const mark = h("i");
    mark.style.left = share(first_token_ms);
    track.append(mark);
  }
  return track;
}

function tokenClasses(record) {
  if (record.input_tokens === null || record.input_tokens === undefined) return empty("None were used.");
  const classes = Object.entries(record.usage ?? {}).map(([name, count]) => [format.words(name), count]);
  const rows = [["input, all", record.input_tokens], ["output, all", record.output_tokens], ...classes];
  const columns = [
    { title: "Class", head: true, cell: ([name]) => name },
    { title: "Tokens", num: true, cell: ([, count]) => (typeof count === "number" ? format.number(count) : format.json(count)) },
  ];
  const source = { reported: "as the provider reported", partial: "partly reported, partly estimated", estimated: "estimated: the provider did not say" };
  return [
    h("p", { class: "quiet" }, source[record.usage_source] ?? format.name(record.usage_source)),
    table({ caption: "Tokens by class", columns, rows }),
  ];
}
