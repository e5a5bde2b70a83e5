//! Cerebras Inference.
//!
//! Usage: OpenAI's; reasoning is inside `completion_tokens`
//! (cerebras-chat_completions-12e99151f96c, seen 2026-06-11). `time_info` comes with it.
//!
//! Quirks:
//! - thinking is in `reasoning`, and goes back there (cerebras-chat_completions-12e99151f96c)
//! - takes `reasoning_effort` (cerebras-chat_completions-c5bdffe8d070, seen 2026-06-12)
//! - `developer` only with OpenAI's open models, by the types of its SDK 1.91: `system` is sent
//! - no embeddings

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "cerebras",
    title: "Cerebras",
    apis: &[Api::CHAT],
    base_url: Some("https://api.cerebras.ai/v1"),
    paths: Paths { completions: Some("/completions"), embeddings: &[], ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["CEREBRAS_API_KEY"],
    key_optional: false,
    quirks: Quirks { max_tokens: "max_completion_tokens", reasoning_echo: Some("reasoning"), ..Quirks::NONE },
    http2: true,
    catalogue: "cerebras",
    docs_url: "https://inference-docs.cerebras.ai/api-reference/chat-completions",
};
