//! DeepInfra, by its OpenAI-compatible paths.
//!
//! Usage: OpenAI's; a streamed answer carries it in its last chunk with `finish_reason` (by its
//! reference, 2026-11).
//!
//! No recorded exchange: its facts are from its reference.

use super::{Api, Auth, Pass, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "deepinfra",
    title: "DeepInfra",
    apis: &[Api::CHAT],
    base_url: Some("https://api.deepinfra.com/v1/openai"),
    paths: Paths {
        completions: Some("/completions"),
        passes: &[Pass::Images, Pass::Speech, Pass::Transcriptions],
        ..Paths::OPENAI
    },
    auth: Auth::Bearer,
    env: &["DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"],
    key_optional: false,
    quirks: Quirks::NONE,
    http2: true,
    catalogue: "deepinfra",
    docs_url: "https://deepinfra.com/docs/openai_api",
};
