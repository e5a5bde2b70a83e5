// Budgets as they stand, as bars.

import { h, tag } from "./dom.js";
import * as format from "./format.js";

const amount = (unit, value) => (unit === "usd" ? format.usd(value) : `${format.tokens(value)} tokens`);

/** Those that say what is spent, and those of many that only say what each may. */
export function budgets(list) {
  if (list.length === 0) return h("p", { class: "quiet" }, "no budgets");
  return h("ul", { class: "budgets" }, list.map(one));
}

function one(budget) {
  const per = budget.per === "total" ? "in all" : `per ${budget.per}`;
  const most = `${amount(budget.unit, budget.limit)} ${per}`;
  if (budget.spent === undefined) return h("li", {}, `${most} each`, budget.soft && [" ", tag("only warns")]);
  const share = (value) => `${budget.limit > 0 ? Math.min(100, (100 * value) / budget.limit) : 100}%`;
  const spent = h("span", { class: tone(budget) });
  const reserved = h("span", { class: "reserved" });
  spent.style.width = share(budget.spent);
  reserved.style.width = share(budget.reserved);
  return h(
    "li",
    {},
    h(
      "div",
      { class: "budget-text" },
      h("span", {}, h("strong", {}, amount(budget.unit, budget.spent)), ` of ${most}`),
      budget.soft && tag("only warns"),
      budget.stop && tag("ends streams"),
      h("span", { class: "quiet" }, `${format.percent(budget.spent, budget.limit)} spent`),
    ),
    h("div", { class: "meter", "aria-hidden": "true" }, spent, reserved),
    h(
      "div",
      { class: "quiet" },
      `${amount(budget.unit, budget.reserved)} reserved, ${amount(budget.unit, budget.remaining)} left`,
      budget.resets_at && `; begins anew ${format.moment(budget.resets_at).slice(0, 16)} UTC`,
    ),
  );
}

/** As the budget itself warns. */
export function tone({ spent, limit, warn_at }) {
  const percent = limit > 0 ? (100 * spent) / limit : 100;
  if (percent >= 100) return "bad";
  return (warn_at ?? []).some((at) => percent >= at) ? "low" : "good";
}

/** The one with the least left. */
export function tightest(list) {
  const used = ({ spent, reserved, limit }) => (limit > 0 ? (spent + reserved) / limit : 1);
  return list.filter(({ spent }) => spent !== undefined).sort((a, b) => used(b) - used(a))[0];
}
