//! Voyage AI: embeddings and rerank, no generation.
//!
//! Usage: `total_tokens` alone (voyage-embeddings-1e796aae06fe, voyage-rerank-65f2fb8904a7, seen 2026-02).
//!
//! Quirks:
//! - errors are `{detail: text}` (voyage-embeddings-e76f1fff5863, seen 2026-08)
//! - refuses members it does not know, OpenAI's `user` among them (by its reference, 2026-11)

use super::{Auth, Embeddings, Paths, Provider, Rerank};
use crate::wire::{Quirks, embeddings, rerank};

pub static PROVIDER: Provider = Provider {
    kind: "voyage",
    title: "Voyage AI",
    apis: &[],
    base_url: Some("https://api.voyageai.com/v1"),
    paths: Paths {
        embeddings: &[Embeddings { shape: embeddings::Shape::Voyage, ..Embeddings::OPENAI }],
        rerank: Some(Rerank { shape: rerank::Shape::Voyage, path: "/rerank" }),
        models: None,
        ..Paths::OPENAI
    },
    auth: Auth::Bearer,
    env: &["VOYAGE_API_KEY"],
    key_optional: false,
    quirks: Quirks::NONE,
    http2: true,
    catalogue: "voyage",
    docs_url: "https://docs.voyageai.com/reference/embeddings-api",
};
