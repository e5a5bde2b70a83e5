//! Ollama, by its OpenAI-compatible paths: `http://HOST:11434/v1`, in the cloud
//! `https://ollama.com/v1`.
//!
//! Usage: OpenAI's, without details; `prompt_tokens` may be missing where the prompt was cached.
//!
//! Quirks:
//! - thinking is in `reasoning`, and goes back there (ollama-chat_completions-0045c34a7e15, seen
//!   2026-08-13)
//! - images inline only (ollama-chat_completions-575a6337e7b1, seen 2026-06-08);
//!   `parallel_tool_calls` is not among the members it lists (by its reference, 2026-11)
//! - takes `json_schema` (ollama-chat_completions-9633d17b85d0, seen 2026-04-16) and
//!   `stream_options` (ollama-chat_completions-0045c34a7e15)

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "ollama",
    title: "Ollama",
    apis: &[Api::CHAT],
    base_url: None,
    paths: Paths { completions: Some("/completions"), ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &[],
    key_optional: true,
    quirks: Quirks { reasoning_echo: Some("reasoning"), parallel_tool_calls: false, image_urls: false, ..Quirks::NONE },
    http2: false,
    catalogue: "ollama",
    docs_url: "https://docs.ollama.com/api/openai-compatibility",
};
