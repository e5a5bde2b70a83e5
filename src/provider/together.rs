//! Together AI. Model names carry their author: `meta-llama/Llama-3.3-70B-Instruct-Turbo`.
//!
//! Usage: OpenAI's, with `cached_tokens` at its top level (together-chat_completions-19a78bd11431,
//! seen 2026-08-07); in a stream in the chunk that finishes.
//!
//! Quirks:
//! - no `parallel_tool_calls` in its API; takes `reasoning_effort` and `json_schema` (by its SDK
//!   3.1)

use super::{Api, Auth, Pass, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "together",
    title: "Together AI",
    apis: &[Api::CHAT],
    base_url: Some("https://api.together.ai/v1"),
    paths: Paths {
        completions: Some("/completions"),
        passes: &[Pass::Images, Pass::Speech, Pass::Transcriptions],
        ..Paths::OPENAI
    },
    auth: Auth::Bearer,
    env: &["TOGETHER_API_KEY"],
    key_optional: false,
    quirks: Quirks { parallel_tool_calls: false, ..Quirks::NONE },
    http2: true,
    catalogue: "together",
    docs_url: "https://docs.together.ai/reference/chat-completions",
};
