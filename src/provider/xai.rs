//! xAI.
//!
//! Usage: OpenAI's but for one thing: reasoning is *outside* `completion_tokens`, and
//! `total_tokens` is the sum of all three (xai-chat_completions-11a27114446e, seen 2026-03-12: 670
//! + 25 + 44 = 739; all 21 recordings). `cost_in_usd_ticks` comes with it.
//!
//! Quirks:
//! - thinking is in `reasoning_content`, and goes back there (xai-chat_completions-168240964a4b,
//!   seen 2026-03-12)
//! - takes `strict` tools (xai-chat_completions-11a27114446e)
//! - an effort is taken by Grok 3 mini as `low` or `high` (xai-chat_completions-618543390100, seen
//!   2026-03-12) and from Grok 4.3 on; Grok 4, 4.1 fast, 4.20 and Code think and refuse it (`does not
//!   support parameter reasoningEffort`, reported until 2026-07), as Grok 3 does; only 4.3 can be told not
//!   to think
//! - models that think refuse `stop`, `presence_penalty` and `frequency_penalty` (its guide to reasoning)
//! - models that were retired are answered by others, which the answer names and its cost is of: Grok 3 mini and
//!   Grok 4 by 4.3 (xai-responses, 40 recordings)
//! - errors are `{"code": text, "error": text}`; a wrong key is a 400
//! - no embeddings

use super::{Api, Auth, Pass, Paths, Provider};
use crate::wire::Quirks;
use crate::wire::vendor::{Efforts, Models, Refused};

pub static PROVIDER: Provider = Provider {
    kind: "xai",
    title: "xAI",
    apis: &[Api::CHAT, Api::RESPONSES],
    base_url: Some("https://api.x.ai/v1"),
    paths: Paths { embeddings: &[], passes: &[Pass::Images, Pass::Responses], ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["XAI_API_KEY"],
    key_optional: false,
    quirks: Quirks {
        reasoning_echo: Some("reasoning_content"),
        reasoning_outside_completion: true,
        refused: &[Refused { models: THINKERS, members: &["stop", "presence_penalty", "frequency_penalty"] }],
        efforts: EFFORTS,
        redirects: true,
        ..Quirks::NONE
    },
    http2: true,
    catalogue: "xai",
    docs_url: "https://docs.x.ai/docs/api-reference",
};

const THINKERS: Models =
    Models { names: &["grok-3-mini", "grok-4", "grok-build", "grok-code", "grok-latest"], except: &["non-reasoning"] };

const EFFORTS: &[Efforts] = &[
    Efforts::words(Models::named(&["grok-3-mini"]), &["low", "high"]),
    Efforts::words(Models::named(&["grok-4.3"]), &["none", "low", "medium", "high"]),
    // Of this one it is how many agents there are.
    Efforts::words(Models::named(&["grok-4.20-multi-agent"]), &["low", "medium", "high", "xhigh"]),
    Efforts::none(Models { names: &["grok-4.20"], except: &["non-reasoning"] }, true),
    Efforts::words(Models { names: &["grok-4."], except: &["grok-4.20"] }, &["low", "medium", "high"]),
    Efforts::none(Models { names: &["grok-4", "grok-code"], except: &["non-reasoning"] }, true),
    Efforts::none(Models::named(&["grok-2", "grok-3", "grok-4"]), false),
];
