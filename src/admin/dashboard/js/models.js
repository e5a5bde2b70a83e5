// Routes to targets to endpoints, and how each is; endpoints are taken out and put back here.

import { h, fill, section, beside, facts, tag, say, empty } from "./dom.js";
import { table, framed, head } from "./table.js";
import { area } from "./area.js";
import { ask } from "./dialog.js";
import * as api from "./api.js";
import * as format from "./format.js";

const TONES = { good: "good", low_quota: "low", full: "low", cooling: "low", probing: "low" };

export function mount(root, { signal, may }) {
  const load = async () => {
    const [routes, providers] = await Promise.all([api.get("/routes", {}, signal), api.get("/providers", {}, signal)]);
    return { routes: routes.data, providers: providers.data };
  };
  const all = area({
    signal,
    seconds: 5,
    load,
    draw: ({ routes, providers }) => [
      h("h2", { class: "part" }, "Routes"),
      routes.length === 0 && empty("The configuration has no routes: models are asked for as provider/model."),
      routes.map(route),
      h("h2", { class: "part" }, "Providers"),
      providers.map((one) => provider(one, may, () => all.reload())),
    ],
  });
  fill(root, h("h1", {}, "Models and routes"), all);
}

/** With how long until it is back, where that is known. */
function state({ state: is, back_in_ms }) {
  const back = back_in_ms === null || back_in_ms === undefined ? "" : `, back in ${format.ms(back_in_ms)}`;
  return [tag(format.words(is), TONES[is] ?? "bad"), h("span", { class: "quiet" }, back)];
}

function breaker({ breaker: is }) {
  if (!is) return "–";
  return is === "closed" ? "closed" : tag(format.words(is), is === "open" ? "bad" : "low");
}

function faults({ fault_permille }) {
  if (fault_permille === null || fault_permille === undefined) return "–";
  const text = `${(fault_permille / 10).toFixed(0)}%`;
  return fault_permille >= 100 ? tag(text, "bad") : text;
}

/** What the last answers said is left: of requests, of tokens. */
function quota({ quota: learned }) {
  const one = (of, name) =>
    of && h("div", {}, `${format.tokens(of.remaining)}${of.limit === null ? "" : ` of ${format.tokens(of.limit)}`} ${name}, anew in ${format.ms(of.resets_in_ms)}`);
  const known = [one(learned?.requests, "requests"), one(learned?.tokens, "tokens")].filter(Boolean);
  return known.length === 0 ? "not known" : known;
}

/** US dollars for a million tokens. */
function price(of) {
  if (!of) return "–";
  return ["input", "cached", "cache_write", "output"]
    .filter((part) => of[part] !== undefined && of[part] !== null)
    .map((part) => h("div", {}, `${format.usd(Number(of[part]))} ${format.words(part)}`));
}

const MEASURES = [
  { title: "State", cell: state },
  { title: "Breaker", cell: breaker },
  { title: "First token", num: true, cell: (one) => format.ms(one.first_token_ms) },
  { title: "Faults", num: true, cell: faults },
  { title: "In flight", num: true, cell: (one) => format.number(one.in_flight) },
  { title: "Quota left", cell: quota },
];

function route(one) {
  const rows = lines(one, 0);
  const priced = rows.some(({ target }) => target.price);
  const first = [{ title: "Target" }, { title: "Weight", num: true }, priced && { title: "Price per million" }, { title: "Endpoint" }];
  const heads = [...first.filter(Boolean), ...MEASURES].map(head);
  const caption = `Route ${one.name}`;
  const inner = h(
    "table",
    { class: "tree" },
    h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, heads)),
    h("tbody", {}, rows.map((row) => routeLines(row, heads.length, priced))),
  );
  const strategy = one.strategy === "auto" ? `auto, prefers ${one.prefer}` : format.words(one.strategy);
  const rules = one.rules.map(({ when, to, prefer }) =>
    h("li", {}, h("code", {}, format.json(when)), " goes to ", to.join(", ") || "all targets", prefer && `, prefers ${prefer}`),
  );
  return section(
    one.name,
    beside(h("span", { class: "quiet" }, strategy)),
    framed(caption, caption, inner),
    rules.length > 0 && [h("h3", {}, "Rules, the first that holds"), h("ul", {}, rules)],
    facts([
      ["Conversations stay", one.affinity === null ? null : one.affinity ? "yes" : "no"],
      ["A second attempt after", one.late_ms === null ? null : format.ms(one.late_ms)],
    ]),
  );
}

