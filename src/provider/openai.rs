//! OpenAI, whose format the `openai_chat` dialect is.
//!
//! Usage: `prompt_tokens` includes cached and `completion_tokens` reasoning tokens; in a stream it
//! comes in a last chunk without choices, if asked for (`stream_options`; 36 of 148 recorded
//! streams have none).
//!
//! Quirks:
//! - newer models refuse `max_tokens` (openai-chat_completions-cf1ad5a10d76); all take
//!   `max_completion_tokens` (openai-chat_completions-046b087ab963, seen 2025-08-13)
//! - takes `developer` (openai-chat_completions-0166f046ad57, seen 2025-11-30), but for o1-mini
//!   (openai-chat_completions-b21afada2443)
//! - has no thinking in its chat answers, so none goes back
//! - pads stream chunks with `obfuscation`

use super::{Api, Auth, Pass, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "openai",
    title: "OpenAI",
    apis: &[Api::CHAT, Api::RESPONSES],
    base_url: Some("https://api.openai.com/v1"),
    paths: Paths { completions: Some("/completions"), passes: Pass::OPENAI, ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["OPENAI_API_KEY"],
    key_optional: false,
    quirks: Quirks { max_tokens: "max_completion_tokens", developer_role: true, ..Quirks::NONE },
    http2: true,
    catalogue: "openai",
    docs_url: "https://platform.openai.com/docs/api-reference/chat",
};
