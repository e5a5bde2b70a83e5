//! DeepSeek. Its Anthropic-format endpoint has another base URL: configure it as kind
//! `anthropic-compatible` with `https://api.deepseek.com/anthropic`.
//!
//! Usage: OpenAI's, and again as `prompt_cache_hit_tokens` and `prompt_cache_miss_tokens`;
//! reasoning is inside `completion_tokens` (deepseek-chat_completions-0839a68f1268). In a stream it
//! comes in the chunk that finishes (deepseek-chat_completions-06a74a456c9d, seen 2026-06-08).
//!
//! Quirks:
//! - thinking is in `reasoning_content` and must go back there with its tool calls
//!   (deepseek-chat_completions-483b225bf701)
//! - while thinking it refuses every `tool_choice` that forces a call
//!   (deepseek-chat_completions-894995eb5403); from V4 on it thinks unless `thinking` is `disabled`
//!   (deepseek-chat_completions-26dc9506667b)
//! - an answer that ends in `insufficient_system_resource` broke off (by its reference, 2026-11)
//! - `json_object` but no `json_schema` (deepseek-chat_completions-2999a07706a3; by its reference,
//!   2026-11)
//! - takes `reasoning_effort` (deepseek-chat_completions-0d83c1d00fff) up to `max` (its guide to thinking,
//!   2026-11), `strict` tools
//!   (deepseek-chat_completions-856ade937b34, seen 2026-06-10) and `parallel_tool_calls`
//!   (deepseek-chat_completions-0ad69a9903cc)
//! - goes on with an assistant's message that has `prefix: true`, below `/beta` only: with that base URL
//!   `quirks.prefill` may say so (by its reference, 2026-11)
//! - roles are a closed set without `developer`; image parts are refused by the models without
//!   vision (deepseek-chat_completions-acdb1667b3bf)

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;
use crate::wire::vendor::{Efforts, Models};

pub static PROVIDER: Provider = Provider {
    kind: "deepseek",
    title: "DeepSeek",
    apis: &[Api::CHAT],
    base_url: Some("https://api.deepseek.com"),
    paths: Paths { embeddings: &[], ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["DEEPSEEK_API_KEY"],
    key_optional: false,
    quirks: Quirks {
        reasoning_echo: Some("reasoning_content"),
        json_schema: false,
        thinking_switch: Some(SWITCHED),
        efforts: &[
            Efforts::words(SWITCHED, &["low", "medium", "high", "max"]),
            Efforts::words(Models::named(&["deepseek-r1", "deepseek-reasoner"]), &["low", "medium", "high"]),
        ],
        ..Quirks::NONE
    },
    http2: true,
    catalogue: "deepseek",
    docs_url: "https://api-docs.deepseek.com",
};

/// From V4 on each model thinks or not, as it is told; before, that was said by the name.
const SWITCHED: Models =
    Models { names: &["deepseek"], except: &["-chat", "-coder", "-r1", "-reasoner", "-v2", "-v3"] };
