//! Guards, as requests have them: what looks at texts itself, and the service that is asked beside it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::alerts::WebhookUrl;
use crate::guard::Guard;
use crate::secret::Secret;

pub use crate::guard::Side;

/// One of `guards`.
#[derive(Debug)]
pub struct Guarding {
    pub guard: Arc<Guard>,
    pub service: Option<Service>,
    /// Where it holds answers against what was asked for.
    pub form: Option<Form>,
}

/// How answers are held against the JSON that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// One that does not fit is mended, or asked for once more.
    pub repairs: bool,
    /// A schema that cannot be used holds nobody up.
    pub fails_open: bool,
}

/// A service that judges texts.
#[derive(Debug)]
pub struct Service {
    /// `None`: this gateway, in the name of whoever is guarded.
    pub url: Option<WebhookUrl>,
    pub shape: Shape,
    /// That is asked, of a service that has several.
    pub model: Option<String>,
    pub key: Option<Secret>,
    pub timeout: Duration,
    /// What it did not judge passes.
    pub fails_open: bool,
}

/// As logs may say it.
impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.url {
            Some(url) => url.fmt(f),
            None => f.write_str(self.model.as_deref().unwrap_or_default()),
        }
    }
}

/// What a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Weir,
    OpenAi,
    Presidio,
    LlamaGuard,
}

impl Shape {
    pub const WORDS: [(&'static str, Self); 4] = [
        ("weir", Self::Weir),
        ("openai", Self::OpenAi),
        ("presidio", Self::Presidio),
        ("llama_guard", Self::LlamaGuard),
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::OpenAi => "openai",
            Self::Presidio => "presidio",
            Self::LlamaGuard => "llama_guard",
        }
    }

    /// Whether models speak it that this gateway can ask.
    pub const fn is_of_models(self) -> bool {
        matches!(self, Self::OpenAi | Self::LlamaGuard)
    }

    /// Whether it says where in a text it found something.
    pub const fn has_spans(self) -> bool {
        !matches!(self, Self::OpenAi | Self::LlamaGuard)
    }
}