/** Targets in their order, groups before what is in them. */
function lines(node, depth) {
  return node.targets.flatMap((target) =>
    target.targets ? [{ target, depth, group: true }, ...lines(target, depth + 1)] : [{ target, depth }],
  );
}

function routeLines({ target, depth, group }, width, priced) {
  const indent = `depth-${Math.min(depth, 3)}`;
  if (group) {
    const text = `${format.words(target.strategy)} group`;
    return h("tr", {}, h("th", { scope: "row", class: indent }, text), h("td", { class: "num" }, String(target.weight)), h("td", { colspan: width - 2 }));
  }
  const endpoints = target.endpoints.length > 0 ? target.endpoints : [null];
  return endpoints.map((endpoint, at) => {
    const span = endpoints.length;
    const first = at === 0 && [
      h("th", { scope: "row", class: indent, rowspan: span }, target.model, typeof target.quality === "number" && h("div", { class: "quiet" }, `quality ${target.quality}`)),
      h("td", { class: "num", rowspan: span }, String(target.weight)),
      priced && h("td", { rowspan: span }, price(target.price)),
    ];
    if (!endpoint) return h("tr", {}, first, h("td", { colspan: width - 2 }, "no endpoint"));
    const cells = MEASURES.map(({ num, cell }) => h("td", { class: num ? "num" : undefined }, cell(endpoint)));
    return h("tr", {}, first, h("td", {}, endpoint.id), cells);
  });
}

function provider(one, may, changed) {
  const places = ({ in_flight, places: all }) => (all === null ? format.number(in_flight) : `${format.number(in_flight)} of ${format.number(all)}`);
  const columns = [
    { title: "Endpoint", head: true, cell: ({ id, base_url }) => [id, h("div", { class: "quiet" }, base_url)] },
    { title: "Region", cell: ({ region }) => region ?? "–" },
    { title: "Weight", num: true, cell: ({ weight }) => String(weight) },
    { title: "State", cell: state },
    { title: "In flight", num: true, cell: places },
    { title: "Waiting", num: true, cell: ({ waiting }) => format.number(waiting) },
    { title: "Breaker opened", num: true, cell: ({ breaker_opened }) => format.plural(breaker_opened, "time") },
    may.runs && { title: "Take out", cell: (endpoint) => drain(endpoint, changed) },
  ].filter(Boolean);
  return section(
    one.name,
    beside(h("span", { class: "quiet" }, `${one.kind}, ${one.format}${one.has_credential ? "" : ", no credential"}`)),
    table({ caption: `Endpoints of ${one.name}`, columns, rows: one.endpoints }),
    askedModels(one),
    facts([[one.models_only ? "Models, no others" : "Models it names", one.models.join(", ") || "none: any name is passed on"]]),
  );
}

function askedModels({ name, endpoints }) {
  const rows = endpoints.flatMap(({ id, asked_models }) => asked_models.map((model) => ({ id, ...model })));
  if (rows.length === 0) return null;
  const columns = [
    { title: "Model", head: true, cell: ({ model }) => model },
    { title: "Endpoint", cell: ({ id }) => id },
    ...MEASURES,
    rows.some((row) => row.price) && { title: "Price per million", cell: (row) => price(row.price) },
  ].filter(Boolean);
  const caption = `Models that ${name} was asked for`;
  return h("details", { "data-keep": caption }, h("summary", {}, `${format.plural(rows.length, "model")} asked for, by endpoint`), table({ caption, columns, rows }));
}

function drain({ id, drained }, changed) {
  const set = async (what) => {
    await api.send("POST", `/endpoints/${encodeURIComponent(id)}/${what}`);
    await changed();
  };
  const keep = `drain ${id}`;
  if (drained) {
    const back = () => set("undrain").then(() => say(`${id} is back`), (error) => say(error.message));
    return h("button", { type: "button", "data-keep": keep, "aria-label": `Put back ${id}`, onclick: back }, "Put back");
  }
  const out = () =>
    ask({
      title: `Drain ${id}`,
      body: h("p", {}, "No request is sent there until it is put back. Requests that run there go on to their end. A reload does not change it; a restart puts it back."),
      action: "Drain it",
      danger: true,
      run: async (close) => {
        await set("drain");
        close();
        say(`${id} is drained`);
      },
    });
  return h("button", { type: "button", "data-keep": keep, "aria-label": `Drain ${id}`, onclick: out }, "Drain");
}
