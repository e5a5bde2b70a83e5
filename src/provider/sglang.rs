//! SGLang's server: `http://HOST:30000/v1`.
//!
//! Usage: OpenAI's; reasoning is in `reasoning_tokens` at its top level (by its reference,
//! 2026-11).
//!
//! Quirks:
//! - thinking is in `reasoning_content`, and goes back there (by its reference)
//! - goes on with the last message by `continue_final_message` (by its reference)
//!
//! No recorded exchange: its facts are from its reference.

use super::{Api, Auth, Paths, Provider, Rerank};
use crate::wire::Quirks;
use crate::wire::resume::Mark;

pub static PROVIDER: Provider = Provider {
    kind: "sglang",
    title: "SGLang",
    apis: &[Api::CHAT],
    base_url: None,
    paths: Paths { completions: Some("/completions"), rerank: Some(Rerank::JINA), ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &[],
    key_optional: true,
    quirks: Quirks {
        reasoning_echo: Some("reasoning_content"),
        prefill: Some(Mark::ContinueFinalMessage),
        ..Quirks::NONE
    },
    http2: false,
    catalogue: "sglang",
    docs_url: "https://docs.sglang.ai/basic_usage/openai_api_completions.html",
};
