//! OpenAI Chat Completions, and everything that calls itself compatible with it.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/chat>. What is written to clients
//! validates against the official SDK's models; what comes from upstreams is read leniently.
//!
//! Seen from vendors (2025-10 to 2026-11):
//! - reasoning text: `reasoning_content` (DeepSeek, xAI, Z.ai, Alibaba, Moonshot, llama.cpp),
//!   `reasoning` (Groq, Ollama, Cerebras, OpenRouter), both at once, in `reasoning_details` only
//!   (Snowflake), or as a content item `{type: thinking}` (Mistral);
//! - usage: in the last chunk without choices, in one with choices, in every chunk, in a choice
//!   (Moonshot), in `x_groq`; details that exceed their total (Vercel, Azure); reasoning outside
//!   `completion_tokens` (xAI), audio outside `prompt_tokens` (Mistral). See [`usage`];
//! - `finish_reason` twice (OpenRouter), empty or absent (Snowflake), `eos` (Together), together
//!   with the last content (Mistral), `stop` beside tool calls (OpenAI's forced function);
//! - tool calls whole in one delta (Mistral, Groq, xAI), without `index` (Mistral), with an empty
//!   `id` in every continuation (Alibaba) or a null one (Venice), all with index 0;
//! - a first chunk without choices, id and model (Azure); no `object` (Copilot, Moonshot); a
//!   growing `message` beside every `delta` (Perplexity); no `[DONE]` (Perplexity, Hugging Face);
//! - an error inside a 200: `event: error` (Groq), an `error` member (OpenRouter, Azure).
//!
//! Own choices: thinking goes to clients as `reasoning_content`, its proof as `reasoning_details`.

pub mod completions;
mod details;
pub mod error;
mod finish;
pub mod request;
pub mod response;
mod shape;
pub mod stream;
pub mod usage;
