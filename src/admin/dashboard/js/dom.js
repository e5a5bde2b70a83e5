// Elements from data. Text becomes text nodes, never markup.

/** `h("a", { class: "x", href: "#/live", onclick: f }, "text", node, [nodes], null)` */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...inside(children));
  return element;
}

function inside(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Puts these into the element, in place of what was there. */
export function fill(element, ...children) {
  element.replaceChildren(...inside(children));
  return element;
}

/**
 * The same, where a reader may be in the middle of something: the focus, the open parts and how far
 * things are scrolled stay as they are. Elements are told by `data-keep`.
 */
export function refill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.keep : undefined;
  const state = new Map();
  for (const kept of element.querySelectorAll("[data-keep]")) {
    state.set(kept.dataset.keep, { open: kept.open, left: kept.scrollLeft });
  }
  fill(element, ...children);
  for (const kept of element.querySelectorAll("[data-keep]")) {
    const before = state.get(kept.dataset.keep);
    if (kept.dataset.keep === focused) kept.focus({ preventScroll: true });
    if (!before) continue;
    if (kept.tagName === "DETAILS") kept.open = before.open;
    if (before.left) kept.scrollLeft = before.left;
  }
}

/** For those who listen to the page. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

/** A box with a heading. */
export function section(title, ...children) {
  const [first, ...rest] = inside(children);
  const beside = first instanceof Element && first.classList.contains("beside") ? first : null;
  return h(
    "section",
    { class: "box" },
    h("div", { class: "box-head" }, h("h2", {}, title), beside),
    beside ? rest : [first, ...rest],
  );
}

/** What stands beside the heading of a box. */
export function beside(...children) {
  return h("div", { class: "beside" }, ...children);
}

export function empty(text) {
  return h("p", { class: "quiet" }, text);
}

/** What went wrong, with a way to try again. */
export function problem(error, again) {
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("p", {}, h("strong", {}, error.title ?? "That did not work")),
    h("pre", {}, error.message.trimEnd()),
    again && h("button", { type: "button", onclick: again }, "Try again"),
  );
}

/** A word with a colour: good, low, bad or none. */
export function tag(text, tone) {
  return h("span", { class: tone ? `tag ${tone}` : "tag" }, text);
}

/** Pairs of a name and a value; those without a value are left out. */
export function facts(pairs) {
  const given = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h("dl", { class: "facts" }, given.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

let count = 0;

/** A form field with its label, and what it means below. */
export function field(label, input, hint) {
  input.id ||= `f${++count}`;
  const help = hint && h("span", { class: "hint", id: `${input.id}-hint` }, hint);
  if (help) input.setAttribute("aria-describedby", help.id);
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input, help);
}

/** A `<select>` of values, or of pairs of a value and what is shown. */
export function choice(options, chosen, attributes = {}) {
  const made = options.map((option) => {
    const [value, text] = Array.isArray(option) ? option : [option, option];
    return h("option", { value, selected: value === chosen }, text);
  });
  return h("select", attributes, made);
}

/** One of a few, as buttons side by side. */
export function buttons(label, options, chosen, choose) {
  const made = options.map(([value, text]) =>
    h(
      "button",
      { type: "button", "aria-pressed": String(value === chosen), "data-keep": `${label}:${value}`, onclick: () => choose(value) },
      text,
    ),
  );
  return h("div", { class: "group", role: "group", "aria-label": label }, made);
}
