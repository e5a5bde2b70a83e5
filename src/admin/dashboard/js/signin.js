// The token for a session: the gateway gives a cookie that no script can read.

import { h, fill, field, problem } from "./dom.js";
import * as api from "./api.js";

export function mount(main, done) {
  const token = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true, spellcheck: "false" });
  // Password managers keep a token under a name.
  const name = h("input", { type: "text", name: "username", autocomplete: "username", value: "admin", hidden: true });
  const wrong = h("div");
  const send = async (event) => {
    event.preventDefault();
    fill(wrong);
    if (token.value.trim() === "") return token.focus();
    try {
      await api.send("POST", "/session", { token: token.value.trim() });
      token.value = "";
      done();
    } catch (error) {
      if (error.status === 401) error.title = "That is no token of this gateway";
      fill(wrong, problem(error));
      token.select();
    }
  };
  fill(
    main,
    h(
      "form",
      { class: "box signin stack", onsubmit: send, novalidate: true },
      h("h1", {}, "Sign in"),
      name,
      field("Admin token", token, "admin.token of the configuration, or one of admin.tokens."),
      wrong,
      h("p", {}, h("button", { type: "submit", class: "primary" }, "Sign in")),
    ),
  );
  token.focus();
}
