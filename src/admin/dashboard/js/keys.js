// Making and changing keys, and the one time that a secret is shown.

import { h, fill, field, choice, say, facts } from "./dom.js";
import { ask, open } from "./dialog.js";
import * as api from "./api.js";
import * as format from "./format.js";

const AMOUNTS = ["requests", "tokens", "input_tokens", "output_tokens"];
const LIMITS = [...AMOUNTS.flatMap((of) => ["second", "minute", "hour", "day"].map((per) => `${of}_per_${per}`)), "concurrency"];
const LISTS = ["models", "allowed_addresses"];

export function createKey(tenant, changed) {
  const id = h("input", { name: "id", autocomplete: "off", spellcheck: "false" });
  const form = settings({});
  ask({
    title: `Create a key of ${tenant}`,
    body: [field("Id", id, "Its name in records and metrics. Left out: the tenant's name and the key's handle."), form.parts],
    action: "Create it",
    run: async (close) => {
      const given = Object.entries(form.read()).filter(([, value]) => value !== null);
      const made = await api.send("POST", "/keys", { tenant, id: id.value.trim() || undefined, ...Object.fromEntries(given) });
      close();
      changed();
      show(made, "The key was made");
    },
  });
}

export function changeKey(key, changed) {
  const form = settings(key);
  const active = h("input", { type: "checkbox", checked: key.active !== false });
  ask({
    title: `Change ${key.id}`,
    body: [h("p", {}, h("label", {}, active, " may be used")), form.parts],
    action: "Change it",
    run: async (close) => {
      const now = { ...form.read(), active: active.checked };
      const before = { ...settings(key).read(), active: key.active !== false };
      const differs = Object.entries(now).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]));
      if (differs.length > 0) await api.send("PATCH", `/keys/${encodeURIComponent(key.id)}`, Object.fromEntries(differs));
      await changed();
      close();
      say(`${key.id} is changed`);
    },
  });
}

export function rotateKey(key, changed) {
  const grace = choice([["0", "not at all"], ["1h", "1 hour"], ["24h", "24 hours"], ["168h", "7 days"]], "24h", { name: "grace" });
  ask({
    title: `Rotate ${key.id}`,
    body: [
      h("p", {}, "The key gets a new secret. A secret before the present one ends at once."),
      field("The present secret is still good for", grace),
    ],
    action: "Rotate it",
    run: async (close) => {
      const made = await api.send("POST", `/keys/${encodeURIComponent(key.id)}/rotate`, { grace: grace.value });
      close();
      changed();
      show(made, "The key has a new secret");
    },
  });
}

/** The secret is in this dialog and nowhere else: it is gone when the dialog closes. */
function show(made, title) {
  const secret = h("input", { readonly: true, value: made.secret, class: "secret", spellcheck: "false", autocomplete: "off" });
  const done = h("span", { class: "quiet", role: "status" });
  const copy = async () => {
    secret.select();
    try {
      await navigator.clipboard.writeText(made.secret);
      done.textContent = "Copied";
    } catch {
      // Only pages that came safely may; the text is selected.
      done.textContent = "It is selected: copy it with Ctrl-C";
    }
  };
  open({
    title,
    button: "I have kept it",
    body: () => [
      h("p", {}, h("strong", {}, "The secret is shown this once."), " Keep it where secrets are kept; Weir only has its hash."),
      field("Secret", secret),
      h("p", { class: "bar" }, h("button", { type: "button", class: "primary", onclick: copy }, "Copy"), done),
      facts([
        ["Key", made.id],
        ["Tenant", made.tenant],
        ["The secret before is good until", made.previous_until && `${format.moment(made.previous_until)} UTC`],
      ]),
    ],
  });
}

