//! Jina AI: embeddings and rerank, no generation.
//!
//! Usage: `total_tokens` for both (by its reference, 2026-11; no public recording).
//!
//! Quirks:
//! - says `task` and `embedding_type` for what others call `input_type` and `encoding_format` (by its
//!   reference, 2026-11)

use super::{Auth, Embeddings, Paths, Provider, Rerank};
use crate::wire::Quirks;
use crate::wire::embeddings::Shape;

pub static PROVIDER: Provider = Provider {
    kind: "jina",
    title: "Jina AI",
    apis: &[],
    base_url: Some("https://api.jina.ai/v1"),
    paths: Paths {
        embeddings: &[Embeddings { shape: Shape::Jina, ..Embeddings::OPENAI }],
        rerank: Some(Rerank::JINA),
        models: None,
        ..Paths::OPENAI
    },
    auth: Auth::Bearer,
    env: &["JINA_API_KEY"],
    key_optional: false,
    quirks: Quirks::NONE,
    http2: true,
    catalogue: "jina",
    docs_url: "https://api.jina.ai/redoc",
};
