// A part of a page that is fetched, and fetched again.

import { h, fill, refill, problem } from "./dom.js";

/**
 * An element that shows `draw(await load(signal))`, anew every `seconds` as long as somebody looks (0: once).
 * When that fails what was shown stays, with a note. `reload()` of the element does it now.
 */
export function area({ signal, seconds = 0, load, draw }) {
  const note = h("div");
  const shown = h("div", { class: "stack" }, h("p", { class: "quiet" }, "Loading"));
  const root = h("div", { class: "stack", "aria-busy": "true" }, note, shown);
  let timer, drawn, run;
  root.reload = async () => {
    clearTimeout(timer);
    const mine = (run = {});
    try {
      const data = await load(signal);
      if (signal.aborted || run !== mine) return;
      refill(shown, draw(data));
      fill(note);
      drawn = true;
    } catch (error) {
      if (signal.aborted || run !== mine) return;
      fill(note, problem(error, () => root.reload()));
      if (!drawn) fill(shown);
    } finally {
      if (run === mine) root.removeAttribute("aria-busy");
    }
    root.hidden = note.childNodes.length + shown.childNodes.length === 0;
    if (seconds > 0 && !signal.aborted && run === mine) timer = setTimeout(tick, seconds * 1_000);
  };
  const tick = () => {
    if (!document.hidden) root.reload();
  };
  if (seconds > 0) document.addEventListener("visibilitychange", tick, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  root.reload();
  return root;
}
