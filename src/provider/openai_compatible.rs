//! Any server that speaks OpenAI's format: `base_url` as OpenAI's SDK would take it, with `/v1`.
//! What it does not take is said with `quirks` in the configuration.
//!
//! Usage: OpenAI's; cached tokens are also found at its top level and under Anthropic's names.
//! Recorded as many vendors (Alibaba, Z.ai, Venice, gateways, local servers).

use super::{Api, Auth, Paths, Provider, Rerank};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "openai-compatible",
    title: "OpenAI-compatible server",
    apis: &[Api::CHAT],
    base_url: None,
    paths: Paths { completions: Some("/completions"), rerank: Some(Rerank::JINA), ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &[],
    key_optional: true,
    quirks: Quirks::NONE,
    http2: false,
    catalogue: "openai-compatible",
    docs_url: "https://platform.openai.com/docs/api-reference/chat",
};
