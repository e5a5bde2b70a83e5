//! Cohere, in the second version of its own API.
//!
//! Usage: `usage.tokens` is what the model read and wrote, `cached_tokens` inside its input;
//! `billed_units` are fewer, for Cohere's own prompt is not billed (all recorded answers, 2026-11). In a
//! stream in the last event, unasked.
//!
//! Quirks:
//! - refuses members it does not know with status 422, `strict` on a tool among them (reported 2026-03)
//! - no `response_format` beside tools or documents (SDK 7.3.1): a schema is told in the instructions
//! - system messages have to come first; a message without content is refused
//! - models with `reasoning` in their names, and Command A+, think unless `thinking` is `disabled`
//!   (cohere-cohere_chat-076f19b75d3c)
//! - a model that was taken out of service is status 404 (cohere-cohere_chat-267f92714212); errors are
//!   `{id, message}`

use super::{Api, Auth, Embeddings, Paths, Provider, Rerank};
use crate::wire::{Dialect, Quirks, embeddings, rerank};

pub static PROVIDER: Provider = Provider {
    kind: "cohere",
    title: "Cohere",
    apis: &[Api { dialect: Dialect::Cohere, path: "/v2/chat", ..Api::CHAT }],
    base_url: Some("https://api.cohere.com"),
    paths: Paths {
        count_tokens: None,
        completions: None,
        embeddings: &[Embeddings { shape: embeddings::Shape::Cohere, path: "/v2/embed", ..Embeddings::OPENAI }],
        rerank: Some(Rerank { shape: rerank::Shape::Cohere, path: "/v2/rerank" }),
        models: Some("/v1/models?endpoint=chat&page_size=1000"),
    },
    auth: Auth::Bearer,
    env: &["COHERE_API_KEY", "CO_API_KEY"],
    key_optional: false,
    quirks: Quirks::NONE,
    http2: true,
    catalogue: "cohere",
    docs_url: "https://docs.cohere.com/v2/reference/chat",
};
