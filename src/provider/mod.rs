//! Vendors, as data: what is known of each, one small file a vendor and one line in [`PROVIDERS`].
//!
//! Dialects are code (`wire/`), providers are records. Documentation, the config schema and the
//! conformance tests are generated from the list.

use crate::wire::{Dialect, Quirks};

pub mod anthropic;
pub mod anthropic_compatible;
pub mod azure;
pub mod cerebras;
pub mod deepinfra;
pub mod deepseek;
pub mod fireworks;
pub mod github;
pub mod groq;
pub mod huggingface;
pub mod llamacpp;
pub mod lmstudio;
pub mod mistral;
pub mod moonshot;
pub mod nvidia;
pub mod ollama;
pub mod openai;
pub mod openai_compatible;
pub mod openrouter;
pub mod perplexity;
pub mod sglang;
pub mod simulator;
pub mod together;
pub mod vllm;
pub mod xai;

/// One vendor.
#[derive(Debug, Clone, Copy)]
pub struct Provider {
    /// The `kind` in the configuration, and the default name and model prefix.
    pub kind: &'static str,
    /// The vendor's own spelling.
    pub title: &'static str,
    /// The format its generation endpoint speaks.
    pub dialect: Dialect,
    /// As its own SDK takes it; `None` where the operator has to say (`base_url` is required).
    pub base_url: Option<&'static str>,
    pub paths: Paths,
    pub auth: Auth,
    /// Environment variables that hold the key, first one found counts. A provider with none is
    /// configured by file only.
    pub env: &'static [&'static str],
    /// Works without a key (a server of one's own).
    pub key_optional: bool,
    pub quirks: Quirks,
    /// HTTP/2 where TLS negotiates it. Servers of one's own speak HTTP/1.1.
    pub http2: bool,
    /// The author's name in the model table (`openai` for `gpt-...`), for prices and capabilities.
    pub catalogue: &'static str,
    /// The vendor's reference.
    pub docs_url: &'static str,
}

/// Paths below the base URL; `None` where the vendor has no such endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Paths {
    /// OpenAI Chat Completions.
    pub chat: Option<&'static str>,
    /// Anthropic Messages.
    pub messages: Option<&'static str>,
    /// Anthropic's token count.
    pub count_tokens: Option<&'static str>,
    /// OpenAI's legacy completions.
    pub completions: Option<&'static str>,
    pub embeddings: Option<&'static str>,
    pub models: Option<&'static str>,
}

impl Paths {
    /// Below a base URL that ends in `/v1` (or stands for it).
    pub const OPENAI: Self = Self {
        chat: Some("/chat/completions"),
        messages: None,
        count_tokens: None,
        completions: None,
        embeddings: Some("/embeddings"),
        models: Some("/models"),
    };
    /// Below a base URL without `/v1`.
    pub const ANTHROPIC: Self = Self {
        chat: None,
        messages: Some("/v1/messages"),
        count_tokens: Some("/v1/messages/count_tokens"),
        completions: None,
        embeddings: None,
        models: Some("/v1/models"),
    };
}

/// How a request proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `authorization: Bearer <key>`
    Bearer,
    /// `<name>: <key>`
    Header(&'static str),
}

/// All vendors, in the alphabetical order of `kind`.
pub const PROVIDERS: &[&Provider] = &[
    &anthropic::PROVIDER,
    &anthropic_compatible::PROVIDER,
    &azure::PROVIDER,
    &cerebras::PROVIDER,
    &deepinfra::PROVIDER,
    &deepseek::PROVIDER,
    &fireworks::PROVIDER,
    &github::PROVIDER,
    &groq::PROVIDER,
    &huggingface::PROVIDER,
    &llamacpp::PROVIDER,
    &lmstudio::PROVIDER,
    &mistral::PROVIDER,
    &moonshot::PROVIDER,
    &nvidia::PROVIDER,
    &ollama::PROVIDER,
    &openai::PROVIDER,
    &openai_compatible::PROVIDER,
    &openrouter::PROVIDER,
    &perplexity::PROVIDER,
    &sglang::PROVIDER,
    &simulator::PROVIDER,
    &together::PROVIDER,
    &vllm::PROVIDER,
    &xai::PROVIDER,
];

/// The vendor of that kind.
pub fn find(kind: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().copied().find(|p| p.kind == kind)
}
