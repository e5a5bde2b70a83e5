//! Google Cloud's Vertex AI, by the API of each maker: Gemini by its own, Claude by Anthropic's, and what
//! is written `maker/model` (`meta/llama-3.3-70b-instruct-maas`) by an OpenAI-compatible one.
//! `project` and `location` are in the paths; the address is that of the location, of all (`global`) or
//! of a region of the world (`us`, `eu`).
//!
//! Usage: as each format has it; Gemini's as at the other address (all recorded streams, 2026-11).
//!
//! Quirks:
//! - a token goes in `authorization`; it is fetched by Application Default Credentials, or from
//!   `credentials_file`
//! - Claude's body has no `model`, and `anthropic_version` is `vertex-2023-10-16`
//!   (vertex-messages-0465b84bc29a, seen 2025-12-19); betas stay a header
//! - tokens of Claude's are counted at a model called `count-tokens`, which keeps the real one in the
//!   body
//! - refuses the `id` of a `functionCall` and a `functionResponse` that the other address of Gemini's
//!   takes (reported until 2026-07): calls and results are told by their order
//! - a service tier of Gemini's is a header (`X-Vertex-AI-LLM-Shared-Request-Type`, by its guide to Priority
//!   PayGo), no member of the body
//! - versions of models follow an `@` (`claude-sonnet-4-5@20250929`)

use super::{Api, Auth, Edits, Embeddings, Paths, Provider};
use crate::wire::embeddings::Shape;
use crate::wire::{Dialect, Quirks};

pub static PROVIDER: Provider = Provider {
    kind: "vertex",
    title: "Google Vertex AI",
    apis: &[
        Api {
            dialect: Dialect::Gemini,
            path: "/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:generateContent",
            stream_path: Some(
                "/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:streamGenerateContent?alt=sse",
            ),
            serves: |model| !is_claude(model) && !model.contains('/'),
            ..Api::CHAT
        },
        Api {
            path: "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:rawPredict",
            stream_path: Some(
                "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:streamRawPredict",
            ),
            count_path: Some(
                "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/count-tokens:rawPredict",
            ),
            edits: Edits::AnthropicVertex,
            serves: is_claude,
            ..Api::MESSAGES
        },
        Api {
            path: "/v1/projects/{project}/locations/{location}/endpoints/openapi/chat/completions",
            serves: |model| model.contains('/'),
            ..Api::CHAT
        },
    ],
    base_url: Some("https://{location}-aiplatform.googleapis.com"),
    paths: Paths {
        count_tokens: Some("/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:countTokens"),
        completions: None,
        embeddings: &[
            Embeddings {
                shape: Shape::Predict,
                path: "/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:predict",
                serves: |model| !is_newer_gemini(model),
            },
            Embeddings {
                shape: Shape::GeminiOne,
                path: "/v1/projects/{project}/locations/{location}/publishers/google/models/{model}:embedContent",
                serves: is_newer_gemini,
            },
        ],
        rerank: None,
        models: None,
        passes: &[],
    },
    auth: Auth::Google,
    env: &[],
    key_optional: false,
    quirks: Quirks { call_ids: false, service_tiers: &[], ..Quirks::NONE },
    http2: true,
    catalogue: "vertex",
    docs_url: "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
};

/// Embedding models after the first of the name, which `:predict` does not serve.
fn is_newer_gemini(model: &str) -> bool {
    model.starts_with("gemini-embedding") && model != "gemini-embedding-001"
}

fn is_claude(model: &str) -> bool {
    model.starts_with("claude-")
}
