//! Vendors, as data: what is known of each, one small file a vendor and one line in [`PROVIDERS`].
//!
//! Dialects are code (`wire/`), providers are records. Documentation, the config schema and the
//! conformance tests are generated from the list.

use crate::wire::frames::Framing;
use crate::wire::{Dialect, Quirks, embeddings, rerank};

pub mod anthropic;
pub mod anthropic_compatible;
pub mod azure;
pub mod bedrock;
pub mod cerebras;
pub mod cohere;
pub mod deepinfra;
pub mod deepseek;
pub mod fireworks;
pub mod gemini;
pub mod github;
pub mod groq;
pub mod huggingface;
pub mod jina;
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
pub mod vertex;
pub mod vllm;
pub mod voyage;
pub mod xai;

/// One vendor.
#[derive(Debug, Clone, Copy)]
pub struct Provider {
    /// The `kind` in the configuration, and the default name and model prefix.
    pub kind: &'static str,
    /// The vendor's own spelling.
    pub title: &'static str,
    /// Its generation APIs, the usual one first; some vendors have none. A client's own format goes to
    /// the one of that format, where the model is served by it.
    pub apis: &'static [Api],
    /// As its own SDK takes it; `None` where the operator has to say (`base_url` is required). Names in
    /// braces are what the configuration says of the provider.
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

    /// Where the tokens of a request in a format are counted, and what is changed in it for that.
    pub fn count(&self, client: Dialect, model: &str) -> Option<(&'static str, Edits)> {
        let api = self.apis.iter().find(|api| api.dialect == client && (api.serves)(model))?;
        let usual = self.paths.count_tokens.filter(|_| client == self.dialect());
        Some((api.count_path.or(usual)?, api.edits))
    }

    /// The same for embeddings.
    pub fn embeddings(&self, client: embeddings::Shape, model: &str) -> Option<&'static Embeddings> {
        let mut serving = self.paths.embeddings.iter().filter(|api| (api.serves)(model));
        serving.clone().find(|api| api.shape == client).or_else(|| serving.next())
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
    /// Where its tokens are counted, if not at [`Paths::count_tokens`].
    pub count_path: Option<&'static str>,
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
        count_path: None,
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
    /// Its embeddings APIs, the usual one first.
    pub embeddings: &'static [Embeddings],
    pub rerank: Option<Rerank>,
    pub models: Option<&'static str>,
}

impl Paths {
    /// Below a base URL that ends in `/v1` (or stands for it).
    pub const OPENAI: Self = Self {
        count_tokens: None,
        completions: None,
        embeddings: &[Embeddings::OPENAI],
        rerank: None,
        models: Some("/models"),
    };
    /// Below a base URL without `/v1`.
    pub const ANTHROPIC: Self = Self {
        count_tokens: Some("/v1/messages/count_tokens"),
        completions: None,
        embeddings: &[],
        rerank: None,
        models: Some("/v1/models"),
    };
}

/// An embeddings API.
#[derive(Debug, Clone, Copy)]
pub struct Embeddings {
    pub shape: embeddings::Shape,
    /// As [`Api::path`].
    pub path: &'static str,
    /// Which of the vendor's models it serves.
    pub serves: fn(&str) -> bool,
}

impl Embeddings {
    /// OpenAI's, below a base URL that ends in `/v1`.
    pub const OPENAI: Self = Self { shape: embeddings::Shape::OpenAi, path: "/embeddings", serves: |_| true };
    /// Google's, for one text and for many.
    pub const GOOGLE: [Self; 2] = [
        Self {
            shape: embeddings::Shape::GeminiMany,
            path: "/v1beta/models/{model}:batchEmbedContents",
            ..Self::OPENAI
        },
        Self { shape: embeddings::Shape::GeminiOne, path: "/v1beta/models/{model}:embedContent", ..Self::OPENAI },
    ];
}

/// A rerank API.
#[derive(Debug, Clone, Copy)]
pub struct Rerank {
    pub shape: rerank::Shape,
    /// As [`Api::path`].
    pub path: &'static str,
}

impl Rerank {
    /// Jina's shape, below a base URL that ends in `/v1`.
    pub const JINA: Self = Self { shape: rerank::Shape::Jina, path: "/rerank" };
}

/// How a request proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `authorization: Bearer <key>`
    Bearer,
    /// `<name>: <key>`
    Header(&'static str),
    /// Amazon's Signature Version 4 for that service; a key is a bearer token.
    SigV4(&'static str),
    /// A token of Google's, which is fetched.
    Google,
}

/// All vendors, in the alphabetical order of `kind`.
pub const PROVIDERS: &[&Provider] = &[
    &anthropic::PROVIDER,
    &anthropic_compatible::PROVIDER,
    &azure::PROVIDER,
    &bedrock::PROVIDER,
    &cerebras::PROVIDER,
    &cohere::PROVIDER,
    &deepinfra::PROVIDER,
    &deepseek::PROVIDER,
    &fireworks::PROVIDER,
    &gemini::PROVIDER,
    &github::PROVIDER,
    &groq::PROVIDER,
    &huggingface::PROVIDER,
    &jina::PROVIDER,
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
    &vertex::PROVIDER,
    &vllm::PROVIDER,
    &voyage::PROVIDER,
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
