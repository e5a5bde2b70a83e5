// Dialogs, on the browser's own element: it keeps the focus inside, and Escape closes it.

import { h, fill, problem } from "./dom.js";

/** Shows it; gives a function that closes it. */
export function open({ title, wide, body, closed, button = "Close" }) {
  const opener = document.activeElement;
  const heading = h("h2", { id: "dialog-title", tabindex: "-1", autofocus: true }, title);
  const dialog = h("dialog", { "aria-labelledby": "dialog-title", class: wide ? "wide" : undefined });
  const close = () => dialog.close();
  dialog.append(
    h(
      "div",
      { class: "dialog-head" },
      heading,
      h("button", { type: "button", class: "plain", onclick: close }, button),
    ),
    h("div", { class: "stack" }, body(close)),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    back(opener);
    closed?.();
  });
  document.body.append(dialog);
  dialog.showModal();
  dialog.querySelector("form input, form select")?.focus();
  return close;
}

/** The focus returns to what opened it, or to what now stands in its place. */
function back(opener) {
  const keep = opener?.dataset?.keep;
  const place = opener?.isConnected || !keep ? opener : document.querySelector(`[data-keep="${CSS.escape(keep)}"]`);
  place?.focus?.();
}

/** A form: `run(close)` is called when it is sent; what goes wrong with it is shown inside. */
export function ask({ title, body, action, danger, run }) {
  return open({
    title,
    button: "Cancel",
    body: (close) => {
      const wrong = h("div");
      const button = h("button", { type: "submit", class: danger ? "danger" : "primary" }, action);
      const send = async (event) => {
        event.preventDefault();
        button.disabled = true;
        fill(wrong);
        try {
          await run(close);
        } catch (error) {
          fill(wrong, problem(error));
        }
        button.disabled = false;
      };
      return h("form", { class: "stack", onsubmit: send, novalidate: true }, body, wrong, h("p", {}, button));
    },
  });
}

export function closeAll() {
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
}
