//! Any server that speaks Anthropic's format: `base_url` is what Anthropic's SDK would take, for
//! example `https://api.deepseek.com/anthropic`, `https://api.moonshot.ai/anthropic`, or a vLLM,
//! SGLang, llama.cpp, Ollama or LM Studio server that is new enough.
//!
//! Usage: as Anthropic's. Tokens are counted here: not every such server has the endpoint for it.

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "anthropic-compatible",
    title: "Anthropic-compatible server",
    apis: &[Api::MESSAGES],
    base_url: None,
    paths: Paths { count_tokens: None, ..Paths::ANTHROPIC },
    auth: Auth::Header("x-api-key"),
    env: &[],
    key_optional: true,
    quirks: Quirks::NONE,
    http2: false,
    catalogue: "anthropic-compatible",
    docs_url: "https://platform.claude.com/docs/en/api/messages",
};
