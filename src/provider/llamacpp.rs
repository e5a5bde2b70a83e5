//! llama.cpp's `llama-server`: `http://HOST:8080/v1`.
//!
//! Usage: OpenAI's, with `timings` beside it (llamacpp-chat_completions-0156a3aec9f9).
//!
//! Quirks:
//! - thinking is in `reasoning_content`, and goes back there
//!   (llamacpp-chat_completions-39d9f4246a3b)
//! - an error's `code` is a number; a prompt that is too long says `n_ctx` and `n_prompt_tokens`
//!   (llamacpp-chat_completions-759e48d9560c)
//! - takes `json_schema` (llamacpp-chat_completions-2daf0bf11dca); tools need `--jinja`; it fetches
//!   image URLs itself and answers 500 where it cannot (llamacpp-chat_completions-4e8711d9d2fd)

use super::{Api, Auth, Paths, Provider, Rerank};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "llamacpp",
    title: "llama.cpp",
    apis: &[Api::CHAT],
    base_url: None,
    paths: Paths { completions: Some("/completions"), rerank: Some(Rerank::JINA), ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &[],
    key_optional: true,
    quirks: Quirks { reasoning_echo: Some("reasoning_content"), ..Quirks::NONE },
    http2: false,
    catalogue: "llamacpp",
    docs_url: "https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
};
