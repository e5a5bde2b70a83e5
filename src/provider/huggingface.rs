//! Hugging Face's router to many inference providers. `MODEL:PROVIDER` pins one; prices are known
//! for such names only.
//!
//! Usage: as the provider behind it says it, OpenAI's in all recorded; `cached_tokens` may stand at
//! its top level (huggingface-chat_completions-1711c0006e7b, seen 2025-12-31).
//!
//! Quirks:
//! - a stream may end without `[DONE]` (huggingface-chat_completions-1711c0006e7b, seen 2025-12-31;
//!   6 of 10)
//! - members of the provider behind it come through, as `x_groq`
//!   (huggingface-chat_completions-06377e46c41a, seen 2026-03-12)
//! - takes `json_schema` (huggingface-chat_completions-2a929e338491), `strict` tools
//!   (huggingface-chat_completions-612cead6a787), image URLs
//!   (huggingface-chat_completions-27754cd1aac8, seen 2025-12-31)
//! - chat only; embeddings are per provider

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "huggingface",
    title: "Hugging Face",
    apis: &[Api::CHAT],
    base_url: Some("https://router.huggingface.co/v1"),
    paths: Paths { embeddings: &[], ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["HF_TOKEN"],
    key_optional: false,
    quirks: Quirks::NONE,
    http2: true,
    catalogue: "huggingface",
    docs_url: "https://huggingface.co/docs/inference-providers",
};
