// The dashboard in a real browser against a real gateway: every page, every number, every button.
//
//   WEIR_ADMIN        base URL of the admin listener      WEIR_ADMIN_TOKEN  a token with the role admin
//   WEIR_URL          base URL of the gateway             WEIR_KEY          a key of it, without limits
//   WEIR_OUT          directory for screenshots
// and, where the configuration has them:
//   WEIR_MODEL        a model that answers (simulator/sim-1)
//   WEIR_FALLBACK     a route whose first target fails and whose second answers
//   WEIR_SLOW_MODEL   a model that waits 50 ms before each piece of a stream (simulator/sim-1-slow)
//   WEIR_VIEWER_TOKEN, WEIR_TENANT_TOKEN   tokens of the other roles; the tenant is that of WEIR_KEY
//   WEIR_CHROMIUM     the browser (/usr/bin/chromium)
//
// The gateway should be fresh: sums are compared with its ledger's. Prints a line for each check, and last
// `N passed, N failed`.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import axe from "axe-core";
import { chromium } from "playwright-core";

const env = (name, otherwise) => process.env[name] || otherwise || missing(name);
const missing = (name) => {
  throw new Error(`${name} is not set: see the head of this file`);
};
const ADMIN = env("WEIR_ADMIN").replace(/\/$/, "");
const TOKEN = env("WEIR_ADMIN_TOKEN");
const URL_ = env("WEIR_URL").replace(/\/$/, "");
const KEY = env("WEIR_KEY");
const OUT = env("WEIR_OUT");
const MODEL = env("WEIR_MODEL", "simulator/sim-1");
const { WEIR_FALLBACK: FALLBACK, WEIR_SLOW_MODEL: SLOW, WEIR_VIEWER_TOKEN: VIEWER, WEIR_TENANT_TOKEN: TENANT_ADMIN } = process.env;

const PAGES = ["overview", "live", "tenants", "models", "playground", "usage", "config", "alerts"];
const MOST_BYTES = 200 * 1024;
const TAG = "team=dashboard";
// Names come from clients: these may neither become markup nor, in a file, a formula.
const MARKUP = "team=<img src=x onerror=alert(1)>";
const FORMULA = "=1+1";

// What the page may not do, found on the way and looked at in the end.
const errors = [];
const foreign = new Set();
const files = new Map();

const browser = await chromium.launch({
  executablePath: process.env.WEIR_CHROMIUM || "/usr/bin/chromium",
  // Nothing but this machine can be reached, whatever a page asks for.
  args: ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"],
});
const screen = await watched({ viewport: { width: 1280, height: 800 }, colorScheme: "light" });
const page = await screen.newPage();
let tenant;

/** A browser of its own, whose errors and requests are noted. */
async function watched(options) {
  const context = await browser.newContext({ ...options, acceptDownloads: true });
  context.setDefaultTimeout(20_000);
  context.on("console", (message) => {
    const { url } = message.location();
    // That nobody is signed in is asked with a request that is answered so.
    const is_session = url.endsWith("/admin/v1/session") && message.text().includes("401");
    if (["error", "warning"].includes(message.type()) && !is_session) errors.push(`${message.text()} (${url})`);
  });
  context.on("weberror", (error) => errors.push(String(error.error().stack)));
  context.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (!["blob:", "data:"].includes(protocol) && origin !== ADMIN) foreign.add(request.url());
  });
  context.on("response", async (response) => {
    const { pathname } = new URL(response.url());
    if (!response.ok() || !(pathname === "/" || pathname.startsWith("/dashboard/"))) return;
    files.set(pathname, { headers: await response.allHeaders(), bytes: (await response.body().catch(() => "")).length });
  });
  return context;
}

async function admin(what, options = {}) {
  const response = await fetch(`${ADMIN}/admin/v1${what}`, { ...options, headers: { authorization: `Bearer ${TOKEN}` } });
  assert.ok(response.ok, `${what}: ${response.status}`);
  return response.json();
}

