// Tenants: what they may use and what they used of it, and their keys.

import { h, fill, section, beside, facts, empty, choice, tag, say } from "./dom.js";
import { table } from "./table.js";
import { area } from "./area.js";
import { budgets, tightest, tone } from "./budgets.js";
import { ask } from "./dialog.js";
import { createKey, changeKey, rotateKey } from "./keys.js";
import * as api from "./api.js";
import * as router from "./router.js";
import * as format from "./format.js";

const STATES = ["active", "inactive", "expired", "revoked", "no_tenant", "id_taken", "unreadable"];
const TONES = { active: "good", inactive: "low", expired: "low", no_tenant: "bad", id_taken: "bad", unreadable: "bad" };

export function mount(root, { query, signal, may }) {
  const tenant = may.tenant ?? query.tenant;
  if (tenant) one(root, { tenant, state: query.state, signal, may });
  else all(root, signal);
}

function all(root, signal) {
  const columns = [
    { title: "Tenant", head: true, cell: ({ id }) => h("a", { href: router.write("tenants", { tenant: id }), "data-keep": `tenant ${id}` }, id) },
    { title: "Models", cell: ({ models }) => models.join(", ") || "all" },
    { title: "Limits", class: "mid", cell: ({ limits }) => format.limits(limits) },
    { title: "Budget with the least left", cell: ({ budgets: list }) => least(list) },
  ];
  fill(
    root,
    h("h1", {}, "Tenants and keys"),
    area({
      signal,
      seconds: 15,
      load: () => api.get("/tenants", {}, signal),
      draw: ({ data }) => section("Tenants", table({ caption: "Tenants", columns, rows: data, none: "The configuration has no tenants." })),
    }),
  );
}

function least(list) {
  const found = tightest(list);
  if (!found) return "no budgets";
  return [tag(`${format.percent(found.spent, found.limit)} spent`, tone(found)), ` of ${format.words(found.budget)}`];
}

function one(root, { tenant, state, signal, may }) {
  const settings = area({
    signal,
    seconds: 10,
    load: () => api.get(`/tenants/${encodeURIComponent(tenant)}`, {}, signal),
    draw: (data) => [own(data), shares(data)],
  });
  const keys = area({
    signal,
    seconds: 15,
    load: () => every(tenant, state, signal),
    draw: (list) => keyTable(list, tenant, may, () => Promise.all([keys.reload(), settings.reload()])),
  });
  const states = choice([["", "any state"], ...STATES.map((one) => [one, format.words(one)])], state ?? "", {
    "aria-label": "Only keys that are",
    "data-keep": "state",
    onchange: (event) => router.change({ state: event.target.value }),
  });
  const create = () => createKey(tenant, () => keys.reload());
  fill(
    root,
    may.sees_all && h("p", {}, h("a", { href: "#/tenants" }, "All tenants")),
    h("h1", {}, tenant),
    section(
      "Keys",
      beside(states, may.keys && h("button", { type: "button", class: "primary", "data-keep": "create", onclick: create }, "Create a key")),
      keys,
    ),
    settings,
  );
}

/** All pages of the list: at most a few thousand. */
async function every(tenant, state, signal) {
  const found = [];
  let cursor;
  do {
    const page = await api.get("/keys", { tenant, state, limit: 1000, cursor }, signal);
    found.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor && found.length < 5_000);
  return found;
}

function own({ models, limits, budgets: list, strict }) {
  return section(
    "All keys together",
    facts([
      ["Models", models.join(", ") || "all"],
      ["Limits", format.limits(limits)],
      ["What a provider cannot express", strict ? "is refused" : "is left out, and said so"],
    ]),
    budgets(list),
  );
}

/** What one model, each user and each tag may use; nothing where nothing is said. */
function shares({ model_limits, model_budgets, users, tags }) {
  const rows = [
    ...model_limits.map(({ model, limits }) => ({ of: `model ${model}`, limits, budgets: [] })),
    ...model_budgets.map((one) => ({ of: `model ${one.model}`, limits: {}, budgets: one.budgets })),
    ...tags.map((one) => ({ of: `tag ${one.tag}`, limits: one.limits, budgets: one.budgets })),
  ];
  if (users.budgets.length > 0 || Object.keys(users.limits).length > 0) {
    rows.push({ of: "each user", limits: users.limits, budgets: users.budgets });
  }
  if (rows.length === 0) return null;
  const columns = [
    { title: "Of", head: true, cell: ({ of }) => of },
    { title: "Limits", class: "mid", cell: ({ limits }) => format.limits(limits) },
    { title: "Budgets", class: "wide", cell: (row) => budgets(row.budgets) },
  ];
  return section("Models, users and tags", table({ caption: "Models, users and tags", columns, rows }));
}

function keyTable(list, tenant, may, changed) {
  const columns = [
    { title: "Key", head: true, class: "mid", cell: (key) => [key.id, key.key && h("div", {}, h("code", {}, key.key)), key.note && h("div", { class: "quiet" }, key.note)] },
    { title: "State", class: "mid", cell: state },
    { title: "May use", class: "mid", cell: may_use },
    { title: "Budgets", class: "wide", cell: (key) => budgets(key.balances) },
    may.keys && { title: "Change", cell: (key) => actions(key, changed) },
  ].filter(Boolean);
  return table({ caption: `Keys of ${tenant}`, columns, rows: list, none: "No keys here." });
}

function state(key) {
  const lines = [
    key.expires && `until ${format.moment(key.expires)}`,
    key.revoked_at && `at ${format.moment(key.revoked_at)}`,
    key.state === "active" && key.previous_until && Date.parse(key.previous_until) > Date.now()
      && `the secret before is good until ${format.moment(key.previous_until)}`,
    key.created_at && `made ${format.moment(key.created_at)}`,
  ].filter(Boolean);
  return [tag(format.words(key.state), TONES[key.state]), lines.map((text) => h("div", { class: "quiet" }, text))];
}

function may_use(key) {
  return [
    h("div", {}, (key.models ?? []).join(", ") || "all models of the tenant"),
    h("div", { class: "quiet" }, format.limits(key.limits)),
    (key.allowed_addresses ?? []).length > 0 && h("div", { class: "quiet" }, `from ${key.allowed_addresses.join(", ")}`),
  ];
}

function actions(key, changed) {
  if (key.source === "config") return h("span", { class: "quiet" }, "in the configuration");
  if (key.state === "revoked") return "";
  const button = (name, what, run, tone) =>
    h(
      "button",
      { type: "button", class: tone, "data-keep": `${what} ${key.id}`, "aria-label": `${name} ${key.id}`, onclick: run },
      name,
    );
  return h(
    "div",
    { class: "actions" },
    key.state !== "unreadable" && button("Change", "change", () => changeKey(key, changed)),
    key.state !== "unreadable" && button("Rotate", "rotate", () => rotateKey(key, changed)),
    button("Revoke", "revoke", () => revoke(key, changed), "danger"),
  );
}

function revoke(key, changed) {
  ask({
    title: `Revoke ${key.id}`,
    body: h("p", {}, "Whoever uses it is refused within two seconds, for good. Requests that run go on to their end."),
    action: "Revoke it",
    danger: true,
    run: async (close) => {
      await api.send("DELETE", `/keys/${encodeURIComponent(key.id)}`);
      await changed();
      close();
      say(`${key.id} is revoked`);
    },
  });
}
