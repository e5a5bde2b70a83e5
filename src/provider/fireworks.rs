//! Fireworks AI. Its models are `accounts/fireworks/models/NAME`. It has a Messages endpoint below
//! the same base URL.
//!
//! Usage: OpenAI's (by its SDK 1.2, 2026-11).
//!
//! Quirks:
//! - thinking is in `reasoning_content`, and goes back there (SDK 1.2: `reasoning_history` says
//!   what becomes of it)
//! - takes `reasoning_effort`, `strict` tools and `parallel_tool_calls`; no `developer` (SDK 1.2)
//!
//! No recorded exchange: its facts are from its reference.

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "fireworks",
    title: "Fireworks AI",
    apis: &[Api::CHAT, Api { path: "/messages", ..Api::MESSAGES }],
    base_url: Some("https://api.fireworks.ai/inference/v1"),
    paths: Paths { completions: Some("/completions"), ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["FIREWORKS_API_KEY"],
    key_optional: false,
    quirks: Quirks { reasoning_echo: Some("reasoning_content"), ..Quirks::NONE },
    http2: true,
    catalogue: "fireworks",
    docs_url: "https://docs.fireworks.ai/api-reference/post-chatcompletions",
};
