//! Azure OpenAI and Microsoft Foundry. Which of their APIs is meant is said by `base_url`, the resource
//! (`https://RESOURCE.openai.azure.com`, `https://RESOURCE.services.ai.azure.com`) or a path below it:
//!
//! - nothing, `/openai` or `/openai/v1`: the v1 API; the model is the name of a deployment
//! - the same with `api_version` (`2024-10-21`): the paths of deployments, `/openai/deployments/MODEL/...`
//! - `/models` with `api_version`: the models of other makers by the older inference API
//! - `/anthropic`: Claude by Anthropic's API
//!
//! Usage: OpenAI's; cached and reasoning tokens are inside their totals
//! (azure-chat_completions-1459d3aeedc1, seen 2026-06-24).
//!
//! Quirks:
//! - the key goes in `api-key`; a token of Entra ID (`entra`) in `authorization`
//! - a stream opens with a chunk of `prompt_filter_results`: no choices, empty `id`, `model` and
//!   `object` (azure-chat_completions-0624a9c9bd34; all 14 recorded streams)
//! - instructions go as `system` for every model: those of other makers it hosts know no
//!   `developer`, OpenAI's own read both alike
//! - `max_completion_tokens`, as OpenAI (azure-chat_completions-1ac2f83d06ba, seen 2026-06-24)
//! - an error's `code` is a word or a string of digits (azure-chat_completions-1816c95221f1,
//!   azure-chat_completions-7b0e95aa9810)

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

/// The v1 API, below `/openai/v1`.
pub static PROVIDER: Provider = Provider {
    kind: "azure",
    title: "Azure OpenAI",
    apis: &[Api::CHAT, Api::RESPONSES],
    base_url: None,
    paths: Paths { completions: Some("/completions"), ..Paths::OPENAI },
    auth: Auth::Header("api-key"),
    env: &["AZURE_OPENAI_API_KEY", "AZURE_API_KEY"],
    key_optional: false,
    quirks: Quirks { max_tokens: "max_completion_tokens", ..Quirks::NONE },
    http2: true,
    catalogue: "azure",
    docs_url: "https://learn.microsoft.com/azure/foundry/openai/latest",
};

/// The API by dated versions, below `/openai`.
pub static DEPLOYMENTS: Provider = Provider {
    apis: &[
        Api { path: "/deployments/{model}/chat/completions?api-version={api_version}", ..Api::CHAT },
        Api { path: "/responses?api-version={api_version}", ..Api::RESPONSES },
    ],
    paths: Paths {
        completions: Some("/deployments/{model}/completions?api-version={api_version}"),
        embeddings: Some("/deployments/{model}/embeddings?api-version={api_version}"),
        models: None,
        ..Paths::OPENAI
    },
    docs_url: "https://learn.microsoft.com/azure/foundry/openai/reference",
    ..PROVIDER
};

/// The inference API, below `/models`. Recorded: azure-chat_completions-7b0e95aa9810.
pub static MODELS: Provider = Provider {
    apis: &[Api { path: "/chat/completions?api-version={api_version}", ..Api::CHAT }],
    paths: Paths { embeddings: Some("/embeddings?api-version={api_version}"), models: None, ..Paths::OPENAI },
    quirks: Quirks::NONE,
    ..PROVIDER
};

/// Claude, below `/anthropic`: <https://platform.claude.com/docs/build-with-claude/claude-in-microsoft-foundry>.
pub static CLAUDE: Provider = Provider {
    apis: &[Api::MESSAGES],
    paths: Paths { models: None, ..Paths::ANTHROPIC },
    quirks: Quirks::NONE,
    ..PROVIDER
};
