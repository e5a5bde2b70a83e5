//! Vendors, as data: what is known of each, one small file a vendor and one line in [`PROVIDERS`].
//!
//! Dialects are code (`wire/`), providers are records. Documentation, the config schema and the
//! conformance tests are generated from the list.

use crate::wire::frames::Framing;
use crate::wire::{Dialect, Quirks};

pub mod anthropic;
pub mod anthropic_compatible;
pub mod azure;
pub mod cerebras;
pub mod cohere;
pub mod deepinfra;
pub mod deepseek;
pub mod fireworks;
pub mod gemini;
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
#[cfg(feature = "proxy")]
pub mod sign;
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
    /// Its generation APIs, the usual one first. A client's own format goes to the one of that format,
    /// where the model is served by it.
    pub apis: &'static [Api],
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

impl Provider {
    /// The format of its usual API.
    pub fn dialect(&self) -> Dialect {
        self.apis.first().map_or(Dialect::OpenAiChat, |api| api.dialect)
    }

    /// The API for a client's format: its own, else the usual one, of those that serve the model.
    pub fn api(&self, client: Dialect, model: &str) -> Option<&'static Api> {
        let mut serving = self.apis.iter().filter(|api| (api.serves)(model));
        serving.clone().find(|api| api.dialect == client).or_else(|| serving.next())
    }
}

/// A generation API.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    pub dialect: Dialect,
    /// Below the base URL. `{model}` is the model's name, other names in braces are what the
    /// configuration says of the provider (`{project}`); a query may follow.
    pub path: &'static str,
    /// The same for streams, where it differs.
    pub stream_path: Option<&'static str>,
    pub framing: Framing,
    pub edits: Edits,
    /// Which of the vendor's models it serves.
    pub serves: fn(&str) -> bool,
}

/// How the body differs from what the format's own vendor takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edits {
    None,
    /// Claude by Bedrock's InvokeModel: neither `model` nor `stream`, `anthropic_version` and the
    /// betas in the body.
    AnthropicBedrock,
    /// Claude by Vertex AI: no `model`, `anthropic_version` in the body.
    AnthropicVertex,
}

impl Api {
    /// OpenAI Chat Completions.
    pub const CHAT: Self = Self {
        dialect: Dialect::OpenAiChat,
        path: "/chat/completions",
        stream_path: None,
        framing: Framing::Sse,
        edits: Edits::None,
        serves: |_| true,
    };
    /// OpenAI Responses.
    pub const RESPONSES: Self = Self { dialect: Dialect::Responses, path: "/responses", ..Self::CHAT };
    /// Anthropic Messages.
    pub const MESSAGES: Self = Self { dialect: Dialect::Anthropic, path: "/v1/messages", ..Self::CHAT };
}

/// Other paths below the base URL; `None` where the vendor has no such endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Paths {
    /// The token count of its usual API's format.
    pub count_tokens: Option<&'static str>,
    /// OpenAI's legacy completions.
    pub completions: Option<&'static str>,
    pub embeddings: Option<&'static str>,
    pub models: Option<&'static str>,
}

impl Paths {
    /// Below a base URL that ends in `/v1` (or stands for it).
    pub const OPENAI: Self =
        Self { count_tokens: None, completions: None, embeddings: Some("/embeddings"), models: Some("/models") };
    /// Below a base URL without `/v1`.
    pub const ANTHROPIC: Self = Self {
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
    &cohere::PROVIDER,
    &deepinfra::PROVIDER,
    &deepseek::PROVIDER,
    &fireworks::PROVIDER,
    &gemini::PROVIDER,
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

/// The catalogue of an author as model names spell it (`google/gemini-...`); mostly the same word.
pub fn catalogue_of(author: &str) -> &str {
    match author {
        "google" => "gemini",
        "mistralai" => "mistral",
        "x-ai" => "xai",
        "moonshotai" => "moonshot",
        "CohereLabs" => "cohere",
        "deepseek-ai" => "deepseek",
        other => other,
    }
}

/// The vendor of that kind.
pub fn find(kind: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().copied().find(|p| p.kind == kind)
}
