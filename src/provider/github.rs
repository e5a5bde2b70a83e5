//! GitHub Models, with a GitHub token that has the `models` scope. Model names carry their author:
//! `openai/gpt-4.1-mini`.
//!
//! Usage: OpenAI's (by its reference, 2026-11).
//!
//! Quirks:
//! - the catalogue of models is not below the base URL
//! - quotas come with the plan, so it has no price per token
//!
//! No recorded exchange of its own; GitHub Copilot's, another service behind another address, are
//! recorded as `copilot`.

use super::{Api, Auth, Paths, Provider};
use crate::wire::Quirks;

pub static PROVIDER: Provider = Provider {
    kind: "github",
    title: "GitHub Models",
    apis: &[Api::CHAT],
    base_url: Some("https://models.github.ai/inference"),
    paths: Paths { models: None, ..Paths::OPENAI },
    auth: Auth::Bearer,
    env: &["GITHUB_TOKEN"],
    key_optional: false,
    quirks: Quirks::NONE,
    http2: true,
    catalogue: "github",
    docs_url: "https://docs.github.com/rest/models/inference",
};
