//! Groq.
//!
//! Usage: OpenAI's; a stream carries it twice, in `x_groq.usage` and in the last chunk
//! (groq-chat_completions-07629b8d735a): the last one holds. Reasoning is inside
//! `completion_tokens` (groq-chat_completions-0eb78edbd224, seen 2026-07-02).
//!
//! Quirks:
//! - thinking is in `reasoning`, and goes back there (by its SDK 1.7)
//! - `developer` and `system` are one to it (SDK 1.7)
//! - `max_tokens` is deprecated for `max_completion_tokens` (SDK 1.7)
//! - a call that the model wrote badly is a 400 `tool_use_failed`
//!   (groq-chat_completions-31dcffa8a735), in a stream an `event: error` and no `[DONE]`
//! - `service_tier` may be `on_demand`, which OpenAI does not know
//! - takes `json_schema` (groq-chat_completions-a4db78406c88), `strict` tools
//!   (groq-chat_completions-17673de60371, seen 2026-03-12), image URLs
//!   (groq-chat_completions-66c001861c26, seen 2026-02-09)

use super::{Api, Auth, Pass, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "groq",
    title: "Groq",
    apis: &[Api::CHAT],
    base_url: Some("https://api.groq.com/openai/v1"),
    paths: Paths { passes: &[Pass::Speech, Pass::Transcriptions, Pass::Files, Pass::Batches], ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["GROQ_API_KEY"],
    key_optional: false,
    quirks: Quirks {
        max_tokens: "max_completion_tokens",
        developer_role: true,
        reasoning_echo: Some("reasoning"),
        ..Quirks::NONE
    },
    http2: true,
    catalogue: "groq",
    docs_url: "https://console.groq.com/docs/api-reference",
};
