//! Moonshot AI, the maker of Kimi; in China `https://api.moonshot.cn/v1`. Its Anthropic-format
//! endpoint has another base URL: kind `anthropic-compatible` with
//! `https://api.moonshot.ai/anthropic`.
//!
//! Usage: OpenAI's, with `cached_tokens` at its top level
//! (moonshotai-chat_completions-b755501f7ff9, seen 2026-08-04).
//!
//! Quirks:
//! - thinking is in `reasoning_content` (moonshotai-chat_completions-b755501f7ff9) and must go back
//!   there with its tool calls, else it answers 400 (by its reference, 2026-11)
//! - a stream's chunks have no `object`

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "moonshot",
    title: "Moonshot AI",
    apis: &[Api::CHAT],
    base_url: Some("https://api.moonshot.ai/v1"),
    paths: Paths { embeddings: &[], ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["MOONSHOT_API_KEY"],
    key_optional: false,
    quirks: Quirks { reasoning_echo: Some("reasoning_content"), ..Quirks::NONE },
    http2: true,
    catalogue: "moonshot",
    docs_url: "https://platform.moonshot.ai/docs/api/chat",
};
