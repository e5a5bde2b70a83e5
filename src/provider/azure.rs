//! Azure OpenAI and Foundry, by their v1 API: `base_url` is
//! `https://RESOURCE.openai.azure.com/openai/v1` (or
//! `https://RESOURCE.services.ai.azure.com/openai/v1`), the model is the name of the deployment.
//! The older paths with `api-version` are not this kind's.
//!
//! Usage: OpenAI's; cached and reasoning tokens are inside their totals
//! (azure-chat_completions-1459d3aeedc1, seen 2026-06-24).
//!
//! Quirks:
//! - the key goes in `api-key`
//! - a stream opens with a chunk of `prompt_filter_results`: no choices, empty `id`, `model` and
//!   `object` (azure-chat_completions-0624a9c9bd34; all 14 recorded streams)
//! - instructions go as `system` for every model: those of other makers it hosts know no
//!   `developer`, OpenAI's own read both alike
//! - `max_completion_tokens`, as OpenAI (azure-chat_completions-1ac2f83d06ba, seen 2026-06-24)
//! - an error's `code` is a word or a string of digits (azure-chat_completions-1816c95221f1,
//!   azure-chat_completions-7b0e95aa9810)

use super::{Api, Auth, Pass, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "azure",
    title: "Azure OpenAI",
    apis: &[Api::CHAT, Api::RESPONSES],
    base_url: None,
    paths: Paths {
        completions: Some("/completions"),
        passes: &[
            Pass::Images,
            Pass::Speech,
            Pass::Transcriptions,
            Pass::Files,
            Pass::Batches,
            Pass::Responses,
            Pass::Realtime,
        ],
        ..Paths::OPENAI
    },
    auth: Auth::Header("api-key"),
    env: &["AZURE_OPENAI_API_KEY", "AZURE_API_KEY"],
    key_optional: false,
    quirks: Quirks { max_tokens: "max_completion_tokens", ..Quirks::NONE },
    http2: true,
    catalogue: "azure",
    docs_url: "https://learn.microsoft.com/azure/foundry/openai/latest",
};
