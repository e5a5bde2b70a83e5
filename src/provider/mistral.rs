//! Mistral AI.
//!
//! Usage: OpenAI's, and always there: in a stream in the chunk that finishes
//! (mistral-chat_completions-1579f0ceb528, seen 2026-08-19; all 66 recorded streams). Reasoning is
//! not counted apart.
//!
//! Quirks:
//! - no `stream_options` and no `developer` in its API (by its SDK 3.7)
//! - thinking is a part of `content`, a list then (mistral-chat_completions-044af0472383, seen
//!   2025-11-28), and goes back as one (mistral-chat_completions-5665031e8714, seen 2026-08-19),
//!   not in a member
//! - a forced call is `tool_choice: any`; it reads `required` too
//!   (mistral-chat_completions-04c3d2ed69e4)
//! - a stream puts the last text or the calls into the chunk that finishes (41 of 66), may leave
//!   out a call's `index`, and pads with `p`
//! - takes `json_schema` (mistral-chat_completions-3ddb3a249f70), `parallel_tool_calls`
//!   (mistral-chat_completions-04c3d2ed69e4), `reasoning_effort`
//!   (mistral-chat_completions-1579f0ceb528), image URLs (mistral-chat_completions-1fd25b2553dd,
//!   seen 2026-02-10)
//! - its body is a closed list (422 `extra_forbidden`, reported until 2026-06) with `random_seed` for
//!   `seed`, and without `user`, `store`, `safety_identifier`, `verbosity` and `logit_bias`; `service_tier`
//!   is `auto` or `standard_only`; `metadata` and `prompt_cache_key` are taken (SDK 3.7)
//! - an effort is taken by some models only: Large 4 knows `low`, `medium` and `high`, Small 4, Medium 3.5
//!   and what goes by their names `none` and `high` (mistral-chat_completions-1579f0ceb528; its guide to
//!   reasoning, 2026-11)
//! - refuses ids of calls that are not nine letters or digits (code 3280, reported until 2026-09)
//! - goes on with an assistant's message that has `prefix: true`, and repeats it in its answer (by its
//!   reference, 2026-11)
//! - errors are flat, a wrong key is `{"detail": ...}` (mistral-chat_completions-0f77ace00ffb)

use super::{Api, Auth, Embeddings, Pass, Paths, Provider};
use crate::wire::Quirks;
use crate::wire::embeddings::Shape;
use crate::wire::resume::Mark;
use crate::wire::vendor::{Efforts, Models, Refused};

pub static PROVIDER: Provider = Provider {
    kind: "mistral",
    title: "Mistral AI",
    apis: &[Api::CHAT],
    base_url: Some("https://api.mistral.ai/v1"),
    paths: Paths {
        embeddings: &[Embeddings { shape: Shape::Mistral, ..Embeddings::OPENAI }],
        passes: &[Pass::Transcriptions, Pass::Moderations, Pass::Files],
        ..Paths::OPENAI
    },
    auth: Auth::Bearer,
    env: &["MISTRAL_API_KEY"],
    key_optional: false,
    quirks: Quirks {
        stream_options: false,
        thinking_in_content: true,
        short_call_ids: true,
        prefill: Some(Mark::Prefix),
        seed: "random_seed",
        service_tiers: &[("auto", "auto"), ("default", "standard_only"), ("standard_only", "standard_only")],
        refused: &[Refused {
            models: Models::ALL,
            members: &["user", "store", "safety_identifier", "verbosity", "logit_bias"],
        }],
        efforts: EFFORTS,
        ..Quirks::NONE
    },
    http2: true,
    catalogue: "mistral",
    docs_url: "https://docs.mistral.ai/api",
};

/// Models of other makers that it hosts are not in here: they are asked as they came.
const EFFORTS: &[Efforts] = &[
    Efforts::words(Models::named(&["mistral-large-4"]), &["low", "medium", "high"]),
    // Dated ones from before there were efforts.
    Efforts::none(
        Models::named(&[
            "mistral-small-24",
            "mistral-small-25",
            "mistral-small-3",
            "mistral-medium-23",
            "mistral-medium-25",
            "mistral-medium-3-1",
        ]),
        false,
    ),
    Efforts::words(
        Models::named(&[
            "mistral-small",
            "mistral-medium",
            "mistral-vibe",
            "mistral-code-agent",
            "magistral",
            "devstral-latest",
            "devstral-medium-latest",
        ]),
        &["none", "high"],
    ),
    Efforts::none(
        Models::named(&[
            "codestral",
            "devstral",
            "labs-",
            "ministral",
            "mistral",
            "mixtral",
            "open-",
            "pixtral",
            "voxtral",
        ]),
        false,
    ),
];
