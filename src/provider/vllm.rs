//! vLLM's server: `http://HOST:8000/v1`.
//!
//! Usage: OpenAI's; in a stream only if asked for: every recorded chunk says `usage: null`
//! (vllm-completions-2db1dc6d4027, seen 2024-10-16; whole: vllm-completions-34ff78bdf0d9).
//!
//! Quirks:
//! - thinking is in `reasoning`, before 0.11 in `reasoning_content`; it goes back as `reasoning`
//!   (by its reference, 2026-11)
//! - goes on with the last message by `continue_final_message` without `add_generation_prompt` (by its
//!   reference, 2026-11)
//!
//! Chat exchanges with it are among the recorded `local` ones.

use super::{Api, Auth, Pass, Paths, Provider, Rerank};
use crate::wire::Quirks;
use crate::wire::resume::Mark;

pub static PROVIDER: Provider = Provider {
    kind: "vllm",
    title: "vLLM",
    apis: &[Api::CHAT],
    base_url: None,
    paths: Paths {
        completions: Some("/completions"),
        rerank: Some(Rerank::JINA),
        passes: &[Pass::Transcriptions],
        ..Paths::OPENAI
    },
    auth: Auth::Bearer,
    env: &[],
    key_optional: true,
    quirks: Quirks { reasoning_echo: Some("reasoning"), prefill: Some(Mark::ContinueFinalMessage), ..Quirks::NONE },
    http2: false,
    catalogue: "vllm",
    docs_url: "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
};
