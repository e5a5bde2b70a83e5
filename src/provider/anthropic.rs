//! Anthropic, whose format the `anthropic` dialect is.
//!
//! Usage: `input_tokens` excludes cache reads and writes; `message_delta` repeats and corrects what
//! `message_start` said, it does not add to it (126 of 139 recorded streams). Thinking is
//! inside `output_tokens`.
//!
//! Quirks:
//! - its own `x-api-key`; a subscription token goes as `Authorization: Bearer` and is the client's
//!   own
//! - `max_tokens` is required: the model table has each model's ceiling
//! - thinking is asked for by a budget up to Claude 4.5 and by effort from 4.6 on

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "anthropic",
    title: "Anthropic",
    apis: &[Api::MESSAGES],
    base_url: Some("https://api.anthropic.com"),
    paths: Paths::ANTHROPIC,
    auth: Auth::Header("x-api-key"),
    env: &["ANTHROPIC_API_KEY"],
    key_optional: false,
    quirks: Quirks::NONE,
    http2: true,
    catalogue: "anthropic",
    docs_url: "https://platform.claude.com/docs/en/api/messages",
};
