//! The provider that needs no network: a real HTTP server on loopback that speaks every provider's
//! format and answers by rule, for `weir demo`, tests and benches.
//!
//! Paths, each with and without `/v1`: `/chat/completions`, `/completions`, `/embeddings`,
//! `/models`, `/messages`, `/messages/count_tokens`, `/responses`; `/v2/chat` (Cohere);
//! `.../models/{model}:generateContent`, `:streamGenerateContent` and `:countTokens` (Gemini, Vertex AI);
//! `/model/{model}/converse` and `/converse-stream`, `/invoke` and `/invoke-with-response-stream` for Claude
//! (Bedrock). Any credential is good.
//!
//! # Models
//! The last part of a name (after the last `/` or `anthropic.claude-`) says how the server behaves. A name that does not
//! begin with `sim-` (`gpt-4o-mini`, `claude-sonnet-4-5`) behaves as `sim-1`.
//!
//! | model | behaviour |
//! |---|---|
//! | `sim-1` | answers at once |
//! | `sim-1-slow`, `sim-pace-N` | 50 ms, N ms before each event of a stream |
//! | `sim-think` | thinks before it answers, asked or not (Anthropic: unless disabled) |
//! | `sim-error-N` | status N in the vendor's shape; 429 with `retry-after: 1` |
//! | `sim-stream-error` | a 200 whose first event is an error; not streamed: a 200 with an error body |
//! | `sim-stream-cut` | closes the socket after three pieces of content; not streamed: in mid-body |
//! | `sim-stream-midstream-error` | an error event after three pieces of content |
//! | `sim-no-usage` | never says what it used |
//! | `sim-hang` | never answers |
//! | `sim-stall` | head and first content event, then nothing |
//! | `sim-drip` | the stream in writes of five bytes, through characters and line ends |
//! | `sim-embed` | as any other name on `/embeddings`: vectors follow the text |
//!
//! # Answers
//! - The last text of the user decides: `reply with: X` answers X and calls nothing,
//!   `count to N` answers `1 2 ... N`,
//!   anything else `You said: <text>`, with ` (1 image)` or ` (1 document)` after it where
//!   the last user turn has some. `n` > 1: answer i ends in ` [i]` from the second on.
//! - A tool is called where the text names it, once per mention, in order (only the first where
//!   parallel calls are switched off); `use the tool` calls the first one offered; so does a forced
//!   choice. Arguments follow the schema, see `schema.rs`. After tool results the answer is
//!   `The tool answered: <result>`, several joined by `; `.
//!   `call NAME {...}` calls a tool that is offered with just these arguments, and nothing else.
//! - A JSON schema (`response_format`, `output_config.format`, `output_format`) gets a value that
//!   fits it, JSON mode gets `{"answer": "You said: ..."}`.
//! - Thinking is `Let me think about this: <text>`, asked for by `reasoning_effort` (not `none`) or
//!   `thinking`. On Messages it is signed: a signature that does not come back byte for byte, and a
//!   tool loop that comes back without its thinking, get the vendor's 400. Text with
//!   `redact your thinking` gets a `redacted_thinking` block instead.
//! - Stop sequences cut the text; `max_tokens` cuts words, thinking first.
//! - Calls without results, results without calls, a missing `max_tokens` on Messages get a 400.
//!
//! # Tokens
//! A token is a word: a run without white space. Input is every text the model reads: system,
//! messages, thinking, tool results, names and arguments of tool calls, and of every tool its name,
//! description and schema; arguments and schemas count as compact JSON with sorted keys. An image,
//! a document or a piece of audio is ten tokens. Output is text, thinking, names and arguments of
//! calls. The same talk costs the same in both formats.
//!
//! Prompt caches are kept per credential and model. Chat: whole messages from the start that were
//! seen before, from 64 tokens on. Messages: up to the last block marked `cache_control`; what was
//! seen before is read, the rest up to the mark is written (`ttl: 1h` counts as one hour's write).
//!
//! # What was seen
//! `GET /_sim/log` lists the last 512 requests with headers, body (cut at 1 MiB), tokens, and how
//! each ended (`open`, `answered`, `client_gone`, `cut`). `DELETE /_sim/log` forgets them.

#![expect(
    clippy::disallowed_types,
    reason = "a stand-in for other people's servers reads JSON as they do: into a tree"
)]

mod app;
mod cache;
mod chat;
mod cloud;
mod completions;
mod embeddings;
mod failure;
mod invoke;
mod log;
mod meaning;
mod messages;
mod model;
mod prompt;
mod reply;
mod route;
mod schema;
mod serve;

pub use app::{Simulator, app, service};
pub use serve::serve;

#[cfg(test)]
mod tests;
