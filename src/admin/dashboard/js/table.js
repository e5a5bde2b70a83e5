// Tables. Columns: `title`, `cell(row)` (text or a node), `num` for figures, `head` for what names the
// row, `sort(row)` where a click on the title sorts by it.

import { h, empty, fill } from "./dom.js";

/** `caption` names it for those who listen; `none` is said where there are no rows. */
export function table({ caption, columns, rows, none, keep, row: decorate }) {
  if (rows.length === 0) return empty(none ?? "Nothing yet.");
  const body = h("tbody");
  const build = (list) => fill(body, list.map((row) => line(columns, row, decorate)));
  const heads = columns.map((column) => head(column));
  columns.forEach((column, at) => column.sort && sortable(column, heads, at, rows, build));
  build(rows);
  return framed(
    caption,
    keep,
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, heads)), body),
  );
}

/** A table in a frame that scrolls sideways where it is too wide, also with the keyboard. */
export function framed(caption, keep, inner) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table: ${caption}`, "data-keep": keep ?? caption }, inner);
}

export function line(columns, row, decorate) {
  const cells = columns.map((column) => {
    const attributes = { class: column.num ? "num" : column.class };
    return column.head
      ? h("th", { scope: "row", ...attributes }, column.cell(row))
      : h("td", attributes, column.cell(row));
  });
  const made = h("tr", {}, cells);
  decorate?.(made, row);
  return made;
}

export function head(column) {
  return h("th", { scope: "col", class: column.num ? "num" : undefined }, column.title);
}

function sortable(column, heads, at, rows, build) {
  const order = (a, b) => {
    const [x, y] = [column.sort(a), column.sort(b)];
    if (x === y) return 0;
    if (x === null || x === undefined) return 1;
    if (y === null || y === undefined) return -1;
    return x < y ? -1 : 1;
  };
  const click = () => {
    const up = heads[at].getAttribute("aria-sort") === "descending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    heads[at].setAttribute("aria-sort", up ? "ascending" : "descending");
    const sorted = [...rows].sort(order);
    build(up ? sorted : sorted.reverse());
  };
  fill(heads[at], h("button", { type: "button", class: "plain", onclick: click }, column.title));
}