/** The members of a key as form fields; `read()` gives them as the API takes them, `null` where empty. */
function settings(key) {
  const note = h("input", { name: "note", value: key.note ?? "", autocomplete: "off" });
  const expires = h("input", { name: "expires", value: key.expires ?? "", placeholder: "2027-06-30", autocomplete: "off" });
  const lists = Object.fromEntries(LISTS.map((name) => [name, h("input", { name, value: (key[name] ?? []).join(", "), autocomplete: "off", spellcheck: "false" })]));
  const limits = several("Add a limit", Object.entries(key.limits ?? {}).filter(([name]) => LIMITS.includes(name)), limitRow);
  const budgets = several("Add a budget", key.budgets ?? [], budgetRow);
  const parts = [
    field("Note", note),
    field("Expires", expires, "A day or a moment in UTC. Empty: never."),
    field("Models", lists.models, "Names or patterns such as openai/*, with commas. Empty: all of the tenant."),
    field("Allowed addresses", lists.allowed_addresses, "Addresses or networks, with commas. Empty: everywhere."),
    h("fieldset", {}, h("legend", {}, "Limits"), limits.element),
    h("fieldset", {}, h("legend", {}, "Budgets"), budgets.element),
  ];
  const read = () => {
    const rest = Object.entries(key.limits ?? {}).filter(([name]) => !LIMITS.includes(name));
    const given = { ...Object.fromEntries(rest), ...Object.fromEntries(limits.read()) };
    const text = (input) => input.value.trim() || null;
    const list = (input) => input.value.split(",").map((one) => one.trim()).filter(Boolean);
    const orNull = (values) => (values.length === 0 ? null : values);
    return {
      note: text(note),
      expires: text(expires),
      models: orNull(list(lists.models)),
      allowed_addresses: orNull(list(lists.allowed_addresses)),
      limits: Object.keys(given).length === 0 ? null : given,
      budgets: orNull(budgets.read()),
    };
  };
  return { parts, read };
}

/** Rows that can be added and taken away; those without an amount are none. */
function several(add, values, row) {
  const list = h("div", { class: "stack" });
  const put = (value) => {
    const made = row(value);
    const remove = () => {
      made.element.remove();
      more.focus();
    };
    made.element.append(h("button", { type: "button", class: "plain", onclick: remove }, "Remove"));
    made.element.read = made.read;
    list.append(made.element);
    return made.element;
  };
  const more = h("button", { type: "button", onclick: () => put().querySelector("select").focus() }, add);
  values.forEach(put);
  const read = () => [...list.children].map((element) => element.read()).filter(Boolean);
  return { element: h("div", { class: "stack" }, list, more), read };
}

function limitRow([limit, most] = ["requests_per_minute", ""]) {
  const which = choice(LIMITS.map((name) => [name, format.words(name)]), limit, { "aria-label": "Limit" });
  const amount = h("input", { inputmode: "numeric", value: most, size: 10, "aria-label": "At most" });
  const read = () => (amount.value.trim() === "" ? null : [which.value, figure(amount.value)]);
  return { element: h("div", { class: "bar" }, which, amount), read };
}

/** What the row has no fields for (time zone, warnings ...) stays as it was. */
function budgetRow(budget = {}) {
  const unit = choice([["usd", "US dollars"], ["tokens", "tokens"]], budget.tokens === undefined ? "usd" : "tokens", { "aria-label": "Unit" });
  const amount = h("input", { inputmode: "decimal", value: budget.usd ?? budget.tokens ?? "", size: 10, "aria-label": "At most" });
  const per = choice([["day", "per day"], ["week", "per week"], ["month", "per month"], ["total", "in all"]], budget.per ?? "month", { "aria-label": "Period" });
  const soft = h("input", { type: "checkbox", checked: budget.soft === true });
  const read = () => {
    if (amount.value.trim() === "") return null;
    const { usd: _usd, tokens: _tokens, soft: _soft, ...rest } = budget;
    return { ...rest, [unit.value]: figure(amount.value), per: per.value, ...(soft.checked ? { soft: true } : {}) };
  };
  return { element: h("div", { class: "bar" }, unit, amount, per, h("label", {}, soft, " only warns")), read };
}

/** A number where it is one; else the gateway says what is wrong with it. */
function figure(text) {
  const value = Number(text.trim().replaceAll("_", "").replaceAll(" ", ""));
  return Number.isFinite(value) ? value : text.trim();
}
