// Any model, in any format: what is sent, and what comes back, in the client's format and the provider's.

import { h, fill, section, field, choice, problem, say, empty } from "./dom.js";
import { exchange, pretty, raw } from "./capture.js";
import * as api from "./api.js";

const FORMATS = [["chat", "Chat Completions"], ["responses", "Responses"], ["messages", "Messages"], ["gemini", "Gemini"]];
const SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOL = { name: "get_weather", description: "The weather of a city." };
const TEXT = "What is the weather in Paris?";
/** Exchanges are written beside the requests: it may take a moment. */
const CAPTURED_WITHIN = 20;

/** A body of each format. */
const BODIES = {
  chat: (model, stream, tools) => ({
    model,
    ...(stream && { stream, stream_options: { include_usage: true } }),
    messages: [{ role: "user", content: TEXT }],
    ...(tools && { tools: [{ type: "function", function: { ...TOOL, parameters: SCHEMA } }] }),
  }),
  responses: (model, stream, tools) => ({
    model,
    ...(stream && { stream }),
    input: TEXT,
    ...(tools && { tools: [{ type: "function", ...TOOL, parameters: SCHEMA }] }),
  }),
  messages: (model, stream, tools) => ({
    model,
    max_tokens: 1024,
    ...(stream && { stream }),
    messages: [{ role: "user", content: TEXT }],
    ...(tools && { tools: [{ ...TOOL, input_schema: SCHEMA }] }),
  }),
  gemini: (model, stream, tools) => ({
    contents: [{ role: "user", parts: [{ text: TEXT }] }],
    ...(tools && { tools: [{ functionDeclarations: [{ ...TOOL, parameters: SCHEMA }] }] }),
  }),
};

// Neither outlives the page, nor is it kept anywhere else.
let secret = "";
let keyId = "";

export function mount(root, { signal, may }) {
  if (!may.runs) return fill(root, h("h1", {}, "Playground"), empty("For the role admin: it sends requests."));
  const spoken = choice(FORMATS, "chat", { name: "format" });
  const model = h("input", { name: "model", list: "models", autocomplete: "off", spellcheck: "false", size: 32 });
  const known = h("datalist", { id: "models" });
  const stream = h("input", { type: "checkbox", name: "stream" });
  const tools = h("input", { type: "checkbox", name: "tools" });
  const key = h("input", { type: "password", name: "key", value: secret, autocomplete: "off", spellcheck: "false" });
  const watch = h("input", { type: "checkbox", name: "watch" });
  const body = h("textarea", { name: "body", rows: 14, spellcheck: "false" });
  const answers = h("div", { class: "stack", "aria-live": "off" });
  const made = h("span", { class: "quiet", role: "status" });
  const write = () => (body.value = JSON.stringify(BODIES[spoken.value](model.value.trim(), stream.checked, tools.checked), null, 2));
  for (const input of [spoken, model, stream, tools]) input.addEventListener("change", write);
  write();
  key.addEventListener("input", () => ([secret, keyId] = [key.value, ""]));
  const sendButton = h("button", { type: "submit", class: "primary" }, "Send");
  const send = async (event) => {
    event.preventDefault();
    sendButton.disabled = true;
    const asked = { format: spoken.value, model: model.value.trim(), stream: stream.checked, key: key.value.trim(), body: body.value };
    try {
      await run(asked, watch.checked, answers, signal);
    } catch (error) {
      if (!signal.aborted) fill(answers, problem(error));
    }
    sendButton.disabled = false;
  };
  fill(
    root,
    h("h1", {}, "Playground"),
    section(
      "Request",
      h(
        "form",
        { class: "stack", onsubmit: send, novalidate: true },
        h("div", { class: "bar" }, field("Format", spoken), field("Model", model), known, check("Stream", stream), check("With a tool", tools)),
        h("div", { class: "bar" }, field("Key of the gateway", key), makeKey(key, made, signal), check("Capture the provider's side", watch), made),
        field("Body", body),
        h("p", {}, sendButton),
      ),
    ),
    answers,
  );
  models(model, known, write, signal);
}

function check(label, input) {
  return h("label", { class: "check" }, input, ` ${label}`);
}

async function models(model, known, write, signal) {
  try {
    const [{ data: all }, { data: routes }] = await Promise.all([api.get("/models", {}, signal), api.get("/routes", {}, signal)]);
    const names = [...new Set([...routes.map(({ name }) => name), ...all.map(({ id }) => id)])];
    fill(known, names.map((value) => h("option", { value })));
    if (model.value !== "") return;
    model.value = names[0] ?? "";
    write();
  } catch {
    // The name can be typed as well.
  }
}

/** A key of a tenant that ends by itself, so that nobody has to look for one. */
function makeKey(input, made, signal) {
  const tenant = h("select", { name: "tenant", "aria-label": "Tenant of the new key" });
  api.get("/tenants", {}, signal).then(({ data }) => fill(tenant, data.map(({ id }) => h("option", { value: id }, id))), () => {});
  const make = async () => {
    try {
      const expires = new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+Z$/, "Z");
      const key = await api.send("POST", "/keys", { tenant: tenant.value, note: "playground", expires });
      [secret, keyId] = [key.secret, key.id];
      input.value = secret;
      made.textContent = `Key ${key.id} is good for an hour.`;
    } catch (error) {
      made.textContent = error.message;
      say(error.message);
    }
  };
  return h("div", { class: "beside" }, tenant, h("button", { type: "button", onclick: make }, "Make one for an hour"));
}

async function run(asked, watched, answers, signal) {
  if (watched && keyId === "") throw { title: "Whose exchange?", message: "Only of a key that was made here the provider's side can be captured; others on the page Live." };
  if (watched) await api.send("POST", "/captures", { key: keyId, for: "5m", most: 1 });
  const shown = h("pre", { class: "raw", tabindex: "0", role: "region", "aria-label": "Answer" });
  const facts = h("p", {}, "Waiting");
  const provider = h("div", { class: "stack" });
  fill(
    answers,
    h(
      "div",
      { class: "pairs sides" },
      section("What was sent", raw(pretty(asked.body), "Sent")),
      section("What came back", facts, shown),
    ),
    provider,
  );
  const response = await api.play(asked, signal);
  const header = (name) => response.headers.get(name);
  const told = ["x-weir-provider", "x-weir-model", "x-weir-attempts", "x-weir-overhead-ms", "x-weir-cost-usd", "x-weir-dropped", "x-request-id"];
  const lines = told.filter(header).map((name) => `${name}: ${header(name)}`);
  fill(facts, `Status ${response.status}`, h("details", { "data-keep": "told" }, h("summary", {}, "Headers"), h("pre", {}, lines.join("\n"))));
  await read(response, shown);
  say(`Answered with status ${response.status}`);
  if (watched) await showProvider(header("x-request-id"), provider, signal);
}

/** As it comes; made readable once it is whole. */
async function read(response, shown) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    shown.append(value);
  }
  shown.textContent = pretty(shown.textContent);
}

async function showProvider(id, root, signal) {
  for (let tries = 0; tries < CAPTURED_WITHIN && !signal.aborted; tries += 1) {
    const { data } = await api.get("/captures", {}, signal);
    if (data.some(({ requests }) => requests.includes(id))) {
      fill(root, section("Both sides", exchange(await api.get(`/requests/${id}/capture`, {}, signal), "h3")));
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  fill(root, empty("The provider's side was not captured."));
}
