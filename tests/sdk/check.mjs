// The official Node SDKs against a running gateway: see check.py, which has the same environment
// and the same way to report.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { ApiError, GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

const url = process.env.WEIR_URL;
const key = process.env.WEIR_KEY;
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0, timeout: 30_000 });
const anthropic = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0, timeout: 30_000 });
const google = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url, timeout: 30_000 } });

const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const fn = { type: "function", function: { name: "get_weather", description: "The weather.", parameters: city } };
const tool = { name: "get_weather", description: "The weather.", input_schema: city };
const askTwo = "get_weather for Paris and get_weather for Rome";
const user = (content) => [{ role: "user", content }];

// A model that thinks by a budget, where `claude-sonnet-4-5` is no name of the vendor's.
const thinks = { "simulator-bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0", "simulator-cohere": "command-a-reasoning-08-2025" };

const checks = {
  async "chat answers"(provider) {
    const answer = await openai.chat.completions.create({ model: `${provider}/sim-1`, messages: user("one two three") });
    assert.equal(answer.choices[0].message.content, "You said: one two three");
    assert.equal(answer.usage.total_tokens, 8);
  },

  async "chat streams"(provider) {
    const stream = await openai.chat.completions.create({
      model: `${provider}/sim-drip`, messages: user("héllo 👋"), stream: true, stream_options: { include_usage: true },
    });
    let text = "";
    let usage;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, "You said: héllo 👋");
    assert.equal(usage.completion_tokens, 4);
  },

  async "chat tool loop"(provider) {
    const messages = user(askTwo);
    const stream = openai.chat.completions.stream({ model: `${provider}/sim-1`, messages, tools: [fn] });
    const message = (await stream.finalChatCompletion()).choices[0].message;
    assert.deepEqual(message.tool_calls.map((c) => c.function.arguments), ['{"city":"Paris"}', '{"city":"Rome"}']);
    const results = message.tool_calls.map((c) => ({ role: "tool", tool_call_id: c.id, content: "sun" }));
    const answer = await openai.chat.completions.create({
      model: `${provider}/sim-1`, tools: [fn], messages: [...messages, message, ...results],
    });
    assert.equal(answer.choices[0].message.content, "The tools answered: sun; sun");
  },

  async "tools of the gateway's"(provider) {
    const content = 'call weir_calculate {"expression": "0.1 + 0.2"}';
    const isThreeTenths = (text) => assert.match(text, /^The tool answered: .*"0\.3"/);
    const chat = { model: `${provider}/sim-1`, messages: user(content), weir_tools: ["weir_calculate"] };
    const answer = await openai.chat.completions.create(chat);
    isThreeTenths(answer.choices[0].message.content);
    assert.equal(answer.weir_tools_executed[0].name, "weir_calculate");
    const stream = openai.chat.completions.stream(chat);
    let last;
    stream.on("chunk", (chunk) => { last = chunk.choices.length ? chunk : last; });
    const final = (await stream.finalChatCompletion()).choices[0];
    isThreeTenths(final.message.content);
    assert.equal(final.finish_reason, "stop");
    assert.equal(last.weir_tools_executed[0].name, "weir_calculate");
    const headers = { headers: { "x-weir-tools": "weir_calculate" } };
    const asked = { model: `${provider}/sim-1`, max_tokens: 200, messages: user(content) };
    isThreeTenths((await anthropic.messages.create(asked, headers)).content.at(-1).text);
    isThreeTenths((await anthropic.messages.stream(asked, headers).finalMessage()).content.at(-1).text);
  },

  async "chat errors"(provider) {
    for (const [model, wanted] of [["sim-error-400", OpenAI.BadRequestError], ["sim-error-429", OpenAI.RateLimitError], ["sim-error-500", OpenAI.InternalServerError]]) {
      await assert.rejects(openai.chat.completions.create({ model: `${provider}/${model}`, messages: user("hi") }), wanted);
    }
    const broken = await openai.chat.completions.create({ model: `${provider}/sim-1-slow`, messages: user("count to 3"), stream: true });
    for await (const _ of broken);
    await assert.rejects(openai.chat.completions.create({ model: `${provider}x/none`, messages: user("hi") }), OpenAI.NotFoundError);
  },

  async "messages answer"(provider) {
    const answer = await anthropic.messages.create({ model: `${provider}/sim-1`, max_tokens: 100, messages: user("one two three") });
    assert.equal(answer.content[0].text, "You said: one two three");
    assert.equal(answer.usage.input_tokens, 3);
  },

  async "messages stream"(provider) {
    const stream = anthropic.messages.stream({ model: `${provider}/sim-drip`, max_tokens: 100, messages: user("héllo 👋") });
    const final = await stream.finalMessage();
    assert.equal(final.content[0].text, "You said: héllo 👋");
    assert.equal(final.usage.output_tokens, 4);
  },

  async "messages thinking and tools round trip"(provider) {
    const options = { model: `${provider}/${thinks[provider] ?? "claude-sonnet-4-5"}`, max_tokens: 4096, tools: [tool], thinking: { type: "enabled", budget_tokens: 1024 } };
    const messages = user("use get_weather for Oslo");
    const first = await anthropic.messages.stream({ ...options, messages }).finalMessage();
    assert.deepEqual(first.content.map((b) => b.type), ["thinking", "tool_use"]);
    const result = { type: "tool_result", tool_use_id: first.content[1].id, content: "rain" };
    const second = await anthropic.messages.create({
      ...options, messages: [...messages, { role: "assistant", content: first.content }, { role: "user", content: [result] }],
    });
    assert.equal(second.content.at(-1).text, "The tool answered: rain");
  },

  async "messages errors"(provider) {
    for (const [model, wanted] of [["sim-error-400", Anthropic.BadRequestError], ["sim-error-429", Anthropic.RateLimitError], ["sim-error-529", Anthropic.InternalServerError]]) {
      await assert.rejects(anthropic.messages.create({ model: `${provider}/${model}`, max_tokens: 9, messages: user("hi") }), wanted);
    }
    await assert.rejects(anthropic.messages.create({ model: `${provider}x/none`, max_tokens: 9, messages: user("hi") }), Anthropic.NotFoundError);
  },

  async "responses answer, stream and tool loop"(provider) {
    const answer = await openai.responses.create({ model: `${provider}/sim-1`, input: "one two three" });
    assert.equal(answer.output_text, "You said: one two three");
    const tools = [{ type: "function", name: "get_weather", description: "The weather.", parameters: city, strict: true }];
    const input = user(askTwo);
    const final = await openai.responses.stream({ model: `${provider}/sim-drip`, input, tools }).finalResponse();
    const calls = final.output.filter((item) => item.type === "function_call");
    assert.deepEqual(calls.map((c) => c.arguments), ['{"city":"Paris"}', '{"city":"Rome"}']);
    const results = calls.map((c) => ({ type: "function_call_output", call_id: c.call_id, output: "sun" }));
    const last = await openai.responses.create({ model: `${provider}/sim-1`, tools, input: [...input, ...final.output, ...results] });
    assert.equal(last.output_text, "The tools answered: sun; sun");
  },

  async "gemini answer and stream"(provider) {
    const answer = await google.models.generateContent({ model: `${provider}/sim-1`, contents: "one two three" });
    assert.equal(answer.text, "You said: one two three");
    assert.equal(answer.usageMetadata.totalTokenCount, 8);
    let text = "";
    for await (const chunk of await google.models.generateContentStream({ model: `${provider}/sim-drip`, contents: "héllo 👋" })) text += chunk.text ?? "";
    assert.equal(text, "You said: héllo 👋");
  },

  async "gemini thinking and tools round trip"(provider) {
    const config = {
      tools: [{ functionDeclarations: [{ name: "get_weather", description: "The weather.", parametersJsonSchema: city }] }],
      thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 },
    };
    const options = { model: `${provider}/sim-think`, config };
    const contents = [{ role: "user", parts: [{ text: askTwo }] }];
    const parts = [];
    for await (const chunk of await google.models.generateContentStream({ ...options, contents })) parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []));
    assert.equal(parts.filter((part) => part.thought).map((part) => part.text ?? "").join(""), `Let me think about this: ${askTwo}`);
    const calls = parts.filter((part) => part.functionCall).map((part) => part.functionCall);
    assert.deepEqual(calls.map((call) => call.args), [{ city: "Paris" }, { city: "Rome" }]);
    const results = calls.map((call) => ({ functionResponse: { id: call.id, name: call.name, response: { output: "sun" } } }));
    const last = await google.models.generateContent({ ...options, contents: [...contents, { role: "model", parts }, { role: "user", parts: results }] });
    assert.match(last.text, /sun/);
  },

  async "gemini errors, token counts, models"(provider) {
    for (const [model, status] of [["sim-error-400", 400], ["sim-error-429", 429]]) {
      await assert.rejects(google.models.generateContent({ model: `${provider}/${model}`, contents: "hi" }), (error) => error instanceof ApiError && error.status === status);
    }
    await assert.rejects(google.models.generateContent({ model: `${provider}x/none`, contents: "hi" }), (error) => error.status === 404);
    const { totalTokens } = await google.models.countTokens({ model: `${provider}/sim-1`, contents: "one two three" });
    assert.ok(totalTokens >= 3);
    const names = [];
    for await (const model of await google.models.list()) names.push(model.name);
    assert.ok(names.includes(`models/${provider}/sim-1`), names.join());
  },

  async "token counts, models, embeddings"(provider) {
    const count = await anthropic.messages.countTokens({ model: `${provider}/sim-1`, messages: user("one two three") });
    assert.ok(count.input_tokens >= 3);
    const ids = [];
    for await (const model of openai.models.list()) ids.push(model.id);
    for await (const model of anthropic.models.list()) ids.push(model.id);
    if (provider === "simulator") {
      assert.ok(ids.filter((id) => id.startsWith("simulator/")).length >= 2, ids.join());
      const answer = await openai.embeddings.create({ model: "simulator/sim-embed", input: "a b" });
      assert.equal(answer.data[0].embedding.length, 8);
    }
  },
};

let passed = 0;
let failed = 0;
for (const [name, run] of Object.entries(checks)) {
  for (const provider of ["simulator", "simulator-anthropic", "simulator-responses", "simulator-gemini", "simulator-bedrock", "simulator-cohere"]) {
    try {
      await run(provider);
      passed += 1;
      console.log(`pass node ${name} [${provider}]`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL node ${name} [${provider}]: ${String(error?.stack ?? error).slice(0, 1500)}`);
    }
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
