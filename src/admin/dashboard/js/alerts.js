// What the gateway told of by itself, and who changed what.

import { h, fill, section, beside, tag, problem } from "./dom.js";
import { table } from "./table.js";
import { area } from "./area.js";
import * as api from "./api.js";
import * as format from "./format.js";

const TONES = { critical: "bad", warning: "low" };
const PAGE = 50;

export function mount(root, { signal }) {
  fill(root, h("h1", {}, "Alerts and audit log"), alerts(signal), audit(signal));
}

function alerts(signal) {
  const columns = [
    { title: "At (UTC)", head: true, class: "one-line", cell: ({ at }) => format.moment(at) },
    { title: "State", cell: ({ state, severity }) => tag(state === "resolved" ? "resolved" : severity, state === "resolved" ? "good" : TONES[severity]) },
    { title: "Kind", cell: ({ kind }) => format.words(kind) },
    { title: "About", cell: ({ subject }) => subject },
    { title: "Tenant", cell: ({ tenant }) => tenant ?? "–" },
    { title: "What", class: "wide", cell: ({ text }) => text },
    { title: "Data", cell: ({ id, data }) => details(`alert ${id}`, data) },
  ];
  return section(
    "Alerts",
    area({
      signal,
      seconds: 15,
      load: () => api.get("/alerts", {}, signal),
      draw: ({ data }) => table({ caption: "Alerts, newest first", columns, rows: data, none: "None since the start." }),
    }),
  );
}

function details(keep, data) {
  if (!data || Object.keys(data).length === 0) return "–";
  return h("details", { "data-keep": keep }, h("summary", {}, "Show"), h("pre", {}, format.json(data, 2)));
}

function audit(signal) {
  const older = [];
  let cursor;
  const newest = area({
    signal,
    seconds: 15,
    load: () => api.get("/audit", { limit: PAGE }, signal),
    draw: ({ data, next_cursor }) => {
      const known = new Set(data.map(({ seq }) => seq));
      const rows = [...data, ...older.filter(({ seq }) => !known.has(seq))];
      if (older.length === 0) cursor = next_cursor;
      return [chain(rows), table({ caption: "Changes, newest first", columns, rows, none: "No changes yet." }), more()];
    },
  });
  const more = () => {
    if (!cursor) return null;
    const wrong = h("div");
    const run = async () => {
      try {
        const page = await api.get("/audit", { limit: PAGE, cursor }, signal);
        older.push(...page.data);
        cursor = page.next_cursor;
        await newest.reload();
      } catch (error) {
        if (!signal.aborted) fill(wrong, problem(error));
      }
    };
    return h("div", {}, wrong, h("button", { type: "button", "data-keep": "older", onclick: run }, "Show older ones"));
  };
  const columns = [
    { title: "No.", num: true, cell: ({ seq }) => String(seq) },
    { title: "At (UTC)", head: true, class: "one-line", cell: ({ at }) => format.moment(at) },
    { title: "Who", cell: ({ who }) => who },
    { title: "Did", cell: ({ action }) => action },
    { title: "To", cell: ({ target }) => target },
    { title: "Detail", cell: ({ seq, detail }) => details(`audit ${seq}`, detail) },
    { title: "Hash", cell: ({ hash }) => h("code", { title: hash }, hash.slice(0, 12)) },
  ];
  return section("Audit log", newest);
}

/** Each entry has the hash of the one before; whether that holds for those shown. The hashes themselves are not computed anew. */
function chain(rows) {
  if (rows.length < 2) return null;
  const broken = rows.findIndex((row, at) => at + 1 < rows.length && rows[at + 1].seq === row.seq - 1 && row.prev_hash !== rows[at + 1].hash);
  if (broken < 0) return h("p", { class: "quiet" }, "Each entry shown names the hash of the one before it.");
  return problem({ title: "The chain is broken", message: `Entry ${rows[broken].seq} does not have the hash of entry ${rows[broken + 1].seq}: one of them was changed.` });
}
