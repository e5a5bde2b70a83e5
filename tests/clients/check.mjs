// Node clients against a running gateway: see check.py, which has the same environment and the same way to report.
// Runs where its packages are: copied next to node_modules.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { GoogleGenAI } from "@google/genai";
import * as ai from "ai";
import OpenAI from "openai";

const url = process.env.WEIR_URL;
const key = process.env.WEIR_KEY;
const providers = process.env.PROVIDERS.split(" ");
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const text = "one two three";
const said = "You said: one two three";
const weather = "get_weather for Oslo";
const user = (content) => [{ role: "user", content }];
const fails = (run) => assert.rejects(run, (error) => `${error?.message} ${error?.responseBody}`.includes("simulated error 400"));

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
const google = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } });

const clients = {
  "openai-node (chat)": (provider) => {
    const model = `${provider}/sim-1`;
    const tools = [{ type: "function", function: { name: "get_weather", description: "The weather.", parameters: city } }];
    return {
      async turn() {
        const answer = await openai.chat.completions.create({ model, messages: user(text) });
        assert.equal(answer.choices[0].message.content, said);
      },
      async stream() {
        let got = "";
        const stream = await openai.chat.completions.create({ model, messages: user(text), stream: true });
        for await (const chunk of stream) got += chunk.choices[0]?.delta?.content ?? "";
        assert.equal(got, said);
      },
      async tools() {
        const runner = openai.chat.completions.runTools({
          model, messages: user(weather), tools: [{ ...tools[0], function: { ...tools[0].function, parse: JSON.parse, function: (input) => `rain in ${input.city}` } }],
        });
        assert.equal(await runner.finalContent(), "The tool answered: rain in Oslo");
      },
      error: () => fails(openai.chat.completions.create({ model: `${provider}/sim-error-400`, messages: user("x") })),
    };
  },

  "openai-node (responses)": (provider) => {
    const model = `${provider}/sim-1`;
    const tools = [{ type: "function", name: "get_weather", description: "The weather.", parameters: city, strict: true }];
    return {
      async turn() {
        assert.equal((await openai.responses.create({ model, input: text })).output_text, said);
      },
      async stream() {
        let got = "";
        for await (const event of openai.responses.stream({ model, input: text })) if (event.type === "response.output_text.delta") got += event.delta;
        assert.equal(got, said);
      },
      async tools() {
        const input = user(weather);
        const first = await openai.responses.create({ model, input, tools });
        const call = first.output.find((item) => item.type === "function_call");
        assert.deepEqual(JSON.parse(call.arguments), { city: "Oslo" });
        const result = { type: "function_call_output", call_id: call.call_id, output: "rain" };
        const last = await openai.responses.create({ model, tools, input: [...input, ...first.output, result] });
        assert.equal(last.output_text, "The tool answered: rain");
      },
      error: () => fails(openai.responses.create({ model: `${provider}/sim-error-400`, input: "x" })),
    };
  },

  "anthropic-ts": (provider) => {
    const options = { model: `${provider}/sim-1`, max_tokens: 1000 };
    const tools = [{ name: "get_weather", description: "The weather.", input_schema: city }];
    return {
      async turn() {
        assert.equal((await anthropic.messages.create({ ...options, messages: user(text) })).content[0].text, said);
      },
      async stream() {
        assert.equal(await anthropic.messages.stream({ ...options, messages: user(text) }).finalText(), said);
      },
      async tools() {
        const first = await anthropic.messages.create({ ...options, tools, messages: user(weather) });
        const use = first.content.find((block) => block.type === "tool_use");
        assert.deepEqual(use.input, { city: "Oslo" });
        const results = [{ type: "tool_result", tool_use_id: use.id, content: "rain" }];
        const last = await anthropic.messages.create({
          ...options, tools, messages: [...user(weather), { role: "assistant", content: first.content }, { role: "user", content: results }],
        });
        assert.equal(last.content[0].text, "The tool answered: rain");
      },
      error: () => fails(anthropic.messages.create({ ...options, model: `${provider}/sim-error-400`, messages: user("x") })),
    };
  },

  "@google/genai": (provider) => {
    const model = `${provider}/sim-1`;
    const config = { tools: [{ functionDeclarations: [{ name: "get_weather", description: "The weather.", parametersJsonSchema: city }] }] };
    return {
      async turn() {
        assert.equal((await google.models.generateContent({ model, contents: text })).text, said);
      },
      async stream() {
        let got = "";
        for await (const chunk of await google.models.generateContentStream({ model, contents: text })) got += chunk.text ?? "";
        assert.equal(got, said);
      },
      async tools() {
        const contents = [{ role: "user", parts: [{ text: weather }] }];
        const first = await google.models.generateContent({ model, contents, config });
        const [call] = first.functionCalls;
        assert.deepEqual(call.args, { city: "Oslo" });
        const result = { functionResponse: { id: call.id, name: call.name, response: { output: "rain" } } };
        contents.push(first.candidates[0].content, { role: "user", parts: [result] });
        const last = await google.models.generateContent({ model, contents, config });
        assert.match(last.text, /rain/);
      },
      error: () => fails(google.models.generateContent({ model: `${provider}/sim-error-400`, contents: "x" })),
    };
  },

  "Vercel AI SDK (openai-compatible)": vercel(createOpenAICompatible({ name: "weir", baseURL: `${url}/v1`, apiKey: key, includeUsage: true })),
  "Vercel AI SDK (openai chat)": vercel(createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).chat),
  "Vercel AI SDK (openai responses)": vercel(createOpenAI({ baseURL: `${url}/v1`, apiKey: key }).responses),
  "Vercel AI SDK (anthropic)": vercel(createAnthropic({ baseURL: `${url}/v1`, apiKey: key })),
  "Vercel AI SDK (google)": vercel(createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key })),
};

