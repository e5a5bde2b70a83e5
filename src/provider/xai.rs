//! xAI.
//!
//! Usage: OpenAI's but for one thing: reasoning is *outside* `completion_tokens`, and
//! `total_tokens` is the sum of all three (xai-chat_completions-11a27114446e, seen 2026-03-12: 670
//! + 25 + 44 = 739; all 21 recordings). `cost_in_usd_ticks` comes with it.
//!
//! Quirks:
//! - thinking is in `reasoning_content`, and goes back there (xai-chat_completions-168240964a4b,
//!   seen 2026-03-12)
//! - takes `reasoning_effort` (xai-chat_completions-618543390100, seen 2026-03-12) and `strict`
//!   tools (xai-chat_completions-11a27114446e)
//! - errors are `{"code": text, "error": text}`; a wrong key is a 400
//! - no embeddings

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "xai",
    title: "xAI",
    apis: &[Api::CHAT, Api::RESPONSES],
    base_url: Some("https://api.x.ai/v1"),
    paths: Paths { embeddings: &[], ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["XAI_API_KEY"],
    key_optional: false,
    quirks: Quirks { reasoning_echo: Some("reasoning_content"), reasoning_outside_completion: true, ..Quirks::NONE },
    http2: true,
    catalogue: "xai",
    docs_url: "https://docs.x.ai/docs/api-reference",
};
