// The configuration that is in force, without its secrets.

import { h, fill, section, beside, facts, problem, say } from "./dom.js";
import { table } from "./table.js";
import { area } from "./area.js";
import * as api from "./api.js";
import * as format from "./format.js";

export function mount(root, { signal, may }) {
  const outcome = h("div", { class: "stack" });
  const load = async () => {
    const [config, health, alerts] = await Promise.all([
      api.get("/config", {}, signal),
      api.get("/health", {}, signal),
      api.get("/alerts", {}, signal),
    ]);
    return { config, health, failed: alerts.data.find(({ kind }) => kind === "config_reload_failed") };
  };
  let shown = null;
  const all = area({
    signal,
    seconds: 30,
    load,
    draw: (data) => {
      if (shown && shown.hash !== data.config.hash) fill(outcome, done(shown, data.config));
      shown = data.config;
      return [instance(data), content(data.config)];
    },
  });
  const reload = async () => {
    button.disabled = true;
    const before = shown;
    try {
      await api.send("POST", "/reload");
      fill(outcome);
      await all.reload();
      if (before && shown.hash === before.hash) fill(outcome, done(before, shown));
      say("The configuration was read again");
    } catch (error) {
      error.title = error.status === 400 ? "The file has errors; what was in force stays" : error.title;
      fill(outcome, problem(error));
    }
    button.disabled = false;
  };
  const button = h("button", { type: "button", class: "primary", onclick: reload }, "Read it again");
  fill(root, h("div", { class: "page-head" }, h("h1", {}, "Configuration"), may.runs && button), outcome, all);
}

function instance({ config, health, failed }) {
  const pending = failed && Date.parse(failed.at) > Date.parse(config.loaded_at) && failed.state === "raised";
  return section(
    "In force",
    pending && problem({ title: "The file was changed since, and has errors", message: `${format.moment(failed.at)} UTC\n${reason(failed)}` }),
    facts([
      ["Hash", h("code", {}, config.hash)],
      ["Read (UTC)", format.moment(config.loaded_at)],
      ["State", health.status],
      ["Version", health.version],
      ["Prices", health.prices_version],
      ["Keys as of", health.keys_age_seconds === null ? "no database yet" : `${format.plural(health.keys_age_seconds, "second")} ago`],
      ["Open files", health.open_files === undefined ? null : `${format.number(health.open_files)} of ${format.number(health.open_files_limit)}`],
    ]),
  );
}

/** The report of the configuration, where the alert has it. */
function reason({ text, data }) {
  const more = Object.values(data ?? {}).filter((value) => typeof value === "string");
  return [text, ...more].join("\n");
}

function done(before, after) {
  const columns = [
    { title: "Setting", head: true, cell: ([path]) => h("code", {}, path) },
    { title: "Before", cell: ([, old]) => h("code", {}, old ?? "–") },
    { title: "Now", cell: ([, , now]) => h("code", {}, now ?? "–") },
  ];
  return section(
    "Read again",
    beside(h("code", {}, after.hash)),
    table({ caption: "What changed", columns, rows: differences(before, after), none: "Nothing that is shown here changed." }),
  );
}

const ASIDE = ["hash", "loaded_at"];

/** `[path, before, now]` of each leaf that is not what it was. */
function differences(before, after) {
  const [old, now] = [leaves(before), leaves(after)];
  return [...new Set([...old.keys(), ...now.keys()])]
    .filter((path) => !ASIDE.includes(path) && old.get(path) !== now.get(path))
    .sort()
    .map((path) => [path, old.get(path), now.get(path)]);
}

function leaves(value, path = "", found = new Map()) {
  const inside = typeof value === "object" && value !== null ? Object.entries(value) : [];
  if (inside.length === 0) found.set(path, format.json(value));
  for (const [name, one] of inside) leaves(one, Array.isArray(value) ? `${path}[${name}]` : path ? `${path}.${name}` : name, found);
  return found;
}

/** One part for each of its top-level members. */
function content(config) {
  const parts = Object.entries(config)
    .filter(([name]) => !ASIDE.includes(name))
    .map(([name, value]) => {
      const label = `Configuration: ${name}`;
      return h(
        "details",
        { "data-keep": `config ${name}` },
        h("summary", {}, name),
        h("pre", { class: "scroll", tabindex: "0", role: "region", "aria-label": label, "data-keep": label }, format.json(value, 2)),
      );
    });
  return section("Content, secrets left out", parts);
}