function vercel(make) {
  return (provider) => {
    const model = make(`${provider}/sim-1`);
    const tools = {
      get_weather: ai.tool({ description: "The weather.", inputSchema: ai.jsonSchema(city), execute: async (input) => `rain in ${input.city}` }),
    };
    const loop = { model, tools, prompt: weather, stopWhen: ai.isStepCount(3), maxRetries: 0 };
    return {
      async turn() {
        assert.equal((await ai.generateText({ model, prompt: text, maxRetries: 0 })).text, said);
      },
      async stream() {
        const result = ai.streamText({ model, prompt: text, maxRetries: 0 });
        let got = "";
        for await (const piece of result.textStream) got += piece;
        assert.equal(got, said);
        assert.ok((await result.usage).inputTokens > 0);
      },
      async tools() {
        assert.match((await ai.generateText(loop)).text, /rain in Oslo/);
        const result = ai.streamText(loop);
        let got = "";
        for await (const piece of result.textStream) got += piece;
        assert.match(got, /rain in Oslo/);
      },
      error: () => fails(ai.generateText({ model: make(`${provider}/sim-error-400`), prompt: "x", maxRetries: 0 })),
    };
  };
}

const packages = {
  "openai-node": "openai", "anthropic-ts": "@anthropic-ai/sdk", "@google/genai": "@google/genai", Vercel: "ai",
};
function version(name) {
  const [, found] = Object.entries(packages).find(([start]) => name.startsWith(start));
  return JSON.parse(readFileSync(`node_modules/${found}/package.json`)).version;
}

const squeeze = (error) => String(error?.stack ?? error).split(/\s+/).join(" ").slice(0, 700);

let passed = 0;
let failed = 0;
for (const [name, make] of Object.entries(clients)) {
  console.log(`client ${name} | ${version(name)}`);
  for (const provider of providers) {
    for (const [check, run] of Object.entries(make(provider))) {
      try {
        await run();
        passed += 1;
        console.log(`pass ${name} | ${provider} | ${check}`);
      } catch (error) {
        failed += 1;
        console.log(`FAIL ${name} | ${provider} | ${check}: ${squeeze(error)}`);
      }
    }
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
