//! The built-in simulated provider (`src/simulator`): both formats over loopback, no key.

use super::{Auth, Paths, Provider};
use crate::wire::{Dialect, Quirks};

pub static PROVIDER: Provider = Provider {
    kind: "simulator",
    title: "Simulator",
    dialect: Dialect::OpenAiChat,
    base_url: None,
    paths: Paths {
        messages: Some("/messages"),
        count_tokens: Some("/messages/count_tokens"),
        completions: Some("/completions"),
        ..Paths::OPENAI
    },
    auth: Auth::Bearer,
    env: &[],
    key_optional: true,
    quirks: Quirks { reasoning_echo: Some("reasoning_content"), ..Quirks::NONE },
    http2: false,
    catalogue: "simulator",
    docs_url: "",
};
