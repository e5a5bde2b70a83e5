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
//! - `service_tier` may be `on_demand`, which OpenAI does not know, and is neither `default` nor `priority`
//! - refuses members it does not know (400 `property 'prompt_cache_key' is unsupported`, reported until
//!   2026-07; `verbosity` too), and those that none of its models does: `logit_bias`, `logprobs`,
//!   `top_logprobs`, `metadata`, `store` (SDK 1.7)
//! - an effort is taken by GPT-OSS (groq-chat_completions-84c987acb875) and by Qwen 3, there as `none` or
//!   `default` (groq-chat_completions-78b74ce78d8a); Qwen 3.8 knows both (SDK 1.7)
//! - takes `json_schema` (groq-chat_completions-a4db78406c88), `strict` tools
//!   (groq-chat_completions-17673de60371, seen 2026-03-12), image URLs
//!   (groq-chat_completions-66c001861c26, seen 2026-02-09)

use super::{Api, Auth, Pass, Paths, Provider};
use crate::wire::Quirks;
use crate::wire::vendor::{Efforts, Models, Refused};

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
        service_tiers: &[("auto", "auto"), ("default", "on_demand"), ("standard_only", "on_demand"), ("flex", "flex")],
        refused: &[Refused {
            models: Models::ALL,
            members: &[
                "prompt_cache_key",
                "prompt_cache_retention",
                "safety_identifier",
                "verbosity",
                "logit_bias",
                "logprobs",
                "top_logprobs",
                "metadata",
                "store",
            ],
        }],
        efforts: &[
            Efforts::words(Models::named(&["qwen3.8"]), &["none", "low", "medium", "high"]),
            Efforts::words(Models::named(&["qwen3"]), &["none", "default"]),
            Efforts::words(Models::named(&["gpt-oss"]), &["low", "medium", "high"]),
            Efforts::none(Models::ALL, false),
        ],
        ..Quirks::NONE
    },
    http2: true,
    catalogue: "groq",
    docs_url: "https://console.groq.com/docs/api-reference",
};
