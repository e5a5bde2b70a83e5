//! Gemini by Google's own API for developers (`generativelanguage.googleapis.com`); Google Cloud's is
//! another kind.
//!
//! Usage: `thoughtsTokenCount` stands beside `candidatesTokenCount`, `toolUsePromptTokenCount` beside
//! `promptTokenCount`, `cachedContentTokenCount` is inside it; every chunk of a stream has counts, the
//! last ones hold (all recorded streams, 2026-11).
//!
//! Quirks:
//! - the model and whether to stream are said by the path; streams are always asked for as
//!   server-sent events, whatever the client takes
//! - Gemini 3 refuses a tool call of an earlier turn that has lost its `thoughtSignature`: calls of
//!   other makers go out with the value that is meant for them
//! - a wrong key is status 400, told by the reason `API_KEY_INVALID`; a spent quota is status 429 with
//!   the time to wait in `RetryInfo`
//! - at most five `stopSequences`; 2.5 Pro and later models cannot be kept from thinking

use super::{Api, Auth, Embeddings, Paths, Provider};
use crate::wire::{Dialect, Quirks};

pub static PROVIDER: Provider = Provider {
    kind: "gemini",
    title: "Google Gemini",
    apis: &[Api {
        dialect: Dialect::Gemini,
        path: "/v1beta/models/{model}:generateContent",
        stream_path: Some("/v1beta/models/{model}:streamGenerateContent?alt=sse"),
        ..Api::CHAT
    }],
    base_url: Some("https://generativelanguage.googleapis.com"),
    paths: Paths {
        count_tokens: Some("/v1beta/models/{model}:countTokens"),
        completions: None,
        embeddings: &Embeddings::GOOGLE,
        rerank: None,
        models: Some("/v1beta/models?pageSize=1000"),
    },
    auth: Auth::Header("x-goog-api-key"),
    env: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    key_optional: false,
    quirks: Quirks::NONE,
    http2: true,
    catalogue: "gemini",
    docs_url: "https://ai.google.dev/api/generate-content",
};