/** One request of a client. */
async function chat(text, { key = KEY, model = MODEL, stream = false, tag = TAG, user = "ada" } = {}) {
  const response = await fetch(`${URL_}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "x-weir-tags": tag, "x-weir-user": user },
    body: JSON.stringify({ model, stream, messages: [{ role: "user", content: text }] }),
  });
  await response.text();
  return { status: response.status, id: response.headers.get("x-request-id") };
}

/** The first value that is something, within `seconds`. */
async function until(what, ask, seconds = 10) {
  const end = Date.now() + seconds * 1_000;
  let last;
  for (;;) {
    try {
      const found = await ask();
      if (found) return found;
      last = found;
    } catch (error) {
      last = error.message;
    }
    if (Date.now() > end) throw new Error(`${what} did not come: ${last}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function visit(hash, on = page) {
  await on.goto(`${ADMIN}/#/${hash}`);
  await settled(on);
}

/** Until nothing of the page is on its way. */
async function settled(on = page) {
  await on.locator("main h1").first().waitFor();
  await on.waitForFunction(() => !document.querySelector("main [aria-busy]"));
}

async function signIn(on, token) {
  await on.goto(`${ADMIN}/`);
  await on.getByLabel("Admin token").fill(token);
  await on.getByRole("button", { name: "Sign in" }).click();
  await on.getByRole("navigation", { name: "Pages" }).waitFor();
}

const dialog = (on = page) => on.getByRole("dialog");
const figure = (text) => Number(text.replace(/[^0-9.]/g, ""));

/** The big numbers of a page by their names. */
const tiles = (on = page) =>
  on.locator(".tile").evaluateAll((all) => Object.fromEntries(all.map((one) => [one.dataset.name, one.querySelector(".value").textContent])));

/** A table as a list of rows, by the titles of its columns. */
const rowsOf = (table) =>
  table.evaluate((element) => {
    const titles = [...element.querySelectorAll("thead th")].map((one) => one.textContent);
    return [...element.querySelectorAll("tbody tr")].map((row) => Object.fromEntries([...row.children].map((cell, at) => [titles[at], cell.innerText])));
  });

async function picture(name) {
  await page.screenshot({ path: path.join(OUT, `${name}.png`) });
}

/** Does what is meant to be answered with that status, which the browser calls an error. */
async function refused(status, act) {
  const noted = errors.length;
  await act();
  errors.push(...errors.splice(noted).filter((text) => !text.includes(`status of ${status} `)));
}

async function accessible(on, what) {
  const { violations } = await on.evaluate(`(() => { ${axe.source}; return axe.run(document, { resultTypes: ["violations"] }); })()`);
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
  assert.deepEqual(told, [], what);
}

// A phone makes its window as wide as what is in it, so that the window's own width tells nothing.
const PHONE_PX = 360;
const sideways = (on) => on.evaluate((width) => document.documentElement.scrollWidth - width, PHONE_PX);

const checks = {
  async "traffic is in the ledger"() {
    for (let count = 1; count <= 8; count += 1) assert.equal((await chat(`count to ${count * 5}`)).status, 200);
    assert.equal((await chat("count to 40", { stream: true })).status, 200);
    assert.equal((await chat("count to 9", { tag: MARKUP, user: FORMULA })).status, 200);
    if (FALLBACK) assert.equal((await chat("count to 12", { model: FALLBACK, tag: "team=other" })).status, 200);
    await chat("hello", { model: "no-such-model" });
    const sent = FALLBACK ? 11 : 10;
    await until("the ledger", async () => (await admin("/usage")).data[0]?.requests >= sent, 30);
    const record = (await admin("/requests?limit=1")).data[0];
    tenant = record.tenant;
    assert.ok(tenant);
  },

  async "a wrong token is refused"() {
    await page.goto(`${ADMIN}/#/usage`);
    await page.getByLabel("Admin token").fill("wrong-token");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("That is no token of this gateway").waitFor();
    assert.equal(await page.getByRole("navigation", { name: "Pages" }).count(), 0);
    assert.deepEqual(await screen.cookies(), []);
    await accessible(page, "sign in");
  },

  async "signs in, with a cookie that no script reads"() {
    await signIn(page, TOKEN);
    const [cookie, ...others] = await screen.cookies();
    assert.deepEqual(others, []);
    assert.equal(cookie.httpOnly, true);
    assert.equal(cookie.sameSite, "Strict");
    assert.ok(!cookie.value.includes(TOKEN));
    assert.equal(await page.evaluate(() => document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage })), "{}");
  },

  async "a change without the page's header is refused"() {
    const [cookie] = await screen.cookies();
    const headers = { cookie: `${cookie.name}=${cookie.value}`, "content-type": "text/plain", origin: "http://elsewhere.example" };
    const response = await fetch(`${ADMIN}/admin/v1/reload`, { method: "POST", headers });
    assert.ok([401, 403].includes(response.status), `status ${response.status}`);
  },

  async "overview: its numbers are the ledger's"() {
    await visit("overview?since=1h");
    await until("equal numbers", async () => {
      const [sum] = (await admin("/usage?since=1h")).data;
      const shown = await tiles();
      for (const name of ["requests", "failed", "input_tokens", "output_tokens"]) assert.equal(figure(shown[name]), sum[name], name);
      assert.ok(Math.abs(figure(shown.cost_usd) - sum.cost_usd) < 0.000001, `${shown.cost_usd} is not ${sum.cost_usd}`);
      return true;
    }, 30);
    const chart = page.getByRole("region", { name: "Requests", exact: true });
    await chart.locator("summary").click();
    const rows = await rowsOf(chart.locator("table"));
    const drawn = rows.reduce((all, row) => all + figure(row.Good) + figure(row.Failed), 0);
    assert.equal(drawn, figure((await tiles()).requests), "the chart's sum");
    await chart.locator("summary").click();
    const latency = await rowsOf(page.getByRole("table", { name: "Latency" }));
    assert.deepEqual(latency.map((row) => /\d/.test(row.p50) && /\d/.test(row.p99)), [true, true, true]);
    assert.ok((await page.locator(".plot canvas").count()) >= 3);
    await picture("overview");
    const [top] = (await admin("/usage?by=model&since=1h&limit=1")).data;
    await page.getByRole("link", { name: top.model, exact: true }).click();
    await page.getByRole("heading", { name: "Usage", level: 1 }).waitFor();
    await settled();
    const [of_top] = (await admin(`/usage?since=24h&model=${encodeURIComponent(top.model)}`)).data;
    assert.equal(figure((await tiles()).requests), of_top.requests);
    await visit("overview?since=1h");
    for (const range of ["15 min", "6 h", "24 h", "7 d", "30 d"]) {
      await page.getByRole("button", { name: range, exact: true }).click();
      await settled();
      assert.equal(await page.getByRole("button", { name: range, exact: true }).getAttribute("aria-pressed"), "true");
      assert.ok(figure((await tiles()).requests) > 0, range);
    }
  },

  async "usage: groups, chart and file are the ledger's"() {
    for (const by of ["tenant", "key", "user", "tag", "model", "provider", "upstream_model", "route"]) {
      await visit(`usage?by=${by}&since=24h`);
      const { data } = await admin(`/usage?by=${by}&since=24h`);
      const shown = await rowsOf(page.getByRole("table", { name: `Usage by ${by.replace("_", " ")}` }));
      assert.deepEqual(shown.map((row) => [row[by.replace("_", " ")], figure(row.Requests), figure(row["Input tokens"]), figure(row["Output tokens"])]),
        data.map((row) => [row[by] ?? "(none)", row.requests, row.input_tokens, row.output_tokens]), by);
    }
    await visit("usage?by=model&since=24h");
    const [sum] = (await admin("/usage?since=24h")).data;
    const shown = await tiles();
    assert.equal(figure(shown.requests), sum.requests);
    assert.equal(figure(shown.failed), sum.failed);
    await picture("usage");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download CSV" }).click()]);
    const [head, ...lines] = fs.readFileSync(await download.path(), "utf8").trim().split("\r\n");
    const names = head.split(",");
    assert.deepEqual(names.slice(0, 3), ["model", "hour", "requests"]);
    const column = (name) => lines.map((line) => Number(line.split(",")[names.indexOf(name)])).reduce((a, b) => a + b, 0);
    for (const name of ["requests", "failed", "input_tokens", "output_tokens"]) assert.equal(column(name), sum[name], name);
    assert.ok(Math.abs(column("cost_usd") - sum.cost_usd) < 1e-9);
    await visit("usage?by=user&since=24h");
    const [users] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download CSV" }).click()]);
    const text = fs.readFileSync(await users.path(), "utf8");
    assert.ok(text.includes(`\r\n'${FORMULA},`), text);
    await visit("usage?by=tag&since=24h");
    await page.getByRole("rowheader", { name: MARKUP }).waitFor();
    assert.equal(await page.locator("main img").count(), 0);
    await visit("usage?by=model&since=24h");
    await page.getByRole("button", { name: "Requests" }).click();
    const sorted = (await rowsOf(page.getByRole("table", { name: "Usage by model" }))).map((row) => figure(row.Requests));
    assert.deepEqual(sorted, [...sorted].sort((a, b) => b - a), "sorted by requests");
    await page.getByLabel("Group by").selectOption("tag");
    await settled();
    await page.getByLabel("Only of").selectOption("tag");
    await page.getByLabel("whose name is").fill(TAG);
    await page.getByRole("button", { name: "Narrow" }).click();
    await settled();
    const [tagged] = (await admin(`/usage?since=24h&tag=${encodeURIComponent(TAG)}`)).data;
    assert.equal(figure((await tiles()).requests), tagged.requests);
  },

  async "live: requests appear as they end, and what they were"() {
    await visit("live");
    await page.getByText("Connected", { exact: true }).waitFor();
    const button = (id) => page.locator(`[data-keep="${id}"]`);
    const { id } = await chat("count to 7", FALLBACK ? { model: FALLBACK } : {});
    await button(id).waitFor({ timeout: 10_000 });
    await picture("live");
    await page.getByRole("button", { name: "Pause" }).click();
    const later = await chat("count to 8");
    await page.getByRole("button", { name: "Resume (1 new)" }).waitFor({ timeout: 10_000 });
    assert.equal(await button(later.id).count(), 0);
    await page.getByRole("button", { name: "Resume (1 new)" }).click();
    await button(later.id).waitFor();
    await button(id).click();
    const record = await admin(`/requests/${id}`);
    const text = await dialog().innerText();
    for (const part of [id, record.tenant, record.key_id, record.provider, TAG]) assert.ok(text.includes(part), `${part} is not in ${text}`);
    const attempts = await rowsOf(dialog().getByRole("table", { name: "Attempts" }));
    assert.deepEqual(attempts.map((row) => [row.Endpoint, row.Kind]), record.timeline.map((one) => [one.endpoint, one.kind]));
    if (FALLBACK) assert.ok(attempts.length > 1);
    const tokens = await rowsOf(dialog().getByRole("table", { name: "Tokens by class" }));
    assert.equal(figure(tokens[0].Tokens), record.input_tokens);
    assert.equal(figure(tokens[1].Tokens), record.output_tokens);
    await accessible(page, "request dialog");
    await picture("request");
    await page.keyboard.press("Escape");
    await dialog().waitFor({ state: "detached" });
    assert.equal(await page.evaluate(() => document.activeElement.dataset.keep), id, "the focus is back");
  },

  async "live: filters, and one request by its id"() {
    await page.getByLabel("Status").fill("404");
    await page.getByRole("button", { name: "Filter" }).click();
    await page.getByText("Connected", { exact: true }).waitFor();
    const unknown = await chat("hello", { model: "no-such-model" });
    const fine = await chat("count to 3");
    await page.locator(`[data-keep="${unknown.id}"]`).waitFor({ timeout: 10_000 });
    const rows = await rowsOf(page.locator("table.rows"));
    assert.deepEqual([...new Set(rows.map((row) => row.Status))], ["404"]);
    assert.equal(await page.locator(`[data-keep="${fine.id}"]`).count(), 0);
    await page.getByRole("button", { name: "Show all" }).click();
    await page.locator(`[data-keep="${fine.id}"]`).waitFor();
    await page.getByLabel("Request id").fill(fine.id);
    await page.getByRole("button", { name: "Find" }).click();
    assert.ok((await dialog().innerText()).includes(fine.id));
    await page.getByRole("button", { name: "Close" }).click();
  },

  async "live: a request is shown while it runs, and then as it ended"() {
    if (!SLOW) return "no WEIR_SLOW_MODEL";
    await visit("live");
    await page.getByText("Connected", { exact: true }).waitFor();
    // A piece each 50 ms.
    const ends = chat("count to 80", { model: SLOW, stream: true });
    const mark = page.locator("[data-runs]");
    await mark.waitFor();
    const row = page.getByRole("row").filter({ has: mark });
    assert.ok((await row.innerText()).includes("running"));
    await row.getByText(SLOW, { exact: true }).first().waitFor();
    await row.click();
    assert.equal(await page.getByRole("dialog").count(), 0, "there is nothing to open yet");
    const before = await row.locator(".took").innerText();
    await until("the time to go on", async () => (await row.locator(".took").innerText()) !== before);
    await accessible(page, "a request that runs");
    const running = await mark.getAttribute("data-runs");
    const { status, id } = await ends;
    assert.deepEqual([status, id], [200, running]);
    await page.locator(`[data-keep="${id}"]`).click();
    assert.ok((await dialog().innerText()).includes(id));
    await page.keyboard.press("Escape");
    assert.equal(await mark.count(), 0);
    // A filter holds for what runs too: what it leaves out is neither shown nor told.
    await visit(`live?model=${encodeURIComponent(MODEL)}`);
    await page.getByText("Connected", { exact: true }).waitFor();
    const other = chat("count to 20", { model: SLOW, stream: true });
    await until("it to run", async () => (await admin("/overview")).in_flight >= 1);
    assert.equal((await other).status, 200);
    const { id: last } = await chat("count to 3");
    await page.locator(`[data-keep="${last}"]`).waitFor();
    assert.deepEqual([await mark.count(), await page.locator(`[data-keep="${(await other).id}"]`).count()], [0, 0]);
  },

  async "live: a slow request is shown, however many began after it"() {
    if (!SLOW) return "no WEIR_SLOW_MODEL";
    await visit("live");
    await page.getByText("Connected", { exact: true }).waitFor();
    // A piece each 50 ms: five seconds, of which the quick ones together take one.
    let is_over = false;
    const slow = chat("count to 100", { model: SLOW, stream: true }).finally(() => (is_over = true));
    await until("the slow one", async () => (await admin("/overview")).in_flight >= 1);
    let left = 205;
    let last;
    const some = async () => {
      while (left > 0) {
        left -= 1;
        last = await chat("count to 1");
        assert.equal(last.status, 200);
      }
    };
    await Promise.all([some(), some(), some(), some()]);
    await page.locator(`[data-keep="${last.id}"]`).waitFor();
    assert.equal(is_over, false, "the slow one was too quick");
    const { status, id } = await slow;
    assert.equal(status, 200);
    await page.locator(`[data-keep="${id}"]`).waitFor({ timeout: 10_000 });
    const shown = await page.locator("table.rows tbody button").evaluateAll((all) => all.map((one) => one.dataset.keep));
    assert.deepEqual([shown.length, shown[0]], [200, id]);
  },

  async "keys: made, changed, rotated and revoked"() {
    const id = `dash-${Date.now()}`;
    await visit(`tenants?tenant=${encodeURIComponent(tenant)}`);
    await page.getByRole("button", { name: "Create a key" }).click();
    await accessible(page, "create dialog");
    await dialog().getByLabel("Id").fill(id);
    await dialog().getByLabel("Note").fill("made by a test");
    await dialog().getByRole("button", { name: "Add a limit" }).click();
    await dialog().getByLabel("At most").fill("many");
    await refused(400, async () => {
      await dialog().getByRole("button", { name: "Create it" }).click();
      await dialog().getByRole("alert").waitFor();
    });
    await dialog().getByLabel("At most").fill("120");
    await dialog().getByRole("button", { name: "Add a budget" }).click();
    await dialog().getByLabel("At most").last().fill("2.5");
    await dialog().getByRole("button", { name: "Create it" }).click();
    const first = await secret();
    await accessible(page, "secret dialog");
    await page.getByRole("button", { name: "I have kept it" }).click();
    await dialog().waitFor({ state: "detached" });
    assert.ok(!(await page.content()).includes(first), "the secret is gone with the dialog");
    assert.equal((await chat("count to 5", { key: first })).status, 200);
    const row = page.getByRole("row").filter({ hasText: id });
    await row.getByText("120 requests per minute").waitFor();
    await row.getByText("of $2.50 per month").waitFor();
    await picture("keys");

    await row.getByRole("button", { name: `Change ${id}` }).click();
    await dialog().getByLabel("Note").fill("changed by a test");
    await dialog().getByRole("button", { name: "Change it" }).click();
    await row.getByText("changed by a test").waitFor();
    const changed = await admin(`/keys/${id}`);
    assert.deepEqual([changed.note, changed.limits, changed.budgets.length], ["changed by a test", { requests_per_minute: 120 }, 1]);

    await row.getByRole("button", { name: `Rotate ${id}` }).click();
    await dialog().getByLabel("The present secret is still good for").selectOption("0");
    await dialog().getByRole("button", { name: "Rotate it" }).click();
    const second = await secret();
    await page.getByRole("button", { name: "I have kept it" }).click();
    assert.notEqual(second, first);
    assert.equal((await chat("count to 5", { key: second })).status, 200);
    await until("the end of the first secret", async () => (await chat("count to 5", { key: first })).status === 401, 3);

    await row.getByRole("button", { name: `Revoke ${id}` }).click();
    await dialog().getByRole("button", { name: "Cancel" }).click();
    assert.equal((await chat("count to 5", { key: second })).status, 200);
    await row.getByRole("button", { name: `Revoke ${id}` }).click();
    await dialog().getByRole("button", { name: "Revoke it" }).click();
    await row.getByText("revoked").waitFor();
    await until("the end of the key", async () => (await chat("count to 5", { key: second })).status === 403, 3);

    await visit("alerts");
    const log = await rowsOf(page.getByRole("table", { name: "Changes, newest first" }));
    const done = log.filter((entry) => entry.To === id).map((entry) => entry.Did);
    assert.deepEqual(done, ["key.revoke", "key.rotate", "key.update", "key.create"]);
  },

  async "live: exchanges are captured, shown beside their request, and removed"() {
    await visit("live");
    await page.getByText("Connected", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Capture", exact: true }).click();
    await refused(400, async () => {
      await dialog().getByRole("button", { name: "Capture them" }).click();
      await dialog().getByRole("alert").getByText("whose exchanges").waitFor();
    });
    await accessible(page, "the dialog of a capture");
    await dialog().getByLabel("Tenant").fill(tenant);
    await dialog().getByLabel("Exchanges, at most").fill("1");
    await dialog().getByLabel("Leave out").fill("emails");
    await dialog().getByRole("button", { name: "Capture them" }).click();
    await dialog().waitFor({ state: "detached" });
    const text = "canary of a prompt from ada@example.com";
    const { id } = await chat(text, FALLBACK ? { model: FALLBACK } : {});
    const { id: other } = await chat("count to 3");
    await page.locator(`[data-keep="${other}"]`).waitFor();
    await page.locator(`[data-keep="${other}"]`).click();
    await page.waitForLoadState("networkidle");
    assert.equal(await dialog().getByRole("button", { name: "Show what was captured" }).count(), 0);
    await page.keyboard.press("Escape");
    await until("the capture", async () => (await admin("/captures")).data[0].requests.includes(id));
    await page.locator(`[data-keep="${id}"]`).click();
    await dialog().getByRole("button", { name: "Show what was captured" }).click();
    const sides = dialog().locator(".sides > section");
    await sides.first().waitFor();
    assert.equal(await sides.count(), FALLBACK ? 3 : 2);
    for (const side of await sides.all()) assert.ok((await side.innerText()).includes("canary of a prompt from [email]"));
    await sides.first().getByText("headers").first().click();
    const shown = await dialog().evaluate((one) => one.textContent);
    assert.ok(shown.includes("authorization: [not kept]"), shown);
    for (const hidden of [KEY, "ada@example.com"]) assert.ok(!shown.includes(hidden));
    if (FALLBACK) assert.ok(shown.includes("Why therefallback"), shown);
    await accessible(page, "a captured exchange");
    await picture("capture");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: `Remove the capture of ${tenant}` }).click();
    await dialog().getByRole("button", { name: "Remove it" }).click();
    await page.getByRole("button", { name: `Remove the capture of ${tenant}` }).waitFor({ state: "detached" });
    assert.deepEqual((await admin("/captures")).data, []);
  },

  async "playground: any format, streamed, with a tool, both sides"() {
    await visit("playground");
    const model = page.getByLabel("Model", { exact: true });
    await page.waitForFunction(() => document.querySelector("[name=model]").value !== "");
    assert.ok((await page.locator("#models option").count()) > 2);
    await refused(401, async () => {
      await page.getByLabel("Key of the gateway").fill("wk-nobody");
      await page.getByRole("button", { name: "Send" }).click();
      await page.locator("main").getByText("Status 401").waitFor();
    });
    await page.getByLabel("Tenant of the new key").selectOption(tenant);
    await page.getByRole("button", { name: "Make one for an hour" }).click();
    await page.getByText("is good for an hour").waitFor();
    const answer = page.getByRole("region", { name: "Answer", exact: true });
    for (const [spoken, path] of [["chat", "/v1/chat/completions"], ["responses", "/v1/responses"], ["messages", "/v1/messages"], ["gemini", "/v1beta/models/claude/sim-1:streamGenerateContent"]]) {
      await page.getByLabel("Format").selectOption(spoken);
      await model.fill("claude/sim-1");
      await page.getByLabel("Stream").setChecked(spoken !== "chat");
      await page.getByLabel("With a tool").setChecked(spoken === "chat");
      assert.equal((await page.getByLabel("Body").inputValue()).includes("get_weather"), spoken === "chat");
      await page.getByLabel("Capture the provider's side").setChecked(true);
      await page.getByRole("button", { name: "Send" }).click();
      const sides = page.locator(".sides > section h3");
      await page.getByRole("button", { name: "Send", disabled: false }).waitFor();
      await page.locator("main").getByText("Status 200").first().waitFor();
      assert.equal(await sides.count(), 2, spoken);
      const shown = await page.locator("main").evaluate((main) => main.textContent);
      assert.ok(shown.includes(`POST ${path}`) && shown.includes("POST /v1/messages"), spoken);
      assert.ok((await answer.innerText()).length > 20);
      if (spoken === "chat") await picture("playground");
      if (spoken === "chat") await accessible(page, "an answer in the playground");
      const id = /x-request-id: ([0-9a-f-]{36})/.exec(shown)[1];
      const record = await until("the record", () => admin(`/requests/${id}`));
      assert.deepEqual([record.format, record.tenant, record.stream], [spoken, tenant, spoken !== "chat"]);
    }
    await page.getByLabel("Body").fill("{");
    await page.getByLabel("Capture the provider's side").setChecked(false);
    await refused(400, async () => {
      await page.getByRole("button", { name: "Send" }).click();
      await page.locator("main").getByText("Status 400").waitFor();
    });
    const done = (await admin("/audit?limit=100")).data.filter(({ action }) => action === "playground.send");
    assert.equal(done.length, 6);
    assert.equal(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage })).then((kept) => kept.includes("weir_")), false);
  },

  async "models: an endpoint is drained and put back"() {
    await visit("models");
    const [{ endpoints: [{ id }] }] = (await admin("/providers")).data;
    const drained = async () => (await admin("/providers")).data[0].endpoints[0].drained;
    await page.getByRole("button", { name: `Drain ${id}` }).click();
    await dialog().getByRole("button", { name: "Drain it" }).click();
    await page.getByRole("button", { name: `Put back ${id}` }).waitFor();
    assert.equal(await drained(), true);
    await page.getByRole("button", { name: `Put back ${id}` }).click();
    await page.getByRole("button", { name: `Drain ${id}` }).waitFor();
    assert.equal(await drained(), false);
    const text = await page.locator("main").innerText();
    for (const { name } of [...(await admin("/routes")).data, ...(await admin("/providers")).data]) assert.ok(text.includes(name), name);
  },

  async "a gateway that is away is told, and what was known stays"() {
    await visit("models");
    const noted = errors.length;
    await screen.setOffline(true);
    await page.getByRole("alert").getByText("The gateway does not answer").waitFor();
    assert.ok((await page.getByRole("table").count()) > 0);
    await screen.setOffline(false);
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByRole("alert").waitFor({ state: "detached" });
    errors.push(...errors.splice(noted).filter((text) => !text.includes("ERR_INTERNET_DISCONNECTED")));
  },

  async "config: shown without secrets, and read again"() {
    await visit("config");
    const config = await admin("/config");
    const text = await page.locator("main").evaluate((main) => main.textContent);
    assert.ok(text.includes(config.hash));
    for (const hidden of [TOKEN, KEY]) assert.ok(!text.includes(hidden));
    await page.getByText("server", { exact: true }).click();
    assert.ok((await page.getByRole("region", { name: "Configuration: server" }).innerText()).includes("max_body"));
    await page.getByRole("button", { name: "Read it again" }).click();
    await page.getByRole("heading", { name: "Read again" }).waitFor();
  },

  async "works with the keyboard"() {
    await visit("overview");
    await page.reload();
    await settled();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    assert.ok(page.url().includes("#/overview"));
    await page.getByRole("link", { name: "Usage" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Usage", level: 1 }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    await visit("live");
    await page.locator("table.rows tbody button").first().focus();
    await page.keyboard.press("Enter");
    await dialog().waitFor();
    await page.keyboard.press("Escape");
    await dialog().waitFor({ state: "detached" });
  },

  async "the theme is kept"() {
    await visit("overview");
    await page.getByRole("button", { name: "Dark" }).click();
    assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), "dark");
    await page.reload();
    await page.getByRole("button", { name: "Light" }).click();
    assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), "light");
  },

  async "axe finds nothing, in light and in dark"() {
    for (const scheme of ["light", "dark"]) {
      const context = await watched({ viewport: { width: 1280, height: 800 }, colorScheme: scheme });
      const own = await context.newPage();
      await signIn(own, TOKEN);
      for (const hash of [...PAGES, `tenants?tenant=${encodeURIComponent(tenant)}`, "nowhere"]) {
        await visit(hash, own);
        for (const summary of await own.locator("main summary").all()) await summary.click();
        await accessible(own, `${hash} in ${scheme}`);
      }
      await context.close();
    }
  },

  async "nothing scrolls sideways on a phone"() {
    const context = await watched({ viewport: { width: PHONE_PX, height: 740 }, hasTouch: true, isMobile: true });
    const own = await context.newPage();
    await own.goto(`${ADMIN}/`);
    await own.getByLabel("Admin token").waitFor();
    assert.ok((await sideways(own)) <= 0, "sign in");
    await signIn(own, TOKEN);
    for (const hash of [...PAGES, `tenants?tenant=${encodeURIComponent(tenant)}`]) {
      await visit(hash, own);
      assert.ok((await sideways(own)) <= 0, hash);
    }
    await own.getByRole("button", { name: "Create a key" }).click();
    assert.ok((await own.getByRole("dialog").evaluate((one) => one.scrollWidth - one.clientWidth)) <= 0, "the dialog");
    await accessible(own, "a dialog on a phone");
    await context.close();
  },

  async "a viewer looks and changes nothing"() {
    if (!VIEWER) return "no WEIR_VIEWER_TOKEN";
    const context = await watched({ viewport: { width: 1280, height: 800 } });
    const own = await context.newPage();
    await signIn(own, VIEWER);
    for (const hash of [...PAGES, `tenants?tenant=${encodeURIComponent(tenant)}`]) {
      await visit(hash, own);
      assert.equal(await own.getByRole("alert").count(), 0, hash);
      const offered = await own.getByRole("button", { name: /Create|Change|Rotate|Revoke|Drain|Put back|Read it again/ }).count();
      assert.equal(offered, 0, hash);
    }
    await context.close();
  },

  async "a tenant's admin sees the tenant's"() {
    if (!TENANT_ADMIN) return "no WEIR_TENANT_TOKEN";
    const context = await watched({ viewport: { width: 1280, height: 800 } });
    const own = await context.newPage();
    await signIn(own, TENANT_ADMIN);
    const links = await own.getByRole("navigation", { name: "Pages" }).getByRole("link").allInnerTexts();
    assert.deepEqual(links, ["Overview", "Live", "Tenants", "Usage"]);
    for (const hash of ["overview", "live", "tenants", "usage"]) {
      await visit(hash, own);
      assert.equal(await own.getByRole("alert").count(), 0, hash);
    }
    await visit("tenants", own);
    await own.getByRole("heading", { name: tenant, level: 1 }).waitFor();
    assert.equal(await own.getByRole("button", { name: "Create a key" }).count(), 1);
    await refused(403, async () => {
      await visit("config", own);
      await own.getByText("Your role may not do this").first().waitFor();
    });
    await context.close();
  },

  async "signs out"() {
    await visit("overview");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Admin token").waitFor();
    assert.equal(await page.evaluate(async () => (await fetch("/admin/v1/session")).status), 401);
    assert.deepEqual(await screen.cookies(), []);
  },

  async "no error, no request elsewhere, small, and under a strict policy"() {
    assert.deepEqual(errors, []);
    assert.deepEqual([...foreign], []);
    const bytes = [...files.values()].reduce((all, file) => all + file.bytes, 0);
    assert.ok(bytes > 0 && bytes < MOST_BYTES, `${bytes} bytes`);
    const { headers } = files.get("/");
    for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"]) {
      assert.ok(headers["content-security-policy"]?.includes(part), part);
    }
    assert.ok(!headers["content-security-policy"].includes("unsafe"));
    for (const [name, file] of files) assert.equal(file.headers["x-content-type-options"], "nosniff", name);
  },
};

async function secret() {
  await page.getByRole("button", { name: "I have kept it" }).waitFor();
  const value = await dialog().getByLabel("Secret", { exact: true }).inputValue();
  assert.match(value, /^weir_[a-z0-9]{8}_[A-Za-z0-9]{38}$/);
  return value;
}

fs.mkdirSync(OUT, { recursive: true });
let passed = 0;
let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    const skipped = await check();
    console.log(skipped ? `skip ${name}: ${skipped}` : `pass ${name}`);
    if (!skipped) passed += 1;
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}\n  ${String(error.stack).replaceAll("\n", "\n  ")}`);
    await page.screenshot({ path: path.join(OUT, `failed-${failed}.png`) }).catch(() => {});
    await page.keyboard.press("Escape").catch(() => {});
  }
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
