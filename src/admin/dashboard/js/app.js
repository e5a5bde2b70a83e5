// The page's frame: who is signed in, the way to the pages, and which one is shown.

import { h, fill, problem, say } from "./dom.js";
import * as api from "./api.js";
import * as router from "./router.js";
import * as theme from "./theme.js";
import { closeAll } from "./dialog.js";
import * as signin from "./signin.js";
import * as overview from "./overview.js";
import * as live from "./live.js";
import * as tenants from "./tenants.js";
import * as playground from "./playground.js";
import * as models from "./models.js";
import * as usage from "./usage.js";
import * as config from "./config.js";
import * as alerts from "./alerts.js";

/** `all`: not for those who only see what is one tenant's; `runs`: for those who change things. */
const PAGES = {
  overview: { page: overview, name: "Overview" },
  live: { page: live, name: "Live" },
  tenants: { page: tenants, name: "Tenants" },
  models: { page: models, name: "Models", all: true },
  playground: { page: playground, name: "Playground", runs: true },
  usage: { page: usage, name: "Usage" },
  config: { page: config, name: "Config", all: true },
  alerts: { page: alerts, name: "Alerts", all: true },
};

const main = document.getElementById("main");
const top = document.getElementById("top");
let session = null;
let current = null;
let leaving = new AbortController();

/** What the role may do; the gateway decides, this only hides what it would refuse. */
function rights({ role, tenant }) {
  return { role, tenant, sees_all: role !== "tenant-admin", runs: role === "admin", keys: role !== "viewer" };
}

async function start() {
  try {
    session = await api.session();
  } catch (error) {
    fill(top, brand());
    fill(main, problem(error, start));
    return;
  }
  show();
}

function show() {
  leaving.abort();
  leaving = new AbortController();
  closeAll();
  if (!session) return showSignIn();
  const { page: wanted, query } = router.read();
  const found = Object.hasOwn(PAGES, wanted) ? PAGES[wanted] : null;
  const moved = current !== wanted;
  const focused = document.activeElement;
  const keep = !moved && focused?.dataset?.keep;
  current = wanted;
  frame(wanted);
  document.title = `${found ? found.name : "Not found"} · Weir`;
  const root = h("div", { class: "stack" });
  if (found) found.page.mount(root, { query, signal: leaving.signal, may: rights(session) });
  else fill(root, h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "#/overview" }, "To the overview")));
  fill(main, root);
  if (moved) {
    scrollTo(0, 0);
    if (focused && focused !== document.body) main.focus({ preventScroll: true });
    say(document.title);
  } else if (keep) {
    document.querySelector(`[data-keep="${CSS.escape(keep)}"]`)?.focus({ preventScroll: true });
  }
}

function showSignIn() {
  current = null;
  document.title = "Sign in · Weir";
  fill(top, brand(), h("div", { class: "right" }, themeButton()));
  signin.mount(main, start);
}

const brand = () => h("a", { class: "brand", href: "#/overview" }, "Weir");

function frame(wanted) {
  const may = rights(session);
  const links = Object.entries(PAGES)
    .filter(([, { all, runs }]) => (!all || may.sees_all) && (!runs || may.runs))
    .map(([path, { name }]) => h("li", {}, h("a", { href: `#/${path}`, "aria-current": path === wanted && "page" }, name)));
  const who = session.open ? "no token is set" : session.tenant ? `${session.role} of ${session.tenant}` : session.role;
  fill(
    top,
    brand(),
    h("nav", { "aria-label": "Pages" }, h("ul", {}, links)),
    h(
      "div",
      { class: "right" },
      h("span", { class: "quiet", id: "who" }, who),
      themeButton(),
      !session.open && h("button", { type: "button", class: "plain", onclick: signOut }, "Sign out"),
    ),
  );
}

function themeButton() {
  const text = () => (theme.isDark() ? "Light" : "Dark");
  const button = h("button", { type: "button", class: "plain", "data-keep": "theme", onclick: () => theme.toggle() }, text());
  addEventListener("theme", () => (button.textContent = text()), { signal: leaving.signal });
  return button;
}

async function signOut() {
  try {
    await api.send("DELETE", "/session");
  } catch (error) {
    if (error.status !== 401) return say(error.message);
  }
  session = null;
  show();
}

addEventListener("hashchange", show);
addEventListener("signed-out", () => {
  if (!session) return;
  session = null;
  show();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  // The address names the page, so the way there is not a fragment.
  event.preventDefault();
  main.focus();
});
start();
