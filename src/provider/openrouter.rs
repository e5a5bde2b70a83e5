//! OpenRouter. Model names carry their author: `anthropic/claude-sonnet-4.5`; a tag (`:free`,
//! `:nitro`) chooses among its providers. It has a Messages endpoint below the same base URL.
//!
//! Usage: OpenAI's with `cost` beside it, in the chunk that finishes (98 of 99 recorded streams, up
//! to 2026-08). Reasoning may exceed `completion_tokens` in one recorded answer, so details are
//! clamped.
//!
//! Quirks:
//! - thinking is in `reasoning` and, typed and signed, in `reasoning_details`; both go back
//!   (openrouter-chat_completions-9feb33cd3d21, openrouter-chat_completions-0b48cd390d43, seen
//!   2026-04-27)
//! - the chunk with usage repeats `finish_reason` (90 of 99 streams); comments (`: OPENROUTER
//!   PROCESSING`) come before and between events; a whole answer begins with blanks
//!   (openrouter-chat_completions-074ea2750021, seen 2026-06-08)
//! - takes `developer` (openrouter-chat_completions-074ea2750021) and `json_schema`
//!   (openrouter-chat_completions-067a58d79622)
//! - an error's `code` is a number, the upstream's own error is a string in `metadata.raw`
//!   (openrouter-chat_completions-a2973475cc47)

use super::{Api, Auth, Paths, Provider, Rerank};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "openrouter",
    title: "OpenRouter",
    apis: &[Api::CHAT, Api { path: "/messages", ..Api::MESSAGES }],
    base_url: Some("https://openrouter.ai/api/v1"),
    paths: Paths { completions: Some("/completions"), rerank: Some(Rerank::JINA), ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["OPENROUTER_API_KEY"],
    key_optional: false,
    quirks: Quirks { developer_role: true, reasoning_echo: Some("reasoning"), ..Quirks::NONE },
    http2: true,
    catalogue: "openrouter",
    docs_url: "https://openrouter.ai/docs/api-reference/overview",
};
