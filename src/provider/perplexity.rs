//! Perplexity's Sonar chat API. **Perplexity ended its support on 2026-09-27** in favour of its
//! Agent API, which speaks OpenAI's Responses format under `/v1`: a provider of kind
//! `openai-compatible` with that base URL and `api: responses` speaks to it.
//!
//! Usage: OpenAI's, in every chunk of a stream, cumulative, with a `cost` object; a fee per request
//! by search context is on top (the model table has the one of the default, low).
//!
//! Quirks:
//! - chunks are called `chat.completion` and carry a whole `message` beside `delta`; lines end with
//!   CRLF; no `[DONE]` (perplexity-chat_completions-9699200eff91, seen 2025-06-04; all 7 streams)
//! - takes `reasoning_effort` (perplexity-chat_completions-428b901500f6, seen 2026-06-08) and
//!   `stream_options` (perplexity-chat_completions-9699200eff91)
//! - no tools of the client's, so neither `strict` nor `parallel_tool_calls`

use super::{Api, Auth, Embeddings, Paths, Provider};
use crate::wire::Quirks;
use crate::wire::embeddings::Shape;

pub static PROVIDER: Provider = Provider {
    kind: "perplexity",
    title: "Perplexity",
    apis: &[Api::CHAT],
    base_url: Some("https://api.perplexity.ai"),
    paths: Paths {
        embeddings: &[Embeddings { shape: Shape::Perplexity, path: "/v1/embeddings", ..Embeddings::OPENAI }],
        models: Some("/v1/models"),
        ..Paths::OPENAI
    },
    auth: Auth::Bearer,
    env: &["PERPLEXITY_API_KEY"],
    key_optional: false,
    quirks: Quirks { strict_tools: false, parallel_tool_calls: false, ..Quirks::NONE },
    http2: true,
    catalogue: "perplexity",
    docs_url: "https://docs.perplexity.ai/api-reference",
};
