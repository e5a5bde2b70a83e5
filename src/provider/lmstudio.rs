//! LM Studio's local server: `http://HOST:1234/v1`.
//!
//! Usage: OpenAI's (by its reference, 2026-11).
//!
//! Quirks:
//! - images inline only; `parallel_tool_calls` is not among the members it lists (by its reference)
//!
//! No recorded exchange: its facts are from its reference.

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "lmstudio",
    title: "LM Studio",
    apis: &[Api::CHAT],
    base_url: None,
    paths: Paths { completions: Some("/completions"), ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &[],
    key_optional: true,
    quirks: Quirks { parallel_tool_calls: false, image_urls: false, ..Quirks::NONE },
    http2: false,
    catalogue: "lmstudio",
    docs_url: "https://lmstudio.ai/docs/developer/openai-compat",
};
