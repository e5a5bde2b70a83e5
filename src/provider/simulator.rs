//! The built-in simulated provider (`src/simulator`), as a server that speaks OpenAI's format: over
//! loopback, no key. It speaks Anthropic's too; for that an `anthropic-compatible` entry points at it,
//! so that both directions of translation can be shown.

use super::{Api, Auth, Paths, Provider, Rerank};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "simulator",
    title: "Simulator",
    apis: &[Api::CHAT, Api::RESPONSES],
    base_url: None,
    paths: Paths { completions: Some("/completions"), rerank: Some(Rerank::JINA), ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &[],
    key_optional: true,
    quirks: Quirks { reasoning_echo: Some("reasoning_content"), ..Quirks::NONE },
    http2: false,
    catalogue: "simulator",
    docs_url: "",
};
